//! PUBLISH and its answers byte by byte: flags, packet identifiers, and what each quality of service is answered with.

use super::connect::layout::no_properties;
use std::num::{NonZeroU16, NonZeroU32};
use tidegate_mqtt::{
    Connect, ConnectProperties, Packet, PacketId, Publish, QoS, ReasonCode, SubscribeProperties,
    SubscriptionOptions, Version,
};
use tidegate_tests::{Broker, Client, ack, connect, field, frame, publish};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V3_1, V3_1_1, V5};

const ALL: [Version; 3] = [V3_1, V3_1_1, V5];

/// Packet identifiers at the edges, and between.
const IDS: [[u8; 2]; 5] = [[0, 1], [0, 0xFF], [1, 0], [0x12, 0x34], [0xFF, 0xFF]];

/// A PUBLISH to `a` without properties, with what stands where a packet identifier may.
fn publish_bytes(version: Version, first_byte: u8, id: &[u8], payload: &[u8]) -> Vec<u8> {
    frame(first_byte, &[&field("a")[..], id, no_properties(version), payload].concat())
}

/// The first byte and the packet identifier of a PUBLISH to `a` above QoS 0.
fn head(bytes: &[u8]) -> (u8, [u8; 2]) {
    assert_eq!(bytes[2..5], [0, 1, b'a'], "{bytes:02X?}");
    (bytes[0], [bytes[5], bytes[6]])
}

