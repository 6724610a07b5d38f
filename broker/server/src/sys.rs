//! `$SYS/broker/…`: what the broker says about itself, as retained messages.

use crate::{
    clock,
    publish::{Draft, publish_own},
    shared::Shared,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tidegate_mqtt::{QoS, TopicName};
use tidegate_plugin_host::{PluginReport, PluginState};
use tokio::sync::watch;

/// Publishes what has changed, every `sys_interval`, and what plugins do at once. Runs until the broker stops.
pub(crate) async fn tell(broker: Arc<Shared>, mut plugins: watch::Receiver<Vec<PluginReport>>) {
    let interval = broker.config.sys_interval;
    if interval == 0 {
        return;
    }
    let started = clock::now();
    let mut told = HashMap::new();
    let mut tick = tokio::time::interval(Duration::from_secs(interval.into()));
    tell_one(&broker, &mut told, "version", concat!("tidegate version ", env!("CARGO_PKG_VERSION")).into())
        .await;
    let mut plugins_known = true;
    loop {
        tokio::select! {
            _ = tick.tick() => {
                for (topic, value) in rows(&broker, started) {
                    tell_one(&broker, &mut told, &topic, value).await;
                }
                expire_retained(&broker);
            }
            changed = plugins.changed(), if plugins_known => plugins_known = changed.is_ok(),
        }
        let reports = plugins.borrow_and_update().clone();
        for (topic, value) in reports.iter().flat_map(plugin_rows) {
            tell_one(&broker, &mut told, &topic, value).await;
        }
    }
}

async fn tell_one(broker: &Shared, told: &mut HashMap<String, String>, topic: &str, value: String) {
    if told.get(topic) == Some(&value) {
        return;
    }
    let Ok(name) = TopicName::new(&format!("$SYS/broker/{topic}")) else { return };
    let draft = Draft {
        topic: name,
        payload: value.clone().into(),
        qos: QoS::AtMostOnce,
        retain: true,
        properties: None,
    };
    if publish_own(broker, draft).await.is_ok() {
        told.insert(topic.to_owned(), value);
    }
}

/// Mosquitto's names where they exist.
fn rows(broker: &Shared, started: tidegate_mqtt::Timestamp) -> Vec<(String, String)> {
    let connected = broker.clients.connected();
    let total = broker.clients.len();
    let mut rows: Vec<(String, String)> = [
        ("uptime", format!("{} seconds", clock::now().since(started).as_secs())),
        ("clients/connected", connected.to_string()),
        ("clients/disconnected", total.saturating_sub(connected).to_string()),
        ("clients/total", total.to_string()),
        ("subscriptions/count", broker.routes.len().to_string()),
        ("retained messages/count", broker.retained.len().to_string()),
    ]
    .map(|(topic, value)| (topic.to_owned(), value))
    .into();
    rows.extend(
        broker.counters.rows().into_iter().map(|(topic, count)| (topic.to_owned(), count.to_string())),
    );
    rows
}

fn plugin_rows(report: &PluginReport) -> Vec<(String, String)> {
    let state = match &report.state {
        PluginState::Running => "running".to_owned(),
        PluginState::Waiting => "waiting".to_owned(),
        PluginState::Refused { reason } => format!("refused: {reason}"),
    };
    let (calls, faults) = report.calls.iter().fold((0, 0), |(c, f), hook| (c + hook.calls, f + hook.faults));
    [
        ("generation", report.generation.to_string()),
        ("state", state),
        ("hooks", if report.hooks.is_empty() { "none".to_owned() } else { report.hooks.join(" ") }),
        ("problem", report.problem.clone().unwrap_or_else(|| "none".to_owned())),
        ("calls", calls.to_string()),
        ("faults", faults.to_string()),
    ]
    .map(|(what, value)| (format!("plugins/{}/{what}", report.name), value))
    .into()
}

/// Retained messages whose time has passed go, a bounded number at once.
fn expire_retained(broker: &Shared) {
    const AT_ONCE: usize = 10_000;
    for message in broker.retained.expire(clock::now(), AT_ONCE) {
        // It is gone from memory; a record that stays expires again at the next start.
        let _: tidegate_store::Ticket = broker.store.retained_expired(&message);
        broker.counters.dropped_expired.add(1);
    }
}
