//! Who gets what: filters, options, identifiers, shared subscriptions.

use std::num::NonZeroU32;
use tidegate_mqtt::{
    Ack, Packet, PublishProperties, QoS, ReasonCode, SubscribeProperties, SubscriptionOptions, Version,
};
use tidegate_tests::{BOTH, Broker, Client, Message, ack};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V3_1_1, V5};

const MAXIMUM_QOS: [(QoS, ReasonCode); 3] = [
    (AtMostOnce, ReasonCode::Success),
    (AtLeastOnce, ReasonCode::GrantedQos1),
    (ExactlyOnce, ReasonCode::GrantedQos2),
];

fn at(maximum_qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() }
}

/// Subscribes with a subscription identifier.
fn identified(client: &mut Client, filter: &str, maximum_qos: QoS, identifier: u32) {
    let properties = SubscribeProperties {
        subscription_identifier: NonZeroU32::new(identifier),
        ..SubscribeProperties::default()
    };
    client.subscribe_with(&[(filter, at(maximum_qos))], properties);
}

fn payloads(messages: Vec<Message>) -> Vec<String> {
    messages.into_iter().map(|message| message.payload).collect()
}

#[test]
fn v5_3_3_2_3_and_v311_3_3_2_3_a_filter_brings_what_it_matches_and_nothing_else() {
    let cases: [(&str, &[&str], &[&str]); 14] = [
        ("a/b", &["a/b"], &["a", "a/b/c", "a/", "A/b", "/a/b", "a/b/"]),
        ("a/+", &["a/b", "a/"], &["a", "a/b/c", "b/a"]),
        ("a/#", &["a", "a/", "a/b", "a/b/c"], &["b", "ab", "/a"]),
        ("#", &["a", "/", "a/b/c"], &["$a", "$a/b"]),
        ("+", &["a"], &["/a", "a/", "$a"]),
        ("+/+", &["a/b", "/a", "a/", "/"], &["a", "a/b/c", "$a/b"]),
        ("/+", &["/a", "/"], &["a", "a/b"]),
        ("+/b/#", &["a/b", "a/b/c", "/b"], &["a/c", "$a/b", "a"]),
        ("a/+/c", &["a/b/c", "a//c"], &["a/b", "a/b/c/d", "a/c"]),
        ("$a/#", &["$a", "$a/b"], &["a", "b/$a"]),
        ("a//b", &["a//b"], &["a/b"]),
        (" a /b", &[" a /b"], &["a/b"]),
        ("ä/\u{FEFF}b", &["ä/\u{FEFF}b"], &["a\u{308}/\u{FEFF}b", "ä/b"]), // v5 MQTT-1.5.4-3, MQTT-4.7.3-4
        ("Accounts", &["Accounts"], &["ACCOUNTS", "accounts"]),
    ];
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        for (filter, matching, others) in cases {
            assert_eq!(client.subscribe(filter, AtMostOnce), ReasonCode::Success);
            for topic in matching.iter().chain(others) {
                client.publish(topic, "x", AtMostOnce);
            }
            let topics: Vec<_> = client.drain().into_iter().map(|message| message.topic).collect();
            assert_eq!(topics, matching, "{version:?} {filter}");
            client.unsubscribe(&[filter]);
        }
        client.disconnect();
    }
}

#[test]
fn v5_3_8_4_8_and_v311_3_8_4_6_messages_come_at_the_lower_of_both_qos() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        for (maximum_qos, granted) in MAXIMUM_QOS {
            assert_eq!(client.subscribe("a", maximum_qos), granted);
            for (published, _) in MAXIMUM_QOS {
                client.publish("a", "x", published);
                assert_eq!(client.accept().qos, published.min(maximum_qos), "{version:?}");
            }
        }
        client.expect_nothing();
        client.disconnect();
    }
}

