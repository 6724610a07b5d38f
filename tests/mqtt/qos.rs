//! QoS 0, 1 and 2 in both directions: handshakes, repeats, windows, packet identifiers, order.

use std::collections::HashSet;
use tidegate_mqtt::{Ack, Connect, ConnectProperties, Packet, PacketId, Publish, QoS, ReasonCode, Version};
use tidegate_tests::{
    BOTH, Broker, Client, Message, Received, Wrong, ack, connect, each_ends_its_connection, frame, publish,
};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V3_1, V3_1_1, V5};

fn id(n: u16) -> PacketId {
    PacketId::new(n).unwrap()
}

fn refused(packet_id: PacketId, reason: ReasonCode) -> Ack {
    Ack { reason, ..ack(packet_id) }
}

/// A session that stays, subscribed to `a` at QoS 2.
fn subscribed(broker: &Broker, version: Version) -> Client {
    let (mut client, _) = Client::connect_session(broker, version, &format!("s {version:?}"), false);
    assert_eq!(client.subscribe("a", ExactlyOnce), ReasonCode::GrantedQos2);
    client
}

/// Breaks the connection and takes the session up again.
fn returns(broker: &Broker, version: Version, client: Client) -> Client {
    client.break_off();
    let (client, present) = Client::connect_session(broker, version, &format!("s {version:?}"), false);
    assert!(present);
    client
}

/// A client of MQTT 5 that takes so many QoS 1 and 2 messages at once.
fn with_receive_maximum(broker: &Broker, client_id: &str, receive_maximum: u16) -> Client {
    let properties =
        ConnectProperties { receive_maximum: Some(id(receive_maximum)), ..ConnectProperties::default() };
    Client::connect_with(broker, Connect { properties, ..connect(V5, client_id) }).0
}

fn publish_at<'a>(packet_id: u16, payload: &'a str, qos: QoS) -> Packet<'a> {
    Packet::Publish(Publish { packet_id: Some(id(packet_id)), ..publish("a", payload, qos) })
}

fn repeat_at<'a>(packet_id: u16, payload: &'a str, qos: QoS) -> Packet<'a> {
    Packet::Publish(Publish { dup: true, packet_id: Some(id(packet_id)), ..publish("a", payload, qos) })
}

#[test]
fn v5_4_5_0_1_and_v311_4_5_0_1_every_version_reaches_every_version_at_every_qos() {
    let broker = Broker::start("");
    for from in [V3_1, V3_1_1, V5] {
        for to in [V3_1, V3_1_1, V5] {
            let mut subscriber = Client::connect(&broker, to, "s");
            subscriber.subscribe("a/#", ExactlyOnce);
            let mut publisher = Client::connect(&broker, from, "p");
            for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
                assert_eq!(publisher.publish("a/b", "x", qos), ReasonCode::Success);
                let message = subscriber.accept();
                assert_eq!((message.topic.as_str(), message.payload.as_str()), ("a/b", "x"));
                assert_eq!((message.qos, message.dup, message.retain), (qos, false, false));
            }
            subscriber.expect_nothing();
            publisher.expect_nothing();
            subscriber.disconnect();
            publisher.break_off();
        }
    }
    broker.stop();
}

#[test]
fn v5_3_3_1_3_and_v311_3_3_1_3_the_dup_flag_of_the_publisher_is_not_passed_on() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = subscribed(&broker, version);
        client.send(&repeat_at(9, "x", AtLeastOnce));
        client.expect_packet(&Packet::PubAck(ack(id(9))));
        assert!(!client.accept().dup, "{version:?}");
        client.disconnect();
    }
}

#[test]
fn v5_3_4_2_1_and_v5_3_5_2_1_a_message_nobody_receives_is_acknowledged_with_0x10() {
    let broker = Broker::start("");
    let mut client = Client::connect(&broker, V5, "c");
    for qos in [AtLeastOnce, ExactlyOnce] {
        assert_eq!(client.publish("nobody", "x", qos), ReasonCode::NoMatchingSubscribers);
    }
}

