//! A plugin's table: `[plugin.NAME]` in the broker's configuration, or the file `NAME.toml` beside `NAME.wasm`.

use crate::{
    grants::{Grants, SecretSource},
    limits::Limits,
};
use serde::{Deserialize, Deserializer, de};
use std::{collections::BTreeMap, fmt, path::Path};
use tidegate_mqtt::TopicFilter;

/// What the operator says about one plugin. The same keys stand at the top level of `NAME.toml`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct PluginConfig {
    /// Lower is asked earlier; plugins of the same order go by name. Default 0.
    pub order: i32,
    /// Whether the broker refuses to start without it. Default false.
    pub required: bool,
    /// Topic filters for a hook, instead of those the plugin names itself; an empty list for all topics. Default: what the
    /// plugin says.
    #[serde(deserialize_with = "scopes")]
    pub scopes: BTreeMap<ScopedHook, Vec<TopicFilter>>,
    /// What it may reach. Default nothing.
    pub grants: Grants,
    /// What it may ask for by name, see `config.secret`. Default nothing.
    pub secrets: BTreeMap<String, SecretSource>,
    /// What it may use up.
    pub limits: Limits,
    /// What becomes of a message if `on-publish` fails. Only for plugins with that hook: access is always refused.
    pub on_fault: OnFault,
    /// What a recipient gets if `on-deliver` fails. Only for plugins with that hook.
    pub on_deliver_fault: OnDeliverFault,
    /// Handed to the plugin as it is.
    pub config: toml::Table,
}

impl PluginConfig {
    /// Files that are named in it become relative to `folder`, where it lies.
    pub fn lies_beside(&mut self, folder: &Path) {
        self.grants.lie_beside(folder);
        self.secrets.values_mut().for_each(|source| source.lies_beside(folder));
    }

    /// For reports and logs: grants, and the names of secrets.
    pub(crate) fn grant_names(&self) -> Vec<String> {
        let names: Vec<&str> = self.secrets.keys().map(String::as_str).collect();
        let secrets = (!names.is_empty()).then(|| format!("secrets {}", names.join(", ")));
        self.grants.names().into_iter().chain(secrets).collect()
    }
}

/// A hook that can be narrowed to some topics.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "lowercase")]
pub enum ScopedHook {
    /// `acl.check`
    Acl,
    /// `publish.on-publish` and `publish-batch.on-publish`
    Publish,
    /// `subscribe.on-subscribe`
    Subscribe,
    /// `subscribers.select` and `subscribers.pick`
    Subscribers,
    /// `deliver.on-deliver`
    Deliver,
    /// `events.on-events`
    Events,
}

impl ScopedHook {
    pub(crate) const ALL: [Self; 6] =
        [Self::Acl, Self::Publish, Self::Subscribe, Self::Subscribers, Self::Deliver, Self::Events];

    /// As written in configurations and by plugins.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acl => "acl",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Subscribers => "subscribers",
            Self::Deliver => "deliver",
            Self::Events => "events",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.name() == name)
    }
}

impl fmt::Display for ScopedHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a failed `on-publish` means.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum OnFault {
    /// The message is refused.
    #[default]
    Refuse,
    /// The message goes on as if the plugin had not been asked.
    Next,
}

impl From<OnFault> for tidegate_hooks::OnFault {
    fn from(on_fault: OnFault) -> Self {
        match on_fault {
            OnFault::Refuse => Self::Refuse,
            OnFault::Next => Self::Next,
        }
    }
}

/// What a failed `on-deliver` means.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum OnDeliverFault {
    /// The recipient gets the message as it is.
    #[default]
    Deliver,
    /// The recipient does not get it.
    Drop,
}

impl From<OnDeliverFault> for tidegate_hooks::OnDeliverFault {
    fn from(on_fault: OnDeliverFault) -> Self {
        match on_fault {
            OnDeliverFault::Deliver => Self::Deliver,
            OnDeliverFault::Drop => Self::Drop,
        }
    }
}

fn scopes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<ScopedHook, Vec<TopicFilter>>, D::Error> {
    let texts = BTreeMap::<ScopedHook, Vec<String>>::deserialize(deserializer)?;
    let parse = |hook: ScopedHook, text: &String| {
        TopicFilter::new(text)
            .map_err(|why| de::Error::custom(format!("{hook}: topic filter {text:?}: {why}")))
    };
    let parsed = texts.into_iter().map(|(hook, texts)| {
        let filters = texts.iter().map(|text| parse(hook, text)).collect::<Result<_, _>>()?;
        Ok((hook, filters))
    });
    parsed.collect()
}

/// A plugin's table as the guest sees it through `config`.
#[derive(Clone, Debug, Default)]
pub(crate) struct GuestConfig {
    keys: BTreeMap<String, String>,
    document: String,
}

impl GuestConfig {
    pub(crate) fn new(table: &toml::Table) -> Self {
        let json: serde_json::Map<_, _> =
            table.iter().map(|(key, value)| (key.clone(), json(value))).collect();
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let keys = json.iter().map(|(key, value)| (key.clone(), text(value))).collect();
        Self { keys, document: serde_json::Value::Object(json).to_string() }
    }

