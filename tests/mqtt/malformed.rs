//! What clients get wrong: bytes that are no packet, packets that may not come, limits that are not kept. It costs them their connection, and
//! nobody else notices.

use super::connect::layout::{NO_TEXT, connect_bytes, no_properties};
use bytes::Bytes;
use std::num::NonZeroU32;
use tidegate_mqtt::{
    Connect, ConnectProperties, Packet, QoS, ReasonCode, TopicName, Version, Will, WillProperties,
};
use tidegate_tests::{BOTH, Broker, Client, connect, connect_frame, field, frame, publish};

use QoS::{AtLeastOnce, AtMostOnce};
use ReasonCode::{MalformedPacket as Malformed, ProtocolError};
use Version::{V3_1, V3_1_1, V5};

mod fixed_header;
mod flow;
mod properties;
mod text;

/// MQTT 3.1 is served as 3.1.1: it is refused alike.
const ALL: [Version; 3] = [V3_1, V3_1_1, V5];

/// What a client does wrong once it is connected, and the reason that MQTT 5 is told for the end of its connection.
struct Case {
    what: String,
    bytes: Vec<u8>,
    reason: ReasonCode,
}

fn case(what: impl Into<String>, bytes: impl Into<Vec<u8>>, reason: ReasonCode) -> Case {
    Case { what: what.into(), bytes: bytes.into(), reason }
}

/// Sends each to a connection of its own, and checks how that ends and that nobody else notices.
fn each_ends_its_connection(version: Version, cases: &[Case]) {
    let broker = Broker::start("");
    let mut witness = Client::connect(&broker, version, "witness");
    witness.subscribe("#", AtMostOnce);
    for Case { what, bytes, reason } in cases {
        eprintln!("{version:?}: {what}");
        let mut client = Client::connect(&broker, version, "c");
        client.send_bytes_if_open(bytes);
        client.expect_disconnect_in_words(*reason);
    }
    witness.expect_nothing();
}

/// Sends each CONNECT over a connection of its own, and checks that it is refused.
fn each_is_refused(version: Version, cases: &[Case]) {
    let broker = Broker::start("");
    for Case { what, bytes, reason } in cases {
        eprintln!("{version:?}: {what}");
        let mut client = Client::open(broker.address(), version);
        client.send_bytes_if_open(bytes);
        client.expect_refused_in_words(*reason);
    }
    Client::connect(&broker, version, "others").ping();
}

/// A PUBLISH without properties, of this first byte.
fn publish_bytes(version: Version, first_byte: u8, topic: &[u8]) -> Vec<u8> {
    let packet_id: &[u8] = if first_byte & 0b0110 == 0 { &[] } else { &[0, 1] };
    frame(first_byte, &[&field(topic)[..], packet_id, no_properties(version)].concat())
}

/// A SUBSCRIBE without properties.
fn subscribe_bytes(version: Version, filter: &[u8], options: u8) -> Vec<u8> {
    with_id(version, 0x82, 1, &[&field(filter)[..], &[options]].concat())
}

/// An UNSUBSCRIBE without properties.
fn unsubscribe_bytes(version: Version, filter: &[u8]) -> Vec<u8> {
    with_id(version, 0xA2, 1, &field(filter))
}

/// A packet that begins with packet identifier and no properties.
fn with_id(version: Version, first_byte: u8, id: u8, rest: &[u8]) -> Vec<u8> {
    frame(first_byte, &[&[0, id][..], no_properties(version), rest].concat())
}

/// A QoS 0 PUBLISH to `a` of exactly so many bytes, fixed header included.
fn publish_of(bytes: usize, version: Version) -> Vec<u8> {
    let property_length = usize::from(version == V5);
    let overhead = if bytes > 129 { 3 } else { 2 };
    let payload = "x".repeat(bytes - overhead - 3 - property_length);
    let mut packet = Vec::new();
    Packet::Publish(publish("a", &payload, AtMostOnce)).encode(version, &mut packet).unwrap();
    assert_eq!(packet.len(), bytes);
    packet
}

#[test]
fn v5_3_2_2_15_packets_above_the_maximum_of_the_broker_end_the_connection() {
    let broker = Broker::start("[limits]\nmax_packet_size = 200\n");
    for version in BOTH {
        let mut witness = Client::connect(&broker, version, "witness");
        witness.subscribe("a", AtMostOnce);
        let mut client = Client::connect(&broker, version, "c");
        client.send_bytes(&publish_of(200, version));
        witness.accept();
        client.send_bytes(&publish_of(201, version));
        client.expect_disconnect(ReasonCode::PacketTooLarge);
        // The fixed header alone gives it away.
        let mut client = Client::connect(&broker, version, "c");
        client.send_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
        client.expect_disconnect(ReasonCode::PacketTooLarge);
        witness.expect_nothing();
    }
    let mut old = Client::open(broker.address(), V3_1_1);
    old.send_bytes(&connect_frame("MQTT", 4, 2, &field("x".repeat(200))));
    old.expect_closed();
    let mut new = Client::open(broker.address(), V5);
    new.send_bytes(&connect_frame("MQTT", 5, 2, &[&[0][..], &field("x".repeat(200))].concat()));
    new.expect_refused(ReasonCode::PacketTooLarge);
}

