"""What a broker must do for paho-mqtt, one line per scenario; ends with 1 at the first that fails.

Started by tests/clients.rs, with the broker's address as mqtt://, mqtts://, ws://, wss:// or unix://PATH.
"""

import argparse
import faulthandler
import os
import queue
import socket
import sys
import time
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

# Seconds that a scenario may take. Generous: only a hang runs into it.
PATIENCE = 40
# Messages of a burst: more than the broker lets a client have open at once.
BURST = 200
LARGE = 900 * 1024


class Failed(Exception):
    """What was expected, and what came instead."""


def expect(what, expected, seen):
    if expected != seen:
        raise Failed(f"{what}: expected {expected!r}, saw {seen!r}")


def properties(packet, **values):
    made = Properties(packet)
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Site:
    """How to reach the broker, and in which version."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.v5 = arguments.version == "5"
        self.deadline = None

    def left(self):
        return max(0.0, self.deadline - time.monotonic())

    def client(self, name, **options):
        return Client(self, name, **options).connect()


class Lost:
    """Stands where events of a connection would, after its end."""

    def __init__(self, reason):
        self.reason = reason


class Client:
    """A paho client whose events are waited for. It never connects again by itself."""

    def __init__(self, site, name, clean=True, will=None, manual_ack=False, url=None, identified=True, **connect):
        self.site, self.name, self.clean, self.connect_properties = site, name, clean, connect
        self.messages = queue.Queue()
        self.subscribed = queue.Queue()
        self.acknowledged = queue.Queue()
        self.connected = queue.Queue()
        self.disconnected = queue.Queue()
        self.connack = None
        self.url = urlsplit(url or site.arguments.url)
        transport = {"ws": "websockets", "wss": "websockets", "unix": "unix"}.get(self.url.scheme, "tcp")
        session = {} if site.v5 else {"clean_session": clean}
        self.paho = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=name,
            protocol=mqtt.MQTTv5 if site.v5 else mqtt.MQTTv311,
            transport=transport,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
            **session,
        )
        self.paho.connect_timeout = PATIENCE
        self.paho.max_queued_messages_set(0)
        # paho does not look at what CONNACK says, and takes no other number once it is connected.
        self.paho.max_inflight_messages_set(site.arguments.receive_maximum)
        if transport == "websockets":
            self.paho.ws_set_options(path=self.url.path)
        if self.url.scheme in ("mqtts", "wss"):
            given = site.arguments
            own = {"certfile": given.cert, "keyfile": given.key} if identified and given.cert else {}
            self.paho.tls_set(ca_certs=given.ca, **own)
        if will:
            self.paho.will_set(**will)
        self.paho.on_connect = lambda _c, _u, flags, reason, told: self.connected.put((flags, reason, told))
        self.paho.on_connect_fail = lambda *_: self.connected.put(Lost("not connected"))
        self.paho.on_disconnect = lambda _c, _u, _f, reason, _p: self.lost(reason)
        self.paho.on_subscribe = lambda _c, _u, mid, reasons, _p: self.subscribed.put((mid, reasons))
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.on_publish = lambda _c, _u, mid, reason, _p: self.acknowledged.put((mid, reason))

    def lost(self, reason):
        self.disconnected.put(reason)
        # Whatever is waited for does not come then.
        for events in (self.connected, self.messages, self.subscribed, self.acknowledged):
            events.put(Lost(reason))

    def wait(self, events, what):
        try:
            event = events.get(timeout=self.site.left())
        except queue.Empty:
            raise Failed(f"{self.name} waited for {what}; it never came") from None
        if isinstance(event, Lost):
            raise Failed(f"{self.name} waited for {what}; the connection ended: {event.reason}")
        return event

    def connect(self):
        options = {}
        if self.site.v5:
            options["clean_start"] = self.clean
            if self.connect_properties:
                options["properties"] = properties(PacketTypes.CONNECT, **self.connect_properties)
        if self.url.scheme == "unix":
            self.paho.connect(self.url.path, keepalive=60, **options)
        else:
            self.paho.connect(self.url.hostname, self.url.port, keepalive=60, **options)
        self.paho.loop_start()
        flags, reason, self.connack = self.wait(self.connected, "CONNACK")
        if reason.is_failure:
            raise Failed(f"{self.name} is not let in: {reason}")
        self.session_present = flags.session_present
        return self

    def subscribe(self, topic, qos=2):
        _, mid = self.paho.subscribe(topic, qos)
        answered, reasons = self.wait(self.subscribed, f"SUBACK for {topic}")
        expect("packet identifier of SUBACK", mid, answered)
        expect(f"granted QoS for {topic}", [qos], [reason.value for reason in reasons])
        return self

    def publish(self, topic, payload, qos=0, retain=False, **told):
        """Sends, without waiting."""
        told = properties(PacketTypes.PUBLISH, **told) if told else None
        return self.paho.publish(topic, payload, qos, retain, told).mid

    def deliver(self, topic, payload, qos=1, retain=False, **told):
        """Sends, and waits until the broker has acknowledged."""
        mid = self.publish(topic, payload, qos, retain, **told)
        answered, reason = self.wait(self.acknowledged, f"acknowledgement of {topic}")
        expect("packet identifier of the acknowledgement", mid, answered)
        if reason.is_failure:
            raise Failed(f"publishing to {topic} is refused: {reason}")

    def message(self, what="a message"):
        return self.wait(self.messages, what)

    def take(self, count, what="messages"):
        return [self.message(f"{what} ({n} of {count} are there)") for n in range(count)]

    def nothing_more(self, what):
        """What was sent before this SUBACK is there after it."""
        self.subscribe(f"fence/{self.name}")
        if not self.messages.empty():
            message = self.messages.get()
            raise Failed(f"{what}: {self.name} also got {message.payload[:80]!r} on {message.topic!r}")

    def leave(self):
        """Ends with DISCONNECT."""
        self.paho.disconnect()
        self.wait(self.disconnected, "the end of its connection")
        self.paho.loop_stop()

    def cut(self):
        """Ends without DISCONNECT, as a lost network does."""
        wire = socket.socket(fileno=os.dup(self.paho.socket().fileno()))
        wire.shutdown(socket.SHUT_RDWR)
        wire.close()
        self.wait(self.disconnected, "the end of its connection")
        self.paho.loop_stop()


def text(messages):
    return [message.payload.decode() for message in messages]


def round_trips(site, qos):
    topic = f"round/{qos}"
    receiver = site.client(f"receiver-{qos}").subscribe(f"round/+/{qos}")
    sender = site.client(f"sender-{qos}")
    sent = [f"{qos} {n}" for n in range(10)]
    for payload in sent:
        if qos == 0:
            sender.publish(f"{topic}/{qos}", payload)
        else:
            sender.deliver(f"{topic}/{qos}", payload, qos)
    got = receiver.take(len(sent))
    expect("payloads", sent, text(got))
    expect("QoS, RETAIN and DUP", {(qos, False, False)}, {(m.qos, m.retain, m.dup) for m in got})
    expect("topics", {f"{topic}/{qos}"}, {m.topic for m in got})
    receiver.nothing_more("each message comes once")
    receiver.leave()
    sender.leave()


def bursts(site):
    """More at once than may be open: they wait in the client."""
    receiver = site.client("burst-receiver").subscribe("burst/+")
    sender = site.client("burst-sender")
    if site.v5:
        expect("Receive Maximum of the broker", site.arguments.receive_maximum, sender.connack.ReceiveMaximum)
    for qos in (1, 2):
        sent = [str(n) for n in range(BURST)]
        for payload in sent:
            sender.publish(f"burst/{qos}", payload, qos)
        expect(f"payloads at QoS {qos}", sent, text(receiver.take(BURST)))
        for _ in sent:
            sender.wait(sender.acknowledged, "acknowledgements of all")
    receiver.nothing_more("each message comes once")
    receiver.leave()
    sender.leave()


def retained(site):
    sender = site.client("retainer")
    there = site.client("there").subscribe("kept/#")
    for qos in (0, 1, 2):
        sender.deliver(f"kept/{qos}", f"old {qos}", 1, retain=True)
        sender.deliver(f"kept/{qos}", f"kept {qos}", qos, retain=True)
    expect("RETAIN for who was subscribed", [False] * 6, [m.retain for m in there.take(6)])
    late = site.client("late").subscribe("kept/#")
    got = sorted((m.topic, m.payload.decode(), m.qos, m.retain) for m in late.take(3))
    expect("retained messages", [(f"kept/{qos}", f"kept {qos}", qos, True) for qos in (0, 1, 2)], got)
    for qos in (0, 1, 2):
        sender.deliver(f"kept/{qos}", b"", 1, retain=True)
    expect("an empty message for who is subscribed", [""] * 3, text(late.take(3)))
    later = site.client("later").subscribe("kept/#")
    later.nothing_more("an empty message clears what is retained")
    for client in (sender, there, late, later):
        client.leave()


def wills(site):
    witness = site.client("witness").subscribe("will/#")
    for qos in (0, 1, 2):
        will = {"topic": f"will/{qos}", "payload": "never", "qos": qos}
        site.client(f"leaves-{qos}", will=will).leave()
        will |= {"payload": f"lost {qos}", "retain": True}
        if site.v5:
            will["properties"] = properties(PacketTypes.WILLMESSAGE, UserProperty=("cause", "cut"))
        site.client(f"lost-{qos}", will=will).cut()
        message = witness.message("the will")
        expect("the will", (f"will/{qos}", f"lost {qos}".encode(), qos), (message.topic, message.payload, message.qos))
        if site.v5:
            expect("its user properties", [("cause", "cut")], message.properties.UserProperty)
    late = site.client("late-witness").subscribe("will/#")
    expect("retained wills", [f"lost {qos}" for qos in (0, 1, 2)], sorted(text(late.take(3))))
    witness.leave()
    late.leave()


def resumed_sessions(site):
    kept = {"SessionExpiryInterval": 3600} if site.v5 else {}
    sleeper = site.client("sleeper", clean=False, **kept)
    expect("session present at first", False, sleeper.session_present)
    sleeper.subscribe("sleep/#")
    sleeper.leave()
    sender = site.client("waker")
    for n in range(5):
        for qos in (1, 2):
            sender.deliver(f"sleep/{qos}", str(n), qos)
    awake = site.client("sleeper", clean=False, **kept)
    expect("session present", True, awake.session_present)
    got = awake.take(10, "queued messages")
    for qos in (1, 2):
        expect(f"queued at QoS {qos}", [str(n) for n in range(5)], text(m for m in got if m.qos == qos))
    sender.deliver("sleep/1", "live", 1)
    expect("the subscription lives on", ["live"], text(awake.take(1)))
    awake.leave()
    fresh = site.client("sleeper", clean=True)
    expect("session present after a clean start", False, fresh.session_present)
    sender.deliver("sleep/1", "lost", 1)
    fresh.nothing_more("a clean start ends the subscriptions")
    fresh.leave()
    sender.leave()


def unacknowledged(site):
    kept = {"SessionExpiryInterval": 3600} if site.v5 else {}
    careful = site.client("careful", clean=False, manual_ack=True, **kept).subscribe("again", 1)
    sender = site.client("once")
    for payload in ("first", "second"):
        sender.deliver("again", payload, 1)
    first, second = careful.take(2)
    careful.paho.ack(first.mid, first.qos)
    # The acknowledgement has arrived before the connection ends.
    careful.nothing_more("two messages were sent")
    careful.cut()
    again = site.client("careful", clean=False, manual_ack=True, **kept)
    message = again.message("what was not acknowledged")
    expect("it comes again", (b"second", True, second.mid), (message.payload, message.dup, message.mid))
    again.paho.ack(message.mid, message.qos)
    again.nothing_more("the first was acknowledged")
    again.leave()
    sender.leave()


def shared_subscriptions(site):
    members = [site.client(f"member-{n}").subscribe("$share/crew/work/#") for n in range(3)]
    other = site.client("other-group").subscribe("$share/spare/work/#")
    sender = site.client("foreman")
    sent = [str(n) for n in range(30)]
    for n, payload in enumerate(sent):
        sender.deliver("work/now", payload, 1 + n % 2)
    expect("the other group gets all", sorted(sent), sorted(text(other.take(30))))
    shares = [[], [], []]
    while sum(map(len, shares)) < len(sent):
        before = sum(map(len, shares))
        for share, member in zip(shares, members):
            while not member.messages.empty():
                share.append(member.messages.get())
        if sum(map(len, shares)) == before:
            # Round robin: who has least has one to come.
            share, member = min(zip(shares, members), key=lambda pair: len(pair[0]))
            share.append(member.message(f"its share; so far {[len(share) for share in shares]}"))
    expect("each message to one member", sorted(sent), sorted(sum(map(text, shares), [])))
    for member in members:
        member.nothing_more("each message goes to one member")
        member.leave()
    other.leave()
    sender.leave()


def large_payloads(site):
    receiver = site.client("large-receiver").subscribe("large/#")
    sender = site.client("large-sender")
    for qos in (0, 1, 2):
        payload = os.urandom(LARGE)
        sender.publish(f"large/{qos}", payload, qos)
        message = receiver.message("900 KiB")
        expect("bytes", LARGE, len(message.payload))
        expect("the same bytes", True, payload == message.payload)
    receiver.leave()
    sender.leave()


def user_properties(site):
    receiver = site.client("properties-receiver").subscribe("told/#")
    sender = site.client("properties-sender")
    pairs = [("a", "1"), ("b", "2"), ("a", "3"), ("", ""), ("ключ", "значение 🌊")]
    for qos in (0, 1, 2):
        sender.publish(
            f"told/{qos}",
            "all",
            qos,
            UserProperty=pairs,
            ContentType="text/plain",
            PayloadFormatIndicator=1,
            ResponseTopic="answer",
            CorrelationData=b"\x00\xff",
        )
        told = receiver.message().properties
        expect("user properties", pairs, told.UserProperty)
        others = (told.ContentType, told.PayloadFormatIndicator, told.ResponseTopic, told.CorrelationData)
        expect("other properties", ("text/plain", 1, "answer", b"\x00\xff"), others)
    receiver.leave()
    sender.leave()


def requests(site):
    requester = site.client("requester", RequestResponseInformation=1)
    answers = requester.connack.ResponseInformation
    expect("Response Information", "responses/requester", answers)
    requester.subscribe(f"{answers}/#")
    responder = site.client("responder").subscribe("service/double")
    for n, qos in enumerate((0, 1, 2)):
        token = bytes([0, n, 255])
        requester.publish("service/double", str(n), qos, ResponseTopic=f"{answers}/double", CorrelationData=token)
        request = responder.message("the request")
        told = request.properties
        responder.publish(told.ResponseTopic, str(2 * int(request.payload)), qos, CorrelationData=told.CorrelationData)
        answer = requester.message("the response")
        seen = (answer.topic, answer.payload, answer.properties.CorrelationData)
        expect("the response", (f"{answers}/double", str(2 * n).encode(), token), seen)
    requester.leave()
    responder.leave()


def receive_maximum(site):
    """The client's own: the broker never has more than three open."""
    slow = site.client("slow", manual_ack=True, ReceiveMaximum=3).subscribe("slow", 1)
    sender = site.client("fast")
    for n in range(10):
        sender.deliver("slow", str(n), 1)
    opened = slow.take(3)
    got = []
    while opened:
        slow.nothing_more("three messages are open")
        message = opened.pop(0)
        got.append(message.payload.decode())
        slow.paho.ack(message.mid, message.qos)
        if len(got) + len(opened) < 10:
            opened.append(slow.message("the next, as one is acknowledged"))
    expect("all come, in order", [str(n) for n in range(10)], got)
    slow.leave()
    sender.leave()


