//! Sessions that outlive their connections: what waits in them, for how long, and what happens when they are full.

use tidegate_mqtt::{
    Connect, ConnectProperties, Disconnect, DisconnectProperties, Packet, PacketId, Publish,
    PublishProperties, QoS, ReasonCode, Version,
};
use tidegate_tests::{BOTH, Broker, Client, PATIENCE, Received, ack, connect, publish};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V3_1_1, V5};

/// A log that tells when sessions expire.
const TELLS_EXPIRY: &str = "[log]\nformat = \"json\"\nlevel = \"info,tidegate=debug\"\n";

/// A session of MQTT 5 that outlives its connection by so many seconds; true if it was there already.
fn expiring(broker: &Broker, client_id: &str, clean_start: bool, expiry: u32) -> (Client, bool) {
    let properties =
        ConnectProperties { session_expiry_interval: Some(expiry), ..ConnectProperties::default() };
    let connect = Connect { clean_start, properties, ..connect(V5, client_id) };
    let (client, connack) = Client::connect_with(broker, connect);
    (client, connack.session_present)
}

/// Waits until a second has passed, by the broker's own clock: until a session that began now has expired.
fn wait_for_a_second(broker: &Broker) {
    let seen = broker.log().len();
    expiring(broker, "clock", true, 1).0.disconnect();
    broker.log().wait_for_after(seen, "session expired", PATIENCE);
}

/// A session that stays, subscribed to `a` at QoS 2, whose client is away.
fn away(broker: &Broker, version: Version, client_id: &str) {
    let (mut client, _) = Client::connect_session(broker, version, client_id, false);
    client.subscribe("a", ExactlyOnce);
    client.disconnect();
}

fn expiry_of(seconds: u32) -> PublishProperties {
    PublishProperties { message_expiry_interval: Some(seconds), ..PublishProperties::default() }
}

#[test]
fn v5_3_1_2_5_and_v311_3_1_2_5_messages_wait_for_a_client_that_is_away() {
    let broker = Broker::start("");
    for version in BOTH {
        away(&broker, version, "c");
        let mut publisher = Client::connect(&broker, version, "p");
        for (payload, qos) in [("0", AtMostOnce), ("1", AtLeastOnce), ("2", ExactlyOnce), ("3", AtLeastOnce)]
        {
            publisher.publish("a", payload, qos);
        }
        let (mut client, present) = Client::connect_session(&broker, version, "c", false);
        assert!(present);
        for (payload, qos) in [("1", AtLeastOnce), ("2", ExactlyOnce), ("3", AtLeastOnce)] {
            let message = client.accept();
            // Sent for the first time, so without DUP.
            assert_eq!((message.payload.as_str(), message.qos, message.dup), (payload, qos, false));
        }
        // v5 MQTT-4.1.0-1: the subscription is kept.
        publisher.publish("a", "live", AtMostOnce);
        assert_eq!(client.accept().payload, "live");
        client.expect_nothing();
        client.disconnect();
    }
}

#[test]
fn v5_3_1_2_5_a_session_can_be_resumed_in_another_version() {
    let broker = Broker::start("");
    for (first, then) in [(V3_1_1, V5), (V5, V3_1_1)] {
        away(&broker, first, "c");
        Client::connect(&broker, V5, "p").publish("a", "queued", AtLeastOnce);
        let (mut client, present) = Client::connect_session(&broker, then, "c", false);
        assert!(present);
        assert_eq!(client.payloads(1), ["queued"]);
        client.disconnect();
    }
}

#[test]
fn v5_3_1_2_23_a_session_without_expiry_ends_with_its_connection() {
    let broker = Broker::start("");
    for breaks in [false, true] {
        let (mut client, connack) = Client::connect_with(&broker, connect(V5, "c"));
        assert!(!connack.session_present);
        client.subscribe("a", AtLeastOnce);
        if breaks {
            client.break_off()
        } else {
            client.disconnect()
        }
        let mut publisher = Client::connect(&broker, V5, "p");
        assert_eq!(publisher.publish("a", "x", AtLeastOnce), ReasonCode::NoMatchingSubscribers);
        let (mut client, present) = expiring(&broker, "c", false, 0);
        assert!(!present);
        client.expect_nothing();
        client.disconnect();
    }
}