#[test]
fn v5_3_1_2_24_and_v5_3_1_2_25_a_message_too_large_for_one_client_is_dropped_for_it_alone() {
    let broker = Broker::start("");
    let properties =
        ConnectProperties { maximum_packet_size: NonZeroU32::new(100), ..ConnectProperties::default() };
    let (mut small, _) = Client::connect_with(&broker, Connect { properties, ..connect(V5, "small") });
    let mut large = Client::connect(&broker, V5, "large");
    let mut publisher = Client::connect(&broker, V5, "p");
    for qos in [AtMostOnce, AtLeastOnce, QoS::ExactlyOnce] {
        small.subscribe("a", qos);
        large.subscribe("a", qos);
        let payload = "x".repeat(200);
        assert_eq!(publisher.publish("a", &payload, qos), ReasonCode::Success);
        assert_eq!(publisher.publish("a", "fits", qos), ReasonCode::Success);
        assert_eq!(large.payloads(2), [payload.as_str(), "fits"]);
        assert_eq!(small.payloads(1), ["fits"], "{qos:?}");
        small.expect_nothing();
    }
    // Retained messages, too.
    publisher.publish_retained("b", &"x".repeat(200), AtLeastOnce);
    small.subscribe("b", AtLeastOnce);
    small.expect_nothing();
}

#[test]
fn v5_4_2_0_1_half_a_packet_is_none() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut witness = Client::connect(&broker, version, "witness");
        witness.subscribe("#", AtMostOnce);
        let will = Will {
            topic: TopicName::new("will").unwrap(),
            payload: Bytes::from_static(b"gone"),
            qos: AtMostOnce,
            retain: false,
            properties: WillProperties::default(),
        };
        let connect = Connect { will: Some(will), ..connect(version, "c") };
        let whole = publish_of(100, version);
        for half in [1, 2, 5, 99] {
            let (mut client, _) = Client::connect_with(&broker, connect.clone());
            client.send_bytes(&whole[..half]);
            client.break_off();
            assert_eq!(witness.accept().topic, "will");
            witness.expect_nothing();
        }
        // Nor does it matter how a packet is cut.
        let mut client = Client::connect(&broker, version, "c");
        for byte in publish_of(100, version).iter().chain(&publish_of(300, version)) {
            client.send_bytes(&[*byte]);
        }
        assert_eq!(witness.payloads(2).len(), 2);
        client.send_bytes(&[publish_of(100, version), publish_of(300, version)].concat().repeat(50));
        assert_eq!(witness.payloads(100).len(), 100);
        witness.expect_nothing();
    }
}

#[test]
fn half_a_connect_or_none_is_closed_without_notice_by_others() {
    let broker = Broker::start("");
    let mut witness = Client::connect(&broker, V5, "witness");
    for bytes in [&[][..], &[0x10], &[0x10, 20, 0, 4, b'M', b'Q']] {
        let mut client = Client::open(broker.address(), V5);
        client.send_bytes(bytes);
        client.break_off();
    }
    witness.ping();
}

#[test]
fn v5_3_1_4_who_does_not_connect_in_time_is_closed() {
    let broker = Broker::start("[limits]\nconnect_timeout = \"200ms\"\n");
    let mut in_time = Client::connect(&broker, V5, "c");
    let mut silent = Client::open(broker.address(), V5);
    let mut slow = Client::open(broker.address(), V5);
    slow.send_bytes(&[0x10, 20, 0, 4, b'M', b'Q']);
    silent.expect_closed();
    slow.expect_closed();
    in_time.ping();
}

#[test]
fn a_large_message_passes_whole() {
    let broker = Broker::start("[limits]\nmax_packet_size = 3000000\n");
    for version in BOTH {
        let mut subscriber = Client::connect(&broker, version, "s");
        subscriber.subscribe("a", AtLeastOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        let payload: String = (0..250_000).map(|n| format!("{n:08} ")).collect();
        publisher.publish("a", &payload, AtLeastOnce);
        assert_eq!(subscriber.accept().payload, payload);
    }
}
