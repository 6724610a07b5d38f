use super::{Publisher, Step};
use crate::{
    crew::split,
    flow::Flow,
    options::{Format, Payload},
    pace::{Pace, Rate, Timeline},
    stamp::Stamp,
    tally::{Checks, Tally},
    template::{Shape, Template, Topic},
    wrong::Wrong,
};
use std::{sync::Arc, time::Duration};
use tidegate_mqtt::{
    Ack, ConnAck, ConnAckProperties, Packet, PacketId, Publish, QoS, ReasonCode, Version, next_frame,
};

/// A publisher, and what it has said.
struct Script {
    publisher: Publisher,
    timeline: Timeline,
    tally: Tally,
    out: Vec<u8>,
}

impl Script {
    fn new(pace: Pace, qos: QoS, receivers: u32) -> Self {
        let payload = Some(Payload { size: 30, format: Format::Bytes });
        let (version, topic) = (Version::V5, Topic::One("a/b", 3));
        let shape = Shape { version, topic, qos, retain: false, payload, run: 9 };
        let window = match pace {
            Pace::Window(window) => Some(window),
            Pace::Rate(_) => None,
        };
        let flow = Arc::new(Flow::new(0, 0, receivers, window));
        let publisher = Publisher::new(flow, Template::new(&shape).unwrap(), pace, qos);
        let timeline = Timeline::always();
        let mut script = Self { publisher, timeline, tally: Tally::new(), out: Vec::new() };
        script.meets(ConnAckProperties::default()).unwrap();
        script
    }

    fn meets(&mut self, properties: ConnAckProperties) -> Result<(), Wrong> {
        let (session_present, reason) = (false, ReasonCode::Success);
        self.publisher.meets(&ConnAck { session_present, reason, properties })
    }

    /// Sends what it may, and returns packet identifiers and stamps.
    fn sends(&mut self, now: u64) -> Vec<(Option<PacketId>, Stamp)> {
        let mut sent = Vec::new();
        while self.publisher.allowance() > 0 {
            self.out.clear();
            self.publisher.compose(now, &self.timeline, &mut self.tally, &mut self.out);
            let mut rest = self.out.as_slice();
            while let Some(frame) = next_frame(rest, u32::MAX).unwrap() {
                rest = &rest[frame.len()..];
                let Packet::Publish(Publish { packet_id, payload, .. }) = frame.decode(Version::V5).unwrap()
                else {
                    panic!("not a PUBLISH");
                };
                sent.push((packet_id, Stamp::from_bytes(payload).unwrap()));
            }
        }
        sent
    }

    /// It hears this, and returns what it says to that.
    fn hears(&mut self, packet: &Packet<'_>, now: u64) -> Result<Vec<u8>, Wrong> {
        let (mut bytes, mut out) = (Vec::new(), Vec::new());
        packet.encode(Version::V5, &mut bytes).unwrap();
        let (piece, _) = split(&bytes).unwrap();
        self.publisher.acknowledge(piece, now, &self.timeline, &mut self.tally, &mut out)?;
        Ok(out)
    }

    fn checks(&self) -> Checks {
        let mut checks = Checks::default();
        self.publisher.settle(&mut checks);
        checks
    }
}

fn ack(number: u16) -> Ack {
    Ack { packet_id: PacketId::new(number).unwrap(), reason: ReasonCode::Success, properties: None }
}

const WINDOW: Pace = Pace::Window(3);

#[test]
fn a_window_closes_and_opens_with_what_was_received() {
    let mut script = Script::new(WINDOW, QoS::AtMostOnce, 1);
    let sent = script.sends(100);
    let stamps = sent.iter().map(|(_, stamp)| *stamp);
    let stamp = |sequence| Stamp { run: 9, publisher: 3, sequence, due: 100 };
    assert_eq!(stamps.collect::<Vec<_>>(), [stamp(0), stamp(1), stamp(2)]);
    assert!(script.sends(101).is_empty());
    script.publisher.flow.received(0..2);
    assert_eq!(script.sends(102).len(), 2);
    assert!(script.sends(103).is_empty());
}

