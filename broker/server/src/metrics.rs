//! The broker's numbers and those of its plugins, gathered when somebody asks: OpenMetrics text, by `tidegate metrics`.

use crate::{
    shared::Shared,
    sys::{TRAFFIC, gauges},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};
use std::{
    collections::BTreeMap,
    fmt::{self, Debug, Formatter},
    sync::Arc,
};
use tidegate_plugin_host::{HookReport, MetricValue, PluginControl, PluginMetric, PluginReport};

/// Everything that is counted, by name.
pub(crate) fn registry(broker: Arc<Shared>, plugins: Option<PluginControl>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Numbers { broker, plugins }));
    registry
}

/// All of them in OpenMetrics 1.0.
///
/// # Errors
/// Never, as text always has room.
pub(crate) fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    text::encode(&mut text, registry)?;
    Ok(text)
}

struct Numbers {
    broker: Arc<Shared>,
    plugins: Option<PluginControl>,
}

impl Debug for Numbers {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Numbers").finish_non_exhaustive()
    }
}

impl Collector for Numbers {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Families(encoder);
        let broker = &self.broker;
        for (topic, help, value) in gauges(broker) {
            out.family(&name(topic), help, MetricType::Gauge)?.encode_gauge(&to_i64(value as u64))?;
        }
        let moved = TRAFFIC.iter().zip(broker.traffic.sum()).map(|((topic, help), sum)| (*topic, *help, sum));
        for (topic, help, value) in moved.chain(broker.counters.rows()) {
            count(&mut out.family(&name(topic), help, MetricType::Counter)?, value)?;
        }
        let store = broker.store.figures();
        let of_store = [
            ("tidegate_store_batches", "Batches written to the store", store.groups()),
            ("tidegate_store_commits", "What was committed in them: many share a batch", store.submissions()),
            ("tidegate_store_refused", "What the store could not write and refused", store.refused()),
        ];
        for (name, help, value) in of_store {
            count(&mut out.family(name, help, MetricType::Counter)?, value)?;
        }
        let reports = self.plugins.as_ref().map_or_else(Vec::new, PluginControl::list);
        of_plugins(&mut out, &reports)?;
        of_hooks(&mut out, &reports)?;
        of_their_own(&mut out, &reports)
    }
}

/// `tidegate_` and the topic below `$SYS/broker/`.
fn name(topic: &str) -> String {
    format!("tidegate_{}", topic.replace(['/', ' '], "_"))
}

struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help.trim().trim_end_matches('.'), None, kind)
    }
}

fn count(metric: &mut MetricEncoder<'_>, value: u64) -> fmt::Result {
    metric.encode_counter(&value, None::<&Exemplar<NoLabelSet, u64>>)
}

/// Gauges are signed in that format.
fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn of_plugins(out: &mut Families<'_>, reports: &[PluginReport]) -> fmt::Result {
    type Read = fn(&PluginReport) -> u64;
    let gauges: [(&str, &str, Read); 5] = [
        ("generation", "Generation that answers; 0: none does", |report| report.generation),
        ("instances", "Instances alive", |report| report.load.instances as u64),
        ("memory_bytes", "Linear memory of all its instances", |report| report.load.memory),
        ("waiting_calls", "Calls that wait for an instance", |report| report.load.waiting as u64),
        ("breaker", "Whether it is asked: 0 closed, 1 open, 2 probing", |report| report.load.breaker as u64),
    ];
    for (what, help, read) in gauges {
        let name = format!("tidegate_plugin_{what}");
        let mut family = out.family(&name, help, MetricType::Gauge)?;
        for report in reports {
            family.encode_family(&[("plugin", &*report.name)])?.encode_gauge(&to_i64(read(report)))?;
        }
    }
    Ok(())
}

fn of_hooks(out: &mut Families<'_>, reports: &[PluginReport]) -> fmt::Result {
    let hooks =
        || reports.iter().flat_map(|report| report.calls.iter().map(move |hook| (&*report.name, hook)));
    let mut family = out.family("tidegate_hook_calls", "Questions to plugins", MetricType::Counter)?;
    for (plugin, hook) in hooks() {
        count(&mut family.encode_family(&[("plugin", plugin), ("hook", hook.hook)])?, hook.calls)?;
    }
    let help = "Questions that an earlier answer of a plugin settled";
    let mut family = out.family("tidegate_hook_remembered", help, MetricType::Counter)?;
    for (plugin, hook) in hooks() {
        count(&mut family.encode_family(&[("plugin", plugin), ("hook", hook.hook)])?, hook.remembered)?;
    }
    type Read = fn(&HookReport) -> &BTreeMap<&'static str, u64>;
    let by_name: [(&str, &str, &str, Read); 2] = [
        ("tidegate_hook_verdicts", "verdict", "Answers of plugins", |hook| &hook.verdicts),
        ("tidegate_hook_faults", "kind", "Questions that plugins did not answer", |hook| &hook.faults),
    ];
    for (name, label, help, read) in by_name {
        let mut family = out.family(name, help, MetricType::Counter)?;
        for (plugin, hook) in hooks() {
            for (which, number) in read(hook) {
                let labels = [("plugin", plugin), ("hook", hook.hook), (label, *which)];
                count(&mut family.encode_family(&labels)?, *number)?;
            }
        }
    }
    let help =
        "How long calls took; of hot hooks one in sixteen is timed. The sum is put together from the buckets";
    let mut family = out.family("tidegate_hook_seconds", help, MetricType::Histogram)?;
    for (plugin, hook) in hooks() {
        let (sum, buckets) = coarse(&hook.latency.buckets);
        let labels = [("plugin", plugin), ("hook", hook.hook)];
        let count = hook.latency.count();
        family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    }
    Ok(())
}

