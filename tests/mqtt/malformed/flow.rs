//! Well-formed packets that may not come, or say what they may not say.

use super::*;

#[test]
fn v5_2_2_1_3_and_v311_2_3_1_1_packet_identifier_0_is_a_protocol_error() {
    for version in ALL {
        let none = no_properties(version);
        let publish = |first_byte| frame(first_byte, &[&field("a")[..], &[0, 0], none, b"x"].concat());
        each_ends_its_connection(
            version,
            &[
                case("PUBLISH at QoS 1", publish(0x32), ProtocolError),
                case("PUBLISH at QoS 2", publish(0x34), ProtocolError),
                case("PUBLISH at QoS 2, again", publish(0x3C), ProtocolError),
                case("SUBSCRIBE", with_id(version, 0x82, 0, &[0, 1, b'a', 0]), ProtocolError),
                case("UNSUBSCRIBE", with_id(version, 0xA2, 0, &[0, 1, b'a']), ProtocolError),
                case("PUBACK", [0x40, 2, 0, 0], ProtocolError),
                case("PUBREC", [0x50, 2, 0, 0], ProtocolError),
                case("PUBREL", [0x62, 2, 0, 0], ProtocolError),
                case("PUBCOMP", [0x70, 2, 0, 0], ProtocolError),
            ],
        );
    }
}

#[test]
fn v5_4_13_1_1_and_v311_4_8_0_1_what_only_servers_send_is_a_protocol_error() {
    for version in ALL {
        let none = no_properties(version);
        let connack = frame(0x20, &[&[0, 0][..], none].concat());
        each_ends_its_connection(
            version,
            &[
                case("CONNACK", connack, ProtocolError),
                case("SUBACK", with_id(version, 0x90, 1, &[0]), ProtocolError),
                case(
                    "UNSUBACK",
                    with_id(version, 0xB0, 1, if version == V5 { &[0] } else { &[] }),
                    ProtocolError,
                ),
                case("PINGRESP", [0xD0, 0], ProtocolError),
            ],
        );
    }
    let reference = frame(0xE0, &[&[0, 4, 0x1C][..], &field("x")].concat());
    each_ends_its_connection(V5, &[case("a server reference", reference, ProtocolError)]);
}

#[test]
fn v5_3_3_4_6_a_subscription_identifier_from_a_client_is_a_protocol_error() {
    let publish = |first_byte, id: &[u8], properties: &[u8]| {
        let length = [u8::try_from(properties.len()).unwrap()];
        frame(first_byte, &[&field("a")[..], id, &length, properties].concat())
    };
    each_ends_its_connection(
        V5,
        &[
            case("QoS 0", publish(0x30, &[], &[0x0B, 1]), ProtocolError),
            case("QoS 1", publish(0x32, &[0, 1], &[0x0B, 1]), ProtocolError),
            case("QoS 2", publish(0x34, &[0, 1], &[0x0B, 0xFF, 0x7F]), ProtocolError),
            case("two", publish(0x30, &[], &[0x0B, 1, 0x0B, 2]), ProtocolError),
        ],
    );
}

#[test]
fn v5_4_12_0_7_auth_without_a_method_in_connect_is_a_protocol_error() {
    let auth = |reason: u8| frame(0xF0, &[&[reason, 4, 0x15][..], &field("x")].concat());
    each_ends_its_connection(
        V5,
        &[
            case("success, nothing else", [0xF0, 0], ProtocolError),
            case("without method", [0xF0, 2, 0x18, 0], ProtocolError),
            case("success", auth(0x00), ProtocolError),
            case("continue", auth(0x18), ProtocolError),
            case("again", auth(0x19), ProtocolError),
        ],
    );
}

#[test]
fn v5_3_8_3_2_and_v311_3_8_3_3_and_v5_3_10_3_2_and_v311_3_10_3_2_an_empty_list_is_a_protocol_error() {
    for version in ALL {
        each_ends_its_connection(
            version,
            &[
                case("SUBSCRIBE", with_id(version, 0x82, 1, &[]), ProtocolError),
                case("UNSUBSCRIBE", with_id(version, 0xA2, 1, &[]), ProtocolError),
            ],
        );
    }
}

#[test]
fn v5_3_8_3_5_and_v311_3_8_3_4_reserved_bits_of_subscription_options_are_malformed() {
    for version in ALL {
        let reserved = if version == V5 { 0b1100_0000 } else { 0b1111_1100_u8 };
        let cases: Vec<_> = (0..=u8::MAX)
            // Other mistakes have other reasons.
            .filter(|options| options & reserved != 0 && options & 3 != 3 && options & 0x30 != 0x30)
            .map(|options| case(format!("{options:08b}"), subscribe_bytes(version, b"a", options), Malformed))
            .collect();
        each_ends_its_connection(version, &cases);
    }
}

