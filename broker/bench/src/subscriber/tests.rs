use super::{Context, Group, Subscriber, group_has_all, settle_group, subscribed};
use crate::{
    crew::split,
    flow::Flow,
    options::{Format, Payload},
    order::Sequence,
    pace::Timeline,
    stamp::Stamp,
    tally::{Checks, Tally},
    wrong::Wrong,
};
use parking_lot::Mutex;
use std::sync::{Arc, atomic::Ordering::Relaxed};
use tidegate_mqtt::{
    AckProperties, Packet, PacketId, Publish, PublishProperties, QoS, ReasonCode, SubAck, Version,
};

const SIZE: usize = 40;
const RUN: u32 = 77;

/// Subscribers of two publishers, and what they have seen.
struct Script {
    subscribers: Vec<Subscriber>,
    flows: Vec<Arc<Flow>>,
    group: Option<Group>,
    tally: Tally,
    version: Version,
    format: Format,
}

impl Script {
    fn new(subscribers: usize, shares: bool) -> Self {
        let subscriber = |_| Subscriber::new("a/+".to_owned(), 0..2, shares);
        let flow = |_| Arc::new(Flow::new(0, 0, 1, Some(100)));
        Self {
            subscribers: (0..subscribers).map(subscriber).collect(),
            flows: (0..2).map(flow).collect(),
            group: shares.then(|| (0..2).map(|_| Mutex::new(Sequence::default())).collect()),
            tally: Tally::new(),
            version: Version::V5,
            format: Format::Bytes,
        }
    }

    /// A subscriber gets this, and says that.
    fn gets(&mut self, who: usize, publish: Publish<'_>, now: u64) -> Vec<u8> {
        let (mut bytes, mut out) = (Vec::new(), Vec::new());
        Packet::Publish(publish).encode(self.version, &mut bytes).unwrap();
        let context = Context {
            run: RUN,
            version: self.version,
            payload: Payload { size: SIZE, format: self.format },
            timeline: Timeline { start: 0, measured: 1000, end: 2000 },
            flows: &self.flows,
            group: self.group.as_ref(),
        };
        let (piece, _) = split(&bytes).unwrap();
        self.subscribers[who].receive(piece, now, &context, &mut self.tally, &mut out).unwrap();
        out
    }

    fn gets_number(&mut self, who: usize, publisher: u32, sequence: u64) {
        let payload = payload(Stamp { run: RUN, publisher, sequence, due: 1000 });
        self.gets(who, publish(&payload), 1500);
    }

    /// After the publishers have sent so many.
    fn settled(&mut self, sent: [u64; 2]) -> Checks {
        for (flow, sent) in self.flows.iter().zip(sent) {
            flow.sent.store(sent, Relaxed);
            flow.finished.store(true, Relaxed);
        }
        let mut checks = self.tally.checks;
        self.subscribers.iter().for_each(|subscriber| subscriber.settle(&self.flows, &mut checks));
        if let Some(group) = &self.group {
            settle_group(group, &self.flows, &mut checks);
        }
        checks
    }
}

fn payload(stamp: Stamp) -> [u8; SIZE] {
    let mut payload = [0; SIZE];
    payload[..Stamp::LEN].copy_from_slice(&stamp.to_bytes());
    payload
}

fn publish(payload: &[u8]) -> Publish<'_> {
    let (packet_id, properties) = (None, None);
    let (dup, qos, retain) = (false, QoS::AtMostOnce, false);
    Publish { dup, qos, retain, topic: "a/1", packet_id, properties, payload }
}

#[test]
fn what_comes_is_acknowledged_as_its_quality_asks() {
    for version in [Version::V3_1_1, Version::V5] {
        let mut script = Script { version, ..Script::new(1, false) };
        let payload = payload(Stamp { run: RUN, publisher: 0, sequence: 0, due: 0 });
        let packet_id = PacketId::new(0x1234);
        assert!(script.gets(0, publish(&payload), 1).is_empty());
        let at = |qos| Publish { qos, packet_id, ..publish(&payload) };
        assert_eq!(script.gets(0, at(QoS::AtLeastOnce), 1), [0x40, 2, 0x12, 0x34]);
        assert_eq!(script.gets(0, at(QoS::ExactlyOnce), 1), [0x50, 2, 0x12, 0x34]);
        let mut out = Vec::new();
        Subscriber::release(split(&[0x62, 2, 0x12, 0x34]).unwrap().0, &mut out).unwrap();
        assert_eq!(out, [0x70, 2, 0x12, 0x34]);
    }
}

#[test]
fn properties_are_skipped_however_long() {
    let mut script = Script::new(1, false);
    let payload = payload(Stamp { run: RUN, publisher: 1, sequence: 0, due: 1000 });
    let content_type = Some("x".repeat(300).into());
    let properties = Some(Box::new(PublishProperties { content_type, ..PublishProperties::default() }));
    script.gets(0, Publish { properties, ..publish(&payload) }, 1500);
    assert_eq!(script.tally.checks.received, 1);
}

