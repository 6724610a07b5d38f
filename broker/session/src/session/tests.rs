use super::*;
use crate::state::{Inflight, Stage};
use bytes::Bytes;
use std::{num::NonZeroU16, sync::Arc, time::Duration};
use tidegate_mqtt::{HomeId, Message, MessageId, PublishProperties, QoS, TopicName, next_frame};

/// A client and a session in one place: what one sends the other gets.
struct Script {
    session: Session,
    out: Outgoing,
    version: Version,
    published: Vec<String>,
    done: Vec<u64>,
    now: Timestamp,
    refuse_with: Option<ReasonCode>,
}

fn terms(version: Version) -> Terms {
    Terms {
        version,
        receive_maximum: 3,
        client_receive_maximum: 2,
        client_maximum_packet_size: u32::MAX,
        topic_alias_maximum: 2,
        outgoing_topic_aliases: 0,
        maximum_qos: QoS::ExactlyOnce,
        retain_available: true,
        max_user_properties: 16,
        max_session_expiry: 100,
        problem_information: true,
    }
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

impl Script {
    fn connected(version: Version) -> Self {
        Self::with(terms(version), SessionState::new(SessionId(1), ClientId::new("c1"), 60))
    }

    fn with(terms: Terms, state: SessionState) -> Self {
        Self {
            session: Session::new(terms, state),
            out: Outgoing::new(),
            version: terms.version,
            published: Vec::new(),
            done: Vec::new(),
            now: Timestamp(1_000_000),
            refuse_with: None,
        }
    }

    fn try_sends(&mut self, packet: Packet<'_>) -> Result<Vec<String>, Violation> {
        match self.session.receive(packet, &mut self.out)? {
            Request::Publish(incoming) => {
                self.published.push(incoming.topic.as_str().to_owned());
                let reason = self.refuse_with.unwrap_or(ReasonCode::Success);
                self.session.published(incoming.token, reason, None, &mut self.out);
            }
            Request::Done(message) => self.done.push(message.id.sequence),
            _ => {}
        }
        Ok(self.wire())
    }

    fn sends(&mut self, packet: Packet<'_>) -> Vec<String> {
        self.try_sends(packet).unwrap()
    }

    /// What went out since the last look, one short text a packet.
    fn wire(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        while !self.out.is_empty() {
            let used = self.out.fill_slices(&mut slices);
            slices[..used].iter().for_each(|slice| bytes.extend_from_slice(slice));
            let len = slices[..used].iter().map(|slice| slice.len()).sum();
            slices = [std::io::IoSlice::new(&[]); 8];
            self.out.consume(len);
        }
        let mut rest = &bytes[..];
        let mut packets = Vec::new();
        while let Some(frame) = next_frame(rest, u32::MAX).unwrap() {
            rest = &rest[frame.len()..];
            packets.push(text(&frame.decode(self.version).unwrap()));
        }
        packets
    }

    fn delivers(&mut self, delivery: Delivery) -> Vec<String> {
        self.session.deliver(delivery, self.now, &mut self.out).unwrap();
        self.wire()
    }

    fn reconnects(self) -> Self {
        let terms = *self.session.terms();
        let mut next = Self::with(terms, self.session.end());
        next.session.resume(next.now, &mut next.out);
        next
    }
}

fn text(packet: &Packet<'_>) -> String {
    let reason = |ack: &Ack| {
        if ack.reason == ReasonCode::Success { String::new() } else { format!(" {:#x}", ack.reason as u8) }
    };
    match packet {
        Packet::Publish(p) => {
            let dup = if p.dup { " dup" } else { "" };
            format!("publish {} q{} #{}{dup}", p.topic, p.qos as u8, p.packet_id.map_or(0, PacketId::get))
        }
        Packet::PubAck(a) => format!("puback {}{}", a.packet_id, reason(a)),
        Packet::PubRec(a) => format!("pubrec {}{}", a.packet_id, reason(a)),
        Packet::PubRel(a) => format!("pubrel {}{}", a.packet_id, reason(a)),
        Packet::PubComp(a) => format!("pubcomp {}{}", a.packet_id, reason(a)),
        Packet::PingResp => "pingresp".into(),
        Packet::Disconnect(d) => format!("disconnect {:#x}", d.reason as u8),
        other => format!("{other:?}"),
    }
}

fn ack(packet_id: PacketId, reason: ReasonCode) -> Ack {
    Ack { packet_id, reason, properties: None }
}

fn publish(topic: &'static str, qos: QoS, packet_id: u16) -> Packet<'static> {
    let packet_id = PacketId::new(packet_id);
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id,
        properties: None,
        payload: b"p",
    })
}

