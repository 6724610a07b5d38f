// {{name}}: an alarm goes to the first on the list who is there, and to nobody else.

import { all, only } from "./tidegate/tidegate.ts";

/**
 * @typedef {import("./tidegate/tidegate.ts").Candidate} Candidate
 * @typedef {import("./tidegate/tidegate.ts").Message} Message
 */

export default class OnCall {
  /** `[plugin.{{name}}.config]` in the broker's config, with defaults. `order`: client ids. */
  static config = { topics: ["alarms/#"], order: /** @type {string[]} */ ([]) };

  /** @param {typeof OnCall.config} config */
  constructor(config) {
    this.config = config;
  }

  /** Other topics cost nothing. @returns {import("./tidegate/tidegate.ts").Scope[]} */
  scopes() {
    return [{ hook: "subscribers", filters: this.config.topics }];
  }

  /** @param {Message} _ @param {Candidate[]} candidates */
  select(_, candidates) {
    const first = this.first(candidates);
    // If nobody on the list is there, everybody gets it: no alarm is lost.
    return first === undefined ? all() : only([first]);
  }

  /** @param {Message} _ @param {string} group @param {Candidate[]} members */
  pick(_, group, members) {
    return this.first(members);
  }

  /** @param {Candidate[]} there */
  first(there) {
    const places = this.config.order.map((id) => there.findIndex(({ clientId }) => clientId === id));
    return places.find((place) => place >= 0);
  }
}
