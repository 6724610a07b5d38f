// {{name}}: whoever subscribes to `inbox` gets an inbox of its own, `inbox/CLIENT-ID`.

import {
  type Change,
  change,
  type Next,
  next,
  ReasonCode,
  type Refuse,
  refuse,
  type Scope,
  type SubscribeRequest,
} from "./tidegate/tidegate.ts";

export default class Inboxes {
  /** Other filters cost nothing. */
  scopes(): Scope[] {
    return [{ hook: "subscribe", filters: ["inbox"] }];
  }

  onSubscribe({ clientId, filter }: SubscribeRequest): Next | Change | Refuse {
    // Such as `#`, which has `inbox` in it.
    if (filter !== "inbox") return next;
    // A client id may hold anything, but reaches no further than its level.
    if (clientId === "" || /[/+#]/.test(clientId)) return refuse(ReasonCode.NotAuthorized);
    return change({ filter: `inbox/${clientId}` });
  }
}