#[test]
fn at_qos_1_a_message_is_under_way_until_it_is_acknowledged_too() {
    let mut script = Script::new(WINDOW, QoS::AtLeastOnce, 1);
    assert_eq!(script.sends(100).len(), 3);
    script.publisher.flow.received(0..3);
    assert!(script.sends(101).is_empty());
    assert!(script.hears(&Packet::PubAck(ack(2)), 150).unwrap().is_empty());
    assert_eq!(script.sends(160).len(), 1);
    assert_eq!(script.tally.acknowledgement.at(1.0), 50);
    assert_eq!(script.checks().unacknowledged, 3);
}

#[test]
fn at_qos_2_pubrec_is_answered_and_pubcomp_counts() {
    let mut script = Script::new(WINDOW, QoS::ExactlyOnce, 1);
    script.sends(100);
    script.publisher.flow.received(0..3);
    assert_eq!(script.hears(&Packet::PubRec(ack(1)), 110).unwrap(), [0x62, 2, 0, 1]);
    assert_eq!(script.publisher.slots.due[0], Some((100, Step::Released)));
    assert!(script.sends(120).is_empty());
    assert!(script.hears(&Packet::PubComp(ack(1)), 130).unwrap().is_empty());
    assert_eq!(script.sends(140).len(), 1);
}

#[test]
fn acknowledgements_of_nothing_are_wrong() {
    let mut script = Script::new(WINDOW, QoS::AtLeastOnce, 1);
    script.sends(100);
    for packet in
        [Packet::PubAck(ack(4)), Packet::PubAck(ack(60_000)), Packet::PubRec(ack(1)), Packet::PubComp(ack(1))]
    {
        let wrong = script.hears(&packet, 101).unwrap_err();
        assert!(matches!(wrong, Wrong::Unexpected(_)), "{packet:?}: {wrong:?}");
    }
    script.hears(&Packet::PubAck(ack(1)), 102).unwrap();
    assert!(script.hears(&Packet::PubAck(ack(1)), 103).is_err(), "twice");
    let mut script = Script::new(WINDOW, QoS::ExactlyOnce, 1);
    script.sends(100);
    assert!(script.hears(&Packet::PubComp(ack(1)), 101).is_err(), "before PUBREC");
}

#[test]
fn a_refusal_is_wrong_and_nobody_there_is_not() {
    let mut script = Script::new(WINDOW, QoS::AtLeastOnce, 1);
    script.sends(100);
    let nobody = Ack { reason: ReasonCode::NoMatchingSubscribers, ..ack(1) };
    script.hears(&Packet::PubAck(nobody), 101).unwrap();
    let refused = Ack { reason: ReasonCode::QuotaExceeded, ..ack(2) };
    let wrong = script.hears(&Packet::PubAck(refused), 102).unwrap_err();
    assert!(matches!(wrong, Wrong::Refused(_, ReasonCode::QuotaExceeded)), "{wrong:?}");
}

#[test]
fn a_packet_identifier_is_not_used_again_before_it_is_free() {
    let mut script = Script::new(WINDOW, QoS::AtLeastOnce, 1);
    let mut under_way: Vec<PacketId> = Vec::new();
    for round in 0..20 {
        for (packet_id, _) in script.sends(round) {
            let packet_id = packet_id.unwrap();
            assert!(!under_way.contains(&packet_id));
            under_way.push(packet_id);
        }
        // Out of order.
        let packet_id = under_way.remove(round as usize % under_way.len());
        script.hears(&Packet::PubAck(ack(packet_id.get())), round).unwrap();
        let received = script.publisher.flow.completed(script.publisher.sent);
        script.publisher.flow.received(received..received + 1);
    }
    assert_eq!(script.publisher.sent, 22);
}

