// What a broker must do for MQTT.js, one line per scenario; ends with 1 at the first that fails.
//
// Started by tests/clients.rs, with the broker's address as mqtt://, mqtts://, ws://, wss:// or mqtt+unix://PATH,
// in the folder where the packages are installed.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { isDeepStrictEqual, inspect, parseArgs } from "node:util";

const packages = createRequire(pathToFileURL(`${process.cwd()}/`));
const mqtt = packages("mqtt");
const packets = packages("mqtt-packet");

// Milliseconds that a scenario may take. Generous: only a hang runs into it.
const PATIENCE = 40_000;
// Messages of a burst: more than the broker lets a client have open at once.
const BURST = 200;
const LARGE = 900 * 1024;

const { values: site } = parseArgs({
  options: {
    url: { type: "string" },
    version: { type: "string" },
    "receive-maximum": { type: "string", default: "65535" },
    // A listener that asks for a client certificate.
    "mutual-url": { type: "string" },
    ca: { type: "string" },
    cert: { type: "string" },
    key: { type: "string" },
  },
});
const V5 = site.version === "5";
const KEPT = V5 ? { properties: { sessionExpiryInterval: 3600 } } : {};

function expect(what, expected, seen) {
  if (!isDeepStrictEqual(expected, seen)) {
    throw new Error(`${what}: expected ${inspect(expected)}, saw ${inspect(seen)}`);
  }
}

/** What has come, in order, and who waits for the next. */
class Inbox {
  constructor(whose) {
    this.whose = whose;
    this.items = [];
    this.waiting = [];
  }

  put(item) {
    const next = this.waiting.shift();
    if (next) next.resolve(item);
    else this.items.push(item);
  }

  next(what) {
    if (this.items.length > 0) return Promise.resolve(this.items.shift());
    const { promise, ...waiting } = pending();
    this.waiting.push(waiting);
    waitingFor.add(`${this.whose} waits for ${what}`);
    return promise.finally(() => waitingFor.delete(`${this.whose} waits for ${what}`));
  }
}

/** For the message when a scenario takes too long. */
const waitingFor = new Set();

function pending() {
  let resolve, reject;
  const promise = new Promise((yes, no) => ([resolve, reject] = [yes, no]));
  return { promise, resolve, reject };
}

/** An MQTT.js client whose events are waited for. It never connects again by itself. */
class Client {
  static async connect(name, { url = site.url, identified = true, acknowledge = true, ...options } = {}) {
    const secure = url.startsWith("mqtts:") || url.startsWith("wss:");
    const own = secure && identified && site.cert ? { cert: readFileSync(site.cert), key: readFileSync(site.key) } : {};
    const client = new Client();
    client.name = name;
    client.messages = new Inbox(name);
    // Every packet as it came, before MQTT.js looks at it.
    client.wire = new Inbox(name);
    client.mqtt = mqtt.connect(url, {
      clientId: name,
      protocolVersion: V5 ? 5 : 4,
      reconnectPeriod: 0,
      connectTimeout: PATIENCE,
      ...(secure ? { ca: readFileSync(site.ca) } : {}),
      ...own,
      ...options,
    });
    // What waited in the session comes right behind CONNACK.
    client.mqtt.on("message", (topic, payload, packet) => {
      const { qos, retain, dup, properties = {} } = packet;
      client.messages.put({ topic, payload, qos, retain, dup, properties, onTheWire: packet.topic });
    });
    const parser = packets.parser({ protocolVersion: V5 ? 5 : 4 });
    parser.on("packet", (packet) => client.wire.put(packet));
    client.mqtt.stream.on("data", (bytes) => parser.parse(bytes));
    if (!acknowledge) {
      // Each message stays unacknowledged until its function is called.
      client.unacknowledged = new Inbox(name);
      client.mqtt.handleMessage = (packet, done) => client.unacknowledged.put({ packet, done });
    }
    const { promise, resolve, reject } = pending();
    client.mqtt.once("connect", resolve);
    client.mqtt.once("error", reject);
    client.mqtt.once("close", () => reject(new Error(`${name}: closed before CONNACK`)));
    client.connack = await promise;
    // A client that leaves may still acknowledge what has just come.
    client.mqtt.on("error", (error) => client.ending || fail(new Error(`${name}: ${error.message}`)));
    client.mqtt.on("disconnect", ({ reasonCode }) => fail(new Error(`${name}: DISCONNECT with reason ${reasonCode}`)));
    client.mqtt.on("close", () => client.ending || fail(new Error(`${name}: the connection ended`)));
    return client;
  }

