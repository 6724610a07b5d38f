// {{name}}: temperatures in Celsius become JSON with both scales.

import { edit, next, ReasonCode, refuse } from "./tidegate/tidegate.ts";

export default class Temperatures {
  /** `[plugin.{{name}}.config]` in the broker's config, with defaults. */
  static config = { decimals: 1 };

  /** @param {typeof Temperatures.config} config */
  constructor(config) {
    this.config = config;
  }

  /** Other topics cost nothing. @returns {import("./tidegate/tidegate.ts").Scope[]} */
  scopes() {
    return [{ hook: "publish", filters: ["sensors/#"], wants: ["payload"] }];
  }

  /** @param {import("./tidegate/tidegate.ts").Message} message */
  onPublish(message) {
    // It removes a retained message.
    if (message.payload.length === 0) return next;
    const text = message.text().trim();
    const celsius = text === "" ? NaN : Number(text);
    const fahrenheit = celsius * 1.8 + 32;
    // So many degrees that there is no number for them in the other scale.
    if (!Number.isFinite(fahrenheit)) return refuse(ReasonCode.PayloadFormatInvalid);
    const rounded = (/** @type {number} */ value) => Number(value.toFixed(this.config.decimals));
    const both = { celsius: rounded(celsius), fahrenheit: rounded(fahrenheit) };
    return edit({ payload: JSON.stringify(both) });
  }
}