fn aliased(topic: &'static str, alias: u16) -> Packet<'static> {
    let properties =
        PublishProperties { topic_alias: NonZeroU16::new(alias), ..PublishProperties::default() };
    let Packet::Publish(publish) = publish(topic, QoS::AtMostOnce, 0) else { unreachable!() };
    Packet::Publish(Publish { properties: Some(Box::new(properties)), ..publish })
}

fn message(sequence: u64, topic: &str, qos: QoS) -> Delivery {
    let message = Message {
        id: MessageId { home: HomeId::LOCAL, sequence },
        topic: TopicName::new(topic).unwrap(),
        payload: Bytes::from_static(b"p").into(),
        qos,
        retain: false,
        properties: None,
        publisher: None,
        origin: None,
        accepted_at: Timestamp(1_000_000),
        heads: Default::default(),
    };
    Delivery {
        message: Arc::new(message),
        qos,
        retain: false,
        identifiers: Default::default(),
        group: None,
        stored: None,
    }
}

fn expiring(sequence: u64, seconds: u32) -> Delivery {
    let delivery = message(sequence, "t", QoS::AtLeastOnce);
    let properties =
        PublishProperties { message_expiry_interval: Some(seconds), ..PublishProperties::default() };
    let message = Message { properties: Some(Box::new(properties)), ..Message::clone(&delivery.message) };
    Delivery { message: Arc::new(message), ..delivery }
}

const BOTH: [Version; 2] = [Version::V3_1_1, Version::V5];
use QoS::{AtLeastOnce as Q1, AtMostOnce as Q0, ExactlyOnce as Q2};

#[test]
fn v5_4_3_1_1_and_v311_4_3_1_1_a_qos0_publish_is_not_answered() {
    for version in BOTH {
        let mut client = Script::connected(version);
        assert!(client.sends(publish("a", Q0, 0)).is_empty());
        assert_eq!(client.published, ["a"]);
    }
}

#[test]
fn v5_4_3_2_4_and_v311_4_3_2_2_a_qos1_publish_is_acknowledged() {
    for version in BOTH {
        let mut client = Script::connected(version);
        assert_eq!(client.sends(publish("a", Q1, 7)), ["puback 7"]);
        assert_eq!(client.sends(publish("a", Q1, 7)), ["puback 7"]);
        assert_eq!(client.published.len(), 2);
    }
}

#[test]
fn v5_4_3_3_10_and_v311_4_3_3_2_a_repeated_qos2_publish_is_acknowledged_but_not_delivered_again() {
    for version in BOTH {
        let mut client = Script::connected(version);
        assert_eq!(client.sends(publish("a/b", Q2, 7)), ["pubrec 7"]);
        assert_eq!(client.sends(publish("a/b", Q2, 7)), ["pubrec 7"]);
        assert_eq!(client.published.len(), 1);
        assert_eq!(client.sends(Packet::PubRel(ack(id(7), ReasonCode::Success))), ["pubcomp 7"]);
        assert_eq!(client.sends(publish("a/b", Q2, 7)), ["pubrec 7"]);
        assert_eq!(client.published.len(), 2);
    }
}

#[test]
fn v5_4_3_3_10_a_qos2_message_is_remembered_over_a_reconnect() {
    for version in BOTH {
        let mut client = Script::connected(version);
        client.sends(publish("a", Q2, 7));
        let mut client = client.reconnects();
        assert_eq!(client.sends(publish("a", Q2, 7)), ["pubrec 7"]);
        assert!(client.published.is_empty());
    }
}

#[test]
fn v5_4_3_3_9_a_refused_qos2_publish_frees_its_identifier() {
    let mut client = Script::connected(Version::V5);
    client.refuse_with = Some(ReasonCode::NotAuthorized);
    assert_eq!(client.sends(publish("a", Q2, 7)), ["pubrec 7 0x87"]);
    assert_eq!(client.sends(Packet::PubRel(ack(id(7), ReasonCode::Success))), ["pubcomp 7 0x92"]);
    assert_eq!(client.sends(publish("a", Q2, 7)), ["pubrec 7 0x87"]);
    assert_eq!(client.published.len(), 2);
}

#[test]
fn v5_4_3_3_11_a_pubrel_is_answered_even_for_an_unknown_identifier() {
    let unknown = Packet::PubRel(ack(id(9), ReasonCode::Success));
    assert_eq!(Script::connected(Version::V5).sends(unknown.clone()), ["pubcomp 9 0x92"]);
    assert_eq!(Script::connected(Version::V3_1_1).sends(unknown), ["pubcomp 9"]);
}

#[test]
fn v5_3_3_4_7_more_than_the_receive_maximum_is_a_violation() {
    let mut client = Script::connected(Version::V5);
    for n in 1..=3 {
        client.sends(publish("a", Q2, n));
    }
    let violation = client.try_sends(publish("a", Q2, 4)).unwrap_err();
    assert_eq!(violation.reason_code(), ReasonCode::ReceiveMaximumExceeded);
    let mut old = Script::connected(Version::V3_1_1);
    for n in 1..=10 {
        old.sends(publish("a", Q2, n));
    }
}

#[test]
fn v5_3_1_0_2_and_v311_3_1_0_2_a_second_connect_is_a_violation() {
    let connect = tidegate_mqtt::Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive: 0,
        client_id: ClientId::new(""),
        properties: Default::default(),
        will: None,
        username: None,
        password: None,
    };
    let violation = Script::connected(Version::V5).try_sends(Packet::Connect(Box::new(connect))).unwrap_err();
    assert_eq!(violation, Violation::SecondConnect);
}

