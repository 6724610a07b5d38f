//! `[plugin.dedupe.config]`

use serde::Deserialize;
use std::time::Duration;
use tidegate_plugin::{MessageKey, OnError, config::Topics, units};

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Messages with the same are one.
    pub(crate) key: MessageKey,
    /// Which messages it is about.
    #[serde(default)]
    pub(crate) topics: Topics,
    /// For how long a message is remembered.
    #[serde(default = "a_minute", deserialize_with = "units::duration")]
    pub(crate) window: Duration,
    /// Whether messages on different topics are different.
    #[serde(default = "yes")]
    pub(crate) per_topic: bool,
    /// Whether messages of different clients are different.
    #[serde(default)]
    pub(crate) per_client: bool,
    /// What becomes of messages that cannot be looked up.
    #[serde(default)]
    pub(crate) on_error: OnError,
}

fn a_minute() -> Duration {
    Duration::from_secs(60)
}

fn yes() -> bool {
    true
}
