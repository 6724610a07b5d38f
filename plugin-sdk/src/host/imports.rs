//! The real thing: imports of the component.

use super::{milliseconds, timeout_ms};
use crate::{
    Level,
    bindings::lifecycle::{
        tidegate::plugin::{
            broker, config, current, engine, http, kv, logging, metrics, records, tcp, timers,
        },
        wasi::{clocks::wall_clock, random::random},
    },
    broker::{Client, Outgoing},
    events, property,
    storage::{Entry, Error, Op, Opened, Row},
};
use std::time::Duration;
use tidegate_mqtt::ReasonCode;

pub(crate) fn log_enabled(level: Level) -> bool {
    logging::enabled(level.into())
}

pub(crate) fn log(level: Level, text: &str, fields: &[(String, String)]) {
    logging::log(level.into(), text, fields);
}

pub(crate) fn config_get(key: &str) -> Option<String> {
    config::get(key)
}

pub(crate) fn config_document() -> String {
    config::document()
}

pub(crate) fn config_secret(name: &str) -> Option<String> {
    config::secret(name)
}

pub(crate) fn current_read(offset: u32, len: u32) -> Vec<u8> {
    current::read(offset, len)
}

pub(crate) fn current_attribute(name: &str) -> Option<String> {
    current::attribute(name)
}

pub(crate) fn current_attributes() -> Vec<(String, String)> {
    current::attributes()
}

pub(crate) fn current_origin() -> Option<String> {
    current::origin()
}

pub(crate) fn current_hops() -> u8 {
    current::hops()
}

pub(crate) fn kv_get(key: &str) -> Result<Option<Vec<u8>>, crate::kv::Error> {
    Ok(kv::get(key)?)
}

pub(crate) fn kv_set(key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), crate::kv::Error> {
    Ok(kv::set(key, value, ttl.map(milliseconds))?)
}

pub(crate) fn kv_delete(key: &str) -> Result<bool, crate::kv::Error> {
    Ok(kv::delete(key)?)
}

