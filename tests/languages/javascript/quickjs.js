// As `../README.md` says, by what QuickJS has: no console, no TextEncoder, no crypto.

import config from "tidegate:plugin/config@0.1.0";
import logging from "tidegate:plugin/logging@0.1.0";

export const lifecycle = {
  init() {
    const wants = config.get("payload") === "false" ? [] : ["payload"];
    return [{ hook: "publish", filters: [], wants }];
  },
  drain() {
    return null;
  },
};

export const publish = {
  onPublish({ topic, extra }) {
    if (topic.startsWith("copy/")) return edit(extra.payload);
    if (topic.startsWith("std/")) return edit(bytes(JSON.stringify(std())));
    return { tag: "accept" };
  },
};

function edit(payload) {
  return { tag: "edit", val: { topic: null, payload, qos: null, retain: null, properties: null } };
}

function std() {
  logging.log("info", "hello from QuickJS", []);
  return { millis: Date.now(), random: [Math.random(), Math.random()] };
}

function bytes(ascii) {
  return Uint8Array.from(ascii, (c) => c.charCodeAt(0));
}
