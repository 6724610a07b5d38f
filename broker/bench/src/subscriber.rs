//! A client that subscribes: acknowledges what comes, and checks that it is what was sent.

use crate::{
    crew::{Piece, decode},
    failure::Asked,
    flow::Flow,
    order::{Arrival, Sequence},
    pace::Timeline,
    publisher::{PUBACK, PUBCOMP, PUBREC, read_ack, write_ack},
    stamp::Stamp,
    tally::Tally,
    wrong::Wrong,
};
use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tidegate_mqtt::{Packet, QoS, ReasonCode, Version};

pub(crate) struct Subscriber {
    /// What it subscribes to.
    pub(crate) filter: String,
    /// The publishers whose messages it gets, by their number.
    pub(crate) sources: Range<u32>,
    /// What it has of each.
    pub(crate) sequences: Vec<Sequence>,
}

/// What all subscribers of a thread need to know.
pub(crate) struct Context<'a> {
    pub(crate) run: u32,
    pub(crate) version: Version,
    /// Bytes of every payload.
    pub(crate) size: usize,
    pub(crate) timeline: Timeline,
    /// By number of the publisher.
    pub(crate) flows: &'a [Arc<Flow>],
}

impl Subscriber {
    pub(crate) fn new(filter: String, sources: Range<u32>) -> Self {
        let sequences = sources.clone().map(|_| Sequence::default()).collect();
        Self { filter, sources, sequences }
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
        let publish = Incoming::read(piece, context.version).ok_or(Wrong::Unexpected("it is too short"))?;
        match publish.qos {
            0 => {}
            1 => write_ack(out, PUBACK, publish.packet_id),
            _ => write_ack(out, PUBREC, publish.packet_id),
        }
        let stamp = Stamp::read(publish.payload).filter(|stamp| stamp.run == context.run);
        let Some(stamp) = stamp else {
            tally.checks.foreign += 1;
            return Ok(None);
        };
        let source = stamp.publisher.wrapping_sub(self.sources.start) as usize;
        let (Some(sequence), true) = (self.sequences.get_mut(source), publish.payload.len() == context.size)
        else {
            tally.checks.wrong += 1;
            return Ok(None);
        };
        let flow = &context.flows[stamp.publisher as usize];
        let arrival = sequence.take(stamp.sequence);
        if arrival == Arrival::Duplicate {
            tally.checks.duplicates += 1;
            return Ok(None);
        }
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
        Ok(flow.received(numbers).then_some(stamp.publisher))
    }

    /// PUBREL.
    pub(crate) fn release(piece: Piece<'_>, out: &mut Vec<u8>) -> Result<(), Wrong> {
        let (packet_id, _) = read_ack(piece.body).ok_or(Wrong::Unexpected("it is too short"))?;
        write_ack(out, PUBCOMP, packet_id);
        Ok(())
    }

    /// Whether all that was sent is here, and no more will be sent.
    pub(crate) fn has_all(&self, flows: &[Arc<Flow>]) -> bool {
        self.sources.clone().zip(&self.sequences).all(|(source, sequence)| {
            let flow = &flows[source as usize];
            flow.finished.load(Relaxed) && sequence.lost(flow.sent.load(Relaxed)) == 0
        })
    }

    /// Adds what should have come and did not.
    pub(crate) fn settle(&self, flows: &[Arc<Flow>], tally: &mut Tally) {
        for (source, sequence) in self.sources.clone().zip(&self.sequences) {
            let sent = flows[source as usize].sent.load(Relaxed);
            tally.checks.expected += sent;
            tally.checks.lost += sequence.lost(sent);
        }
    }
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

/// What matters of a PUBLISH.
struct Incoming<'a> {
    qos: u8,
    /// 0 at QoS 0.
    packet_id: u16,
    payload: &'a [u8],
}

impl<'a> Incoming<'a> {
    fn read(piece: Piece<'a>, version: Version) -> Option<Self> {
        let (topic_len, rest) = piece.body.split_first_chunk()?;
        let mut rest = rest.get(usize::from(u16::from_be_bytes(*topic_len))..)?;
        let qos = piece.first >> 1 & 3;
        let mut packet_id = 0;
        if qos > 0 {
            let (bytes, behind) = rest.split_first_chunk()?;
            (packet_id, rest) = (u16::from_be_bytes(*bytes), behind);
        }
        if version == Version::V5 {
            let mut length = 0;
            for shift in [0, 7, 14, 21] {
                let (byte, behind) = rest.split_first()?;
                rest = behind;
                length |= usize::from(byte & 0x7F) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            rest = rest.get(length..)?;
        }
        Some(Self { qos, packet_id, payload: rest })
    }
}
