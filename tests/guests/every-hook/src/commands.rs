//! Messages that make the plugin call an import: `do/INTERFACE/FUNCTION` with its arguments as JSON. The result is published on
//! `done/INTERFACE/FUNCTION`: `{"ok": …}` or `{"error": …}`, and the `id` of the arguments if they have one.

use crate::report;
use crate::words::{Code, Qos};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use tidegate_plugin::{
    Property, ReasonCode,
    broker::{self, Client, Outgoing},
    config, current, http, kv,
    logging::{self, Level},
    metrics, timers,
};

/// What their topics begin with.
pub(crate) const PREFIX: &str = "do/";

/// Runs one and publishes what came of it.
pub(crate) fn run(command: &str, arguments: &[u8]) {
    let arguments = if arguments.is_empty() { b"{}" } else { arguments };
    let parsed = serde_json::from_slice::<Value>(arguments).map_err(|why| why.to_string());
    let id = parsed.as_ref().ok().and_then(|arguments| arguments.get("id").cloned());
    let mut done = match parsed.and_then(|arguments| result(command, arguments)) {
        Ok(value) => json!({ "ok": value }),
        Err(why) => json!({ "error": why }),
    };
    if let Some(id) = id {
        done["id"] = id;
    }
    report::say(&format!("done/{command}"), &done);
}

/// The arguments of one command. Keys that it does not know are passed over: `id` is among them.
fn of<A: DeserializeOwned>(arguments: Value) -> Result<A, String> {
    serde_json::from_value(arguments).map_err(|why| why.to_string())
}

fn result(command: &str, arguments: Value) -> Result<Value, String> {
    let Some((interface, function)) = command.split_once('/') else {
        return Err(format!("{command:?} is not INTERFACE/FUNCTION"));
    };
    match interface {
        "kv" => kv_call(function, of(arguments)?),
        "broker" => broker_call(function, arguments),
        "current" => current_call(function, of(arguments)?),
        "config" => config_call(function, of(arguments)?),
        "metrics" => metrics_call(function, of(arguments)?),
        "timers" => timers_call(function, of(arguments)?),
        "http" => http_call(function, of(arguments)?),
        "logging" => logging_call(function, of(arguments)?),
        _ => Err(unknown(interface, function)),
    }
}

fn unknown(interface: &str, function: &str) -> String {
    format!("there is no {interface}/{function}")
}

#[derive(Deserialize)]
#[serde(default)]
struct Kv {
    key: String,
    value: String,
    old: Option<String>,
    delta: i64,
    ttl_ms: Option<u64>,
    prefix: String,
    after: Option<String>,
    limit: u32,
}

impl Default for Kv {
    fn default() -> Self {
        let (key, value, prefix) = (String::new(), String::new(), String::new());
        Self { key, value, old: None, delta: 1, ttl_ms: None, prefix, after: None, limit: 100 }
    }
}

