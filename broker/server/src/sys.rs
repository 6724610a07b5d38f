//! `$SYS/broker/…`: what the broker says about itself, as retained messages.

use crate::{
    clock,
    publish::{Draft, publish_own},
    shared::Shared,
    traffic::KINDS,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tidegate_hooks::EventKind;
use tidegate_mqtt::{Payload, TopicName};
use tidegate_plugin_host::{MetricValue, PluginControl, PluginMetric, PluginReport, PluginState};
use tokio::sync::watch;

/// Publishes what has changed, every `sys_interval`, and what plugins do at once. Runs until the broker stops.
pub(crate) async fn tell(
    broker: Arc<Shared>,
    mut plugins: watch::Receiver<Vec<PluginReport>>,
    now: Option<PluginControl>,
) {
    let interval = broker.config.sys_interval;
    if interval == 0 {
        return;
    }
    let started = clock::now();
    let mut told = HashMap::new();
    let mut maximum = 0;
    let mut loads = Loads::new(interval);
    let mut tick = tokio::time::interval(Duration::from_secs(interval.into()));
    tell_one(&broker, &mut told, "version", concat!("tidegate version ", env!("CARGO_PKG_VERSION")).into())
        .await;
    let mut plugins_known = true;
    loop {
        tokio::select! {
            _ = tick.tick() => {
                let moved = broker.traffic.sum();
                maximum = maximum.max(broker.clients.connected());
                loads.pass(moved, broker.counters.connections.value());
                let rows = rows(&broker, started, maximum).into_iter().chain(traffic_rows(moved)).chain(loads.rows());
                broker.events.tell(EventKind::SysTick, |event| {
                    let numbers = [
                        ("clients", broker.clients.connected().to_string()),
                        ("sessions", broker.clients.len().to_string()),
                        ("subscriptions", broker.routes.len().to_string()),
                        ("retained", broker.retained.len().to_string()),
                    ];
                    numbers.into_iter().fold(event, |event, (name, number)| event.with(name, number))
                });
                for (topic, value) in rows {
                    tell_one(&broker, &mut told, &topic, value).await;
                }
                expire_retained(&broker);
            }
            changed = plugins.changed(), if plugins_known => plugins_known = changed.is_ok(),
        }
        let at_that_moment = plugins.borrow_and_update().clone();
        let reports = now.as_ref().map_or(at_that_moment, PluginControl::list);
        for (topic, value) in reports.iter().flat_map(plugin_rows) {
            tell_one(&broker, &mut told, &topic, value).await;
        }
    }
}

async fn tell_one(broker: &Arc<Shared>, told: &mut HashMap<String, String>, topic: &str, value: String) {
    if told.get(topic) == Some(&value) {
        return;
    }
    let Ok(name) = TopicName::new(&format!("$SYS/broker/{topic}")) else { return };
    let draft = Draft { retain: true, ..Draft::new(name, Payload::copied(value.as_bytes())) };
    if publish_own(broker, draft).await.is_ok() {
        told.insert(topic.to_owned(), value);
    }
}

/// Mosquitto's names where they exist.
fn rows(broker: &Shared, started: tidegate_mqtt::Timestamp, maximum: usize) -> Vec<(String, String)> {
    let gauges = gauges(broker);
    let stored = gauges.iter().find(|(topic, ..)| *topic == "store/messages/count").map_or(0, |(.., n)| *n);
    let mut rows = vec![
        ("uptime".to_owned(), format!("{} seconds", clock::now().since(started).as_secs())),
        ("clients/maximum".to_owned(), maximum.to_string()),
        // Two names for one number, as Mosquitto has them.
        ("messages/stored".to_owned(), stored.to_string()),
    ];
    rows.extend(gauges.into_iter().map(|(topic, _, value)| (topic.to_owned(), value.to_string())));
    rows.extend(
        broker.counters.rows().into_iter().map(|(topic, _, count)| (topic.to_owned(), count.to_string())),
    );
    rows
}

/// What there is now: topics below `$SYS/broker/`, and what they mean.
pub(crate) fn gauges(broker: &Shared) -> [(&'static str, &'static str, usize); 9] {
    let connected = broker.clients.connected();
    let total = broker.clients.len();
    let (waiting, waiting_bytes) = broker.clients.waiting();
    let retained = broker.retained.len();
    let disk = usize::try_from(broker.store.disk_bytes().unwrap_or(0)).unwrap_or(usize::MAX);
    let failing = usize::from(broker.store.figures().is_failing());
    [
        ("clients/connected", "Clients that are connected", connected),
        ("clients/disconnected", "Sessions whose clients are away", total.saturating_sub(connected)),
        ("clients/total", "Sessions", total),
        ("store/messages/count", "Retained messages, and those that wait in queues", retained + waiting),
        ("store/messages/bytes", "Bytes of their payloads", broker.retained.bytes() + waiting_bytes),
        ("store/disk bytes", "Bytes that the store takes on disk", disk),
        ("store/failing", "Whether the store cannot be written: 0 it can, 1 it cannot", failing),
        ("subscriptions/count", "Subscriptions", broker.routes.len()),
        ("retained messages/count", "Retained messages", retained),
    ]
}

/// What has passed since the start.
fn traffic_rows(moved: [u64; KINDS]) -> Vec<(String, String)> {
    TRAFFIC.iter().zip(moved).map(|((topic, _), sum)| ((*topic).to_owned(), sum.to_string())).collect()
}

/// Topics and meanings, in the order of [`Moved::to_array`](crate::traffic::Moved::to_array).
pub(crate) const TRAFFIC: [(&str, &str); KINDS] = [
    ("bytes/received", "Bytes from clients"),
    ("bytes/sent", "Bytes to clients"),
    ("messages/received", "Packets of any type from clients"),
    ("messages/sent", "Packets of any type to clients"),
    ("publish/messages/received", "PUBLISH packets from clients"),
    ("publish/messages/sent", "PUBLISH packets to clients"),
    ("publish/bytes/received", "Bytes of their payloads, from clients"),
    ("publish/bytes/sent", "Bytes of their payloads, to clients"),
];

/// What passes in a minute, as moving averages over one, five and fifteen of them.
struct Loads {
    /// Seconds between two passes.
    interval: f64,
    before: [u64; KINDS + 1],
    averages: [[f64; 3]; KINDS + 1],
    begun: bool,
}

const MINUTES: [f64; 3] = [1.0, 5.0, 15.0];

impl Loads {
    fn new(interval: u32) -> Self {
        Self {
            interval: interval.into(),
            before: [0; KINDS + 1],
            averages: [[0.0; 3]; KINDS + 1],
            begun: false,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an average for people")]
    fn pass(&mut self, moved: [u64; KINDS], connections: u64) {
        let mut sums = [connections; KINDS + 1];
        sums[..KINDS].copy_from_slice(&moved);
        for (kind, sum) in sums.into_iter().enumerate() {
            let a_minute = (sum - self.before[kind]) as f64 * 60.0 / self.interval;
            for (average, minutes) in self.averages[kind].iter_mut().zip(MINUTES) {
                let keeps = (-self.interval / (60.0 * minutes)).exp();
                *average = if self.begun { a_minute * (1.0 - keeps) + *average * keeps } else { 0.0 };
            }
            self.before[kind] = sum;
        }
        self.begun = true;
    }

    fn rows(&self) -> Vec<(String, String)> {
        let topics = TRAFFIC.into_iter().map(|(topic, _)| topic).chain(["connections"]);
        let rows = topics.zip(self.averages).flat_map(|(topic, averages)| {
            averages
                .into_iter()
                .zip(["1min", "5min", "15min"])
                .map(move |(average, span)| (format!("load/{topic}/{span}"), format!("{average:.2}")))
        });
        rows.collect()
    }
}

fn plugin_rows(report: &PluginReport) -> Vec<(String, String)> {
    let state = match &report.state {
        PluginState::Running => "running".to_owned(),
        PluginState::Starting => "starting".to_owned(),
        PluginState::Waiting => "waiting".to_owned(),
        PluginState::Refused { reason } => format!("refused: {reason}"),
    };
    let (calls, faults) =
        report.calls.iter().fold((0, 0), |(c, f), hook| (c + hook.calls, f + hook.faulty()));
    let shadow = match &report.shadow {
        None => "none".to_owned(),
        Some(shadow) => format!("{} of {} differ", shadow.differences(), shadow.compared()),
    };
    let mut rows: Vec<(String, String)> = [
        ("generation", report.generation.to_string()),
        ("state", state),
        ("hooks", if report.hooks.is_empty() { "none".to_owned() } else { report.hooks.join(" ") }),
        ("problem", report.problem.clone().unwrap_or_else(|| "none".to_owned())),
        ("calls", calls.to_string()),
        ("faults", faults.to_string()),
        ("instances", report.load.instances.to_string()),
        ("memory", report.load.memory.to_string()),
        ("waiting", report.load.waiting.to_string()),
        ("breaker", report.load.breaker.name().to_owned()),
        ("shadow", shadow),
    ]
    .map(|(what, value)| (format!("plugins/{}/{what}", report.name), value))
    .into();
    for hook in &report.calls {
        let nanoseconds = |time: Option<Duration>| time.map_or(0, |time| time.as_nanos()).to_string();
        let counts = |counts: &BTreeMap<&'static str, u64>| {
            let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
        };
        let of_hook = [
            ("calls", hook.calls.to_string()),
            ("remembered", hook.remembered.to_string()),
            ("faults", counts(&hook.faults)),
            ("verdicts", counts(&hook.verdicts)),
            ("p50", nanoseconds(hook.latency.p50())),
            ("p99", nanoseconds(hook.latency.p99())),
        ];
        let place = format!("plugins/{}/hooks/{}", report.name, hook.hook);
        rows.extend(of_hook.map(|(what, value)| (format!("{place}/{what}"), value)));
    }
    rows.extend(report.metrics.iter().map(|metric| metric_row(&report.name, metric)));
    rows
}

/// `METRIC` or `METRIC,label=value`: what a topic cannot hold becomes `_`.
fn metric_row(plugin: &str, metric: &PluginMetric) -> (String, String) {
    let labels = metric.labels.iter().map(|(name, value)| format!(",{name}={value}"));
    let series: String = std::iter::once(metric.name.clone()).chain(labels).collect();
    let series = series.replace(['/', '+', '#', '\0'], "_");
    let value = match &metric.value {
        MetricValue::Counter(count) => count.to_string(),
        MetricValue::Gauge(value) => value.to_string(),
        MetricValue::Histogram { count, sum, .. } => format!("{count} {sum}"),
    };
    (format!("plugins/{plugin}/metrics/{series}"), value)
}

/// Retained messages whose time has passed go, a bounded number at once.
fn expire_retained(broker: &Shared) {
    const AT_ONCE: usize = 10_000;
    for message in broker.retained.expire(clock::now(), AT_ONCE) {
        // Unless there is another by now.
        broker.retaining.if_idle(&message.topic, || {
            if broker.retained.get(&message.topic).is_none() {
                broker.store.retained_expired(&message);
            }
        });
        broker.counters.dropped_expired.add(1);
        broker.events.tell(EventKind::RetainedExpired, |event| {
            event.about(&message.topic).from(message.origin.as_deref())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::Moved;

    #[test]
    fn loads_come_to_what_passes_in_a_minute() {
        let mut loads = Loads::new(10);
        let mut moved = Moved::default();
        loads.pass(moved.to_array(), 0);
        for _ in 0..1_000 {
            moved.publishes_received += 50;
            loads.pass(moved.to_array(), 7);
        }
        let rows: HashMap<_, _> = loads.rows().into_iter().collect();
        for span in ["1min", "5min", "15min"] {
            assert_eq!(rows[&format!("load/publish/messages/received/{span}")], "300.00");
            assert_eq!(rows[&format!("load/publish/messages/sent/{span}")], "0.00");
        }
        assert_eq!(rows.len(), 27);
    }
}
