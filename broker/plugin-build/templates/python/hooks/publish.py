"""{{name}}: temperatures in Celsius become JSON with both scales."""

import json
import math
from dataclasses import dataclass

from tidegate import Edit, Message, Next, Plugin, ReasonCode, Refuse, Scope


@dataclass
class Config:
    """`[plugin.{{name}}.config]` in the broker's config."""

    decimals: int = 1


class Temperatures(Plugin):
    Config = Config
    config: Config

    def scopes(self) -> list[Scope]:
        # Other topics cost nothing.
        return [Scope("publish", ["sensors/#"], wants=["payload"])]

    def on_publish(self, message: Message) -> Next | Edit | Refuse:
        if not message.payload:
            # It removes a retained message.
            return Next()
        try:
            celsius = float(message.payload)
        except ValueError:
            celsius = math.nan
        fahrenheit = celsius * 1.8 + 32
        # So many degrees that there is no number for them in the other scale.
        if not math.isfinite(fahrenheit):
            return Refuse(ReasonCode.PAYLOAD_FORMAT_INVALID)
        decimals = self.config.decimals
        both = {"celsius": round(celsius, decimals), "fahrenheit": round(fahrenheit, decimals)}
        return Edit(payload=json.dumps(both))
