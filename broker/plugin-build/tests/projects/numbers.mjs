// `tidegate.ts` of the SDK: what it makes of answers, and of numbers that their types do not have.

import assert from "node:assert";
import { all, allow, challenge, change, component, deny, edit, except, grant, only, refuse, s64, u64 } from "./tidegate.mjs";

let answer;
const told = () => answer;
class Plugin {}
const methods = { authenticate: told, check: told, onPublish: told, onSubscribe: told, select: told, pick: told };
Object.assign(Plugin.prototype, methods);

const { lifecycle, auth, acl, publish, subscribe, subscribers } = component(Plugin, ["auth", "acl", "publish", "subscribe", "subscribers"]);
const message = { session: 1, topic: "a", qos: 0, retain: false, payloadLen: 0 };
const asked = {
  grant: () => auth.authenticate({}),
  decision: () => acl.check({}),
  verdict: () => publish.onPublish(message),
  change: () => subscribe.onSubscribe([{}])[0],
  selection: () => subscribers.select(message, []),
  pick: () => subscribers.pick(message, "g", []),
};
const answered = (hook, it) => {
  answer = it;
  return asked[hook]();
};

let count = 0;
for (const generation of [1, 1n]) {
  lifecycle.init({ generation });
  const big = (number) => (typeof generation === "bigint" ? BigInt(number) : number);
  assert.strictEqual(u64(7), big(7));
  assert.strictEqual(u64(7n), big(7));
  assert.strictEqual(s64(-7), big(-7));
  for (const [hook, made, most] of [
    ["decision", (number) => allow("a/#", number), 2 ** 32],
    ["decision", (number) => deny("a/#", number), 2 ** 32],
    ["selection", (number) => all(number), 2 ** 32],
    ["selection", (number) => only([0], number), 2 ** 32],
    ["selection", (number) => except([0], number), 2 ** 32],
    ["selection", (number) => only([0, number]), 2 ** 32],
    ["selection", (number) => except([number]), 2 ** 32],
    ["pick", (number) => number, 2 ** 32],
    ["grant", (number) => grant({ expiresMs: number }), 2 ** 64],
    ["grant", (number) => grant({ rules: [{ action: "publish", filter: "a", maxQos: number }] }), 2 ** 8],
    ["grant", (number) => grant({ quotas: { bytesPerSecond: number } }), 2 ** 32],
    ["grant", (number) => grant({ quotas: { inflight: number } }), 2 ** 16],
    ["grant", (number) => refuse(number), 2 ** 8],
    ["verdict", (number) => refuse(number), 2 ** 8],
    ["verdict", (number) => edit({ qos: number }), 2 ** 8],
    ["change", (number) => refuse(number), 2 ** 8],
    ["change", (number) => change({ qos: number }), 2 ** 8],
  ]) {
    for (const number of [-1, 0.5, NaN, Infinity, -Infinity, most, "1"]) {
      assert.throws(() => answered(hook, made(number)), RangeError, `${hook} ${number}`);
      count++;
    }
    for (const number of [0, 1, most > 2 ** 53 ? 2 ** 53 : most - 1]) assert.doesNotThrow(() => answered(hook, made(number)));
  }
  for (const number of [-1, -1n, 0.5, 2 ** 64, 2n ** 64n]) assert.throws(() => u64(number), RangeError);
  for (const number of [0.5, 2 ** 63, -(2n ** 63n) - 1n]) assert.throws(() => s64(number), RangeError);

  // What is no answer is no "next".
  for (const hook of ["grant", "decision", "verdict", "change", "selection"]) {
    for (const it of [undefined, {}, { tag: "nxt" }, true]) assert.throws(() => answered(hook, it), TypeError, `${hook} ${it}`);
  }
  assert.throws(() => answered("grant", allow("a")), TypeError);
  assert.throws(() => answered("decision", grant()), TypeError);
  for (const hook of ["grant", "decision", "verdict", "change"]) assert.deepStrictEqual(answered(hook, { tag: "next" }), { tag: "next" });
  assert.deepStrictEqual(answered("decision", allow("a/#", 5)), { tag: "allow", val: { filter: "a/#", ttlMs: 5 } });
  assert.deepStrictEqual(answered("selection", except([2], 5)), { choice: { tag: "except", val: [2] }, cacheMs: 5 });
  assert.deepStrictEqual(answered("grant", challenge("x")).tag, "challenge");
  assert.strictEqual(answered("pick", undefined), undefined);
}
console.log(`${count} numbers`);
