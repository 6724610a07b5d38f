//! A client that publishes: what it may send now, and what of it is acknowledged.

use crate::{
    crew::Piece,
    failure::Asked,
    flow::Flow,
    pace::{Pace, Timeline},
    tally::{Checks, Tally},
    template::Template,
    wrong::Wrong,
};
use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tidegate_mqtt::{ConnAck, PacketType, QoS, ReasonCode};

pub(crate) struct Publisher {
    pub(crate) flow: Arc<Flow>,
    pub(crate) template: Template,
    pub(crate) pace: Pace,
    pub(crate) qos: QoS,
    /// If its topics are numbered.
    pub(crate) topics: Option<Topics>,
    /// Messages sent so far, and of them acknowledged.
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    /// Messages that the clock has called for, in an open loop.
    pub(crate) due: u64,
    /// How many will be sent, if that is known.
    pub(crate) last: Option<u64>,
    /// Packet identifiers; none at QoS 0.
    slots: Slots,
    /// How many messages were with everybody when it was last looked, and since when.
    progress: (u64, u64),
}

/// Numbered topics that a publisher goes through in turns: the first, how far apart they are, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topics {
    pub(crate) first: u32,
    pub(crate) step: u32,
    pub(crate) count: u64,
}

/// Packet identifiers from 1 up: when the message of each was due, and whether PUBREC has come.
#[derive(Default)]
struct Slots {
    due: Vec<Option<(u64, Step)>>,
    free: VecDeque<u16>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Published,
    Released,
}

/// Bytes put together before they are written.
const BATCH: usize = 64 << 10;
/// Of messages under way, where nothing else bounds them.
const MOST_UNDER_WAY: usize = 8192;
/// Nanoseconds without progress after which what is under way is given up.
const STALLED: u64 = 5_000_000_000;

impl Publisher {
    pub(crate) fn new(flow: Arc<Flow>, template: Template, pace: Pace, qos: QoS) -> Self {
        Self {
            flow,
            template,
            pace,
            qos,
            topics: None,
            sent: 0,
            acknowledged: 0,
            due: 0,
            last: None,
            slots: Slots::default(),
            progress: (u64::MAX, 0),
        }
    }

    /// What the broker says that it takes.
    pub(crate) fn meets(&mut self, connack: &ConnAck) -> Result<(), Wrong> {
        let limits = &connack.properties;
        let asked = self.qos as u8;
        if let Some(granted) = limits.maximum_qos.map(|qos| qos as u8).filter(|qos| *qos < asked) {
            return Err(Wrong::LessQos { granted, asked });
        }
        let limit = limits.maximum_packet_size.map_or(u32::MAX, Into::into);
        if self.template.len() > limit as usize {
            let (size, limit) = (self.template.len(), limit as usize);
            return Err(Wrong::TooLarge { size, limit });
        }
        self.may_have(limits.receive_maximum.map_or(u16::MAX, Into::into));
        Ok(())
    }

    /// The broker takes so many messages above QoS 0 at once.
    pub(crate) fn may_have(&mut self, receive_maximum: u16) {
        if self.qos > QoS::AtMostOnce {
            let window = match self.pace {
                Pace::Window(window) => window as usize,
                Pace::Rate(_) => MOST_UNDER_WAY,
            };
            let count = window.min(receive_maximum.into());
            self.slots = Slots { due: vec![None; count], free: (1..=count as u16).collect() };
        }
    }

    /// Packet identifiers that it uses.
    pub(crate) fn most_under_way(&self) -> u16 {
        self.slots.due.len() as u16
    }

    /// How many messages may go now.
    pub(crate) fn allowance(&self) -> u64 {
        let allowed = match self.pace {
            Pace::Window(window) => {
                let mut done = self.flow.completed(self.sent);
                if self.qos > QoS::AtMostOnce {
                    done = done.min(self.acknowledged);
                }
                window.saturating_sub(self.sent - done)
            }
            Pace::Rate(_) => self.due - self.sent,
        };
        let allowed = self.last.map_or(allowed, |last| allowed.min(last - self.sent));
        if self.qos > QoS::AtMostOnce { allowed.min(self.slots.free.len() as u64) } else { allowed }
    }

    /// Puts together what may go, a batch at most.
    pub(crate) fn compose(&mut self, now: u64, timeline: &Timeline, tally: &mut Tally, out: &mut Vec<u8>) {
        let fitting = (BATCH / self.template.len()).max(1) as u64;
        let count = self.allowance().min(fitting);
        for _ in 0..count {
            let number = self.sent;
            let due = match self.pace {
                Pace::Window(_) => now,
                Pace::Rate(rate) => timeline.start + rate.due(number),
            };
            let packet_id = self.slots.take(due);
            self.flow.begin(number);
            let (topic, sequence) = match self.topics {
                None => (0, number),
                Some(Topics { first, step, count }) => {
                    (first + step * (number % count) as u32, number / count)
                }
            };
            self.template.append(out, packet_id, topic, sequence, due);
            self.sent += 1;
            tally.sent += u64::from(timeline.counts(now));
            if let (Pace::Rate(_), true) = (self.pace, timeline.counts(due)) {
                tally.sending.record(now.saturating_sub(due));
            }
        }
        self.flow.sent.store(self.sent, Relaxed);
    }

