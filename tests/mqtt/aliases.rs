//! Topic aliases, in both directions.

use std::{
    collections::HashMap,
    num::{NonZeroU16, NonZeroU32},
};
use tidegate_mqtt::{
    Connect, ConnectProperties, Packet, Publish, PublishProperties, QoS, ReasonCode, Version,
};
use tidegate_tests::{Broker, Client, Message, connect, field, frame, publish};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use ReasonCode::{ProtocolError, TopicAliasInvalid};
use Version::V5;

/// A QoS 0 PUBLISH with a topic alias.
fn aliased<'a>(topic: &'a str, payload: &'a str, alias: u16) -> Packet<'a> {
    let properties =
        PublishProperties { topic_alias: NonZeroU16::new(alias), ..PublishProperties::default() };
    Packet::Publish(Publish { properties: Some(Box::new(properties)), ..publish(topic, payload, AtMostOnce) })
}

fn witness(broker: &Broker) -> Client {
    let mut witness = Client::connect(broker, V5, "witness");
    witness.subscribe("#", AtLeastOnce);
    witness
}

#[test]
fn v5_3_3_2_12_every_announced_topic_alias_works() {
    let broker = Broker::start("[limits]\ntopic_alias_maximum = 3\n");
    let mut witness = witness(&broker);
    let (mut client, connack) = Client::connect_with(&broker, connect(V5, "c"));
    assert_eq!(connack.properties.topic_alias_maximum, Some(3));
    for (alias, topic) in [(1, "one"), (2, "two"), (3, "three"), (1, "another")] {
        client.send(&aliased(topic, "set", alias));
        client.send(&aliased("", "used", alias));
        for payload in ["set", "used"] {
            let message = witness.accept();
            assert_eq!((message.topic.as_str(), message.payload.as_str()), (topic, payload));
        }
    }
    // The others stand for what they stood for.
    client.send(&aliased("", "two", 2));
    client.send(&aliased("", "three", 3));
    for topic in ["two", "three"] {
        let message = witness.accept();
        assert_eq!((message.topic.as_str(), message.payload.as_str()), (topic, topic));
    }
}

#[test]
fn v5_3_3_2_12_all_65_535_topic_aliases_work_if_they_are_announced() {
    let broker = Broker::start("[limits]\ntopic_alias_maximum = 65535\n");
    let mut witness = witness(&broker);
    let mut client = Client::connect(&broker, V5, "c");
    for alias in [1, 2, 255, 256, 32_768, 65_535] {
        client.send(&aliased(&format!("topic/{alias}"), "set", alias));
        client.send(&aliased("", "used", alias));
        assert_eq!(
            [witness.accept().topic, witness.accept().topic],
            [(); 2].map(|()| format!("topic/{alias}"))
        );
    }
}

#[test]
fn v5_3_3_2_7_topic_aliases_end_with_their_connection() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    let (mut client, _) = Client::connect_session(&broker, V5, "c", false);
    client.send(&aliased("a", "set", 1));
    assert_eq!(witness.accept().topic, "a");
    // One client's are not another's.
    let mut other = Client::connect(&broker, V5, "other");
    other.send(&aliased("", "never", 1));
    other.expect_disconnect_in_words(ProtocolError);
    client.break_off();
    // Though the session goes on.
    let (mut client, present) = Client::connect_session(&broker, V5, "c", false);
    assert!(present);
    client.send(&aliased("", "never", 1));
    client.expect_disconnect_in_words(ProtocolError);
    witness.expect_nothing();
}

#[test]
fn v5_3_2_2_17_and_v5_3_3_2_8_and_v5_3_3_2_9_an_alias_that_was_not_announced_ends_the_connection() {
    let broker = Broker::start("[limits]\ntopic_alias_maximum = 3\n");
    let mut witness = witness(&broker);
    for (topic, alias) in [("a", 4), ("", 4), ("a", u16::MAX)] {
        let mut client = Client::connect(&broker, V5, "c");
        client.send(&aliased(topic, "never", alias));
        client.expect_disconnect_in_words(TopicAliasInvalid);
    }
    let mut client = Client::connect(&broker, V5, "c");
    client.send_bytes(&frame(0x30, &[&field("a")[..], &[3, 0x23, 0, 0]].concat()));
    client.expect_disconnect_in_words(TopicAliasInvalid);
    witness.expect_nothing();
}

