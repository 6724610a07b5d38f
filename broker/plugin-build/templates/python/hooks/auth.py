"""{{name}}: clients with a password come in, and have topics of their own.

The passwords are the plugin's secrets, by user name: `secrets.alice = "env:ALICE"` below `[plugin.{{name}}]` in the broker's config.
"""

from hmac import compare_digest

from tidegate import Action, Connect, Grant, Next, Plugin, ReasonCode, Refuse, Rule, log, secret


class Passwords(Plugin):
    def authenticate(self, client: Connect) -> Next | Grant | Refuse:
        if client.username is None:
            # Whoever has no name is for others to decide about.
            return Next()
        expected = secret(client.username)
        if expected is None or client.password is None or not compare_digest(expected.encode(), client.password):
            log("info", "wrong user name or password", username=client.username, peer=client.peer)
            return Refuse(ReasonCode.BAD_USER_NAME_OR_PASSWORD)
        return Grant(
            rules=[
                Rule(Action.PUBLISH, "devices/%u/#"),
                Rule(Action.SUBSCRIBE, "devices/%u/#"),
                Rule(Action.SUBSCRIBE, "news/#"),
            ]
        )
