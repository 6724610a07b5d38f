// Plugins for the Tidegate MQTT broker in JavaScript and TypeScript.
//
// A plugin is a class, exported by `export default`, with a method for each hook that `tidegate-plugin.toml` names: see `Plugin`. One object
// answers one call at a time, and the broker runs several: what they must share is in `tidegate:plugin/kv@0.1.0`. What else the broker lends is in
// modules of such names, too: `wit.d.ts` has them all, made of `plugin.wit`. Where they say `U64` or `S64`, QuickJS has numbers and StarlingMonkey has
// bigints; `u64` and `s64` make the right one.
//
// A number in an answer that its type does not have, such as -1 for a duration, is an exception, and no answer.

import { document, secret } from "tidegate:plugin/config@0.1.0";
import { log as logLine, type Level } from "tidegate:plugin/logging@0.1.0";
import type * as acl from "tidegate:plugin/acl@0.1.0";
import type * as events from "tidegate:plugin/events@0.1.0";
import type * as lifecycle from "tidegate:plugin/lifecycle@0.1.0";
import type * as subscribe from "tidegate:plugin/subscribe@0.1.0";
import type * as subscribers from "tidegate:plugin/subscribers@0.1.0";
import type * as types from "tidegate:plugin/types@0.1.0";
import { bytes, text } from "./text.ts";

export { bytes, secret, text };
export type AclRequest = acl.Request;
export type Candidate = subscribers.Candidate;
export type Connect = types.Connect;
export type Property = types.Property;
export type Start = lifecycle.Start;
export type SubscribeRequest = subscribe.Request;

/** What a plugin's class may have. A method that a hook of the manifest needs must be there. In StarlingMonkey they may be asynchronous. */
export interface Plugin {
  /** Narrows hooks to some topics, and names what they want. Without it: all topics, and nothing. */
  scopes?(): Scope[];
  /** Another generation is about to take its place, and finds this in `start.state`. */
  drain?(): Uint8Array | string | null | undefined;
  /** "auth": who comes in, and as whom. */
  authenticate?(client: Connect): Promising<Next | Grant | Refuse | Challenge>;
  /** "enhanced-auth": the same in several steps. */
  proceed?(client: Connect, step: AuthStep): Promising<Next | Grant | Refuse | Challenge>;
  /** "acl": may this client do this? */
  check?(request: AclRequest): Promising<Next | Allow | Deny>;
  /** "publish": what becomes of a message? */
  onPublish?(message: Message): Promising<Verdict>;
  /** "publish-batch": of several; a verdict each, in order. */
  onPublishBatch?(messages: Message[]): Promising<Verdict[]>;
  /** "subscribe": what becomes of a subscription? */
  onSubscribe?(request: SubscribeRequest): Promising<Next | Accept | Change | Refuse>;
  /** "subscribers": who of those whose subscriptions match gets a message? */
  select?(message: Message, candidates: Candidate[]): Promising<Selection>;
  /** "subscribers": which member of a shared subscription, by index? Without it, or an answer: the broker chooses. */
  pick?(message: Message, group: string, members: Candidate[]): Promising<number | null | undefined>;
  /** "deliver": what does this recipient get of a message? The scope must name topics. */
  onDeliver?(message: Message, recipient: Recipient): Promising<Next | Edit | Drop>;
  /** "events": what has happened. */
  onEvents?(events: Event[], lost: number): Promising<void>;
  /** "timer-handler": a timer that was set by `tidegate:plugin/timers@0.1.0` is due. */
  onTimer?(token: number): Promising<void>;
}

export type Promising<T> = T | Promise<T>;

/** A plugin's class. `config` has the keys of the plugin's config with their defaults; keys that it has not are refused. */
export interface PluginClass<C> {
  new (config: C, start: Start): Plugin;
  readonly config?: C;
}