#[test]
fn v5_3_2_2_18_no_topic_alias_works_where_none_is_announced() {
    let broker = Broker::start("[limits]\ntopic_alias_maximum = 0\n");
    let (mut client, connack) = Client::connect_with(&broker, connect(V5, "c"));
    assert!(matches!(connack.properties.topic_alias_maximum, None | Some(0)));
    client.send(&aliased("a", "never", 1));
    client.expect_disconnect_in_words(TopicAliasInvalid);
}

#[test]
fn an_alias_that_stands_for_nothing_yet_is_a_protocol_error() {
    let broker = Broker::start("");
    let mut client = Client::connect(&broker, V5, "c");
    client.send(&aliased("a", "x", 1));
    client.send(&aliased("", "never", 2));
    client.expect_disconnect_in_words(ProtocolError);
}

/// A client that takes so many aliases from the broker, subscribed to everything.
fn taking(broker: &Broker, client_id: &str, topic_alias_maximum: Option<u16>) -> Client {
    let properties = ConnectProperties {
        topic_alias_maximum,
        session_expiry_interval: Some(3600),
        ..ConnectProperties::default()
    };
    let connect = Connect { clean_start: false, properties, ..connect(V5, client_id) };
    let (mut client, _) = Client::connect_with(broker, connect);
    client.subscribe("t/#", ExactlyOnce);
    client
}

/// What aliases stand for on one connection, as its client remembers.
#[derive(Default)]
struct Remembered(HashMap<u16, String>);

impl Remembered {
    /// The topic of a message, and whether an alias stood for it.
    fn resolve(&mut self, message: &Message, maximum: u16) -> (String, bool) {
        let alias = message.properties.topic_alias.map(NonZeroU16::get);
        assert!(alias.is_none_or(|alias| alias <= maximum), "{message:?}");
        match alias {
            Some(alias) if message.topic.is_empty() => (
                self.0.get(&alias).unwrap_or_else(|| panic!("it stands for nothing: {message:?}")).clone(),
                true,
            ),
            alias => {
                assert!(!message.topic.is_empty(), "{message:?}");
                if let Some(alias) = alias {
                    self.0.insert(alias, message.topic.clone());
                }
                (message.topic.clone(), false)
            }
        }
    }
}

#[test]
fn v5_3_1_2_26_and_v5_3_3_2_11_the_broker_assigns_no_more_aliases_than_the_client_allows() {
    let broker = Broker::start("");
    for maximum in [1, 2, 5] {
        let mut client = taking(&broker, &format!("c{maximum}"), Some(maximum));
        let mut publisher = Client::connect(&broker, V5, "p");
        let mut remembered = Remembered::default();
        let (mut by_alias, mut sent) = (0, 0);
        for round in 0..4 {
            for n in 0..5 {
                for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
                    let (topic, payload) = (format!("t/{n}"), format!("{round} {n} {qos:?}"));
                    publisher.publish(&topic, &payload, qos);
                    let message = client.accept();
                    let (heard, stood) = remembered.resolve(&message, maximum);
                    assert_eq!((heard, message.payload), (topic, payload));
                    by_alias += usize::from(stood);
                    sent += 1;
                }
            }
        }
        assert!(by_alias > 0 && by_alias < sent, "{by_alias} of {sent} came by alias");
        client.disconnect();
    }
}

#[test]
fn v5_3_1_2_26_the_second_message_of_a_topic_needs_no_name() {
    let broker = Broker::start("");
    let mut client = taking(&broker, "c", Some(10));
    let mut publisher = Client::connect(&broker, V5, "p");
    publisher.publish("t/a", "1", AtLeastOnce);
    publisher.publish("t/a", "2", AtLeastOnce);
    let (first, second) = (client.accept(), client.accept());
    assert_eq!((first.topic.as_str(), second.topic.as_str()), ("t/a", ""));
    assert!(first.properties.topic_alias.is_some_and(|alias| Some(alias) == second.properties.topic_alias));
}

