//! How much may be on its way at once (section 4.9), and how large it may be (section 3.1.2.11.4).

use std::num::{NonZeroU16, NonZeroU32};
use tidegate_mqtt::{
    Ack, Connect, ConnectProperties, Packet, PacketId, Publish, PublishProperties, QoS, ReasonCode, Version,
};
use tidegate_tests::{Broker, Client, Message, Received, ack, connect, publish};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V3_1_1, V5};

/// A client of MQTT 5 whose session stays, and that takes so many messages at once, of so many bytes at most.
fn bounded(broker: &Broker, client_id: &str, receive_maximum: u16, maximum_packet_size: u32) -> Client {
    let properties = ConnectProperties {
        session_expiry_interval: Some(u32::MAX),
        receive_maximum: NonZeroU16::new(receive_maximum),
        maximum_packet_size: NonZeroU32::new(maximum_packet_size),
        ..ConnectProperties::default()
    };
    let connect = Connect { clean_start: false, properties, ..connect(V5, client_id) };
    Client::connect_with(broker, connect).0
}

/// The messages that come without any being acknowledged.
fn at_once(client: &mut Client) -> Vec<Message> {
    let mut messages = Vec::new();
    // Its own message is behind all others.
    client.subscribe("mark", AtMostOnce);
    client.send(&Packet::Publish(publish("mark", "x", AtMostOnce)));
    loop {
        let message = client.message();
        if message.topic == "mark" {
            return messages;
        }
        messages.push(message);
    }
}

#[test]
fn v5_4_9_0_1_the_quota_begins_at_the_receive_maximum_at_most() {
    let broker = Broker::start("[limits]\nmax_inflight = 8\n");
    let mut publisher = Client::connect(&broker, V5, "p");
    for (receive_maximum, at_most) in [(1, 1), (2, 2), (5, 5), (8, 8), (9, 8), (65_535, 8)] {
        for qos in [AtLeastOnce, ExactlyOnce] {
            let client_id = format!("{receive_maximum} {qos:?}");
            let mut subscriber = bounded(&broker, &client_id, receive_maximum, u32::MAX);
            subscriber.subscribe("a", ExactlyOnce);
            for _ in 0..20 {
                publisher.publish("a", "x", qos);
            }
            // The quota is as large as it may be. It is new with each connection.
            assert_eq!(at_once(&mut subscriber).len(), at_most, "{client_id}");
            subscriber.break_off();
            let mut subscriber = bounded(&broker, &client_id, receive_maximum, u32::MAX);
            assert_eq!(at_once(&mut subscriber).len(), at_most, "{client_id}, again");
            subscriber.unsubscribe(&["a"]);
            subscriber.disconnect();
        }
    }
}

/// The next message, which is this one, and comes alone.
fn next(subscriber: &mut Client, payload: &str) -> PacketId {
    let message = subscriber.message();
    assert_eq!(message.payload, payload);
    subscriber.expect_nothing();
    message.id()
}

#[test]
fn v5_4_9_0_2_each_final_answer_makes_room_for_one_message() {
    let broker = Broker::start("");
    let mut subscriber = bounded(&broker, "s", 1, u32::MAX);
    subscriber.subscribe("a", ExactlyOnce);
    let mut publisher = Client::connect(&broker, V5, "p");
    for (n, qos) in [AtLeastOnce, AtLeastOnce, ExactlyOnce, ExactlyOnce, AtLeastOnce].into_iter().enumerate()
    {
        publisher.publish("a", &n.to_string(), qos);
    }
    let refused = |id| Ack { reason: ReasonCode::UnspecifiedError, ..ack(id) };
    let zero = next(&mut subscriber, "0");
    subscriber.send(&Packet::PubAck(ack(zero)));
    // A refusal is final too.
    let one = next(&mut subscriber, "1");
    subscriber.send(&Packet::PubAck(refused(one)));
    let two = next(&mut subscriber, "2");
    subscriber.send(&Packet::PubRec(refused(two)));
    let three = next(&mut subscriber, "3");
    subscriber.send(&Packet::PubRec(ack(three)));
    subscriber.expect_packet(&Packet::PubRel(ack(three)));
    subscriber.expect_nothing();
    subscriber.send(&Packet::PubComp(ack(three)));
    next(&mut subscriber, "4");
    // What settles nothing makes no room.
    publisher.publish("a", "5", AtLeastOnce);
    let unknown = PacketId::new(60_000).unwrap();
    subscriber.send(&Packet::PubAck(ack(unknown)));
    subscriber.send(&Packet::PubComp(ack(unknown)));
    subscriber.expect_nothing();
}

#[test]
fn v5_4_9_0_2_a_client_beyond_the_receive_maximum_is_disconnected_with_0x93() {
    for receive_maximum in [1, 3] {
        let broker = Broker::start(&format!("[limits]\nreceive_maximum = {receive_maximum}\n"));
        let (mut client, connack) = Client::connect_with(&broker, connect(V5, "c"));
        assert_eq!(connack.properties.receive_maximum.map(NonZeroU16::get), Some(receive_maximum));
        let publish_at =
            |n| Packet::Publish(Publish { packet_id: PacketId::new(n), ..publish("a", "x", ExactlyOnce) });
        for n in 1..=receive_maximum {
            client.send(&publish_at(n));
            assert!(matches!(client.receive(), Received::Packet(Packet::PubRec(_))));
        }
        // QoS 0 needs no quota.
        client.publish("a", "x", AtMostOnce);
        client.send(&publish_at(100));
        client.expect_end(V5, ReasonCode::ReceiveMaximumExceeded);
    }
}

