// Text and bytes, and what else QuickJS lacks of what every other engine has: TextEncoder, TextDecoder and console.

import { log } from "tidegate:plugin/logging@0.1.0";

/** The bytes of a text in UTF-8. Half a surrogate pair becomes U+FFFD. */
export function bytes(text: string): Uint8Array {
  // Three bytes a unit are enough for all.
  const bytes = new Uint8Array(text.length * 3);
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    let code = text.charCodeAt(at);
    if (code < 0x80) {
      bytes[length++] = code;
      continue;
    }
    if (code >= 0xd800 && code < 0xe000) {
      const low = text.charCodeAt(at + 1);
      const isPair = code < 0xdc00 && low >= 0xdc00 && low < 0xe000;
      code = isPair ? 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00) : 0xfffd;
      if (isPair) at++;
    }
    if (code < 0x800) {
      bytes[length++] = 0xc0 | (code >> 6);
    } else {
      if (code < 0x10000) {
        bytes[length++] = 0xe0 | (code >> 12);
      } else {
        bytes[length++] = 0xf0 | (code >> 18);
        bytes[length++] = 0x80 | ((code >> 12) & 63);
      }
      bytes[length++] = 0x80 | ((code >> 6) & 63);
    }
    bytes[length++] = 0x80 | (code & 63);
  }
  return bytes.slice(0, length);
}

/** The text of bytes in UTF-8. What is none becomes U+FFFD, or an error if `fatal`. */
export function text(bytes: Uint8Array, fatal = false): string {
  let text = "";
  let at = 0;
  while (at < bytes.length) {
    let end = at;
    while (end < bytes.length && end - at < 4096 && bytes[end]! < 0x80) end++;
    if (end > at) {
      text += String.fromCharCode.apply(null, bytes.subarray(at, end) as unknown as number[]);
      at = end;
      continue;
    }
    const [code, length] = character(bytes, at);
    if (code < 0 && fatal) throw new TypeError("not UTF-8");
    text += String.fromCodePoint(code < 0 ? 0xfffd : code);
    at += length;
  }
  return text;
}

/** A character of several bytes, or -1, and how many bytes are done with. */
function character(bytes: Uint8Array, at: number): [number, number] {
  const first = bytes[at]!;
  const length = first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  if (length === 0) return [-1, 1];
  let code = first & (0x7f >> length);
  for (let next = 1; next < length; next++) {
    const byte = bytes[at + next];
    // What is too long for its character, no character, or cut off ends here [Unicode, table 3-7].
    const least = next > 1 ? 0x80 : first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    const most = next > 1 ? 0xbf : first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    if (byte === undefined || byte < least || byte > most) return [-1, next];
    code = (code << 6) | (byte & 63);
  }
  return [code, length];
}

const engine = globalThis as any;

engine.TextEncoder ??= class TextEncoder {
  readonly encoding = "utf-8";
  encode(input = ""): Uint8Array {
    return bytes(String(input));
  }
};

engine.TextDecoder ??= class TextDecoder {
  readonly encoding = "utf-8";
  readonly fatal: boolean;
  constructor(label = "utf-8", options: { fatal?: boolean } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`TextDecoder: ${label} is not known here`);
    this.fatal = options.fatal ?? false;
  }
  decode(input: ArrayBuffer | ArrayBufferView = new Uint8Array()): string {
    const view = ArrayBuffer.isView(input)
      ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
      : new Uint8Array(input);
    // A mark of the byte order is no character.
    const marked = view[0] === 0xef && view[1] === 0xbb && view[2] === 0xbf;
    return text(marked ? view.subarray(3) : view, this.fatal);
  }
};

engine.console ??= {
  debug: (...values: unknown[]) => log("debug", line(values), []),
  log: (...values: unknown[]) => log("info", line(values), []),
  info: (...values: unknown[]) => log("info", line(values), []),
  warn: (...values: unknown[]) => log("warn", line(values), []),
  error: (...values: unknown[]) => log("error", line(values), []),
};

function line(values: unknown[]): string {
  const shown = (value: unknown) => {
    if (typeof value === "string") return value;
    return value instanceof Error ? `${value}` : (JSON.stringify(value) ?? `${value}`);
  };
  return values.map(shown).join(" ");
}
