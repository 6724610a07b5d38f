//! `[plugin.webhook.config]`

use serde::Deserialize;
use std::{num::NonZeroUsize, time::Duration};
use tidegate_plugin::{Template, TemplateError, config, events, http::Headers, units};

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Table")]
pub struct Config {
    pub(crate) url: Url,
    pub(crate) headers: Headers,
    pub(crate) events: Vec<Kind>,
    pub(crate) format: Format,
    /// Events of one request.
    pub(crate) max_batch: usize,
    /// How long the first event of a batch waits for others.
    pub(crate) max_delay: Duration,
    /// Events that wait.
    pub(crate) queue: usize,
    /// Of one request.
    pub(crate) timeout: Duration,
    pub(crate) retry_min: Duration,
    pub(crate) retry_max: Duration,
    pub(crate) signing_secret: Option<Secret>,
}

/// What becomes of clients, and of the broker; nothing that comes with messages, or by the clock.
const USUAL: [&str; 10] = [
    events::STARTED,
    events::STOPPING,
    events::REFUSED,
    events::CONNECTED,
    events::DISCONNECTED,
    events::SESSION_EXPIRED,
    events::SUBSCRIBED,
    events::UNSUBSCRIBED,
    events::WILL_SENT,
    events::PLUGIN_CHANGED,
];

/// How events stand in a body.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// An array.
    Json,
    /// One on each line.
    Ndjson,
}

/// Where to. It may hold secrets.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Template")]
pub(crate) struct Url(Template);

impl Url {
    /// None: a secret is gone.
    pub(crate) fn filled(&self) -> Option<String> {
        self.0.fill(|_| None)
    }
}

impl TryFrom<Template> for Url {
    type Error = String;
    fn try_from(template: Template) -> Result<Self, String> {
        if let Some(name) = template.names().next() {
            return Err(format!("there is no ${{{name}}}; only ${{secret:NAME}} can stand here"));
        }
        match ["https://", "http://"].iter().any(|scheme| template.beginning().starts_with(scheme)) {
            true => Ok(Self(template)),
            false => Err("it begins with https:// or http://".into()),
        }
    }
}

/// A kind of events.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Kind(pub(crate) String);

impl TryFrom<String> for Kind {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        match events::KINDS.contains(&name.as_str()) {
            true => Ok(Self(name)),
            false => Err(format!("{name:?} is no kind of event; known are {}", events::KINDS.join(", "))),
        }
    }
}

/// The name of a secret that was granted.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Secret(String);

impl Secret {
    /// As it is now.
    pub(crate) fn value(&self) -> Option<String> {
        config::secret(&self.0)
    }
}

impl TryFrom<String> for Secret {
    type Error = TemplateError;
    fn try_from(name: String) -> Result<Self, TemplateError> {
        if config::secret(&name).is_some() { Ok(Self(name)) } else { Err(TemplateError::Secret(name)) }
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    url: Option<Url>,
    headers: Headers,
    events: Vec<Kind>,
    format: Format,
    max_batch: NonZeroUsize,
    #[serde(deserialize_with = "units::duration")]
    max_delay: Duration,
    queue: NonZeroUsize,
    #[serde(deserialize_with = "units::duration")]
    timeout: Duration,
    #[serde(deserialize_with = "units::duration")]
    retry_min: Duration,
    #[serde(deserialize_with = "units::duration")]
    retry_max: Duration,
    signing_secret: Option<Secret>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            url: None,
            headers: Headers::default(),
            events: USUAL.map(|kind| Kind(kind.into())).into(),
            format: Format::Json,
            max_batch: NonZeroUsize::MIN.saturating_add(99),
            max_delay: Duration::from_secs(1),
            queue: NonZeroUsize::MIN.saturating_add(9_999),
            timeout: Duration::from_secs(3),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
            signing_secret: None,
        }
    }
}

impl TryFrom<Table> for Config {
    type Error = &'static str;
    fn try_from(table: Table) -> Result<Self, &'static str> {
        let url = table.url.ok_or("missing field `url`, such as \"https://hooks.example/tidegate\"")?;
        if table.events.is_empty() {
            return Err("`events` names no kind; without that key the usual ones are sent");
        }
        if table.retry_max < table.retry_min {
            return Err("`retry_max` is less than `retry_min`");
        }
        Ok(Self {
            url,
            headers: table.headers,
            events: table.events,
            format: table.format,
            max_batch: table.max_batch.into(),
            max_delay: table.max_delay,
            queue: table.queue.into(),
            timeout: table.timeout,
            retry_min: table.retry_min,
            retry_max: table.retry_max,
            signing_secret: table.signing_secret,
        })
    }
}
