// The interfaces between the broker and its plugins, made of `plugin.wit`.

/** The one WIT package between the broker and its plugins. Open sets are strings or numbers, closed sets are enums; a changed
 * record, variant, enum or flags is a new interface version, never an edit.
 * Shared by the hooks below. */
declare module "tidegate:plugin/types@0.1.0" {
  /** QuickJS has numbers here, StarlingMonkey bigints. */
  export type U64 = number | bigint;
  /** The same, with a sign. */
  export type S64 = number | bigint;
  /** A client's session, unique in the life of the broker. */
  export type Session = U64;
  /** An MQTT 5 reason code (section 2.4). */
  export type Reason = number;
  /** The value of an MQTT 5 property (section 2.2.2). */
  export type PropValue = { tag: "number"; val: number } | { tag: "text"; val: string } | { tag: "bytes"; val: Uint8Array } | { tag: "pair"; val: [string, string] };
  /** An MQTT 5 property by its identifier, such as 0x26 for a user property. */
  export interface Property {
    id: number;
    value: PropValue;
  }
  /** What a scope may want of a message. What it does not want is empty. */
  export interface MessageExtra {
    payload: Uint8Array;
    clientId: string;
    username?: string | null | undefined;
    properties: Property[];
  }
  /** A message being published. 16 values when flattened, which is as many as the canonical ABI passes without memory. */
  export interface Message {
    session: Session;
    topic: string;
    qos: number;
    retain: boolean;
    payloadLen: number;
    /** None unless the scope wants something of it: then nothing of it is copied. */
    extra?: MessageExtra | null | undefined;
  }
  /** Changes to a message; what is none stays. */
  export interface Patch {
    topic?: string | null | undefined;
    payload?: Uint8Array | null | undefined;
    qos?: number | null | undefined;
    retain?: boolean | null | undefined;
    properties?: Property[] | null | undefined;
  }
  /** What a client wants to do with a topic. */
  export type Action = "publish" | "subscribe" | "receive";
  /** Evaluated by the broker itself, without a call. `%c`, `%u` and `%{NAME}` in the filter stand for client id, username and an
   * attribute. */
  export interface Rule {
    allow: boolean;
    action: Action;
    filter: string;
    maxQos: number;
  }
  /** What becomes of a message: ask the next plugin; take it as it is, and ask nobody else; change it, then ask the next; refuse it with a
   * reason code (0x80 or above); acknowledge it and deliver it to nobody. */
  export type PublishVerdict = { tag: "next" } | { tag: "accept" } | { tag: "edit"; val: Patch } | { tag: "refuse"; val: Reason } | { tag: "swallow" };
  /** A client that wants to come in. */
  export interface Connect {
    session: Session;
    clientId: string;
    username?: string | null | undefined;
    password?: Uint8Array | null | undefined;
    /** 3, 4 (3.1.1) or 5. */
    protocol: number;
    cleanStart: boolean;
    /** Seconds. */
    keepAlive: number;
    listener: string;
    /** `IP:PORT` */
    peer: string;
    /** Of the client's certificate, if it showed one: `CN=sensor-7,O=Example`. */
    tlsSubject?: string | null | undefined;
    properties: Property[];
    /** Alternative names in that certificate. */
    tlsSans: string[];
    /** The username stands in that certificate: TLS vouches for it. */
    tlsUsername: boolean;
  }
  /** What the client may use up; what is none is as the broker's config says. */
  export interface Quotas {
    /** PUBLISH packets. A client that is faster is read more slowly; nothing is lost. */
    messagesPerSecond?: number | null | undefined;
    /** Bytes of packets, in the same way. */
    bytesPerSecond?: number | null | undefined;
    /** Subscriptions (0x97). */
    subscriptions?: number | null | undefined;
    /** QoS 1 and 2 messages under way at once, in each direction. */
    inflight?: number | null | undefined;
  }
  export interface Grant {
    /** Replaces the client id. */
    clientId?: string | null | undefined;
    /** Replaces the username. */
    username?: string | null | undefined;
    /** The first that applies decides. */
    rules: Rule[];
    /** The client is disconnected after this long, with 0xA0. */
    expiresMs?: U64 | null | undefined;
    /** For this client's rules, and for hooks to see (`current.attribute`). */
    attributes: [string, string][];
    /** The last data of an enhanced authentication, for the client. */
    data?: Uint8Array | null | undefined;
    quotas?: Quotas | null | undefined;
  }
  /** A question to a client that named an authentication method; its answer comes to `enhanced-auth.proceed`. */
  export interface Challenge {
    /** For the client. */
    data: Uint8Array;
    /** Comes back with the answer, to any instance. */
    state: Uint8Array;
  }
  export interface Refusal {
    code: Reason;
    text?: string | null | undefined;
  }
  export type AuthOutcome = { tag: "next" } | { tag: "grant"; val: Grant } | { tag: "refuse"; val: Refusal } | { tag: "challenge"; val: Challenge };
}

