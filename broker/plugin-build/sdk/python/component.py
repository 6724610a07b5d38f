"""From the exports of a component to the methods of a plugin. `tidegate plugin build` makes a module that uses it."""

from __future__ import annotations

import importlib
import json
from dataclasses import MISSING, fields, is_dataclass
from types import ModuleType
from typing import Any, get_origin, get_type_hints

from componentize_py_types import Err
from wit_world.imports import config, types

from . import (
    Accept, Allow, AuthStep, Challenge, Change, Deny, Drop, Edit, Everybody, Except, Grant, Message, Next, Only, Plugin, Recipient, Refuse,
    Swallow,
)  # fmt: skip

METHODS = {
    "auth": ["authenticate"],
    "enhanced-auth": ["proceed"],
    "acl": ["check"],
    "publish": ["on_publish"],
    "publish-batch": ["on_publish_batch"],
    "subscribe": ["on_subscribe"],
    "subscribers": ["select"],
    "deliver": ["on_deliver"],
    "events": ["on_events"],
    "timer-handler": ["on_timer"],
    "storage": ["open", "commit", "get", "scan"],
}

# Made by `init`, the first call to an instance.
plugin: Any = None


def exports(module: ModuleType, *hooks: str) -> list[type]:
    """The classes that a component of the plugin in `module` exports: `Lifecycle`, and one for each hook."""
    written = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Plugin)]
    written = [value for value in written if value.__module__ == module.__name__]
    if len(written) != 1:
        raise TypeError(f"{module.__name__}.py needs one class that inherits from tidegate.Plugin; it has {len(written)}")
    [Written] = written
    for method in (method for hook in hooks for method in METHODS[hook]):
        if not callable(getattr(Written, method, None)):
            raise TypeError(f"{Written.__name__} needs a method `{method}` for the hooks that tidegate-plugin.toml names")
    return [lifecycle(Written)] + [HOOKS[hook](generated(hook)) for hook in hooks]


def generated(interface: str) -> ModuleType:
    return importlib.import_module("wit_world.exports." + interface.replace("-", "_"))


def lifecycle(Written: type[Plugin]) -> type:
    scope = generated("lifecycle").Scope

    class Lifecycle:
        def init(self, start):
            global plugin
            try:
                plugin = Written(configured(Written.Config), start)
                return [scope(each.hook, each.filters, each.wants) for each in plugin.scopes()]
            except Exception as error:
                raise Err(str(error) or type(error).__name__) from error

        def drain(self):
            return plugin.drain()

    return Lifecycle


def configured(Config: Any) -> Any:
    """The plugin's config."""
    table = json.loads(config.document() or "{}")
    if Config is dict:
        return table
    known = {each.name: each for each in fields(Config)} if is_dataclass(Config) else {}
    hints = get_type_hints(Config) if known else {}
    for key, value in table.items():
        if key not in known:
            there = ", ".join(f"`{name}`" for name in known) or "none"
            raise ValueError(f"config key `{key}`: unknown; there are: {there}")
        kind = get_origin(hints[key]) or hints[key]
        expected = KINDS.get(kind)
        if expected and not (isinstance(value, kind) or kind is float and isinstance(value, int)):
            raise ValueError(f"config key `{key}`: expected {expected}")
        if expected and kind is not bool and isinstance(value, bool):
            raise ValueError(f"config key `{key}`: expected {expected}")
    for key, each in known.items():
        if key not in table and each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"config key `{key}`: missing")
    return Config(**table) if known else None


KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list", dict: "a table"}


def message(m: types.Message) -> Message:
    if m.extra is None:
        return Message(m.session, m.topic, m.qos, m.retain, m.payload_len)
    extra = m.extra
    return Message(
        m.session, m.topic, m.qos, m.retain, m.payload_len, extra.payload, extra.client_id, extra.username, extra.properties
    )


def wrong(hook: str, answer: Any) -> TypeError:
    return TypeError(f"{hook} cannot be answered by {answer!r}")


def patch(edit: Edit) -> types.Patch:
    payload = edit.payload.encode() if isinstance(edit.payload, str) else edit.payload
    return types.Patch(edit.topic, payload, edit.qos, edit.retain, edit.properties)


def verdict(answer: Any) -> types.PublishVerdict:
    match answer:
        case Next():
            return types.PublishVerdict_Next()
        case Accept():
            return types.PublishVerdict_Accept()
        case Edit():
            return types.PublishVerdict_Edit(patch(answer))
        case Refuse():
            return types.PublishVerdict_Refuse(int(answer.code))
        case Swallow():
            return types.PublishVerdict_Swallow()
    raise wrong("publish", answer)


