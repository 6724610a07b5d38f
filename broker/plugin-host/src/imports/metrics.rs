//! `tidegate:plugin/metrics`: numbers of the plugin's own, shared by its instances and kept across generations.

use crate::{
    instance::Guest,
    report::{MetricValue, PluginMetric},
};
use parking_lot::RwLock;
use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use wasmtime::{StoreContextMut, component::LinkerInstance};

/// Bytes of a metric's or a label's name.
const LONGEST_NAME: usize = 128;
/// Bytes of a label's value.
const LONGEST_VALUE: usize = 256;
/// Labels of one metric.
const MOST_LABELS: usize = 16;
/// Names that we give labels ourselves.
const OUR_LABELS: [&str; 2] = ["plugin", "le"];
/// Upper bounds of a histogram's buckets are powers of four, from about a millionth to about a million.
const BUCKETS: usize = 21;

pub(super) fn link(interface: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    type Cx<'a> = StoreContextMut<'a, Guest>;
    interface.func_wrap("count", |cx: Cx<'_>, (name, delta, labels): (String, u64, Labels)| {
        change(&cx, name, labels, Change::Count(delta));
        Ok(())
    })?;
    interface.func_wrap("gauge", |cx: Cx<'_>, (name, value, labels): (String, f64, Labels)| {
        change(&cx, name, labels, Change::Gauge(value));
        Ok(())
    })?;
    interface.func_wrap("observe", |cx: Cx<'_>, (name, value, labels): (String, f64, Labels)| {
        change(&cx, name, labels, Change::Observe(value));
        Ok(())
    })
}

fn change(cx: &StoreContextMut<'_, Guest>, name: String, labels: Labels, change: Change) {
    let environment = &cx.data().environment;
    if let Err(why) = environment.metrics.change(name, labels, change, environment.metric_series)
        && environment.metrics.ignore()
    {
        let (plugin, generation) = (&*environment.plugin, environment.generation);
        tracing::warn!(
            plugin,
            generation,
            "plugin {plugin}: a metric is ignored, {why}; further ones are counted"
        );
    }
}

type Labels = Vec<(String, String)>;

#[derive(Clone, Copy, Debug)]
enum Change {
    Count(u64),
    Gauge(f64),
    Observe(f64),
}

/// All metrics of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    families: RwLock<Families>,
    ignored: AtomicU64,
}

#[derive(Debug, Default)]
struct Families {
    by_name: HashMap<String, Family>,
    /// Series in all families.
    series: usize,
}

/// All series of one name; what the first was, all are.
#[derive(Debug)]
enum Family {
    Counters(HashMap<Labels, AtomicU64>),
    /// Bits of an f64.
    Gauges(HashMap<Labels, AtomicU64>),
    Histograms(HashMap<Labels, Histogram>),
}

#[derive(Debug, Default)]
struct Histogram {
    count: AtomicU64,
    /// Bits of an f64.
    sum: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// Why a change is ignored.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum Ignored {
    #[error("names are made of a-z, A-Z, 0-9 and _ and begin with no digit")]
    Name,
    #[error("a label cannot be named `plugin` or `le`")]
    OurLabel,
    #[error("a label stands there twice")]
    TwiceLabelled,
    #[error("a name or a value is too long, or there are too many labels")]
    TooLong,
    #[error("a value is not a number")]
    NotANumber,
    #[error("its name is taken by a metric of another kind")]
    OtherKind,
    #[error("there are more than limits.metric_series")]
    TooMany,
}

impl Metrics {
    fn change(&self, name: String, mut labels: Labels, change: Change, most: usize) -> Result<(), Ignored> {
        if let Change::Gauge(value) | Change::Observe(value) = change
            && value.is_nan()
        {
            return Err(Ignored::NotANumber);
        }
        labels.sort_unstable();
        // What is known was checked before.
        if self.families.read().change(&name, &labels, change)? {
            return Ok(());
        }
        check(&name, &labels)?;
        let mut families = self.families.write();
        // Another instance may have been faster.
        if families.change(&name, &labels, change)? {
            return Ok(());
        }
        if families.series >= most {
            return Err(Ignored::TooMany);
        }
        families.series += 1;
        families.by_name.entry(name).or_insert_with(|| Family::of(change)).begin(labels, change);
        Ok(())
    }

    /// One more that was ignored. True: the first.
    fn ignore(&self) -> bool {
        self.ignored.fetch_add(1, Relaxed) == 0
    }

    /// Changes that were ignored so far.
    pub(crate) fn ignored(&self) -> u64 {
        self.ignored.load(Relaxed)
    }

