// {{name}}: guests get nothing of what is internal, whatever they subscribe to.

import { type Drop, drop, type Message, type Next, next, type Recipient, type Scope } from "./tidegate/tidegate.ts";

export default class Internal {
  /** `[plugin.{{name}}.config]` in the broker's config, with defaults. `guests`: how their client ids begin. */
  static config = { topics: ["internal/#"], guests: "guest-" };

  constructor(readonly config: typeof Internal.config) {}

  /** Asked once a recipient: topics must be named. */
  scopes(): Scope[] {
    return [{ hook: "deliver", filters: this.config.topics }];
  }

  onDeliver(_: Message, { clientId }: Recipient): Next | Drop {
    return clientId.startsWith(this.config.guests) ? drop : next;
  }
}
