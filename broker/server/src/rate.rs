//! How fast a client may send: who is faster is read more slowly. Nothing is lost, and nothing is answered that is not so.

use std::time::Duration;
use tidegate_hooks::Quotas;
use tidegate_mqtt::Timestamp;

/// What a client may send a second.
#[derive(Debug)]
pub(crate) struct Rate {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    /// The client sent more: nothing is read before.
    pub(crate) paused_until: Option<Timestamp>,
}

impl Rate {
    /// None if nothing is said about it.
    pub(crate) fn new(quotas: &Quotas, now: Timestamp) -> Option<Box<Self>> {
        let bucket = |per_second: Option<u32>| per_second.map(|per_second| Bucket::new(per_second, now));
        let (messages, bytes) = (bucket(quotas.messages_per_second), bucket(quotas.bytes_per_second));
        (messages.is_some() || bytes.is_some())
            .then(|| Box::new(Self { messages, bytes, paused_until: None }))
    }

    /// A packet came.
    pub(crate) fn spend(&mut self, publishes: u32, bytes: usize, now: Timestamp) {
        if let Some(bucket) = &mut self.messages {
            bucket.spend(publishes.into(), now);
        }
        if let Some(bucket) = &mut self.bytes {
            bucket.spend(bytes as u64, now);
        }
    }

    /// When the next packet may be read; None: now.
    pub(crate) fn wait_until(&mut self, now: Timestamp) -> Option<Timestamp> {
        let buckets = self.messages.iter_mut().chain(&mut self.bytes);
        buckets.filter_map(|bucket| bucket.wait_until(now)).max()
    }
}

/// Holds what may be spent: at most a second's worth. What was spent beyond it has to be waited for.
#[derive(Debug)]
struct Bucket {
    per_second: i64,
    /// In thousandths, since time is in thousandths of a second.
    level: i64,
    at: Timestamp,
}

impl Bucket {
    fn new(per_second: u32, now: Timestamp) -> Self {
        // Nothing at all would be for ever.
        let per_second = i64::from(per_second.max(1));
        Self { per_second, level: per_second * 1000, at: now }
    }

    fn fill(&mut self, now: Timestamp) {
        let passed = i64::try_from(now.since(self.at).as_millis()).unwrap_or(i64::MAX);
        self.level =
            self.level.saturating_add(passed.saturating_mul(self.per_second)).min(self.per_second * 1000);
        self.at = now;
    }

    fn spend(&mut self, amount: u64, now: Timestamp) {
        self.fill(now);
        let amount = i64::try_from(amount).unwrap_or(i64::MAX);
        self.level = self.level.saturating_sub(amount.saturating_mul(1000));
    }

    fn wait_until(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.fill(now);
        if self.level >= 0 {
            return None;
        }
        let milliseconds = self.level.unsigned_abs().div_ceil(self.per_second.unsigned_abs());
        Some(now.after(Duration::from_millis(milliseconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_at_once_and_then_as_time_goes() {
        let quotas = Quotas { messages_per_second: Some(10), ..Quotas::default() };
        let mut now = Timestamp(1_000);
        let mut rate = Rate::new(&quotas, now).unwrap();
        for _ in 0..10 {
            assert_eq!(rate.wait_until(now), None);
            rate.spend(1, 1_000_000, now);
        }
        rate.spend(1, 0, now);
        assert_eq!(rate.wait_until(now), Some(Timestamp(1_100)));
        now = Timestamp(1_100);
        assert_eq!(rate.wait_until(now), None);
        rate.spend(1, 0, now);
        assert_eq!(rate.wait_until(now), Some(Timestamp(1_200)));
    }

    #[test]
    fn the_slower_of_both_counts_and_nothing_said_is_no_rate() {
        let quotas =
            Quotas { messages_per_second: Some(1000), bytes_per_second: Some(100), ..Quotas::default() };
        let mut rate = Rate::new(&quotas, Timestamp(0)).unwrap();
        rate.spend(1, 300, Timestamp(0));
        assert_eq!(rate.wait_until(Timestamp(0)), Some(Timestamp(2_000)));
        assert!(Rate::new(&Quotas::default(), Timestamp(0)).is_none());
    }
}
