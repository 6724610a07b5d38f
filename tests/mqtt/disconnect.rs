//! DISCONNECT (section 3.14) and how else connections end: what the client says, what it is told, and for which cause.

use bytes::Bytes;
use std::io::{ErrorKind, Write};
use tidegate_mqtt::{
    Connect, Disconnect, DisconnectProperties, Packet, PacketId, Publish, PublishProperties, QoS, ReasonCode,
    TopicName, Version, Will, WillProperties,
};
use tidegate_tests::{
    BOTH, Broker, Client, PATIENCE, Wrong, connect, connect_frame, each_ends_its_connection, field, frame,
    publish,
};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use ReasonCode::{MalformedPacket as Malformed, ProtocolError};
use Version::{V3_1, V3_1_1, V5};

/// A CONNECT whose will tells that nobody said goodbye.
fn mortal(version: Version, client_id: &str) -> Connect {
    let will = Will {
        topic: TopicName::new("will").unwrap(),
        payload: Bytes::from_static(b"gone"),
        qos: AtMostOnce,
        retain: false,
        properties: WillProperties::default(),
    };
    Connect { will: Some(will), ..connect(version, client_id) }
}

/// The bytes of a packet.
fn bytes_of(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes).unwrap();
    bytes
}

fn goodbye(version: Version) -> Vec<u8> {
    let packet = Disconnect { reason: ReasonCode::Success, properties: DisconnectProperties::default() };
    bytes_of(&Packet::Disconnect(packet), version)
}

fn publish_at<'a>(packet_id: u16, qos: QoS) -> Packet<'a> {
    Packet::Publish(Publish { packet_id: PacketId::new(packet_id), ..publish("a", "x", qos) })
}

/// A QoS 0 PUBLISH of MQTT 5 with this topic alias.
fn aliased<'a>(topic: &'a str, alias: u16) -> Packet<'a> {
    let properties =
        PublishProperties { topic_alias: std::num::NonZeroU16::new(alias), ..PublishProperties::default() };
    Packet::Publish(Publish { properties: Some(Box::new(properties)), ..publish(topic, "x", AtMostOnce) })
}

/// With a config, one thing that ends a connection, in the versions that know it.
fn each_is_told(config: &str, versions: &[Version], reason: ReasonCode, wrong: impl Fn(Version) -> Vec<u8>) {
    let broker = Broker::start(config);
    for version in versions {
        let case: Wrong<'_> = (reason.text(), wrong(*version), reason);
        each_ends_its_connection(&broker, *version, &[case]);
    }
}

/// What the client itself says.
mod from_the_client {
    use super::*;

    #[test]
    fn v5_3_14_1_1_and_v311_3_14_1_1_disconnect_has_no_flags_or_it_is_no_goodbye() {
        let broker = Broker::start("");
        for version in BOTH {
            let mut witness = Client::connect(&broker, version, "will");
            witness.subscribe("will", AtMostOnce);
            for flags in 1..16 {
                let (mut client, _) = Client::connect_with(&broker, mortal(version, "c"));
                client.send_bytes(&[0xE0 | flags, 0]);
                client.expect_end(version, Malformed);
                assert_eq!(witness.accept().payload, "gone", "{version:?} {flags}");
            }
        }
    }

    #[test]
    fn v5_3_14_2_1_disconnect_has_a_reason_that_clients_may_give() {
        let broker = Broker::start("");
        // Of no table, of another packet's, of the server's column.
        let wrong = [
            0x01, 0x02, 0x03, 0x10, 0x18, 0x7F, 0x84, 0x85, 0x86, 0x88, 0x91, 0x92, 0xFF, 0x87, 0x89, 0x8B,
            0x8D, 0x8E, 0x8F, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
        ];
        let cases = wrong.map(|reason| ("DISCONNECT reason", frame(0xE0, &[reason]), ProtocolError));
        each_ends_its_connection(&broker, V5, &cases);
        let right = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
        for reason in right {
            for bytes in [frame(0xE0, &[reason]), frame(0xE0, &[reason, 0])] {
                let mut client = Client::connect(&broker, V5, "c");
                client.send_bytes(&bytes);
                client.expect_closed();
            }
        }
    }

