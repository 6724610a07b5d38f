//! Where threads wait for each other, and hear that all is over.

use crate::failure::Failure;
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

const GO_ON: u8 = 0;
const ENOUGH: u8 = 1;
const FAILED: u8 = 2;

/// Of a fixed number of threads.
pub(crate) struct Meeting {
    threads: usize,
    /// Who waits, and how many meetings there were.
    waiting: Mutex<(usize, u64)>,
    all_there: Condvar,
    state: AtomicU8,
}

impl Meeting {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads, waiting: Mutex::new((0, 0)), all_there: Condvar::new(), state: AtomicU8::new(GO_ON) }
    }

    /// Waits until all are here.
    pub(crate) fn wait(&self) -> Result<(), Failure> {
        let mut waiting = self.waiting.lock();
        let round = waiting.1;
        waiting.0 += 1;
        if waiting.0 == self.threads {
            *waiting = (0, round + 1);
            self.all_there.notify_all();
        }
        while waiting.1 == round && !self.has_failed() {
            self.all_there.wait(&mut waiting);
        }
        if self.has_failed() { Err(Failure::Stopped) } else { Ok(()) }
    }

    /// Nobody shall wait any more: this thread has failed.
    pub(crate) fn fail(&self) {
        let _waiting = self.waiting.lock();
        self.state.store(FAILED, Relaxed);
        self.all_there.notify_all();
    }

    /// The user has had enough: what was measured so far is told. The second time, nothing is.
    pub(crate) fn interrupt(&self) {
        if self.state.compare_exchange(GO_ON, ENOUGH, Relaxed, Relaxed).is_err() {
            self.fail();
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.state.load(Relaxed) == FAILED
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.state.load(Relaxed) == ENOUGH
    }
}

#[cfg(test)]
mod tests;
