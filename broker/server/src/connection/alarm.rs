//! When a connection looks at the time again.

use crate::clock;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use tidegate_mqtt::Timestamp;
use tokio::time::{Sleep, sleep_until};

/// Rings when it is time, or earlier. What it is set to moves with every packet that comes; the timer does not, so that nearly all of them cost
/// a comparison: whoever hears it looks at the time and sets it anew.
#[derive(Debug)]
pub(super) struct Alarm {
    /// In a box: a connection without any deadline needs none.
    timer: Option<Pin<Box<Sleep>>>,
    /// When it will ring.
    rings_at: Timestamp,
}

/// It is not set.
const NEVER: Timestamp = Timestamp(u64::MAX);

impl Default for Alarm {
    fn default() -> Self {
        Self { timer: None, rings_at: NEVER }
    }
}

impl Alarm {
    /// From now on it rings no later than then.
    pub(super) fn set(&mut self, at: Option<Timestamp>) {
        let Some(at) = at else { return };
        if self.rings_at <= at {
            return;
        }
        self.rings_at = at;
        let instant = clock::instant(at);
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(instant),
            None => self.timer = Some(Box::pin(sleep_until(instant))),
        }
    }

    /// Ready when it rings; never if it was not set since.
    pub(super) fn poll_ring(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.timer {
            Some(timer) if self.rings_at < NEVER => ready!(timer.as_mut().poll(context)),
            _ => return Poll::Pending,
        }
        self.rings_at = NEVER;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, time::Duration};
    use tokio::time::{Instant, timeout};

    async fn ring(alarm: &mut Alarm) {
        poll_fn(|context| alarm.poll_ring(context)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_by_then_at_the_latest_and_only_if_it_was_set() {
        let day = Duration::from_secs(86_400);
        let (mut alarm, began) = (Alarm::default(), Instant::now());
        assert!(timeout(day, ring(&mut alarm)).await.is_err(), "never set");
        let start = clock::now();
        for seconds in [10, 5, 20] {
            alarm.set(Some(start.after(Duration::from_secs(seconds))));
        }
        alarm.set(None);
        let set_at = Instant::now();
        ring(&mut alarm).await;
        assert!(set_at.elapsed() <= Duration::from_millis(5_001), "{:?}", set_at.elapsed());
        assert!(timeout(day, ring(&mut alarm)).await.is_err(), "not set since");
        alarm.set(Some(start));
        ring(&mut alarm).await;
        assert!(began.elapsed() >= 2 * day);
    }
}
