//! Topic names and filters (section 4.7): which are none, and which filter matches which name.

use tidegate_mqtt::{QoS, ReasonCode, Version};
use tidegate_tests::{BOTH, Broker, Client, Wrong, each_ends_its_connection, field, frame, request_frame};

use QoS::{AtLeastOnce, AtMostOnce};
use ReasonCode::{MalformedPacket as Malformed, ProtocolError, Success};
use Version::V5;

/// A QoS 0 PUBLISH with this topic.
fn publish_to(version: Version, topic: &[u8]) -> Vec<u8> {
    let none: &[u8] = if version == V5 { &[0] } else { &[] };
    frame(0x30, &[&field(topic)[..], none, b"x"].concat())
}

/// A SUBSCRIBE and an UNSUBSCRIBE for each of these filters.
fn filters<'a>(version: Version, wrong: &[(&'a str, &[u8])], reason: ReasonCode) -> Vec<Wrong<'a>> {
    let subscribe = wrong.iter().map(|(what, filter)| {
        let payload = [&field(filter)[..], &[1]].concat();
        (*what, request_frame(version, 0x82, &payload), reason)
    });
    let unsubscribe =
        wrong.iter().map(|(what, filter)| (*what, request_frame(version, 0xA2, &field(filter)), reason));
    subscribe.chain(unsubscribe).collect()
}

/// What subscribers to these filters get of a message to each topic, as `filter: topic`.
fn matches(version: Version, filters: &[&str], topics: &[&str]) -> Vec<String> {
    let broker = Broker::start("");
    let mut publisher = Client::connect(&broker, version, "p");
    let mut clients: Vec<_> = filters
        .iter()
        .map(|filter| {
            let mut client = Client::connect(&broker, version, filter);
            assert_eq!(client.subscribe(filter, AtMostOnce), Success);
            client
        })
        .collect();
    for topic in topics {
        publisher.publish(topic, "x", AtLeastOnce);
    }
    let got = filters.iter().zip(&mut clients).flat_map(|(filter, client)| {
        client.drain().into_iter().map(move |message| format!("{filter}: {}", message.topic))
    });
    got.collect()
}

#[test]
fn v5_4_7_0_1_and_v311_4_7_1_1_a_topic_name_with_a_wildcard_ends_the_connection() {
    let broker = Broker::start("");
    for version in BOTH {
        let topics: [&[u8]; 6] = [b"#", b"+", b"a/#", b"a/+/b", b"a#", b"+a"];
        let cases = topics.map(|topic| ("a wildcard", publish_to(version, topic), Malformed));
        each_ends_its_connection(&broker, version, &cases);
    }
}

#[test]
fn v5_4_7_1_1_and_v311_4_7_1_2_a_number_sign_is_the_last_level_of_a_filter_and_fills_it() {
    let broker = Broker::start("");
    for version in BOTH {
        let wrong: [(&str, &[u8]); 6] = [
            ("a/#/b", b"a/#/b"),
            ("#/a", b"#/a"),
            ("a#", b"a#"),
            ("a/#b", b"a/#b"),
            ("##", b"##"),
            ("#/", b"#/"),
        ];
        each_ends_its_connection(&broker, version, &filters(version, &wrong, Malformed));
        let mut client = Client::connect(&broker, version, "c");
        for right in ["#", "a/#", "/#", "a//#"] {
            assert_eq!(client.subscribe(right, AtMostOnce), Success, "{right}");
        }
    }
}

#[test]
fn v5_4_7_1_2_and_v311_4_7_1_3_a_plus_sign_fills_its_level_of_a_filter() {
    let broker = Broker::start("");
    for version in BOTH {
        let wrong: [(&str, &[u8]); 5] =
            [("a+", b"a+"), ("+a", b"+a"), ("a/b+/c", b"a/b+/c"), ("++", b"++"), ("+#", b"+#")];
        each_ends_its_connection(&broker, version, &filters(version, &wrong, Malformed));
        let mut client = Client::connect(&broker, version, "c");
        for right in ["+", "+/a", "a/+", "a/+/b", "+/+", "+/#", "/+/"] {
            assert_eq!(client.subscribe(right, AtMostOnce), Success, "{right}");
        }
    }
}

#[test]
fn v5_4_7_2_1_and_v311_4_7_2_1_a_leading_wildcard_does_not_match_a_leading_dollar() {
    let filters = ["#", "+", "+/b", "+/#", "+/+/c", "$a", "$a/#", "$a/+", "/+"];
    let topics = ["$a", "$a/b", "$a/b/c", "/$a"];
    let expected = [
        // Beyond the first level it is a character as any other.
        "#: /$a",
        "+/#: /$a",
        "$a: $a",
        "$a/#: $a",
        "$a/#: $a/b",
        "$a/#: $a/b/c",
        "$a/+: $a/b",
        "/+: /$a",
    ];
    for version in BOTH {
        assert_eq!(matches(version, &filters, &topics), expected, "{version:?}");
    }
}

#[test]
fn v5_4_7_3_1_and_v311_4_7_3_1_names_and_filters_have_a_character_at_least() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut cases = filters(version, &[("empty filter", b"")], ProtocolError);
        cases.push(("empty topic", publish_to(version, b""), ProtocolError));
        each_ends_its_connection(&broker, version, &cases);
    }
    // One is enough, a slash too.
    for version in BOTH {
        assert_eq!(matches(version, &["/", " "], &["/", " "]), ["/: /", " :  "]);
    }
}

#[test]
fn v5_4_7_3_2_and_v311_4_7_3_2_names_and_filters_have_no_null_character() {
    let broker = Broker::start("");
    for version in BOTH {
        let wrong: [(&str, &[u8]); 3] =
            [("NUL", b"\0"), ("a NUL in a level", b"a/b\0c"), ("a NUL behind a wildcard", b"+/\0")];
        let mut cases = filters(version, &wrong, Malformed);
        cases.extend(
            [b"\0".as_slice(), b"a\0", b"a/\0/b"].map(|t| ("topic", publish_to(version, t), Malformed)),
        );
        each_ends_its_connection(&broker, version, &cases);
    }
}

#[test]
fn v5_4_7_3_4_and_v311_4_7_3_4_matching_changes_no_character() {
    // Each looks like, or means to others, the same as another one.
    let alike = [
        "a/b",
        "A/b",
        "a/b/",
        "/a/b",
        "a//b",
        "a /b",
        " a/b",
        "a\\b",
        "ä",
        "a\u{308}",
        "\u{FEFF}ä",
        "ﬁ",
        "fi",
        "%61/b",
        "a/./b",
        "ß",
        "ss",
        "İ",
        "i",
    ];
    let expected: Vec<_> = alike.iter().map(|text| format!("{text}: {text}")).collect();
    for version in BOTH {
        assert_eq!(matches(version, &alike, &alike), expected, "{version:?}");
    }
}
