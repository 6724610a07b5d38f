//! `[plugin.topic-rewrite.config]`

use crate::rule::Rule;
use serde::Deserialize;

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The first that fits is used.
    pub(crate) rewrite: Vec<Rule>,
}
