//! Counts what hooks are asked, what they answer and how long they take, at a cost that callers do not feel.

use crate::{
    report::{Histogram, HookReport},
    wire,
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};
use tidegate_hooks::{
    AclVerdict, AuthVerdict, Choice, DeliverVerdict, FaultKind, PublishVerdict, Selection, SubscribeVerdict,
};

/// A hook, by the interface that guests export.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub(crate) enum Hook {
    Auth,
    EnhancedAuth,
    Acl,
    Publish,
    PublishBatch,
    Subscribe,
    Subscribers,
    Deliver,
    Events,
    TimerHandler,
    Storage,
}

impl Hook {
    pub(crate) const ALL: [Self; 11] = [
        Self::Auth,
        Self::EnhancedAuth,
        Self::Acl,
        Self::Publish,
        Self::PublishBatch,
        Self::Subscribe,
        Self::Subscribers,
        Self::Deliver,
        Self::Events,
        Self::TimerHandler,
        Self::Storage,
    ];

    /// As in `wit/plugin.wit`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::EnhancedAuth => "enhanced-auth",
            Self::Acl => "acl",
            Self::Publish => "publish",
            Self::PublishBatch => "publish-batch",
            Self::Subscribe => "subscribe",
            Self::Subscribers => "subscribers",
            Self::Deliver => "deliver",
            Self::Events => "events",
            Self::TimerHandler => "timer-handler",
            Self::Storage => "storage",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.name() == name)
    }

    /// Whether messages and subscriptions stand still until it answers.
    pub(crate) fn is_hot(self) -> bool {
        match self {
            Self::Acl
            | Self::Publish
            | Self::PublishBatch
            | Self::Subscribe
            | Self::Subscribers
            | Self::Deliver => true,
            Self::Auth | Self::EnhancedAuth | Self::Events | Self::TimerHandler | Self::Storage => false,
        }
    }
}

macro_rules! verdicts {
    ($($verdict:ident = $name:literal,)*) => {
        /// What a hook can answer.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[repr(u8)]
        pub(crate) enum Verdict { $($verdict,)* }

        const VERDICTS: &[&str] = &[$($name),*];
    };
}

verdicts! {
    Next = "next",
    Accept = "accept",
    Edit = "edit",
    Refuse = "refuse",
    Swallow = "swallow",
    Allow = "allow",
    Deny = "deny",
    Grant = "grant",
    Challenge = "challenge",
    All = "all",
    Only = "only",
    Except = "except",
    Chosen = "chosen",
    Drop = "drop",
    Done = "done",
    Retry = "retry",
    Fatal = "fatal",
    Unknown = "unknown",
}

/// An answer that is counted by name; a batch by each of its verdicts.
pub(crate) trait Answer {
    fn count(&self, count: &mut impl FnMut(Verdict));
}

impl Answer for AuthVerdict {
    fn count(&self, count: &mut impl FnMut(Verdict)) {
        count(match self {
            Self::Next => Verdict::Next,
            Self::Grant(_) => Verdict::Grant,
            Self::Challenge(_) => Verdict::Challenge,
            Self::Refuse(_) => Verdict::Refuse,
        });
    }
}

impl Answer for AclVerdict {
    fn count(&self, count: &mut impl FnMut(Verdict)) {
        count(match self {
            Self::Next => Verdict::Next,
            Self::Allow(_) => Verdict::Allow,
            Self::Deny(_) => Verdict::Deny,
        });
    }
}

impl Answer for PublishVerdict {
    fn count(&self, count: &mut impl FnMut(Verdict)) {
        count(match self {
            Self::Next => Verdict::Next,
            Self::Accept => Verdict::Accept,
            Self::Edit(_) => Verdict::Edit,
            Self::Refuse(_) => Verdict::Refuse,
            Self::Swallow => Verdict::Swallow,
        });
    }
}

impl Answer for SubscribeVerdict {
    fn count(&self, count: &mut impl FnMut(Verdict)) {
        count(match self {
            Self::Next => Verdict::Next,
            Self::Accept => Verdict::Accept,
            Self::Edit(_) => Verdict::Edit,
            Self::Refuse(_) => Verdict::Refuse,
        });
    }
}

impl Answer for Selection {
    fn count(&self, count: &mut impl FnMut(Verdict)) {
        count(match self.choice {
            Choice::All => Verdict::All,
            Choice::Only(_) => Verdict::Only,
            Choice::Except(_) => Verdict::Except,
        });
    }
}

