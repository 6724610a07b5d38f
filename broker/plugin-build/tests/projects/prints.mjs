// What a plugin in C prints leaves it line by line: node prints.mjs MODULE. No broker is there: whatever it is asked, it has nothing.

import assert from "node:assert";
import { readFile } from "node:fs/promises";

let memory;
const written = [];
const answers = {
  // The address of a text.
  document: (to) => new Uint8Array(memory.buffer, to, 8).fill(0),
  // The file, the pieces, and where to put how much of them was written.
  fd_write(file, pieces, count, to) {
    const view = new DataView(memory.buffer);
    let length = 0;
    for (let piece = pieces; piece < pieces + count * 8; piece += 8) {
      const bytes = new Uint8Array(memory.buffer, view.getUint32(piece, true), view.getUint32(piece + 4, true));
      written.push(...bytes);
      length += bytes.length;
    }
    assert.strictEqual(file, 1);
    view.setUint32(to, length, true);
    return 0;
  },
};
const module = await WebAssembly.compile(await readFile(process.argv[2]));
const imports = {};
for (const { module: from, name } of WebAssembly.Module.imports(module)) (imports[from] ??= {})[name] = answers[name] ?? (() => 0);
const { exports } = await WebAssembly.instantiate(module, imports);
memory = exports.memory;
exports._initialize();
exports["tidegate:plugin/lifecycle@0.1.0#init"](0, 0, 1n, 0, 0, 0, 0, 0);
// No event, but some that were lost. The first line comes at once anyway: only then does the C library ask whether it prints to a terminal.
for (const lost of [7n, 8n]) exports["tidegate:plugin/events@0.1.0#on-events"](0, 0, lost);
assert.strictEqual(new TextDecoder().decode(Uint8Array.from(written)), "7 events were lost\n8 events were lost\n");
console.log("good");