  async subscribe(topic, qos = 2) {
    const granted = await this.mqtt.subscribeAsync(topic, { qos });
    expect(`granted QoS for ${topic}`, [qos], granted.map((one) => one.qos));
    return this;
  }

  /** Waits until the broker has acknowledged, or at QoS 0 until it is sent. */
  publish(topic, payload, options = {}) {
    return this.mqtt.publishAsync(topic, payload, options);
  }

  message(what = "a message") {
    return this.messages.next(what);
  }

  async take(count, what = "messages") {
    const got = [];
    while (got.length < count) got.push(await this.message(`${what} (${got.length} of ${count} are there)`));
    return got;
  }

  /** What was sent before this SUBACK is there after it. */
  async nothingMore(what) {
    await this.subscribe(`fence/${this.name}`);
    const [more] = this.messages.items;
    if (more) throw new Error(`${what}: ${this.name} also got ${inspect(more)}`);
  }

  /** The same while messages are not acknowledged, which is when MQTT.js looks at no packet behind them. */
  async noMorePublish(what) {
    this.mqtt.subscribe(`fence/${this.name}`, { qos: 1 });
    const packet = await this.wire.next("SUBACK");
    if (packet.cmd !== "suback") throw new Error(`${what}: ${this.name} also got ${inspect(packet)}`);
  }

  async packet(command) {
    for (;;) {
      const packet = await this.wire.next(command);
      if (packet.cmd === command) return packet;
    }
  }

  /** Ends with DISCONNECT. */
  leave() {
    this.ending = true;
    return this.mqtt.endAsync();
  }

  /** Ends without DISCONNECT, as a lost network does. */
  async cut() {
    const { promise, resolve } = pending();
    this.ending = true;
    this.mqtt.once("close", resolve);
    this.mqtt.removeAllListeners("error");
    this.mqtt.on("error", () => {});
    this.mqtt.stream.destroy();
    await promise;
  }
}

const text = (messages) => messages.map((message) => message.payload.toString());
const numbers = (count) => Array.from({ length: count }, (_, n) => String(n));
const leave = (...clients) => Promise.all(clients.map((client) => client.leave()));

const roundTrips = (qos) => async () => {
  const receiver = await (await Client.connect(`receiver-${qos}`)).subscribe(`round/+/${qos}`);
  const sender = await Client.connect(`sender-${qos}`);
  const sent = numbers(10);
  for (const payload of sent) await sender.publish(`round/a/${qos}`, payload, { qos });
  const got = await receiver.take(sent.length);
  expect("payloads", sent, text(got));
  for (const { topic, retain, dup, ...rest } of got) {
    expect("topic, QoS, RETAIN and DUP", [`round/a/${qos}`, qos, false, false], [topic, rest.qos, retain, dup]);
  }
  await receiver.nothingMore("each message comes once");
  await leave(receiver, sender);
};

/** More at once than may be open. */
async function bursts() {
  const receiver = await (await Client.connect("burst-receiver")).subscribe("burst/+");
  const sender = await Client.connect("burst-sender");
  let maximum = BURST;
  if (V5) {
    maximum = sender.connack.properties.receiveMaximum;
    expect("Receive Maximum of the broker", Number(site["receive-maximum"]), maximum);
  }
  for (const qos of [1, 2]) {
    // MQTT.js does not look at what CONNACK says.
    const open = new Set();
    for (const payload of numbers(BURST)) {
      if (open.size >= maximum) await Promise.race(open);
      const sending = sender.publish(`burst/${qos}`, payload, { qos }).then(() => open.delete(sending));
      open.add(sending);
    }
    expect(`payloads at QoS ${qos}`, numbers(BURST), text(await receiver.take(BURST)));
    await Promise.all(open);
  }
  await receiver.nothingMore("each message comes once");
  await leave(receiver, sender);
}

