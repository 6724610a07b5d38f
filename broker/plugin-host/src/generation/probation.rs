//! A new generation is looked at for a while: if too many of its calls fail, the one before is better.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// So long after a swap a generation that does badly gives way to the one before.
pub(crate) const PROBATION: Duration = Duration::from_secs(60);

/// Nothing is said about fewer calls.
const CALLS: u64 = 20;

/// See the module.
#[derive(Default)]
pub(super) struct Probation(Mutex<Option<Start>>);

/// What was before the swap does not count: a candidate may have been tried out.
struct Start {
    at: Instant,
    calls: u64,
    faults: u64,
}

impl Probation {
    /// From now on; so much was counted before.
    pub(super) fn begin(&self, at: Instant, (calls, faults): (u64, u64)) {
        *self.0.lock() = Some(Start { at, calls, faults });
    }

    /// Asked at every fault, with all that was counted so far. What is wrong, if more than a fifth of the calls failed; said once.
    pub(super) fn failed(&self, now: Instant, counted: impl FnOnce() -> (u64, u64)) -> Option<String> {
        let mut start = self.0.lock();
        let Start { at, calls, faults } = start.as_ref()?;
        if now.saturating_duration_since(*at) >= PROBATION {
            *start = None;
            return None;
        }
        let (all_calls, all_faults) = counted();
        let (calls, faults) = (all_calls.saturating_sub(*calls), all_faults.saturating_sub(*faults));
        if calls < CALLS || faults * 5 <= calls {
            return None;
        }
        *start = None;
        Some(format!("{faults} of its first {calls} calls failed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_fifth_of_twenty_calls_is_too_much() {
        let (probation, start) = (Probation::default(), Instant::now());
        assert_eq!(probation.failed(start, || (100, 100)), None, "not begun");
        probation.begin(start, (10, 10));
        assert_eq!(probation.failed(start, || (29, 29)), None, "too few");
        assert_eq!(probation.failed(start, || (30, 14)), None, "a fifth");
        let said = probation.failed(start, || (30, 15));
        assert_eq!(said.unwrap(), "5 of its first 20 calls failed");
        assert_eq!(probation.failed(start, || (31, 16)), None, "once");
    }

    #[test]
    fn after_a_minute_it_is_over() {
        let (probation, start) = (Probation::default(), Instant::now());
        probation.begin(start, (0, 0));
        assert_eq!(probation.failed(start + PROBATION, || (100, 100)), None);
        assert_eq!(probation.failed(start, || (100, 100)), None);
    }
}
