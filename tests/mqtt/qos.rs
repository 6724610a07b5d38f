//! QoS 0, 1 and 2 in both directions: handshakes, repeats, windows, packet identifiers, order.

use std::collections::HashSet;
use tidegate_mqtt::{Ack, Connect, ConnectProperties, Packet, PacketId, Publish, QoS, ReasonCode, Version};
use tidegate_tests::{BOTH, Broker, Client, Received, ack, connect, publish};

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
fn v5_3_4_2_1_a_message_nobody_receives_is_acknowledged_with_0x10() {
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
fn v5_4_3_3_6_and_v311_4_3_3_1_after_pubrec_only_pubrel_is_repeated() {
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
fn v5_4_3_3_10_and_v311_4_3_3_2_a_repeated_qos_2_publish_is_delivered_once() {
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
fn v5_4_3_2_5_and_v311_4_3_2_2_after_puback_the_packet_identifier_is_another_message() {
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
fn v5_4_4_0_2_a_refusal_by_the_client_settles_the_message() {
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
fn v5_3_3_4_9_the_broker_keeps_to_the_receive_maximum_of_the_client() {
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
