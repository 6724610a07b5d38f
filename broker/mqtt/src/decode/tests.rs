//! What is accepted and what is refused, by requirement. Where the standard names no code, the one expected here is ours.

use super::*;
use crate::{arbitrary, error::DecodeError as E, error::Malformed as M, error::ProtocolViolation as P};
use proptest::{collection::vec, prelude::*};
use std::num::NonZeroU16;

const ALL: [Version; 3] = [Version::V3_1, Version::V3_1_1, Version::V5];
const V3: [Version; 2] = [Version::V3_1, Version::V3_1_1];
const V5: Version = Version::V5;

/// A whole packet from its first byte and body.
fn packet(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    crate::writer::Sink::fixed_header(&mut bytes, first_byte, body.len()).unwrap();
    bytes.extend(body);
    bytes
}

/// Length and bytes.
fn field(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// How `body` is refused, or None.
fn error(version: Version, first_byte: u8, body: &[u8]) -> Option<E> {
    let bytes = packet(first_byte, body);
    match next_frame(&bytes, u32::MAX) {
        Ok(frame) => frame.unwrap().decode(version).err(),
        Err(error) => Some(error),
    }
}

/// How a broker refuses `body`, or None.
fn client_error(version: Version, first_byte: u8, body: &[u8]) -> Option<E> {
    next_frame(&packet(first_byte, body), u32::MAX).unwrap().unwrap().decode_from_client(version).err()
}

/// CONNECT from its flags, properties (MQTT 5) and payload.
fn connect(version: Version, flags: u8, properties: &[u8], payload: &[&[u8]]) -> Vec<u8> {
    let mut body = field(version.protocol_name().as_bytes());
    body.extend([version.level(), flags, 0, 60]);
    body.extend(property_set(version, properties));
    body.extend(payload.concat());
    body
}

/// Length and properties; nothing before MQTT 5.
fn property_set(version: Version, properties: &[u8]) -> Vec<u8> {
    if version < V5 { Vec::new() } else { [&[u8::try_from(properties.len()).unwrap()], properties].concat() }
}

/// Every packet that has a text field, with `text` in it.
fn with_text(text: &[u8]) -> Vec<(&'static str, Version, u8, Vec<u8>)> {
    let text = field(text);
    let mut packets = Vec::new();
    for version in ALL {
        let none = property_set(version, b"");
        let id = field(b"id");
        packets.extend([
            ("client id", version, 0x10, connect(version, 0, b"", &[&text])),
            ("user name", version, 0x10, connect(version, 0x80, b"", &[&id, &text])),
            ("will topic", version, 0x10, connect(version, 4, b"", &[&id, &none, &text, &id])),
            ("topic", version, 0x30, [&text[..], &none].concat()),
            ("SUBSCRIBE", version, 0x82, [&[0, 1], &none[..], &text, &[0]].concat()),
            ("UNSUBSCRIBE", version, 0xA2, [&[0, 1], &none[..], &text].concat()),
        ]);
    }
    for (name, property, first_byte, before, after) in [
        ("content type", 0x03, 0x30, &b"\0\x01t"[..], &b""[..]),
        ("response topic", 0x08, 0x30, b"\0\x01t", b""),
        ("assigned client id", 0x12, 0x20, b"\0\0", b""),
        ("authentication method", 0x15, 0xF0, b"\x18", b""),
        ("response information", 0x1A, 0x20, b"\0\0", b""),
        ("server reference", 0x1C, 0x20, b"\0\0", b""),
        ("reason string", 0x1F, 0x40, b"\0\x01\0", b""),
    ] {
        let properties = property_set(V5, &[&[property], &text[..]].concat());
        packets.push((name, V5, first_byte, [before, &properties, after].concat()));
    }
    for pair in [[&text[..], &field(b"v")], [&field(b"n")[..], &text]] {
        let properties = property_set(V5, &[&[0x26], pair[0], pair[1]].concat());
        packets.push(("user property", V5, 0x30, [b"\0\x01t", &properties[..]].concat()));
    }
    packets
}

/// v5 MQTT-1.5.7-1, v5 MQTT-3.1.3-4, v5 MQTT-3.1.3-11, v5 MQTT-3.1.3-12, v5 MQTT-3.3.2-1, v5 MQTT-3.3.2-13, v5 MQTT-3.3.2-19,
/// v5 MQTT-3.8.3-1, v5 MQTT-3.10.3-1, v311 MQTT-3.1.3-4, v311 MQTT-3.1.3-10, v311 MQTT-3.1.3-11, v311 MQTT-3.3.2-1,
/// v311 MQTT-3.8.3-1, v311 MQTT-3.10.3-1
#[test]
fn v5_1_5_4_1_and_v311_1_5_3_1_text_is_utf8_without_surrogates() {
    let bad: [&[u8]; 6] =
        [b"\xFF", b"\xC3(", b"\xC0\x80", b"\xED\xA0\x80", b"\xED\xBF\xBF", b"\xF4\x90\x80\x80"];
    for bytes in bad {
        for (name, version, first_byte, body) in with_text(bytes) {
            assert_eq!(error(version, first_byte, &body), Some(M::Utf8.into()), "{name} {version:?}");
        }
    }
}

/// v5 MQTT-4.7.3-2, v311 MQTT-4.7.3-2
#[test]
fn v5_1_5_4_2_and_v311_1_5_3_2_text_has_no_nul() {
    for (name, version, first_byte, body) in with_text(b"a\0b") {
        assert_eq!(error(version, first_byte, &body), Some(M::Nul.into()), "{name} {version:?}");
    }
}

#[test]
fn v5_1_5_4_3_and_v311_1_5_3_3_a_byte_order_mark_is_a_character() {
    for (name, version, first_byte, body) in with_text("\u{FEFF}a\u{FFFE}\u{1}".as_bytes()) {
        assert_eq!(error(version, first_byte, &body), None, "{name} {version:?}");
    }
    let bytes = packet(0x30, &field("\u{FEFF}a".as_bytes()));
    let publish = next_frame(&bytes, 99).unwrap().unwrap().decode(Version::V3_1_1).unwrap();
    assert!(matches!(publish, Packet::Publish(Publish { topic: "\u{FEFF}a", .. })));
}

#[test]
fn v5_1_5_5_1_variable_byte_integers_have_their_shortest_form() {
    for (bytes, value) in [
        (&[0x00][..], 0),
        (&[0x7F], 127),
        (&[0x80, 0x01], 128),
        (&[0xFF, 0x7F], 16_383),
        (&[0x80, 0x80, 0x01], 16_384),
        (&[0xFF, 0xFF, 0xFF, 0x7F], 268_435_455),
    ] {
        assert_eq!(reader::var_int(bytes), Ok(Some((value, bytes.len()))));
        assert_eq!(reader::var_int(&bytes[..bytes.len() - 1]), Ok(None));
    }
    let bad: [&[u8]; 5] = [
        &[0x80, 0x00],
        &[0xFF, 0x80, 0x00],
        &[0x80, 0x80, 0x80, 0x00],
        &[0x80, 0x80, 0x80, 0x80],
        &[0xFF, 0xFF, 0xFF, 0xFF, 0x01],
    ];
    for bytes in bad {
        let remaining_length = [&[0xC0], bytes].concat();
        assert_eq!(next_frame(&remaining_length, u32::MAX).err(), Some(M::VarInt.into()), "{bytes:?}");
        let property_length = [b"\0\x01t", bytes].concat();
        assert_eq!(error(V5, 0x30, &property_length), Some(M::VarInt.into()), "{bytes:?}");
        let identifier = property_set(V5, &[&[0x0B], bytes].concat());
        let subscribe = [&[0, 1], &identifier[..], b"\0\x01t\0"].concat();
        assert_eq!(error(V5, 0x82, &subscribe), Some(M::VarInt.into()), "{bytes:?}");
    }
}

/// v5 MQTT-3.6.1-1, v5 MQTT-3.8.1-1, v5 MQTT-3.10.1-1, v5 MQTT-3.14.1-1, v5 MQTT-3.15.1-1, v311 MQTT-2.2.2-2,
/// v311 MQTT-3.6.1-1, v311 MQTT-3.8.1-1, v311 MQTT-3.10.1-1, v311 MQTT-3.14.1-1
#[test]
fn v5_2_1_3_1_and_v311_2_2_2_1_reserved_flags_are_checked_before_the_body_is_there() {
    for first_byte in 0..=u8::MAX {
        let (packet_type, flags) = (first_byte >> 4, first_byte & 0x0F);
        let want = match packet_type {
            0 => Some(M::PacketType.into()),
            3 if flags & 6 == 6 => Some(M::QoS.into()),
            3 if flags & 14 == 8 => Some(M::DupAtQos0.into()),
            6 | 8 | 10 if flags != 2 => Some(M::Flags.into()),
            3 | 6 | 8 | 10 => None,
            _ if flags != 0 => Some(E::from(M::Flags)),
            _ => None,
        };
        for bytes in [&[first_byte][..], &[first_byte, 0xFF]] {
            assert_eq!(next_frame(bytes, u32::MAX).err(), want, "{first_byte:#X}");
        }
    }
}

/// v5 MQTT-4.3.1-1, v311 MQTT-4.3.1-1
#[test]
fn v5_3_3_1_2_and_v311_3_3_1_2_dup_is_0_at_qos_0() {
    for version in ALL {
        assert_eq!(error(version, 0x38, b"\0\x01t\0"), Some(M::DupAtQos0.into()));
    }
}

#[test]
fn v5_3_3_1_4_and_v311_3_3_1_4_qos_3_is_malformed() {
    for version in ALL {
        assert_eq!(error(version, 0x36, b"\0\x01t\0\x01\0"), Some(M::QoS.into()));
    }
}

#[test]
fn v5_2_2_1_2_and_v311_2_3_1_5_a_qos_0_publish_has_no_packet_identifier() {
    let bytes = packet(0x30, b"\0\x01t\0\x07");
    let publish = next_frame(&bytes, 99).unwrap().unwrap().decode(Version::V3_1_1).unwrap();
    let Packet::Publish(publish) = publish else { panic!("{publish:?}") };
    assert_eq!((publish.packet_id, publish.payload), (None, &b"\0\x07"[..]));
    assert_eq!(error(V5, 0x30, b"\0\x01t\x07"), Some(M::Truncated.into()));
}

#[test]
fn v5_2_2_1_3_and_v311_2_3_1_1_packet_identifiers_are_not_0() {
    for version in ALL {
        for (first_byte, body) in [
            (0x32, &b"\0\x01t\0\0\0"[..]),
            (0x34, b"\0\x01t\0\0\0"),
            (0x40, b"\0\0"),
            (0x50, b"\0\0"),
            (0x62, b"\0\0"),
            (0x70, b"\0\0"),
            (0x82, b"\0\0\0\0\x01t\0"),
            (0x90, b"\0\0\0\0"),
            (0xA2, b"\0\0\0\0\x01t"),
            (0xB0, b"\0\0\0\0"),
        ] {
            let error = error(version, first_byte, body).unwrap();
            assert_eq!(error, P::PacketIdZero.into(), "{first_byte:#X}");
            assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
        }
    }
}

#[test]
fn v5_2_2_2_1_the_property_length_is_not_left_out() {
    for (first_byte, body) in [
        (0x10, &b"\0\x04MQTT\x05\0\0\0"[..]),
        (0x20, b"\0\0"),
        (0x30, b"\0\x01t"),
        (0x32, b"\0\x01t\0\x01"),
        (0x82, b"\0\x01"),
        (0x90, b"\0\x01"),
        (0xA2, b"\0\x01"),
        (0xB0, b"\0\x01"),
        (0xF0, b"\x18"),
    ] {
        assert_eq!(error(V5, first_byte, body), Some(M::Truncated.into()), "{first_byte:#X}");
    }
    // One byte too long or too short.
    for properties in [&b"\x03\x01\x01"[..], b"\x01\x01\x01"] {
        assert_eq!(error(V5, 0x30, &[b"\0\x01t", properties].concat()), Some(M::Truncated.into()));
    }
}

#[test]
fn v5_acknowledgements_may_leave_out_properties_and_reason() {
    for first_byte in [0x40, 0x50, 0x62, 0x70] {
        let code = if first_byte == 0x40 || first_byte == 0x50 { 0x80 } else { 0x92 };
        for (body, reason) in
            [(&[0, 7][..], 0x00), (&[0, 7, 0], 0x00), (&[0, 7, code], code), (&[0, 7, code, 0], code)]
        {
            let bytes = packet(first_byte, body);
            let decoded = next_frame(&bytes, 99).unwrap().unwrap().decode(V5).unwrap();
            let (Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack)) =
                decoded
            else {
                panic!("{decoded:?}")
            };
            let want = Ack {
                packet_id: NonZeroU16::new(7).unwrap(),
                reason: reason.try_into().unwrap(),
                properties: None,
            };
            assert_eq!(ack, want);
        }
        assert_eq!(error(V5, first_byte, &[0, 7, code, 0, 0]), Some(M::Trailing.into()));
        assert_eq!(error(Version::V3_1_1, first_byte, &[0, 7, 0]), Some(M::Trailing.into()));
    }
}