/// Of `pick`: none leaves it to the broker.
impl Answer for Option<u32> {
    fn count(&self, count: &mut impl FnMut(Verdict)) {
        count(if self.is_some() { Verdict::Chosen } else { Verdict::Next });
    }
}

impl Answer for DeliverVerdict {
    fn count(&self, count: &mut impl FnMut(Verdict)) {
        count(match self {
            Self::Next => Verdict::Next,
            Self::Edit(_) => Verdict::Edit,
            Self::Drop => Verdict::Drop,
        });
    }
}

/// Of hooks that are told, not asked.
impl Answer for () {
    fn count(&self, count: &mut impl FnMut(Verdict)) {
        count(Verdict::Done);
    }
}

/// Of `storage`.
impl<T> Answer for Result<T, wire::StorageError> {
    fn count(&self, count: &mut impl FnMut(Verdict)) {
        count(match self {
            Ok(_) => Verdict::Done,
            Err(wire::StorageError::Retry(_)) => Verdict::Retry,
            Err(wire::StorageError::Fatal(_)) => Verdict::Fatal,
            Err(wire::StorageError::Unknown(_)) => Verdict::Unknown,
        });
    }
}

impl<A: Answer> Answer for Vec<A> {
    fn count(&self, count: &mut impl FnMut(Verdict)) {
        for answer in self {
            answer.count(count);
        }
    }
}

const FAULTS: [&str; 7] =
    ["trap", "deadline", "busy", "too-often", "breaker-open", "no-instance", "contract"];

/// Those that are the plugin's own doing.
const OWN: [&str; 4] = ["trap", "deadline", "no-instance", "contract"];

fn fault_index(fault: &FaultKind) -> usize {
    match fault {
        FaultKind::Trap(_) => 0,
        FaultKind::Deadline => 1,
        FaultKind::Busy => 2,
        FaultKind::TooOften => 3,
        FaultKind::BreakerOpen => 4,
        FaultKind::NoInstance(_) => 5,
        FaultKind::Contract(_) => 6,
    }
}

/// Of the buckets, each twice as wide as the one before, the last ends at 18 minutes.
const BUCKETS: usize = 40;

/// Of the calls of a hot hook, one in so many is timed.
const SAMPLE: u64 = 16;

