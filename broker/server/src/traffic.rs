//! What passes, counted without cores meeting: each thread has counters of its own, and who wants to know adds them up.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
};

/// What one batch of work moved.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Moved {
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    /// Packets of any type.
    pub(crate) messages_received: u32,
    /// Packets of any type.
    pub(crate) messages_sent: u32,
    pub(crate) publishes_received: u32,
    pub(crate) publishes_sent: u32,
    /// Payloads only.
    pub(crate) publish_bytes_received: u64,
    /// Payloads only.
    pub(crate) publish_bytes_sent: u64,
}

/// How many numbers that are.
pub(crate) const KINDS: usize = 8;

impl Moved {
    pub(crate) fn to_array(self) -> [u64; KINDS] {
        [
            self.bytes_received,
            self.bytes_sent,
            self.messages_received.into(),
            self.messages_sent.into(),
            self.publishes_received.into(),
            self.publishes_sent.into(),
            self.publish_bytes_received,
            self.publish_bytes_sent,
        ]
    }
}

/// The fewest threads with counters of their own: if there are more cores, there are as many; more threads share them.
const FEWEST_SHARDS: usize = 16;

/// The sum of all that was moved.
#[derive(Debug)]
pub(crate) struct Traffic {
    shards: Box<[Shard]>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard([AtomicU64; KINDS]);

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
}

/// The number of this thread: they are counted as they come.
pub(crate) fn thread_number() -> usize {
    NUMBER.with(|number| *number)
}

impl Default for Traffic {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self { shards: (0..cores.max(FEWEST_SHARDS)).map(|_| Shard::default()).collect() }
    }
}

impl Traffic {
    /// Adds a batch.
    pub(crate) fn add(&self, moved: Moved) {
        let Shard(counters) = &self.shards[thread_number() % self.shards.len()];
        for (counter, more) in counters.iter().zip(moved.to_array()) {
            if more > 0 {
                counter.fetch_add(more, Ordering::Relaxed);
            }
        }
    }

    /// All so far, in the order of [`Moved::to_array`].
    pub(crate) fn sum(&self) -> [u64; KINDS] {
        let of = |kind: usize| self.shards.iter().map(|shard| shard.0[kind].load(Ordering::Relaxed)).sum();
        std::array::from_fn(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_moved_adds_up() {
        let traffic = Traffic::default();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    traffic.add(Moved { bytes_sent: 3, publishes_received: 1, ..Moved::default() })
                });
            }
        });
        let expected = Moved { bytes_sent: 60, publishes_received: 20, ..Moved::default() };
        assert_eq!(traffic.sum(), expected.to_array());
    }
}
