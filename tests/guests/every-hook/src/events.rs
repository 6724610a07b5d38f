//! What has happened, published as JSON on `events/KIND`.

use crate::report;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_plugin::{Event, Scope, current};

/// `[plugin.every-hook.config.events]`
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Kinds of events; none: all but those of every message.
    kinds: Vec<String>,
    /// Of events about a topic only those that match; none: all.
    topics: Vec<String>,
    /// The first level of their topics.
    to: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { kinds: Vec::new(), topics: Vec::new(), to: "events".to_owned() }
    }
}

impl Config {
    pub(crate) fn scope(&self) -> Scope {
        Scope::events(&self.kinds).about(&self.topics)
    }

    pub(crate) fn publish(&self, batch: &[Event], lost: u64) {
        for event in batch {
            let detail: Value = event
                .detail
                .iter()
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                .collect();
            let told = json!({
                "kind": event.kind, "session": event.session, "client_id": event.client_id,
                "at_ms": report::milliseconds(event.at), "reason": event.reason as u8, "topic": event.topic,
                "detail": detail, "lost": lost, "hops": current::hops(),
            });
            report::say(&format!("{}/{}", self.to, event.kind), &told);
        }
    }
}
