// {{name}}: temperatures in Celsius become JSON with both scales.

import { edit, type Message, next, ReasonCode, refuse, type Scope, type Verdict } from "./tidegate/tidegate.ts";

export default class Temperatures {
  /** `[plugin.{{name}}.config]` in the broker's config, with defaults. */
  static config = { decimals: 1 };

  constructor(readonly config: typeof Temperatures.config) {}

  /** Other topics cost nothing. */
  scopes(): Scope[] {
    return [{ hook: "publish", filters: ["sensors/#"], wants: ["payload"] }];
  }

  onPublish(message: Message): Verdict {
    // It removes a retained message.
    if (message.payload.length === 0) return next;
    const text = message.text().trim();
    const celsius = text === "" ? NaN : Number(text);
    const fahrenheit = celsius * 1.8 + 32;
    // So many degrees that there is no number for them in the other scale.
    if (!Number.isFinite(fahrenheit)) return refuse(ReasonCode.PayloadFormatInvalid);
    const rounded = (value: number) => Number(value.toFixed(this.config.decimals));
    const both = { celsius: rounded(celsius), fahrenheit: rounded(fahrenheit) };
    return edit({ payload: JSON.stringify(both) });
  }
}