/** Filters: empty for all topics. Wants: "payload", "client-id", "username", "properties"; "filter" for subscribers; kinds of events. */
export interface Scope {
  hook: "acl" | "publish" | "subscribe" | "subscribers" | "deliver" | "events";
  filters?: string[];
  wants?: string[];
}

/** A message on its way. What the scope does not want is empty. */
export class Message {
  readonly session: types.Session;
  readonly topic: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly payloadLen: number;
  readonly payload: Uint8Array;
  readonly clientId: string;
  readonly username: string | undefined;
  readonly properties: Property[];

  constructor({ session, topic, qos, retain, payloadLen, extra }: types.Message) {
    this.session = session;
    this.topic = topic;
    this.qos = qos;
    this.retain = retain;
    this.payloadLen = payloadLen;
    this.payload = extra?.payload ?? new Uint8Array();
    this.clientId = extra?.clientId ?? "";
    this.username = extra?.username ?? undefined;
    this.properties = extra?.properties ?? [];
  }

  /** The payload as text. What is not UTF-8 becomes U+FFFD. */
  text(): string {
    return text(this.payload);
  }

  /** The payload as JSON. Throws if it is none. */
  json(): any {
    return JSON.parse(text(this.payload, true));
  }
}

export interface AuthStep { state: Uint8Array; data: Uint8Array | undefined; again: boolean }
export interface Recipient { session: types.Session; clientId: string }
export interface Event { kind: string; session: types.Session; clientId: string; at: Date; reason: number; topic: string | undefined; detail: Record<string, string> }

export interface Next { tag: "next" }
export interface Accept { tag: "accept" }
export interface Swallow { tag: "swallow" }
export interface Drop { tag: "drop" }
export interface Edit { tag: "edit"; patch: Patch }
export interface Change { tag: "change"; filter?: string; qos?: number }
export interface Refuse { tag: "refuse"; code: number; text?: string }
export interface Grant { tag: "grant"; terms: Terms }
export interface Challenge { tag: "challenge"; data: Uint8Array; state: Uint8Array }
export interface Allow { tag: "allow"; filter: string; ttlMs: number }
export interface Deny { tag: "deny"; filter: string; ttlMs: number }
export type Verdict = Next | Accept | Edit | Refuse | Swallow;
export interface Selection { choice: subscribers.Choice; cacheMs: number }

/** What a message becomes; what is not named stays. */
export interface Patch { topic?: string; payload?: Uint8Array | string; qos?: number; retain?: boolean; properties?: Property[] }

/** What a client may do; `%c` and `%u` in the filter stand for client id and user name. Allowed and for every QoS, unless it says otherwise. */
export interface Rule { allow?: boolean; action: types.Action; filter: string; maxQos?: number }

export interface Terms {
  clientId?: string;
  username?: string;
  /** The first that applies decides. */
  rules?: Rule[];
  /** The client is disconnected after this long. */
  expiresMs?: number;
  attributes?: Record<string, string>;
  data?: Uint8Array | string;
  quotas?: types.Quotas;
}