pub(crate) fn kv_add(key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, crate::kv::Error> {
    Ok(kv::add(key, delta, ttl.map(milliseconds))?)
}

pub(crate) fn kv_swap(
    key: &str,
    old: Option<&[u8]>,
    new: Option<&[u8]>,
    ttl: Option<Duration>,
) -> Result<bool, crate::kv::Error> {
    Ok(kv::swap(key, old, new, ttl.map(milliseconds))?)
}

pub(crate) fn kv_keys(
    prefix: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<String>, crate::kv::Error> {
    Ok(kv::keys(prefix, after, limit)?)
}

pub(crate) fn broker_publish(message: Outgoing) -> Result<(), crate::broker::Error> {
    let Outgoing { topic, payload, qos, retain, properties } = message;
    let properties = property::to_list(properties);
    Ok(broker::publish(&broker::Outgoing { topic, payload, qos: qos as u8, retain, properties })?)
}

pub(crate) fn broker_disconnect(session: u64, code: ReasonCode) -> Result<(), crate::broker::Error> {
    Ok(broker::disconnect(session, code as u8)?)
}

pub(crate) fn broker_client(session: u64) -> Result<Option<Client>, crate::broker::Error> {
    Ok(broker::client(session)?.map(Client::from))
}

pub(crate) fn broker_find(client_id: &str) -> Result<Option<u64>, crate::broker::Error> {
    Ok(broker::find(client_id)?)
}

pub(crate) fn broker_subscribers(topic: &str, limit: u32) -> Result<Vec<Client>, crate::broker::Error> {
    Ok(broker::subscribers(topic, limit)?.into_iter().map(Client::from).collect())
}

pub(crate) fn broker_forget(client_id: Option<&str>) -> Result<(), crate::broker::Error> {
    Ok(broker::forget(client_id)?)
}

pub(crate) fn broker_retained(topic: &str) -> Result<Option<Vec<u8>>, crate::broker::Error> {
    Ok(broker::retained(topic)?)
}

pub(crate) fn metrics_count(name: &str, delta: u64, labels: &[(&str, &str)]) {
    metrics::count(name, delta, &owned(labels));
}

pub(crate) fn metrics_gauge(name: &str, value: f64, labels: &[(&str, &str)]) {
    metrics::gauge(name, value, &owned(labels));
}

pub(crate) fn metrics_observe(name: &str, value: f64, labels: &[(&str, &str)]) {
    metrics::observe(name, value, &owned(labels));
}

fn owned(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

pub(crate) fn timers_set(delay: Duration, period: Option<Duration>, token: u64) -> bool {
    timers::set(milliseconds(delay), period.map(milliseconds), token)
}

pub(crate) fn timers_cancel(token: u64) {
    timers::cancel(token);
}

pub(crate) fn http_fetch(request: crate::http::Request) -> Result<crate::http::Response, crate::http::Error> {
    let timeout_ms = timeout_ms(request.timeout);
    let crate::http::Request { method, url, headers, body, .. } = request;
    let response = http::fetch(&http::Request { method, url, headers, body, timeout_ms })?;
    Ok(crate::http::Response { status: response.status, headers: response.headers, body: response.body })
}

pub(crate) fn since_1970() -> Duration {
    let now = wall_clock::now();
    Duration::from_secs(now.seconds).saturating_add(Duration::from_nanos(now.nanoseconds.into()))
}

pub(crate) fn random_bytes(count: usize) -> Vec<u8> {
    random::get_random_bytes(count as u64)
}

pub(crate) type TcpConnection = tcp::Connection;

pub(crate) fn tcp_open(origin: &str, timeout: Option<Duration>) -> Result<TcpConnection, crate::tcp::Error> {
    Ok(tcp::Connection::open(origin, timeout_ms(timeout))?)
}

pub(crate) fn tcp_write(
    connection: &mut TcpConnection,
    bytes: &[u8],
    timeout: Option<Duration>,
) -> Result<(), crate::tcp::Error> {
    Ok(connection.write(bytes, timeout_ms(timeout))?)
}

pub(crate) fn tcp_read(
    connection: &mut TcpConnection,
    most: u32,
    timeout: Option<Duration>,
) -> Result<Vec<u8>, crate::tcp::Error> {
    Ok(connection.read(most, timeout_ms(timeout))?)
}

pub(crate) fn engine_open(format: u32, term: Option<u64>) -> Result<Opened, Error> {
    let records::Opened { sequence, term } = engine::open(format, term)?;
    Ok(Opened { sequence, term })
}

pub(crate) fn engine_commit(ops: Vec<Op>, durable: bool) -> Result<u64, Error> {
    let ops: Vec<_> = ops.into_iter().map(records::Op::from).collect();
    Ok(engine::commit(&ops, durable)?)
}

pub(crate) fn engine_get(table: u8, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    Ok(engine::get(table, key)?)
}

pub(crate) fn engine_scan(
    table: u8,
    prefix: &[u8],
    after: Option<&[u8]>,
    max_bytes: u32,
) -> Result<Vec<Row>, Error> {
    let rows = engine::scan(table, prefix, after, max_bytes)?;
    Ok(rows.into_iter().map(|records::Row { key, value }| Row { key, value }).collect())
}

impl From<Op> for records::Op {
    fn from(op: Op) -> Self {
        match op {
            Op::Put(Entry { table, key, value, expires }) => {
                Self::Put(records::Entry { table, key, value, expires_ms: expires.map(milliseconds) })
            }
            Op::Delete { table, key } => Self::Delete((table, key)),
        }
    }
}

impl From<records::Error> for Error {
    fn from(error: records::Error) -> Self {
        match error {
            records::Error::Retry(why) => Self::Retry(why),
            records::Error::Fatal(why) => Self::Fatal(why),
            records::Error::Unknown(why) => Self::Unknown(why),
        }
    }
}

impl From<tcp::Error> for crate::tcp::Error {
    fn from(error: tcp::Error) -> Self {
        match error {
            tcp::Error::Denied => Self::Denied,
            tcp::Error::Timeout => Self::Timeout,
            tcp::Error::TooMany => Self::TooMany,
            tcp::Error::Other(why) => Self::Failed(why),
        }
    }
}

impl From<Level> for logging::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

impl From<kv::Error> for crate::kv::Error {
    fn from(error: kv::Error) -> Self {
        match error {
            kv::Error::Denied => Self::Denied,
            kv::Error::Full => Self::Full,
            kv::Error::Other(why) => Self::Failed(why),
        }
    }
}

impl From<broker::Error> for crate::broker::Error {
    fn from(error: broker::Error) -> Self {
        match error {
            broker::Error::Denied => Self::Denied,
            broker::Error::Busy => Self::Busy,
            broker::Error::NotFound => Self::NotFound,
            broker::Error::TooManyHops => Self::TooManyHops,
            broker::Error::Invalid(why) => Self::Invalid(why),
        }
    }
}

impl From<broker::ClientInfo> for Client {
    fn from(info: broker::ClientInfo) -> Self {
        let broker::ClientInfo { session, client_id, username, peer, listener, since_ms } = info;
        Self { session, client_id, username, peer, listener, since: events::time(since_ms) }
    }
}

impl From<http::Error> for crate::http::Error {
    fn from(error: http::Error) -> Self {
        match error {
            http::Error::Denied => Self::Denied,
            http::Error::Timeout => Self::Timeout,
            http::Error::TooLarge => Self::TooLarge,
            http::Error::TooMany => Self::TooMany,
            http::Error::Other(why) => Self::Failed(why),
        }
    }
}
