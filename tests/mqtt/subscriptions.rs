//! SUBSCRIBE and SUBACK (sections 3.8 and 3.9), and who gets what: filters, options, identifiers.

use std::num::NonZeroU32;
use tidegate_mqtt::{
    Packet, PacketId, Publish, QoS, ReasonCode, Subscribe, SubscribeProperties, SubscriptionFilter,
    SubscriptionOptions, Version,
};
use tidegate_tests::{
    BOTH, Broker, Client, Message, Received, each_ends_its_connection, field, publish, request_frame,
};

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
fn v5_3_8_4_5_and_v5_3_8_4_6_and_v5_3_9_3_1_and_v311_3_8_4_4_and_v311_3_9_3_1_many_filters_get_one_answer() {
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
        client.expect_nothing();
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

#[test]
fn v5_3_8_1_1_and_v311_3_8_1_1_subscribe_has_its_flags_or_ends_the_connection() {
    let broker = Broker::start("");
    for version in BOTH {
        let wrong: Vec<_> = (0..16)
            .filter(|flags| *flags != 0b0010)
            .map(|flags| {
                let bytes = request_frame(version, 0x80 | flags, &[0, 1, b'a', 0]);
                ("SUBSCRIBE flags", bytes, ReasonCode::MalformedPacket)
            })
            .collect();
        each_ends_its_connection(&broker, version, &wrong);
    }
}

#[test]
fn v5_3_8_3_1_and_v311_3_8_3_1_filters_are_valid_text_fields() {
    let broker = Broker::start("");
    for version in BOTH {
        let subscribe = |filters: &[&[u8]]| {
            let payload: Vec<u8> =
                filters.iter().flat_map(|text| [&field(text)[..], &[0]].concat()).collect();
            request_frame(version, 0x82, &payload)
        };
        let malformed = ReasonCode::MalformedPacket;
        let cases = [
            ("not UTF-8", subscribe(&[b"a\xFF"]), malformed),
            ("an overlong form", subscribe(&[b"\xC0\xAF"]), malformed),
            ("a surrogate", subscribe(&[b"\xED\xA0\x80"]), malformed),
            ("the second is not UTF-8", subscribe(&[b"a", b"\x80"]), malformed),
            ("it ends behind the packet", request_frame(version, 0x82, &[0, 5, b'a', 0]), malformed),
        ];
        each_ends_its_connection(&broker, version, &cases);
    }
}

#[test]
fn v5_3_8_3_2_and_v311_3_8_3_3_subscribe_to_nothing_ends_the_connection() {
    let broker = Broker::start("");
    for version in BOTH {
        let nothing = request_frame(version, 0x82, &[]);
        each_ends_its_connection(&broker, version, &[("no filter", nothing, ReasonCode::ProtocolError)]);
        // Options belong to each.
        let none = request_frame(version, 0x82, &[0, 1, b'a']);
        each_ends_its_connection(&broker, version, &[("no options", none, ReasonCode::MalformedPacket)]);
    }
}

#[test]
fn v5_3_8_3_5_and_v311_3_8_3_4_reserved_bits_of_the_options_end_the_connection() {
    let broker = Broker::start("");
    for version in BOTH {
        let cases: Vec<_> = (0..=255_u8)
            .filter_map(|options| {
                let reserved = options & if version == V5 { 0xC0 } else { 0xFC } != 0;
                // In MQTT 5 the values 3 are Protocol Errors without a number.
                let no_value = options & 0x03 == 3 || version == V5 && options & 0x30 == 0x30;
                let reason = if reserved { ReasonCode::MalformedPacket } else { ReasonCode::ProtocolError };
                // All with one reserved bit, and some with more.
                let sample = options.count_ones() <= 2 || options == 0xFF;
                let bytes = request_frame(version, 0x82, &[0, 1, b'a', options]);
                // Which of two errors is told is open.
                ((reserved != no_value) && sample).then_some(("options", bytes, reason))
            })
            .collect();
        each_ends_its_connection(&broker, version, &cases);
    }
}

#[test]
fn v311_3_8_3_2_without_wildcards_each_filter_that_has_one_is_refused() {
    let broker = Broker::start("[limits]\nwildcard_subscription_available = false\n");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        let filters =
            ["a/b", "#", "a/+", "c", "+", "a/#", "$share/g/+"].map(|filter| (filter, at(AtLeastOnce)));
        let suback = client.subscribe_with(&filters, SubscribeProperties::default());
        let refused = match version {
            V5 => ReasonCode::WildcardSubscriptionsNotSupported,
            _ => ReasonCode::UnspecifiedError,
        };
        let granted = ReasonCode::GrantedQos1;
        assert_eq!(suback.reasons, [granted, refused, refused, granted, refused, refused, refused]);
        for topic in ["a/b", "c", "d"] {
            client.publish(topic, topic, AtLeastOnce);
        }
        assert_eq!(payloads(client.drain()), ["a/b", "c"], "{version:?}");
        client.disconnect();
    }
}