/** Every plugin exports this. */
declare module "tidegate:plugin/lifecycle@0.1.0" {
  /** Narrows a hook to some topics, and names the fields it wants.
   * hook: "acl", "publish" (`publish-batch` too), "subscribe", "subscribers", "deliver" or "events"; filters: MQTT topic filters, empty for
   * all; wants: for hooks with a message "payload", "client-id", "username", "properties", for "subscribers" "filter" too; for "events" the kinds of events. */
  export interface Scope {
    hook: string;
    filters: string[];
    wants: string[];
  }
  export interface Start {
    /** The plugin's name: its file name without `.wasm`. */
    plugin: string;
    /** 1 for the first file of that name, one more for each that follows. */
    generation: import("tidegate:plugin/types@0.1.0").U64;
    brokerVersion: string;
    /** What the generation before left in `drain`. */
    state?: Uint8Array | null | undefined;
  }
  /** Called once an instance, before any other call. An error refuses the plugin; the generation before stays. */
  export function init(s: Start): Scope[];
  /** Another generation is about to take its place: the bytes reach that one's `start.state`. Asked of one instance; calls under way, and those that
   * come until the other one is in place, are answered by this generation still. */
  export function drain(): Uint8Array | null | undefined;
}

/** Who may come in, and as whom. */
declare module "tidegate:plugin/auth@0.1.0" {
  export type Connect = import("tidegate:plugin/types@0.1.0").Connect;
  export type AuthOutcome = import("tidegate:plugin/types@0.1.0").AuthOutcome;
  /** CONNECT. May take seconds (a password hash, a backend): other clients are served meanwhile. A CONNECT that names an authentication
   * method is for plugins that export `enhanced-auth` too. */
  export function authenticate(c: Connect): AuthOutcome;
}

/** Authentication in several steps (section 4.12). */
declare module "tidegate:plugin/enhanced-auth@0.1.0" {
  export type Connect = import("tidegate:plugin/types@0.1.0").Connect;
  export type AuthOutcome = import("tidegate:plugin/types@0.1.0").AuthOutcome;
  /** AUTH. `state` is what the last challenge left, empty at the beginning of a re-authentication; `again`: the client is in already, and
   * `c.username` is the name that it came in under, which it has to keep. */
  export function proceed(c: Connect, state: Uint8Array, data: Uint8Array | null | undefined, again: boolean): AuthOutcome;
}

/** What a client may do. */
declare module "tidegate:plugin/acl@0.1.0" {
  export type Session = import("tidegate:plugin/types@0.1.0").Session;
  export type Action = import("tidegate:plugin/types@0.1.0").Action;
  export interface Request {
    session: Session;
    clientId: string;
    username?: string | null | undefined;
    action: Action;
    /** A topic name; for `subscribe` a topic filter. */
    topic: string;
    qos: number;
    retain: boolean;
  }
  /** The answer holds for this client on every topic under `filter`, for `ttl-ms` (0: this once). The filter must hold the topic asked about. */
  export interface Span {
    filter: string;
    ttlMs: number;
  }
  export type Decision = { tag: "next" } | { tag: "allow"; val: Span } | { tag: "deny"; val: Span };
  /** PUBLISH, SUBSCRIBE and wills. Must answer at once. */
  export function check(r: Request): Decision;
}

