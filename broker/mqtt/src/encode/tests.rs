use super::*;
use crate::{
    AckProperties, AuthProperties, ClientId, ConnAckProperties, ConnectProperties, DisconnectProperties,
    PacketId, PublishProperties, SubscribeProperties, SubscriptionFilter, UserProperties, WillProperties,
    arbitrary, next_frame,
};
use bytes::Bytes;
use proptest::prelude::*;
use std::num::{NonZeroU16, NonZeroU32};

const ALL: [Version; 3] = [Version::V3_1, Version::V3_1_1, Version::V5];

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn bytes(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out).unwrap();
    assert_eq!(packet.encoded_len(version), Ok(out.len()));
    out
}

fn publish<'a>(topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic,
        packet_id: None,
        properties: None,
        payload,
    }
}

fn user_properties() -> UserProperties {
    vec![("key".into(), "value".into())]
}

fn ack(reason: ReasonCode, properties: Option<AckProperties>) -> Ack {
    Ack { packet_id: id(7), reason, properties: properties.map(Box::new) }
}

/// Every packet that may carry a Reason String and User Properties, with both.
fn explained() -> [Packet<'static>; 9] {
    explained_by(Some("because".into()), user_properties())
}

/// The same with these.
fn explained_by(reason_string: Option<Box<str>>, user_properties: UserProperties) -> [Packet<'static>; 9] {
    let properties =
        AckProperties { reason_string: reason_string.clone(), user_properties: user_properties.clone() };
    let puback = ack(ReasonCode::NotAuthorized, Some(properties.clone()));
    let pubrel = ack(ReasonCode::PacketIdentifierNotFound, Some(properties.clone()));
    let reasons = vec![ReasonCode::NotAuthorized];
    [
        Packet::PubAck(puback.clone()),
        Packet::PubRec(puback),
        Packet::PubRel(pubrel.clone()),
        Packet::PubComp(pubrel),
        Packet::SubAck(SubAck { packet_id: id(7), properties: properties.clone(), reasons: reasons.clone() }),
        Packet::UnsubAck(UnsubAck { packet_id: id(7), properties, reasons }),
        Packet::Auth(Auth {
            reason: ReasonCode::ContinueAuthentication,
            properties: AuthProperties {
                authentication_method: Some("m".into()),
                authentication_data: Some(Bytes::from_static(b"data")),
                reason_string: reason_string.clone(),
                user_properties: user_properties.clone(),
            },
        }),
        Packet::ConnAck(Box::new(ConnAck {
            session_present: false,
            reason: ReasonCode::NotAuthorized,
            properties: ConnAckProperties {
                reason_string: reason_string.clone(),
                user_properties: user_properties.clone(),
                server_keep_alive: Some(9),
                ..ConnAckProperties::default()
            },
        })),
        Packet::Disconnect(Disconnect {
            reason: ReasonCode::ServerMoved,
            properties: DisconnectProperties {
                reason_string,
                user_properties,
                server_reference: Some("other".into()),
                ..DisconnectProperties::default()
            },
        }),
    ]
}

