// regions: what is about a region, `weather/REGION/…`, goes to those who are there: whose client ids begin with `REGION-` or `all-`.

import { all, type Candidate, type Message, only, type Scope, type Selection } from "./tidegate/tidegate.ts";

/** For how long the broker may remember an answer; it asks again when subscriptions have changed. */
const MINUTE = 60_000;

export default class Regions {
  /** `[plugin.regions.config]` in the broker's config, with defaults. `everywhere`: a region. */
  static config = { topics: ["weather/#"], everywhere: "all" };

  constructor(readonly config: typeof Regions.config) {}

  scopes(): Scope[] {
    return [{ hook: "subscribers", filters: this.config.topics }];
  }

  select({ topic }: Message, candidates: Candidate[]): Selection {
    const region = topic.split("/")[1];
    return region === undefined ? all(MINUTE) : only(this.whoIsIn(region, candidates), MINUTE);
  }

  pick({ topic }: Message, _group: string, members: Candidate[]): number | undefined {
    const region = topic.split("/")[1];
    return region === undefined ? undefined : this.whoIsIn(region, members)[0];
  }

  private whoIsIn(region: string, candidates: Candidate[]): number[] {
    const isIn = ({ clientId }: Candidate) => [region, this.config.everywhere].some((theirs) => clientId.startsWith(`${theirs}-`));
    return [...candidates.keys()].filter((index) => isIn(candidates[index]!));
  }
}
