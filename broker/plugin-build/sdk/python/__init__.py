"""Plugins for the Tidegate MQTT broker in Python.

A plugin is a class that inherits from `Plugin`, with a method for each hook that `tidegate-plugin.toml` names:

| hook | method |
|---|---|
| `auth` | `authenticate(self, client: Connect) -> Next or Grant or Refuse or Challenge` |
| `enhanced-auth` | `proceed(self, client: Connect, step: AuthStep) -> ` as above |
| `acl` | `check(self, request: AclRequest) -> Next or Allow or Deny` |
| `publish` | `on_publish(self, message: Message) -> Next or Accept or Edit or Refuse or Swallow` |
| `publish-batch` | `on_publish_batch(self, messages: list[Message]) -> ` a list of the above |
| `subscribe` | `on_subscribe(self, request: SubscribeRequest) -> Next or Accept or Change or Refuse` |
| `subscribers` | `select(self, message: Message, candidates: list[Candidate]) -> Everybody or Only or Except`, and, if you like, |
| | `pick(self, message: Message, group: str, members: list[Candidate]) -> int or None` |
| `deliver` | `on_deliver(self, message: Message, recipient: Recipient) -> Next or Edit or Drop` |
| `events` | `on_events(self, events: list[Event], lost: int)` |
| `timer-handler` | `on_timer(self, token: int)` |
| `storage` | `open`, `commit`, `get`, `scan`, as in `plugin.wit` |

One object answers one call at a time, and the broker runs several: what they must share is in `kv`. `broker`, `current`, `kv`, `metrics` and
`timers` are what `plugin.wit` says of them. What is printed goes to the broker's log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

from wit_world.imports import broker, current, kv, logging, metrics, timers
from wit_world.imports.config import secret
from wit_world.imports.types import Action, Connect, Property, Quotas

__all__ = [
    "Accept", "AclRequest", "Action", "Allow", "AuthStep", "Candidate", "Challenge", "Change", "Connect", "Deny", "Drop", "Edit", "Event",
    "Everybody", "Except", "Grant", "Message", "Next", "Only", "Plugin", "Property", "Quotas", "ReasonCode", "Recipient", "Refuse", "Rule",
    "Scope", "Start", "SubscribeRequest", "Swallow", "broker", "current", "kv", "log", "metrics", "secret", "timers",
]  # fmt: skip


class Plugin:
    """A plugin. `Config` is what its config is read into: a dataclass, or `dict` for a table of any keys. Other keys are refused."""

    Config: Callable[..., Any] | None = None
    config: Any

    def __init__(self, config: Any, start: Start):
        """An exception refuses the plugin; its text is for the operator."""
        self.config = config

    def scopes(self) -> list[Scope]:
        """Narrows hooks to some topics, and names what they want. Without any: all topics, and nothing."""
        return []

    def drain(self) -> bytes | None:
        """Another generation is about to take its place, and finds this in `start.state`."""
        return None


@dataclass
class Scope:
    """`wants`: "payload", "client-id", "username", "properties"; "filter" for `subscribers`; kinds of events for `events`."""

    hook: str
    filters: list[str] = field(default_factory=list)
    wants: list[str] = field(default_factory=list)


def log(level: str, text: str, **fields: Any) -> None:
    """A line in the broker's log: `log("info", "wrong password", peer=client.peer)`."""
    logging.log(logging.Level[level.upper()], text, [(key, str(value)) for key, value in fields.items()])


# What hooks are asked.


@dataclass
class Message:
    """A message on its way. What the scope does not want is empty."""

    session: int
    topic: str
    qos: int
    retain: bool
    payload_len: int
    payload: bytes = b""
    client_id: str = ""
    username: str | None = None
    properties: list[Property] = field(default_factory=list)


@dataclass
class AuthStep:
    state: bytes
    data: bytes | None
    again: bool


@dataclass
class Recipient:
    session: int
    client_id: str


class Start(Protocol):
    plugin: str
    generation: int
    broker_version: str
    state: bytes | None


class AclRequest(Protocol):
    session: int
    client_id: str
    username: str | None
    action: Action
    topic: str
    qos: int
    retain: bool


class SubscribeRequest(Protocol):
    session: int
    client_id: str
    username: str | None
    filter: str
    qos: int
    no_local: bool
    retain_as_published: bool
    retain_handling: int
    properties: list[Property]


class Candidate(Protocol):
    session: int
    client_id: str
    filter: str | None
    qos: int


class Event(Protocol):
    kind: str
    session: int
    client_id: str
    at_ms: int
    reason: int
    topic: str | None
    detail: list[tuple[str, str]]


# What they may answer.


@dataclass(frozen=True)
class Next:
    """Nothing to say: the next plugin is asked."""


@dataclass(frozen=True)
class Accept:
    """As it is; nobody else is asked."""


@dataclass(frozen=True)
class Swallow:
    """Acknowledged, and delivered to nobody."""


@dataclass(frozen=True)
class Drop:
    """This recipient does not get it."""


@dataclass(frozen=True)
class Edit:
    """What a message becomes; what is None stays. The next plugin is asked about what it is now."""

    topic: str | None = None
    payload: bytes | str | None = None
    qos: int | None = None
    retain: bool | None = None
    properties: list[Property] | None = None


@dataclass(frozen=True)
class Change:
    """What a subscription becomes; what is None stays. The next plugin is asked about what it is now."""

    filter: str | None = None
    qos: int | None = None


@dataclass(frozen=True)
class Refuse:
    """No, with a reason code of 0x80 or above, and for a client that wants to come in a text."""

    code: int
    text: str | None = None


@dataclass(frozen=True)
class Allow:
    """It may, on every topic under `filter`, which holds the one asked about; for `ttl_ms` (0: this once)."""

    filter: str
    ttl_ms: int = 0


@dataclass(frozen=True)
class Deny:
    """It may not, in the same way."""

    filter: str
    ttl_ms: int = 0


@dataclass(frozen=True)
class Rule:
    """What a client may do; `%c` and `%u` in the filter stand for client id and user name."""

    action: Action
    filter: str
    allow: bool = True
    max_qos: int = 2


@dataclass(frozen=True)
class Grant:
    """Come in, under these terms. Of the rules the first that applies decides."""

    rules: list[Rule] = field(default_factory=list)
    client_id: str | None = None
    username: str | None = None
    expires_ms: int | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    data: bytes | None = None
    quotas: Quotas | None = None


@dataclass(frozen=True)
class Challenge:
    """Prove more. `data` is for the client, `state` comes back with its answer."""

    data: bytes
    state: bytes = b""


@dataclass(frozen=True)
class Everybody:
    """Everybody gets it. The broker may remember answers for `cache_ms`, until subscriptions change."""

    cache_ms: int = 0


@dataclass(frozen=True)
class Only:
    """Those get it, by index, and nobody else."""

    indexes: list[int]
    cache_ms: int = 0


@dataclass(frozen=True)
class Except:
    """Everybody but those gets it, by index."""

    indexes: list[int]
    cache_ms: int = 0


class ReasonCode(IntEnum):
    """Reason codes of refusals (section 2.4 of MQTT 5)."""

    UNSPECIFIED_ERROR = 0x80
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    BAD_AUTHENTICATION_METHOD = 0x8C
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_TOO_LARGE = 0x95
    QUOTA_EXCEEDED = 0x97
    PAYLOAD_FORMAT_INVALID = 0x99
    QOS_NOT_SUPPORTED = 0x9B