def aliases_to_the_broker(site):
    receiver = site.client("alias-receiver").subscribe("alias/#")
    sender = site.client("alias-sender")
    expect("Topic Alias Maximum of the broker", 32, sender.connack.TopicAliasMaximum)
    for alias, name in ((1, "one"), (32, "two"), (1, "three")):
        sender.publish(f"alias/{name}", name, 1, TopicAlias=alias)
        sender.publish("", f"{name} again", 2, TopicAlias=alias)
        got = receiver.take(2)
        expect("topics", [f"alias/{name}"] * 2, [m.topic for m in got])
        expect("payloads", [name, f"{name} again"], text(got))
    expect("no alias for who takes none", False, hasattr(got[1].properties, "TopicAlias"))
    receiver.leave()
    sender.leave()


def aliases_from_the_broker(site):
    receiver = site.client("alias-taker", TopicAliasMaximum=2).subscribe("from/#")
    sender = site.client("alias-giver")
    topics = [f"from/{name}" for name in ("a", "a", "b", "b", "c", "c", "a", "b")]
    names, got, shortened = {}, [], 0
    for topic in topics:
        sender.publish(topic, "x", 1)
        message = receiver.message()
        # paho leaves it to the application to resolve them.
        alias = getattr(message.properties, "TopicAlias", None)
        if alias is not None:
            expect("aliases up to Topic Alias Maximum", True, 1 <= alias <= 2)
            if message.topic:
                names[alias] = message.topic
            else:
                shortened += 1
        got.append(message.topic or names.get(alias))
    expect("topics, resolved", topics, got)
    expect("some came as an alias only", True, shortened > 0)
    receiver.leave()
    sender.leave()