#[test]
fn the_brokers_receive_maximum_is_kept() {
    for pace in [Pace::Window(100), Pace::Rate(Rate { total: 1_000_000, publishers: 1, turn: 0 })] {
        let mut script = Script::new(pace, QoS::AtLeastOnce, 1);
        let receive_maximum = std::num::NonZeroU16::new(5);
        script.meets(ConnAckProperties { receive_maximum, ..ConnAckProperties::default() }).unwrap();
        script.publisher.due = 1000;
        assert_eq!(script.sends(100).len(), 5);
        script.hears(&Packet::PubAck(ack(3)), 101).unwrap();
        script.publisher.flow.received(0..5);
        assert_eq!(script.sends(102).len(), 1);
    }
}

#[test]
fn what_the_broker_does_not_take_is_told_before_anything_is_sent() {
    let mut script = Script::new(WINDOW, QoS::ExactlyOnce, 1);
    let maximum_qos = Some(QoS::AtLeastOnce);
    let wrong = script.meets(ConnAckProperties { maximum_qos, ..ConnAckProperties::default() }).unwrap_err();
    assert!(matches!(wrong, Wrong::LessQos { granted: 1, asked: 2 }), "{wrong:?}");
    let maximum_packet_size = std::num::NonZeroU32::new(39);
    let properties = ConnAckProperties { maximum_packet_size, ..ConnAckProperties::default() };
    let wrong = script.meets(properties).unwrap_err();
    assert!(matches!(wrong, Wrong::TooLarge { limit: 39, .. }), "{wrong:?}");
}

#[test]
fn by_the_clock_messages_bear_the_time_when_they_were_due() {
    let rate = Rate { total: 1000, publishers: 1, turn: 0 };
    let mut script = Script::new(Pace::Rate(rate), QoS::AtMostOnce, 1);
    let start = 5_000_000;
    script.timeline = Timeline::new(start, Duration::ZERO, Duration::from_secs(1));
    assert!(script.sends(start).is_empty(), "nothing is called for yet");
    script.publisher.due = 3;
    // The third is due just now, the first two are late.
    let sent = script.sends(start + 2_000_000);
    let due: Vec<u64> = sent.iter().map(|(_, stamp)| stamp.due - start).collect();
    assert_eq!(due, [0, 1_000_000, 2_000_000]);
    let late = &script.tally.sending;
    assert_eq!((late.count(), late.least()), (3, 1));
    // Three digits.
    assert!((1_999_000..2_002_000).contains(&late.most()), "{}", late.most());
}

#[test]
fn what_is_due_at_the_end_is_sent_and_if_that_is_not_possible_told() {
    let rate = Rate { total: 1000, publishers: 1, turn: 0 };
    let mut script = Script::new(Pace::Rate(rate), QoS::AtLeastOnce, 1);
    let receive_maximum = std::num::NonZeroU16::new(2);
    script.meets(ConnAckProperties { receive_maximum, ..ConnAckProperties::default() }).unwrap();
    script.publisher.due = 5;
    script.sends(100);
    script.publisher.stop();
    assert_eq!(script.publisher.last, Some(5));
    assert!(!script.publisher.is_done());
    script.publisher.forget_unsent();
    let checks = script.checks();
    assert_eq!((checks.sent, checks.unsent, checks.unacknowledged), (2, 3, 2));
    for number in [1, 2] {
        script.hears(&Packet::PubAck(ack(number)), 101).unwrap();
    }
    assert!(script.publisher.is_done());
}

#[test]
fn lost_messages_do_not_hold_up_a_window_for_ever() {
    let mut script = Script::new(WINDOW, QoS::AtMostOnce, 1);
    script.sends(100);
    assert!(!script.publisher.look(200));
    assert!(!script.publisher.look(200 + super::STALLED));
    assert!(script.publisher.look(201 + super::STALLED));
    assert_eq!(script.sends(300 + super::STALLED).len(), 3);
    // One that comes after all opens no more than it should.
    script.publisher.flow.received(0..1);
    assert!(script.sends(301 + super::STALLED).is_empty());
}
