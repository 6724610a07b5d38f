//! A client that subscribes: acknowledges what comes, and checks that it is what was sent.

use crate::{
    crew::{Piece, decode, var_int},
    failure::Asked,
    flow::Flow,
    options::Payload,
    order::{Arrival, Sequence},
    pace::Timeline,
    publisher::{PUBACK, PUBCOMP, PUBREC, read_ack, write_ack},
    stamp::Stamp,
    tally::{Checks, Tally},
    wrong::Wrong,
};
use parking_lot::Mutex;
use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tidegate_mqtt::{Packet, PacketType, QoS, ReasonCode, Version};

pub(crate) struct Subscriber {
    /// What it subscribes to.
    pub(crate) filter: String,
    /// The publishers whose messages it gets, by their number.
    sources: Range<u32>,
    has: Has,
    /// Messages that came, repeats left out.
    pub(crate) received: u64,
}

/// What a subscriber has of each source.
enum Has {
    All(Vec<Sequence>),
    /// A group's share: only the group has all. One above the highest.
    Share(Vec<u64>),
}

/// What a group of subscribers has of each source.
pub(crate) type Group = Vec<Mutex<Sequence>>;

/// What all subscribers of a thread need to know.
pub(crate) struct Context<'a> {
    pub(crate) run: u32,
    pub(crate) version: Version,
    pub(crate) payload: Payload,
    pub(crate) timeline: Timeline,
    /// By number of the publisher.
    pub(crate) flows: &'a [Arc<Flow>],
    /// If subscribers share.
    pub(crate) group: Option<&'a Group>,
}

impl Subscriber {
    /// `shares`: whether it is one of a group.
    pub(crate) fn new(filter: String, sources: Range<u32>, shares: bool) -> Self {
        let count = sources.len();
        let has = if shares {
            Has::Share(vec![0; count])
        } else {
            Has::All((0..count).map(|_| Sequence::default()).collect())
        };
        Self { filter, sources, has, received: 0 }
    }

    /// A PUBLISH. Returns the publisher that may go on because of it.
    pub(crate) fn receive(
        &mut self,
        piece: Piece<'_>,
        now: u64,
        context: &Context<'_>,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Result<Option<u32>, Wrong> {
        let publish = Incoming::read(piece, context.version)?;
        acknowledge(&publish, out);
        let stamp = context.payload.format.read(publish.payload).filter(|stamp| stamp.run == context.run);
        let Some(stamp) = stamp else {
            tally.checks.foreign += 1;
            return Ok(None);
        };
        let source = stamp.publisher.wrapping_sub(self.sources.start) as usize;
        if source >= self.sources.len() || !context.payload.may_be(publish.payload) {
            tally.checks.wrong += 1;
            return Ok(None);
        }
        let arrival = self.arrival(source, &stamp, context.group);
        if arrival == Arrival::Duplicate {
            tally.checks.duplicates += 1;
            return Ok(None);
        }
        self.received += 1;
        tally.checks.received += 1;
        if context.timeline.counts(now) {
            tally.received += 1;
        }
        if context.timeline.counts(stamp.due) {
            tally.delivery.record(now.saturating_sub(stamp.due));
        }
        let Arrival::New(numbers) = arrival else {
            tally.checks.out_of_order += 1;
            return Ok(None);
        };
        Ok(context.flows[stamp.publisher as usize].received(numbers).then_some(stamp.publisher))
    }

    fn arrival(&mut self, source: usize, stamp: &Stamp, group: Option<&Group>) -> Arrival {
        let number = stamp.sequence;
        match (&mut self.has, group) {
            (Has::All(sequences), _) => sequences[source].take(number),
            (Has::Share(next), Some(group)) => {
                if group[stamp.publisher as usize].lock().take(number) == Arrival::Duplicate {
                    return Arrival::Duplicate;
                }
                // Members are no faster than each other: order counts within one.
                let is_late = number < next[source];
                next[source] = next[source].max(number + 1);
                if is_late { Arrival::Late } else { Arrival::New(number..number + 1) }
            }
            (Has::Share(_), None) => Arrival::New(number..number + 1),
        }
    }