/** What becomes of a message, after it was authorized and before it is stored and routed. */
declare module "tidegate:plugin/publish@0.1.0" {
  export type Message = import("tidegate:plugin/types@0.1.0").Message;
  export type PublishVerdict = import("tidegate:plugin/types@0.1.0").PublishVerdict;
  /** Must answer at once, unless the plugin was granted `http`. */
  export function onPublish(m: Message): PublishVerdict;
}

/** As `publish`, for all messages that came in one read of a connection. A plugin exports one of the two. */
declare module "tidegate:plugin/publish-batch@0.1.0" {
  export type Message = import("tidegate:plugin/types@0.1.0").Message;
  export type PublishVerdict = import("tidegate:plugin/types@0.1.0").PublishVerdict;
  /** One verdict a message, in order. */
  export function onPublish(ms: Message[]): PublishVerdict[];
}

/** What becomes of a subscription, before `acl` is asked about it. */
declare module "tidegate:plugin/subscribe@0.1.0" {
  export type Session = import("tidegate:plugin/types@0.1.0").Session;
  export type Reason = import("tidegate:plugin/types@0.1.0").Reason;
  export type Property = import("tidegate:plugin/types@0.1.0").Property;
  export interface Request {
    session: Session;
    clientId: string;
    username?: string | null | undefined;
    /** As asked for, or as left by the plugins before; with `$share/NAME/`. */
    filter: string;
    qos: number;
    noLocal: boolean;
    retainAsPublished: boolean;
    /** 0: send retained messages, 1: only to a new subscription, 2: never. */
    retainHandling: number;
    /** User properties and the subscription identifier (0x0B) of the SUBSCRIBE. */
    properties: Property[];
  }
  export interface Change {
    filter?: string | null | undefined;
    qos?: number | null | undefined;
  }
  export type Verdict = { tag: "next" } | { tag: "accept" } | { tag: "edit"; val: Change } | { tag: "refuse"; val: Reason };
  /** One verdict a filter, in order. UNSUBSCRIBE of the filter that was asked for ends what it was changed to. */
  export function onSubscribe(rs: Request[]): Verdict[];
}

/** Who of those whose subscriptions match gets a message. */
declare module "tidegate:plugin/subscribers@0.1.0" {
  export type Session = import("tidegate:plugin/types@0.1.0").Session;
  export type Message = import("tidegate:plugin/types@0.1.0").Message;
  /** `filter`: none unless the scope wants it. */
  export interface Candidate {
    session: Session;
    clientId: string;
    filter?: string | null | undefined;
    qos: number;
  }
  /** By index. */
  export type Choice = { tag: "all" } | { tag: "only"; val: number[] } | { tag: "except"; val: number[] };
  /** The answer holds for this publisher and topic for `cache-ms` (0: this once), or until subscriptions change. */
  export interface Answer {
    choice: Choice;
    cacheMs: number;
  }
  /** Subscriptions that are not shared. Must answer at once, unless the plugin was granted `http`. */
  export function select(m: Message, candidates: Candidate[]): Answer;
  /** One member of a shared subscription, by index; none: the broker chooses, one after the other. `group` is `$share/NAME/FILTER`. */
  export function pick(m: Message, group: string, members: Candidate[]): number | null | undefined;
}

