"""{{name}}: below `devices/` each client has a topic of its own, `devices/CLIENT-ID/…`."""

from dataclasses import dataclass

from tidegate import AclRequest, Allow, Deny, Plugin, Scope


@dataclass
class Config:
    """`[plugin.{{name}}.config]` in the broker's config."""

    # For how long the broker may remember what a client may do.
    ttl_seconds: int = 60

    def __post_init__(self) -> None:
        if not 0 <= self.ttl_seconds <= 4294967:
            raise ValueError("config key `ttl_seconds`: expected 0 to 4294967")


class OwnTopics(Plugin):
    Config = Config
    config: Config

    def scopes(self) -> list[Scope]:
        # Other topics are for others to decide about.
        return [Scope("acl", ["devices/#"])]

    def check(self, request: AclRequest) -> Allow | Deny:
        own = f"devices/{request.client_id}/"
        # A client id may hold anything, but reaches no further than its level.
        is_level = request.client_id and not any(character in request.client_id for character in "/+#")
        if is_level and request.topic.startswith(own):
            return Allow(own + "#", self.config.ttl_seconds * 1000)
        return Deny(request.topic)
