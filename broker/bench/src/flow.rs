//! What of a publisher's messages is under way: sent, and not yet with everybody they are meant for.

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// Shared by a publisher and those who receive from it, on whichever thread.
pub(crate) struct Flow {
    /// The publisher's thread.
    pub(crate) home: usize,
    /// Its place there.
    pub(crate) place: usize,
    /// Messages sent so far. Only the publisher writes.
    pub(crate) sent: AtomicU64,
    /// No more will be sent.
    pub(crate) finished: AtomicBool,
    /// Who keeps count, in a closed loop.
    completion: Completion,
    /// How many messages everybody has.
    completed: AtomicU64,
    /// Below this number a message counts no more: it was given up.
    given_up: AtomicU64,
}

enum Completion {
    /// An open loop asks nobody.
    Open,
    /// Each message has one receiver.
    Single,
    /// Each message has so many; how many are left, by number.
    Many { receivers: u32, left: Box<[AtomicU32]> },
}

impl Flow {
    /// `receivers`: of each message. `window`: of a closed loop.
    pub(crate) fn new(home: usize, place: usize, receivers: u32, window: Option<u64>) -> Self {
        let completion = match (window, receivers) {
            (None, _) | (_, 0) => Completion::Open,
            (Some(_), 1) => Completion::Single,
            (Some(window), _) => {
                // Receivers count in order, so no more than a window is open at any time.
                let left = (0..window.next_power_of_two()).map(|_| AtomicU32::new(0)).collect();
                Completion::Many { receivers, left }
            }
        };
        Self {
            home,
            place,
            sent: AtomicU64::new(0),
            finished: AtomicBool::new(false),
            completion,
            completed: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
        }
    }

    /// The publisher is about to send this one.
    pub(crate) fn begin(&self, number: u64) {
        if let Completion::Many { receivers, left } = &self.completion {
            left[number as usize & (left.len() - 1)].store(*receivers, Relaxed);
        }
    }

    /// A receiver has these, or will never have them. True if the publisher may go on.
    pub(crate) fn received(&self, numbers: Range<u64>) -> bool {
        match &self.completion {
            Completion::Open => false,
            Completion::Single => {
                let from = numbers.start.max(self.given_up.load(Relaxed));
                let new = numbers.end.saturating_sub(from);
                self.completed.fetch_add(new, Relaxed);
                new > 0
            }
            Completion::Many { left, .. } => {
                let from = numbers.start.max(self.given_up.load(Relaxed));
                let last =
                    |number: &u64| left[*number as usize & (left.len() - 1)].fetch_sub(1, Relaxed) == 1;
                let new = (from..numbers.end).filter(last).count() as u64;
                if new > 0 {
                    self.completed.fetch_add(new, Relaxed);
                }
                new > 0
            }
        }
    }

    /// How many messages are with everybody; `sent` in an open loop.
    pub(crate) fn completed(&self, sent: u64) -> u64 {
        match self.completion {
            Completion::Open => sent,
            Completion::Single | Completion::Many { .. } => self.completed.load(Relaxed),
        }
    }

    /// Nobody waits for what was sent so far.
    pub(crate) fn give_up(&self, sent: u64) {
        self.given_up.store(sent, Relaxed);
        self.completed.store(sent, Relaxed);
    }
}

#[cfg(test)]
mod tests;