/** Nothing to say: the next plugin is asked. */
export const next: Next = { tag: "next" };
/** As it is; nobody else is asked. */
export const accept: Accept = { tag: "accept" };
/** Acknowledged, and delivered to nobody. */
export const swallow: Swallow = { tag: "swallow" };
/** This recipient does not get it. */
export const drop: Drop = { tag: "drop" };
/** Change a message; the next plugin is asked about what it is now. */
export const edit = (patch: Patch): Edit => ({ tag: "edit", patch });
/** Change a subscription; the next plugin is asked about what it is now. */
export const change = (to: { filter?: string; qos?: number }): Change => ({ tag: "change", ...to });
/** No, with a reason code of 0x80 or above, and for a client that wants to come in a text. */
export const refuse = (code: number, text?: string): Refuse => ({ tag: "refuse", code, text });
/** Come in, under these terms. */
export const grant = (terms: Terms = {}): Grant => ({ tag: "grant", terms });
/** Prove more. `data` is for the client, `state` comes back with its answer. */
export const challenge = (data: Uint8Array | string, state: Uint8Array | string = ""): Challenge => ({
  tag: "challenge",
  data: asBytes(data),
  state: asBytes(state),
});
/** It may, on every topic under `filter`, which holds the one asked about; for `ttlMs` (0: this once). */
export const allow = (filter: string, ttlMs = 0): Allow => ({ tag: "allow", filter, ttlMs });
/** It may not, in the same way. */
export const deny = (filter: string, ttlMs = 0): Deny => ({ tag: "deny", filter, ttlMs });
/** Everybody gets it. The broker may remember answers for `cacheMs`, until subscriptions change. */
export const all = (cacheMs = 0): Selection => ({ choice: { tag: "all" }, cacheMs });
/** Those get it, by index, and nobody else. */
export const only = (indexes: number[], cacheMs = 0): Selection => ({ choice: { tag: "only", val: indexes }, cacheMs });
/** Everybody but those gets it, by index. */
export const except = (indexes: number[], cacheMs = 0): Selection => ({ choice: { tag: "except", val: indexes }, cacheMs });

/** Reason codes of refusals (section 2.4 of MQTT 5). */
export const ReasonCode = {
  UnspecifiedError: 0x80,
  ImplementationSpecificError: 0x83,
  ClientIdentifierNotValid: 0x85,
  BadUserNameOrPassword: 0x86,
  NotAuthorized: 0x87,
  ServerUnavailable: 0x88,
  ServerBusy: 0x89,
  Banned: 0x8a,
  BadAuthenticationMethod: 0x8c,
  TopicFilterInvalid: 0x8f,
  TopicNameInvalid: 0x90,
  PacketTooLarge: 0x95,
  QuotaExceeded: 0x97,
  PayloadFormatInvalid: 0x99,
  QosNotSupported: 0x9b,
} as const;

/** A line in the broker's log: `log("info", "wrong password", { peer })`. */
export function log(level: Level, text: string, fields: Record<string, unknown> = {}): void {
  logLine(level, text, Object.entries(fields).map(([key, value]) => [key, `${value}`]));
}

let bigints = false;

/** A number as this engine wants it where `wit.d.ts` says `U64`. Throws if it is negative, not whole, or too large. */
export function u64(number: number | bigint): types.U64 {
  return fitting("u64", number, 0, 2 ** 64);
}

/** The same where it says `S64`, which may be negative. */
export function s64(number: number | bigint): types.S64 {
  return fitting("s64", number, -(2 ** 63), 2 ** 63);
}

function fitting(type: string, number: number | bigint, from: number, below: number): number | bigint {
  const isWhole = typeof number === "bigint" || Number.isInteger(number);
  if (!isWhole || number < from || number >= below) throw new RangeError(`${number} is no ${type}`);
  return bigints ? BigInt(number) : Number(number);
}

/** A number of fewer bits, for the answer's field of this name: the engine would make another number of one that does not fit. */
function unsigned(bits: 8 | 16 | 32, name: string, number: number): number {
  if (Number.isInteger(number) && number >= 0 && number < 2 ** bits) return number;
  throw new RangeError(`${name}: ${number} is no whole number from 0 to ${2 ** bits - 1}`);
}

function optionalUnsigned(bits: 8 | 16 | 32, name: string, number: number | null | undefined): number | undefined {
  return number === null || number === undefined ? undefined : unsigned(bits, name, number);
}