#[test]
fn packets_have_the_bytes_of_the_standard() {
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: id(10),
        properties: SubscribeProperties {
            subscription_identifier: NonZeroU32::new(300),
            user_properties: Vec::new(),
        },
        subscriptions: vec![(
            SubscriptionFilter::new("$share/g/a/+").unwrap(),
            SubscriptionOptions {
                maximum_qos: QoS::ExactlyOnce,
                retain_as_published: true,
                retain_handling: crate::RetainHandling::SendNever,
                ..SubscriptionOptions::default()
            },
        )],
    });
    let connect = Packet::Connect(Box::new(Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive: 10,
        client_id: ClientId::new("c"),
        properties: ConnectProperties { receive_maximum: NonZeroU16::new(5), ..Default::default() },
        will: Some(crate::Will {
            topic: crate::TopicName::new("w").unwrap(),
            payload: Bytes::from_static(b"p"),
            qos: QoS::ExactlyOnce,
            retain: true,
            properties: WillProperties { will_delay_interval: Some(1), ..Default::default() },
        }),
        username: None,
        password: Some(Bytes::from_static(b"s")),
    }));
    let qos1 = Packet::Publish(Publish {
        qos: QoS::AtLeastOnce,
        packet_id: Some(id(0x0102)),
        retain: true,
        ..publish("t", b"hi")
    });
    let suback = Packet::SubAck(SubAck {
        packet_id: id(1),
        properties: AckProperties::default(),
        reasons: vec![ReasonCode::GrantedQos2, ReasonCode::NotAuthorized],
    });
    let unsuback = Packet::UnsubAck(UnsubAck {
        packet_id: id(1),
        properties: AckProperties::default(),
        reasons: vec![ReasonCode::NoSubscriptionExisted],
    });
    for (packet, version, want) in [
        (
            &connect,
            Version::V5,
            &b"\x10\x20\0\x04MQTT\x05\x76\0\x0A\x03\x21\0\x05\0\x01c\x05\x18\0\0\0\x01\0\x01w\0\x01p\0\x01s"
                [..],
        ),
        (&qos1, Version::V5, b"\x33\x08\0\x01t\x01\x02\0hi"),
        (&qos1, Version::V3_1_1, b"\x33\x07\0\x01t\x01\x02hi"),
        (&subscribe, Version::V5, b"\x82\x15\0\x0A\x03\x0B\xAC\x02\0\x0C$share/g/a/+\x2A"),
        (&subscribe, Version::V3_1, b"\x82\x11\0\x0A\0\x0C$share/g/a/+\x02"),
        (&suback, Version::V5, b"\x90\x05\0\x01\0\x02\x87"),
        (&suback, Version::V3_1_1, b"\x90\x04\0\x01\x02\x80"),
        (&unsuback, Version::V5, b"\xB0\x04\0\x01\0\x11"),
        (&unsuback, Version::V3_1_1, b"\xB0\x02\0\x01"),
        (&Packet::PingReq, Version::V5, b"\xC0\0"),
        (&Packet::PingResp, Version::V3_1, b"\xD0\0"),
    ] {
        let got = bytes(packet, version);
        let printable = got.escape_ascii();
        assert_eq!(got, want, "{printable}");
    }
}

#[test]
fn acknowledgements_take_their_shortest_form() {
    let empty = Some(AckProperties::default());
    let explained = Some(AckProperties { reason_string: Some("x".into()), user_properties: Vec::new() });
    for (ack, want) in [
        (ack(ReasonCode::Success, None), &b"\x40\x02\0\x07"[..]),
        (ack(ReasonCode::Success, empty), b"\x40\x02\0\x07"),
        (ack(ReasonCode::NotAuthorized, None), b"\x40\x03\0\x07\x87"),
        (ack(ReasonCode::Success, explained), b"\x40\x08\0\x07\0\x04\x1F\0\x01x"),
    ] {
        let packet = Packet::PubAck(ack);
        assert_eq!(bytes(&packet, Version::V5), want);
        assert_eq!(bytes(&packet, Version::V3_1_1), b"\x40\x02\0\x07");
    }
    for (reason, want) in [(ReasonCode::Success, &b"\xE0\0"[..]), (ReasonCode::ServerBusy, b"\xE0\x01\x89")] {
        let packet = Packet::Disconnect(Disconnect { reason, properties: DisconnectProperties::default() });
        assert_eq!(bytes(&packet, Version::V5), want);
    }
}

#[test]
fn v5_1_5_5_1_lengths_have_their_shortest_form() {
    for (payload, header) in [(124, 2), (125, 3), (16_380, 3), (16_381, 4), (2_097_148, 4), (2_097_149, 5)] {
        let payload = vec![0; payload];
        let bytes = bytes(&Packet::Publish(publish("t", &payload)), Version::V3_1_1);
        assert_eq!(bytes.len(), header + 3 + payload.len());
    }
}

/// v5 MQTT-3.3.2-18
#[test]
fn v5_3_1_3_10_user_properties_keep_their_order_and_repeats() {
    let pairs: UserProperties =
        [("b", "1"), ("a", "2"), ("b", "1")].map(|(k, v)| (k.into(), v.into())).into();
    let properties = PublishProperties { user_properties: pairs.clone(), ..PublishProperties::default() };
    let publish = Publish { properties: Some(Box::new(properties)), ..publish("t", b"") };
    let bytes = bytes(&Packet::Publish(publish), Version::V5);
    let decoded = next_frame(&bytes, u32::MAX).unwrap().unwrap().decode(Version::V5).unwrap();
    let Packet::Publish(Publish { properties: Some(properties), .. }) = decoded else {
        panic!("{decoded:?}")
    };
    assert_eq!(properties.user_properties, pairs);
}

