// `text.ts` of the SDK beside what Node has.

import assert from "node:assert";
import { bytes, text } from "./text.mjs";

let state = 1;
const random = (below) => {
  state = (state * 48271) % 2147483647;
  return state % below;
};

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const fatal = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
// Around each border of UTF-16 and UTF-8.
const units = [0, 0x41, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000, 0xfffd, 0xffff];
const firsts = [0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];

const count = 20000;
for (let round = 0; round < count; round++) {
  const unit = () => String.fromCharCode(units[random(units.length)]);
  const said = Array.from({ length: random(12) }, unit).join("");
  assert.deepStrictEqual(bytes(said), encoder.encode(said));
  assert.strictEqual(text(bytes(said)), decoder.decode(encoder.encode(said)));
  const sent = Uint8Array.from({ length: random(12) }, () => firsts[random(firsts.length)]);
  assert.strictEqual(text(sent), decoder.decode(sent), sent.join());
  const strictly = (read) => {
    try {
      return read();
    } catch (error) {
      return error.constructor;
    }
  };
  assert.strictEqual(strictly(() => text(sent, true)), strictly(() => fatal.decode(sent)), sent.join());
}
console.log(`${count} texts, ${count} bytes`);