def client_certificates(site):
    url = site.arguments.mutual_url
    known = Client(site, "known", url=url).connect().subscribe("certified")
    known.deliver("certified", "yes", 2)
    expect("a client with a certificate is served", ["yes"], text(known.take(1)))
    known.leave()
    try:
        Client(site, "unknown", url=url, identified=False).connect()
    except (Failed, OSError):
        return
    raise Failed("a client without a certificate is let in")


def scenarios(site):
    for qos in (0, 1, 2):
        yield f"QoS {qos} round trips", lambda site, qos=qos: round_trips(site, qos)
    yield "bursts", bursts
    yield "retained messages", retained
    yield "wills", wills
    yield "resumed sessions with queued messages", resumed_sessions
    yield "unacknowledged messages come again", unacknowledged
    yield "shared subscriptions", shared_subscriptions
    yield "large payloads", large_payloads
    if site.v5:
        yield "user properties", user_properties
        yield "request and response", requests
        yield "flow control by receive maximum", receive_maximum
        yield "topic aliases to the broker", aliases_to_the_broker
        yield "topic aliases from the broker", aliases_from_the_broker
    if site.arguments.mutual_url:
        yield "client certificates", client_certificates


def main(scenarios=scenarios):
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--version", choices=("3.1.1", "5"), required=True)
    parser.add_argument("--receive-maximum", type=int, default=65535)
    parser.add_argument("--mutual-url", help="a listener that asks for a client certificate")
    for file in ("--ca", "--cert", "--key"):
        parser.add_argument(file)
    site = Site(parser.parse_args())
    for name, scenario in scenarios(site):
        site.deadline = time.monotonic() + PATIENCE
        # For what waits inside of paho.
        faulthandler.dump_traceback_later(PATIENCE + 5, exit=True)
        try:
            scenario(site)
        except Exception as error:
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
            # Threads of clients still run.
            os._exit(1)
        faulthandler.cancel_dump_traceback_later()
        print(f"ok {name}", flush=True)


if __name__ == "__main__":
    main()
