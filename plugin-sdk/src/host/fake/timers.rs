//! Timers that come due when the test moves the clock.

use super::with;
use std::time::Duration;

pub(crate) struct Timer {
    due: Duration,
    period: Option<Duration>,
}

/// Timers come no sooner and no more often.
const SHORTEST: Duration = Duration::from_millis(10);

pub(crate) fn timers_set(delay: Duration, period: Option<Duration>, token: u64) -> bool {
    with(|fake| {
        let due = fake.now.saturating_add(delay.max(SHORTEST));
        let period = period.map(|period| period.max(SHORTEST));
        let goes_on = |timer: &Timer| period.is_some() && timer.period == period;
        if !fake.timers.get(&token).is_some_and(goes_on) {
            fake.timers.insert(token, Timer { due, period });
        }
    });
    true
}

pub(crate) fn timers_cancel(token: u64) {
    with(|fake| fake.timers.remove(&token));
}

/// Moves the clock to the next timer that comes due until `end`, and gives its token.
pub(crate) fn next_due(end: Duration) -> Option<u64> {
    with(|fake| {
        let (token, timer) = fake.timers.iter_mut().min_by_key(|(token, timer)| (timer.due, **token))?;
        let (token, due) = (*token, timer.due);
        if due > end {
            return None;
        }
        match timer.period {
            Some(period) => timer.due = due.saturating_add(period),
            None => drop(fake.timers.remove(&token)),
        }
        fake.now = fake.now.max(due);
        Some(token)
    })
}

#[cfg(test)]
mod tests {
    use crate::{NoConfig, OnTimer, Plugin, Start, testing::Host, timers};
    use std::time::Duration;

    #[derive(Default)]
    struct Tokens(Vec<u64>);

    impl Plugin for Tokens {
        type Config = NoConfig;
        fn new(_: Start, _: NoConfig) -> Result<Self, String> {
            Ok(Self::default())
        }
    }

    impl OnTimer for Tokens {
        fn on_timer(&mut self, token: u64) {
            self.0.push(token);
            if token == 3 {
                timers::cancel(2);
                timers::after(4, Duration::ZERO).unwrap();
            }
        }
    }

    #[test]
    fn timers_fire_in_their_order_and_may_set_others() {
        let host = Host::new();
        let mut plugin: Tokens = host.start().unwrap();
        timers::after(1, Duration::from_secs(5)).unwrap();
        timers::every(2, Duration::from_secs(2)).unwrap();
        timers::after(3, Duration::from_secs(7)).unwrap();
        timers::after(5, Duration::from_secs(1)).unwrap();
        timers::after(5, Duration::from_secs(60)).unwrap();
        host.run_timers(&mut plugin, Duration::from_secs(1));
        timers::every(2, Duration::from_secs(2)).unwrap();
        assert!(plugin.0.is_empty());
        host.run_timers(&mut plugin, Duration::from_secs(19));
        assert_eq!(
            plugin.0,
            [2, 2, 1, 2, 3, 4],
            "one that is set again is replaced, unless its period is the same"
        );
    }
}