#[test]
fn v5_4_4_0_1_and_v311_4_4_0_1_what_is_not_acknowledged_is_sent_again_with_dup() {
    let broker = Broker::start("");
    for version in BOTH {
        for qos in [AtLeastOnce, ExactlyOnce] {
            let mut subscriber = subscribed(&broker, version);
            let mut publisher = Client::connect(&broker, version, "p");
            publisher.publish("a", "one", qos);
            publisher.publish("a", "two", qos);
            let sent = [subscriber.message(), subscriber.message()];
            // Not while the connection lives.
            subscriber.expect_nothing();
            let mut subscriber = returns(&broker, version, subscriber);
            for first in sent {
                let again = subscriber.accept();
                assert!(again.dup && !first.dup, "{version:?}"); // v5 MQTT-3.3.1-1
                assert_eq!((again.packet_id, again.payload), (first.packet_id, first.payload));
            }
            subscriber.ping();
            let mut subscriber = returns(&broker, version, subscriber);
            subscriber.expect_nothing();
            subscriber.unsubscribe(&["a"]);
            subscriber.disconnect();
        }
    }
}

#[test]
fn v5_4_3_3_5_and_v5_4_3_3_6_and_v311_4_3_3_1_after_pubrec_only_pubrel_is_repeated() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut subscriber = subscribed(&broker, version);
        Client::connect(&broker, version, "p").publish("a", "x", ExactlyOnce);
        let message = subscriber.message();
        subscriber.send(&Packet::PubRec(ack(message.id())));
        subscriber.expect_packet(&Packet::PubRel(ack(message.id())));
        let mut subscriber = returns(&broker, version, subscriber);
        subscriber.expect_packet(&Packet::PubRel(ack(message.id()))); // v5 MQTT-4.3.3-5
        subscriber.send(&Packet::PubComp(ack(message.id())));
        subscriber.expect_nothing();
        let mut subscriber = returns(&broker, version, subscriber);
        subscriber.expect_nothing();
        subscriber.disconnect();
    }
}

#[test]
fn v5_4_3_3_8_and_v5_4_3_3_10_and_v5_4_3_3_11_and_v5_4_3_3_12_and_v311_4_3_3_2_a_repeat_is_delivered_once() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut witness = Client::connect(&broker, V5, "witness");
        witness.subscribe("a", ExactlyOnce);
        let (mut client, _) = Client::connect_session(&broker, version, "p", false);
        client.send(&publish_at(7, "x", ExactlyOnce));
        client.expect_packet(&Packet::PubRec(ack(id(7))));
        client.send(&repeat_at(7, "x", ExactlyOnce));
        client.expect_packet(&Packet::PubRec(ack(id(7))));
        client.break_off();
        // The session remembers.
        let (mut client, present) = Client::connect_session(&broker, version, "p", false);
        assert!(present);
        client.send(&repeat_at(7, "x", ExactlyOnce));
        client.expect_packet(&Packet::PubRec(ack(id(7))));
        client.send(&Packet::PubRel(ack(id(7))));
        client.expect_packet(&Packet::PubComp(ack(id(7)))); // v5 MQTT-4.3.3-11
        // From now on it is another message, whatever DUP says: v5 MQTT-4.3.3-12.
        client.send(&repeat_at(7, "y", ExactlyOnce));
        client.expect_packet(&Packet::PubRec(ack(id(7))));
        client.send(&Packet::PubRel(ack(id(7))));
        client.expect_packet(&Packet::PubComp(ack(id(7))));
        assert_eq!(witness.payloads(2), ["x", "y"], "{version:?}");
        witness.expect_nothing();
        witness.disconnect();
        client.disconnect();
    }
}