#[test]
fn v5_3_8_4_5_and_v311_3_8_4_4_many_filters_get_one_answer_in_their_order() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        let filters = [("a", at(ExactlyOnce)), ("b/+", at(AtMostOnce)), ("c/#", at(AtLeastOnce))];
        let suback = client.subscribe_with(&filters, SubscribeProperties::default());
        let granted = [ReasonCode::GrantedQos2, ReasonCode::Success, ReasonCode::GrantedQos1];
        assert_eq!(suback.reasons, granted); // v5 MQTT-3.9.3-1
        for topic in ["a", "b/x", "c/x/y"] {
            client.publish(topic, topic, ExactlyOnce);
            assert_eq!(client.accept().payload, topic);
        }
        let reasons = client.unsubscribe(&["b/+", "nothing", "a", "c/+"]);
        if version == V5 {
            // v5 MQTT-3.10.4-5, MQTT-3.11.3-1
            let (gone, none) = (ReasonCode::Success, ReasonCode::NoSubscriptionExisted);
            assert_eq!(reasons, [gone, none, gone, none]);
        }
        for topic in ["a", "b/x", "c/x/y"] {
            client.publish(topic, topic, AtLeastOnce);
        }
        // v5 MQTT-3.10.4-1: the same text, not what it matches.
        assert_eq!(payloads(client.drain()), ["c/x/y"]);
        client.disconnect();
    }
}

#[test]
fn v5_3_8_4_3_and_v311_3_8_4_3_to_subscribe_again_replaces() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        client.subscribe("a", ExactlyOnce);
        client.subscribe("a", AtMostOnce);
        client.publish("a", "x", ExactlyOnce);
        assert_eq!(client.accept().qos, AtMostOnce, "{version:?}");
        client.expect_nothing();
        client.unsubscribe(&["a"]);
        client.publish("a", "x", AtLeastOnce);
        client.expect_nothing();
        client.disconnect();
    }
}

#[test]
fn v5_3_10_4_3_and_v311_3_10_4_3_what_was_begun_is_finished_after_unsubscribe() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        client.subscribe("a", ExactlyOnce);
        client.publish("a", "x", ExactlyOnce);
        let message = client.message();
        client.unsubscribe(&["a"]);
        client.publish("a", "never", ExactlyOnce); // v5 MQTT-3.10.4-2
        client.acknowledge(&message);
        client.expect_nothing();
        client.disconnect();
    }
}

#[test]
fn v5_3_3_4_2_and_v311_3_3_5_1_overlapping_subscriptions_bring_one_copy_at_the_highest_qos() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        client.subscribe("a/#", AtMostOnce);
        client.subscribe("a/b", ExactlyOnce);
        client.subscribe("+/b", AtLeastOnce);
        client.publish("a/b", "x", ExactlyOnce);
        assert_eq!(client.accept().qos, ExactlyOnce, "{version:?}");
        client.expect_nothing();
        client.disconnect();
    }
}

#[test]
fn v5_3_3_4_4_a_message_names_every_subscription_that_brought_it() {
    let broker = Broker::start("");
    let mut client = Client::connect(&broker, V5, "c");
    identified(&mut client, "a/#", AtMostOnce, 7);
    identified(&mut client, "a/b", ExactlyOnce, 268_435_455);
    identified(&mut client, "+/b", AtLeastOnce, 7);
    client.subscribe("#", AtMostOnce);
    client.publish("a/b", "x", ExactlyOnce);
    let message = client.accept();
    assert_eq!(message.qos, ExactlyOnce);
    let mut identifiers = message.identifiers();
    identifiers.dedup();
    assert_eq!(identifiers, [7, 268_435_455]);
    client.publish("a/c", "x", ExactlyOnce);
    assert_eq!(client.accept().identifiers(), [7]);
    client.publish("c", "x", ExactlyOnce);
    assert_eq!(client.accept().identifiers(), [0; 0]);
    // To subscribe again replaces the identifier.
    identified(&mut client, "a/#", AtMostOnce, 8);
    client.publish("a/c", "x", ExactlyOnce);
    assert_eq!(client.accept().identifiers(), [8]);
}

#[test]
fn v5_3_3_4_3_identifiers_are_there_for_retained_and_queued_messages_too() {
    let broker = Broker::start("");
    let (mut client, _) = Client::connect_session(&broker, V5, "c", true);
    client.publish_retained("a", "retained", AtLeastOnce);
    identified(&mut client, "a", AtLeastOnce, 3);
    assert_eq!(client.accept().identifiers(), [3]);
    client.disconnect();
    Client::connect(&broker, V5, "p").publish("a", "queued", AtLeastOnce);
    let (mut client, _) = Client::connect_session(&broker, V5, "c", false);
    assert_eq!(client.accept().identifiers(), [3]);
}

