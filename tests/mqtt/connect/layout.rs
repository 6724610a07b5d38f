//! What a CONNECT must look like, byte by byte. Older versions are closed without a word, MQTT 5 is told what was wrong.

use super::witness;
use tidegate_mqtt::{QoS, ReasonCode, Version};
use tidegate_tests::{Broker, Client, connect_frame, field, frame};

use Version::{V3_1, V3_1_1, V5};

const ALL: [Version; 3] = [V3_1, V3_1_1, V5];

const RESERVED: u8 = 1;
const CLEAN: u8 = 1 << 1;
const WILL: u8 = 1 << 2;
const WILL_QOS_1: u8 = 1 << 3;
const WILL_QOS_2: u8 = 1 << 4;
const WILL_RETAIN: u8 = 1 << 5;
const PASSWORD: u8 = 1 << 6;
const USER_NAME: u8 = 1 << 7;

/// A CONNECT with these flags, no properties and this payload.
pub(crate) fn connect_bytes(version: Version, flags: u8, payload: &[u8]) -> Vec<u8> {
    let rest = [no_properties(version), payload].concat();
    connect_frame(version.protocol_name(), version.level(), flags, &rest)
}

/// An empty property set, where the version has one.
pub(crate) fn no_properties(version: Version) -> &'static [u8] {
    if version == V5 { &[0] } else { &[] }
}

/// The fields of a will.
fn will(version: Version, topic: &[u8], payload: &[u8]) -> Vec<u8> {
    [no_properties(version), &field(topic), &field(payload)].concat()
}

/// Every field a CONNECT can have, and the flags that announce them.
const FULL: u8 = CLEAN | WILL | WILL_QOS_1 | USER_NAME | PASSWORD;

fn full(version: Version) -> Vec<u8> {
    [field("full"), will(version, b"will/full", b"gone"), field("user"), field(b"secret\xFF")].concat()
}

/// Sends a CONNECT with these flags and this payload in every version, and checks that it is refused.
fn is_malformed(broker: &Broker, flags: u8, payload: impl Fn(Version) -> Vec<u8>) {
    for version in ALL {
        let mut client = Client::open(broker.address(), version);
        client.send_bytes(&connect_bytes(version, flags, &payload(version)));
        client.expect_refused_in_words(ReasonCode::MalformedPacket);
    }
    Client::connect(broker, V5, "others").ping();
}

/// As [`is_malformed`], the same in every version.
fn is_malformed_everywhere(broker: &Broker, flags: u8, fields: &[Vec<u8>]) {
    is_malformed(broker, flags, |_| fields.concat());
}

#[test]
fn v5_3_1_3_1_and_v5_3_1_2_9_and_v311_3_1_3_1_and_v311_3_1_2_9_the_fields_come_in_their_order() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    for version in ALL {
        let mut client = Client::open(broker.address(), version);
        client.send_bytes(&connect_bytes(version, FULL, &full(version)));
        assert_eq!(client.expect_connack().reason, ReasonCode::Success, "{version:?}");
        // The identifier is the first: whoever else has it takes over.
        let mut other = Client::connect(&broker, version, "full");
        client.expect_disconnect(ReasonCode::SessionTakenOver);
        other.ping();
        let message = witness.accept();
        assert_eq!((message.topic.as_str(), message.payload.as_str()), ("will/full", "gone"), "{version:?}");
        assert_eq!((message.qos, message.retain), (QoS::AtLeastOnce, false));
        other.disconnect();
    }
}

#[test]
fn v5_3_1_3_1_and_v311_3_1_3_1_fields_in_another_order_are_refused() {
    let broker = Broker::start("");
    // Where the user name belongs there is a password that is no text.
    let (user, password) = (field("user"), field(b"\xFF\xFE"));
    is_malformed_everywhere(
        &broker,
        CLEAN | USER_NAME | PASSWORD,
        &[field("c"), password.clone(), user.clone()],
    );
    // The password comes before the will, or the will before the identifier.
    is_malformed(&broker, FULL, |version| {
        [field("c"), password.clone(), will(version, b"a", b"b"), user.clone()].concat()
    });
    is_malformed(&broker, CLEAN | WILL, |version| [will(version, b"a/\xFF", b"b"), field("c")].concat());
}

#[test]
fn v5_3_1_4_1_and_v311_3_1_4_1_a_connect_that_is_cut_short_or_too_long_is_refused() {
    let broker = Broker::start("");
    for version in ALL {
        let whole = connect_bytes(version, FULL, &full(version));
        let body = &whole[2..];
        let up_to_the_level = 2 + version.protocol_name().len() + 1;
        for cut in 0..body.len() {
            eprintln!("{version:?}: {cut} of {} bytes", body.len());
            let mut client = Client::open(broker.address(), version);
            client.send_bytes(&frame(0x10, &body[..cut]));
            if cut < up_to_the_level {
                // Nobody knows yet in which version to say so.
                client.expect_closed();
            } else {
                client.expect_refused_in_words(ReasonCode::MalformedPacket);
            }
        }
        let mut client = Client::open(broker.address(), version);
        client.send_bytes(&frame(0x10, &[body, &[0]].concat()));
        client.expect_refused_in_words(ReasonCode::MalformedPacket);
        let mut client = Client::open(broker.address(), version);
        client.send_bytes(&whole);
        assert_eq!(client.expect_connack().reason, ReasonCode::Success);
    }
}

#[test]
fn v5_3_1_2_3_and_v311_3_1_2_3_a_reserved_connect_flag_is_refused() {
    let broker = Broker::start("");
    is_malformed_everywhere(&broker, CLEAN | RESERVED, &[field("c")]);
}