#[test]
fn v5_4_3_2_4_and_v5_4_3_2_5_and_v311_4_3_2_2_after_puback_the_packet_identifier_is_another_message() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = subscribed(&broker, version);
        for (packet, payload) in
            [(publish_at(3, "one", AtLeastOnce), "one"), (repeat_at(3, "two", AtLeastOnce), "two")]
        {
            client.send(&packet);
            client.expect_packet(&Packet::PubAck(ack(id(3))));
            assert_eq!(client.accept().payload, payload);
        }
        client.disconnect();
    }
}

#[test]
fn v5_2_2_1_5_acknowledgements_nobody_waits_for_do_no_harm() {
    let broker = Broker::start("");
    for version in BOTH {
        let unknown = |packet_id| match version {
            V5 => refused(packet_id, ReasonCode::PacketIdentifierNotFound),
            _ => ack(packet_id),
        };
        let mut client = Client::connect(&broker, version, "c");
        client.send(&Packet::PubAck(ack(id(1))));
        client.send(&Packet::PubComp(ack(id(2))));
        client.send(&Packet::PubRel(ack(id(3))));
        client.expect_packet(&Packet::PubComp(unknown(id(3))));
        client.send(&Packet::PubRec(ack(id(4))));
        client.expect_packet(&Packet::PubRel(unknown(id(4))));
        client.expect_nothing();
    }
}

#[test]
fn v5_4_3_3_4_and_v5_4_4_0_2_a_refusal_by_the_client_settles_the_message() {
    let broker = Broker::start("");
    let mut subscriber = subscribed(&broker, V5);
    let mut publisher = Client::connect(&broker, V5, "p");
    publisher.publish("a", "one", AtLeastOnce);
    publisher.publish("a", "two", ExactlyOnce);
    let (one, two) = (subscriber.message(), subscriber.message());
    subscriber.send(&Packet::PubAck(refused(one.id(), ReasonCode::QuotaExceeded)));
    subscriber.send(&Packet::PubRec(refused(two.id(), ReasonCode::ImplementationSpecificError)));
    subscriber.expect_nothing(); // v5 MQTT-4.3.3-4: no PUBREL.
    let mut subscriber = returns(&broker, V5, subscriber);
    subscriber.expect_nothing();
}

#[test]
fn v5_3_3_4_7_more_open_messages_than_the_receive_maximum_end_the_connection() {
    let broker = Broker::start("[limits]\nreceive_maximum = 2\n");
    let mut client = Client::connect(&broker, V5, "c");
    for n in 1..=2 {
        client.send(&publish_at(n, "x", ExactlyOnce));
        client.expect_packet(&Packet::PubRec(refused(id(n), ReasonCode::NoMatchingSubscribers)));
    }
    // QoS 0 and repeats do not count.
    client.send(&Packet::Publish(publish("a", "x", AtMostOnce)));
    client.send(&repeat_at(2, "x", ExactlyOnce));
    client.expect_packet(&Packet::PubRec(ack(id(2))));
    // One done makes room for one.
    client.send(&Packet::PubRel(ack(id(1))));
    client.expect_packet(&Packet::PubComp(ack(id(1))));
    client.send(&publish_at(3, "x", ExactlyOnce));
    client.expect_packet(&Packet::PubRec(refused(id(3), ReasonCode::NoMatchingSubscribers)));
    client.send(&publish_at(4, "x", ExactlyOnce));
    client.expect_disconnect(ReasonCode::ReceiveMaximumExceeded);
}

#[test]
fn v311_4_3_3_2_older_clients_know_no_receive_maximum() {
    let broker = Broker::start("[limits]\nreceive_maximum = 2\n");
    let mut client = Client::connect(&broker, V3_1_1, "c");
    for n in 1..=10 {
        client.send(&publish_at(n, "x", ExactlyOnce));
        client.expect_packet(&Packet::PubRec(ack(id(n))));
    }
    client.expect_nothing();
}

