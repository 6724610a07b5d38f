//! Numbers, kept to be read back.

use super::with;
use std::collections::BTreeMap;

/// A name and its labels, in order.
pub(crate) type Key = (String, Vec<(String, String)>);

#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) counters: BTreeMap<Key, u64>,
    pub(crate) gauges: BTreeMap<Key, f64>,
    pub(crate) histograms: BTreeMap<Key, Vec<f64>>,
}

/// Labels in another order are the same.
pub(crate) fn key(name: &str, labels: &[(&str, &str)]) -> Key {
    let mut labels: Vec<_> = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    labels.sort();
    (name.into(), labels)
}

pub(crate) fn metrics_count(name: &str, delta: u64, labels: &[(&str, &str)]) {
    with(|fake| {
        let counter = fake.metrics.counters.entry(key(name, labels)).or_default();
        *counter = counter.saturating_add(delta);
    });
}

pub(crate) fn metrics_gauge(name: &str, value: f64, labels: &[(&str, &str)]) {
    with(|fake| fake.metrics.gauges.insert(key(name, labels), value));
}

pub(crate) fn metrics_observe(name: &str, value: f64, labels: &[(&str, &str)]) {
    with(|fake| fake.metrics.histograms.entry(key(name, labels)).or_default().push(value));
}

#[cfg(test)]
mod tests {
    use crate::{metrics, testing::Host};

    #[test]
    fn counters_add_up_gauges_are_set_and_observations_kept() {
        let host = Host::new();
        metrics::count("n", 2, &[("a", "1"), ("b", "2")]);
        metrics::count("n", 3, &[("b", "2"), ("a", "1")]);
        assert_eq!(host.counted("n", &[("a", "1"), ("b", "2")]), 5);
        assert_eq!(host.counted("n", &[]), 0);
        metrics::gauge("g", 1.0, &[]);
        metrics::gauge("g", 2.0, &[]);
        assert_eq!((host.gauge("g", &[]), host.gauge("h", &[])), (Some(2.0), None));
        metrics::observe("o", 1.5, &[]);
        metrics::observe("o", 2.5, &[]);
        assert_eq!(host.observed("o", &[]), [1.5, 2.5]);
    }
}