#[test]
fn v311_3_8_3_4_a_subscription_at_qos_3_ends_the_connection() {
    for version in ALL {
        let cases = [case("QoS 3", subscribe_bytes(version, b"a", 3), ProtocolError)];
        each_ends_its_connection(version, &cases);
    }
}

#[test]
fn v5_retain_handling_3_is_a_protocol_error() {
    let cases = [0x30, 0x31, 0x32, 0x38]
        .map(|options| case(format!("{options:08b}"), subscribe_bytes(V5, b"a", options), ProtocolError));
    each_ends_its_connection(V5, &cases);
}

#[test]
fn v5_3_8_3_4_no_local_on_a_shared_subscription_is_a_protocol_error() {
    let second = [&field("a")[..], &[4], &field("$share/g/a"), &[4]].concat();
    each_ends_its_connection(
        V5,
        &[
            case("alone", subscribe_bytes(V5, b"$share/g/a", 4), ProtocolError),
            case("the second", with_id(V5, 0x82, 1, &second), ProtocolError),
        ],
    );
}

/// Every code but these, in every place where a client names one, with its properties and without.
fn every_reason_but(first_byte: u8, allowed: &[u8]) {
    let packet_id: &[u8] = if first_byte >= 0xE0 { &[] } else { &[0, 1] };
    // Once the code is all there is; AUTH needs more.
    let cases: Vec<_> = (0..=u8::MAX)
        .filter(|code| !allowed.contains(code))
        .map(|code| {
            let bytes = match first_byte {
                0xF0 => frame(0xF0, &[&[code, 4, 0x15][..], &field("x")].concat()),
                _ if code % 2 == 0 => frame(first_byte, &[packet_id, &[code]].concat()),
                _ => frame(first_byte, &[packet_id, &[code, 0]].concat()),
            };
            case(format!("{first_byte:02X} 0x{code:02X}"), bytes, ProtocolError)
        })
        .collect();
    each_ends_its_connection(V5, &cases);
    if first_byte < 0xE0 {
        let broker = Broker::start("");
        let mut client = Client::connect(&broker, V5, "c");
        for code in allowed {
            client.send_bytes(&frame(first_byte, &[packet_id, &[*code]].concat()));
            client.send(&Packet::PingReq);
            client.expect_packet(&Packet::PingResp);
        }
    }
}

#[test]
fn v5_3_4_2_1_a_puback_with_the_code_of_another_packet_is_a_protocol_error() {
    every_reason_but(0x40, &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
}

#[test]
fn v5_3_5_2_1_a_pubrec_with_the_code_of_another_packet_is_a_protocol_error() {
    every_reason_but(0x50, &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
}

#[test]
fn v5_3_6_2_1_a_pubrel_with_the_code_of_another_packet_is_a_protocol_error() {
    every_reason_but(0x62, &[0x00, 0x92]);
}

#[test]
fn v5_3_7_2_1_a_pubcomp_with_the_code_of_another_packet_is_a_protocol_error() {
    every_reason_but(0x70, &[0x00, 0x92]);
}

#[test]
fn v5_3_14_2_1_a_disconnect_with_the_code_of_another_packet_or_of_a_server_is_a_protocol_error() {
    every_reason_but(
        0xE0,
        &[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99],
    );
}

#[test]
fn v5_3_15_2_1_an_auth_with_the_code_of_another_packet_is_a_protocol_error() {
    every_reason_but(0xF0, &[0x00, 0x18, 0x19]);
}

#[test]
fn v5_a_session_that_ends_with_its_connection_cannot_be_prolonged_by_disconnect() {
    let prolonged = [0xE0, 7, 0, 5, 0x11, 0, 0, 0, 9];
    each_ends_its_connection(V5, &[case("session expiry in DISCONNECT", prolonged, ProtocolError)]);
}

/// They may be late, after a session was lost: no reason to end anything.
#[test]
fn v5_2_2_1_5_and_v311_2_3_1_6_acknowledgements_of_nothing_are_answered_or_ignored() {
    let broker = Broker::start("");
    for version in ALL {
        let mut client = Client::connect(&broker, version, "c");
        let unknown: &[u8] = if version == V5 { &[0x92] } else { &[] };
        for id in [[0, 1], [0x12, 0x34], [0xFF, 0xFF]] {
            client.send_bytes(&frame(0x40, &id)); // PUBACK
            client.send_bytes(&frame(0x70, &id)); // PUBCOMP
            client.send_bytes(&frame(0x62, &id)); // PUBREL
            assert_eq!(client.receive_bytes(), frame(0x70, &[&id, unknown].concat()), "{version:?}");
            client.send_bytes(&frame(0x50, &id)); // PUBREC
            assert_eq!(client.receive_bytes(), frame(0x62, &[&id, unknown].concat()), "{version:?}");
        }
        client.expect_nothing();
    }
}
