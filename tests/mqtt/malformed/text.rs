//! Text, names and filters that are none.

use super::*;
use tidegate_mqtt::{Publish, PublishProperties};

/// A QoS 0 PUBLISH of MQTT 5 with one property.
fn with_property(property: &[u8]) -> Vec<u8> {
    frame(0x30, &[&field("a")[..], &set(property)].concat())
}

/// A property set and its length.
fn set(properties: &[u8]) -> Vec<u8> {
    [&[u8::try_from(properties.len()).unwrap()][..], properties].concat()
}

fn property(id: u8, text: &[u8]) -> Vec<u8> {
    [&[id][..], &field(text)].concat()
}

fn pair(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0x26][..], &field(name), &field(value)].concat()
}

/// One case for each text that is none.
fn each_text(what: &str, bytes: impl Fn(&[u8]) -> Vec<u8>) -> Vec<Case> {
    NO_TEXT.iter().map(|text| case(format!("{what}: {text:02X?}"), bytes(text), Malformed)).collect()
}

#[test]
fn v5_3_3_2_1_and_v311_3_3_2_1_and_v5_4_7_3_2_and_v311_4_7_3_2_a_topic_that_is_no_text_is_malformed() {
    for version in ALL {
        each_ends_its_connection(version, &each_text("topic", |text| publish_bytes(version, 0x30, text)));
    }
}

#[test]
fn v5_3_8_3_1_and_v311_3_8_3_1_a_subscribe_with_a_filter_that_is_no_text_is_malformed() {
    for version in ALL {
        let mut cases = each_text("filter", |text| subscribe_bytes(version, text, 0));
        cases.extend(each_text("second filter", |text| {
            with_id(version, 0x82, 1, &[&field("a")[..], &[0], &field(text), &[0]].concat())
        }));
        each_ends_its_connection(version, &cases);
    }
}

#[test]
fn v5_3_10_3_1_and_v311_3_10_3_1_an_unsubscribe_with_a_filter_that_is_no_text_is_malformed() {
    for version in ALL {
        each_ends_its_connection(version, &each_text("filter", |text| unsubscribe_bytes(version, text)));
    }
}

#[test]
fn v5_1_5_4_1_and_v311_1_5_3_1_text_that_is_not_utf_8_is_malformed() {
    for version in ALL {
        let broken: [&[u8]; 8] = [
            b"\xFF",
            b"\xFE",
            b"\x80",
            b"\xC3(",
            b"\xE2\x82",
            b"\xC1\xBF",                 // "\x7F" in two bytes.
            b"\xF5\x80\x80\x80",         // Above U+10FFFF.
            b"\xED\xA0\x80\xED\xB0\x80", // A pair of surrogates.
        ];
        let cases: Vec<_> = broken
            .iter()
            .flat_map(|text| {
                [
                    case(format!("topic {text:02X?}"), publish_bytes(version, 0x30, text), Malformed),
                    case(format!("filter {text:02X?}"), subscribe_bytes(version, text, 0), Malformed),
                ]
            })
            .collect();
        each_ends_its_connection(version, &cases);
        let connects: Vec<_> = broken
            .iter()
            .map(|text| case(format!("{text:02X?}"), connect_bytes(version, 2, &field(text)), Malformed))
            .collect();
        each_is_refused(version, &connects);
    }
}

#[test]
fn v5_1_5_4_2_and_v311_1_5_3_2_text_with_nul_is_malformed() {
    for version in ALL {
        let nul = [&b"\0"[..], b"a\0", b"\0a", b"a/\0/b"];
        let mut cases = Vec::new();
        for text in nul {
            cases.push(case(format!("topic {text:?}"), publish_bytes(version, 0x30, text), Malformed));
            cases.push(case(format!("filter {text:?}"), subscribe_bytes(version, text, 0), Malformed));
            cases.push(case(format!("unsubscribe {text:?}"), unsubscribe_bytes(version, text), Malformed));
        }
        each_ends_its_connection(version, &cases);
        let user = |text| connect_bytes(version, 0b1000_0010, &[field("c"), field(text)].concat());
        let connects: Vec<_> = nul
            .into_iter()
            .flat_map(|text| [("id", connect_bytes(version, 2, &field(text))), ("user name", user(text))])
            .map(|(what, bytes)| case(what, bytes, Malformed))
            .collect();
        each_is_refused(version, &connects);
    }
}

