"""frames: what sensors send in six bytes becomes JSON, under another topic."""

import json
import struct

from tidegate import Edit, Message, Next, Plugin, ReasonCode, Refuse, Scope, Start

# 01, battery in percent, centidegrees, permille of humidity.
FRAME = struct.Struct(">BBhH")


class Frames(Plugin):
    """`[plugin.frames.config]` in the broker's config: topics below `from` have frames, what is in them goes below `to`."""

    # Any table: `from` can be no field of a dataclass.
    Config = dict

    def __init__(self, config: dict[str, str], start: Start):
        super().__init__(config, start)
        unknown = config.keys() - {"from", "to"}
        if unknown:
            raise ValueError(f"config key `{min(unknown)}`: unknown; there are: `from`, `to`")
        self.origin, self.to = config.get("from", "raw"), config.get("to", "sensors")
        if "+" in self.origin or "#" in self.origin:
            raise ValueError("config key `from`: expected a topic, without + and #")

    def scopes(self) -> list[Scope]:
        return [Scope("publish", [f"{self.origin}/#"], wants=["payload"])]

    def on_publish(self, message: Message) -> Next | Edit | Refuse:
        if not message.payload:
            # It removes a retained message.
            return Next()
        told = self.told(message.payload)
        if told is None:
            return Refuse(ReasonCode.PAYLOAD_FORMAT_INVALID)
        return Edit(topic=self.to + message.topic.removeprefix(self.origin), payload=json.dumps(told))

    @staticmethod
    def told(frame: bytes) -> dict | None:
        if len(frame) != FRAME.size:
            return None
        kind, battery, centidegrees, humidity = FRAME.unpack(frame)
        if kind != 1 or battery > 100 or humidity > 1000:
            return None
        return {"battery": battery, "celsius": centidegrees / 100, "humidity": humidity / 10}
