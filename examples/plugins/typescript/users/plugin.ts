// users: who comes in, and what may they do, from a file of JSON.
//
// A plugin reads no files: `secrets.users = "file:users.json"` below `[plugin.users]` in the broker's config hands it over.
// `tidegate plugin reload users` does so again.

import {
  bytes,
  type Connect,
  type Grant,
  grant,
  log,
  type Next,
  next,
  ReasonCode,
  type Refuse,
  refuse,
  secret,
} from "./tidegate/tidegate.ts";

/** `token`: its password, long and random, so that nobody guesses it. */
interface User {
  token: string;
  publish?: string[];
  subscribe?: string[];
}

export default class Users {
  /** By user name. */
  readonly users: Map<string, User>;

  constructor() {
    const users = secret("users");
    if (typeof users !== "string") throw new Error('secret `users`: grant it by `secrets.users = "file:users.json"`');
    this.users = new Map(Object.entries(JSON.parse(users)).map(([name, user]) => [name, checked(name, user)]));
  }

  authenticate({ username, password, peer }: Connect): Next | Grant | Refuse {
    // Whoever has no name is for others to decide about.
    if (typeof username !== "string") return next;
    const user = this.users.get(username);
    if (user === undefined || !(password instanceof Uint8Array) || !same(bytes(user.token), password)) {
      log("info", "wrong user name or token", { username, peer });
      return refuse(ReasonCode.BadUserNameOrPassword);
    }
    const publish = (user.publish ?? []).map((filter) => ({ action: "publish" as const, filter }));
    const subscribe = (user.subscribe ?? []).map((filter) => ({ action: "subscribe" as const, filter }));
    return grant({ rules: [...publish, ...subscribe] });
  }
}

function checked(name: string, user: unknown): User {
  const wrong = (what: string) => new Error(`secret \`users\`: ${name}: ${what}`);
  if (typeof user !== "object" || user === null) throw wrong("expected an object");
  const { token, publish = [], subscribe = [], ...others } = user as Record<string, unknown>;
  for (const key of Object.keys(others)) throw wrong(`unknown key \`${key}\``);
  if (typeof token !== "string" || token === "") throw wrong("it needs a `token`");
  return { token, publish: texts(publish), subscribe: texts(subscribe) };

  function texts(list: unknown): string[] {
    const good = Array.isArray(list) && list.every((item) => typeof item === "string");
    if (!good) throw wrong("`publish` and `subscribe` are lists of topic filters");
    return list;
  }
}

/** Takes as long whatever differs, so that nobody can find a token out letter by letter. */
function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  return a.reduce((differences, byte, at) => differences | (byte ^ b[at]!), 0) === 0;
}
