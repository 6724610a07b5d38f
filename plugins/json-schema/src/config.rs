//! `[plugin.json-schema.config]`

use crate::schema::Schema;
use serde::Deserialize;
use serde_json::Value;
use tidegate_plugin::{
    TemplateError,
    config::{self, Topics},
    units::ByteSize,
};

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A payload must be as all say whose topics hold its message.
    pub(crate) check: Vec<Check>,
    /// Bytes of a payload; a larger one is as no schema says.
    #[serde(default = "enough")]
    pub(crate) max_payload: ByteSize,
}

/// Read and checked in a part of the deadline, even if it is made of the smallest values.
fn enough() -> ByteSize {
    ByteSize(64 << 10)
}

/// What payloads on some topics must be.
#[derive(Debug, Deserialize)]
#[serde(try_from = "CheckTable")]
pub(crate) struct Check {
    pub(crate) name: Option<String>,
    pub(crate) topics: Topics,
    pub(crate) schema: Schema,
    pub(crate) on_failure: OnFailure,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckTable {
    name: Option<String>,
    #[serde(default)]
    topics: Topics,
    schema: Option<Inline>,
    secret: Option<Secret>,
    #[serde(default)]
    on_failure: OnFailure,
}

/// What becomes of a message whose payload is not as it must be.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnFailure {
    /// 0x99.
    #[default]
    Refuse,
    Swallow,
    /// It goes on with a user property that says so.
    Mark,
}

impl OnFailure {
    /// As in the config.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Swallow => "swallow",
            Self::Mark => "mark",
        }
    }
}

/// A schema in the config: a table, or JSON as text.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
struct Inline(Schema);

/// A schema that the operator grants as a secret, which may lie in a file.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Secret(Schema);

impl TryFrom<CheckTable> for Check {
    type Error = String;
    fn try_from(table: CheckTable) -> Result<Self, String> {
        let CheckTable { name, topics, schema, secret, on_failure } = table;
        let schema = match (schema, secret) {
            (Some(Inline(schema)), None) | (None, Some(Secret(schema))) => schema,
            _ => return Err("it needs one of `schema` and `secret`".into()),
        };
        Ok(Self { name, topics, schema, on_failure })
    }
}

impl TryFrom<Value> for Inline {
    type Error = String;
    fn try_from(schema: Value) -> Result<Self, String> {
        match schema {
            Value::String(text) => read(&text).map(Self),
            schema => compiled(&schema).map(Self),
        }
    }
}

impl TryFrom<String> for Secret {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        let text = config::secret(&name).ok_or_else(|| TemplateError::Secret(name).to_string())?;
        read(&text).map(Self)
    }
}

fn read(text: &str) -> Result<Schema, String> {
    compiled(&serde_json::from_str(text).map_err(|why| format!("it is not JSON: {why}"))?)
}

fn compiled(schema: &Value) -> Result<Schema, String> {
    Schema::new(schema).map_err(|why| why.to_string())
}
