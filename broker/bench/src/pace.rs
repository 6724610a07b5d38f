//! When messages are due.

use std::time::Duration;

/// How a publisher decides to send.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// So many messages under way at most.
    Window(u64),
    /// By the clock, whatever becomes of the messages.
    Rate(Rate),
}

/// The schedule of one of several publishers that take turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Messages a second, of all publishers together. Above 0.
    pub(crate) total: u64,
    /// How many publishers take turns.
    pub(crate) publishers: u64,
    /// Whose turn it is, from 0.
    pub(crate) turn: u64,
}

impl Rate {
    /// Nanoseconds from the start until message `number`, counted from 0, is due.
    pub(crate) fn due(&self, number: u64) -> u64 {
        let before = u128::from(number) * u128::from(self.publishers) + u128::from(self.turn);
        (before * 1_000_000_000 / u128::from(self.total)) as u64
    }

    /// How many messages are due before `length` has gone by.
    pub(crate) fn within(&self, length: Duration) -> u64 {
        // The first number whose time is not before the end.
        let slots = (length.as_nanos() * u128::from(self.total)).div_ceil(1_000_000_000);
        slots.saturating_sub(u128::from(self.turn)).div_ceil(u128::from(self.publishers)) as u64
    }
}

/// When a run begins, when its figures begin to count, and when it ends: nanoseconds of its clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) start: u64,
    pub(crate) measured: u64,
    pub(crate) end: u64,
}

impl Timeline {
    pub(crate) fn new(start: u64, warmup: Duration, duration: Duration) -> Self {
        let measured = start + warmup.as_nanos() as u64;
        Self { start, measured, end: measured + duration.as_nanos() as u64 }
    }

    /// Everything counts.
    pub(crate) fn always() -> Self {
        Self { start: 0, measured: 0, end: u64::MAX }
    }

    /// Whether what happens now belongs to the figures.
    pub(crate) fn counts(&self, now: u64) -> bool {
        (self.measured..self.end).contains(&now)
    }

    /// Of what counts.
    pub(crate) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.end.saturating_sub(self.measured)).as_secs_f64()
    }

    pub(crate) fn length(&self) -> Duration {
        Duration::from_nanos(self.end - self.start)
    }
}

#[cfg(test)]
mod tests;
