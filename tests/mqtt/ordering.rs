//! Message ordering (section 4.6): one publisher's messages reach each client in the order it sent them, for each topic and QoS.

use std::collections::BTreeMap;
use tidegate_mqtt::{Packet, PacketId, Publish, QoS, Version};
use tidegate_tests::{BOTH, Broker, Client, Message, publish};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V3_1_1, V5};

const TOPICS: [&str; 4] = ["a", "a/b", "c", "c/d/e"];

/// Sends messages `from..to`, which go through all topics and QoS, without waiting for any answer.
fn send(publisher: &mut Client, from: u16, to: u16) {
    for n in from..to {
        let qos = [AtMostOnce, AtLeastOnce, ExactlyOnce][usize::from(n) % 3];
        let topic = TOPICS[usize::from(n / 3) % TOPICS.len()];
        let packet_id = if qos == AtMostOnce { None } else { PacketId::new(n + 1) };
        let payload = format!("{n:05}");
        publisher.send(&Packet::Publish(Publish { packet_id, ..publish(topic, &payload, qos) }));
    }
}

/// Their numbers, by topic and QoS.
fn by_topic_and_qos<'a>(
    messages: impl IntoIterator<Item = &'a Message>,
) -> BTreeMap<(String, QoS), Vec<u16>> {
    let mut found: BTreeMap<_, Vec<u16>> = BTreeMap::new();
    for message in messages {
        let key = (message.topic.clone(), message.qos);
        found.entry(key).or_default().push(message.payload.parse().unwrap());
    }
    found
}

#[test]
fn v5_4_6_0_5_and_v5_4_6_0_6_and_v311_4_6_0_5_and_v311_4_6_0_6_every_topic_keeps_its_order_at_each_qos() {
    const COUNT: u16 = 600;
    let broker = Broker::start("[limits]\nmax_inflight = 7\n");
    for version in BOTH {
        let mut subscribers = ["one", "two"].map(|id| Client::connect(&broker, version, id));
        for filter in ["a/#", "c", "+/d/#", "c/#"] {
            for subscriber in &mut subscribers {
                subscriber.subscribe(filter, ExactlyOnce);
            }
        }
        let mut publisher = Client::connect(&broker, version, "p");
        send(&mut publisher, 0, COUNT);
        for subscriber in &mut subscribers {
            let got: Vec<_> = (0..COUNT).map(|_| subscriber.accept()).collect();
            let found = by_topic_and_qos(&got);
            assert_eq!(found.len(), 3 * TOPICS.len(), "each topic at each QoS");
            for ((topic, qos), numbers) in found {
                assert!(numbers.is_sorted(), "{version:?} {topic} {qos:?}: {numbers:?}");
            }
            subscriber.expect_nothing();
        }
    }
}

#[test]
fn v5_4_6_0_6_and_v311_4_6_0_6_a_lower_granted_qos_keeps_the_order_too() {
    const COUNT: u16 = 300;
    let broker = Broker::start("[limits]\nmax_inflight = 7\n");
    for version in BOTH {
        for granted in [AtMostOnce, AtLeastOnce] {
            let mut subscriber = Client::connect(&broker, version, "s");
            subscriber.subscribe("#", granted);
            let mut publisher = Client::connect(&broker, version, "p");
            // What was published at one QoS, for others come with them at the granted one.
            for n in 0..COUNT {
                let packet_id = PacketId::new(n + 1);
                let payload = n.to_string();
                publisher
                    .send(&Packet::Publish(Publish { packet_id, ..publish("a", &payload, ExactlyOnce) }));
            }
            let expected: Vec<_> = (0..COUNT).map(|n| n.to_string()).collect();
            assert_eq!(subscriber.payloads(expected.len()), expected, "{version:?} {granted:?}");
            subscriber.disconnect();
        }
    }
}

#[test]
fn v5_4_6_0_5_and_v311_4_6_0_6_what_waited_comes_before_what_is_new() {
    const WAITED: u16 = 200;
    let broker = Broker::start("[limits]\nmax_inflight = 5\n");
    for version in BOTH {
        let (mut subscriber, _) = Client::connect_session(&broker, version, &format!("s {version:?}"), false);
        subscriber.subscribe("#", ExactlyOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        // Some are on their way and not acknowledged when the connection breaks.
        send(&mut publisher, 0, WAITED / 2);
        publisher.ping();
        let open: Vec<_> = (0..5)
            .map(|_| {
                subscriber.find("a message with an identifier", |received| match received {
                    tidegate_tests::Received::Message(message) if message.qos > AtMostOnce => {
                        Some(message.clone())
                    }
                    _ => None,
                })
            })
            .collect();
        subscriber.break_off();
        send(&mut publisher, WAITED / 2, WAITED);
        publisher.ping();
        let (mut subscriber, present) =
            Client::connect_session(&broker, version, &format!("s {version:?}"), false);
        assert!(present);
        send(&mut publisher, WAITED, 2 * WAITED);
        publisher.ping();
        let mut got = Vec::new();
        let above_qos_0 = (0..2 * WAITED).filter(|n| n % 3 > 0).count();
        while got.iter().filter(|message: &&Message| message.qos > AtMostOnce).count() < above_qos_0 {
            got.push(subscriber.accept());
        }
        got.extend(subscriber.drain());
        let open: Vec<_> = open.iter().map(|message| &message.payload).collect();
        let first: Vec<_> =
            got.iter().filter(|message| message.dup).map(|message| &message.payload).collect();
        assert_eq!(first, open, "{version:?}: repeated in their order");
        for ((topic, qos), numbers) in by_topic_and_qos(&got) {
            assert!(numbers.is_sorted(), "{version:?} {topic} {qos:?}: {numbers:?}");
            if qos > AtMostOnce {
                let all: Vec<_> = (0..2 * WAITED)
                    .filter(|n| {
                        TOPICS[usize::from(n / 3) % TOPICS.len()] == topic
                            && usize::from(n % 3) == qos as usize
                    })
                    .collect();
                assert_eq!(numbers, all, "{version:?} {topic} {qos:?}: all of them, once");
            }
        }
        subscriber.unsubscribe(&["#"]);
        subscriber.disconnect();
    }
}

#[test]
fn v5_4_6_0_6_and_v311_4_6_0_6_the_order_holds_from_any_version_to_any_other() {
    const COUNT: u16 = 120;
    let broker = Broker::start("");
    for (from, to) in [(V3_1_1, V5), (V5, V3_1_1)] {
        let mut subscriber = Client::connect(&broker, to, "s");
        subscriber.subscribe("#", ExactlyOnce);
        let mut publisher = Client::connect(&broker, from, "p");
        send(&mut publisher, 0, COUNT);
        let got: Vec<_> = (0..COUNT).map(|_| subscriber.accept()).collect();
        for ((topic, qos), numbers) in by_topic_and_qos(&got) {
            assert!(numbers.is_sorted(), "{from:?} to {to:?}, {topic} {qos:?}: {numbers:?}");
        }
    }
}
