// {{name}}: guests get nothing of what is internal, whatever they subscribe to.

import { drop, next } from "./tidegate/tidegate.ts";

export default class Internal {
  /** `[plugin.{{name}}.config]` in the broker's config, with defaults. `guests`: how their client ids begin. */
  static config = { topics: ["internal/#"], guests: "guest-" };

  /** @param {typeof Internal.config} config */
  constructor(config) {
    this.config = config;
  }

  /** Asked once a recipient: topics must be named. @returns {import("./tidegate/tidegate.ts").Scope[]} */
  scopes() {
    return [{ hook: "deliver", filters: this.config.topics }];
  }

  /** @param {import("./tidegate/tidegate.ts").Message} _ @param {import("./tidegate/tidegate.ts").Recipient} recipient */
  onDeliver(_, { clientId }) {
    return clientId.startsWith(this.config.guests) ? drop : next;
  }
}