def outcome(answer: Any) -> types.AuthOutcome:
    match answer:
        case Next():
            return types.AuthOutcome_Next()
        case Grant():
            rules = [types.Rule(rule.allow, rule.action, rule.filter, rule.max_qos) for rule in answer.rules]
            attributes = list(answer.attributes.items())
            terms = (answer.client_id, answer.username, rules, answer.expires_ms, attributes, answer.data, answer.quotas)
            return types.AuthOutcome_Grant(types.Grant(*terms))
        case Refuse():
            return types.AuthOutcome_Refuse(types.Refusal(int(answer.code), answer.text))
        case Challenge():
            return types.AuthOutcome_Challenge(types.Challenge(answer.data, answer.state))
    raise wrong("auth", answer)


def auth(_) -> type:
    class Auth:
        def authenticate(self, client):
            return outcome(plugin.authenticate(client))

    return Auth


def enhanced_auth(_) -> type:
    class EnhancedAuth:
        def proceed(self, client, state, data, again):
            return outcome(plugin.proceed(client, AuthStep(state, data, again)))

    return EnhancedAuth


def acl(made) -> type:
    class Acl:
        def check(self, request):
            match plugin.check(request):
                case Next():
                    return made.Decision_Next()
                case Allow(filter, ttl_ms):
                    return made.Decision_Allow(made.Span(filter, ttl_ms))
                case Deny(filter, ttl_ms):
                    return made.Decision_Deny(made.Span(filter, ttl_ms))
                case answer:
                    raise wrong("acl", answer)

    return Acl


def publish(_) -> type:
    class Publish:
        def on_publish(self, m):
            return verdict(plugin.on_publish(message(m)))

    return Publish


def publish_batch(_) -> type:
    class PublishBatch:
        def on_publish(self, ms):
            return [verdict(answer) for answer in plugin.on_publish_batch([message(m) for m in ms])]

    return PublishBatch


def subscribe(made) -> type:
    def lowered(answer):
        match answer:
            case Next():
                return made.Verdict_Next()
            case Accept():
                return made.Verdict_Accept()
            case Change(filter, qos):
                return made.Verdict_Edit(made.Change(filter, qos))
            case Refuse(code):
                return made.Verdict_Refuse(int(code))
        raise wrong("subscribe", answer)

    class Subscribe:
        def on_subscribe(self, requests):
            return [lowered(plugin.on_subscribe(request)) for request in requests]

    return Subscribe


def subscribers(made) -> type:
    class Subscribers:
        def select(self, m, candidates):
            match plugin.select(message(m), candidates):
                case Everybody(cache_ms):
                    return made.Answer(made.Choice_All(), cache_ms)
                case Only(indexes, cache_ms):
                    return made.Answer(made.Choice_Only(indexes), cache_ms)
                case Except(indexes, cache_ms):
                    return made.Answer(made.Choice_Except(indexes), cache_ms)
                case answer:
                    raise wrong("subscribers", answer)

        def pick(self, m, group, members):
            return plugin.pick(message(m), group, members) if hasattr(plugin, "pick") else None

    return Subscribers


def deliver(made) -> type:
    class Deliver:
        def on_deliver(self, m, session, client_id):
            match plugin.on_deliver(message(m), Recipient(session, client_id)):
                case Next():
                    return made.Verdict_Next()
                case Edit() as edit:
                    return made.Verdict_Edit(patch(edit))
                case Drop():
                    return made.Verdict_Drop()
                case answer:
                    raise wrong("deliver", answer)

    return Deliver


def events(_) -> type:
    class Events:
        def on_events(self, batch, lost):
            plugin.on_events(batch, lost)

    return Events


def timer_handler(_) -> type:
    class TimerHandler:
        def on_timer(self, token):
            plugin.on_timer(token)

    return TimerHandler


def storage(_) -> type:
    class Storage:
        def __getattr__(self, name):
            return getattr(plugin, name)

    return Storage


HOOKS = {
    "auth": auth,
    "enhanced-auth": enhanced_auth,
    "acl": acl,
    "publish": publish,
    "publish-batch": publish_batch,
    "subscribe": subscribe,
    "subscribers": subscribers,
    "deliver": deliver,
    "events": events,
    "timer-handler": timer_handler,
    "storage": storage,
}
