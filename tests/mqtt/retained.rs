//! Retained messages: set, replaced, removed, and whom a subscription brings them.

use tidegate_mqtt::{
    Connect, ConnectProperties, Packet, Publish, PublishProperties, QoS, ReasonCode, RetainHandling,
    SubscribeProperties, SubscriptionOptions, Version,
};
use tidegate_tests::{BOTH, Broker, Client, PATIENCE, connect, publish};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V3_1_1, V5};

/// Subscribes with a way to handle retained messages.
fn subscribe(client: &mut Client, filter: &str, retain_handling: RetainHandling) {
    let options =
        SubscriptionOptions { retain_handling, maximum_qos: ExactlyOnce, ..SubscriptionOptions::default() };
    client.subscribe_with(&[(filter, options)], SubscribeProperties::default());
}

/// What a new client gets for a subscription, as `TOPIC PAYLOAD`, sorted.
fn retained(broker: &Broker, version: Version, filter: &str) -> Vec<String> {
    let mut client = Client::connect(broker, version, "new");
    client.subscribe(filter, ExactlyOnce);
    let messages = client.drain();
    assert!(messages.iter().all(|message| message.retain), "{messages:?}");
    client.disconnect();
    let mut found: Vec<_> = messages.iter().map(|m| format!("{} {}", m.topic, m.payload)).collect();
    found.sort_unstable();
    found
}

#[test]
fn v5_3_3_1_5_and_v311_3_3_1_5_and_v311_3_3_1_6_and_v311_3_3_1_7_and_v311_3_3_1_8_a_retained_message_waits_and_is_replaced()
 {
    for version in BOTH {
        let broker = Broker::start("");
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish_retained("a/b", "old", AtLeastOnce);
        publisher.publish_retained("a/b", "new", AtMostOnce);
        publisher.publish_retained("a/c", "other", ExactlyOnce);
        publisher.disconnect();
        for filter in ["a/#", "#", "+/+"] {
            assert_eq!(retained(&broker, version, filter), ["a/b new", "a/c other"], "{filter}");
        }
        assert_eq!(retained(&broker, version, "a/b"), ["a/b new"]);
        assert_eq!(retained(&broker, version, "a"), [""; 0]);
    }
}

#[test]
fn v5_3_3_1_6_and_v5_3_3_1_7_and_v311_3_3_1_10_and_v311_3_3_1_11_an_empty_payload_removes_the_retained_message()
 {
    for version in BOTH {
        let broker = Broker::start("");
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish_retained("a", "x", AtLeastOnce);
        let mut subscriber = Client::connect(&broker, version, "s");
        subscriber.subscribe("a", AtLeastOnce);
        assert_eq!(subscriber.payloads(1), ["x"]);
        publisher.publish_retained("a", "", AtLeastOnce);
        // Delivered as any other.
        let empty = subscriber.accept();
        assert_eq!((empty.payload.as_str(), empty.retain), ("", false));
        assert_eq!(retained(&broker, version, "a"), [""; 0]);
        // Nor is it kept where there was nothing.
        publisher.publish_retained("b", "", AtLeastOnce);
        publisher.publish_retained("c", "", AtMostOnce);
        assert_eq!(retained(&broker, version, "#"), [""; 0]);
    }
}

#[test]
fn v5_3_3_1_8_and_v311_3_3_1_12_without_the_flag_nothing_is_kept_or_removed() {
    for version in BOTH {
        let broker = Broker::start("");
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish("none", "x", AtLeastOnce);
        publisher.publish_retained("kept", "x", AtLeastOnce);
        publisher.publish("kept", "y", AtLeastOnce);
        publisher.publish("kept", "", AtLeastOnce);
        assert_eq!(retained(&broker, version, "#"), ["kept x"]);
    }
}

#[test]
fn v5_3_3_1_12_and_v311_3_3_1_9_existing_subscriptions_get_it_without_the_flag() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        client.subscribe("a", AtLeastOnce);
        client.publish_retained("a", "x", AtLeastOnce);
        assert!(!client.accept().retain, "{version:?}");
        client.publish_retained("a", "", AtLeastOnce);
        client.accept();
        client.disconnect();
    }
}