#[test]
fn time_counts_from_when_a_message_was_due_if_that_was_in_time() {
    let mut script = Script::new(1, false);
    for (sequence, due, now) in [(0, 900, 1100), (1, 1000, 1300), (2, 1990, 2500)] {
        let payload = payload(Stamp { run: RUN, publisher: 0, sequence, due });
        script.gets(0, publish(&payload), now);
    }
    let Tally { delivery, received, .. } = &script.tally;
    assert_eq!((delivery.count(), delivery.least(), delivery.most()), (2, 300, 510));
    // What came while figures counted, whenever it was due.
    assert_eq!(*received, 2);
}

#[test]
fn loss_repeats_and_disorder_are_found_by_publisher() {
    let mut script = Script::new(1, false);
    for number in [0, 1, 3, 3, 2, 5] {
        script.gets_number(0, 0, number);
    }
    script.gets_number(0, 1, 0);
    let checks = script.settled([8, 1]);
    assert_eq!((checks.expected, checks.received), (9, 6));
    assert_eq!((checks.lost, checks.duplicates, checks.out_of_order), (3, 1, 1));
    assert!(!script.subscribers[0].has_all(&script.flows));
}

#[test]
fn who_has_all_knows_it() {
    let mut script = Script::new(1, false);
    script.gets_number(0, 0, 0);
    script.gets_number(0, 1, 0);
    assert!(!script.subscribers[0].has_all(&script.flows), "more may be sent");
    assert_eq!(script.settled([1, 1]).lost, 0);
    assert!(script.subscribers[0].has_all(&script.flows));
}

#[test]
fn messages_of_others_and_wrong_ones_are_told_apart() {
    let mut script = Script::new(1, false);
    let mine = Stamp { run: RUN, publisher: 0, sequence: 0, due: 0 };
    script.gets(0, publish(&payload(Stamp { run: 1, ..mine })), 1);
    script.gets(0, publish(b"short"), 1);
    assert_eq!((script.tally.checks.foreign, script.tally.checks.wrong), (2, 0));
    script.gets(0, publish(&payload(Stamp { publisher: 2, ..mine })), 1);
    script.gets(0, publish(&payload(mine)[..SIZE - 1]), 1);
    assert_eq!((script.tally.checks.foreign, script.tally.checks.wrong), (2, 2));
    assert_eq!(script.tally.checks.received, 0);
}

#[test]
fn json_counts_whatever_a_plugin_made_of_it_beside_the_stamp() {
    let mut script = Script { format: Format::Json, ..Script::new(1, false) };
    for payload in [
        r#"{"run":77,"publisher":0,"sequence":0,"due":1000,"celsius":21.5}"#,
        r#"{ "fahrenheit": 70.7, "due": 1000, "more": {"run": [1]},
             "sequence": 1, "publisher": 0, "run": 77 }"#,
    ] {
        script.gets(0, publish(payload.as_bytes()), 1500);
    }
    let checks = script.settled([3, 0]);
    assert_eq!((checks.received, checks.lost, checks.foreign, checks.wrong), (2, 1, 0, 0));
    assert_eq!(script.tally.delivery.least(), 500);
    for payload in [
        r#"{"run":78,"publisher":0,"sequence":2,"due":1000}"#,
        r#"{"run":77,"publisher":0,"sequence":2}"#,
        r#"{"run":77,"publisher":0,"sequence":2,"due":1000"#,
        "",
    ] {
        script.gets(0, publish(payload.as_bytes()), 1500);
    }
    script.gets(0, publish(br#"{"run":77,"publisher":2,"sequence":0,"due":1000}"#), 1500);
    let Checks { received, foreign, wrong, .. } = script.tally.checks;
    assert_eq!((received, foreign, wrong), (2, 4, 1));
}

#[test]
fn a_group_gets_each_message_once_and_each_member_its_share_in_order() {
    let mut script = Script::new(2, true);
    for (who, number) in [(0, 1), (1, 0), (0, 2), (1, 5), (0, 4)] {
        script.gets_number(who, 0, number);
    }
    assert_eq!(script.tally.checks.out_of_order, 0);
    assert!(!group_has_all(script.group.as_ref().unwrap(), &script.flows));
    script.gets_number(0, 0, 3);
    script.gets_number(1, 0, 4);
    let checks = script.settled([7, 0]);
    assert_eq!((checks.out_of_order, checks.duplicates, checks.lost), (1, 1, 1));
    assert_eq!((checks.expected, checks.received), (7, 6));
    assert_eq!([script.subscribers[0].received, script.subscribers[1].received], [4, 2]);
}

#[test]
fn a_subscription_must_be_granted_as_asked() {
    let answer = |reason, asked| {
        let (packet_id, properties) = (PacketId::MIN, AckProperties::default());
        let mut bytes = Vec::new();
        let suback = Packet::SubAck(SubAck { packet_id, properties, reasons: vec![reason] });
        suback.encode(Version::V5, &mut bytes).unwrap();
        subscribed(split(&bytes).unwrap().0, Version::V5, asked)
    };
    answer(ReasonCode::GrantedQos1, QoS::AtLeastOnce).unwrap();
    let less = answer(ReasonCode::GrantedQos1, QoS::ExactlyOnce);
    assert!(matches!(less, Err(Wrong::LessQos { granted: 1, asked: 2 })), "{less:?}");
    let refused = answer(ReasonCode::NotAuthorized, QoS::AtMostOnce);
    assert!(matches!(refused, Err(Wrong::Refused(_, ReasonCode::NotAuthorized))), "{refused:?}");
}