    /// All of them as they stand, in the order of their names and labels.
    pub(crate) fn report(&self) -> Vec<PluginMetric> {
        let families = self.families.read();
        let mut report: Vec<_> =
            families.by_name.iter().flat_map(|(name, family)| family.report(name)).collect();
        report.sort_unstable_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
        report
    }
}

impl Families {
    /// False: no such series.
    fn change(&self, name: &str, labels: &Labels, change: Change) -> Result<bool, Ignored> {
        self.by_name.get(name).map_or(Ok(false), |family| family.change(labels, change))
    }
}

impl Family {
    fn of(change: Change) -> Self {
        match change {
            Change::Count(_) => Self::Counters(HashMap::new()),
            Change::Gauge(_) => Self::Gauges(HashMap::new()),
            Change::Observe(_) => Self::Histograms(HashMap::new()),
        }
    }

    /// False: no such series.
    fn change(&self, labels: &Labels, change: Change) -> Result<bool, Ignored> {
        match (self, change) {
            (Self::Counters(series), Change::Count(delta)) => {
                let counter = series.get(labels);
                counter.inspect(|counter| _ = counter.fetch_add(delta, Relaxed));
                Ok(counter.is_some())
            }
            (Self::Gauges(series), Change::Gauge(value)) => {
                let gauge = series.get(labels);
                gauge.inspect(|gauge| gauge.store(value.to_bits(), Relaxed));
                Ok(gauge.is_some())
            }
            (Self::Histograms(series), Change::Observe(value)) => {
                let histogram = series.get(labels);
                histogram.inspect(|histogram| histogram.observe(value));
                Ok(histogram.is_some())
            }
            _ => Err(Ignored::OtherKind),
        }
    }

    /// A series that is not there yet.
    fn begin(&mut self, labels: Labels, change: Change) {
        match (self, change) {
            (Self::Counters(series), Change::Count(delta)) => _ = series.insert(labels, delta.into()),
            (Self::Gauges(series), Change::Gauge(value)) => _ = series.insert(labels, value.to_bits().into()),
            (Self::Histograms(series), Change::Observe(value)) => {
                series.entry(labels).or_default().observe(value);
            }
            // `change` would have said so.
            _ => {}
        }
    }

    fn report(&self, name: &str) -> Vec<PluginMetric> {
        let metric =
            |labels: &Labels, value| PluginMetric { name: name.into(), labels: labels.clone(), value };
        match self {
            Self::Counters(series) => {
                let value = |counter: &AtomicU64| MetricValue::Counter(counter.load(Relaxed));
                series.iter().map(|(labels, counter)| metric(labels, value(counter))).collect()
            }
            Self::Gauges(series) => {
                let value = |gauge: &AtomicU64| MetricValue::Gauge(f64::from_bits(gauge.load(Relaxed)));
                series.iter().map(|(labels, gauge)| metric(labels, value(gauge))).collect()
            }
            Self::Histograms(series) => {
                series.iter().map(|(labels, histogram)| metric(labels, histogram.report())).collect()
            }
        }
    }
}

impl Histogram {
    fn observe(&self, value: f64) {
        self.count.fetch_add(1, Relaxed);
        let add = |sum: u64| Some((f64::from_bits(sum) + value).to_bits());
        _ = self.sum.fetch_update(Relaxed, Relaxed, add);
        if let Some(bucket) = (0..BUCKETS).find(|bucket| value <= bound(*bucket)) {
            self.buckets[bucket].fetch_add(1, Relaxed);
        }
    }

    fn report(&self) -> MetricValue {
        let mut below = 0;
        let bucket = |(bucket, count): (usize, &AtomicU64)| {
            below += count.load(Relaxed);
            (bound(bucket), below)
        };
        let buckets = self.buckets.iter().enumerate().map(bucket).collect();
        let sum = f64::from_bits(self.sum.load(Relaxed));
        MetricValue::Histogram { count: self.count.load(Relaxed), sum, buckets }
    }
}

/// 4 to the power of -10 … 10.
fn bound(bucket: usize) -> f64 {
    2f64.powi(2 * bucket as i32 - 20)
}