#[test]
fn v5_3_3_1_13_retain_as_published_keeps_the_flag() {
    let broker = Broker::start("");
    let mut client = Client::connect(&broker, V5, "c");
    let options = SubscriptionOptions {
        retain_as_published: true,
        maximum_qos: AtLeastOnce,
        ..SubscriptionOptions::default()
    };
    client.subscribe_with(&[("a", options)], SubscribeProperties::default());
    client.publish_retained("a", "x", AtLeastOnce);
    assert!(client.accept().retain);
    client.publish("a", "y", AtLeastOnce);
    assert!(!client.accept().retain);
}

#[test]
fn v5_3_3_1_9_and_v5_3_3_1_10_and_v5_3_3_1_11_retain_handling_says_when_retained_messages_are_sent() {
    use RetainHandling::{SendAlways, SendIfNew, SendNever};
    let broker = Broker::start("");
    let mut client = Client::connect(&broker, V5, "c");
    client.publish_retained("a", "x", AtLeastOnce);
    for (retain_handling, first, again) in [(SendAlways, 1, 1), (SendIfNew, 1, 0), (SendNever, 0, 0)] {
        subscribe(&mut client, "a", retain_handling);
        assert_eq!(client.drain().len(), first, "{retain_handling:?}");
        subscribe(&mut client, "a", retain_handling);
        assert_eq!(client.drain().len(), again, "{retain_handling:?} again");
        // Whatever came before it, or not: it brings what is published now.
        client.publish("a", "live", AtLeastOnce);
        assert_eq!(client.payloads(1), ["live"]);
        client.unsubscribe(&["a"]);
    }
}

#[test]
fn v311_3_1_2_7_retained_messages_do_not_end_with_a_session() {
    let broker = Broker::start("");
    for version in BOTH {
        let (mut publisher, _) = Client::connect_session(&broker, version, "p", true);
        publisher.publish_retained("a", "x", ExactlyOnce);
        publisher.disconnect();
        // Nor with the next, which throws all state of the client away.
        Client::connect(&broker, version, "p").break_off();
        assert_eq!(retained(&broker, version, "a"), ["a x"]);
    }
}

#[test]
fn v5_3_3_1_10_a_subscription_of_a_resumed_session_is_not_new() {
    let broker = Broker::start("");
    let (mut client, _) = Client::connect_session(&broker, V5, "c", true);
    client.publish_retained("a", "x", AtLeastOnce);
    subscribe(&mut client, "a", RetainHandling::SendIfNew);
    assert_eq!(client.drain().len(), 1);
    client.disconnect();
    let (mut client, _) = Client::connect_session(&broker, V5, "c", false);
    // To resume brings nothing retained, either.
    client.expect_nothing();
    subscribe(&mut client, "a", RetainHandling::SendIfNew);
    client.expect_nothing();
}

#[test]
fn v5_3_8_4_4_and_v311_3_8_4_3_to_subscribe_again_brings_it_again() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        client.publish_retained("a", "x", AtLeastOnce);
        for _ in 0..2 {
            client.subscribe("a", AtLeastOnce);
            let message = client.accept();
            assert!(message.retain && message.payload == "x", "{version:?}: {message:?}");
        }
        client.expect_nothing();
        client.disconnect();
    }
}

#[test]
fn v5_3_8_4_8_and_v311_3_8_4_6_its_qos_is_the_lower_of_both() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        for published in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            client.publish_retained("a", "x", published);
            for wanted in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
                client.subscribe("a", wanted);
                assert_eq!(client.accept().qos, published.min(wanted), "{version:?}");
            }
            client.unsubscribe(&["a"]);
        }
        client.disconnect();
    }
}

#[test]
fn v5_4_7_2_1_and_v311_4_7_2_1_leading_wildcards_bring_nothing_of_sys() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        // A broker that has just started may tell it for the first time while the client listens.
        loop {
            client.subscribe("$SYS/broker/version", AtMostOnce);
            let told = client.accept();
            assert!(told.payload.starts_with("tidegate version "), "{told:?}");
            client.unsubscribe(&["$SYS/broker/version"]);
            if told.retain {
                break;
            }
        }
        for filter in ["#", "+/broker/version", "+/#", "/#"] {
            client.subscribe(filter, AtMostOnce);
            client.expect_nothing();
        }
        client.disconnect();
    }
}

