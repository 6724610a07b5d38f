//! UNSUBSCRIBE and UNSUBACK (sections 3.10 and 3.11).

use tidegate_mqtt::{Packet, PacketId, QoS, ReasonCode, SubscriptionFilter, Unsubscribe, Version};
use tidegate_tests::{BOTH, Broker, Client, Received, each_ends_its_connection, field, request_frame};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use ReasonCode::{MalformedPacket as Malformed, NoSubscriptionExisted, ProtocolError, Success};
use Version::V5;

fn topics(client: &mut Client) -> Vec<String> {
    client.drain().into_iter().map(|message| message.topic).collect()
}

#[test]
fn v5_3_10_1_1_and_v311_3_10_1_1_unsubscribe_has_its_flags_or_ends_the_connection() {
    let broker = Broker::start("");
    for version in BOTH {
        let wrong: Vec<_> = (0..16)
            .filter(|flags| *flags != 0b0010)
            .map(|flags| ("UNSUBSCRIBE flags", request_frame(version, 0xA0 | flags, &field("a")), Malformed))
            .collect();
        each_ends_its_connection(&broker, version, &wrong);
    }
}

#[test]
fn v5_3_10_3_1_and_v311_3_10_3_1_what_unsubscribe_names_is_text_field_after_field() {
    let broker = Broker::start("");
    for version in BOTH {
        let unsubscribe = |payload: &[&[u8]]| request_frame(version, 0xA2, &payload.concat());
        let second_wrong = unsubscribe(&[&field("a"), &field(b"\xFF")]);
        let cases = [
            ("not UTF-8", unsubscribe(&[&field(b"a\xFF")]), Malformed),
            ("an overlong form", unsubscribe(&[&field(b"\xC1\xA1")]), Malformed),
            ("a surrogate", unsubscribe(&[&field(b"\xED\xB0\x80")]), Malformed),
            ("the second is not UTF-8", second_wrong, Malformed),
            ("it ends behind the packet", unsubscribe(&[&[0, 2, b'a']]), Malformed),
            ("half a length behind it", unsubscribe(&[&field("a"), &[0]]), Malformed),
        ];
        each_ends_its_connection(&broker, version, &cases);
    }
}

#[test]
fn v5_3_10_3_2_and_v311_3_10_3_2_unsubscribe_from_nothing_ends_the_connection() {
    let broker = Broker::start("");
    for version in BOTH {
        let cases = [("no filter", request_frame(version, 0xA2, &[]), ProtocolError)];
        each_ends_its_connection(&broker, version, &cases);
    }
}

#[test]
fn v5_3_10_4_1_and_v311_3_10_4_1_it_removes_the_subscription_with_the_same_text_and_no_other() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        let mut other = Client::connect(&broker, version, "other");
        for filter in ["a/b", "a/c/+", "d/#", "$share/g/e"] {
            client.subscribe(filter, AtLeastOnce);
            other.subscribe(filter.strip_prefix("$share/g/").unwrap_or(filter), AtLeastOnce);
        }
        // They match, or are matched, or look alike.
        for filter in ["a/+", "#", "+/b", "a/b/#", "A/b", "a/b/", "a/c/x", "d", "d/+", "e", "$share/h/e"] {
            let reasons = client.unsubscribe(&[filter]);
            assert_eq!(reasons, if version == V5 { vec![NoSubscriptionExisted] } else { vec![] }, "{filter}");
        }
        let all = ["a/b", "a/c/x", "d", "d/y", "e"];
        for topic in &all {
            other.publish(topic, "x", AtLeastOnce);
        }
        assert_eq!(topics(&mut client), all, "{version:?}");
        for (filter, left) in [
            ("a/b", &["a/c/x", "d", "d/y", "e"][..]),
            ("a/c/+", &["d", "d/y", "e"]),
            ("$share/g/e", &["d", "d/y"]),
            ("d/#", &[]),
        ] {
            other.drain();
            assert_eq!(client.unsubscribe(&[filter]), if version == V5 { vec![Success] } else { vec![] });
            for topic in &all {
                other.publish(topic, "x", AtLeastOnce);
            }
            assert_eq!(topics(&mut client), left, "{version:?} {filter}");
            // It is that client's subscription that goes.
            assert_eq!(topics(&mut other), all, "{version:?} {filter}");
        }
        client.disconnect();
        other.disconnect();
    }
}