#[test]
fn v5_3_8_4_1_and_v5_3_8_4_2_and_v311_3_8_4_1_and_v311_3_8_4_2_each_is_answered_with_its_identifier() {
    let broker = Broker::start("[limits]\nmax_topic_levels = 2\n");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        // All are sent before the first answer is read; a refused one is answered too.
        let requests = [(1, "a"), (65_535, "a"), (256, "a/b/c"), (1, "#"), (7, "$share/g/a")];
        for (packet_id, filter) in requests {
            let subscriptions = vec![(SubscriptionFilter::new(filter).unwrap(), at(AtLeastOnce))];
            let packet_id = PacketId::new(packet_id).unwrap();
            let properties = SubscribeProperties::default();
            client.send(&Packet::Subscribe(Subscribe { packet_id, properties, subscriptions }));
        }
        for (packet_id, filter) in requests {
            match client.receive() {
                Received::Packet(Packet::SubAck(suback)) => {
                    assert_eq!(suback.packet_id.get(), packet_id, "{version:?}");
                    assert_eq!((suback.reasons.len(), suback.reasons[0].is_error()), (1, filter == "a/b/c"));
                }
                other => panic!("not SUBACK: {other:?}"),
            }
        }
        client.expect_nothing();
        client.disconnect();
    }
}

#[test]
fn v5_3_8_4_4_and_v311_3_8_4_3_to_subscribe_again_loses_nothing() {
    const AGAIN: u16 = 40;
    const BETWEEN: u16 = 10;
    let broker = Broker::start("");
    for version in BOTH {
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish_retained("a/kept", "kept", AtLeastOnce);
        let mut client = Client::connect(&broker, version, "c");
        client.subscribe("a/#", ExactlyOnce);
        for n in 0..AGAIN {
            // The messages meet the new subscription on its way, before or behind it.
            for m in 0..BETWEEN {
                let number = n * BETWEEN + m;
                let (packet_id, payload) = (PacketId::new(number + 1), number.to_string());
                let live = Publish { packet_id, ..publish("a/live", &payload, AtLeastOnce) };
                publisher.send(&Packet::Publish(live));
            }
            let subscriptions = vec![(SubscriptionFilter::new("a/#").unwrap(), at(ExactlyOnce))];
            let packet_id = PacketId::new(1000 + n).unwrap();
            let properties = SubscribeProperties::default();
            client.send(&Packet::Subscribe(Subscribe { packet_id, properties, subscriptions }));
        }
        let (mut live, mut kept) = (Vec::new(), 0);
        while live.len() < usize::from(AGAIN * BETWEEN) || kept < usize::from(AGAIN) + 1 {
            let message = client.accept();
            if message.topic == "a/kept" {
                assert!(message.retain);
                kept += 1;
            } else {
                live.push(message.payload);
            }
        }
        let sent: Vec<_> = (0..AGAIN * BETWEEN).map(|number| number.to_string()).collect();
        assert_eq!(live, sent, "{version:?}: each once, in order");
        Client::connect(&broker, version, "tidies up").publish_retained("a/kept", "", AtLeastOnce);
    }
}