#[test]
fn v5_4_1_0_2_a_session_is_deleted_when_its_expiry_has_passed() {
    let broker = Broker::start(TELLS_EXPIRY);
    let (mut client, _) = expiring(&broker, "c", true, 1);
    client.subscribe("a", AtLeastOnce);
    // Not before its connection is over.
    wait_for_a_second(&broker);
    let mut publisher = Client::connect(&broker, V5, "p");
    assert_eq!(publisher.publish("a", "live", AtLeastOnce), ReasonCode::Success);
    assert_eq!(client.payloads(1), ["live"]);
    let seen = broker.log().len();
    client.disconnect();
    broker.log().wait_for_after(seen, "session expired", PATIENCE);
    assert_eq!(publisher.publish("a", "late", AtLeastOnce), ReasonCode::NoMatchingSubscribers);
    assert!(!expiring(&broker, "c", false, 1).1);
}

#[test]
fn v5_3_1_2_23_a_client_that_returns_in_time_keeps_its_session() {
    let broker = Broker::start(TELLS_EXPIRY);
    expiring(&broker, "c", true, 1).0.disconnect();
    let (client, present) = expiring(&broker, "c", false, 60);
    assert!(present);
    wait_for_a_second(&broker);
    client.disconnect();
    assert!(expiring(&broker, "c", false, 0).1);
}

#[test]
fn v5_3_14_2_disconnect_can_change_the_expiry() {
    let broker = Broker::start("");
    let expiry = |seconds| DisconnectProperties {
        session_expiry_interval: Some(seconds),
        ..DisconnectProperties::default()
    };
    // From for ever to nothing.
    let (client, _) = expiring(&broker, "c", true, u32::MAX);
    client.disconnect_with(ReasonCode::Success, expiry(0));
    assert!(!expiring(&broker, "c", false, 0).1);
    // From for ever to a second.
    let broker_clock = Broker::start(TELLS_EXPIRY);
    expiring(&broker_clock, "c", true, u32::MAX).0.disconnect_with(ReasonCode::Success, expiry(1));
    broker_clock.wait_for_log("session expired", PATIENCE);
    assert!(!expiring(&broker_clock, "c", false, 0).1);
    // From a second to longer.
    expiring(&broker_clock, "d", true, 1).0.disconnect_with(ReasonCode::Success, expiry(600));
    wait_for_a_second(&broker_clock);
    assert!(expiring(&broker_clock, "d", false, 0).1);
    // It may leave it as it was.
    expiring(&broker_clock, "e", true, 600).0.disconnect_with(ReasonCode::Success, expiry(600));
    assert!(expiring(&broker_clock, "e", false, 0).1);
    // From nothing to something: a Protocol Error (section 3.14.2.2.2).
    let (mut client, _) = expiring(&broker, "d", true, 0);
    let prolonged = Disconnect { reason: ReasonCode::Success, properties: expiry(10) };
    client.send(&Packet::Disconnect(prolonged));
    client.expect_disconnect(ReasonCode::ProtocolError);
}

#[test]
fn v5_3_2_2_a_session_lives_no_longer_than_max_session_expiry() {
    let broker = Broker::start(&format!("[limits]\nmax_session_expiry = 1\n{TELLS_EXPIRY}"));
    let (client, _) = expiring(&broker, "c", true, u32::MAX);
    client.disconnect();
    broker.wait_for_log("session expired", PATIENCE);
    assert!(!expiring(&broker, "c", false, 0).1);
}

#[test]
fn v5_3_3_2_6_message_expiry_is_passed_on_less_the_time_it_waited() {
    let broker = Broker::start(TELLS_EXPIRY);
    let mut live = Client::connect(&broker, V5, "live");
    live.subscribe("a", AtLeastOnce);
    away(&broker, V5, "c");
    Client::connect(&broker, V5, "p").publish_properties("a", "x", AtLeastOnce, expiry_of(1000));
    let left = live.accept().properties.message_expiry_interval.unwrap();
    assert!((990..=1000).contains(&left), "{left}");
    wait_for_a_second(&broker);
    let (mut client, _) = Client::connect_session(&broker, V5, "c", false);
    let left = client.accept().properties.message_expiry_interval.unwrap();
    assert!((900..=999).contains(&left), "{left}");
}

#[test]
fn v5_3_3_2_5_a_message_that_expired_while_it_waited_is_not_delivered() {
    let broker = Broker::start(TELLS_EXPIRY);
    for version in BOTH {
        away(&broker, version, "c");
        let mut publisher = Client::connect(&broker, V5, "p");
        publisher.publish_properties("a", "short", AtLeastOnce, expiry_of(1));
        publisher.publish_properties("a", "long", AtLeastOnce, expiry_of(1000));
        wait_for_a_second(&broker);
        let (mut client, _) = Client::connect_session(&broker, version, "c", false);
        assert_eq!(client.payloads(1), ["long"], "{version:?}");
        client.expect_nothing();
        client.disconnect();
    }
}

