//! In place of the broker, one for each thread: as it is with tests.

mod broker;
mod engine;
mod http;
mod kv;
mod metrics;
mod random;
mod tcp;
mod timers;

pub(crate) use broker::*;
pub(crate) use engine::*;
pub(crate) use http::*;
pub(crate) use kv::*;
pub(crate) use metrics::*;
pub(crate) use random::*;
pub(crate) use tcp::*;
pub(crate) use timers::*;

use crate::{
    Level,
    testing::{Granted, Line},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

pub(crate) struct Fake {
    pub(crate) log_level: Level,
    pub(crate) logged: Vec<Line>,
    pub(crate) config: serde_json::Value,
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) current: Current,
    /// Since the test began.
    pub(crate) now: Duration,
    /// When it began, since 1970.
    pub(crate) began: Duration,
    /// The next random bytes.
    pub(crate) random: VecDeque<u8>,
    pub(crate) denied: Vec<Granted>,
    pub(crate) kv: Kv,
    pub(crate) broker: Broker,
    pub(crate) metrics: Metrics,
    pub(crate) timers: BTreeMap<u64, Timer>,
    pub(crate) http: Http,
    pub(crate) tcp: Option<Opening>,
    pub(crate) engine: Engine,
}

/// What the running hook is about.
#[derive(Default)]
pub(crate) struct Current {
    pub(crate) payload: Vec<u8>,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) origin: Option<String>,
    pub(crate) hops: u8,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            log_level: Level::Trace,
            logged: Vec::new(),
            config: serde_json::Value::Object(serde_json::Map::new()),
            secrets: BTreeMap::new(),
            current: Current::default(),
            now: Duration::ZERO,
            began: Duration::ZERO,
            random: VecDeque::new(),
            denied: Vec::new(),
            kv: Kv::default(),
            broker: Broker::default(),
            metrics: Metrics::default(),
            timers: BTreeMap::new(),
            http: Http::default(),
            tcp: None,
            engine: Engine::default(),
        }
    }
}

thread_local! {
    static FAKE: RefCell<Fake> = RefCell::default();
}

pub(crate) fn with<R>(f: impl FnOnce(&mut Fake) -> R) -> R {
    FAKE.with_borrow_mut(f)
}

pub(crate) fn log_enabled(level: Level) -> bool {
    with(|fake| level >= fake.log_level)
}

pub(crate) fn log(level: Level, text: &str, fields: &[(String, String)]) {
    with(|fake| fake.logged.push(Line { level, text: text.into(), fields: fields.to_vec() }));
}

pub(crate) fn config_get(key: &str) -> Option<String> {
    with(|fake| match fake.config.get(key)? {
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    })
}

pub(crate) fn config_document() -> String {
    with(|fake| fake.config.to_string())
}

pub(crate) fn config_secret(name: &str) -> Option<String> {
    with(|fake| fake.secrets.get(name).cloned())
}

pub(crate) fn since_1970() -> Duration {
    with(|fake| fake.began + fake.now)
}

pub(crate) fn current_read(offset: u32, len: u32) -> Vec<u8> {
    with(|fake| fake.current.payload.iter().skip(offset as usize).take(len as usize).copied().collect())
}

pub(crate) fn current_attribute(name: &str) -> Option<String> {
    with(|fake| fake.current.attributes.iter().find_map(|(key, value)| (key == name).then(|| value.clone())))
}

pub(crate) fn current_attributes() -> Vec<(String, String)> {
    with(|fake| fake.current.attributes.clone())
}

pub(crate) fn current_origin() -> Option<String> {
    with(|fake| fake.current.origin.clone())
}

pub(crate) fn current_hops() -> u8 {
    with(|fake| fake.current.hops)
}