/** What one recipient gets of a message. */
declare module "tidegate:plugin/deliver@0.1.0" {
  export type Message = import("tidegate:plugin/types@0.1.0").Message;
  export type Patch = import("tidegate:plugin/types@0.1.0").Patch;
  export type Session = import("tidegate:plugin/types@0.1.0").Session;
  export type Verdict = { tag: "next" } | { tag: "edit"; val: Patch } | { tag: "drop" };
  /** Once a recipient: a fan-out to a thousand is a thousand calls, so a plugin must name topics in its scope. `m.session` is who published
   * it, `m.qos` and `m.retain` are the recipient's; both stay. Must answer at once. */
  export function onDeliver(m: Message, recipient: Session, clientId: string): Verdict;
}

/** What a store of records takes and gives. */
declare module "tidegate:plugin/records@0.1.0" {
  export interface Entry {
    table: number;
    key: Uint8Array;
    value: Uint8Array;
    expiresMs?: import("tidegate:plugin/types@0.1.0").U64 | null | undefined;
  }
  export interface Row {
    key: Uint8Array;
    value: Uint8Array;
  }
  export type Op = { tag: "put"; val: Entry } | { tag: "delete"; val: [number, Uint8Array] };
  /** `sequence`: of the last durable commit. `term`: see `storage.open`. */
  export interface Opened {
    sequence: import("tidegate:plugin/types@0.1.0").U64;
    term: import("tidegate:plugin/types@0.1.0").U64;
  }
  /** `retry` and `fatal`: nothing of it was done, nor will it be. `unknown`: nobody can tell; the broker opens the store again, and looks. */
  export type Error = { tag: "retry"; val: string } | { tag: "fatal"; val: string } | { tag: "unknown"; val: string };
}

/** Keeps the broker's sessions, queues and retained messages. */
declare module "tidegate:plugin/storage@0.1.0" {
  export type Op = import("tidegate:plugin/records@0.1.0").Op;
  export type Row = import("tidegate:plugin/records@0.1.0").Row;
  export type Opened = import("tidegate:plugin/records@0.1.0").Opened;
  export type Error = import("tidegate:plugin/records@0.1.0").Error;
  /** The first call to an instance. Without a term: a broker starts, or does not know whether its last commit was done; what was committed
   * under an earlier term and is not done yet must never be done, and the answer has a new term. With one: another instance of the same broker,
   * which fails if there is a newer term. A store that nobody else can reach may say 0 always. */
  export function open(format: number, term: import("tidegate:plugin/types@0.1.0").U64 | null | undefined): Opened;
  /** All or nothing, in order; returns the sequence. If `durable`, the answer means that it is. */
  export function commit(ops: Op[], durable: boolean): import("tidegate:plugin/types@0.1.0").U64;
  export function get(table: number, key: Uint8Array): Uint8Array | null | undefined;
  /** Rows in the order of their keys, `after` excluded; an empty list ends the scan. */
  export function scan(table: number, prefix: Uint8Array, after: Uint8Array | null | undefined, maxBytes: number): Row[];
}

/** What has happened. */
declare module "tidegate:plugin/events@0.1.0" {
  export type Session = import("tidegate:plugin/types@0.1.0").Session;
  export type Reason = import("tidegate:plugin/types@0.1.0").Reason;
  export interface Event {
    /** `connected`, `disconnected`, `published`, …: see the page on hooks. */
    kind: string;
    /** 0: no client's. */
    session: Session;
    clientId: string;
    /** Milliseconds since 1970. */
    atMs: import("tidegate:plugin/types@0.1.0").U64;
    reason: Reason;
    topic?: string | null | undefined;
    detail: [string, string][];
  }
  /** Can slow nobody. `lost`: events dropped since the last call, because they came faster than they were taken. */
  export function onEvents(batch: Event[], lost: import("tidegate:plugin/types@0.1.0").U64): void;
}

/** For those who set timers. */
declare module "tidegate:plugin/timer-handler@0.1.0" {
  export function onTimer(token: import("tidegate:plugin/types@0.1.0").U64): void;
}