/// `labels` are sorted.
fn check(name: &str, labels: &Labels) -> Result<(), Ignored> {
    let is_name = |name: &str| {
        !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if !is_name(name) || !labels.iter().all(|(name, _)| is_name(name)) {
        return Err(Ignored::Name);
    }
    if labels.iter().any(|(name, _)| OUR_LABELS.contains(&name.as_str())) {
        return Err(Ignored::OurLabel);
    }
    if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Ignored::TwiceLabelled);
    }
    let fits = |(name, value): &(String, String)| name.len() <= LONGEST_NAME && value.len() <= LONGEST_VALUE;
    if name.len() > LONGEST_NAME || labels.len() > MOST_LABELS || !labels.iter().all(fits) {
        return Err(Ignored::TooLong);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(labels: &[(&str, &str)]) -> Labels {
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn change(metrics: &Metrics, name: &str, of: &[(&str, &str)], change: Change) -> Result<(), Ignored> {
        metrics.change(name.into(), labels(of), change, 3)
    }

    #[test]
    fn counters_add_gauges_replace_and_labels_have_no_order() {
        let metrics = Metrics::default();
        change(&metrics, "seen", &[("a", "1"), ("b", "2")], Change::Count(2)).unwrap();
        change(&metrics, "seen", &[("b", "2"), ("a", "1")], Change::Count(3)).unwrap();
        change(&metrics, "seen", &[], Change::Count(1)).unwrap();
        change(&metrics, "level", &[], Change::Gauge(1.5)).unwrap();
        change(&metrics, "level", &[], Change::Gauge(-2.5)).unwrap();
        let metric = |name: &str, of, value| PluginMetric { name: name.into(), labels: labels(of), value };
        assert_eq!(
            metrics.report(),
            [
                metric("level", &[], MetricValue::Gauge(-2.5)),
                metric("seen", &[], MetricValue::Counter(1)),
                metric("seen", &[("a", "1"), ("b", "2")], MetricValue::Counter(5)),
            ]
        );
    }

    #[test]
    fn a_histogram_counts_sums_and_sorts_into_buckets() {
        let metrics = Metrics::default();
        for value in [0.2, 0.25, 3.0, -1.0, 1e9, f64::INFINITY] {
            change(&metrics, "took", &[], Change::Observe(value)).unwrap();
        }
        let MetricValue::Histogram { count, sum, buckets } = metrics.report().remove(0).value else {
            panic!()
        };
        assert_eq!((count, sum), (6, f64::INFINITY));
        assert_eq!(buckets.len(), BUCKETS);
        assert_eq!(
            (buckets[0], buckets[9], buckets[11], buckets[20]),
            ((2f64.powi(-20), 1), (0.25, 3), (4.0, 4), (1_048_576.0, 4))
        );
    }

    #[test]
    fn what_makes_no_sense_is_ignored() {
        let metrics = Metrics::default();
        let count = |name: &str, of: &[(&str, &str)]| change(&metrics, name, of, Change::Count(1));
        for name in ["", "1a", "a-b", "ä", "a b"] {
            assert_eq!(count(name, &[]), Err(Ignored::Name));
            assert_eq!(count("a", &[(name, "")]), Err(Ignored::Name));
        }
        assert_eq!(count("a", &[("plugin", "x")]), Err(Ignored::OurLabel));
        assert_eq!(count("a", &[("b", "1"), ("b", "2")]), Err(Ignored::TwiceLabelled));
        assert_eq!(count(&"a".repeat(129), &[]), Err(Ignored::TooLong));
        assert_eq!(count("a", &[("b", &"x".repeat(257))]), Err(Ignored::TooLong));
        assert_eq!(change(&metrics, "a", &[], Change::Gauge(f64::NAN)), Err(Ignored::NotANumber));
        assert!(metrics.report().is_empty());
        count("a", &[]).unwrap();
        assert_eq!(change(&metrics, "a", &[], Change::Gauge(1.0)), Err(Ignored::OtherKind));
        assert_eq!(change(&metrics, "a", &[("b", "")], Change::Observe(1.0)), Err(Ignored::OtherKind));
        assert_eq!((metrics.ignore(), metrics.ignore(), metrics.ignored()), (true, false, 2));
    }

    #[test]
    fn series_are_bounded_and_known_ones_go_on() {
        let metrics = Metrics::default();
        for (name, of) in [("a", &[("x", "1")][..]), ("a", &[("x", "2")]), ("b", &[])] {
            change(&metrics, name, of, Change::Count(1)).unwrap();
        }
        assert_eq!(change(&metrics, "a", &[("x", "3")], Change::Count(1)), Err(Ignored::TooMany));
        assert_eq!(change(&metrics, "c", &[], Change::Count(1)), Err(Ignored::TooMany));
        change(&metrics, "b", &[], Change::Count(1)).unwrap();
        assert_eq!(metrics.report().len(), 3);
    }
}
