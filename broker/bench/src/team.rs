//! What all threads of a run share.

use crate::{
    alarm::Clock, failure::Failure, meeting::Meeting, pace::Timeline, process::Broker, target::Target,
};
use mio::Waker;
use parking_lot::Mutex;
use std::{
    panic,
    sync::{Arc, OnceLock},
    thread,
};

pub(crate) struct Team {
    pub(crate) target: Arc<Target>,
    pub(crate) clock: Clock,
    pub(crate) meeting: Meeting,
    /// Tells this run's messages from others.
    pub(crate) run: u32,
    /// What the broker's processes take, if it is known which they are.
    pub(crate) broker: Broker,
    /// Set before the load begins.
    pub(crate) timeline: Mutex<Timeline>,
    doors: Vec<Door>,
}

/// Where other threads leave word for one.
#[derive(Default)]
struct Door {
    bell: OnceLock<Waker>,
    /// Publishers that may go on, by their place on that thread.
    notes: Mutex<Vec<usize>>,
}

impl Team {
    pub(crate) fn new(target: Target, threads: usize, run: u32, broker: Broker) -> Arc<Self> {
        Arc::new(Self {
            target: Arc::new(target),
            clock: Clock::start(),
            meeting: Meeting::new(threads),
            run,
            broker,
            timeline: Mutex::default(),
            doors: (0..threads).map(|_| Door::default()).collect(),
        })
    }

    pub(crate) fn threads(&self) -> usize {
        self.doors.len()
    }

    pub(crate) fn client_id(&self, number: usize) -> String {
        format!("bench-{:08x}-{number}", self.run)
    }

    /// This thread wakes by `bell`.
    pub(crate) fn listen(&self, rank: usize, bell: Waker) {
        let _ = self.doors[rank].bell.set(bell);
    }

    /// Tells another thread which publishers may go on.
    pub(crate) fn tell(&self, rank: usize, places: impl Iterator<Item = usize>) {
        let door = &self.doors[rank];
        let mut notes = door.notes.lock();
        let was_empty = notes.is_empty();
        notes.extend(places);
        drop(notes);
        if was_empty && let Some(bell) = door.bell.get() {
            // A bell that does not ring is as good as one that is heard 100 ms later.
            let _ = bell.wake();
        }
    }

    /// What others have told this thread.
    pub(crate) fn told(&self, rank: usize, into: &mut Vec<usize>) {
        if self.threads() > 1 {
            into.append(&mut self.doors[rank].notes.lock());
        }
    }

    /// Runs `work` on every thread and returns what each has made, in order. The first failure ends them all.
    pub(crate) fn run<T: Send>(
        self: &Arc<Self>,
        work: impl Fn(usize) -> Result<T, Failure> + Sync,
    ) -> Result<Vec<T>, Failure> {
        let work = |rank| {
            let made = work(rank);
            if made.is_err() {
                self.meeting.fail();
            }
            made
        };
        let results: Vec<Result<T, Failure>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads()).map(|rank| scope.spawn(move || work(rank))).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|fault| panic::resume_unwind(fault))
            };
            threads.into_iter().map(join).collect()
        });
        let mut made = Vec::new();
        let mut failures = Vec::new();
        for result in results {
            match result {
                Ok(one) => made.push(one),
                Err(failure) => failures.push(failure),
            }
        }
        // Others stop because one has failed: that one is told.
        failures.sort_by_key(|failure| matches!(failure, Failure::Stopped));
        match failures.into_iter().next() {
            None => Ok(made),
            Some(failure) => Err(failure),
        }
    }
}
