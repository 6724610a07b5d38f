//! Keeps callers away from a plugin that fails again and again: 5 faults in 10 s open it; after 1 s, doubling to 30 s, one canary
//! call goes through, and closes it if it succeeds.

use crate::report::BreakerState;
use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use tidegate_hooks::FaultKind;

const FAULTS: usize = 5;
const WINDOW: Duration = Duration::from_secs(10);
const BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// One per generation of a plugin.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// What callers read; the truth is in `state`.
    closed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Calls go through. The last faults, oldest first.
    Closed { faults: Vec<Instant> },
    /// Nobody goes through before `until`, and one caller after it.
    Open { until: Instant, backoff: Duration },
    /// The canary is on its way.
    Probing { backoff: Duration },
}

/// What a call's end did to the breaker; worth a line in the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    /// No more calls for that long.
    Opened(Duration),
    /// Calls go through again.
    Closed,
}

/// The right to make one call. Dropped without an outcome (a caller that went away), it lets another caller be the canary.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    breaker: &'a Breaker,
    canary: bool,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { closed: AtomicBool::new(true), state: Mutex::new(State::Closed { faults: Vec::new() }) }
    }
}

impl Breaker {
    /// Lets a call through, or not. `now` is asked for only if the breaker is not closed.
    ///
    /// # Errors
    /// [`FaultKind::BreakerOpen`]
    pub(crate) fn admit(&self, now: impl FnOnce() -> Instant) -> Result<Admission<'_>, FaultKind> {
        if self.closed.load(Ordering::Relaxed) {
            return Ok(Admission { breaker: self, canary: false });
        }
        let mut state = self.state.lock();
        match *state {
            State::Closed { .. } => Ok(Admission { breaker: self, canary: false }),
            State::Open { until, backoff } if now() >= until => {
                *state = State::Probing { backoff };
                Ok(Admission { breaker: self, canary: true })
            }
            State::Open { .. } | State::Probing { .. } => Err(FaultKind::BreakerOpen),
        }
    }

    /// For reports.
    pub(crate) fn state(&self) -> BreakerState {
        match *self.state.lock() {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::Probing { .. } => BreakerState::Probing,
        }
    }

    fn open(&self, state: &mut State, now: Instant, backoff: Duration) -> Change {
        self.closed.store(false, Ordering::Relaxed);
        *state = State::Open { until: now + backoff, backoff };
        Change::Opened(backoff)
    }
}

impl Admission<'_> {
    /// The call succeeded.
    pub(crate) fn succeeded(mut self) -> Option<Change> {
        if !self.canary {
            return None;
        }
        self.canary = false;
        *self.breaker.state.lock() = State::Closed { faults: Vec::new() };
        self.breaker.closed.store(true, Ordering::Relaxed);
        Some(Change::Closed)
    }

    /// The call failed, through the plugin's own doing.
    pub(crate) fn failed(mut self, now: Instant) -> Option<Change> {
        let canary = std::mem::take(&mut self.canary);
        let mut state = self.breaker.state.lock();
        match &mut *state {
            State::Closed { faults } => {
                faults.retain(|fault| now.saturating_duration_since(*fault) < WINDOW);
                faults.push(now);
                (faults.len() >= FAULTS).then(|| self.breaker.open(&mut state, now, BACKOFF))
            }
            State::Probing { backoff } if canary => {
                let backoff = (*backoff * 2).min(LONGEST_BACKOFF);
                Some(self.breaker.open(&mut state, now, backoff))
            }
            // A call that began before the breaker opened says nothing new.
            State::Open { .. } | State::Probing { .. } => None,
        }
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if !self.canary {
            return;
        }
        let mut state = self.breaker.state.lock();
        if let State::Probing { backoff } = *state {
            *state = State::Open { until: Instant::now(), backoff };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &Breaker, at: Instant) -> Option<Change> {
        breaker.admit(|| at).unwrap().failed(at)
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn opened() -> (Breaker, Instant) {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..4 {
            assert_eq!(fail(&breaker, start), None);
        }
        assert_eq!(fail(&breaker, start), Some(Change::Opened(seconds(1))));
        (breaker, start)
    }

    #[test]
    fn five_faults_in_ten_seconds_open_it() {
        let (breaker, start) = opened();
        assert_eq!(breaker.admit(|| start).unwrap_err(), FaultKind::BreakerOpen);
    }

    #[test]
    fn faults_further_apart_do_not() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for n in 0..20 {
            assert_eq!(fail(&breaker, start + seconds(3 * n)), None);
        }
    }

    #[test]
    fn one_canary_goes_through_after_the_backoff_and_closes_it() {
        let (breaker, start) = opened();
        assert!(breaker.admit(|| start + Duration::from_millis(999)).is_err());
        let canary = breaker.admit(|| start + seconds(1)).unwrap();
        assert!(breaker.admit(|| start + seconds(1)).is_err(), "only one at a time");
        assert_eq!(canary.succeeded(), Some(Change::Closed));
        assert_eq!(breaker.admit(|| start + seconds(1)).unwrap().succeeded(), None);
        assert_eq!(fail(&breaker, start + seconds(1)), None, "old faults are forgotten");
    }

    #[test]
    fn the_backoff_doubles_to_thirty_seconds() {
        let (breaker, start) = opened();
        let mut at = start + seconds(1);
        for expected in [2, 4, 8, 16, 30, 30] {
            assert_eq!(fail(&breaker, at), Some(Change::Opened(seconds(expected))));
            assert!(breaker.admit(|| at).is_err());
            at += seconds(expected);
        }
    }

    #[test]
    fn a_canary_that_vanishes_makes_room_for_another() {
        let (breaker, start) = opened();
        drop(breaker.admit(|| start + seconds(1)).unwrap());
        assert!(breaker.admit(|| start + seconds(60)).is_ok());
    }

    #[test]
    fn a_call_that_began_before_the_opening_changes_nothing() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        let early = breaker.admit(|| start).unwrap();
        for _ in 0..5 {
            fail(&breaker, start);
        }
        assert_eq!(early.failed(start), None);
    }
}
