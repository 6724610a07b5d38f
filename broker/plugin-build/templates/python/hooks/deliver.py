"""{{name}}: guests get nothing of what is internal, whatever they subscribe to."""

from dataclasses import dataclass, field

from tidegate import Drop, Message, Next, Plugin, Recipient, Scope


@dataclass
class Config:
    """`[plugin.{{name}}.config]` in the broker's config."""

    topics: list[str] = field(default_factory=lambda: ["internal/#"])
    # How the client ids of guests begin.
    guests: str = "guest-"


class Internal(Plugin):
    Config = Config
    config: Config

    def scopes(self) -> list[Scope]:
        # Asked once a recipient: topics must be named.
        return [Scope("deliver", self.config.topics)]

    def on_deliver(self, message: Message, recipient: Recipient) -> Next | Drop:
        return Drop() if recipient.client_id.startswith(self.config.guests) else Next()