fn kv_call(function: &str, arguments: Kv) -> Result<Value, String> {
    let Kv { key, value, old, delta, ttl_ms, prefix, after, limit } = arguments;
    let ttl = ttl_ms.map(Duration::from_millis);
    let result = match function {
        "get" => kv::get(&key).map(|value| value.as_deref().map(report::text).into()),
        "set" => kv::set(&key, value.as_bytes(), ttl).map(Value::from),
        "delete" => kv::delete(&key).map(Value::from),
        "add" => kv::add(&key, delta, ttl).map(Value::from),
        "swap" => kv::swap(&key, old.as_deref().map(str::as_bytes), value.as_bytes()).map(Value::from),
        "keys" => kv::keys(&prefix, after.as_deref(), limit).map(Value::from),
        _ => return Err(unknown("kv", function)),
    };
    result.map_err(|error| match error {
        kv::Error::Denied => "denied".to_owned(),
        kv::Error::Full => "full".to_owned(),
        kv::Error::Failed(why) => why,
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Publish {
    topic: String,
    payload: String,
    qos: Option<Qos>,
    retain: bool,
    user_properties: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ask {
    session: u64,
    client_id: Option<String>,
    code: Option<Code>,
    topic: String,
    limit: Option<u32>,
}

fn broker_call(function: &str, arguments: Value) -> Result<Value, String> {
    let result = if function == "publish" {
        let Publish { topic, payload, qos, retain, user_properties } = of(arguments)?;
        let properties =
            user_properties.into_iter().map(|(name, value)| Property::user(name, value)).collect();
        let qos = qos.map(|qos| qos.0).unwrap_or_default();
        broker::publish(Outgoing { topic, payload: payload.into_bytes(), qos, retain, properties })
            .map(Value::from)
    } else {
        let Ask { session, client_id, code, topic, limit } = of(arguments)?;
        let code = code.map_or(ReasonCode::AdministrativeAction, |code| code.0);
        match function {
            "disconnect" => broker::disconnect(session, code).map(Value::from),
            "client" => broker::client(session).map(|client| client.as_ref().map(info).into()),
            "find" => broker::find(&client_id.unwrap_or_default()).map(Value::from),
            "subscribers" => broker::subscribers(&topic, limit.unwrap_or(100))
                .map(|clients| clients.iter().map(info).collect()),
            "forget" => broker::forget(client_id.as_deref()).map(Value::from),
            "retained" => broker::retained(&topic).map(|payload| payload.as_deref().map(report::text).into()),
            _ => return Err(unknown("broker", function)),
        }
    };
    result.map_err(|error| match error {
        broker::Error::Denied => "denied".to_owned(),
        broker::Error::Busy => "busy".to_owned(),
        broker::Error::NotFound => "not-found".to_owned(),
        broker::Error::TooManyHops => "too-many-hops".to_owned(),
        broker::Error::Invalid(why) => format!("invalid: {why}"),
    })
}

fn info(client: &Client) -> Value {
    json!({
        "session": client.session, "client_id": client.client_id, "username": client.username,
        "peer": client.peer, "listener": client.listener, "since_ms": report::milliseconds(client.since),
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Current {
    offset: u32,
    len: Option<u32>,
    name: String,
}

fn current_call(function: &str, arguments: Current) -> Result<Value, String> {
    let Current { offset, len, name } = arguments;
    match function {
        "read" => Ok(report::text(&current::read(offset, len.unwrap_or(100)))),
        "attribute" => Ok(current::attribute(&name).into()),
        "attributes" => Ok(report::attributes()),
        "origin" => Ok(current::origin().into()),
        "hops" => Ok(current::hops().into()),
        _ => Err(unknown("current", function)),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    key: String,
    name: String,
}

fn config_call(function: &str, Config { key, name }: Config) -> Result<Value, String> {
    match function {
        "get" => Ok(config::get(&key).into()),
        "document" => serde_json::from_str(&config::document()).map_err(|why| why.to_string()),
        "secret" => Ok(config::secret(&name).into()),
        _ => Err(unknown("config", function)),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metrics {
    name: String,
    delta: u64,
    value: f64,
    labels: BTreeMap<String, String>,
}

fn metrics_call(function: &str, arguments: Metrics) -> Result<Value, String> {
    let Metrics { name, delta, value, labels } = arguments;
    let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    match function {
        "count" => metrics::count(&name, delta, &labels),
        "gauge" => metrics::gauge(&name, value, &labels),
        "observe" => metrics::observe(&name, value, &labels),
        _ => return Err(unknown("metrics", function)),
    }
    Ok(Value::Null)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Timers {
    token: u64,
    after_ms: u64,
    every_ms: Option<u64>,
}

/// `set` says whether it was.
fn timers_call(function: &str, arguments: Timers) -> Result<Value, String> {
    let Timers { token, after_ms, every_ms } = arguments;
    match function {
        "set" => {
            let every = every_ms.map(Duration::from_millis);
            Ok(timers::set(token, Duration::from_millis(after_ms), every).is_ok().into())
        }
        "cancel" => {
            timers::cancel(token);
            Ok(Value::Null)
        }
        _ => Err(unknown("timers", function)),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fetch {
    method: Option<String>,
    url: String,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    timeout_ms: Option<u64>,
}

fn http_call(function: &str, arguments: Fetch) -> Result<Value, String> {
    if function != "fetch" {
        return Err(unknown("http", function));
    }
    let Fetch { method, url, headers, body, timeout_ms } = arguments;
    let request = http::Request {
        method: method.unwrap_or_else(|| "GET".to_owned()),
        url,
        headers: headers.into_iter().collect(),
        body: body.map(String::into_bytes),
        timeout: timeout_ms.map(Duration::from_millis),
    };
    let response = request.send().map_err(|error| match error {
        http::Error::Denied => "denied".to_owned(),
        http::Error::Timeout => "timeout".to_owned(),
        http::Error::TooLarge => "too-large".to_owned(),
        http::Error::TooMany => "too-many".to_owned(),
        http::Error::Failed(why) => why,
    })?;
    Ok(json!({ "status": response.status, "headers": response.headers, "body": response.text() }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Logging {
    level: String,
    text: String,
    fields: BTreeMap<String, String>,
}

/// `enabled` says whether it is.
fn logging_call(function: &str, Logging { level, text, fields }: Logging) -> Result<Value, String> {
    let level = match level.as_str() {
        "trace" => Level::Trace,
        "debug" => Level::Debug,
        "warn" => Level::Warn,
        "error" => Level::Error,
        _ => Level::Info,
    };
    match function {
        "enabled" => Ok(logging::enabled(level).into()),
        "log" => {
            let fields: Vec<_> = fields.into_iter().collect();
            logging::log(level, &text, &fields);
            Ok(Value::Null)
        }
        _ => Err(unknown("logging", function)),
    }
}