#[test]
fn v5_3_1_2_27_the_broker_uses_no_aliases_towards_clients_that_allow_none() {
    let broker = Broker::start("");
    for (id, maximum) in [("silent", None), ("unwilling", Some(0))] {
        let mut client = taking(&broker, id, maximum);
        let mut publisher = Client::connect(&broker, V5, "p");
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce, AtMostOnce] {
            publisher.send(&aliased("t/a", "set", 1));
            publisher.send(&aliased("", "used", 1));
            publisher.publish("t/a", "x", qos);
            for _ in 0..3 {
                let message = client.accept();
                // Not even those of the publisher.
                assert_eq!((message.topic.as_str(), message.properties.topic_alias), ("t/a", None));
            }
        }
    }
}

#[test]
fn v5_3_3_2_7_the_aliases_of_the_broker_end_with_their_connection_too() {
    let broker = Broker::start("");
    let mut client = taking(&broker, "c", Some(10));
    let mut publisher = Client::connect(&broker, V5, "p");
    publisher.publish("t/a", "1", AtLeastOnce);
    assert_eq!(client.accept().topic, "t/a");
    publisher.publish("t/a", "open", ExactlyOnce);
    client.message();
    client.break_off();
    publisher.publish("t/a", "queued", AtLeastOnce);
    let mut client = taking(&broker, "c", Some(10));
    let mut remembered = Remembered::default();
    for payload in ["open", "queued"] {
        let message = client.accept();
        assert_eq!(remembered.resolve(&message, 10).0, "t/a");
        assert_eq!(message.payload, payload);
    }
    // Nor do they follow the session where none are allowed.
    client.break_off();
    publisher.publish("t/a", "plain", AtLeastOnce);
    let mut client = taking(&broker, "c", None);
    let message = client.accept();
    assert_eq!((message.topic.as_str(), message.properties.topic_alias), ("t/a", None));
}

#[test]
fn outgoing_topic_aliases_limits_what_the_broker_assigns() {
    for (limit, expected) in [(0, None), (1, NonZeroU16::new(1))] {
        let broker = Broker::start(&format!("[limits]\noutgoing_topic_aliases = {limit}\n"));
        let mut client = taking(&broker, "c", Some(100));
        let mut publisher = Client::connect(&broker, V5, "p");
        let mut remembered = Remembered::default();
        let mut highest = None;
        for round in 0..3 {
            for topic in ["t/a", "t/b", "t/c"] {
                publisher.publish(topic, "x", AtLeastOnce);
                let message = client.accept();
                assert_eq!(remembered.resolve(&message, limit).0, topic, "round {round}");
                highest = highest.max(message.properties.topic_alias);
            }
        }
        assert_eq!(highest, expected);
    }
}

/// A message that is left out because it is too large must not set an alias that its client never hears of.
#[test]
fn v5_3_1_2_25_a_dropped_message_sets_no_alias() {
    let broker = Broker::start("");
    let properties = ConnectProperties {
        topic_alias_maximum: Some(10),
        maximum_packet_size: NonZeroU32::new(100),
        ..ConnectProperties::default()
    };
    let (mut client, _) = Client::connect_with(&broker, Connect { properties, ..connect(V5, "c") });
    client.subscribe("t/#", AtLeastOnce);
    let mut publisher = Client::connect(&broker, V5, "p");
    let mut remembered = Remembered::default();
    for qos in [AtMostOnce, AtLeastOnce] {
        let topic = format!("t/{qos:?}");
        publisher.publish(&topic, &"x".repeat(200), qos);
        publisher.publish(&topic, "fits", qos);
        let message = client.accept();
        assert_eq!(remembered.resolve(&message, 10).0, topic);
        assert_eq!(message.payload, "fits");
    }
}