/// A packet goes out whole if it fits, else without its Reason String and User Properties, else not at all.
fn explains_only_where_it_fits(packet_type: PacketType) {
    for (reason_string, user_properties) in [
        (Some("because".into()), UserProperties::new()),
        (None, user_properties()),
        (Some("because".into()), user_properties()),
    ] {
        let of_type = |packets: [Packet<'static>; 9]| {
            packets.into_iter().find(|packet| packet.packet_type() == packet_type).unwrap()
        };
        let packet = of_type(explained_by(reason_string, user_properties));
        let bare = of_type(explained_by(None, UserProperties::new()));
        let (whole, short) = (bytes(&packet, Version::V5), bytes(&bare, Version::V5));
        assert!(short.len() < whole.len());
        for (limit, want) in [(whole.len(), &whole), (whole.len() - 1, &short), (short.len(), &short)] {
            let mut out = b"before".to_vec();
            packet.encode_within(Version::V5, limit as u32, &mut out).unwrap();
            assert_eq!(out[6..], want[..], "{packet:?} in {limit} bytes");
        }
        let mut out = b"before".to_vec();
        let too_small = packet.encode_within(Version::V5, short.len() as u32 - 1, &mut out);
        assert_eq!((too_small, &out[..]), (Err(EncodeError::TooLarge), &b"before"[..]));
    }
}

#[test]
fn v5_3_2_2_19_and_v5_3_2_2_20_a_connack_explains_only_where_it_fits() {
    explains_only_where_it_fits(PacketType::ConnAck);
}

#[test]
fn v5_3_4_2_2_and_v5_3_4_2_3_a_puback_explains_only_where_it_fits() {
    explains_only_where_it_fits(PacketType::PubAck);
}

#[test]
fn v5_3_5_2_2_and_v5_3_5_2_3_a_pubrec_explains_only_where_it_fits() {
    explains_only_where_it_fits(PacketType::PubRec);
}

#[test]
fn v5_3_6_2_2_and_v5_3_6_2_3_a_pubrel_explains_only_where_it_fits() {
    explains_only_where_it_fits(PacketType::PubRel);
}

#[test]
fn v5_3_7_2_2_and_v5_3_7_2_3_a_pubcomp_explains_only_where_it_fits() {
    explains_only_where_it_fits(PacketType::PubComp);
}

#[test]
fn v5_3_9_2_1_and_v5_3_9_2_2_a_suback_explains_only_where_it_fits() {
    explains_only_where_it_fits(PacketType::SubAck);
}

#[test]
fn v5_3_11_2_1_and_v5_3_11_2_2_an_unsuback_explains_only_where_it_fits() {
    explains_only_where_it_fits(PacketType::UnsubAck);
}

#[test]
fn v5_3_14_2_3_and_v5_3_14_2_4_a_disconnect_explains_only_where_it_fits() {
    explains_only_where_it_fits(PacketType::Disconnect);
}

#[test]
fn v5_3_15_2_2_and_v5_3_15_2_3_an_auth_explains_only_where_it_fits() {
    explains_only_where_it_fits(PacketType::Auth);
}

#[test]
fn without_optional_properties_the_others_stay() {
    let [.., auth, connack, disconnect] = explained().map(Packet::without_optional_properties);
    let Packet::Auth(auth) = auth else { panic!("{auth:?}") };
    assert_eq!(auth.properties.authentication_data.as_deref(), Some(&b"data"[..]));
    let Packet::ConnAck(connack) = connack else { panic!("{connack:?}") };
    assert_eq!(connack.properties.server_keep_alive, Some(9));
    let Packet::Disconnect(disconnect) = disconnect else { panic!("{disconnect:?}") };
    assert_eq!(disconnect.properties.server_reference.as_deref(), Some("other"));
}

#[test]
fn v5_3_1_2_24_and_v5_3_3_2_17_a_publish_keeps_its_user_properties_or_is_not_sent() {
    let properties = PublishProperties { user_properties: user_properties(), ..PublishProperties::default() };
    let packet =
        Packet::Publish(Publish { properties: Some(Box::new(properties)), ..publish("t", b"payload") });
    let whole = bytes(&packet, Version::V5);
    let mut out = Vec::new();
    assert_eq!(
        packet.encode_within(Version::V5, whole.len() as u32 - 1, &mut out),
        Err(EncodeError::TooLarge)
    );
    assert!(out.is_empty());
    assert_eq!(packet.clone().without_optional_properties(), packet);
}

#[test]
fn v5_3_1_2_29_without_problem_information_only_publish_connack_and_disconnect_explain() {
    for packet in explained() {
        let stripped = packet.clone().without_problem_information();
        let keeps = matches!(packet, Packet::ConnAck(_) | Packet::Disconnect(_));
        assert_eq!(stripped == packet, keeps, "{packet:?}");
        assert_eq!(bytes(&stripped, Version::V5).windows(7).any(|w| w == b"because"), keeps);
    }
}

