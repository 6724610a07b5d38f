// {{name}}: an alarm goes to the first on the list who is there, and to nobody else.

import { all, type Candidate, type Message, only, type Scope, type Selection } from "./tidegate/tidegate.ts";

export default class OnCall {
  /** `[plugin.{{name}}.config]` in the broker's config, with defaults. `order`: client ids. */
  static config = { topics: ["alarms/#"], order: [] as string[] };

  constructor(readonly config: typeof OnCall.config) {}

  /** Other topics cost nothing. */
  scopes(): Scope[] {
    return [{ hook: "subscribers", filters: this.config.topics }];
  }

  select(_: Message, candidates: Candidate[]): Selection {
    const first = this.first(candidates);
    // If nobody on the list is there, everybody gets it: no alarm is lost.
    return first === undefined ? all() : only([first]);
  }

  pick(_: Message, _group: string, members: Candidate[]): number | undefined {
    return this.first(members);
  }

  private first(there: Candidate[]): number | undefined {
    const places = this.config.order.map((id) => there.findIndex(({ clientId }) => clientId === id));
    return places.find((place) => place >= 0);
  }
}
