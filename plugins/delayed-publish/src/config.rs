//! `[plugin.delayed-publish.config]`

use serde::Deserialize;
use std::time::Duration;
use tidegate_plugin::{config::Filter, units};

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The longest delay.
    #[serde(default = "a_week", deserialize_with = "units::duration")]
    pub(crate) max_delay: Duration,
    /// Messages that wait.
    #[serde(default = "ten_thousand")]
    pub(crate) max_messages: u32,
    /// Where messages may go later. Topics that begin with `$` only if a filter says so.
    #[serde(default = "all")]
    pub(crate) topics: Vec<Filter>,
}

fn a_week() -> Duration {
    Duration::from_secs(7 * 86_400)
}

fn ten_thousand() -> u32 {
    10_000
}

fn all() -> Vec<Filter> {
    Filter::try_from("#".to_owned()).into_iter().collect()
}
