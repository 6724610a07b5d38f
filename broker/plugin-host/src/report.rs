//! What the broker tells about its plugins: in `tidegate check`, under `$SYS/broker/plugins/NAME/…`, and to whoever embeds it.

use crate::shadow::ShadowReport;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// One plugin, as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginReport {
    /// Its file name without `.wasm`.
    pub name: String,
    /// Where it was read from, or was looked for.
    pub file: PathBuf,
    /// The generation that answers; 0 if none does.
    pub generation: u64,
    /// What that generation exports: `auth`, `enhanced-auth`, `acl`, `publish`, `publish-batch`, `subscribe`, `subscribers`, `deliver`,
    /// `events`, `timer-handler`, `storage`.
    pub hooks: Vec<&'static str>,
    /// Topics that its hooks are narrowed to, and fields they want.
    pub scopes: Vec<ScopeReport>,
    /// What it was granted, such as `kv 1MiB`.
    pub grants: Vec<String>,
    /// Its place in the chain; see [`PluginConfig::order`](crate::PluginConfig::order).
    pub order: i32,
    /// Whether the broker starts without it.
    pub required: bool,
    /// Whether it answers.
    pub state: PluginState,
    /// Why the newest file or configuration was not taken, while an older generation answers on. None if all is well.
    pub problem: Option<String>,
    /// Calls since that generation began, by hook.
    pub calls: Vec<HookReport>,
    /// What that generation takes up now.
    pub load: PluginLoad,
    /// Whether a newer file or configuration is being compiled and started. What answers goes on answering.
    pub loading: bool,
    /// The generation that a rollback would bring back.
    pub previous: Option<u64>,
    /// The candidate beside it, if there is one.
    pub shadow: Option<ShadowReport>,
    /// Its own metrics, over all its generations.
    pub metrics: Vec<PluginMetric>,
    /// Changes of metrics that were ignored, because they made no sense or were too many.
    pub metrics_ignored: u64,
}

/// Whether a plugin answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PluginState {
    /// It does.
    Running,
    /// It is being compiled and started. If the broker found it at its start, its hooks are in the chain already, and fail until it
    /// is up.
    Starting,
    /// No generation of it was good enough to answer.
    Refused {
        /// One sentence: file, reason, remedy.
        reason: String,
    },
    /// It is configured, but its file is not there (yet, or any more).
    Waiting,
}

/// A hook's topics and fields.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScopeReport {
    /// `acl`, `publish`, `subscribe`, `subscribers`, `deliver` or `events`.
    pub hook: &'static str,
    /// Topic filters; None for all topics.
    pub filters: Option<Vec<String>>,
    /// Optional fields that are filled; for `events` the kinds.
    pub wants: Vec<&'static str>,
}

/// What one hook was asked, and what came of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HookReport {
    /// As in [`PluginReport::hooks`].
    pub hook: &'static str,
    /// How often it was asked.
    pub calls: u64,
    /// How often an answer of before was used instead: of `acl` within its time to live, of `subscribers` within its `cache`.
    pub remembered: u64,
    /// Calls without an answer, by kind: `trap`, `deadline`, `contract`, `no-instance`; those that did not reach the guest are `busy`,
    /// `too-often` and `breaker-open`. Kinds that never happened are left out.
    pub faults: BTreeMap<&'static str, u64>,
    /// Answers by name, such as `next` or `edit`; each verdict of a batch counts. What was never answered is left out.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// How long calls took. Of hot hooks (`acl`, `publish`, `subscribe`, `subscribers`, `deliver`) one call in sixteen is timed, in the
    /// guest; of all others every call, waiting included.
    pub latency: Histogram,
}

impl HookReport {
    pub(crate) fn new(hook: &'static str) -> Self {
        Self { hook, ..Self::default() }
    }

    /// All calls without an answer.
    pub fn faulty(&self) -> u64 {
        self.faults.values().sum()
    }
}

/// How long calls took.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Histogram {
    /// Calls by time: bucket n holds those that took less than 2ⁿ ns, and no less than half of that. The last also holds what is longer.
    pub buckets: Vec<u64>,
}

impl Histogram {
    /// Calls in all buckets.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// A time that this share of the calls did not exceed, rounded up to the end of its bucket. None without calls.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        let wanted = ((count as f64 * share).ceil() as u64).max(1);
        let mut sum = 0;
        let bucket = self.buckets.iter().position(|calls| {
            sum += calls;
            sum >= wanted
        })?;
        Some(Duration::from_nanos(1 << bucket))
    }

    /// Half of the calls took no longer.
    pub fn p50(&self) -> Option<Duration> {
        self.quantile(0.5)
    }

    /// All calls but one in a hundred took no longer.
    pub fn p99(&self) -> Option<Duration> {
        self.quantile(0.99)
    }
}

/// What a plugin takes up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PluginLoad {
    /// Instances alive.
    pub instances: usize,
    /// Bytes of linear memory that they have, all together.
    pub memory: u64,
    /// Calls that wait for an instance.
    pub waiting: usize,
    /// Whether it is asked at all.
    pub breaker: BreakerState,
}

/// Whether a plugin is asked, after many faults.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BreakerState {
    /// It is.
    #[default]
    Closed,
    /// It is not, for a while.
    Open,
    /// One call is on its way, to see whether it is well again.
    Probing,
}

impl BreakerState {
    /// The word for `$SYS` and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Probing => "probing",
        }
    }
}

/// A metric of a plugin's own. Name and labels are made of letters, digits and `_`; no label is called `plugin` or `le`.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginMetric {
    /// As the plugin names it.
    pub name: String,
    /// Sorted by name.
    pub labels: Vec<(String, String)>,
    /// As it stands. The same kind for all of that name.
    pub value: MetricValue,
}

/// Kind and value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricValue {
    /// Only rises.
    Counter(u64),
    /// As last set.
    Gauge(f64),
    /// How values are spread.
    Histogram {
        /// Values observed.
        count: u64,
        /// All of them added up.
        sum: f64,
        /// Upper bounds, and how many values were not above them. Those above the last are in `count` only.
        buckets: Vec<(f64, u64)>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_ends_of_buckets() {
        assert_eq!(Histogram::default().p50(), None);
        let histogram = Histogram { buckets: vec![0, 0, 98, 1, 0, 1] };
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.p50(), Some(Duration::from_nanos(4)));
        assert_eq!(histogram.p99(), Some(Duration::from_nanos(8)));
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_nanos(32)));
    }
}