/// Powers of two of nanoseconds that are told as upper bounds: 256 ns to 17 s.
const BOUNDS: [u32; 14] = [8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34];

/// Seconds in all, and calls up to each bound that were above the one before.
fn coarse(fine: &[u64]) -> (f64, Vec<(f64, u64)>) {
    let seconds = |power: u32| (1_u64 << power) as f64 / 1e9;
    let mut buckets: Vec<(f64, u64)> = BOUNDS.iter().map(|power| (seconds(*power), 0)).collect();
    buckets.push((f64::INFINITY, 0));
    let mut sum = 0.0;
    for (power, calls) in (0..).zip(fine) {
        // Between half of its end and its end.
        sum += seconds(power) * 0.75 * *calls as f64;
        let at = BOUNDS.iter().position(|bound| power <= *bound).unwrap_or(BOUNDS.len());
        buckets[at].1 += calls;
    }
    (sum, buckets)
}

/// `plugin_NAME`, with the label `plugin`. Where two plugins give one name to different kinds, the first plugin's is told.
fn of_their_own(out: &mut Families<'_>, reports: &[PluginReport]) -> fmt::Result {
    let mut families: BTreeMap<&str, Vec<(&str, &PluginMetric)>> = BTreeMap::new();
    for report in reports {
        for metric in &report.metrics {
            let family = families.entry(&*metric.name).or_default();
            if family.first().is_none_or(|(_, first)| kind(&first.value) == kind(&metric.value)) {
                family.push((&report.name, metric));
            }
        }
    }
    for (name, metrics) in families {
        let Some((_, first)) = metrics.first() else { continue };
        let name = format!("plugin_{name}");
        let kind = match kind(&first.value) {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        let mut family = out.family(&name, "A plugin's own", kind)?;
        for (plugin, metric) in metrics {
            let mut labels = vec![("plugin".to_owned(), plugin.to_owned())];
            labels.extend_from_slice(&metric.labels);
            let mut series = family.encode_family(&labels)?;
            match &metric.value {
                MetricValue::Counter(value) => count(&mut series, *value)?,
                MetricValue::Gauge(value) => series.encode_gauge(value)?,
                MetricValue::Histogram { count, sum, buckets } => {
                    series.encode_histogram::<NoLabelSet>(*sum, *count, &apart(buckets, *count), None)?;
                }
            }
        }
    }
    Ok(())
}

#[derive(Eq, PartialEq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

fn kind(value: &MetricValue) -> Kind {
    match value {
        MetricValue::Counter(_) => Kind::Counter,
        MetricValue::Gauge(_) => Kind::Gauge,
        MetricValue::Histogram { .. } => Kind::Histogram,
    }
}

/// From "not above" to "above the one before".
fn apart(buckets: &[(f64, u64)], count: u64) -> Vec<(f64, u64)> {
    let mut before = 0;
    let bounds = buckets.iter().copied().chain([(f64::INFINITY, count)]);
    bounds.map(|(bound, sum)| (bound, sum - std::mem::replace(&mut before, sum))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_put_together_and_nothing_is_lost() {
        let mut fine = vec![0; 40];
        (fine[3], fine[8], fine[9], fine[34], fine[39]) = (1, 2, 3, 4, 5);
        let (sum, buckets) = coarse(&fine);
        assert_eq!(buckets[..2], [(256e-9, 3), (1024e-9, 3)]);
        assert_eq!(buckets[13..], [(17.179_869_184, 4), (f64::INFINITY, 5)]);
        assert_eq!(buckets.iter().map(|(_, calls)| calls).sum::<u64>(), 15);
        assert!(sum > 4.0 * 17.0 / 2.0);
    }

    #[test]
    fn a_plugins_histogram_is_taken_apart() {
        assert_eq!(
            apart(&[(1.0, 2), (2.0, 2), (5.0, 7)], 9),
            [(1.0, 2), (2.0, 0), (5.0, 5), (f64::INFINITY, 2)]
        );
    }
}