#[test]
fn v5_disconnect_and_auth_may_leave_out_their_whole_body() {
    for body in [&b""[..], b"\0", b"\x04", b"\x04\0"] {
        assert_eq!(error(V5, 0xE0, body), None, "{body:?}");
    }
    assert_eq!(error(V5, 0xF0, b""), None);
    assert_eq!(error(Version::V3_1_1, 0xE0, b"\0"), Some(M::Trailing.into()));
    for version in V3 {
        assert_eq!(error(version, 0xF0, b""), Some(M::AuthBeforeV5.into()));
    }
}

/// Table 2-4 once more, written down apart from the codec: property, a value, first bytes of the packets that may carry it. 0x00
/// stands for the will.
const TABLE_2_4: [(u8, &[u8], &[u8]); 27] = [
    (0x01, b"\x01", &[0x30, 0x00]),
    (0x02, b"\0\0\0\x01", &[0x30, 0x00]),
    (0x03, b"\0\x01a", &[0x30, 0x00]),
    (0x08, b"\0\x01a", &[0x30, 0x00]),
    (0x09, b"\0\x01a", &[0x30, 0x00]),
    (0x0B, b"\x01", &[0x30, 0x82]),
    (0x11, b"\0\0\0\x01", &[0x10, 0x20, 0xE0]),
    (0x12, b"\0\x01a", &[0x20]),
    (0x13, b"\0\x01", &[0x20]),
    (0x15, b"\0\x01a", &[0x10, 0x20, 0xF0]),
    (0x16, b"\0\x01a", &[0x10, 0x20, 0xF0]),
    (0x17, b"\x01", &[0x10]),
    (0x18, b"\0\0\0\x01", &[0x00]),
    (0x19, b"\x01", &[0x10]),
    (0x1A, b"\0\x01a", &[0x20]),
    (0x1C, b"\0\x01a", &[0x20, 0xE0]),
    (0x1F, b"\0\x01a", &[0x20, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xE0, 0xF0]),
    (0x21, b"\0\x01", &[0x10, 0x20]),
    (0x22, b"\0\x01", &[0x10, 0x20]),
    (0x23, b"\0\x01", &[0x30]),
    (0x24, b"\x01", &[0x20]),
    (0x25, b"\x01", &[0x20]),
    (
        0x26,
        b"\0\x01a\0\x01b",
        &[0x10, 0x00, 0x20, 0x30, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xA2, 0xB0, 0xE0, 0xF0],
    ),
    (0x27, b"\0\0\0\x01", &[0x10, 0x20]),
    (0x28, b"\x01", &[0x20]),
    (0x29, b"\x01", &[0x20]),
    (0x2A, b"\x01", &[0x20]),
];