    pub(crate) fn key(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    pub(crate) fn document(&self) -> &str {
        &self.document
    }
}

/// TOML as JSON; dates become text, and what JSON cannot say (nan, inf) null.
fn json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(values) => values.iter().map(json).collect(),
        toml::Value::Table(table) => {
            serde_json::Value::Object(table.iter().map(|(key, value)| (key.clone(), json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ByteSize;
    use std::time::Duration;

    fn error(text: &str) -> String {
        toml::from_str::<PluginConfig>(text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_table_is_the_default() {
        assert_eq!(toml::from_str::<PluginConfig>("").unwrap(), PluginConfig::default());
    }

    #[test]
    fn every_key_is_read() {
        let config: PluginConfig = toml::from_str(
            r##"
            order = -3
            required = true
            on_fault = "next"
            on_deliver_fault = "drop"
            scopes = { publish = ["a/#"], acl = [], subscribe = ["b"], subscribers = [], deliver = ["c"], events = ["d"] }
            grants.kv = "1MiB"
            grants.clients = true
            secrets = { token = "env:TOKEN", key = "file:key" }
            config = { greeting = "hello", list = [1, 2] }
            [limits]
            instances = 1
            memory = "16MiB"
            table_elements = 10
            deadline = "5ms"
            concurrent = 2
            waiting = 3
            calls_per_second = 1000
            auth_timeout = "1s"
            event_timeout = "2s"
            timer_timeout = "3s"
            storage_timeout = "4s"
            wait_timeout = "5s"
            init_timeout = "6s"
            log_lines = 7
            metric_series = 8
            timers = 9
            http_response = "1KiB"
            http_timeout = "3s"
            http_concurrent = 10
            "##,
        )
        .unwrap();
        assert_eq!(config.order, -3);
        assert!(config.required);
        assert_eq!(config.on_fault, OnFault::Next);
        assert_eq!(config.on_deliver_fault, OnDeliverFault::Drop);
        assert_eq!(config.scopes.len(), ScopedHook::ALL.len());
        assert_eq!(config.scopes[&ScopedHook::Publish], [TopicFilter::new("a/#").unwrap()]);
        assert!(config.scopes[&ScopedHook::Acl].is_empty());
        assert_eq!(config.grants.kv, Some(ByteSize::mib(1)));
        assert_eq!(config.limits.instances.unwrap().get(), 1);
        assert_eq!(config.limits.memory, ByteSize::mib(16));
        assert_eq!(config.limits.deadline, Duration::from_millis(5));
        assert_eq!(config.limits.calls_per_second.unwrap().get(), 1000);
        assert_eq!(config.limits.concurrent(true), 2);
        assert_eq!(config.limits.wait_timeout, Duration::from_secs(5));
        assert_eq!(config.limits.http_timeout, Duration::from_secs(3));
        assert_eq!(config.grant_names(), ["kv 1MiB", "clients", "secrets key, token"]);
    }

    #[test]
    fn what_is_not_known_or_not_meant_is_refused() {
        assert!(error("ordr = 1").contains("unknown field `ordr`"));
        assert!(error("grants.htp = []").contains("unknown field `htp`"));
        assert!(error("secrets.token = 'hunter2'").contains("env:VARIABLE"));
        assert!(error("limits.memroy = 1").contains("unknown field `memroy`"));
        assert!(error("scopes.pubish = []").contains("unknown variant `pubish`"));
        assert!(error("scopes.acl = ['a/#/b']").contains("# must be the last level"));
        assert!(error("limits.deadline = 10").contains("expected a string"));
        assert!(error("limits.deadline = '10'").contains("is not a duration"));
        assert!(error("limits.deadline = '0ms'").contains("more than nothing"));
        assert!(error("limits.calls_per_second = 0").contains("nonzero"));
        assert!(error("on_deliver_fault = 'refuse'").contains("unknown variant `refuse`"));
        assert!(error("limits.instances = 0").contains("nonzero"));
        assert!(error("limits.memory = '64M'").contains("is not a size"));
        assert!(error("on_fault = 'allow'").contains("unknown variant `allow`"));
    }

    #[test]
    fn files_lie_where_the_table_lies() {
        let text =
            "secrets = { a = 'file:a', b = 'file:/b' }\ngrants.http = { origins = ['https://c'], ca = 'ca' }";
        let mut config: PluginConfig = toml::from_str(text).unwrap();
        config.lies_beside(Path::new("/etc"));
        config.lies_beside(Path::new("/elsewhere"));
        assert_eq!(config.secrets["a"], SecretSource::File("/etc/a".into()));
        assert_eq!(config.secrets["b"], SecretSource::File("/b".into()));
        assert_eq!(config.grants.http.unwrap().ca.unwrap(), Path::new("/etc/ca"));
    }

    #[test]
    fn the_guest_sees_strings_as_they_are_and_the_rest_as_json() {
        let table: toml::Table =
            toml::from_str("text = 'a \"b\"'\nlist = [1, true]\nday = 2026-11-20\nt = { x = 1.5 }").unwrap();
        let config = GuestConfig::new(&table);
        assert_eq!(config.key("text"), Some("a \"b\""));
        assert_eq!(config.key("list"), Some("[1,true]"));
        assert_eq!(config.key("day"), Some("2026-11-20"));
        assert_eq!(config.key("t"), Some("{\"x\":1.5}"));
        assert_eq!(config.key("missing"), None);
        let document: serde_json::Value = serde_json::from_str(config.document()).unwrap();
        assert_eq!(document["list"][0], 1);
    }
}
