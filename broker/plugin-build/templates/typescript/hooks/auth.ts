// {{name}}: clients with a password come in, and have topics of their own.
//
// The passwords are the plugin's secrets, by user name: `secrets.alice = "env:ALICE"` below `[plugin.{{name}}]` in the broker's config.

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

export default class Passwords {
  authenticate(client: Connect): Next | Grant | Refuse {
    const { username, password, peer } = client;
    // Whoever has no name is for others to decide about.
    if (typeof username !== "string") return next;
    const expected = secret(username);
    const isRight = typeof expected === "string" && password instanceof Uint8Array && same(bytes(expected), password);
    if (!isRight) {
      log("info", "wrong user name or password", { username, peer });
      return refuse(ReasonCode.BadUserNameOrPassword);
    }
    return grant({
      rules: [
        { action: "publish", filter: "devices/%u/#" },
        { action: "subscribe", filter: "devices/%u/#" },
        { action: "subscribe", filter: "news/#" },
      ],
    });
  }
}

/** Takes as long whatever differs, so that nobody can find a password out letter by letter. */
function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  return a.reduce((differences, byte, at) => differences | (byte ^ b[at]!), 0) === 0;
}