/// Every packet that can have properties, with these.
fn with_properties(properties: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let set = property_set(V5, properties);
    let around = |first_byte: u8, before: &[u8], after: &[u8]| {
        let body = [before, &set, after].concat();
        (first_byte, if first_byte == 0 { connect(V5, 4, b"", &[&body]) } else { body })
    };
    // Authentication data does not come without a method, and AUTH not without a method at all.
    let method: &[u8] = if properties.first() == Some(&0x15) { b"" } else { b"\x15\0\x01m" };
    let set_with_method = property_set(V5, &[method, properties].concat());
    let with_method =
        |first_byte, before: &[u8], after: &[u8]| (first_byte, [before, &set_with_method, after].concat());
    vec![
        with_method(0x10, b"\0\x04MQTT\x05\0\0\0", b"\0\0"),
        around(0x00, b"\0\0", b"\0\x01t\0\0"),
        with_method(0x20, b"\0\0", b""),
        around(0x30, b"\0\x01t", b""),
        around(0x40, b"\0\x01\0", b""),
        around(0x50, b"\0\x01\0", b""),
        around(0x62, b"\0\x01\0", b""),
        around(0x70, b"\0\x01\0", b""),
        around(0x82, b"\0\x01", b"\0\x01t\0"),
        around(0x90, b"\0\x01", b"\0"),
        around(0xA2, b"\0\x01", b"\0\x01t"),
        around(0xB0, b"\0\x01", b"\0"),
        around(0xE0, b"\0", b""),
        with_method(0xF0, b"\x18", b""),
    ]
}