#[test]
fn v5_3_2_2_6_and_v311_3_2_2_4_a_refusal_never_says_session_present() {
    let connack = Packet::ConnAck(Box::new(ConnAck {
        session_present: true,
        reason: ReasonCode::NotAuthorized,
        properties: ConnAckProperties::default(),
    }));
    assert_eq!(bytes(&connack, Version::V5), b"\x20\x03\0\x87\0");
    assert_eq!(bytes(&connack, Version::V3_1_1), b"\x20\x02\0\x05");
}

#[test]
fn a_shared_publish_is_patched_in_place() {
    let mut out = b"before".to_vec();
    let qos2 = Publish { qos: QoS::ExactlyOnce, packet_id: Some(id(1)), ..publish("a/b", b"payload") };
    for version in ALL {
        out.truncate(6);
        let frame = qos2.encode(version, &mut out).unwrap();
        let at = frame.packet_id.unwrap();
        out[at..at + 2].copy_from_slice(&0x1234_u16.to_be_bytes());
        out[frame.start] |= 0b1000;
        let decoded = next_frame(&out[6..], u32::MAX).unwrap().unwrap().decode(version).unwrap();
        let want = Publish { dup: true, packet_id: Some(id(0x1234)), ..qos2.clone() };
        assert_eq!(decoded, Packet::Publish(want));
    }
    let qos0 = publish("a/b", b"payload").encode(Version::V5, &mut out).unwrap();
    assert_eq!(qos0.packet_id, None);
}

#[test]
fn a_head_and_its_payload_are_the_packet() {
    let packet = Publish { qos: QoS::AtLeastOnce, packet_id: Some(id(9)), ..publish("a/b", b"payload") };
    for version in ALL {
        let (mut head, mut whole) = (Vec::new(), Vec::new());
        let of_head = packet.encode_head(version, &mut head).unwrap();
        assert_eq!(packet.encode(version, &mut whole).unwrap(), of_head);
        head.extend(packet.payload);
        assert_eq!(head, whole);
        assert_eq!(packet.encoded_len(version), Ok(whole.len()));
    }
}

#[test]
fn errors_leave_nothing_behind() {
    let long: Box<str> = "x".repeat(65_536).into();
    let reason_string =
        |text: &str| AckProperties { reason_string: Some(text.into()), user_properties: user_properties() };
    let server_disconnect = Packet::Disconnect(Disconnect {
        reason: ReasonCode::ServerShuttingDown,
        properties: DisconnectProperties::default(),
    });
    let auth = Packet::Auth(Auth { reason: ReasonCode::Success, properties: AuthProperties::default() });
    let alias = PublishProperties { topic_alias: NonZeroU16::new(1), ..PublishProperties::default() };
    let only_alias = Publish { properties: Some(Box::new(alias)), ..publish("", b"") };
    for (packet, version, want) in [
        (server_disconnect, Version::V3_1_1, EncodeError::NotInThisVersion(PacketType::Disconnect)),
        (auth, Version::V3_1, EncodeError::NotInThisVersion(PacketType::Auth)),
        (
            Packet::PubAck(ack(ReasonCode::Success, Some(reason_string(&long)))),
            Version::V5,
            EncodeError::FieldTooLong,
        ),
        (Packet::PubAck(ack(ReasonCode::Success, Some(reason_string("a\0")))), Version::V5, EncodeError::Nul),
        (
            Packet::PubRel(ack(ReasonCode::NotAuthorized, None)),
            Version::V5,
            EncodeError::ReasonCode(ReasonCode::NotAuthorized),
        ),
        (Packet::Publish(publish(&long, b"")), Version::V5, EncodeError::FieldTooLong),
        (Packet::Publish(publish("", b"")), Version::V5, EncodeError::NoTopic),
        (Packet::Publish(only_alias), Version::V3_1_1, EncodeError::NoTopic),
        (
            Packet::Publish(Publish { qos: QoS::AtLeastOnce, ..publish("t", b"") }),
            Version::V5,
            EncodeError::PacketId,
        ),
        (
            Packet::Publish(Publish { packet_id: Some(id(1)), ..publish("t", b"") }),
            Version::V5,
            EncodeError::PacketId,
        ),
    ] {
        let mut out = b"before".to_vec();
        assert_eq!(packet.encode(version, &mut out), Err(want), "{packet:?}");
        assert_eq!(out, b"before");
    }
}