/** Lines in the broker's log, marked with the plugin's name and generation. */
declare module "tidegate:plugin/logging@0.1.0" {
  export type Level = "trace" | "debug" | "info" | "warn" | "error";
  export function enabled(l: Level): boolean;
  export function log(l: Level, text: string, fields: [string, string][]): void;
}

/** The `config` table of the plugin. */
declare module "tidegate:plugin/config@0.1.0" {
  /** One key of the table: a string as it is, anything else as JSON. */
  export function get(key: string): string | null | undefined;
  /** The whole table as JSON. */
  export function document(): string;
  /** A secret that the operator granted by this name. None: not granted. */
  export function secret(name: string): string | null | undefined;
}

/** A small store for each plugin, shared by its instances and kept across generations. */
declare module "tidegate:plugin/kv@0.1.0" {
  export type Error = { tag: "denied" } | { tag: "full" } | { tag: "other"; val: string };
  export function get(key: string): Uint8Array | null | undefined;
  export function set(key: string, value: Uint8Array, ttlMs: import("tidegate:plugin/types@0.1.0").U64 | null | undefined): void;
  /** Says whether it was there. */
  function delete_(key: string): boolean;
  export { delete_ as delete };
  /** Adds to a counter and returns its new value. A counter that is not there begins at 0. Its ttl runs from the first `add`; later
   * ones do not prolong it. */
  export function add(key: string, delta: import("tidegate:plugin/types@0.1.0").S64, ttlMs: import("tidegate:plugin/types@0.1.0").U64 | null | undefined): import("tidegate:plugin/types@0.1.0").S64;
  /** Sets `new`, or removes the key if that is none, if the value is still `old`; says whether it was. Without a ttl, what was there keeps its time. */
  export function swap(key: string, old: Uint8Array | null | undefined, new_: Uint8Array | null | undefined, ttlMs: import("tidegate:plugin/types@0.1.0").U64 | null | undefined): boolean;
  export function keys(prefix: string, after: string | null | undefined, limit: number): string[];
}

/** What the running hook is about, for those who do not want it copied every time. */
declare module "tidegate:plugin/current@0.1.0" {
  /** A part of the message's payload; shorter or empty where there is no more. */
  export function read(offset: number, len: number): Uint8Array;
  /** What a grant said of the client: who publishes, subscribes or asks; in `deliver` the recipient. */
  export function attribute(name: string): string | null | undefined;
  export function attributes(): [string, string][];
  /** The plugin that published the message, if none of the clients did. */
  export function origin(): string | null | undefined;
  /** How many plugins' publishes led to this message: 0 for a client's own. */
  export function hops(): number;
}

/** The broker, as far as it was granted. */
declare module "tidegate:plugin/broker@0.1.0" {
  export type Session = import("tidegate:plugin/types@0.1.0").Session;
  export type Reason = import("tidegate:plugin/types@0.1.0").Reason;
  export type Property = import("tidegate:plugin/types@0.1.0").Property;
  export interface Outgoing {
    topic: string;
    payload: Uint8Array;
    qos: number;
    retain: boolean;
    properties: Property[];
  }
  export interface ClientInfo {
    session: Session;
    clientId: string;
    username?: string | null | undefined;
    peer: string;
    listener: string;
    /** Milliseconds since 1970. */
    sinceMs: import("tidegate:plugin/types@0.1.0").U64;
  }
  /** invalid: what was asked for makes no sense, such as a topic with wildcards. too-many-hops: plugins answer each other in a circle. */
  export type Error = { tag: "denied" } | { tag: "busy" } | { tag: "not-found" } | { tag: "too-many-hops" } | { tag: "invalid"; val: string };
  /** Takes effect after the hook has returned. Other plugins' hooks see the message, this one's do not. Needs the grant `publish`. */
  export function publish(m: Outgoing): void;
  /** Needs the grant `disconnect`. */
  export function disconnect(s: Session, code: Reason): void;
  /** A client that is connected. These four need the grant `clients`. */
  export function client(s: Session): ClientInfo | null | undefined;
  export function find(clientId: string): Session | null | undefined;
  /** Whose subscriptions match, connected ones only, `limit` at most. */
  export function subscribers(topic: string, limit: number): ClientInfo[];
  /** Drops what plugins have answered about a client, or about all: they are asked again. */
  export function forget(clientId: string | null | undefined): void;
  /** Needs the grant `retained`. */
  export function retained(topic: string): Uint8Array | null | undefined;
}