async function retained() {
  const sender = await Client.connect("retainer");
  const there = await (await Client.connect("there")).subscribe("kept/#");
  for (const qos of [0, 1, 2]) {
    await sender.publish(`kept/${qos}`, `old ${qos}`, { qos: 1, retain: true });
    await sender.publish(`kept/${qos}`, `kept ${qos}`, { qos, retain: true });
  }
  expect("RETAIN for who was subscribed", Array(6).fill(false), (await there.take(6)).map((message) => message.retain));
  const late = await (await Client.connect("late")).subscribe("kept/#");
  const got = (await late.take(3)).map(({ topic, payload, qos, retain }) => [topic, payload.toString(), qos, retain]);
  expect("retained messages", [0, 1, 2].map((qos) => [`kept/${qos}`, `kept ${qos}`, qos, true]), got.sort());
  for (const qos of [0, 1, 2]) await sender.publish(`kept/${qos}`, "", { qos: 1, retain: true });
  expect("an empty message for who is subscribed", ["", "", ""], text(await late.take(3)));
  const later = await (await Client.connect("later")).subscribe("kept/#");
  await later.nothingMore("an empty message clears what is retained");
  await leave(sender, there, late, later);
}

async function wills() {
  const witness = await (await Client.connect("witness")).subscribe("will/#");
  for (const qos of [0, 1, 2]) {
    const will = { topic: `will/${qos}`, payload: Buffer.from("never"), qos, retain: false };
    await (await Client.connect(`leaves-${qos}`, { will })).leave();
    const properties = V5 ? { properties: { userProperties: { cause: "cut" } } } : {};
    const lost = { ...will, payload: Buffer.from(`lost ${qos}`), retain: true, ...properties };
    await (await Client.connect(`lost-${qos}`, { will: lost })).cut();
    const message = await witness.message("the will");
    const seen = [message.topic, message.payload.toString(), message.qos];
    expect("the will", [`will/${qos}`, `lost ${qos}`, qos], seen);
    if (V5) expect("its user properties", { cause: "cut" }, { ...message.properties.userProperties });
  }
  const late = await (await Client.connect("late-witness")).subscribe("will/#");
  expect("retained wills", ["lost 0", "lost 1", "lost 2"], text(await late.take(3)).sort());
  await leave(witness, late);
}

async function resumedSessions() {
  const sleeper = await Client.connect("sleeper", { clean: false, ...KEPT });
  expect("session present at first", false, sleeper.connack.sessionPresent);
  await sleeper.subscribe("sleep/#");
  await sleeper.leave();
  const sender = await Client.connect("waker");
  for (const payload of numbers(5)) {
    for (const qos of [1, 2]) await sender.publish(`sleep/${qos}`, payload, { qos });
  }
  const awake = await Client.connect("sleeper", { clean: false, ...KEPT });
  expect("session present", true, awake.connack.sessionPresent);
  const got = await awake.take(10, "queued messages");
  for (const qos of [1, 2]) {
    expect(`queued at QoS ${qos}`, numbers(5), text(got.filter((message) => message.qos === qos)));
  }
  await sender.publish("sleep/1", "live", { qos: 1 });
  expect("the subscription lives on", ["live"], text(await awake.take(1)));
  await awake.leave();
  const fresh = await Client.connect("sleeper", { clean: true });
  expect("session present after a clean start", false, fresh.connack.sessionPresent);
  await sender.publish("sleep/1", "lost", { qos: 1 });
  await fresh.nothingMore("a clean start ends the subscriptions");
  await leave(fresh, sender);
}

async function unacknowledged() {
  const careful = await Client.connect("careful", { clean: false, acknowledge: false, ...KEPT });
  await careful.subscribe("again", 1);
  const sender = await Client.connect("once");
  for (const payload of ["first", "second"]) await sender.publish("again", payload, { qos: 1 });
  const first = await careful.unacknowledged.next("the first message");
  expect("the first message", "first", first.packet.payload.toString());
  first.done();
  const second = await careful.unacknowledged.next("the second message");
  // The acknowledgement has arrived before the connection ends.
  careful.mqtt.subscribe("fence/careful", { qos: 1 });
  await careful.packet("suback");
  await careful.packet("suback");
  await careful.cut();
  const again = await Client.connect("careful", { clean: false, acknowledge: false, ...KEPT });
  const { packet, done } = await again.unacknowledged.next("what was not acknowledged");
  const seen = [packet.payload.toString(), packet.dup, packet.messageId];
  expect("it comes again", ["second", true, second.packet.messageId], seen);
  done();
  // The first was acknowledged.
  await again.packet("publish");
  await again.noMorePublish("the first was acknowledged");
  await leave(again, sender);
}