    #[test]
    fn v5_3_14_4_1_and_v311_3_14_4_2_nothing_behind_it_is_acted_on() {
        let broker = Broker::start("");
        for version in BOTH {
            let mut witness = Client::connect(&broker, V5, "witness");
            witness.subscribe("#", AtLeastOnce);
            let (mut client, _) = Client::connect_with(&broker, mortal(version, "c"));
            let late = [
                publish_at(1, AtLeastOnce),
                Packet::PingReq,
                Packet::Publish(Publish { retain: true, ..publish("kept", "x", AtMostOnce) }),
            ];
            let mut bytes = goodbye(version);
            late.iter().for_each(|packet| bytes.extend(bytes_of(packet, version)));
            // Not even an error is found there.
            bytes.extend([0x00, 0x00]);
            client.send_bytes(&bytes);
            client.expect_closed();
            witness.expect_nothing();
            witness.subscribe("kept", AtMostOnce);
            witness.expect_nothing();
        }
    }

    #[test]
    fn v5_3_14_4_2_and_v311_3_14_4_1_the_broker_closes_if_the_client_does_not() {
        let broker = Broker::start("");
        for version in [V3_1, V3_1_1, V5] {
            let mut client = Client::connect(&broker, version, "c");
            client.send_bytes(&goodbye(version));
            // The client's own end stays open meanwhile.
            client.expect_closed();
        }
    }

    #[test]
    fn v5_3_14_4_3_and_v311_3_14_4_3_it_deletes_the_will() {
        let broker = Broker::start("");
        let mut witness = Client::connect(&broker, V5, "witness");
        witness.subscribe("will", AtMostOnce);
        for version in BOTH {
            Client::connect_with(&broker, mortal(version, "c")).0.disconnect();
            witness.expect_nothing();
            // It is gone for good, whoever comes with that name next.
            Client::connect(&broker, version, "c").break_off();
            witness.expect_nothing();
            Client::connect_with(&broker, mortal(version, "c")).0.break_off();
            assert_eq!(witness.accept().payload, "gone", "{version:?}");
        }
    }
}

/// Why the broker ends a connection. Each test says it to MQTT 5, with a Reason String; older clients are just closed.
mod from_the_broker {
    use super::*;

    #[test]
    fn v5_3_14_0_1_nobody_is_sent_disconnect_before_a_connack_that_lets_it_in() {
        let broker = Broker::start("[limits]\nmax_connections = 1\nconnect_timeout = \"200ms\"\n");
        let first: [(&str, Vec<u8>); 5] = [
            ("PUBLISH", bytes_of(&Packet::Publish(publish("a", "x", AtMostOnce)), V5)),
            ("PINGREQ", vec![0xC0, 0]),
            ("AUTH", vec![0xF0, 0]),
            ("DISCONNECT", vec![0xE0, 0]),
            ("nothing", vec![]),
        ];
        for (what, bytes) in first {
            eprintln!("{what} first");
            let mut client = Client::open(broker.address(), V5);
            client.send_bytes(&bytes);
            client.expect_closed();
        }
        let mut malformed = Client::open(broker.address(), V5);
        malformed.send_bytes(&connect_frame("MQTT", 5, 0x03, &[&[0][..], &field("c")].concat()));
        malformed.expect_refused(Malformed);
        let only = Client::connect(&broker, V5, "only");
        let mut refused = Client::open(broker.address(), V5);
        refused.send(&Packet::Connect(Box::new(connect(V5, "more"))));
        refused.expect_refused(ReasonCode::QuotaExceeded);
        only.disconnect();
    }

    #[test]
    fn v5_3_14_0_1_who_is_not_in_yet_is_just_closed_when_the_broker_stops() {
        let broker = Broker::start("");
        let mut outside = Client::open(broker.address(), V5);
        outside.send_bytes(&[0x10, 20, 0, 4]);
        let mut inside = Client::connect(&broker, V5, "c");
        inside.ping();
        broker.terminate();
        inside.expect_end(V5, ReasonCode::ServerShuttingDown);
        outside.expect_closed();
    }

    #[test]
    fn v5_3_14_2_2_and_v5_4_13_1_1_and_v311_4_8_0_1_malformed_packets_are_0x81() {
        each_is_told("", &[V3_1, V3_1_1, V5], Malformed, |_| vec![0x00, 0x00]);
    }

    #[test]
    fn v5_3_14_2_2_and_v5_4_13_1_1_and_v311_4_8_0_1_protocol_errors_are_0x82() {
        each_is_told("", &[V3_1, V3_1_1, V5], ProtocolError, |version| {
            bytes_of(&Packet::Connect(Box::new(connect(version, "again"))), version)
        });
    }

