//! What the plugin was asked, published as JSON.

use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tidegate_plugin::{
    Candidate, Connect, Message, Property, PropertyValue, QoS, Start,
    broker::{self, Outgoing},
    current, warn,
};

const HOOKS: [&str; 9] =
    ["init", "authenticate", "proceed", "acl", "publish", "subscribe", "select", "pick", "deliver"];

/// The hooks whose questions are published.
pub(crate) struct Report(Vec<String>);

impl Report {
    pub(crate) fn new(hooks: &[String]) -> Result<Self, String> {
        match hooks.iter().find(|hook| !HOOKS.contains(&hook.as_str())) {
            Some(unknown) => Err(format!("config key `report`: {unknown:?} is none of {}", HOOKS.join(", "))),
            None => Ok(Self(hooks.to_vec())),
        }
    }

    /// Publishes the question on `saw/HOOK`, with what `current` tells of it.
    pub(crate) fn saw(&self, hook: &str, question: impl FnOnce() -> Value) {
        if self.0.iter().any(|reported| reported == hook) {
            let mut seen = question();
            seen["attributes"] = attributes();
            seen["origin"] = current::origin().into();
            seen["hops"] = current::hops().into();
            say(&format!("saw/{hook}"), &seen);
        }
    }

    pub(crate) fn started(&self, start: &Start) {
        self.saw("init", || {
            json!({
                "plugin": start.plugin, "generation": start.generation,
                "broker_version": start.broker_version, "state": start.state.as_deref().map(text),
            })
        });
    }
}

/// Publishes at QoS 1.
pub(crate) fn say(topic: &str, value: &Value) {
    let message = Outgoing::new(topic, value.to_string()).qos(QoS::AtLeastOnce);
    if let Err(why) = broker::publish(message) {
        warn!("not published", topic, why);
    }
}

pub(crate) fn attributes() -> Value {
    current::attributes().into_iter().map(|(name, value)| (name, Value::from(value))).collect()
}

/// Bytes as text, as far as they are.
pub(crate) fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into()
}

pub(crate) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn connect(client: &Connect) -> Value {
    json!({
        "session": client.session, "client_id": client.client_id, "username": client.username,
        "password": client.password.as_deref().map(text), "protocol": client.protocol,
        "clean_start": client.clean_start, "keep_alive": client.keep_alive.as_secs(),
        "listener": client.listener, "peer": client.peer, "tls_subject": client.tls_subject,
        "tls_sans": client.tls_sans, "tls_username": client.tls_username,
        "properties": properties(&client.properties),
    })
}

pub(crate) fn message(message: &Message) -> Value {
    json!({
        "session": message.session, "client_id": message.client_id, "username": message.username,
        "topic": message.topic, "qos": message.qos as u8, "retain": message.retain,
        "payload_len": message.payload_len, "payload": text(&message.payload()),
        "properties": properties(&message.properties),
    })
}

pub(crate) fn candidates(candidates: &[Candidate]) -> Value {
    let value = |candidate: &Candidate| {
        json!({
            "session": candidate.session, "client_id": candidate.client_id, "filter": candidate.filter,
            "qos": candidate.qos as u8,
        })
    };
    candidates.iter().map(value).collect()
}

/// Pairs of identifier and value; a user property's value is a pair again.
pub(crate) fn properties(properties: &[Property]) -> Value {
    let value = |property: &Property| {
        let value = match &property.value {
            PropertyValue::Number(number) => json!(number),
            PropertyValue::Text(text) => json!(text),
            PropertyValue::Bytes(bytes) => text(bytes),
            PropertyValue::Pair(name, value) => json!([name, value]),
        };
        json!([property.id, value])
    };
    properties.iter().map(value).collect()
}