#[test]
fn v5_3_8_3_3_no_local_keeps_back_what_the_client_publishes_itself() {
    let broker = Broker::start("");
    let mut client = Client::connect(&broker, V5, "c");
    let options = SubscriptionOptions { no_local: true, ..at(AtLeastOnce) };
    client.subscribe_with(&[("a", options)], SubscribeProperties::default());
    client.publish("a", "own", AtLeastOnce);
    Client::connect(&broker, V5, "p").publish("a", "other", AtLeastOnce);
    assert_eq!(client.payloads(1), ["other"]);
    client.expect_nothing();
    // Another subscription that allows it brings it.
    client.subscribe("+", AtLeastOnce);
    client.publish("a", "own", AtLeastOnce);
    assert_eq!(client.payloads(1), ["own"]);
    client.expect_nothing();
    // Before MQTT 5 there is no such thing.
    let mut older = Client::connect(&broker, V3_1_1, "d");
    older.subscribe("b", AtLeastOnce);
    older.publish("b", "own", AtLeastOnce);
    assert_eq!(older.payloads(1), ["own"]);
}

#[test]
fn v5_3_8_4_7_and_v311_3_8_4_5_limits_refuse_single_filters() {
    let broker = Broker::start("[limits]\nmax_subscriptions = 2\nmax_topic_levels = 3\n");
    for version in BOTH {
        let refused = |reason| if version == V5 { reason } else { ReasonCode::UnspecifiedError };
        let mut client = Client::connect(&broker, version, "c");
        let filters = ["a/b/c", "a/b/c/d", "b", "c", "b"].map(|filter| (filter, at(AtLeastOnce)));
        let suback = client.subscribe_with(&filters, SubscribeProperties::default());
        let granted = ReasonCode::GrantedQos1;
        let expected = [
            granted,
            refused(ReasonCode::TopicFilterInvalid),
            granted,
            refused(ReasonCode::QuotaExceeded),
            granted, // It replaces.
        ];
        assert_eq!(suback.reasons, expected, "{version:?}");
        client.publish("c", "x", AtLeastOnce);
        client.expect_nothing();
        if version == V5 {
            let too_deep = client.publish("a/b/c/d", "x", AtLeastOnce);
            assert_eq!(too_deep, ReasonCode::TopicNameInvalid);
        }
        client.disconnect();
    }
}

/// Members of `$share/g/a`, each with a session that stays.
fn members<const N: usize>(broker: &Broker, version: Version) -> [Client; N] {
    std::array::from_fn(|n| {
        let (mut member, _) = Client::connect_session(broker, version, &format!("m{n} {version:?}"), false);
        member.subscribe("$share/g/a", ExactlyOnce);
        member
    })
}

#[test]
fn v5_4_8_2_each_message_goes_to_one_member_of_a_group_and_all_have_their_share() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut members = members::<3>(&broker, version);
        let mut alone = Client::connect(&broker, version, "other group");
        alone.subscribe("$share/h/+", AtLeastOnce);
        let mut plain = Client::connect(&broker, version, "no group");
        plain.subscribe("a", AtLeastOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        let sent: Vec<_> = (0..30).map(|n| format!("{n:02}")).collect();
        for payload in &sent {
            publisher.publish("a", payload, AtLeastOnce);
        }
        let shares = members.each_mut().map(|member| payloads(member.drain()));
        assert!(shares.iter().all(|share| !share.is_empty()), "{version:?}: {shares:?}");
        assert!(shares.iter().all(|share| share.is_sorted()), "in order: {shares:?}");
        let mut got = shares.concat();
        got.sort_unstable();
        assert_eq!(got, sent, "{version:?}: each once");
        assert_eq!(payloads(alone.drain()), sent);
        assert_eq!(payloads(plain.drain()), sent);
        // Unsubscribed, a member gets nothing more.
        let [mut first, mut second, mut third] = members;
        first.unsubscribe(&["$share/g/a"]);
        second.unsubscribe(&["$share/g/a"]);
        for payload in &sent {
            publisher.publish("a", payload, AtLeastOnce);
        }
        assert_eq!(payloads(third.drain()), sent);
        first.expect_nothing();
        second.expect_nothing();
        third.unsubscribe(&["$share/g/a"]);
    }
}