    /// No more will be sent, beyond what is due.
    pub(crate) fn stop(&mut self) {
        self.last = Some(match self.pace {
            Pace::Window(_) => self.sent,
            Pace::Rate(_) => self.due,
        });
    }

    /// What is due and could not be sent will not be.
    pub(crate) fn forget_unsent(&mut self) {
        self.last = Some(self.sent);
    }

    /// Adds what it has sent, and what became of it here.
    pub(crate) fn settle(&self, checks: &mut Checks) {
        checks.sent += self.sent;
        checks.unsent += self.due.saturating_sub(self.sent);
        if self.qos > QoS::AtMostOnce {
            checks.unacknowledged += self.sent - self.acknowledged;
        }
    }

    /// Whether all is sent and acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.last == Some(self.sent) && (self.qos == QoS::AtMostOnce || self.acknowledged == self.sent)
    }

    /// In a closed loop: gives up what is under way if it has not moved for long, so that a lost message does not hold up the
    /// rest. True if there is more to send now.
    pub(crate) fn look(&mut self, now: u64) -> bool {
        let completed = self.flow.completed(self.sent);
        if self.progress.0 != completed || completed == self.sent {
            self.progress = (completed, now);
        } else if now - self.progress.1 > STALLED {
            self.flow.give_up(self.sent);
            self.progress = (self.sent, now);
        }
        self.allowance() > 0
    }

    /// PUBACK, PUBREC or PUBCOMP.
    pub(crate) fn acknowledge(
        &mut self,
        piece: Piece<'_>,
        now: u64,
        timeline: &Timeline,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Result<(), Wrong> {
        let (packet_id, reason) = read_ack(piece.body).ok_or(Wrong::Unexpected("it is too short"))?;
        if reason >= 0x80 {
            let reason = ReasonCode::try_from(reason).unwrap_or(ReasonCode::UnspecifiedError);
            return Err(Wrong::Refused(Asked::Publish, reason));
        }
        let slot = self.slots.due.get_mut(usize::from(packet_id).wrapping_sub(1));
        let Some(slot) = slot else { return Err(Wrong::Unexpected(NOT_UNDER_WAY)) };
        match (piece.first >> 4, self.qos, *slot) {
            (PUBACK, QoS::AtLeastOnce, Some((due, _)))
            | (PUBCOMP, QoS::ExactlyOnce, Some((due, Step::Released))) => {
                *slot = None;
                self.slots.free.push_back(packet_id);
                self.acknowledged += 1;
                if timeline.counts(due) {
                    tally.acknowledgement.record(now.saturating_sub(due));
                }
            }
            (PUBREC, QoS::ExactlyOnce, Some((due, Step::Published))) => {
                *slot = Some((due, Step::Released));
                write_ack(out, PUBREL, packet_id);
            }
            _ => return Err(Wrong::Unexpected(NOT_UNDER_WAY)),
        }
        Ok(())
    }
}

const NOT_UNDER_WAY: &str = "no message with its packet identifier waits for it";

/// Packet types, as the first byte has them.
pub(crate) const PUBACK: u8 = PacketType::PubAck as u8;
pub(crate) const PUBREC: u8 = PacketType::PubRec as u8;
pub(crate) const PUBREL: u8 = PacketType::PubRel as u8;
pub(crate) const PUBCOMP: u8 = PacketType::PubComp as u8;

/// Packet identifier and reason code of PUBACK and its like.
pub(crate) fn read_ack(body: &[u8]) -> Option<(u16, u8)> {
    let (packet_id, rest) = body.split_first_chunk()?;
    Some((u16::from_be_bytes(*packet_id), rest.first().copied().unwrap_or(0)))
}

/// PUBACK and its like, for success.
pub(crate) fn write_ack(out: &mut Vec<u8>, packet_type: u8, packet_id: u16) {
    let flags = if packet_type == PUBREL { 0b0010 } else { 0 };
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[packet_type << 4 | flags, 2, high, low]);
}

impl Slots {
    /// 0 at QoS 0.
    fn take(&mut self, due: u64) -> u16 {
        let Some(packet_id) = self.free.pop_front() else { return 0 };
        self.due[usize::from(packet_id) - 1] = Some((due, Step::Published));
        packet_id
    }
}

#[cfg(test)]
mod tests;