async function sharedSubscriptions() {
  const members = [];
  for (const n of [0, 1, 2]) members.push(await (await Client.connect(`member-${n}`)).subscribe("$share/crew/work/#"));
  const other = await (await Client.connect("other-group")).subscribe("$share/spare/work/#");
  const all = new Inbox("the group");
  for (const member of members) member.mqtt.on("message", (_topic, payload) => all.put({ payload }));
  const sender = await Client.connect("foreman");
  const sent = numbers(30);
  for (const payload of sent) await sender.publish("work/now", payload, { qos: 1 + (payload % 2) });
  expect("the other group gets all", [...sent].sort(), text(await other.take(30)).sort());
  const got = [];
  while (got.length < 30) got.push(await all.next(`messages (${got.length} of 30 are there)`));
  expect("each message to one member", [...sent].sort(), text(got).sort());
  const idle = members.filter((member) => member.messages.items.length === 0).map((member) => member.name);
  expect("members without a share", [], idle);
  for (const member of members) {
    member.messages.items = [];
    await member.nothingMore("each message goes to one member");
  }
  await leave(...members, other, sender);
}

async function largePayloads() {
  const receiver = await (await Client.connect("large-receiver")).subscribe("large/#");
  const sender = await Client.connect("large-sender");
  for (const qos of [0, 1, 2]) {
    const payload = randomBytes(LARGE);
    await sender.publish(`large/${qos}`, payload, { qos });
    const message = await receiver.message("900 KiB");
    expect("bytes", LARGE, message.payload.length);
    expect("the same bytes", 0, Buffer.compare(payload, message.payload));
  }
  await leave(receiver, sender);
}

async function userProperties() {
  const receiver = await (await Client.connect("properties-receiver")).subscribe("told/#");
  const sender = await Client.connect("properties-sender");
  const told = { a: ["1", "3"], b: "2", "": "", ключ: "значение 🌊" };
  const properties = {
    userProperties: told,
    contentType: "text/plain",
    payloadFormatIndicator: true,
    responseTopic: "answer",
    correlationData: Buffer.from([0, 255]),
  };
  for (const qos of [0, 1, 2]) {
    await sender.publish(`told/${qos}`, "all", { qos, properties });
    const { userProperties: seen, ...others } = (await receiver.message()).properties;
    expect("user properties", told, { ...seen });
    const { userProperties: _, ...expected } = properties;
    expect("other properties", expected, others);
  }
  await leave(receiver, sender);
}

async function requests() {
  const requester = await Client.connect("requester", { properties: { requestResponseInformation: true } });
  const answers = requester.connack.properties.responseInformation;
  expect("Response Information", "responses/requester", answers);
  await requester.subscribe(`${answers}/#`);
  const responder = await (await Client.connect("responder")).subscribe("service/double");
  const responseTopic = `${answers}/double`;
  for (const qos of [0, 1, 2]) {
    const correlationData = Buffer.from([0, qos, 255]);
    await requester.publish("service/double", String(qos), { qos, properties: { responseTopic, correlationData } });
    const request = await responder.message("the request");
    const { responseTopic: to, correlationData: token } = request.properties;
    await responder.publish(to, String(2 * request.payload), { qos, properties: { correlationData: token } });
    const answer = await requester.message("the response");
    const seen = [answer.topic, answer.payload.toString(), answer.properties.correlationData];
    expect("the response", [responseTopic, String(2 * qos), correlationData], seen);
  }
  await leave(requester, responder);
}