#[test]
fn v5_2_2_1_2_and_v311_2_3_1_5_a_publish_at_qos_0_has_no_packet_identifier() {
    let broker = Broker::start("");
    for version in ALL {
        let mut subscriber = Client::connect(&broker, version, "s");
        subscriber.subscribe("a", AtMostOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        // What looks like one is payload.
        let bytes = publish_bytes(version, 0x30, &[], &[0, 1, b'x']);
        publisher.send_bytes(&bytes);
        assert_eq!(subscriber.receive_bytes(), bytes, "{version:?}");
        // Nor has one that was published above QoS 0.
        publisher.send_bytes(&publish_bytes(version, 0x32, &[0, 7], b"x"));
        assert_eq!(subscriber.receive_bytes(), publish_bytes(version, 0x30, &[], b"x"), "{version:?}");
    }
    // MQTT 5 takes them for the length of the properties.
    let mut publisher = Client::connect(&broker, V5, "p");
    publisher.send_bytes(&frame(0x30, &[&field("a")[..], &[0x12, 0x34, 0]].concat()));
    publisher.expect_disconnect(ReasonCode::MalformedPacket);
}

#[test]
fn v5_2_2_1_6_and_v311_2_3_1_7_suback_and_unsuback_repeat_the_identifier_of_their_request() {
    let broker = Broker::start("");
    for version in ALL {
        let none = no_properties(version);
        let mut client = Client::connect(&broker, version, "c");
        // All at once, and answered one by one.
        for id in IDS {
            client.send_bytes(&frame(0x82, &[&id[..], none, &field("a"), &[1]].concat()));
            client.send_bytes(&frame(0xA2, &[&id[..], none, &field("a")].concat()));
        }
        for id in IDS {
            assert_eq!(client.receive_bytes(), frame(0x90, &[&id[..], none, &[1]].concat()), "{version:?}");
            let reasons: &[u8] = if version == V5 { &[0] } else { &[] };
            assert_eq!(
                client.receive_bytes(),
                frame(0xB0, &[&id[..], none, reasons].concat()),
                "{version:?}"
            );
        }
        client.expect_nothing();
    }
}

#[test]
fn v5_3_3_4_1_and_v311_3_3_4_1_a_publish_is_answered_by_its_qos() {
    let broker = Broker::start("");
    let mut subscriber = Client::connect(&broker, V5, "s");
    subscriber.subscribe("a", AtMostOnce);
    for version in ALL {
        let mut client = Client::connect(&broker, version, "c");
        client.send_bytes(&publish_bytes(version, 0x30, &[], b"x"));
        client.expect_nothing();
        client.send_bytes(&publish_bytes(version, 0x32, &[0, 1], b"x"));
        assert_eq!(client.receive_bytes(), [0x40, 2, 0, 1], "{version:?}");
        client.send_bytes(&publish_bytes(version, 0x34, &[0, 2], b"x"));
        assert_eq!(client.receive_bytes(), [0x50, 2, 0, 2], "{version:?}");
        client.expect_nothing();
    }
}

#[test]
fn v5_2_2_1_5_and_v311_2_3_1_6_acknowledgements_repeat_the_identifier_of_their_publish() {
    let broker = Broker::start("");
    for version in ALL {
        // Somebody listens: the reason is success, which is not said.
        let mut subscriber = Client::connect(&broker, version, "s");
        subscriber.subscribe("a", ExactlyOnce);
        let mut client = Client::connect(&broker, version, "c");
        for id in IDS {
            client.send_bytes(&publish_bytes(version, 0x32, &id, b"x"));
            assert_eq!(client.receive_bytes(), frame(0x40, &id), "{version:?}: PUBACK");
            client.send_bytes(&publish_bytes(version, 0x34, &id, b"x"));
            assert_eq!(client.receive_bytes(), frame(0x50, &id), "{version:?}: PUBREC");
            client.send_bytes(&frame(0x62, &id));
            assert_eq!(client.receive_bytes(), frame(0x70, &id), "{version:?}: PUBCOMP");
            // The other way round the broker names it, and releases what it named.
            let (first, named) = head(&subscriber.receive_bytes());
            assert_eq!((first, named != [0, 0]), (0x32, true));
            subscriber.send_bytes(&frame(0x40, &named));
            let (first, named) = head(&subscriber.receive_bytes());
            assert_eq!((first, named != [0, 0]), (0x34, true));
            subscriber.send_bytes(&frame(0x50, &named));
            assert_eq!(subscriber.receive_bytes(), frame(0x62, &named), "{version:?}: PUBREL");
            subscriber.send_bytes(&frame(0x70, &named));
        }
        subscriber.expect_nothing();
    }
}

#[test]
fn v5_3_3_1_1_and_v311_3_3_1_1_every_repeat_is_marked_and_nothing_else() {
    let broker = Broker::start("");
    for version in ALL {
        let (mut client, _) = Client::connect_session(&broker, version, "c", true);
        client.subscribe("a", ExactlyOnce);
        client.disconnect();
        let (mut client, _) = Client::connect_session(&broker, version, "c", false);
        client.subscribe("a", ExactlyOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish("a", "1", AtLeastOnce);
        publisher.publish("a", "2", ExactlyOnce);
        let (one, two) = (client.message(), client.message());
        assert!(!one.dup && !two.dup, "{version:?}: sent for the first time");
        for _ in 0..2 {
            client.break_off();
            client = Client::connect_session(&broker, version, "c", false).0;
            let (one_again, two_again) = (client.message(), client.message());
            assert!(one_again.dup && two_again.dup, "{version:?}: {one_again:?} {two_again:?}");
            assert_eq!((one_again.packet_id, two_again.packet_id), (one.packet_id, two.packet_id));
        }
        client.break_off();
        // What waited, but was never sent, is no repeat.
        publisher.publish("a", "3", AtLeastOnce);
        client = Client::connect_session(&broker, version, "c", false).0;
        let heard = [client.accept(), client.accept(), client.accept()];
        let heard = heard.each_ref().map(|message| (message.payload.as_str(), message.dup));
        assert_eq!(heard, [("1", true), ("2", true), ("3", false)], "{version:?}");
        client.disconnect();
        Client::connect(&broker, version, "c").disconnect();
    }
}

#[test]
fn v5_3_3_1_2_and_v311_3_3_1_2_what_goes_out_at_qos_0_is_never_marked_as_a_repeat() {
    let broker = Broker::start("");
    for version in ALL {
        let mut subscriber = Client::connect(&broker, version, "s");
        subscriber.subscribe("a", AtMostOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        // From one that may be a repeat itself.
        for first_byte in [0x3A, 0x3C] {
            publisher.send_bytes(&publish_bytes(version, first_byte, &[0, 9], b"x"));
            assert_eq!(subscriber.receive_bytes()[0], 0x30, "{version:?}");
        }
    }
}

/// Subscribes with an identifier.
fn identified(client: &mut Client, filter: &str, identifier: u32) {
    let properties = SubscribeProperties {
        subscription_identifier: NonZeroU32::new(identifier),
        ..SubscribeProperties::default()
    };
    let options = SubscriptionOptions { maximum_qos: AtLeastOnce, ..SubscriptionOptions::default() };
    client.subscribe_with(&[(filter, options)], properties);
}

/// Overlapping subscriptions bring one copy, but a shared one is apart from them.
#[test]
fn v5_3_3_4_5_separate_copies_carry_the_identifiers_of_their_own_subscriptions() {
    let broker = Broker::start("");
    let mut client = Client::connect(&broker, V5, "c");
    identified(&mut client, "a/#", 1);
    identified(&mut client, "a/+", 2);
    identified(&mut client, "$share/g/a/b", 3);
    client.subscribe("a/b", AtLeastOnce);
    client.publish("a/b", "x", AtLeastOnce);
    let mut identifiers: Vec<_> = client.drain().iter().map(tidegate_tests::Message::identifiers).collect();
    identifiers.sort_unstable();
    assert_eq!(identifiers, [vec![1, 2], vec![3]]);
}

#[test]
fn v5_3_3_4_10_a_full_window_holds_nothing_back_but_publish() {
    let broker = Broker::start("");
    let properties =
        ConnectProperties { receive_maximum: NonZeroU16::new(1), ..ConnectProperties::default() };
    let (mut client, _) = Client::connect_with(&broker, Connect { properties, ..connect(V5, "c") });
    client.subscribe("a", ExactlyOnce);
    let mut publisher = Client::connect(&broker, V5, "p");
    publisher.publish("a", "1", ExactlyOnce);
    publisher.publish("a", "2", ExactlyOnce);
    let first = client.message();
    // SUBACK, UNSUBACK, PUBACK, PUBREC, PUBCOMP, PINGRESP.
    client.subscribe("b", AtLeastOnce);
    client.unsubscribe(&["b"]);
    assert_eq!(client.publish("c", "x", AtLeastOnce), ReasonCode::NoMatchingSubscribers);
    assert_eq!(client.publish("c", "x", ExactlyOnce), ReasonCode::NoMatchingSubscribers);
    client.expect_nothing();
    // And PUBREL, while the second waits on.
    client.send(&Packet::PubRec(ack(first.id())));
    client.expect_packet(&Packet::PubRel(ack(first.id())));
    client.expect_nothing();
    client.send(&Packet::PubComp(ack(first.id())));
    assert_eq!(client.accept().payload, "2");
}

/// A packet identifier is free again when its flow is over, for any packet.
#[test]
fn v5_2_2_1_3_and_v311_2_3_1_1_an_identifier_may_be_used_again_when_its_flow_is_over() {
    let broker = Broker::start("");
    for version in ALL {
        let mut subscriber = Client::connect(&broker, version, "s");
        subscriber.subscribe("a", AtMostOnce);
        let mut client = Client::connect(&broker, version, "c");
        for n in 0..3 {
            for qos in [AtLeastOnce, ExactlyOnce] {
                let payload = n.to_string();
                let message = Publish { packet_id: PacketId::new(1), ..publish("a", &payload, qos) };
                assert_eq!(client.publish_with(message), ReasonCode::Success);
                assert_eq!(subscriber.payloads(1), [payload]);
            }
        }
    }
}