/// The standard numbers neither rule (section 2.2.2.2).
#[test]
fn v5_properties_stand_only_in_their_packets_and_only_once() {
    let wire = |first_byte: u8| if first_byte == 0 { 0x10 } else { first_byte };
    for id in 0..=u8::MAX {
        let known = TABLE_2_4.iter().find(|row| row.0 == id);
        let (value, packets) = known.map_or((&b"\0\0\0\0\0\0"[..], &[][..]), |row| (row.1, row.2));
        let once = [&[id], value].concat();
        for (first_byte, body) in with_properties(&once) {
            let want = (!packets.contains(&first_byte)).then_some(E::Malformed(M::Property(id)));
            assert_eq!(error(V5, wire(first_byte), &body), want, "{id:#X} in {first_byte:#X}");
        }
        let twice = [&once[..], &once].concat();
        for (first_byte, body) in with_properties(&twice).into_iter().filter(|(f, _)| packets.contains(f)) {
            let may_repeat = id == 0x26 || id == 0x0B && first_byte == 0x30;
            let want = (!may_repeat).then_some(E::Protocol(P::PropertyTwice(id)));
            assert_eq!(error(V5, wire(first_byte), &body), want, "{id:#X} in {first_byte:#X}");
        }
    }
}

/// v5 MQTT-3.3.2-8 (topic alias 0); the standard does not number the others.
#[test]
fn v5_3_3_2_8_forbidden_property_values() {
    for (first_byte, property, code) in [
        (0x30, &b"\x01\x02"[..], 0x82),
        (0x30, b"\x23\0\0", 0x94),
        (0x82, b"\x0B\0", 0x82),
        (0x30, b"\x0B\0", 0x82),
        (0x10, b"\x17\x02", 0x82),
        (0x10, b"\x19\x02", 0x82),
        (0x10, b"\x21\0\0", 0x82),
        (0x10, b"\x27\0\0\0\0", 0x82),
        (0x20, b"\x21\0\0", 0x82),
        (0x20, b"\x27\0\0\0\0", 0x82),
        (0x20, b"\x24\x02", 0x82),
        (0x20, b"\x25\x02", 0x82),
        (0x20, b"\x28\x02", 0x82),
        (0x20, b"\x29\x02", 0x82),
        (0x20, b"\x2A\xFF", 0x82),
    ] {
        let packets = with_properties(property);
        let (_, body) = packets.iter().find(|(f, _)| *f == first_byte).unwrap();
        let error = error(V5, first_byte, body).unwrap();
        assert_eq!(error.reason_code() as u8, code, "{property:?} in {first_byte:#X}: {error}");
    }
}

