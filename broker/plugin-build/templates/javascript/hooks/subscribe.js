// {{name}}: whoever subscribes to `inbox` gets an inbox of its own, `inbox/CLIENT-ID`.

import { change, next, ReasonCode, refuse } from "./tidegate/tidegate.ts";

export default class Inboxes {
  /** Other filters cost nothing. @returns {import("./tidegate/tidegate.ts").Scope[]} */
  scopes() {
    return [{ hook: "subscribe", filters: ["inbox"] }];
  }

  /** @param {import("./tidegate/tidegate.ts").SubscribeRequest} request */
  onSubscribe({ clientId, filter }) {
    // Such as `#`, which has `inbox` in it.
    if (filter !== "inbox") return next;
    // A client id may hold anything, but reaches no further than its level.
    if (clientId === "" || /[/+#]/.test(clientId)) return refuse(ReasonCode.NotAuthorized);
    return change({ filter: `inbox/${clientId}` });
  }
}