#[test]
fn packets_of_a_server_are_a_violation() {
    let violation = Script::connected(Version::V5).try_sends(Packet::PingResp).unwrap_err();
    assert_eq!(violation.reason_code(), ReasonCode::ProtocolError);
}

#[test]
fn v5_3_12_4_1_and_v311_3_12_4_1_pingreq_is_answered() {
    for version in BOTH {
        assert_eq!(Script::connected(version).sends(Packet::PingReq), ["pingresp"]);
    }
}

#[test]
fn v5_3_3_2_8_to_10_topic_aliases() {
    let mut client = Script::connected(Version::V5);
    client.sends(aliased("a/b", 1));
    client.sends(aliased("", 1));
    client.sends(aliased("c", 1));
    client.sends(aliased("", 1));
    assert_eq!(client.published, ["a/b", "a/b", "c", "c"]);
    assert_eq!(client.try_sends(aliased("", 2)).unwrap_err().reason_code(), ReasonCode::ProtocolError);
    assert_eq!(client.try_sends(aliased("x", 3)).unwrap_err().reason_code(), ReasonCode::TopicAliasInvalid);
    let mut client = client.reconnects();
    assert_eq!(client.try_sends(aliased("", 1)).unwrap_err(), Violation::TopicAliasUnknown);
}

#[test]
fn v5_3_3_4_6_a_client_does_not_send_subscription_identifiers() {
    let properties = PublishProperties {
        subscription_identifiers: [std::num::NonZeroU32::MIN].into_iter().collect(),
        ..PublishProperties::default()
    };
    let Packet::Publish(publish) = publish("a", Q0, 0) else { unreachable!() };
    let packet = Packet::Publish(Publish { properties: Some(Box::new(properties)), ..publish });
    assert_eq!(
        Script::connected(Version::V5).try_sends(packet).unwrap_err(),
        Violation::SubscriptionIdentifier
    );
}

#[test]
fn v5_4_3_2_2_and_v311_4_3_2_1_a_qos1_delivery_is_done_with_its_puback() {
    for version in BOTH {
        let mut client = Script::connected(version);
        assert_eq!(client.delivers(message(1, "a", Q1)), ["publish a q1 #1"]);
        assert_eq!(client.delivers(message(2, "b", Q1)), ["publish b q1 #2"]);
        assert!(client.sends(Packet::PubAck(ack(id(1), ReasonCode::Success))).is_empty());
        assert!(client.sends(Packet::PubAck(ack(id(1), ReasonCode::Success))).is_empty());
        assert_eq!(client.done, [1]);
    }
}

