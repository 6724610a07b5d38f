//! What clients get wrong: bytes that are no packet, packets that may not come, limits that are not kept. It costs them their connection, and
//! nobody else notices.

use bytes::Bytes;
use std::num::NonZeroU32;
use tidegate_mqtt::{
    Connect, ConnectProperties, Packet, Publish, PublishProperties, QoS, ReasonCode, TopicName, Version,
    Will, WillProperties,
};
use tidegate_tests::{BOTH, Broker, Client, connect, connect_frame, field, frame, publish};

use QoS::{AtLeastOnce, AtMostOnce};
use ReasonCode::{MalformedPacket as Malformed, ProtocolError, TopicAliasInvalid};
use Version::{V3_1_1, V5};

/// A QoS 0 PUBLISH of MQTT 5 with these properties, length byte included.
fn with_properties(topic: &str, properties: &[u8]) -> Vec<u8> {
    frame(0x30, &[&field(topic)[..], properties].concat())
}

/// Sends each to a connection of its own, and checks how that ends and that nobody else notices.
fn each_ends_its_connection(version: Version, cases: &[(&str, Vec<u8>, ReasonCode)]) {
    let broker = Broker::start("");
    let mut witness = Client::connect(&broker, version, "witness");
    witness.subscribe("#", AtMostOnce);
    for (what, bytes, reason) in cases {
        eprintln!("{version:?}: {what}");
        let mut client = Client::connect(&broker, version, "c");
        client.send_bytes_if_open(bytes);
        client.expect_disconnect(*reason);
        witness.expect_nothing();
    }
}

/// What no version allows, with an empty property set where MQTT 5 wants one.
fn in_every_version(version: Version) -> Vec<(&'static str, Vec<u8>, ReasonCode)> {
    let none: &[u8] = if version == V5 { &[0] } else { &[] };
    let publish = |first_byte, topic: &[u8]| frame(first_byte, &[&field(topic)[..], none].concat());
    let with_id = |first_byte, id: u8, rest: &[u8]| frame(first_byte, &[&[0, id][..], none, rest].concat());
    let subscribe = |filter: &[u8], options: u8| with_id(0x82, 1, &[&field(filter)[..], &[options]].concat());
    let qos_1_with_id_0 = frame(0x32, &[&field("a")[..], &[0, 0], none].concat());
    vec![
        ("packet type 0", vec![0, 0], Malformed),
        ("2.1.3-1: PUBACK flags", vec![0x41, 2, 0, 1], Malformed),
        ("3.6.1-1: PUBREL flags", vec![0x60, 2, 0, 1], Malformed),
        ("3.8.1-1: SUBSCRIBE flags", with_id(0x80, 1, &[0, 1, b'a', 0]), Malformed),
        ("3.10.1-1: UNSUBSCRIBE flags", with_id(0xA0, 1, &[0, 1, b'a']), Malformed),
        ("2.1.3-1: PINGREQ flags", vec![0xC1, 0], Malformed),
        ("3.14.1-1: DISCONNECT flags", vec![0xE1, 0], Malformed),
        ("3.3.1-4: QoS 3", vec![0x36, 0], Malformed),
        ("3.3.1-2: DUP at QoS 0", publish(0x38, b"a"), Malformed),
        ("length of five bytes", vec![0xC0, 0x80, 0x80, 0x80, 0x80, 1], Malformed),
        ("1.5.5-1: length not in its shortest form", vec![0xC0, 0x80, 0], Malformed),
        ("PINGREQ with a body", vec![0xC0, 1, 0], Malformed),
        ("PUBACK of one byte", vec![0x40, 1, 0], Malformed),
        ("PUBLISH without topic", vec![0x30, 0], Malformed),
        ("PUBLISH whose topic ends behind it", vec![0x30, 3, 0, 9, b'a'], Malformed),
        ("2.2.1-3: QoS 1 without packet identifier", frame(0x32, &field("a")), Malformed),
        ("2.2.1-3: PUBLISH with packet identifier 0", qos_1_with_id_0, ProtocolError),
        ("2.2.1-3: SUBSCRIBE with packet identifier 0", with_id(0x82, 0, &[0, 1, b'a', 0]), ProtocolError),
        ("2.2.1-3: UNSUBSCRIBE with packet identifier 0", with_id(0xA2, 0, &[0, 1, b'a']), ProtocolError),
        ("3.3.2-2: topic with #", publish(0x30, b"a/#"), Malformed),
        ("3.3.2-2: topic with +", publish(0x30, b"+/a"), Malformed),
        ("4.7.3-1: empty topic", publish(0x30, b""), ProtocolError),
        ("1.5.4-1: topic is not UTF-8", publish(0x30, b"a\xFF"), Malformed),
        ("1.5.4-1: topic with a surrogate", publish(0x30, b"\xED\xA0\x80"), Malformed),
        ("1.5.4-2: topic with NUL", publish(0x30, b"a\0"), Malformed),
        ("3.8.3-2: SUBSCRIBE without filter", with_id(0x82, 1, &[]), ProtocolError),
        ("SUBSCRIBE without options", with_id(0x82, 1, &[0, 1, b'a']), Malformed),
        ("3.8.3-1: filter is not UTF-8", subscribe(b"\xC0\x80", 0), Malformed),
        ("4.7.3-2: filter with NUL", subscribe(b"\0", 0), Malformed),
        ("4.7.3-1: empty filter", subscribe(b"", 0), ProtocolError),
        ("4.7.1-1: # is not the last level", subscribe(b"a/#/b", 0), Malformed),
        ("4.7.1-1: # does not fill its level", subscribe(b"a#", 0), Malformed),
        ("4.7.1-2: + does not fill its level", subscribe(b"a+/b", 0), Malformed),
        ("SUBSCRIBE at QoS 3", subscribe(b"a", 3), ProtocolError),
        ("3.8.3-5: reserved option", subscribe(b"a", 0x40), Malformed),
        ("4.8.2-1: empty share name", subscribe(b"$share//a", 0), ProtocolError),
        ("4.8.2-2: share name without filter", subscribe(b"$share/g", 0), ProtocolError),
        ("4.8.2-2: share name with wildcard", subscribe(b"$share/g+/a", 0), ProtocolError),
        ("3.10.3-2: UNSUBSCRIBE without filter", with_id(0xA2, 1, &[]), ProtocolError),
        ("3.10.3-1: filter is not UTF-8", with_id(0xA2, 1, &field(b"\xFF")), Malformed),
        ("CONNACK from a client", [&[0x20, 2 + none.len() as u8, 0, 0], none].concat(), ProtocolError),
        ("SUBACK from a client", with_id(0x90, 1, &[0]), ProtocolError),
        ("UNSUBACK from a client", with_id(0xB0, 1, &[]), ProtocolError),
        ("PINGRESP from a client", vec![0xD0, 0], ProtocolError),
    ]
}

