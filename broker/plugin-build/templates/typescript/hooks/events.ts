// {{name}}: says in the log who comes and goes.

import { type Event, log, type Scope } from "./tidegate/tidegate.ts";

export default class Comings {
  scopes(): Scope[] {
    return [{ hook: "events", wants: ["connected", "disconnected"] }];
  }

  onEvents(events: Event[]): void {
    for (const { kind, clientId } of events) log("info", "client", { client: clientId, event: kind });
  }
}