#[test]
fn v5_4_3_3_2_and_v311_4_3_3_1_a_qos2_delivery_goes_through_its_four_packets() {
    for version in BOTH {
        let mut client = Script::connected(version);
        assert_eq!(client.delivers(message(1, "a", Q2)), ["publish a q2 #1"]);
        assert_eq!(client.sends(Packet::PubRec(ack(id(1), ReasonCode::Success))), ["pubrel 1"]);
        assert_eq!(client.sends(Packet::PubRec(ack(id(1), ReasonCode::Success))), ["pubrel 1"]);
        assert!(client.done.is_empty());
        client.sends(Packet::PubComp(ack(id(1), ReasonCode::Success)));
        assert_eq!(client.done, [1]);
    }
}

#[test]
fn v5_4_3_3_4_a_pubrec_with_an_error_ends_the_delivery() {
    let mut client = Script::connected(Version::V5);
    client.delivers(message(1, "a", Q2));
    assert!(client.sends(Packet::PubRec(ack(id(1), ReasonCode::QuotaExceeded))).is_empty());
    assert_eq!(client.done, [1]);
}

#[test]
fn v5_3_6_2_1_a_pubrec_for_an_unknown_identifier_is_answered_with_0x92() {
    let mut client = Script::connected(Version::V5);
    assert_eq!(client.sends(Packet::PubRec(ack(id(5), ReasonCode::Success))), ["pubrel 5 0x92"]);
}

#[test]
fn v5_4_9_0_2_the_window_closes_at_the_clients_receive_maximum_and_opens_again() {
    let mut client = Script::connected(Version::V5);
    client.delivers(message(1, "a", Q1));
    assert!(client.session.has_room());
    client.delivers(message(2, "a", Q1));
    assert!(!client.session.has_room());
    assert_eq!(client.delivers(message(3, "a", Q0)), ["publish a q0 #0"]);
    client.sends(Packet::PubAck(ack(id(2), ReasonCode::Success)));
    assert!(client.session.has_room());
}

#[test]
fn v5_4_4_0_1_and_v311_4_4_0_1_what_was_not_acknowledged_is_sent_again_in_order() {
    for version in BOTH {
        let mut client = Script::connected(version);
        client.delivers(message(1, "a", Q2));
        client.delivers(message(2, "b", Q1));
        client.sends(Packet::PubRec(ack(id(1), ReasonCode::Success)));
        let mut client = client.reconnects();
        assert_eq!(client.wire(), ["pubrel 1", "publish b q1 #2 dup"]);
        assert!(!client.session.has_room());
    }
}

#[test]
fn v5_3_3_4_9_a_resumed_session_keeps_to_a_smaller_window_and_sends_the_rest_as_it_opens() {
    let mut client = Script::connected(Version::V5);
    client.delivers(message(1, "a", Q1));
    client.delivers(message(2, "b", Q1));
    let narrow = Terms { client_receive_maximum: 1, ..terms(Version::V5) };
    let mut client = Script::with(narrow, client.session.end());
    client.session.resume(client.now, &mut client.out);
    assert_eq!(client.wire(), ["publish a q1 #1 dup"]);
    assert!(!client.session.has_room() && !client.session.must_resume());
    client.sends(Packet::PubAck(ack(id(1), ReasonCode::Success)));
    assert!(!client.session.has_room() && client.session.must_resume());
    client.session.resume(client.now, &mut client.out);
    assert_eq!(client.wire(), ["publish b q1 #2 dup"]);
    client.sends(Packet::PubAck(ack(id(2), ReasonCode::Success)));
    assert!(client.session.has_room());
}