#[test]
fn v5_3_3_4_9_and_v5_4_9_0_2_the_broker_keeps_to_the_receive_maximum_of_the_client() {
    let broker = Broker::start("");
    let mut subscriber = with_receive_maximum(&broker, "s", 2);
    subscriber.subscribe("a", ExactlyOnce);
    subscriber.subscribe("b", AtMostOnce);
    let mut publisher = Client::connect(&broker, V5, "p");
    for (payload, qos) in
        [("1", AtLeastOnce), ("2", ExactlyOnce), ("3", AtLeastOnce), ("4", ExactlyOnce), ("5", AtLeastOnce)]
    {
        publisher.publish("a", payload, qos);
    }
    let (one, two) = (subscriber.message(), subscriber.message());
    assert_eq!((one.payload.as_str(), two.payload.as_str()), ("1", "2"));
    subscriber.expect_nothing();
    // v5 MQTT-3.3.4-10, MQTT-4.9.0-3: nothing else is held back.
    publisher.publish("b", "at most once", AtMostOnce);
    assert_eq!(subscriber.message().payload, "at most once");
    subscriber.subscribe("c", AtLeastOnce);
    // PUBREC frees no room, PUBCOMP does.
    subscriber.send(&Packet::PubRec(ack(two.id())));
    subscriber.expect_packet(&Packet::PubRel(ack(two.id())));
    subscriber.expect_nothing();
    subscriber.send(&Packet::PubComp(ack(two.id())));
    let three = subscriber.message();
    assert_eq!(three.payload, "3");
    subscriber.expect_nothing();
    subscriber.acknowledge(&one);
    subscriber.acknowledge(&three);
    assert_eq!(subscriber.payloads(2), ["4", "5"]);
    subscriber.expect_nothing();
}

#[test]
fn v311_4_4_0_1_max_inflight_holds_for_clients_that_name_no_receive_maximum() {
    let broker = Broker::start("[limits]\nmax_inflight = 1\n");
    for version in BOTH {
        let mut subscriber = Client::connect(&broker, version, "s");
        subscriber.subscribe("a", AtLeastOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        for payload in ["1", "2", "3"] {
            publisher.publish("a", payload, AtLeastOnce);
        }
        let first = subscriber.message();
        subscriber.expect_nothing();
        subscriber.acknowledge(&first);
        assert_eq!(subscriber.payloads(2), ["2", "3"], "{version:?}");
    }
}

#[test]
fn v5_2_2_1_4_and_v311_2_3_1_4_open_messages_have_packet_identifiers_of_their_own() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut subscriber = Client::connect(&broker, version, "s");
        subscriber.subscribe("a", ExactlyOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        let mut open = HashSet::new();
        for n in 0..50 {
            publisher.publish("a", "x", if n % 2 == 0 { AtLeastOnce } else { ExactlyOnce });
            assert!(open.insert(subscriber.message().id()), "{version:?}: one is there twice");
        }
    }
}