    #[test]
    fn v5_4_13_1_1_too_large_packets_are_0x95() {
        let large = "x".repeat(200);
        each_is_told("[limits]\nmax_packet_size = 200\n", &BOTH, ReasonCode::PacketTooLarge, |version| {
            bytes_of(&Packet::Publish(publish("a", &large, AtMostOnce)), version)
        });
    }

    #[test]
    fn v5_4_13_1_1_more_open_messages_than_announced_are_0x93() {
        let broker = Broker::start("[limits]\nreceive_maximum = 1\n");
        let mut client = Client::connect(&broker, V5, "c");
        client.publish("a", "x", ExactlyOnce); // Done, so it does not count.
        client.send_bytes(&bytes_of(&publish_at(10, ExactlyOnce), V5));
        client.receive();
        client.send_bytes(&bytes_of(&publish_at(11, ExactlyOnce), V5));
        client.expect_end(V5, ReasonCode::ReceiveMaximumExceeded);
    }

    #[test]
    fn v5_4_13_1_1_topic_aliases_beyond_the_announced_ones_are_0x94() {
        let config = "[limits]\ntopic_alias_maximum = 2\n";
        each_is_told(config, &[V5], ReasonCode::TopicAliasInvalid, |_| bytes_of(&aliased("a", 3), V5));
        each_is_told(config, &[V5], ReasonCode::TopicAliasInvalid, |_| {
            frame(0x30, &[&field("a")[..], &[3, 0x23, 0, 0]].concat())
        });
    }

    #[test]
    fn v5_4_13_1_1_qos_above_the_announced_one_is_0x9b() {
        for (maximum, beyond) in [(0, [AtLeastOnce, ExactlyOnce]), (1, [ExactlyOnce; 2])] {
            let config = format!("[limits]\nmaximum_qos = {maximum}\n");
            for qos in beyond {
                each_is_told(&config, &BOTH, ReasonCode::QosNotSupported, |version| {
                    bytes_of(&publish_at(1, qos), version)
                });
            }
        }
    }

    #[test]
    fn v5_4_13_1_1_retained_messages_where_there_are_none_are_0x9a() {
        let config = "[limits]\nretain_available = false\n";
        each_is_told(config, &BOTH, ReasonCode::RetainNotSupported, |version| {
            bytes_of(&Packet::Publish(Publish { retain: true, ..publish("a", "x", AtMostOnce) }), version)
        });
    }

    #[test]
    fn a_keep_alive_that_is_not_kept_is_0x8d() {
        let broker = Broker::start("");
        for version in [V3_1, V3_1_1, V5] {
            let connect = Connect { keep_alive: 1, ..connect(version, "c") };
            let (mut client, _) = Client::connect_with(&broker, connect);
            client.expect_end(version, ReasonCode::KeepAliveTimeout);
        }
    }

    #[test]
    fn a_session_that_is_taken_over_is_0x8e() {
        let broker = Broker::start("");
        for version in [V3_1, V3_1_1, V5] {
            for clean_start in [true, false] {
                let (mut old, _) = Client::connect_session(&broker, version, "c", false);
                let (new, present) = Client::connect_session(&broker, version, "c", clean_start);
                assert_ne!(present, clean_start);
                old.expect_end(version, ReasonCode::SessionTakenOver);
                new.disconnect();
            }
        }
    }

    #[test]
    fn a_broker_that_stops_says_0x8b() {
        let broker = Broker::start("");
        let mut clients = [V3_1, V3_1_1, V5]
            .map(|version| (version, Client::connect(&broker, version, &format!("{version:?}"))));
        broker.terminate();
        for (version, client) in &mut clients {
            client.expect_end(*version, ReasonCode::ServerShuttingDown);
        }
    }

    #[test]
    fn a_broker_that_stops_names_the_other_one_with_0x9c() {
        let broker = Broker::start("server_reference = \"other.example:1883\"\n");
        let mut new = Client::connect(&broker, V5, "new");
        let mut old = Client::connect(&broker, V3_1_1, "old");
        broker.terminate();
        let told = new.expect_told();
        assert_eq!(told.reason, ReasonCode::UseAnotherServer, "{told:?}");
        assert_eq!(told.properties.server_reference.as_deref(), Some("other.example:1883"));
        old.expect_closed();
    }