/** For the module that `tidegate plugin build` makes: what the component exports. Of the hooks that are named methods must be there. */
export function component<C>(Class: PluginClass<C>, hooks: (keyof typeof METHODS)[]) {
  for (const method of hooks.flatMap((hook) => METHODS[hook])) {
    if (typeof (Class.prototype as any)?.[method] !== "function") {
      throw new TypeError(`the plugin's class needs a method \`${method}\` for the hooks that tidegate-plugin.toml names`);
    }
  }
  // Hooks come after `init`, and those that are asked have their methods.
  let plugin: Required<Plugin>;
  const verdicts = (answers: Verdict[]) => answers.map(lowered);
  return {
    lifecycle: {
      init(start: Start) {
        bigints = typeof start.generation === "bigint";
        try {
          plugin = new Class(configured(Class.config), start) as Required<Plugin>;
          return (plugin.scopes?.() ?? []).map(({ hook, filters = [], wants = [] }) => ({ hook, filters, wants }));
        } catch (error) {
          throw error instanceof Error ? error.message : `${error}`;
        }
      },
      drain: () => optionalBytes(plugin.drain?.()),
    },
    auth: { authenticate: (client: Connect) => then(plugin.authenticate(client), loweredOutcome) },
    enhancedAuth: {
      proceed(client: Connect, state: Uint8Array, data: Uint8Array | null | undefined, again: boolean) {
        return then(plugin.proceed(client, { state, data: data ?? undefined, again }), loweredOutcome);
      },
    },
    acl: { check: (request: AclRequest) => then(plugin.check(request), loweredDecision) },
    publish: { onPublish: (message: types.Message) => then(plugin.onPublish(new Message(message)), lowered) },
    publishBatch: {
      onPublish(messages: types.Message[]) {
        return then(plugin.onPublishBatch(messages.map((message) => new Message(message))), verdicts);
      },
    },
    subscribe: {
      onSubscribe(requests: SubscribeRequest[]) {
        const answers = requests.map((request) => then(plugin.onSubscribe(request), loweredChange));
        return answers.some((answer) => answer instanceof Promise) ? Promise.all(answers) : answers;
      },
    },
    subscribers: {
      select: (message: types.Message, candidates: Candidate[]) => then(plugin.select(new Message(message), candidates), loweredSelection),
      pick(message: types.Message, group: string, members: Candidate[]) {
        return then(plugin.pick?.(new Message(message), group, members), (index) => optionalUnsigned(32, "pick", index));
      },
    },
    deliver: {
      onDeliver(message: types.Message, session: types.Session, clientId: string) {
        return then(plugin.onDeliver(new Message(message), { session, clientId }), lowered);
      },
    },
    events: {
      onEvents(batch: events.Event[], lost: types.U64) {
        const seen = batch.map(({ kind, session, clientId, atMs, reason, topic, detail }) => {
          return { kind, session, clientId, at: new Date(Number(atMs)), reason, topic: topic ?? undefined, detail: Object.fromEntries(detail) };
        });
        return plugin.onEvents(seen, Number(lost));
      },
    },
    timerHandler: { onTimer: (token: types.U64) => plugin.onTimer(Number(token)) },
    // As `plugin.wit` has it.
    get storage() {
      const forwarded = (name: string) => (...values: unknown[]) => (plugin as any)[name](...values);
      return { open: forwarded("open"), commit: forwarded("commit"), get: forwarded("get"), scan: forwarded("scan") };
    },
  };
}

const METHODS = {
  auth: ["authenticate"],
  "enhanced-auth": ["proceed"],
  acl: ["check"],
  publish: ["onPublish"],
  "publish-batch": ["onPublishBatch"],
  subscribe: ["onSubscribe"],
  subscribers: ["select"],
  deliver: ["onDeliver"],
  events: ["onEvents"],
  "timer-handler": ["onTimer"],
  storage: ["open", "commit", "get", "scan"],
};

/** The plugin's config, with defaults. */
function configured<C>(defaults: C | undefined): C {
  const table = JSON.parse(document() || "{}");
  const known: Record<string, unknown> = { ...defaults };
  for (const [key, value] of Object.entries(table)) {
    const keys = Object.keys(known).map((key) => `\`${key}\``).join(", ") || "none";
    if (!Object.hasOwn(known, key)) throw new Error(`config key \`${key}\`: unknown; there are: ${keys}`);
    if (kind(value) !== kind(known[key])) throw new Error(`config key \`${key}\`: expected ${kind(known[key])}`);
    known[key] = value;
  }
  return known as C;
}

