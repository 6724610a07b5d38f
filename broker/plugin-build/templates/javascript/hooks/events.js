// {{name}}: says in the log who comes and goes.

import { log } from "./tidegate/tidegate.ts";

export default class Comings {
  /** @returns {import("./tidegate/tidegate.ts").Scope[]} */
  scopes() {
    return [{ hook: "events", wants: ["connected", "disconnected"] }];
  }

  /** @param {import("./tidegate/tidegate.ts").Event[]} events */
  onEvents(events) {
    for (const { kind, clientId } of events) log("info", "client", { client: clientId, event: kind });
  }
}
