//! What passes, counted without cores meeting: each thread has counters of its own, and who wants to know adds them up.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
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

/// Threads with counters of their own; more share them.
const SHARDS: usize = 16;

/// The sum of all that was moved.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    shards: [Shard; SHARDS],
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard([AtomicU64; KINDS]);

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
}

/// The number of this thread's shard.
pub(crate) fn shard() -> usize {
    SHARD.get()
}

impl Traffic {
    /// Adds a batch.
    pub(crate) fn add(&self, moved: Moved) {
        let Shard(counters) = &self.shards[shard()];
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