function kind(value: unknown): string {
  const kinds: Record<string, string> = { string: "a text", number: "a number", boolean: "true or false" };
  return Array.isArray(value) ? "a list" : (kinds[typeof value] ?? "a table");
}

function then<T, R>(answer: Promising<T>, lower: (answer: T) => R): Promising<R> {
  return answer instanceof Promise ? answer.then(lower) : lower(answer);
}

function asBytes(value: Uint8Array | string): Uint8Array {
  return typeof value === "string" ? bytes(value) : value;
}

function optionalBytes(value: Uint8Array | string | null | undefined): Uint8Array | undefined {
  return value === null || value === undefined ? undefined : asBytes(value);
}

function lowered(answer: Verdict | Drop): unknown {
  switch (answer.tag) {
    case "edit": {
      const { payload, qos, ...others } = answer.patch;
      return { tag: "edit", val: { ...others, payload: optionalBytes(payload), qos: optionalUnsigned(8, "qos", qos) } };
    }
    case "refuse":
      return { tag: "refuse", val: unsigned(8, "code", answer.code) };
    case "next":
    case "accept":
    case "swallow":
    case "drop":
      return { tag: answer.tag };
    default:
      throw noAnswer(answer);
  }
}

function loweredChange(answer: Next | Accept | Change | Refuse): unknown {
  if (answer.tag !== "change") return lowered(answer);
  return { tag: "edit", val: { filter: answer.filter, qos: optionalUnsigned(8, "qos", answer.qos) } };
}

function loweredDecision(answer: Next | Allow | Deny): unknown {
  switch (answer.tag) {
    case "allow":
    case "deny":
      return { tag: answer.tag, val: { filter: answer.filter, ttlMs: unsigned(32, "ttlMs", answer.ttlMs) } };
    case "next":
      return answer;
    default:
      throw noAnswer(answer);
  }
}

function loweredSelection({ choice, cacheMs }: Selection): unknown {
  if (choice.tag !== "all") choice.val.forEach((index) => unsigned(32, "index", index));
  return { choice, cacheMs: unsigned(32, "cacheMs", cacheMs) };
}

function loweredOutcome(answer: Next | Grant | Refuse | Challenge): unknown {
  switch (answer.tag) {
    case "refuse":
      return { tag: "refuse", val: { code: unsigned(8, "code", answer.code), text: answer.text } };
    case "challenge":
      return { tag: "challenge", val: { data: answer.data, state: answer.state } };
    case "grant": {
      const { rules = [], expiresMs, attributes = {}, data, quotas, ...others } = answer.terms;
      const val = {
        ...others,
        rules: rules.map(({ allow = true, action, filter, maxQos = 2 }) => ({ allow, action, filter, maxQos: unsigned(8, "maxQos", maxQos) })),
        expiresMs: expiresMs === undefined ? undefined : u64(expiresMs),
        attributes: Object.entries(attributes),
        data: optionalBytes(data),
        quotas: quotas && loweredQuotas(quotas),
      };
      return { tag: "grant", val };
    }
    case "next":
      return { tag: "next" };
    default:
      throw noAnswer(answer);
  }
}

function loweredQuotas({ messagesPerSecond, bytesPerSecond, subscriptions, inflight }: types.Quotas): types.Quotas {
  return {
    messagesPerSecond: optionalUnsigned(32, "messagesPerSecond", messagesPerSecond),
    bytesPerSecond: optionalUnsigned(32, "bytesPerSecond", bytesPerSecond),
    subscriptions: optionalUnsigned(32, "subscriptions", subscriptions),
    inflight: optionalUnsigned(16, "inflight", inflight),
  };
}

function noAnswer(answer: unknown): TypeError {
  return new TypeError(`${JSON.stringify(answer)} is no answer to this hook`);
}
