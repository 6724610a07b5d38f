use super::*;

#[test]
fn v5_3_1_2_1_and_v311_3_1_2_1_other_protocol_names_are_refused() {
    for name in [&b"mqtt"[..], b"MQTTX", b"MQIsdpX", b"HTTP", b"", b"\xFF"] {
        assert_eq!(Version::from_protocol(name, 4), Err(DecodeError::ProtocolName), "{name:?}");
    }
}

#[test]
fn v5_3_1_2_2_and_v311_3_1_2_2_other_levels_are_refused_in_the_nearest_version() {
    for version in [Version::V3_1, Version::V3_1_1, Version::V5] {
        assert_eq!(Version::from_protocol(version.protocol_name().as_bytes(), version.level()), Ok(version));
    }
    for (name, level, answer_as) in [
        ("MQTT", 0, Version::V3_1_1),
        ("MQTT", 3, Version::V3_1_1),
        ("MQTT", 6, Version::V5),
        ("MQTT", 0x7F, Version::V5),
        ("MQTT", 0x84, Version::V3_1_1),
        ("MQTT", 0x85, Version::V5),
        ("MQIsdp", 4, Version::V3_1_1),
        ("MQIsdp", 5, Version::V3_1_1),
    ] {
        let error = DecodeError::ProtocolLevel { level, answer_as };
        assert_eq!(Version::from_protocol(name.as_bytes(), level), Err(error), "{name} {level}");
        assert_eq!(error.reason_code(), ReasonCode::UnsupportedProtocolVersion);
    }
}

#[test]
fn connack_return_codes_before_v5() {
    for (reason, code) in [
        (ReasonCode::Success, 0),
        (ReasonCode::UnsupportedProtocolVersion, 1),
        (ReasonCode::ClientIdentifierNotValid, 2),
        (ReasonCode::ServerUnavailable, 3),
        (ReasonCode::ServerBusy, 3),
        (ReasonCode::QuotaExceeded, 3),
        (ReasonCode::UseAnotherServer, 3),
        (ReasonCode::ImplementationSpecificError, 3),
        (ReasonCode::BadUserNameOrPassword, 4),
        (ReasonCode::NotAuthorized, 5),
        (ReasonCode::Banned, 5),
        (ReasonCode::BadAuthenticationMethod, 5),
    ] {
        assert_eq!(Version::V3_1_1.reason_to_wire(PacketType::ConnAck, reason), Ok(code), "{reason}");
        let back = Version::V3_1.reason_from_wire(PacketType::ConnAck, code).unwrap();
        assert_eq!(Version::V3_1.reason_to_wire(PacketType::ConnAck, back), Ok(code), "{back}");
    }
    assert_eq!(
        Version::V3_1_1.reason_from_wire(PacketType::ConnAck, 6),
        Err(Malformed::ReturnCode(6).into())
    );
}

/// v311 MQTT-3.1.4-1
#[test]
fn v311_3_2_2_6_without_a_fitting_return_code_there_is_no_connack() {
    for reason in [ReasonCode::MalformedPacket, ReasonCode::ProtocolError] {
        assert_eq!(
            Version::V3_1_1.reason_to_wire(PacketType::ConnAck, reason),
            Err(EncodeError::NotInThisVersion(PacketType::ConnAck))
        );
    }
}

#[test]
fn v311_3_9_3_2_suback_has_four_codes() {
    let mut codes: Vec<u8> = (0..=u8::MAX)
        .filter_map(|code| ReasonCode::try_from(code).ok())
        .filter_map(|reason| Version::V3_1_1.reason_to_wire(PacketType::SubAck, reason).ok())
        .collect();
    codes.dedup();
    assert_eq!(codes, [0, 1, 2, 0x80]);
    for code in 0..=u8::MAX {
        let known = Version::V3_1_1.reason_from_wire(PacketType::SubAck, code).is_ok();
        assert_eq!(known, codes.contains(&code), "{code}");
    }
}

/// v5 MQTT-3.4.2-1, v5 MQTT-3.5.2-1, v5 MQTT-3.6.2-1, v5 MQTT-3.7.2-1, v5 MQTT-3.14.2-1, v5 MQTT-3.15.2-1
#[test]
fn v5_3_2_2_8_only_codes_of_the_packets_own_table_are_sent_and_taken() {
    for packet in (1..=15).filter_map(|n| PacketType::try_from(n).ok()) {
        for byte in 0..=u8::MAX {
            let taken = Version::V5.reason_from_wire(packet, byte);
            match ReasonCode::try_from(byte) {
                Ok(reason) if reason.is_allowed_in(packet) => {
                    assert_eq!(taken, Ok(reason));
                    assert_eq!(Version::V5.reason_to_wire(packet, reason), Ok(byte));
                }
                known => {
                    assert_eq!(taken, Err(ProtocolViolation::ReasonCode(byte).into()), "{packet:?}");
                    let sent = known.map(|reason| Version::V5.reason_to_wire(packet, reason));
                    let fits = sent == Ok(Ok(0x80)) && ReasonCode::UnspecifiedError.is_allowed_in(packet);
                    assert!(fits || !matches!(sent, Ok(Ok(_))), "{packet:?} {sent:?}");
                }
            }
        }
    }
}

/// Whatever the broker means to say, what goes out stands in the standard's table, written down here once more.
#[test]
fn v5_3_2_2_8_and_v5_3_9_3_2_and_v5_3_11_3_2_connack_suback_and_unsuback_say_what_the_standard_lists() {
    let connack: &[u8] = &[
        0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99,
        0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
    ];
    let suback: &[u8] = &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
    let unsuback: &[u8] = &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
    for (packet, listed) in
        [(PacketType::ConnAck, connack), (PacketType::SubAck, suback), (PacketType::UnsubAck, unsuback)]
    {
        let mut sent: Vec<u8> = (0..=u8::MAX)
            .filter_map(|code| ReasonCode::try_from(code).ok())
            .filter_map(|reason| Version::V5.reason_to_wire(packet, reason).ok())
            .collect();
        sent.sort_unstable();
        sent.dedup();
        assert_eq!(sent, listed, "{packet:?}");
    }
}