#[test]
fn v5_4_3_3_7_what_was_sent_once_does_not_expire_any_more() {
    let mut client = Script::connected(Version::V5);
    client.session.deliver(expiring(1, 4), client.now, &mut client.out).unwrap();
    let terms = *client.session.terms();
    let mut client = Script::with(terms, client.session.end());
    client.now = client.now.after(Duration::from_secs(10));
    assert!(client.session.resume(client.now, &mut client.out).is_empty());
    assert_eq!(client.wire(), ["publish t q1 #1 dup"]);
}

#[test]
fn v5_2_2_1_4_and_v311_2_3_1_4_packet_identifiers_in_use_are_passed_over() {
    let mut state = SessionState::new(SessionId(1), ClientId::new("c1"), 60);
    state.inflight.push(Inflight { packet_id: id(65_535), stage: Stage::Published(message(1, "a", Q1)) });
    state.next_packet_id = 65_535;
    let mut client = Script::with(terms(Version::V5), state);
    assert_eq!(client.delivers(message(2, "b", Q1)), ["publish b q1 #1"]);
}

#[test]
fn v5_2_2_1_4_and_v311_2_3_1_4_packet_identifiers_that_went_round_are_passed_over() {
    let mut client = Script::connected(Version::V5);
    assert_eq!(client.delivers(message(1, "a", Q1)), ["publish a q1 #1"]);
    for n in 2..=65_535 {
        assert_eq!(client.delivers(message(2, "b", Q1)), [format!("publish b q1 #{n}")]);
        client.sends(Packet::PubAck(ack(id(n), ReasonCode::Success)));
    }
    assert_eq!(client.delivers(message(3, "c", Q1)), ["publish c q1 #2"], "1 is still in use");
}

#[test]
fn v5_3_1_2_24_a_message_too_large_for_the_client_is_dropped_for_it() {
    let small = Terms { client_maximum_packet_size: 10, ..terms(Version::V5) };
    let mut client = Script::with(small, SessionState::new(SessionId(1), ClientId::new("c1"), 0));
    let large = message(1, "a/long/topic", Q1);
    let (_, why) = client.session.deliver(large, client.now, &mut client.out).unwrap_err();
    assert_eq!(why, Undelivered::TooLarge);
    assert_eq!(client.delivers(message(2, "a", Q1)), ["publish a q1 #2"]);
}

#[test]
fn v5_3_3_2_5_and_6_a_message_expires_and_carries_the_time_left() {
    let mut client = Script::connected(Version::V5);
    client.now = Timestamp(1_000_000).after(Duration::from_secs(4));
    let (_, why) = client.session.deliver(expiring(1, 4), client.now, &mut client.out).unwrap_err();
    assert_eq!(why, Undelivered::Expired);
    client.session.deliver(expiring(2, 10), client.now, &mut client.out).unwrap();
    let bytes = client.out.tail().clone();
    let frame = next_frame(&bytes, u32::MAX).unwrap().unwrap();
    let Packet::Publish(publish) = frame.decode(Version::V5).unwrap() else { panic!("no publish") };
    assert_eq!(publish.properties.unwrap().message_expiry_interval, Some(6));
}

#[test]
fn v5_3_14_2_a_disconnect_may_change_the_expiry_but_not_prolong_what_ends() {
    let goodbye = |expiry| {
        let properties =
            DisconnectProperties { session_expiry_interval: Some(expiry), ..DisconnectProperties::default() };
        Packet::Disconnect(Disconnect { reason: ReasonCode::Success, properties })
    };
    let mut client = Script::connected(Version::V5);
    client.sends(goodbye(5));
    assert_eq!(client.session.expiry(), 5);
    client.sends(goodbye(1_000));
    assert_eq!(client.session.expiry(), 100, "the broker's limit");
    let ending = SessionState::new(SessionId(1), ClientId::new("c1"), 0);
    let mut client = Script::with(terms(Version::V5), ending);
    assert_eq!(client.try_sends(goodbye(5)).unwrap_err().reason_code(), ReasonCode::ProtocolError);
}