#[test]
fn v5_authentication_data_needs_a_method() {
    for (first_byte, before, after) in
        [(0x10, &b"\0\x04MQTT\x05\0\0\0"[..], &b"\0\0"[..]), (0x20, b"\0\0", b"")]
    {
        let body = [before, b"\x04\x16\0\x01d", after].concat();
        assert_eq!(error(V5, first_byte, &body), Some(P::AuthenticationDataWithoutMethod.into()));
    }
    for properties in [&b"\0"[..], b"\x04\x16\0\x01d"] {
        let body = [b"\x18", properties].concat();
        assert_eq!(error(V5, 0xF0, &body), Some(P::AuthenticationMethodMissing.into()));
    }
}

#[test]
fn v5_3_1_2_1_and_v5_3_1_2_2_protocol_name_and_level() {
    assert_eq!(error(V5, 0x10, b"\0\x04MQTX\x05\0\0\0\0\0\0"), Some(E::ProtocolName));
    for (body, level, answer_as) in [
        (&b"\0\x04MQTT\x06"[..], 6, V5),
        (b"\0\x04MQTT\x02whatever follows", 2, Version::V3_1_1),
        (b"\0\x06MQIsdp\x04", 4, Version::V3_1_1),
    ] {
        assert_eq!(error(V5, 0x10, body), Some(E::ProtocolLevel { level, answer_as }));
    }
}

/// v311 MQTT-3.1.4-1
#[test]
fn v5_3_1_2_3_and_v311_3_1_2_3_connect_flag_0_is_reserved() {
    for version in ALL {
        let body = connect(version, 1, b"", &[b"\0\0"]);
        assert_eq!(error(version, 0x10, &body), Some(M::ConnectFlags.into()));
    }
}

/// v5 MQTT-3.1.2-13, v311 MQTT-3.1.2-13, v311 MQTT-3.1.2-15
#[test]
fn v5_3_1_2_11_and_v311_3_1_2_11_no_will_no_will_flags() {
    for version in ALL {
        for flags in [0x08, 0x10, 0x20, 0x28] {
            let body = connect(version, flags, b"", &[b"\0\0"]);
            assert_eq!(error(version, 0x10, &body), Some(M::WillFlags.into()), "{flags:#X}");
        }
    }
}

#[test]
fn v5_3_1_2_12_and_v311_3_1_2_14_will_qos_3_is_malformed() {
    for version in ALL {
        for flags in [0x1C, 0x18] {
            let will = [&property_set(version, b""), &b"\0\x01t\0\0"[..]].concat();
            let body = connect(version, flags, b"", &[b"\0\0", &will]);
            assert_eq!(error(version, 0x10, &body), Some(M::QoS.into()), "{flags:#X}");
        }
    }
}

/// v5 MQTT-3.1.2-16, v5 MQTT-3.1.2-17, v5 MQTT-3.1.2-18, v5 MQTT-3.1.2-19, v5 MQTT-3.1.3-1, v5 MQTT-3.1.3-3,
/// v311 MQTT-3.1.2-9, v311 MQTT-3.1.2-18, v311 MQTT-3.1.2-19, v311 MQTT-3.1.2-20, v311 MQTT-3.1.2-21, v311 MQTT-3.1.3-1,
/// v311 MQTT-3.1.3-3
#[test]
fn v5_3_1_2_9_flags_and_payload_of_connect_agree() {
    for version in ALL {
        let none = property_set(version, b"");
        let will = [&none[..], b"\0\x01t\0\x01p"].concat();
        let whole: Vec<&[u8]> = vec![b"\0\x02id", &will, b"\0\x01u", b"\0\x01p"];
        let bytes = packet(0x10, &connect(version, 0xEE, b"", &whole));
        let decoded = next_frame(&bytes, u32::MAX).unwrap().unwrap().decode_from_client(V5).unwrap();
        let want = Connect {
            version,
            clean_start: true,
            keep_alive: 60,
            client_id: ClientId::new("id"),
            properties: ConnectProperties::default(),
            will: Some(Will {
                topic: TopicName::new("t").unwrap(),
                payload: Bytes::from_static(b"p"),
                qos: QoS::AtLeastOnce,
                retain: true,
                properties: Default::default(),
            }),
            username: Some("u".into()),
            password: Some(Bytes::from_static(b"p")),
        };
        assert_eq!(decoded, Packet::Connect(Box::new(want)));
        for fields in 0..whole.len() {
            let body = connect(version, 0xEE, b"", &whole[..fields]);
            assert_eq!(error(version, 0x10, &body), Some(M::Truncated.into()), "{fields}");
        }
        let body = connect(version, 0x02, b"", &whole);
        assert_eq!(error(version, 0x10, &body), Some(M::Trailing.into()));
    }
}

#[test]
fn v311_3_1_2_22_a_password_needs_a_user_name_before_v5() {
    for version in ALL {
        let body = connect(version, 0x40, b"", &[b"\0\0", b"\0\x01p"]);
        let want = (version < V5).then_some(M::PasswordWithoutUserName.into());
        assert_eq!(error(version, 0x10, &body), want);
    }
}

