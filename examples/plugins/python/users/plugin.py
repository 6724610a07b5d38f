"""users: who comes in, and what may they do, from a file of JSON.

A plugin reads no files: `secrets.users = "file:users.json"` below `[plugin.users]` in the broker's config hands it over.
`tidegate plugin reload users` does so again.
"""

import json
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any

from tidegate import Action, Connect, Grant, Next, Plugin, ReasonCode, Refuse, Rule, Start, log, secret


@dataclass
class User:
    # Its password: long and random, so that nobody guesses it.
    token: str
    publish: list[str] = field(default_factory=list)
    subscribe: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        filters = [self.publish, self.subscribe]
        if not isinstance(self.token, str) or not self.token:
            raise ValueError("it needs a `token`")
        if not all(isinstance(each, list) and all(isinstance(item, str) for item in each) for each in filters):
            raise ValueError("`publish` and `subscribe` are lists of topic filters")


class Users(Plugin):
    def __init__(self, config: Any, start: Start):
        super().__init__(config, start)
        users = secret("users")
        if users is None:
            raise ValueError('secret `users`: grant it by `secrets.users = "file:users.json"`')
        self.users: dict[str, User] = {}
        for name, user in json.loads(users).items():
            try:
                self.users[name] = User(**user)
            except (TypeError, ValueError) as error:
                raise ValueError(f"secret `users`: {name}: {error}") from error

    def authenticate(self, client: Connect) -> Next | Grant | Refuse:
        if client.username is None:
            # Whoever has no name is for others to decide about.
            return Next()
        user = self.users.get(client.username)
        if user is None or client.password is None or not compare_digest(user.token.encode(), client.password):
            log("info", "wrong user name or token", username=client.username, peer=client.peer)
            return Refuse(ReasonCode.BAD_USER_NAME_OR_PASSWORD)
        publish = [Rule(Action.PUBLISH, filter) for filter in user.publish]
        return Grant(rules=publish + [Rule(Action.SUBSCRIBE, filter) for filter in user.subscribe])