    /// PUBREL.
    pub(crate) fn release(piece: Piece<'_>, out: &mut Vec<u8>) -> Result<(), Wrong> {
        let (packet_id, _) = read_ack(piece.body).ok_or(Wrong::Unexpected("it is too short"))?;
        write_ack(out, PUBCOMP, packet_id);
        Ok(())
    }

    /// Whether all that was sent is here, and no more will be sent. A member of a group does not know.
    pub(crate) fn has_all(&self, flows: &[Arc<Flow>]) -> bool {
        let Has::All(sequences) = &self.has else { return true };
        self.sources
            .clone()
            .zip(sequences)
            .all(|(source, sequence)| is_whole(sequence, &flows[source as usize]))
    }

    /// Adds what should have come and did not.
    pub(crate) fn settle(&self, flows: &[Arc<Flow>], checks: &mut Checks) {
        let Has::All(sequences) = &self.has else { return };
        for (source, sequence) in self.sources.clone().zip(sequences) {
            count_lost(sequence, &flows[source as usize], checks);
        }
    }
}

/// As [`Subscriber::has_all`], of a group.
pub(crate) fn group_has_all(group: &Group, flows: &[Arc<Flow>]) -> bool {
    group.iter().zip(flows).all(|(sequence, flow)| is_whole(&sequence.lock(), flow))
}

/// As [`Subscriber::settle`], of a group.
pub(crate) fn settle_group(group: &Group, flows: &[Arc<Flow>], checks: &mut Checks) {
    for (sequence, flow) in group.iter().zip(flows) {
        count_lost(&sequence.lock(), flow, checks);
    }
}

fn is_whole(sequence: &Sequence, flow: &Flow) -> bool {
    flow.finished.load(Relaxed) && sequence.lost(flow.sent.load(Relaxed)) == 0
}

fn count_lost(sequence: &Sequence, flow: &Flow, checks: &mut Checks) {
    let sent = flow.sent.load(Relaxed);
    checks.expected += sent;
    checks.lost += sequence.lost(sent);
}

/// SUBACK for one filter: the broker grants what was asked for.
pub(crate) fn subscribed(piece: Piece<'_>, version: Version, asked: QoS) -> Result<(), Wrong> {
    let Packet::SubAck(suback) = decode(piece, version)? else { return Ok(()) };
    let reason = suback.reasons.first().copied().unwrap_or(ReasonCode::UnspecifiedError);
    if reason.is_error() {
        return Err(Wrong::Refused(Asked::Subscribe, reason));
    }
    let (granted, asked) = (reason as u8, asked as u8);
    if granted < asked { Err(Wrong::LessQos { granted, asked }) } else { Ok(()) }
}

/// Says in return what the QoS asks for.
pub(crate) fn acknowledge(publish: &Incoming<'_>, out: &mut Vec<u8>) {
    match publish.qos {
        0 => {}
        1 => write_ack(out, PUBACK, publish.packet_id),
        _ => write_ack(out, PUBREC, publish.packet_id),
    }
}

/// Packet types, as the first byte has them.
pub(crate) const PUBLISH: u8 = PacketType::Publish as u8;
pub(crate) const SUBACK: u8 = PacketType::SubAck as u8;

/// What matters of a PUBLISH.
pub(crate) struct Incoming<'a> {
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// 0 at QoS 0.
    pub(crate) packet_id: u16,
    pub(crate) payload: &'a [u8],
}

impl<'a> Incoming<'a> {
    pub(crate) fn read(piece: Piece<'a>, version: Version) -> Result<Self, Wrong> {
        Self::read_fields(piece, version).ok_or(Wrong::Unexpected("it is too short"))
    }

    fn read_fields(piece: Piece<'a>, version: Version) -> Option<Self> {
        let (topic_len, rest) = piece.body.split_first_chunk()?;
        let mut rest = rest.get(usize::from(u16::from_be_bytes(*topic_len))..)?;
        let qos = piece.first >> 1 & 3;
        let mut packet_id = 0;
        if qos > 0 {
            let (bytes, behind) = rest.split_first_chunk()?;
            (packet_id, rest) = (u16::from_be_bytes(*bytes), behind);
        }
        if version == Version::V5 {
            let (length, properties) = var_int(rest)?;
            rest = properties.get(length..)?;
        }
        Some(Self { qos, retain: piece.first & 1 == 1, packet_id, payload: rest })
    }
}

#[cfg(test)]
mod tests;