    #[test]
    fn a_broker_that_is_full_names_the_other_one_with_0x9c() {
        let broker =
            Broker::start("server_reference = \"other.example:1883\"\n[limits]\nmax_connections = 1\n");
        let mut only = Client::connect(&broker, V5, "only");
        let mut refused = Client::open(broker.address(), V5);
        refused.send(&Packet::Connect(Box::new(connect(V5, "more"))));
        let connack = refused.expect_connack();
        assert_eq!(connack.reason, ReasonCode::UseAnotherServer, "{connack:?}");
        assert_eq!(connack.properties.server_reference.as_deref(), Some("other.example:1883"));
        refused.expect_closed();
        let mut old = Client::open(broker.address(), V3_1_1);
        old.send(&Packet::Connect(Box::new(connect(V3_1_1, "more"))));
        old.expect_refused(ReasonCode::ServerUnavailable);
        // Other refusals have nothing to do with the place.
        only.send_bytes(&[0x00, 0x00]);
        assert_eq!(only.expect_told().properties.server_reference, None);
    }

    #[test]
    fn a_client_that_lets_its_queue_fill_is_0x97_if_told_to() {
        let broker = Broker::start(
            "[limits]\nmax_queued_messages = 2\nmax_inflight = 1\nqueue_full = \"disconnect\"\n",
        );
        for version in BOTH {
            let mut slow = Client::connect(&broker, version, "slow");
            slow.subscribe("a", AtLeastOnce);
            let mut publisher = Client::connect(&broker, version, "p");
            publisher.publish("a", "1", AtLeastOnce);
            slow.message();
            // One is open, two wait, one is too many.
            for payload in ["2", "3", "4"] {
                publisher.publish("a", payload, AtLeastOnce);
            }
            slow.expect_end(version, ReasonCode::QuotaExceeded);
        }
    }

    /// A client that reads nothing, to whom so much is on its way that every buffer is full.
    fn deaf(broker: &Broker, connect: Connect) -> Client {
        let (mut deaf, _) = Client::connect_with(broker, connect);
        deaf.subscribe("a", AtMostOnce);
        let large = "x".repeat(500_000);
        let mut publisher = Client::connect(broker, V5, "loud");
        for _ in 0..60 {
            publisher.publish("a", &large, AtMostOnce);
        }
        publisher.disconnect();
        deaf
    }

    /// Waits until nothing can be written to a connection any more, which nobody reads from.
    fn expect_reset(client: &Client) {
        let mut stream = client.stream();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let error = loop {
            if let Err(error) = stream.write_all(&[0xC0, 0]) {
                break error.kind();
            }
        };
        assert!(matches!(error, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error:?}");
    }

    #[test]
    fn v5_4_13_2_1_who_takes_no_last_words_is_closed_when_its_keep_alive_is_over() {
        let broker = Broker::start("");
        for version in BOTH {
            let mut witness = Client::connect(&broker, version, "witness");
            witness.subscribe("will", AtMostOnce);
            let deaf = deaf(&broker, Connect { keep_alive: 1, ..mortal(version, "deaf") });
            assert_eq!(witness.accept().payload, "gone", "{version:?}");
            expect_reset(&deaf);
        }
    }

    #[test]
    fn v5_4_13_2_1_who_takes_no_last_words_is_closed_when_its_session_is_taken_over() {
        let broker = Broker::start("");
        for version in BOTH {
            let deaf = deaf(&broker, connect(version, "deaf"));
            let mut new = Client::connect(&broker, version, "deaf");
            new.ping();
            expect_reset(&deaf);
        }
    }

    #[test]
    fn v5_4_13_2_1_who_takes_no_last_words_does_not_keep_the_broker_from_stopping() {
        let broker = Broker::start("");
        let deaf = deaf(&broker, connect(V5, "deaf"));
        broker.stop();
        expect_reset(&deaf);
    }

    #[test]
    fn v5_4_13_2_1_a_refused_client_that_can_take_no_connack_is_closed() {
        let broker = Broker::start("");
        // Maximum Packet Size 2, and an authentication method that is not there.
        let properties = [&[0x27, 0, 0, 0, 2, 0x15][..], &field("x")].concat();
        let rest = [&[properties.len() as u8][..], &properties, &field("c")].concat();
        let mut client = Client::open(broker.address(), V5);
        client.send_bytes(&connect_frame("MQTT", 5, 0x02, &rest));
        client.expect_closed();
    }
}