#[test]
fn v5_4_9_0_3_without_quota_everything_else_goes_on() {
    let broker = Broker::start("[limits]\nreceive_maximum = 1\n");
    let mut client = bounded(&broker, "c", 1, u32::MAX);
    client.subscribe("a", AtLeastOnce);
    client.subscribe("b", AtMostOnce);
    // Both directions are full: one message from the broker is open, and one to it.
    client.publish("a", "open", AtLeastOnce);
    let open = client.message();
    client.publish("a", "waits", AtLeastOnce);
    let packet_id = PacketId::new(9_999).unwrap();
    let twice = Publish { packet_id: Some(packet_id), ..publish("nowhere", "x", ExactlyOnce) };
    client.send(&Packet::Publish(twice.clone()));
    let recorded = |received: &Received| match received {
        Received::Packet(Packet::PubRec(ack)) => Some(ack.packet_id),
        _ => None,
    };
    assert_eq!(client.find("PUBREC", recorded), packet_id);

    client.ping();
    client.publish("b", "at most once", AtMostOnce);
    assert_eq!(client.message().payload, "at most once");
    assert_eq!(client.subscribe("c", ExactlyOnce), ReasonCode::GrantedQos2);
    assert_eq!(client.unsubscribe(&["c"]), [ReasonCode::Success]);
    client.send(&Packet::Publish(Publish { dup: true, ..twice }));
    assert_eq!(client.find("PUBREC", recorded), packet_id);
    client.send(&Packet::PubRel(ack(packet_id)));
    client.expect_packet(&Packet::PubComp(ack(packet_id)));
    client.expect_nothing();
    client.acknowledge(&open);
    assert_eq!(client.payloads(1), ["waits"]);
}

/// A QoS 1 message to `a` in MQTT 5, without properties, that takes so many bytes on its way.
fn of_bytes(bytes: usize) -> String {
    // First byte, length, topic, packet identifier, property length.
    let header = if bytes > 129 { 3 } else { 2 };
    "x".repeat(bytes - header - 3 - 2 - 1)
}

/// Waits until `$SYS` says so many messages were too large for somebody.
fn too_large(broker: &Broker, count: u32) {
    let mut watching = Client::connect(broker, V5, "watching");
    watching.subscribe("$SYS/broker/publish/messages/dropped/too_large", AtMostOnce);
    loop {
        let said: u32 = watching.accept().payload.parse().unwrap();
        assert!(said <= count, "{said} instead of {count}");
        if said == count {
            return watching.disconnect();
        }
    }
}

#[test]
fn v5_3_1_2_24_and_v5_3_1_2_25_what_is_too_large_for_one_subscriber_is_dropped_for_it_alone_and_counted() {
    let broker = Broker::start("sys_interval = 1\n");
    let mut small = bounded(&broker, "small", 10, 200);
    small.subscribe("a", AtLeastOnce);
    let mut large = Client::connect(&broker, V5, "large");
    large.subscribe("a", AtLeastOnce);
    let mut old = Client::connect(&broker, V3_1_1, "old");
    old.subscribe("a", AtLeastOnce);
    let mut publisher = Client::connect(&broker, V5, "p");
    let (fits, more) = (of_bytes(200), of_bytes(201));
    for payload in [&fits, &more, &fits] {
        assert_eq!(publisher.publish("a", payload, AtLeastOnce), ReasonCode::Success);
        assert_eq!(large.payloads(1), [payload.as_str()]);
        assert_eq!(old.payloads(1), [payload.as_str()]);
    }
    assert_eq!(small.payloads(2), [fits.as_str(), &fits]);
    small.expect_nothing();
    too_large(&broker, 1);
    // Properties count as well: here it is only they.
    let user_properties = vec![("name".into(), "value".repeat(40).into())];
    let properties = PublishProperties { user_properties, ..PublishProperties::default() };
    publisher.publish_properties("a", "x", AtLeastOnce, properties);
    assert_eq!(large.payloads(1), ["x"]);
    small.expect_nothing();
    too_large(&broker, 2);
    // So does it for what waited while the client was away, or comes back with less room.
    publisher.publish("a", &fits, AtLeastOnce);
    assert_eq!(small.message().payload, fits);
    small.break_off();
    publisher.publish("a", &more, AtLeastOnce);
    publisher.publish("a", "last", AtLeastOnce);
    let mut small = bounded(&broker, "small", 10, 100);
    assert_eq!(small.payloads(1), ["last"]);
    small.expect_nothing();
    too_large(&broker, 4);
}

#[test]
fn v5_3_2_2_15_what_is_too_large_for_the_broker_ends_the_connection_with_0x95() {
    let broker = Broker::start("[limits]\nmax_packet_size = 200\n");
    let mut subscriber = Client::connect(&broker, V5, "s");
    subscriber.subscribe("a", AtLeastOnce);
    let (mut client, connack) = Client::connect_with(&broker, connect(V5, "c"));
    assert_eq!(connack.properties.maximum_packet_size.map(NonZeroU32::get), Some(200));
    assert_eq!(client.publish("a", &of_bytes(200), AtLeastOnce), ReasonCode::Success);
    assert_eq!(subscriber.payloads(1), [of_bytes(200)]);
    let more = of_bytes(201);
    client
        .send(&Packet::Publish(Publish { packet_id: PacketId::new(9), ..publish("a", &more, AtLeastOnce) }));
    client.expect_end(V5, ReasonCode::PacketTooLarge);
    subscriber.expect_nothing();
}
