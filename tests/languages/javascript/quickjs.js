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
    if (topic.startsWith("json/")) return edit(bytes(withFahrenheit(text(extra.payload))));
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

function withFahrenheit(text) {
  const object = JSON.parse(text);
  object.fahrenheit = object.celsius * 1.8 + 32;
  return JSON.stringify(object);
}

// A character for each byte: what is not ASCII stays what it is, and is back when it becomes bytes again.
function text(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + 4096));
  }
  return text;
}

function bytes(text) {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}