/// What a client that was away gets of five messages, if there is room for three.
fn waits_of_five(queue_full: &str) -> Vec<String> {
    let broker =
        Broker::start(&format!("[limits]\nmax_queued_messages = 3\nqueue_full = \"{queue_full}\"\n"));
    away(&broker, V5, "c");
    let mut publisher = Client::connect(&broker, V5, "p");
    for payload in ["1", "2", "3", "4", "5"] {
        publisher.publish("a", payload, AtLeastOnce);
    }
    let (mut client, _) = Client::connect_session(&broker, V5, "c", false);
    // The oldest may still be on their way out of the store, and the others come when they are gone.
    let waited = client.payloads(3);
    client.expect_nothing();
    waited
}

#[test]
fn a_full_queue_drops_the_newest_message_if_told_to() {
    assert_eq!(waits_of_five("drop-newest"), ["1", "2", "3"]);
}

#[test]
fn a_full_queue_drops_the_oldest_message_if_told_to() {
    assert_eq!(waits_of_five("drop-oldest"), ["3", "4", "5"]);
}

#[test]
fn a_full_queue_disconnects_a_client_that_does_not_keep_up_if_told_to() {
    let broker =
        Broker::start("[limits]\nmax_queued_messages = 3\nmax_inflight = 1\nqueue_full = \"disconnect\"\n");
    for version in BOTH {
        let mut slow = Client::connect(&broker, version, "slow");
        slow.subscribe("a", AtLeastOnce);
        let mut quick = Client::connect(&broker, version, "quick");
        quick.subscribe("a", AtLeastOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish("a", "1", AtLeastOnce);
        // It is not acknowledged: nothing more goes out, and three wait.
        assert_eq!(slow.message().payload, "1");
        assert_eq!(quick.payloads(1), ["1"]);
        for payload in ["2", "3", "4", "5"] {
            publisher.publish("a", payload, AtLeastOnce);
            assert_eq!(quick.payloads(1), [payload]);
        }
        slow.expect_disconnect(ReasonCode::QuotaExceeded);
        quick.ping();
    }
}

#[test]
fn a_full_queue_drops_qos_0_and_nobody_is_disconnected() {
    let broker = Broker::start("[limits]\nmax_queued_messages = 3\n");
    away(&broker, V3_1_1, "c");
    let mut publisher = Client::connect(&broker, V5, "p");
    for n in 0..10 {
        publisher.publish("a", &n.to_string(), AtMostOnce);
    }
    let (mut client, _) = Client::connect_session(&broker, V3_1_1, "c", false);
    client.expect_nothing();
    publisher.publish("a", "live", AtMostOnce);
    assert_eq!(client.payloads(1), ["live"]);
}

#[test]
fn bytes_that_wait_are_bounded_too() {
    let broker = Broker::start("[limits]\nmax_queued_bytes = \"64KiB\"\n");
    away(&broker, V5, "c");
    let mut publisher = Client::connect(&broker, V5, "p");
    for n in 0..10 {
        publisher.publish("a", &n.to_string().repeat(20_000), AtLeastOnce);
    }
    let (mut client, _) = Client::connect_session(&broker, V5, "c", false);
    let waited: Vec<_> = client.drain().into_iter().map(|message| message.payload[..1].to_owned()).collect();
    assert_eq!(waited, ["0", "1", "2"]);
}

#[test]
fn a_full_queue_keeps_what_waits_for_a_client_that_is_away_if_told_to_disconnect() {
    assert_eq!(waits_of_five("disconnect"), ["1", "2", "3"]);
}

#[test]
fn v5_3_14_2_nor_does_disconnect_prolong_it() {
    let broker = Broker::start(&format!("[limits]\nmax_session_expiry = 1\n{TELLS_EXPIRY}"));
    let (client, _) = expiring(&broker, "c", true, 1);
    let properties =
        DisconnectProperties { session_expiry_interval: Some(u32::MAX), ..DisconnectProperties::default() };
    client.disconnect_with(ReasonCode::Success, properties);
    broker.wait_for_log("session expired", PATIENCE);
}

#[test]
fn v5_4_3_3_7_a_qos_2_message_does_not_expire_once_its_publish_is_out() {
    let broker = Broker::start(TELLS_EXPIRY);
    away(&broker, V5, "c");
    let (mut client, _) = Client::connect_session(&broker, V5, "c", false);
    Client::connect(&broker, V5, "p").publish_properties("a", "x", ExactlyOnce, expiry_of(1));
    let first = client.message();
    client.break_off();
    wait_for_a_second(&broker);
    let (mut client, _) = Client::connect_session(&broker, V5, "c", false);
    let again = client.accept();
    assert_eq!((again.packet_id, again.dup), (first.packet_id, true));
    client.expect_nothing();
}

#[test]
fn v5_3_3_4_9_a_resumed_session_keeps_to_the_new_receive_maximum() {
    let broker = Broker::start("");
    away(&broker, V5, "c");
    let (mut client, _) = Client::connect_session(&broker, V5, "c", false);
    let mut publisher = Client::connect(&broker, V5, "p");
    for payload in ["1", "2", "3", "4", "5"] {
        publisher.publish("a", payload, AtLeastOnce);
    }
    for _ in 0..5 {
        client.message();
    }
    client.break_off();
    let properties = ConnectProperties {
        session_expiry_interval: Some(u32::MAX),
        receive_maximum: std::num::NonZeroU16::new(2),
        ..ConnectProperties::default()
    };
    let connect = Connect { clean_start: false, properties, ..connect(V5, "c") };
    let (mut client, _) = Client::connect_with(&broker, connect);
    let first = [client.message(), client.message()];
    client.expect_nothing();
    first.iter().for_each(|message| client.acknowledge(message));
    assert_eq!(client.payloads(3), ["3", "4", "5"]);
}

#[test]
fn v5_4_1_0_1_and_v311_4_1_0_2_a_session_lasts_as_long_as_its_connection() {
    // As short as a session can be: it ends with its connection, or a second later.
    let broker = Broker::start(&format!("[limits]\nmax_session_expiry = 1\n{TELLS_EXPIRY}"));
    for version in BOTH {
        for clean_start in [true, false] {
            let mut client =
                Client::connect_with(&broker, Connect { clean_start, ..connect(version, "c") }).0;
            client.subscribe("a", ExactlyOnce);
            let mut publisher = Client::connect(&broker, version, "p");
            publisher.publish("a", "1", ExactlyOnce);
            let open = client.message();
            let second = Publish { packet_id: PacketId::new(77), ..publish("a", "2", ExactlyOnce) };
            client.send(&Packet::Publish(second.clone()));
            wait_for_a_second(&broker);
            wait_for_a_second(&broker);
            // Subscription and half-done messages of both directions are still there.
            client.acknowledge(&open);
            client.send(&Packet::Publish(Publish { dup: true, ..second }));
            client.send(&Packet::PubRel(ack(PacketId::new(77).unwrap())));
            client.expect_packet(&Packet::PubComp(ack(PacketId::new(77).unwrap())));
            publisher.publish("a", "3", AtLeastOnce);
            assert_eq!(client.payloads(2), ["2", "3"], "{version:?} {clean_start}");
            client.break_off();
        }
    }
}

#[test]
fn v5_4_1_0_1_and_v311_4_1_0_1_a_session_that_stays_keeps_all_its_parts() {
    let broker = Broker::start("[limits]\nmax_inflight = 3\n");
    for (version, id) in [(V3_1_1, "old"), (V5, "new")] {
        let (mut client, _) = Client::connect_session(&broker, version, id, false);
        for (filter, qos) in
            [("a", ExactlyOnce), ("b/+", AtLeastOnce), ("c/#", AtMostOnce), ("d", ExactlyOnce)]
        {
            client.subscribe(filter, qos);
        }
        client.unsubscribe(&["d"]);
        let mut publisher = Client::connect(&broker, version, "p");
        for (payload, qos) in [("1", AtLeastOnce), ("2", ExactlyOnce), ("3", ExactlyOnce), ("4", ExactlyOnce)]
        {
            publisher.publish("a", payload, qos);
        }
        let (one, two, three) = (client.message(), client.message(), client.message());
        client.send(&Packet::PubRec(ack(three.id())));
        client.expect_packet(&Packet::PubRel(ack(three.id())));
        // From the client, received and not released.
        let own = Publish { packet_id: PacketId::new(99), ..publish("nowhere", "x", ExactlyOnce) };
        client.send(&Packet::Publish(own.clone()));
        client
            .find("PUBREC", |received| matches!(received, Received::Packet(Packet::PubRec(_))).then_some(()));
        for how in ["breaks", "says goodbye"] {
            if how == "breaks" {
                client.break_off()
            } else {
                client.disconnect()
            }
            publisher.publish("b/x", how, AtLeastOnce);
            let present;
            (client, present) = Client::connect_session(&broker, version, id, false);
            assert!(present, "{version:?} {how}");
            let again = [client.message(), client.message()];
            for (again, first) in again.iter().zip([&one, &two]) {
                assert_eq!(
                    (again.packet_id, &again.payload, again.dup),
                    (first.packet_id, &first.payload, true)
                );
            }
            client.expect_packet(&Packet::PubRel(ack(three.id())));
            client.expect_nothing();
        }
        let mut witness = Client::connect(&broker, version, "witness");
        witness.subscribe("nowhere", ExactlyOnce);
        client.send(&Packet::Publish(Publish { dup: true, ..own }));
        client.send(&Packet::PubRel(ack(PacketId::new(99).unwrap())));
        client.expect_packet(&Packet::PubComp(ack(PacketId::new(99).unwrap())));
        witness.expect_nothing();
        client.acknowledge(&one);
        client.acknowledge(&two);
        client.send(&Packet::PubComp(ack(three.id())));
        client
            .find("PUBREC", |received| matches!(received, Received::Packet(Packet::PubRec(_))).then_some(()));
        assert_eq!(client.payloads(3), ["4", "breaks", "says goodbye"], "{version:?}");
        for (topic, granted) in [("a", ExactlyOnce), ("b/y", AtLeastOnce), ("c/z", AtMostOnce)] {
            publisher.publish(topic, "live", ExactlyOnce);
            let message = client.accept();
            assert_eq!((message.topic.as_str(), message.qos), (topic, granted), "{version:?}");
        }
        publisher.publish("d", "never", ExactlyOnce);
        client.expect_nothing();
        client.disconnect();
    }
}

#[test]
fn v5_4_3_3_13_a_qos_2_handshake_is_finished_though_its_message_has_expired() {
    let broker = Broker::start(TELLS_EXPIRY);
    let mut client = Client::connect(&broker, V5, "c");
    let packet_id = PacketId::new(5).unwrap();
    let short = Publish {
        packet_id: Some(packet_id),
        properties: Some(Box::new(expiry_of(1))),
        ..publish("a", "x", ExactlyOnce)
    };
    away(&broker, V5, "away");
    client.send(&Packet::Publish(short.clone()));
    client.expect_packet(&Packet::PubRec(ack(packet_id)));
    wait_for_a_second(&broker);
    wait_for_a_second(&broker);
    client.send(&Packet::Publish(Publish { dup: true, ..short }));
    client.expect_packet(&Packet::PubRec(ack(packet_id)));
    client.send(&Packet::PubRel(ack(packet_id)));
    client.expect_packet(&Packet::PubComp(ack(packet_id)));
    client.expect_nothing();
    let (mut back, _) = Client::connect_session(&broker, V5, "away", false);
    back.expect_nothing();
}

#[test]
fn v5_4_5_0_1_and_v311_4_5_0_1_a_message_is_added_to_the_session_of_everybody_it_matches() {
    let broker = Broker::start("");
    for version in BOTH {
        let filters = ["a", "#", "+", "a/#"];
        let everybody = filters.map(|filter| {
            let (mut here, _) =
                Client::connect_session(&broker, version, &format!("here {filter} {version:?}"), false);
            here.subscribe(filter, ExactlyOnce);
            let (mut away, _) =
                Client::connect_session(&broker, version, &format!("away {filter} {version:?}"), false);
            away.subscribe(filter, ExactlyOnce);
            away.disconnect();
            here
        });
        let mut other = Client::connect(&broker, version, "other");
        other.subscribe("b/#", ExactlyOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        for qos in [AtLeastOnce, ExactlyOnce] {
            publisher.publish("a", "x", qos);
        }
        for mut here in everybody {
            assert_eq!(here.payloads(2), ["x", "x"]);
            here.unsubscribe(&filters);
            here.disconnect();
        }
        for filter in filters {
            let (mut back, _) =
                Client::connect_session(&broker, version, &format!("away {filter} {version:?}"), false);
            assert_eq!(back.payloads(2), ["x", "x"], "{version:?} {filter}");
            back.unsubscribe(&filters);
            back.disconnect();
        }
        other.expect_nothing();
        other.disconnect();
    }
}
