//! How often a plugin may be asked.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// Calls in the running second, all hooks together.
pub(super) struct CallRate {
    most: NonZeroU32,
    began: Instant,
    /// The second in the upper half, its calls in the lower: one number, so that nobody waits for a lock.
    state: AtomicU64,
}

impl CallRate {
    pub(super) fn new(most: NonZeroU32) -> Self {
        Self { most, began: Instant::now(), state: AtomicU64::new(0) }
    }

    /// Whether one more call is allowed; then it counts.
    pub(super) fn admit(&self) -> bool {
        self.admit_in(self.began.elapsed().as_secs())
    }

    fn admit_in(&self, second: u64) -> bool {
        let counted = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
            let (of, calls) = (state >> 32, state & u64::from(u32::MAX));
            let calls = if of < second { 0 } else { calls };
            (calls < u64::from(self.most.get())).then(|| of.max(second) << 32 | (calls + 1))
        });
        counted.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_calls() {
        let rate = CallRate::new(NonZeroU32::new(2).unwrap());
        assert!(rate.admit_in(0) && rate.admit_in(0));
        assert!(!rate.admit_in(0));
        assert!(rate.admit_in(7));
        assert!(rate.admit_in(6), "a clock that is late counts for the running second");
        assert!(!rate.admit_in(7));
        assert!(rate.admit_in(8));
    }
}
