//! `[plugin.stamp.config]`

use serde::Deserialize;
use tidegate_plugin::config::Filter;

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Topic filters; none: all topics.
    pub(crate) topics: Vec<Filter>,
    /// Name of the field.
    pub(crate) field: String,
    /// Text of the field, in which `{generation}` and `{label}` are filled. None: an object with both.
    value: Option<String>,
    /// What becomes of payloads that are not JSON objects.
    pub(crate) on_other: OnOther,
}

impl Default for Config {
    fn default() -> Self {
        Self { topics: Vec::new(), field: "stamp".into(), value: None, on_other: OnOther::Pass }
    }
}

impl Config {
    pub(crate) fn value_as_json(&self, generation: u64, label: &str) -> String {
        match &self.value {
            None => serde_json::json!({ "generation": generation, "label": label }).to_string(),
            Some(text) => {
                let text = text.replace("{generation}", &generation.to_string()).replace("{label}", label);
                serde_json::Value::from(text).to_string()
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnOther {
    /// They go on unchanged.
    Pass,
    /// Reason code 0x99.
    Refuse,
}
