"""As `../README.md` says, by Python's standard library."""

import hashlib
import json
import secrets
import time

from wit_world import exports
from wit_world.exports.lifecycle import Scope, Start
from wit_world.imports import config
from wit_world.imports.types import Message, Patch, PublishVerdict_Accept, PublishVerdict_Edit


class Lifecycle(exports.Lifecycle):
    def init(self, s: Start) -> list[Scope]:
        wants = [] if config.get("payload") == "false" else ["payload"]
        return [Scope("publish", [], wants)]

    def drain(self) -> bytes | None:
        return None


class Publish(exports.Publish):
    def on_publish(self, m: Message):
        payload = m.extra.payload if m.extra else b""
        if m.topic.startswith("copy/"):
            return edit(payload)
        if m.topic.startswith("std/"):
            return edit(json.dumps(std(payload)).encode())
        return PublishVerdict_Accept()


def edit(payload: bytes):
    return PublishVerdict_Edit(Patch(None, payload, None, None, None))


def std(payload: bytes) -> dict:
    print("hello from Python")
    return {
        "millis": int(time.time() * 1000),
        "random": [secrets.token_hex(8), secrets.token_hex(8)],
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