/** The client's own: the broker never has more than three open. */
async function receiveMaximum() {
  const slow = await Client.connect("slow", { acknowledge: false, properties: { receiveMaximum: 3 } });
  await slow.subscribe("slow", 1);
  await slow.packet("suback");
  const sender = await Client.connect("fast");
  for (const payload of numbers(10)) await sender.publish("slow", payload, { qos: 1 });
  const got = [];
  const next = async () => got.push((await slow.wire.next("the next, as less than three are open")).payload.toString());
  for (let open = 0; open < 3; open += 1) await next();
  for (let acknowledged = 0; acknowledged < 10; acknowledged += 1) {
    await slow.noMorePublish("three messages are open");
    (await slow.unacknowledged.next("a message")).done();
    if (got.length < 10) await next();
  }
  expect("all come, in order", numbers(10), got);
  await leave(slow, sender);
}

async function aliasesToTheBroker() {
  const receiver = await (await Client.connect("alias-receiver")).subscribe("alias/#");
  const sender = await Client.connect("alias-sender", { autoAssignTopicAlias: true });
  expect("Topic Alias Maximum of the broker", 32, sender.connack.properties.topicAliasMaximum);
  let shortened = 0;
  sender.mqtt.on("packetsend", ({ cmd, topic }) => (shortened += cmd === "publish" && topic === ""));
  // One more topic than aliases, so that one of them gets another topic.
  const topics = numbers(33).flatMap((n) => [`alias/${n}`, `alias/${n}`]);
  for (const [n, topic] of topics.entries()) await sender.publish(topic, "x", { qos: n % 3 });
  const got = await receiver.take(topics.length);
  expect("topics", [...topics].sort(), got.map((message) => message.topic).sort());
  expect("topics that were left out", 33, shortened);
  expect("aliases for who takes none", [], got.filter((message) => message.properties.topicAlias !== undefined));
  await leave(receiver, sender);
}

async function aliasesFromTheBroker() {
  const receiver = await Client.connect("alias-taker", { properties: { topicAliasMaximum: 2 } });
  await receiver.subscribe("from/#");
  const sender = await Client.connect("alias-giver");
  const topics = ["a", "a", "b", "b", "c", "c", "a", "b"].map((name) => `from/${name}`);
  for (const topic of topics) await sender.publish(topic, "x", { qos: 1 });
  const got = await receiver.take(topics.length);
  expect("topics, resolved", topics, got.map((message) => message.topic));
  const aliases = got.map((message) => message.properties.topicAlias).filter((alias) => alias !== undefined);
  expect("aliases above Topic Alias Maximum", [], aliases.filter((alias) => alias < 1 || alias > 2));
  expect("some came as an alias only", true, got.some((message) => message.onTheWire === ""));
  await leave(receiver, sender);
}

async function clientCertificates() {
  const url = site["mutual-url"];
  const known = await (await Client.connect("known", { url })).subscribe("certified");
  await known.publish("certified", "yes", { qos: 2 });
  expect("a client with a certificate is served", ["yes"], text(await known.take(1)));
  await known.leave();
  const refused = await Client.connect("unknown", { url, identified: false }).then(
    () => false,
    () => true,
  );
  expect("a client without a certificate is refused", true, refused);
}

const scenarios = [
  ["QoS 0 round trips", roundTrips(0)],
  ["QoS 1 round trips", roundTrips(1)],
  ["QoS 2 round trips", roundTrips(2)],
  ["bursts", bursts],
  ["retained messages", retained],
  ["wills", wills],
  ["resumed sessions with queued messages", resumedSessions],
  ["unacknowledged messages come again", unacknowledged],
  ["shared subscriptions", sharedSubscriptions],
  ["large payloads", largePayloads],
];
if (V5) {
  scenarios.push(
    ["user properties", userProperties],
    ["request and response", requests],
    ["flow control by receive maximum", receiveMaximum],
    ["topic aliases to the broker", aliasesToTheBroker],
    ["topic aliases from the broker", aliasesFromTheBroker],
  );
}
if (site["mutual-url"]) scenarios.push(["client certificates", clientCertificates]);

let current = "start";

function fail(error) {
  console.log(`FAILED ${current}: ${error.message}`);
  process.exit(1);
}

process.on("unhandledRejection", fail);
for (const [name, scenario] of scenarios) {
  current = name;
  const late = () => fail(new Error(`not done in time; ${[...waitingFor].join(", ") || "MQTT.js waits"}`));
  const patience = setTimeout(late, PATIENCE);
  await scenario().catch(fail);
  clearTimeout(patience);
  console.log(`ok ${name}`);
}
process.exit(0);