#[test]
fn v5_4_13_1_1_malformed_packets_end_the_connection_with_their_reason() {
    each_ends_its_connection(V5, &in_every_version(V5));
}

#[test]
fn v311_4_8_0_1_malformed_packets_end_the_connection() {
    let mut cases = in_every_version(V3_1_1);
    cases.extend([
        ("AUTH before MQTT 5", vec![0xF0, 0], Malformed),
        ("v311 3.8.3-4: No Local before MQTT 5", frame(0x82, &[0, 1, 0, 1, b'a', 4]), Malformed),
        ("PUBACK with a reason before MQTT 5", vec![0x40, 3, 0, 1, 0], Malformed),
        ("DISCONNECT with a reason before MQTT 5", vec![0xE0, 1, 0], Malformed),
    ]);
    each_ends_its_connection(V3_1_1, &cases);
}

#[test]
fn v5_4_13_1_1_wrong_properties_end_the_connection_with_their_reason() {
    let text = |id: u8, text: &[u8]| [&[id][..], &field(text)].concat();
    let set = |properties: &[u8]| [&[properties.len() as u8][..], properties].concat();
    let publish = |properties: &[u8]| with_properties("a", &set(properties));
    let subscribe = |properties: &[u8], options: u8| {
        frame(0x82, &[&[0, 1][..], &set(properties), &field("a"), &[options]].concat())
    };
    let no_local_shared = frame(0x82, &[&[0, 1, 0][..], &field("$share/g/a"), &[4]].concat());
    let pair = |name: &[u8], value: &[u8]| [&[0x26][..], &field(name), &field(value)].concat();
    let cases = [
        ("2.2.2-1: no property length", frame(0x30, &field("a")), Malformed),
        ("properties end behind their packet", with_properties("a", &[9]), Malformed),
        ("a property ends behind its set", with_properties("a", &[2, 0x03, 0, 1, b'x']), Malformed),
        ("unknown property", publish(&[0x7F, 0]), Malformed),
        ("a property of CONNECT in PUBLISH", publish(&[0x11, 0, 0, 0, 1]), Malformed),
        ("a property twice", publish(&[0x01, 0, 0x01, 0]), ProtocolError),
        ("payload format 2", publish(&[0x01, 2]), ProtocolError),
        ("3.3.2-19: content type is not UTF-8", publish(&text(0x03, b"\xFF")), Malformed),
        ("3.3.2-13: response topic is not UTF-8", publish(&text(0x08, b"\xFF")), Malformed),
        ("3.3.2-14: response topic with wildcard", publish(&text(0x08, b"a/#")), ProtocolError),
        ("1.5.7-1: user property name with NUL", publish(&pair(b"\0", b"x")), Malformed),
        ("1.5.7-1: user property value is not UTF-8", publish(&pair(b"x", b"\xFF")), Malformed),
        ("3.3.4-6: subscription identifier", publish(&[0x0B, 1]), ProtocolError),
        ("3.3.2-8: topic alias 0", publish(&[0x23, 0, 0]), TopicAliasInvalid),
        ("3.3.2-9: topic alias too large", publish(&[0x23, 0, 33]), TopicAliasInvalid),
        ("unknown topic alias", with_properties("", &set(&[0x23, 0, 1])), ProtocolError),
        ("subscription identifier 0", subscribe(&[0x0B, 0], 0), ProtocolError),
        (
            "1.5.5-1: subscription identifier not in its shortest form",
            subscribe(&[0x0B, 0x81, 0], 0),
            Malformed,
        ),
        ("subscription identifier twice", subscribe(&[0x0B, 1, 0x0B, 2], 0), ProtocolError),
        ("retain handling 3", subscribe(&[], 0x30), ProtocolError),
        ("3.8.3-4: No Local on a shared subscription", no_local_shared, ProtocolError),
        ("3.4.2-1: PUBACK reason", vec![0x40, 3, 0, 1, 0x92], ProtocolError),
        ("3.5.2-1: PUBREC reason", vec![0x50, 3, 0, 1, 0x01], ProtocolError),
        ("3.6.2-1: PUBREL reason", vec![0x62, 3, 0, 1, 0x80], ProtocolError),
        ("3.7.2-1: PUBCOMP reason", vec![0x70, 3, 0, 1, 0x10], ProtocolError),
        ("3.14.2-1: DISCONNECT reason", vec![0xE0, 1, 0x01], ProtocolError),
        ("3.14.2-1: DISCONNECT reason of a server", vec![0xE0, 1, 0x8B], ProtocolError),
        ("a server reference from a client", vec![0xE0, 6, 0, 4, 0x1C, 0, 1, b'x'], ProtocolError),
        ("3.15.1-1: AUTH flags", vec![0xF1, 0], Malformed),
        ("3.15.2-1: AUTH reason", vec![0xF0, 2, 0x01, 0], ProtocolError),
        ("4.12.0-7: AUTH", vec![0xF0, 0], ProtocolError),
    ];
    each_ends_its_connection(V5, &cases);
}