#[test]
fn v5_4_7_0_1_and_v311_4_7_1_1_a_will_topic_is_a_topic_name() {
    for version in ALL {
        let none = property_set(version, b"");
        let with_topic = |topic: &[u8]| connect(version, 4, b"", &[b"\0\0", &none, &field(topic), b"\0\0"]);
        for topic in [&b"a/#"[..], b"+"] {
            let want = M::Name(NameError::WildcardInTopicName).into();
            assert_eq!(error(version, 0x10, &with_topic(topic)), Some(want));
        }
        assert!(error(version, 0x10, &with_topic(b"")).is_some());
    }
}

#[test]
fn v5_3_2_2_1_seven_connack_flags_are_reserved() {
    for version in ALL {
        for flags in 2..=u8::MAX {
            assert_eq!(error(version, 0x20, &[flags, 0, 0]), Some(M::ConnectFlags.into()));
        }
    }
}

#[test]
fn v5_3_2_2_6_and_v311_3_2_2_4_a_refusal_has_no_session() {
    assert_eq!(error(V5, 0x20, b"\x01\x80\0"), Some(P::SessionPresentWithRefusal.into()));
    assert_eq!(error(Version::V3_1_1, 0x20, b"\x01\x05"), Some(P::SessionPresentWithRefusal.into()));
}

#[test]
fn v5_3_3_2_2_and_v311_3_3_2_2_topic_names_have_no_wildcards() {
    for version in ALL {
        for topic in [&b"+"[..], b"#", b"a/+/b", b"a/#", b"a+"] {
            let body = [field(topic), property_set(version, b"")].concat();
            let error = error(version, 0x30, &body).unwrap();
            assert_eq!(error, M::Name(NameError::WildcardInTopicName).into());
            assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
        }
    }
}

#[test]
fn v5_3_3_2_14_response_topics_have_no_wildcards() {
    for topic in [&b"a/#"[..], b"+"] {
        let properties = property_set(V5, &[&[0x08], &field(topic)[..]].concat());
        let body = [b"\0\x01t", &properties[..]].concat();
        assert_eq!(error(V5, 0x30, &body), Some(P::ResponseTopicWildcard.into()));
    }
    assert_eq!(error(V5, 0x30, b"\0\x01t\x03\x08\0\0"), Some(P::EmptyName.into()));
}

#[test]
fn v5_4_7_3_1_and_v311_4_7_3_1_empty_names() {
    assert_eq!(error(V5, 0x30, b"\0\0\0"), Some(P::EmptyName.into()));
    assert_eq!(error(V5, 0x30, b"\0\0\x03\x23\0\x01"), None, "a topic alias stands for it");
    assert_eq!(error(V5, 0x82, b"\0\x01\0\0\0\0"), Some(P::EmptyName.into()));
    assert_eq!(error(V5, 0xA2, b"\0\x01\0\0\0"), Some(P::EmptyName.into()));
    for version in V3 {
        let empty = Some(M::Name(NameError::Empty).into());
        assert_eq!(error(version, 0x30, b"\0\0payload"), empty);
        assert_eq!(error(version, 0x82, b"\0\x01\0\0\0"), empty);
        assert_eq!(error(version, 0xA2, b"\0\x01\0\0"), empty);
    }
}

#[test]
fn v5_3_3_4_6_a_clients_publish_has_no_subscription_identifier() {
    let body = b"\0\x01t\x02\x0B\x01";
    assert_eq!(error(V5, 0x30, body), None);
    assert_eq!(client_error(V5, 0x30, body), Some(P::SubscriptionIdFromClient.into()));
}

#[test]
fn packets_that_only_a_server_sends_are_refused_from_a_client() {
    for version in ALL {
        for first_byte in [0x20, 0x90, 0xB0, 0xD0] {
            assert_eq!(client_error(version, first_byte, b""), Some(P::OnlyFromServer.into()));
        }
        assert_eq!(client_error(version, 0xC0, b""), None);
    }
    assert_eq!(client_error(V5, 0xE0, b"\0\x04\x1C\0\x01s"), Some(P::OnlyFromServer.into()));
}

/// v5 MQTT-3.4.2-1, v5 MQTT-3.5.2-1, v5 MQTT-3.6.2-1, v5 MQTT-3.7.2-1
#[test]
fn v5_3_4_2_1_acknowledgements_have_their_own_codes() {
    for (first_byte, good, bad) in
        [(0x40, 0x10, 0x92), (0x50, 0x99, 0x01), (0x62, 0x92, 0x80), (0x70, 0x92, 0x10), (0x40, 0x97, 0xFF)]
    {
        assert_eq!(error(V5, first_byte, &[0, 1, good]), None);
        let error = error(V5, first_byte, &[0, 1, bad]).unwrap();
        assert_eq!(error, P::ReasonCode(bad).into());
        assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
    }
}