/// Nothing is trimmed, and nothing is taken for the same that has other bytes.
#[test]
fn v5_1_5_4_3_and_v311_1_5_3_3_a_byte_order_mark_is_a_character() {
    let broker = Broker::start("");
    for version in ALL {
        let mut with = Client::connect(&broker, version, "with");
        with.subscribe("\u{FEFF}a", AtLeastOnce);
        let mut without = Client::connect(&broker, version, "without");
        without.subscribe("a", AtLeastOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish("\u{FEFF}a", "\u{FEFF}x", AtLeastOnce);
        let message = with.accept();
        assert_eq!((message.topic.as_str(), message.payload.as_str()), ("\u{FEFF}a", "\u{FEFF}x"));
        without.expect_nothing();
        publisher.publish("a", "x", AtLeastOnce);
        assert_eq!(without.accept().topic, "a");
        with.expect_nothing();
        // As a client identifier, too: nobody is taken over.
        let mut other = Client::connect(&broker, version, "\u{FEFF}with");
        other.ping();
        with.ping();
    }
    let mut client = Client::connect(&broker, V5, "c");
    client.subscribe("a", AtLeastOnce);
    let properties = PublishProperties {
        content_type: Some("\u{FEFF}text".into()),
        response_topic: Some(TopicName::new("\u{FEFF}b").unwrap()),
        user_properties: vec![("\u{FEFF}".into(), "x\u{FEFF}".into())],
        ..PublishProperties::default()
    };
    client.publish_with(Publish {
        properties: Some(Box::new(properties.clone())),
        ..publish("a", "x", AtLeastOnce)
    });
    assert_eq!(client.accept().properties, properties);
}

#[test]
fn v5_1_5_4_1_characters_of_every_length_pass() {
    let broker = Broker::start("");
    for version in ALL {
        let mut client = Client::connect(&broker, version, "c");
        // Control characters and non-characters need not be refused.
        for text in
            ["a", "\u{1}", "\u{7F}", "\u{80}", "\u{D7FF}", "\u{E000}", "\u{FFFF}", "\u{10000}", "\u{10FFFF}"]
        {
            client.subscribe(text, AtMostOnce);
            client.publish(text, text, AtLeastOnce);
            assert_eq!(client.accept().topic, text, "{version:?}");
        }
    }
}

#[test]
fn v5_1_5_7_1_user_properties_whose_name_or_value_is_no_text_are_malformed() {
    let mut cases = Vec::new();
    for (what, wrap) in [("name", true), ("value", false)] {
        let pair = |text: &[u8]| if wrap { pair(text, b"x") } else { pair(b"x", text) };
        cases.extend(each_text(&format!("PUBLISH, {what}"), |text| with_property(&pair(text))));
        cases.extend(each_text(&format!("SUBSCRIBE, {what}"), |text| {
            frame(0x82, &[&[0, 1][..], &set(&pair(text)), &field("a"), &[0]].concat())
        }));
        cases.extend(each_text(&format!("UNSUBSCRIBE, {what}"), |text| {
            frame(0xA2, &[&[0, 1][..], &set(&pair(text)), &field("a")].concat())
        }));
        cases.extend(each_text(&format!("PUBACK, {what}"), |text| {
            frame(0x40, &[&[0, 1, 0][..], &set(&pair(text))].concat())
        }));
        cases.extend(each_text(&format!("DISCONNECT, {what}"), |text| {
            frame(0xE0, &[&[0][..], &set(&pair(text))].concat())
        }));
    }
    each_ends_its_connection(V5, &cases);
    let mut connects = each_text("CONNECT", |text| {
        connect_frame("MQTT", 5, 2, &[&set(&pair(text, b"x"))[..], &field("c")].concat())
    });
    connects.extend(each_text("the will", |text| {
        let will = [&field("c")[..], &set(&pair(b"x", text)), &field("will"), &field("gone")].concat();
        connect_bytes(V5, 0b0110, &will)
    }));
    each_is_refused(V5, &connects);
}

/// A property of messages that holds text, in a PUBLISH and of a will.
fn is_text_in_publish_and_will(name: &str, id: u8) {
    each_ends_its_connection(V5, &each_text(name, |text| with_property(&property(id, text))));
    let connects = each_text("of a will", |text| {
        let properties = set(&property(id, text));
        connect_bytes(V5, 0b0110, &[&field("c")[..], &properties, &field("will"), &field("gone")].concat())
    });
    each_is_refused(V5, &connects);
}

#[test]
fn v5_3_3_2_13_a_response_topic_that_is_no_text_is_malformed() {
    is_text_in_publish_and_will("response topic", 0x08);
}

#[test]
fn v5_3_3_2_19_a_content_type_that_is_no_text_is_malformed() {
    is_text_in_publish_and_will("content type", 0x03);
}

#[test]
fn v5_1_5_4_1_reason_strings_and_methods_that_are_no_text_are_malformed() {
    let reason = |text: &[u8]| set(&property(0x1F, text));
    let mut cases = each_text("PUBREC", |text| frame(0x50, &[&[0, 1, 0][..], &reason(text)].concat()));
    cases.extend(each_text("DISCONNECT", |text| frame(0xE0, &[&[0][..], &reason(text)].concat())));
    cases.extend(each_text("AUTH", |text| frame(0xF0, &[&[0x19][..], &set(&property(0x15, text))].concat())));
    each_ends_its_connection(V5, &cases);
    let connects = each_text("CONNECT", |text| {
        connect_frame("MQTT", 5, 2, &[&set(&property(0x15, text))[..], &field("c")].concat())
    });
    each_is_refused(V5, &connects);
}

#[test]
fn v5_3_3_2_2_and_v311_3_3_2_2_and_v5_4_7_0_1_and_v311_4_7_1_1_a_topic_with_wildcards_is_malformed() {
    for version in ALL {
        let cases: Vec<_> = ["#", "+", "a/#", "+/a", "a/+/b", "a+", "#a", "/#", "a/b#c"]
            .iter()
            .flat_map(|topic| [0x30, 0x31, 0x32, 0x34].map(|first| (topic, first)))
            .map(|(topic, first)| {
                case(
                    format!("{topic} {first:02X}"),
                    publish_bytes(version, first, topic.as_bytes()),
                    Malformed,
                )
            })
            .collect();
        each_ends_its_connection(version, &cases);
    }
}

#[test]
fn v5_3_3_2_14_a_response_topic_with_wildcards_is_a_protocol_error() {
    let topics = ["#", "+", "a/#", "+/a", "a+"];
    let cases =
        topics.map(|topic| case(topic, with_property(&property(0x08, topic.as_bytes())), ProtocolError));
    each_ends_its_connection(V5, &cases);
}

#[test]
fn v5_4_7_3_1_and_v311_4_7_3_1_an_empty_topic_or_filter_is_a_protocol_error() {
    for version in ALL {
        each_ends_its_connection(
            version,
            &[
                case("topic", publish_bytes(version, 0x30, b""), ProtocolError),
                case("topic at QoS 1", publish_bytes(version, 0x32, b""), ProtocolError),
                case("SUBSCRIBE", subscribe_bytes(version, b"", 0), ProtocolError),
                case("UNSUBSCRIBE", unsubscribe_bytes(version, b""), ProtocolError),
            ],
        );
    }
    each_ends_its_connection(
        V5,
        &[case("response topic", with_property(&property(0x08, b"")), ProtocolError)],
    );
}

#[test]
fn v5_4_7_1_1_and_v311_4_7_1_2_a_multi_level_wildcard_elsewhere_than_at_the_end_is_malformed() {
    for version in ALL {
        let filters = ["a#", "#a", "a/#/b", "#/", "#/a", "##", "a/b#", "+#"];
        let cases: Vec<_> = filters
            .iter()
            .flat_map(|filter| {
                [
                    case(*filter, subscribe_bytes(version, filter.as_bytes(), 0), Malformed),
                    case(*filter, unsubscribe_bytes(version, filter.as_bytes()), Malformed),
                ]
            })
            .collect();
        each_ends_its_connection(version, &cases);
    }
}

#[test]
fn v5_4_7_1_2_and_v311_4_7_1_3_a_single_level_wildcard_that_does_not_fill_its_level_is_malformed() {
    for version in ALL {
        let filters = ["a+", "+a", "a/+b", "a+/b", "++", "a/b+/c", "+/+a"];
        let cases: Vec<_> = filters
            .iter()
            .flat_map(|filter| {
                [
                    case(*filter, subscribe_bytes(version, filter.as_bytes(), 0), Malformed),
                    case(*filter, unsubscribe_bytes(version, filter.as_bytes()), Malformed),
                ]
            })
            .collect();
        each_ends_its_connection(version, &cases);
    }
}

#[test]
fn v5_4_8_2_1_and_v5_4_8_2_2_a_malformed_shared_filter_is_a_protocol_error() {
    let filters = [
        "$share",
        "$share/",
        "$share//a",
        "$share/g",
        "$share/g/",
        "$share/g+/a",
        "$share/#/a",
        "$share/+/a",
    ];
    let cases: Vec<_> = filters
        .iter()
        .flat_map(|filter| {
            [
                case(*filter, subscribe_bytes(V5, filter.as_bytes(), 0), ProtocolError),
                case(*filter, unsubscribe_bytes(V5, filter.as_bytes()), ProtocolError),
            ]
        })
        .collect();
    each_ends_its_connection(V5, &cases);
    // What stands behind the name is a filter as any other.
    each_ends_its_connection(
        V5,
        &[
            case("$share/g/a#", subscribe_bytes(V5, b"$share/g/a#", 0), Malformed),
            case("$share/g/+a", subscribe_bytes(V5, b"$share/g/+a", 0), Malformed),
            case("$share/g/NUL", subscribe_bytes(V5, b"$share/g/\0", 0), Malformed),
        ],
    );
}