#[test]
fn v5_3_10_4_2_and_v311_3_10_4_2_from_then_on_nothing_more_is_queued() {
    let broker = Broker::start("[limits]\nmax_inflight = 1\n");
    for version in BOTH {
        let (mut client, _) = Client::connect_session(&broker, version, &format!("c {version:?}"), false);
        client.subscribe("a", ExactlyOnce);
        client.subscribe("b", ExactlyOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        client.unsubscribe(&["a"]);
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            publisher.publish("a", "never", qos);
            publisher.publish("b", "x", qos);
        }
        assert_eq!(client.payloads(3), ["x", "x", "x"], "{version:?}");
        client.expect_nothing();
        // Nor for a client that is away.
        client.disconnect();
        publisher.publish("a", "never", AtLeastOnce);
        publisher.publish("b", "waits", AtLeastOnce);
        let (mut client, present) =
            Client::connect_session(&broker, version, &format!("c {version:?}"), false);
        assert!(present);
        assert_eq!(client.payloads(1), ["waits"], "{version:?}");
        client.expect_nothing();
        client.disconnect();
    }
}

#[test]
fn v5_3_10_4_3_and_v311_3_10_4_3_what_was_begun_is_finished() {
    let broker = Broker::start("");
    for version in BOTH {
        for qos in [AtLeastOnce, ExactlyOnce] {
            let (mut client, _) = Client::connect_session(&broker, version, &format!("c {version:?}"), false);
            client.subscribe("a", ExactlyOnce);
            client.publish("a", "x", qos);
            let message = client.message();
            client.unsubscribe(&["a"]);
            client.publish("a", "never", qos);
            // Even on the next connection.
            client.break_off();
            let (mut client, present) =
                Client::connect_session(&broker, version, &format!("c {version:?}"), false);
            assert!(present);
            let again = client.accept();
            assert!(again.dup);
            assert_eq!((again.packet_id, again.payload), (message.packet_id, message.payload), "{version:?}");
            client.expect_nothing();
            client.disconnect();
        }
    }
}

#[test]
fn v5_3_10_4_4_and_v5_3_10_4_5_and_v311_3_10_4_4_and_v311_3_10_4_5_each_is_answered_with_its_identifier() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        client.subscribe("here", AtMostOnce);
        // All are sent before the first answer is read. The same identifier may come again once it is answered.
        let requests = [(1, "here"), (65_535, "here"), (256, "nowhere"), (1, "nowhere"), (2, "+/#")];
        for (packet_id, filter) in requests {
            let filters = vec![SubscriptionFilter::new(filter).unwrap()];
            let packet_id = PacketId::new(packet_id).unwrap();
            client.send(&Packet::Unsubscribe(Unsubscribe { packet_id, properties: vec![], filters }));
        }
        let mut answers = Vec::new();
        for (packet_id, _) in requests {
            match client.receive() {
                Received::Packet(Packet::UnsubAck(unsuback)) => {
                    assert_eq!(unsuback.packet_id.get(), packet_id, "{version:?}");
                    answers.extend(unsuback.reasons);
                }
                other => panic!("not UNSUBACK: {other:?}"),
            }
        }
        if version == V5 {
            let none = NoSubscriptionExisted;
            assert_eq!(answers, [Success, none, none, none, none]);
        }
        client.expect_nothing();
    }
}

#[test]
fn v5_3_10_4_6_and_v5_3_11_3_1_and_v311_3_10_4_6_many_filters_get_one_answer_in_their_order() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        for filter in ["a", "b/+", "c/#", "d"] {
            client.subscribe(filter, AtLeastOnce);
        }
        let reasons = client.unsubscribe(&["b/+", "nothing", "a", "c/+", "a", "d"]);
        if version == V5 {
            let (gone, none) = (Success, NoSubscriptionExisted);
            assert_eq!(reasons, [gone, none, gone, none, none, gone]);
        }
        client.expect_nothing();
        for topic in ["a", "b/x", "c/x/y", "d"] {
            client.publish(topic, "x", AtLeastOnce);
        }
        assert_eq!(topics(&mut client), ["c/x/y"], "{version:?}");
        client.disconnect();
    }
}