#[test]
fn v5_3_1_4_1_wrong_properties_of_connect_are_refused() {
    let broker = Broker::start("");
    let cases: [(&str, &[u8], ReasonCode); 8] = [
        ("session expiry twice", &[0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1], ProtocolError),
        ("receive maximum 0", &[0x21, 0, 0], ProtocolError),
        ("maximum packet size 0", &[0x27, 0, 0, 0, 0], ProtocolError),
        ("request problem information 2", &[0x17, 2], ProtocolError),
        ("authentication data without method", &[0x16, 0, 0], ProtocolError),
        ("a property of PUBLISH", &[0x01, 0], Malformed),
        ("unknown property", &[0x7F], Malformed),
        ("user property ends behind its set", &[0x26, 0, 1, b'a'], Malformed),
    ];
    for (what, properties, reason) in cases {
        eprintln!("{what}");
        let rest = [&[properties.len() as u8][..], properties, &field("c")].concat();
        let mut client = Client::open(broker.address(), V5);
        client.send_bytes(&connect_frame("MQTT", 5, 2, &rest));
        client.expect_refused(reason);
    }
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
fn v5_3_3_2_12_every_announced_topic_alias_works_until_its_connection_ends() {
    let broker = Broker::start("[limits]\ntopic_alias_maximum = 3\n");
    let mut witness = Client::connect(&broker, V5, "witness");
    witness.subscribe("#", AtLeastOnce);
    let aliased = |topic, payload, alias| {
        let properties = PublishProperties {
            topic_alias: std::num::NonZeroU16::new(alias),
            ..PublishProperties::default()
        };
        Packet::Publish(Publish {
            properties: Some(Box::new(properties)),
            ..publish(topic, payload, AtMostOnce)
        })
    };
    let mut client = Client::connect(&broker, V5, "c");
    for (alias, topic) in [(1, "one"), (2, "two"), (3, "three"), (1, "another")] {
        client.send(&aliased(topic, "set", alias));
        client.send(&aliased("", "used", alias));
        for payload in ["set", "used"] {
            let message = witness.accept();
            assert_eq!((message.topic.as_str(), message.payload.as_str()), (topic, payload));
            // v5 MQTT-3.1.2-27: the broker uses none towards clients that allow none.
            assert_eq!(message.properties.topic_alias, None);
        }
    }
    client.send(&aliased("four", "never", 4));
    client.expect_disconnect(TopicAliasInvalid);
    // v5 MQTT-3.3.2-7
    let mut client = Client::connect(&broker, V5, "c");
    client.send(&aliased("", "never", 1));
    client.expect_disconnect(ProtocolError);
    witness.expect_nothing();
}

#[test]
fn v5_3_2_2_18_no_topic_alias_works_where_none_is_announced() {
    let broker = Broker::start("[limits]\ntopic_alias_maximum = 0\n");
    let mut client = Client::connect(&broker, V5, "c");
    client.send_bytes(&with_properties("a", &[3, 0x23, 0, 1]));
    client.expect_disconnect(TopicAliasInvalid);
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