/// Counters of one hook.
pub(crate) struct Tally {
    calls: AtomicU64,
    remembered: AtomicU64,
    verdicts: [AtomicU64; VERDICTS.len()],
    faults: [AtomicU64; FAULTS.len()],
    latency: [AtomicU64; BUCKETS],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            calls: AtomicU64::default(),
            remembered: AtomicU64::default(),
            verdicts: Default::default(),
            faults: Default::default(),
            latency: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

/// By the only writer, so that no locked instruction is needed.
fn add_alone(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// By one of many.
fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Tally {
    /// When the next call begins, if it is one to be timed. For hot hooks.
    pub(crate) fn sample(&self) -> Option<Instant> {
        self.calls.load(Ordering::Relaxed).is_multiple_of(SAMPLE).then(Instant::now)
    }

    /// One call, by the only writer.
    pub(crate) fn count_alone<A: Answer>(&self, answer: &Result<A, FaultKind>, took: Option<Duration>) {
        self.count_with(add_alone, answer, took);
    }

    /// One call, by one of many writers.
    pub(crate) fn count<A: Answer>(&self, answer: &Result<A, FaultKind>, took: Option<Duration>) {
        self.count_with(add, answer, took);
    }

    /// An answer that was used once more, by one of many writers.
    pub(crate) fn count_remembered(&self) {
        add(&self.remembered);
    }

    /// One call that did not reach the guest, by one of many writers.
    pub(crate) fn count_fault(&self, fault: &FaultKind) {
        add(&self.calls);
        add(&self.faults[fault_index(fault)]);
    }

    fn count_with<A: Answer>(
        &self,
        add: impl Fn(&AtomicU64),
        answer: &Result<A, FaultKind>,
        took: Option<Duration>,
    ) {
        add(&self.calls);
        match answer {
            Ok(answer) => answer.count(&mut |verdict| add(&self.verdicts[verdict as usize])),
            Err(fault) => add(&self.faults[fault_index(fault)]),
        }
        if let Some(took) = took {
            add(&self.latency[bucket(took)]);
        }
    }

    /// Calls that were made, and those of them that failed.
    pub(crate) fn failures(&self) -> (u64, u64) {
        let count = |own: bool| -> u64 {
            let faults = FAULTS.iter().zip(&self.faults).filter(|(kind, _)| OWN.contains(*kind) == own);
            faults.map(|(_, count)| count.load(Ordering::Relaxed)).sum()
        };
        (self.calls.load(Ordering::Relaxed).saturating_sub(count(false)), count(true))
    }

    /// Adds what was counted here.
    pub(crate) fn add_to(&self, report: &mut HookReport) {
        report.calls += self.calls.load(Ordering::Relaxed);
        report.remembered += self.remembered.load(Ordering::Relaxed);
        let named = |names: &[&'static str], counters: &[AtomicU64]| {
            let counts = counters.iter().map(|counter| counter.load(Ordering::Relaxed));
            names.iter().copied().zip(counts).filter(|(_, count)| *count > 0).collect::<Vec<_>>()
        };
        for (name, count) in named(&FAULTS, &self.faults) {
            *report.faults.entry(name).or_default() += count;
        }
        for (name, count) in named(VERDICTS, &self.verdicts) {
            *report.verdicts.entry(name).or_default() += count;
        }
        let Histogram { buckets } = &mut report.latency;
        buckets.resize(BUCKETS, 0);
        for (sum, counter) in buckets.iter_mut().zip(&self.latency) {
            *sum += counter.load(Ordering::Relaxed);
        }
    }
}

/// Bucket n holds what took less than 2ⁿ ns.
fn bucket(took: Duration) -> usize {
    let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    (u64::BITS - ns.leading_zeros()).min(BUCKETS as u32 - 1) as usize
}

/// Counters of those hooks that a plugin has.
pub(crate) struct Tallies([Option<Box<Tally>>; Hook::ALL.len()]);

impl Tallies {
    pub(crate) fn new(hooks: &[Hook]) -> Self {
        Self(Hook::ALL.map(|hook| hooks.contains(&hook).then(Box::default)))
    }

    /// None for a hook that the plugin has not.
    pub(crate) fn of(&self, hook: Hook) -> Option<&Tally> {
        self.0[hook as usize].as_deref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tally> {
        self.0.iter().flatten().map(|tally| &**tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_stand_in_order_and_are_found_by_name() {
        for (at, hook) in Hook::ALL.into_iter().enumerate() {
            assert_eq!(hook as usize, at);
            assert_eq!(Hook::from_name(hook.name()), Some(hook));
        }
        assert_eq!(VERDICTS[Verdict::Fatal as usize], "fatal");
        assert_eq!(VERDICTS[Verdict::Drop as usize], "drop");
    }

    #[test]
    fn calls_verdicts_faults_and_times_are_counted() {
        let tallies = Tallies::new(&[Hook::Publish]);
        assert!(tallies.of(Hook::Acl).is_none());
        let tally = tallies.of(Hook::Publish).unwrap();
        assert!(tally.sample().is_some());
        let batch = vec![PublishVerdict::Next, PublishVerdict::Next, PublishVerdict::Swallow];
        tally.count_alone(&Ok(batch), Some(Duration::from_nanos(1000)));
        assert!(tally.sample().is_none(), "one call in sixteen");
        tally.count::<()>(&Err(FaultKind::Trap("".into())), None);
        tally.count::<()>(&Err(FaultKind::Busy), None);
        assert_eq!(tally.failures(), (2, 1));
        let mut report = HookReport::new("publish");
        tally.count_remembered();
        tally.add_to(&mut report);
        tally.add_to(&mut report);
        assert_eq!((report.calls, report.remembered), (6, 2));
        assert_eq!(report.verdicts, [("next", 4), ("swallow", 2)].into());
        assert_eq!(report.faults, [("busy", 2), ("trap", 2)].into());
        assert_eq!(report.latency.count(), 2);
        assert_eq!(report.latency.quantile(0.5), Some(Duration::from_nanos(1024)));
    }

    #[test]
    fn buckets_double() {
        let bucket = |ns| bucket(Duration::from_nanos(ns));
        assert_eq!([0, 1, 2, 3, 4, 1023, 1024].map(bucket), [0, 1, 2, 2, 3, 10, 11]);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }
}
