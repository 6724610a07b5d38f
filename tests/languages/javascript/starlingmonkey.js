// As `../README.md` says, by what StarlingMonkey has. `fetch` needs the grant `http`.

import { get } from "tidegate:plugin/config@0.1.0";

export const lifecycle = {
  init() {
    const wants = get("payload") === "false" ? [] : ["payload"];
    return [{ hook: "publish", filters: [], wants }];
  },
  drain() {},
};

export const publish = {
  async onPublish({ topic, extra }) {
    if (topic.startsWith("copy/")) return edit(extra.payload);
    if (topic.startsWith("std/")) return edit(json(await std(extra.payload)));
    if (topic.startsWith("fetch/")) return edit(json(await fetched(extra.payload)));
    return { tag: "accept" };
  },
};

function edit(payload) {
  return { tag: "edit", val: { payload } };
}

function json(value) {
  return new TextEncoder().encode(JSON.stringify(value));
}

async function std(payload) {
  console.log("hello from StarlingMonkey");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", payload));
  return { millis: Date.now(), random: [crypto.randomUUID(), crypto.randomUUID()], sha256: hex(digest) };
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The payload is a URL. */
async function fetched(payload) {
  try {
    const response = await fetch(new TextDecoder().decode(payload));
    return { status: response.status, body: await response.text() };
  } catch (error) {
    return { error: String(error) };
  }
}