#[test]
fn v5_3_1_2_29_no_reason_strings_for_a_client_that_wants_no_problem_information() {
    let quiet = Terms { problem_information: false, ..terms(Version::V5) };
    let mut client = Script::with(quiet, SessionState::new(SessionId(1), ClientId::new("c1"), 0));
    let refusal = |client: &mut Script| {
        let packet = publish("a", Q1, 1);
        let Request::Publish(incoming) = client.session.receive(packet, &mut client.out).unwrap() else {
            panic!()
        };
        client.session.published(
            incoming.token,
            ReasonCode::NotAuthorized,
            Some("not yours"),
            &mut client.out,
        );
        client.out.tail().split_off(0)
    };
    assert_eq!(refusal(&mut client), [0x40, 3, 0, 1, 0x87]);
    let mut client = Script::connected(Version::V5);
    assert!(refusal(&mut client).ends_with(b"not yours"));
}

#[test]
fn only_mqtt_5_clients_are_told_why_the_connection_ends() {
    let mut client = Script::connected(Version::V5);
    client.session.disconnect(ReasonCode::SessionTakenOver, None, None, &mut client.out);
    assert_eq!(client.wire(), ["disconnect 0x8e"]);
    let mut client = Script::connected(Version::V3_1_1);
    client.session.disconnect(ReasonCode::SessionTakenOver, None, None, &mut client.out);
    assert!(client.wire().is_empty());
}

fn aliasing(aliases: u16) -> Script {
    let terms = Terms { outgoing_topic_aliases: aliases, ..terms(Version::V5) };
    Script::with(terms, SessionState::new(SessionId(1), ClientId::new("c1"), 60))
}

#[test]
fn v5_3_1_2_26_a_topic_goes_out_once_and_then_its_alias() {
    let mut client = aliasing(1);
    assert_eq!(client.delivers(message(1, "long/topic", Q0)), ["publish long/topic q0 #0"]);
    assert_eq!(client.delivers(message(2, "long/topic", Q1)), ["publish  q1 #1"]);
    // One that did not reach the client stands for nothing.
    let mut small = aliasing(1);
    small.session.terms.client_maximum_packet_size = 16;
    let (_, why) =
        small.session.deliver(message(1, "long/topic/a", Q0), small.now, &mut small.out).unwrap_err();
    assert_eq!(why, Undelivered::TooLarge);
    small.session.terms.client_maximum_packet_size = u32::MAX;
    assert_eq!(small.delivers(message(2, "long/topic/a", Q0)), ["publish long/topic/a q0 #0"]);
}

#[test]
fn an_alias_does_not_make_a_message_too_large() {
    let mut client = aliasing(1);
    // Two bytes of header, two of length, ten of topic, one of no properties, one of payload.
    client.session.terms.client_maximum_packet_size = 16;
    assert_eq!(client.delivers(message(1, "long/topic", Q0)), ["publish long/topic q0 #0"]);
    assert_eq!(client.delivers(message(2, "long/topic", Q0)), ["publish long/topic q0 #0"]);
}

#[test]
fn v5_3_3_2_7_aliases_are_forgotten_with_the_connection() {
    let mut client = aliasing(1);
    client.delivers(message(1, "long/topic", Q1));
    let mut client = client.reconnects();
    assert_eq!(client.wire(), ["publish long/topic q1 #1 dup"]);
    assert_eq!(client.delivers(message(2, "long/topic", Q0)), ["publish  q0 #0"]);
}

#[test]
fn the_mount_point_is_not_seen() {
    for version in BOTH {
        let mut client = Script::connected(version);
        client.session.set_mount_point(TopicName::new("site-7/").ok());
        assert_eq!(client.delivers(message(1, "site-7/a", Q0)), ["publish a q0 #0"]);
        // From before, when the session came in elsewhere.
        assert_eq!(client.delivers(message(2, "site-8/a", Q0)), ["publish site-8/a q0 #0"]);
    }
}

#[test]
fn v5_3_2_2_11_and_v5_3_2_2_14_what_was_announced_holds() {
    let limited = Terms { maximum_qos: Q1, retain_available: false, ..terms(Version::V5) };
    let state = SessionState::new(SessionId(1), ClientId::new("c1"), 60);
    let mut client = Script::with(limited, state);
    assert_eq!(client.sends(publish("a", Q1, 1)), ["puback 1"]);
    assert_eq!(client.try_sends(publish("a", Q2, 2)), Err(Violation::QosNotSupported));
    let Packet::Publish(retained) = publish("a", Q0, 0) else { unreachable!() };
    let retained = Packet::Publish(Publish { retain: true, ..retained });
    assert_eq!(client.try_sends(retained), Err(Violation::RetainNotSupported));
}