#[test]
fn v5_3_1_2_9_and_v311_3_1_2_9_a_will_flag_without_a_will_is_refused() {
    let broker = Broker::start("");
    is_malformed_everywhere(&broker, CLEAN | WILL, &[field("c")]);
    is_malformed(&broker, CLEAN | WILL, |version| {
        [&field("c")[..], no_properties(version), &field("topic")].concat()
    });
}

#[test]
fn v311_3_1_2_11_a_will_without_its_flag_is_refused() {
    let broker = Broker::start("");
    is_malformed(&broker, CLEAN, |version| [field("c"), will(version, b"topic", b"gone")].concat());
}

#[test]
fn v5_3_1_2_11_and_v311_3_1_2_11_and_v311_3_1_2_13_a_will_qos_without_a_will_is_refused() {
    let broker = Broker::start("");
    is_malformed_everywhere(&broker, CLEAN | WILL_QOS_1, &[field("c")]);
    is_malformed_everywhere(&broker, CLEAN | WILL_QOS_2, &[field("c")]);
}

#[test]
fn v5_3_1_2_13_and_v311_3_1_2_11_and_v311_3_1_2_15_will_retain_without_a_will_is_refused() {
    let broker = Broker::start("");
    is_malformed_everywhere(&broker, CLEAN | WILL_RETAIN, &[field("c")]);
}

#[test]
fn v5_3_1_2_12_and_v311_3_1_2_14_will_qos_3_is_refused() {
    let broker = Broker::start("");
    is_malformed(&broker, CLEAN | WILL | WILL_QOS_1 | WILL_QOS_2, |version| {
        [field("c"), will(version, b"topic", b"gone")].concat()
    });
}

#[test]
fn v5_3_1_2_16_and_v311_3_1_2_18_a_user_name_without_its_flag_is_refused() {
    let broker = Broker::start("");
    is_malformed_everywhere(&broker, CLEAN, &[field("c"), field("user")]);
}

#[test]
fn v5_3_1_2_17_and_v311_3_1_2_19_a_user_name_flag_without_user_name_is_refused() {
    let broker = Broker::start("");
    is_malformed_everywhere(&broker, CLEAN | USER_NAME, &[field("c")]);
}

#[test]
fn v5_3_1_2_18_and_v311_3_1_2_20_a_password_without_its_flag_is_refused() {
    let broker = Broker::start("");
    is_malformed_everywhere(&broker, CLEAN | USER_NAME, &[field("c"), field("user"), field("secret")]);
}

#[test]
fn v5_3_1_2_19_and_v311_3_1_2_21_a_password_flag_without_password_is_refused() {
    let broker = Broker::start("");
    is_malformed_everywhere(&broker, CLEAN | USER_NAME | PASSWORD, &[field("c"), field("user")]);
}

#[test]
fn v5_3_1_2_19_and_v311_3_1_2_22_only_mqtt_5_has_passwords_without_user_names() {
    let broker = Broker::start("");
    let payload = [field("c"), field("secret")].concat();
    for version in ALL {
        let mut client = Client::open(broker.address(), version);
        client.send_bytes(&connect_bytes(version, CLEAN | PASSWORD, &payload));
        if version == V5 {
            assert_eq!(client.expect_connack().reason, ReasonCode::Success);
            client.ping();
        } else {
            client.expect_closed();
        }
    }
}

#[test]
fn v5_3_1_3_3_and_v311_3_1_3_3_a_connect_without_client_identifier_is_refused() {
    let broker = Broker::start("");
    is_malformed_everywhere(&broker, CLEAN, &[]);
}

/// What is no text: never begun, cut short, too long for what it says, too large, half of a pair, or NUL.
pub(crate) const NO_TEXT: [&[u8]; 9] = [
    b"a\xFFb",
    b"\x80",
    b"a\xC3",
    b"\xC0\x80",
    b"\xE0\x80\xAF",
    b"\xF4\x90\x80\x80",
    b"\xED\xA0\x80",
    b"x\xED\xBF\xBFx",
    b"a\0b",
];

#[test]
fn v5_3_1_3_4_and_v311_3_1_3_4_a_client_identifier_that_is_no_text_is_refused() {
    let broker = Broker::start("");
    for id in NO_TEXT {
        is_malformed_everywhere(&broker, CLEAN, &[field(id)]);
    }
}

#[test]
fn v5_3_1_3_11_and_v311_3_1_3_10_a_will_topic_that_is_no_text_is_refused() {
    let broker = Broker::start("");
    for topic in NO_TEXT {
        is_malformed(&broker, CLEAN | WILL, |version| [field("c"), will(version, topic, b"gone")].concat());
    }
}

#[test]
fn v5_3_1_3_12_and_v311_3_1_3_11_a_user_name_that_is_no_text_is_refused() {
    let broker = Broker::start("");
    for user in NO_TEXT {
        is_malformed_everywhere(&broker, CLEAN | USER_NAME, &[field("c"), field(user)]);
    }
    // A password may be anything.
    for version in ALL {
        for password in NO_TEXT {
            let payload = [field("c"), field("user"), field(password)].concat();
            let mut client = Client::open(broker.address(), version);
            client.send_bytes(&connect_bytes(version, CLEAN | USER_NAME | PASSWORD, &payload));
            assert_eq!(client.expect_connack().reason, ReasonCode::Success);
        }
    }
}

#[test]
fn v5_3_3_2_2_and_v311_3_3_2_2_a_will_topic_with_wildcards_is_refused() {
    let broker = Broker::start("");
    for topic in ["a/#", "+", "a+"] {
        is_malformed(&broker, CLEAN | WILL, |version| {
            [field("c"), will(version, topic.as_bytes(), b"gone")].concat()
        });
    }
}