#[test]
fn v5_3_8_3_2_and_v311_3_8_3_3_subscribe_lists_something() {
    for version in ALL {
        let body = [&[0, 1], &property_set(version, b"")[..]].concat();
        assert_eq!(error(version, 0x82, &body), Some(P::EmptyList.into()));
        assert_eq!(error(version, 0x90, &body), Some(P::EmptyList.into()));
    }
}

#[test]
fn v5_3_10_3_2_and_v311_3_10_3_2_unsubscribe_lists_something() {
    for version in ALL {
        let body = [&[0, 1], &property_set(version, b"")[..]].concat();
        assert_eq!(error(version, 0xA2, &body), Some(P::EmptyList.into()));
    }
}

#[test]
fn v5_3_8_3_4_no_local_and_shared_exclude_each_other() {
    let with_options = |options: u8| [&b"\0\x01\0"[..], &field(b"$share/g/t"), &[options]].concat();
    assert_eq!(error(V5, 0x82, &with_options(0x04)), Some(P::NoLocalOnShared.into()));
    assert_eq!(error(V5, 0x82, &with_options(0x2A)), None);
}

/// v311 MQTT-3.8.3-4
#[test]
fn v5_3_8_3_5_and_v311_3_8_3_4_subscription_options() {
    for version in ALL {
        for options in 0..=u8::MAX {
            let body = [&[0, 1], &property_set(version, b"")[..], b"\0\x01t", &[options]].concat();
            let want = match (version, options) {
                (V5, o) if o & 0xC0 != 0 => Some(M::SubscriptionOptions.into()),
                (V5, o) if o & 0x03 == 3 => Some(P::SubscriptionQos.into()),
                (V5, o) if o & 0x30 == 0x30 => Some(E::from(P::RetainHandling)),
                (V5, _) | (_, 0..=2) => None,
                (_, 3) => Some(M::QoS.into()),
                _ => Some(M::SubscriptionOptions.into()),
            };
            assert_eq!(error(version, 0x82, &body), want, "{version:?} {options:#X}");
        }
    }
}

/// v5 MQTT-4.7.1-2, v311 MQTT-4.7.1-2, v311 MQTT-4.7.1-3
#[test]
fn v5_4_7_1_1_malformed_filters_are_malformed_packets() {
    for version in ALL {
        for filter in [&b"a#"[..], b"#/a", b"a+", b"$share/g/a+"] {
            let start = [&[0, 1], &property_set(version, b"")[..], &field(filter)].concat();
            for (first_byte, body) in [(0x82, [&start[..], &[0]].concat()), (0xA2, start.clone())] {
                let error = error(version, first_byte, &body).unwrap();
                assert_eq!(error.reason_code(), ReasonCode::MalformedPacket, "{error}");
            }
        }
    }
}

#[test]
fn v5_4_8_2_1_and_v5_4_8_2_2_malformed_shared_filters_are_protocol_errors() {
    for filter in [&b"$share/g"[..], b"$share//a", b"$share/g/", b"$share/+/a", b"$share"] {
        let body = [b"\0\x01\0", &field(filter)[..], &[0]].concat();
        assert_eq!(error(V5, 0x82, &body), Some(P::ShareName.into()));
    }
}

#[test]
fn v5_3_9_3_2_and_v5_3_11_3_2_subscribe_and_unsubscribe_codes() {
    assert_eq!(error(V5, 0x90, &[0, 1, 0, 0, 1, 2, 0x80, 0xA2]), None);
    assert_eq!(error(V5, 0x90, &[0, 1, 0, 3]), Some(P::ReasonCode(3).into()));
    assert_eq!(error(V5, 0xB0, &[0, 1, 0, 0, 0x11, 0x91]), None);
    assert_eq!(error(V5, 0xB0, &[0, 1, 0, 1]), Some(P::ReasonCode(1).into()));
    assert_eq!(error(Version::V3_1_1, 0x90, &[0, 1, 0, 1, 2, 0x80]), None);
    assert_eq!(error(Version::V3_1_1, 0x90, &[0, 1, 0x87]), Some(M::ReturnCode(0x87).into()));
    assert_eq!(error(Version::V3_1_1, 0xB0, &[0, 1]), None);
    assert_eq!(error(Version::V3_1_1, 0xB0, &[0, 1, 0]), Some(M::Trailing.into()));
}

#[test]
fn v5_3_14_2_1_disconnect_codes_of_the_senders_column() {
    let clients = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    let servers = [
        0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96,
        0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
    ];
    for code in 0..=u8::MAX {
        let refused = Some(P::ReasonCode(code).into());
        let from_client = clients.contains(&code);
        let from_anyone = from_client || servers.contains(&code);
        assert_eq!(client_error(V5, 0xE0, &[code]), if from_client { None } else { refused }, "{code:#X}");
        assert_eq!(error(V5, 0xE0, &[code]), if from_anyone { None } else { refused }, "{code:#X}");
    }
}