#[test]
fn a_packet_above_the_largest_length_is_an_error() {
    let payload = vec![0; 268_435_455 - 2];
    let mut out = Vec::new();
    assert_eq!(
        publish("t", &payload).encode_head(Version::V3_1_1, &mut out).map(|_| ()),
        Err(EncodeError::TooLarge)
    );
    assert!(out.is_empty());
    assert_eq!(publish("t", &payload[1..]).encoded_len(Version::V3_1_1), Ok(268_435_455 + 5));
}

/// What a receiver of `version` sees of a packet in MQTT 5 terms; None if its version cannot say it.
fn as_seen_in<'a>(version: Version, packet: &Packet<'a>) -> Option<Packet<'a>> {
    if version == Version::V5 {
        return Some(packet.clone());
    }
    let seen_ack =
        |ack: &Ack| Ack { packet_id: ack.packet_id, reason: ReasonCode::Success, properties: None };
    Some(match packet {
        Packet::Connect(_) | Packet::PingReq | Packet::PingResp => packet.clone(),
        Packet::Publish(Publish { topic: "", .. }) | Packet::Auth(_) => return None,
        Packet::Publish(publish) => Packet::Publish(Publish { properties: None, ..publish.clone() }),
        Packet::PubAck(ack) => Packet::PubAck(seen_ack(ack)),
        Packet::PubRec(ack) => Packet::PubRec(seen_ack(ack)),
        Packet::PubRel(ack) => Packet::PubRel(seen_ack(ack)),
        Packet::PubComp(ack) => Packet::PubComp(seen_ack(ack)),
        Packet::ConnAck(connack) => {
            let code = version.reason_to_wire(PacketType::ConnAck, connack.reason).ok()?;
            let reason = version.reason_from_wire(PacketType::ConnAck, code).ok()?;
            let session_present = connack.session_present;
            Packet::ConnAck(Box::new(ConnAck { session_present, reason, properties: Default::default() }))
        }
        Packet::Subscribe(subscribe) => {
            let only_qos = |options: &SubscriptionOptions| SubscriptionOptions {
                maximum_qos: options.maximum_qos,
                ..SubscriptionOptions::default()
            };
            Packet::Subscribe(Subscribe {
                packet_id: subscribe.packet_id,
                properties: SubscribeProperties::default(),
                subscriptions: subscribe
                    .subscriptions
                    .iter()
                    .map(|(f, o)| (f.clone(), only_qos(o)))
                    .collect(),
            })
        }
        Packet::SubAck(suback) => {
            let seen = |&r: &ReasonCode| if r.is_error() { ReasonCode::UnspecifiedError } else { r };
            let reasons = suback.reasons.iter().map(seen).collect();
            Packet::SubAck(SubAck { packet_id: suback.packet_id, properties: Default::default(), reasons })
        }
        Packet::Unsubscribe(unsubscribe) => {
            Packet::Unsubscribe(Unsubscribe { properties: Vec::new(), ..unsubscribe.clone() })
        }
        Packet::UnsubAck(UnsubAck { packet_id, .. }) => {
            let (properties, reasons) = (AckProperties::default(), Vec::new());
            Packet::UnsubAck(UnsubAck { packet_id: *packet_id, properties, reasons })
        }
        Packet::Disconnect(Disconnect { reason: ReasonCode::Success, .. }) => {
            let (reason, properties) = (ReasonCode::Success, DisconnectProperties::default());
            Packet::Disconnect(Disconnect { reason, properties })
        }
        Packet::Disconnect(_) => return None,
    })
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_what_the_version_can_say(
        original in arbitrary::packet(),
        version in arbitrary::version(),
    ) {
        let packet = original.packet();
        let mut out = b"before".to_vec();
        match (packet.encode(version, &mut out), as_seen_in(version, &packet)) {
            (Ok(()), Some(seen)) => {
                let frame = next_frame(&out[6..], u32::MAX).unwrap().unwrap();
                prop_assert_eq!(frame.len(), out.len() - 6);
                prop_assert_eq!(packet.encoded_len(version), Ok(frame.len()));
                prop_assert_eq!(frame.packet_type(), packet.packet_type());
                prop_assert_eq!(frame.decode(version), Ok(seen));
            }
            (encoded, seen) => {
                prop_assert!(encoded.is_err() && seen.is_none(), "{:?}", encoded);
                prop_assert_eq!(&out[..], &b"before"[..]);
            }
        }
    }
}
