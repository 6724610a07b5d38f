//! What is counted while a load runs.

use crate::process::Cpu;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Of one thread's publishers and subscribers; added up at the end.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Over the whole run, for the checks.
    pub(crate) checks: Checks,
    /// While figures counted.
    pub(crate) sent: u64,
    /// While figures counted.
    pub(crate) received: u64,
    /// How long figures counted, in seconds.
    pub(crate) seconds: f64,
    /// From when a message was due until it was read, in nanoseconds.
    pub(crate) delivery: Spread,
    /// From when a message was due until PUBACK or PUBCOMP was read.
    pub(crate) acknowledgement: Spread,
    /// From when a message was due until it was written.
    pub(crate) sending: Spread,
    /// While figures counted.
    pub(crate) cpu: Cpu,
    /// Deliveries to each member of a shared group, whenever they came.
    pub(crate) members: Vec<u64>,
}

/// Whether everything came, once, in order.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Checks {
    /// Messages published.
    pub(crate) sent: u64,
    /// Messages that were due and that the broker did not take.
    pub(crate) unsent: u64,
    /// Messages above QoS 0 that were never acknowledged.
    pub(crate) unacknowledged: u64,
    /// Deliveries that should follow from them.
    pub(crate) expected: u64,
    /// Deliveries that came, repeats left out.
    pub(crate) received: u64,
    /// Deliveries that never came.
    pub(crate) lost: u64,
    /// Deliveries that came again.
    pub(crate) duplicates: u64,
    /// Deliveries that came behind a later message of the same publisher.
    pub(crate) out_of_order: u64,
    /// Packets that were not asked for, or are not as they should be.
    pub(crate) wrong: u64,
    /// Messages of others: another run, or not of this tool.
    pub(crate) foreign: u64,
}

impl Checks {
    pub(crate) fn add(&mut self, other: &Self) {
        let Self {
            sent,
            unsent,
            unacknowledged,
            expected,
            received,
            lost,
            duplicates,
            out_of_order,
            wrong,
            foreign,
        } = other;
        self.sent += sent;
        self.unsent += unsent;
        self.unacknowledged += unacknowledged;
        self.expected += expected;
        self.received += received;
        self.lost += lost;
        self.duplicates += duplicates;
        self.out_of_order += out_of_order;
        self.wrong += wrong;
        self.foreign += foreign;
    }
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            checks: Checks::default(),
            sent: 0,
            received: 0,
            seconds: 0.0,
            delivery: Spread::new(),
            acknowledgement: Spread::new(),
            sending: Spread::new(),
            cpu: Cpu::default(),
            members: Vec::new(),
        }
    }

    /// Of all threads.
    pub(crate) fn sum(tallies: &[Self]) -> Self {
        let mut all = Self::new();
        tallies.iter().for_each(|tally| all.add(tally));
        all
    }

    fn add(&mut self, other: &Self) {
        let Self { checks, sent, received, seconds, delivery, acknowledgement, sending, cpu, members } =
            other;
        self.checks.add(checks);
        self.sent += sent;
        self.received += received;
        self.seconds = self.seconds.max(*seconds);
        self.delivery.add(delivery);
        self.acknowledgement.add(acknowledgement);
        self.sending.add(sending);
        self.cpu.add(cpu);
        self.members.extend(members);
    }
}

/// How times are spread, to three digits, from a nanosecond to an hour.
#[derive(Clone, Debug)]
pub(crate) struct Spread(Option<Histogram<u64>>);

/// Nanoseconds.
const LONGEST: u64 = 3_600_000_000_000;

impl Spread {
    pub(crate) fn new() -> Self {
        // These bounds are allowed; None cannot be.
        Self(Histogram::new_with_bounds(1, LONGEST, 3).ok())
    }

    /// Of all threads.
    pub(crate) fn sum<'a>(spreads: impl Iterator<Item = &'a Self>) -> Self {
        let mut all = Self::new();
        spreads.for_each(|spread| all.add(spread));
        all
    }

    /// Nanoseconds.
    pub(crate) fn record(&mut self, took: u64) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(took.max(1));
        }
    }

    fn add(&mut self, other: &Self) {
        if let (Some(histogram), Some(other)) = (&mut self.0, &other.0) {
            // Both have the same bounds.
            let _ = histogram.add(other);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// Nanoseconds; `quantile` from 0 to 1.
    pub(crate) fn at(&self, quantile: f64) -> u64 {
        self.0.as_ref().map_or(0, |histogram| histogram.value_at_quantile(quantile))
    }

    /// Nanoseconds.
    pub(crate) fn least(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::min)
    }

    /// Nanoseconds.
    pub(crate) fn most(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::max)
    }

    /// Nanoseconds.
    pub(crate) fn mean(&self) -> f64 {
        self.0.as_ref().map_or(0.0, Histogram::mean)
    }
}
