// {{name}}: below `devices/` each client has a topic of its own, `devices/CLIENT-ID/…`.

import { type AclRequest, type Allow, allow, type Deny, deny, type Scope } from "./tidegate/tidegate.ts";

export default class OwnTopics {
  /** `[plugin.{{name}}.config]` in the broker's config, with defaults: for how long the broker may remember what a client may do. */
  static config = { ttl_seconds: 60 };

  constructor(readonly config: typeof OwnTopics.config) {
    if (!(config.ttl_seconds >= 0 && config.ttl_seconds <= 4294967)) throw new Error("config key `ttl_seconds`: expected 0 to 4294967");
  }

  /** Other topics are for others to decide about. */
  scopes(): Scope[] {
    return [{ hook: "acl", filters: ["devices/#"] }];
  }

  check({ clientId, topic }: AclRequest): Allow | Deny {
    const own = `devices/${clientId}/`;
    // A client id may hold anything, but reaches no further than its level.
    const isLevel = clientId !== "" && !/[/+#]/.test(clientId);
    return isLevel && topic.startsWith(own) ? allow(`${own}#`, Math.round(this.config.ttl_seconds * 1000)) : deny(topic);
  }
}