#[test]
fn more_user_properties_than_allowed_are_a_violation_in_any_packet() {
    let mut client = Script::connected(Version::V5);
    let pairs = |n: usize| vec![("k".into(), "v".into()); n];
    let with = |n| {
        let properties = AckProperties { user_properties: pairs(n), ..AckProperties::default() };
        Packet::PubAck(Ack { properties: Some(Box::new(properties)), ..ack(id(9), ReasonCode::Success) })
    };
    assert!(client.try_sends(with(16)).is_ok());
    assert_eq!(client.try_sends(with(17)), Err(Violation::TooManyUserProperties));
    assert_eq!(Violation::TooManyUserProperties.reason_code(), ReasonCode::QuotaExceeded);
}

#[test]
fn v5_2_2_1_3_a_packet_identifier_in_use_is_refused_in_words_that_mqtt_5_has() {
    let mut client = Script::connected(Version::V5);
    client.sends(publish("a", Q2, 7));
    assert_eq!(client.sends(publish("b", Q1, 7)), ["puback 7 0x91"]);
    assert_eq!(client.published, ["a"]);
    let mut old = Script::connected(Version::V3_1_1);
    old.sends(publish("a", Q2, 7));
    assert_eq!(old.sends(publish("b", Q1, 7)), ["puback 7"]);
}

fn of_group(delivery: Delivery) -> Delivery {
    let group = SubscriptionFilter::new("$share/g/t").unwrap();
    Delivery { group: Some(Arc::new(group)), ..delivery }
}

#[test]
fn v5_4_8_2_5_only_unacknowledged_qos1_of_a_group_is_handed_over() {
    let state = SessionState::new(SessionId(1), ClientId::new("c1"), 60);
    let mut client = Script::with(Terms { client_receive_maximum: 9, ..terms(Version::V5) }, state);
    client.delivers(of_group(message(1, "t", Q1)));
    client.delivers(message(2, "t", Q1));
    client.delivers(of_group(message(3, "t", Q2)));
    client.delivers(of_group(message(4, "t", Q1)));
    client.delivers(of_group(message(5, "t", Q1)));
    client.sends(Packet::PubAck(ack(id(4), ReasonCode::Success)));
    let mut offered = Vec::new();
    client.session.hand_over(|delivery| {
        offered.push(delivery.message.id.sequence);
        delivery.message.id.sequence == 1
    });
    assert_eq!(offered, [1, 5]);
    assert_eq!(client.session.inflight(), 3);
    // The window still knows which of them were sent on this connection.
    assert!(!client.session.must_resume());
    let mut client = client.reconnects();
    assert_eq!(client.wire(), ["publish t q1 #2 dup", "publish t q2 #3 dup", "publish t q1 #5 dup"]);
}

#[test]
fn v5_4_12_0_7_auth_without_a_method_is_a_violation() {
    let mut client = Script::connected(Version::V5);
    let auth = tidegate_mqtt::Auth { reason: ReasonCode::ReAuthenticate, properties: Default::default() };
    assert_eq!(client.try_sends(Packet::Auth(auth)), Err(Violation::NoAuthenticationMethod));
}

#[test]
fn an_unsubscribe_ends_what_a_plugin_made_of_the_filter() {
    let state = SessionState::new(SessionId(1), ClientId::new("c"), 0);
    let mut session = Session::new(terms(Version::V5), state);
    let filter = |text: &str| SubscriptionFilter::new(text).unwrap();
    for asked in ["a", "b", "c"] {
        let granted = if asked == "c" { "c" } else { "tenant/x" };
        session.subscribe(filter(granted), Subscribed::default());
        session.rewrite(filter(asked), filter(granted));
    }
    assert_eq!(session.ended_by(filter("a")), None, "b stands for it too");
    assert_eq!(session.ended_by(filter("b")), Some(filter("tenant/x")));
    assert_eq!(session.ended_by(filter("c")), Some(filter("c")));
    assert_eq!(session.ended_by(filter("d")), Some(filter("d")));
}