#[test]
fn v5_3_15_2_1_auth_codes() {
    for code in 0..=u8::MAX {
        let body = [&[code], &b"\x04\x15\0\x01m"[..]].concat();
        let refused = Some(P::ReasonCode(code).into());
        let known = [0x00, 0x18, 0x19].contains(&code);
        assert_eq!(error(V5, 0xF0, &body), if known { None } else { refused }, "{code:#X}");
        // Success is the server's word.
        assert_eq!(
            client_error(V5, 0xF0, &body),
            if known && code > 0 { None } else { refused },
            "{code:#X}"
        );
    }
}

#[test]
fn v5_3_2_2_15_a_packet_that_is_too_large_is_refused_before_its_body_is_there() {
    let bytes = packet(0x30, &[0; 200]);
    assert_eq!(bytes.len(), 203);
    let error = next_frame(&bytes[..3], 202).unwrap_err();
    assert_eq!(error, E::TooLarge { size: 203, limit: 202 });
    assert_eq!(error.reason_code(), ReasonCode::PacketTooLarge);
    assert!(next_frame(&bytes[..3], 203).unwrap().is_none());
    assert_eq!(next_frame(&bytes, 203).unwrap().unwrap().len(), 203);
    let largest = E::TooLarge { size: 268_435_460, limit: 10 };
    assert_eq!(next_frame(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], 10).unwrap_err(), largest);
}

#[test]
fn trailing_bytes_are_malformed_in_every_packet_without_an_open_end() {
    for (first_byte, body) in [
        (0x20, &b"\0\0\0\0"[..]),
        (0xC0, b"\0"),
        (0xD0, b"\0"),
        (0xE0, b"\0\0\0"),
        (0xF0, b"\x18\x04\x15\0\x01m\0"),
        (0x10, b"\0\x04MQTT\x05\0\0\0\0\0\0\0"),
    ] {
        assert_eq!(error(V5, first_byte, body), Some(M::Trailing.into()), "{first_byte:#X}");
    }
}

/// Takes all packets off `bytes`, as a connection does.
fn decode_all(mut bytes: &[u8], version: Version) -> Result<(), TestCaseError> {
    while let Ok(Some(frame)) = next_frame(bytes, 1 << 20) {
        prop_assert!(frame.len() >= 2 && frame.len() <= bytes.len());
        let _ = frame.decode_from_client(version);
        if let Ok(packet) = frame.decode(version) {
            reencodes(&packet, version)?;
        }
        bytes = &bytes[frame.len()..];
    }
    Ok(())
}

/// Whatever is accepted can be said again in our own words.
fn reencodes(packet: &Packet<'_>, version: Version) -> Result<(), TestCaseError> {
    let mut bytes = Vec::new();
    prop_assert_eq!(packet.encode(version, &mut bytes), Ok(()), "{:?}", packet);
    let again = next_frame(&bytes, u32::MAX).unwrap().unwrap().decode(version);
    prop_assert_eq!(again.as_ref(), Ok(packet));
    Ok(())
}

/// Changes to the bytes of a valid packet.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let position = any::<prop::sample::Index>;
    prop_oneof![
        (position(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (position(), any::<u8>()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        position().prop_map(Mutation::Remove),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    match mutation {
        _ if bytes.is_empty() => {}
        Mutation::Replace(at, byte) => *at.get_mut(bytes) = *byte,
        Mutation::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
        Mutation::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
    }
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(bytes in vec(any::<u8>(), 0..200), version in arbitrary::version()) {
        decode_all(&bytes, version)?;
    }

    #[test]
    fn no_body_makes_decoding_panic(
        first_byte in any::<u8>(),
        body in vec(prop_oneof![0..4_u8, any::<u8>()], 0..60),
        version in arbitrary::version(),
    ) {
        decode_all(&packet(first_byte, &body), version)?;
    }

    #[test]
    fn no_change_to_a_packet_makes_decoding_panic(
        original in arbitrary::packet(),
        mutations in vec(mutation(), 1..4),
        mend_length in any::<bool>(),
        version in arbitrary::version(),
    ) {
        let mut bytes = Vec::new();
        if original.packet().encode(version, &mut bytes).is_ok() {
            // With the length mended, changes reach the fields behind it.
            let header = if mend_length { 1 + reader::var_int(&bytes[1..]).unwrap().unwrap().1 } else { 0 };
            let mut body = bytes.split_off(header);
            mutations.iter().for_each(|mutation| mutate(&mut body, mutation));
            let bytes = if mend_length { packet(bytes[0], &body) } else { body };
            decode_all(&bytes, version)?;
        }
    }

    #[test]
    fn a_frame_waits_for_its_last_byte_and_takes_no_more(
        original in arbitrary::packet(),
        version in arbitrary::version(),
        behind in vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = Vec::new();
        if original.packet().encode(version, &mut bytes).is_ok() {
            let len = bytes.len();
            for prefix in (0..len.min(300)).chain(len - 1..len) {
                prop_assert!(next_frame(&bytes[..prefix], u32::MAX).unwrap().is_none());
            }
            bytes.extend(behind);
            prop_assert_eq!(next_frame(&bytes, u32::MAX).unwrap().unwrap().len(), len);
        }
    }
}