#[test]
fn v5_3_3_1_9_a_new_subscription_gets_all_of_many_retained_messages() {
    const COUNT: usize = 200;
    let broker = Broker::start("");
    let mut publisher = Client::connect(&broker, V5, "p");
    let mut expected: Vec<_> = (0..COUNT).map(|n| format!("many/{n}/x {n}")).collect();
    for n in 0..COUNT {
        publisher.publish_retained(&format!("many/{n}/x"), &n.to_string(), AtLeastOnce);
    }
    expected.sort_unstable();
    for version in BOTH {
        for filter in ["many/#", "#", "many/+/x"] {
            assert_eq!(retained(&broker, version, filter), expected, "{version:?} {filter}");
        }
    }
    // Through a narrow window, while others publish.
    let properties =
        ConnectProperties { receive_maximum: std::num::NonZeroU16::new(3), ..ConnectProperties::default() };
    let (mut narrow, _) = Client::connect_with(&broker, Connect { properties, ..connect(V5, "narrow") });
    narrow.subscribe("many/#", AtLeastOnce);
    publisher.publish("many/live", "live", AtLeastOnce);
    let (mut found, mut live) = (Vec::new(), 0);
    for _ in 0..=COUNT {
        let message = narrow.accept();
        if message.retain {
            found.push(format!("{} {}", message.topic, message.payload));
        } else {
            live += 1;
        }
    }
    found.sort_unstable();
    assert_eq!((found, live), (expected, 1));
    narrow.expect_nothing();
}

#[test]
fn v5_3_3_2_6_a_retained_message_keeps_its_properties_and_expires() {
    let broker = Broker::start("[log]\nformat = \"json\"\nlevel = \"info,tidegate=debug\"\n");
    let mut client = Client::connect(&broker, V5, "c");
    let expiry = |seconds| PublishProperties {
        message_expiry_interval: Some(seconds),
        content_type: Some("text/plain".into()),
        ..PublishProperties::default()
    };
    for (topic, seconds) in [("a/short", 1), ("a/long", 1000)] {
        let properties = Some(Box::new(expiry(seconds)));
        let publish = tidegate_tests::publish(topic, "x", AtLeastOnce);
        client.publish_with(tidegate_mqtt::Publish { retain: true, properties, ..publish });
    }
    // A session that expires after a second is a clock.
    let properties = ConnectProperties { session_expiry_interval: Some(1), ..ConnectProperties::default() };
    Client::connect_with(&broker, Connect { properties, ..connect(V5, "clock") }).0.disconnect();
    broker.wait_for_log("session expired", PATIENCE);
    client.subscribe("a/#", AtLeastOnce);
    let message = client.accept();
    assert_eq!(message.topic, "a/long");
    assert_eq!(message.properties.content_type.as_deref(), Some("text/plain"));
    let left = message.properties.message_expiry_interval.unwrap();
    assert!((900..1000).contains(&left), "{left}");
    client.expect_nothing();
}

#[test]
fn v5_4_8_2_shared_subscriptions_bring_nothing_retained() {
    let broker = Broker::start("");
    let mut client = Client::connect(&broker, V5, "c");
    client.publish_retained("a", "x", AtLeastOnce);
    client.subscribe("$share/g/a", AtLeastOnce);
    client.expect_nothing();
}

#[test]
fn v5_3_4_2_1_and_v311_3_3_5_2_more_retained_messages_than_allowed_are_refused() {
    let broker = Broker::start("[limits]\nmax_retained_messages = 1\n\n[log]\nformat = \"json\"\n");
    // `$SYS` counts, and is not refused.
    let mut client = Client::connect(&broker, V5, "c");
    client.subscribe("$SYS/broker/version", AtMostOnce);
    client.accept();
    assert_eq!(client.publish_retained("a", "x", AtLeastOnce), ReasonCode::QuotaExceeded);
    assert_eq!(client.publish("a", "x", AtLeastOnce), ReasonCode::NoMatchingSubscribers);
    // An acknowledgement would be a lie, and there is no other word.
    let mut older = Client::connect(&broker, V3_1_1, "d");
    let packet_id = Some(older.packet_id());
    let retained = Publish { retain: true, packet_id, ..publish("a", "x", AtLeastOnce) };
    older.send(&Packet::Publish(retained));
    older.expect_closed();
    let mut older = Client::connect(&broker, V3_1_1, "d");
    older.subscribe("a", AtLeastOnce);
    older.expect_nothing();
}
