//! The second half of a hot call's time counts only while its thread runs: on a machine with more work than cores, a call that was
//! put aside by the system is not taken for one that loops. Costs nothing before the first half is over.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// However little the thread runs, a call ends after so many times its second half by the clock on the wall.
const LONGEST: u64 = 20;

/// From the moment half of the time is over.
pub(super) struct Overtime {
    /// Of the thread's own time.
    half: Duration,
    /// Ticks so far.
    ticks: u64,
    began: Option<Duration>,
}

impl Overtime {
    pub(super) fn new(half: Duration) -> Self {
        Self { half, ticks: 0, began: None }
    }

    /// Asked at every tick; `now` is the time the thread has run.
    pub(super) fn goes_on(&mut self, now: Duration) -> bool {
        let began = *self.began.get_or_insert(now);
        self.ticks += 1;
        let longest =
            u64::try_from(self.half.as_millis()).unwrap_or(u64::MAX).saturating_mul(LONGEST).max(LONGEST);
        now.saturating_sub(began) < self.half && self.ticks < longest
    }
}

/// How long this thread has run.
pub(super) fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Duration = Duration::from_millis(5);

    #[test]
    fn a_thread_that_runs_has_the_other_half() {
        let mut overtime = Overtime::new(HALF);
        let start = Duration::from_secs(7);
        assert!((0..5).all(|ms| overtime.goes_on(start + Duration::from_millis(ms))));
        assert!(!overtime.goes_on(start + HALF));
    }

    #[test]
    fn a_thread_that_is_put_aside_has_longer_but_not_for_ever() {
        let mut overtime = Overtime::new(HALF);
        assert!((1..100).all(|_| overtime.goes_on(Duration::ZERO)));
        assert!(!overtime.goes_on(Duration::ZERO));
    }

    #[test]
    fn the_time_of_a_thread_goes_on_only_while_it_runs() {
        let before = thread_time();
        std::thread::sleep(Duration::from_millis(20));
        assert!(thread_time() - before < Duration::from_millis(15));
    }
}