/** Numbers of the plugin's own, beside those of the broker. */
declare module "tidegate:plugin/metrics@0.1.0" {
  export function count(name: string, delta: import("tidegate:plugin/types@0.1.0").U64, labels: [string, string][]): void;
  export function gauge(name: string, value: number, labels: [string, string][]): void;
  export function observe(name: string, value: number, labels: [string, string][]): void;
}

/** Calls `timer-handler.on-timer` later. A token names one timer of the plugin: setting it again replaces it. */
declare module "tidegate:plugin/timers@0.1.0" {
  /** False: too many timers, or no `timer-handler`. */
  export function set(afterMs: import("tidegate:plugin/types@0.1.0").U64, everyMs: import("tidegate:plugin/types@0.1.0").U64 | null | undefined, token: import("tidegate:plugin/types@0.1.0").U64): boolean;
  export function cancel(token: import("tidegate:plugin/types@0.1.0").U64): void;
}

/** Requests to the origins that were granted. A plugin with that grant may wait in its hooks. */
declare module "tidegate:plugin/http@0.1.0" {
  export interface Request {
    method: string;
    url: string;
    headers: [string, string][];
    body?: Uint8Array | null | undefined;
    timeoutMs: number;
  }
  export interface Response {
    status: number;
    headers: [string, string][];
    body: Uint8Array;
  }
  export type Error = { tag: "denied" } | { tag: "timeout" } | { tag: "too-large" } | { tag: "too-many" } | { tag: "other"; val: string };
  /** Redirects are not followed. `timeout-ms` 0: as long as the operator allows. */
  export function fetch(r: Request): Response;
}

/** Connections to the origins that were granted. A plugin with that grant may wait in its hooks. */
declare module "tidegate:plugin/tcp@0.1.0" {
  export type Error = { tag: "denied" } | { tag: "timeout" } | { tag: "too-many" } | { tag: "other"; val: string };
  /** Closed when it is dropped. */
  export class Connection {
    private constructor();
    /** `origin`: one that was granted, `tcp://HOST:PORT` or `tls://HOST:PORT`. `timeout-ms` 0, here and below: as long as the operator allows. */
    static open(origin: string, timeoutMs: number): Connection;
    /** All of `bytes`. */
    write(bytes: Uint8Array, timeoutMs: number): void;
    /** What has come, or comes first; no more than `most` bytes. Empty: the other side has closed. */
    read(most: number, timeoutMs: number): Uint8Array;
  }
}

/** The broker's own engine, in a folder of the plugin. A plugin with that grant may wait in its hooks. The functions do what those of
 * `storage` do; there are tables 0 to 9, keys have up to 65,534 bytes, times of expiry are not kept. */
declare module "tidegate:plugin/engine@0.1.0" {
  export type Op = import("tidegate:plugin/records@0.1.0").Op;
  export type Row = import("tidegate:plugin/records@0.1.0").Row;
  export type Opened = import("tidegate:plugin/records@0.1.0").Opened;
  export type Error = import("tidegate:plugin/records@0.1.0").Error;
  export function open(format: number, term: import("tidegate:plugin/types@0.1.0").U64 | null | undefined): Opened;
  export function commit(ops: Op[], durable: boolean): import("tidegate:plugin/types@0.1.0").U64;
  export function get(table: number, key: Uint8Array): Uint8Array | null | undefined;
  export function scan(table: number, prefix: Uint8Array, after: Uint8Array | null | undefined, maxBytes: number): Row[];
}