#[test]
fn v5_4_6_0_6_and_v311_4_6_0_6_messages_keep_their_order() {
    const COUNT: usize = 300;
    let broker = Broker::start("");
    for version in BOTH {
        let mut subscriber = Client::connect(&broker, version, "s");
        subscriber.subscribe("a", ExactlyOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        for n in 0..COUNT {
            let qos = [AtLeastOnce, ExactlyOnce][n % 2];
            let packet_id = u16::try_from(n + 1).unwrap();
            publisher.send(&publish_at(packet_id, &n.to_string(), qos));
        }
        let expected: Vec<_> = (0..COUNT).map(|n| n.to_string()).collect();
        assert_eq!(subscriber.payloads(COUNT), expected, "{version:?}");
        // v5 MQTT-4.6.0-2, MQTT-4.6.0-3: acknowledgements keep it, too.
        for n in 0..COUNT {
            let packet_id = id(u16::try_from(n + 1).unwrap());
            let expected = [Packet::PubAck(ack(packet_id)), Packet::PubRec(ack(packet_id))][n % 2].clone();
            assert_eq!(publisher.receive(), Received::Packet(expected), "{version:?}");
        }
    }
}

/// Codes of MQTT 5 that one of these packets may have, by its first byte.
const REASONS: [(u8, &[u8]); 4] = [
    (0x40, &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
    (0x50, &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
    (0x62, &[0x00, 0x92]),
    (0x70, &[0x00, 0x92]),
];

#[test]
fn v5_3_4_2_1_and_v5_3_5_2_1_and_v5_3_6_2_1_and_v5_3_7_2_1_reasons_are_those_of_the_packets_table() {
    let broker = Broker::start("");
    let tried =
        [0x01, 0x02, 0x04, 0x10, 0x18, 0x7F, 0x80, 0x81, 0x82, 0x83, 0x87, 0x8E, 0x90, 0x92, 0x9E, 0xFF];
    for (first_byte, allowed) in REASONS {
        let wrong: Vec<Wrong<'_>> = tried
            .iter()
            .filter(|code| !allowed.contains(code))
            .map(|code| {
                ("a code of another table", frame(first_byte, &[0, 9, *code]), ReasonCode::ProtocolError)
            })
            .collect();
        each_ends_its_connection(&broker, V5, &wrong);
        let mut client = Client::connect(&broker, V5, "c");
        for code in allowed {
            // For a packet identifier that is not in use, so each is answered or ignored.
            client.send_bytes(&frame(first_byte, &[0, 9, *code, 0]));
            let answer = match first_byte {
                // A refusal is the end of it.
                0x50 if *code < 0x80 => {
                    Some(Packet::PubRel(refused(id(9), ReasonCode::PacketIdentifierNotFound)))
                }
                0x62 => Some(Packet::PubComp(refused(id(9), ReasonCode::PacketIdentifierNotFound))),
                _ => None,
            };
            answer.iter().for_each(|answer| client.expect_packet(answer));
            client.expect_nothing();
        }
    }
}

#[test]
fn v5_3_6_1_1_and_v311_3_6_1_1_pubrel_has_its_flags_or_ends_the_connection() {
    let broker = Broker::start("");
    for version in BOTH {
        let (mut client, _) = Client::connect_session(&broker, version, "p", true);
        client.send(&publish_at(1, "x", ExactlyOnce));
        client.receive();
        client.break_off();
        let wrong: Vec<_> = (0..16)
            .filter(|flags| *flags != 0b0010)
            .map(|flags| ("PUBREL flags", vec![0x60 | flags, 2, 0, 1], ReasonCode::MalformedPacket))
            .collect();
        each_ends_its_connection(&broker, version, &wrong);
        let (mut client, _) = Client::connect_session(&broker, version, "p", false);
        client.send_bytes(&[0x62, 2, 0, 1]);
        client.expect_packet(&Packet::PubComp(ack(id(1))));
        client.disconnect();
    }
}

#[test]
fn v5_4_3_1_1_and_v311_4_3_1_1_qos_0_has_no_dup_flag() {
    let broker = Broker::start("");
    for version in BOTH {
        let none: &[u8] = if version == V5 { &[0] } else { &[] };
        let repeated = |flags: u8| frame(0x38 | flags, &[&[0, 1, b'a'], none, b"x"].concat());
        let malformed = ReasonCode::MalformedPacket;
        let cases = [("DUP", repeated(0), malformed), ("DUP and RETAIN", repeated(1), malformed)];
        each_ends_its_connection(&broker, version, &cases);
        // Nor has what the broker sends at QoS 0, even of a message that came repeated.
        let mut client = Client::connect(&broker, version, "c");
        client.subscribe("a", AtMostOnce);
        for (n, qos) in [(1, AtLeastOnce), (2, ExactlyOnce)] {
            client.send(&repeat_at(n, "x", qos));
            let answers = [Packet::PubAck(ack(id(n))), Packet::PubRec(ack(id(n)))];
            client.expect_packet(&answers[usize::from(n) - 1]);
            let message = client.message();
            assert_eq!(
                (message.qos, message.dup, message.packet_id),
                (AtMostOnce, false, None),
                "{version:?}"
            );
        }
        client.disconnect();
    }
}

/// A session that stays, subscribed to `a` at QoS 2, at a broker that sends three messages at once.
fn of_three(broker: &Broker, version: Version) -> (Client, [Message; 3]) {
    let mut subscriber = subscribed(broker, version);
    let mut publisher = Client::connect(broker, version, "p");
    for payload in ["1", "2", "3", "4", "5"] {
        publisher.publish("a", payload, AtLeastOnce);
    }
    let open = std::array::from_fn(|_| subscriber.message());
    subscriber.expect_nothing();
    (subscriber, open)
}

#[test]
fn v5_4_3_2_1_and_v5_4_3_2_2_and_v5_4_3_2_3_and_v311_4_3_2_1_a_qos_1_message_is_open_until_puback() {
    let broker = Broker::start("[limits]\nmax_inflight = 3\n");
    for version in BOTH {
        let (mut subscriber, open) = of_three(&broker, version);
        let identifiers: HashSet<_> = open.iter().map(Message::id).collect();
        assert_eq!(identifiers.len(), 3, "{version:?}");
        assert!(open.iter().all(|message| (message.qos, message.dup) == (AtLeastOnce, false)), "{open:?}");
        // What is no PUBACK, or for another one, changes nothing.
        subscriber.send(&Packet::PubComp(ack(open[0].id())));
        subscriber.send(&Packet::PubAck(ack(id(60_000))));
        subscriber.expect_nothing();
        subscriber.acknowledge(&open[1]);
        let four = subscriber.message();
        assert_eq!((four.payload.as_str(), four.qos, four.dup), ("4", AtLeastOnce, false));
        assert!(![open[0].id(), open[2].id()].contains(&four.id()), "{version:?}: still in use");
        let mut subscriber = returns(&broker, version, subscriber);
        for expected in [&open[0], &open[2], &four] {
            let again = subscriber.message();
            assert_eq!(
                (&again.payload, again.packet_id, again.dup),
                (&expected.payload, expected.packet_id, true)
            );
            subscriber.acknowledge(&again);
        }
        let five = subscriber.accept();
        assert_eq!((five.payload.as_str(), five.dup), ("5", false));
        subscriber.expect_nothing();
        subscriber.unsubscribe(&["a"]);
        subscriber.disconnect();
    }
}

#[test]
fn v5_4_3_3_1_and_v5_4_3_3_2_and_v5_4_3_3_3_and_v311_4_3_3_1_a_qos_2_message_is_open_until_pubrec() {
    let broker = Broker::start("[limits]\nmax_inflight = 3\n");
    for version in BOTH {
        let mut subscriber = subscribed(&broker, version);
        let mut publisher = Client::connect(&broker, version, "p");
        for payload in ["1", "2", "3", "4"] {
            publisher.publish("a", payload, ExactlyOnce);
        }
        let open: [Message; 3] = std::array::from_fn(|_| subscriber.message());
        let identifiers: HashSet<_> = open.iter().map(Message::id).collect();
        assert_eq!(identifiers.len(), 3, "{version:?}");
        assert!(open.iter().all(|message| (message.qos, message.dup) == (ExactlyOnce, false)), "{open:?}");
        // A PUBACK is not what is waited for.
        subscriber.send(&Packet::PubAck(ack(open[1].id())));
        subscriber.send(&Packet::PubRec(ack(open[0].id())));
        subscriber.expect_packet(&Packet::PubRel(ack(open[0].id())));
        subscriber.expect_nothing();
        let mut subscriber = returns(&broker, version, subscriber);
        // v5 MQTT-4.3.3-5, MQTT-4.3.3-6
        subscriber.expect_packet(&Packet::PubRel(ack(open[0].id())));
        for expected in &open[1..] {
            let again = subscriber.message();
            assert_eq!(
                (&again.payload, again.packet_id, again.dup),
                (&expected.payload, expected.packet_id, true)
            );
        }
        subscriber.expect_nothing();
        subscriber.send(&Packet::PubComp(ack(open[0].id())));
        let four = subscriber.message();
        assert_eq!((four.payload.as_str(), four.dup), ("4", false));
        assert!(![open[1].id(), open[2].id()].contains(&four.id()), "{version:?}: still in use");
        [&open[1], &open[2], &four].iter().for_each(|message| subscriber.acknowledge(message));
        subscriber.expect_nothing();
        subscriber.unsubscribe(&["a"]);
        subscriber.disconnect();
    }
}

#[test]
fn v5_4_3_2_1_and_v5_4_3_3_1_and_v311_4_3_2_1_and_v311_4_3_3_1_a_number_in_use_is_skipped_when_all_were_used()
{
    const AT_ONCE: usize = 500;
    let broker = Broker::start("");
    for version in BOTH {
        let mut subscriber = Client::connect(&broker, version, "s");
        subscriber.subscribe("a", ExactlyOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish("a", "x", AtLeastOnce);
        publisher.publish("a", "x", ExactlyOnce);
        let open = [subscriber.message().id(), subscriber.message().id()];
        let packet = {
            let mut bytes = Vec::new();
            publish_at(9, "x", AtLeastOnce).encode(version, &mut bytes).unwrap();
            bytes.repeat(AT_ONCE)
        };
        for _ in 0..=usize::from(u16::MAX) / AT_ONCE {
            publisher.send_bytes(&packet);
            for _ in 0..AT_ONCE {
                let message = subscriber.message();
                assert!(!open.contains(&message.id()), "{version:?}: {message:?}");
                subscriber.acknowledge(&message);
            }
            for _ in 0..AT_ONCE {
                publisher.receive();
            }
        }
    }
}

#[test]
fn v5_4_3_3_4_pubrec_is_answered_by_pubrel_whatever_success_it_tells_of() {
    let broker = Broker::start("");
    let mut subscriber = subscribed(&broker, V5);
    let mut publisher = Client::connect(&broker, V5, "p");
    for (code, is_error) in REASONS[1].1.iter().map(|code| (*code, *code >= 0x80)) {
        publisher.publish("a", "x", ExactlyOnce);
        let message = subscriber.message();
        let reason = ReasonCode::try_from(code).unwrap();
        subscriber.send(&Packet::PubRec(refused(message.id(), reason)));
        if !is_error {
            subscriber.expect_packet(&Packet::PubRel(ack(message.id())));
            subscriber.send(&Packet::PubComp(ack(message.id())));
        }
        subscriber.expect_nothing();
    }
    returns(&broker, V5, subscriber).expect_nothing();
}

#[test]
fn v5_4_3_3_9_after_a_refusing_pubrec_the_packet_identifier_is_another_message() {
    let broker = Broker::start("[limits]\nmax_retained_bytes = 0\n");
    let mut witness = Client::connect(&broker, V5, "witness");
    witness.subscribe("a", ExactlyOnce);
    let mut client = Client::connect(&broker, V5, "p");
    let pubrec = |received: &Received| match received {
        Received::Packet(Packet::PubRec(ack)) => Some(ack.clone()),
        _ => None,
    };
    // Whether it says it is a repeat or not.
    for dup in [false, true] {
        let refused_publish =
            Publish { retain: true, packet_id: Some(id(7)), ..publish("a", "never", ExactlyOnce) };
        client.send(&Packet::Publish(refused_publish));
        assert_eq!(client.find("PUBREC", pubrec).reason, ReasonCode::QuotaExceeded);
        client.send(&Packet::Publish(Publish {
            dup,
            packet_id: Some(id(7)),
            ..publish("a", "y", ExactlyOnce)
        }));
        assert_eq!(client.find("PUBREC", pubrec), ack(id(7)));
        client.send(&Packet::PubRel(ack(id(7))));
        client.expect_packet(&Packet::PubComp(ack(id(7))));
        assert_eq!(witness.payloads(1), ["y"]);
    }
    witness.expect_nothing();
}