#[test]
fn v5_4_8_2_members_that_are_away_are_skipped_while_another_is_there() {
    let broker = Broker::start("");
    for version in BOTH {
        let [mut here, away] = members::<2>(&broker, version);
        away.disconnect();
        let mut publisher = Client::connect(&broker, version, "p");
        for _ in 0..6 {
            publisher.publish("a", "x", AtLeastOnce);
        }
        assert_eq!(here.drain().len(), 6, "{version:?}");
        // If all are away, it waits for one of them.
        here.disconnect();
        publisher.publish("a", "waits", AtLeastOnce);
        let mut back = members::<2>(&broker, version);
        let got = back.each_mut().map(|member| payloads(member.drain())).concat();
        assert_eq!(got, ["waits"], "{version:?}");
        for member in &mut back {
            member.unsubscribe(&["$share/g/a"]);
        }
    }
}

#[test]
fn v5_4_8_2_3_a_shared_message_comes_at_the_qos_granted_to_its_receiver() {
    let broker = Broker::start("");
    let mut low = Client::connect(&broker, V5, "low");
    low.subscribe("$share/g/a", AtMostOnce);
    let mut high = Client::connect(&broker, V5, "high");
    high.subscribe("$share/g/a", ExactlyOnce);
    let mut publisher = Client::connect(&broker, V5, "p");
    for _ in 0..10 {
        publisher.publish("a", "x", ExactlyOnce);
    }
    let (low, high) = (low.drain(), high.drain());
    assert_eq!(low.len() + high.len(), 10);
    assert!(low.iter().all(|message| message.qos == AtMostOnce) && !low.is_empty(), "{low:?}");
    assert!(high.iter().all(|message| message.qos == ExactlyOnce) && !high.is_empty(), "{high:?}");
}

#[test]
fn v5_4_8_2_4_a_shared_message_that_was_begun_is_finished_with_the_same_client() {
    let broker = Broker::start("");
    let [mut one, mut two] = members::<2>(&broker, V5);
    let mut publisher = Client::connect(&broker, V5, "p");
    publisher.publish("a", "1", ExactlyOnce);
    publisher.publish("a", "2", ExactlyOnce);
    let (first, second) = (one.message(), two.message());
    assert_ne!(first.payload, second.payload);
    one.break_off();
    two.expect_nothing();
    let (mut one, present) = Client::connect_session(&broker, V5, "m0 V5", false);
    assert!(present);
    let again = one.accept();
    assert_eq!((again.payload, again.dup, again.packet_id), (first.payload, true, first.packet_id));
    two.acknowledge(&second);
    two.expect_nothing();
}

#[test]
fn v5_4_8_2_6_a_shared_message_that_is_refused_goes_to_nobody_else() {
    let broker = Broker::start("");
    let [mut one, mut two] = members::<2>(&broker, V5);
    let mut publisher = Client::connect(&broker, V5, "p");
    for qos in [AtLeastOnce, ExactlyOnce] {
        for _ in 0..2 {
            publisher.publish("a", "x", qos);
        }
        for member in [&mut one, &mut two] {
            let refusal =
                Ack { reason: ReasonCode::ImplementationSpecificError, ..ack(member.message().id()) };
            member.send(&if qos == AtLeastOnce { Packet::PubAck(refusal) } else { Packet::PubRec(refusal) });
        }
        one.expect_nothing();
        two.expect_nothing();
    }
}

#[test]
fn v5_4_8_2_a_shared_and_a_plain_subscription_of_one_client_are_two() {
    let broker = Broker::start("");
    let mut client = Client::connect(&broker, V5, "c");
    client.subscribe("a", AtLeastOnce);
    client.subscribe("$share/g/a", AtLeastOnce);
    client.publish("a", "x", AtLeastOnce);
    assert_eq!(payloads(client.drain()), ["x", "x"]);
    client.unsubscribe(&["a"]);
    client.publish_properties("a", "y", AtLeastOnce, PublishProperties::default());
    assert_eq!(payloads(client.drain()), ["y"]);
}

#[test]
fn v5_4_8_2_5_a_shared_message_dies_with_the_session_it_was_begun_with() {
    let broker = Broker::start("");
    let [mut one, mut two] = members::<2>(&broker, V5);
    let mut publisher = Client::connect(&broker, V5, "p");
    publisher.publish("a", "1", ExactlyOnce);
    publisher.publish("a", "2", ExactlyOnce);
    let (_open, second) = (one.message(), two.accept());
    assert!(!second.payload.is_empty());
    one.break_off();
    Client::connect(&broker, V5, "m0 V5").disconnect(); // With clean start.
    two.expect_nothing();
}
