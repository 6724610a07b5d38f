//! What guests may call, one file per interface. Every one answers; none traps.

mod broker;
mod config;
mod current;
mod engine;
mod http;
mod kv;
mod logging;
mod metrics;
mod tcp;
mod timers;
mod tls;
mod wasi;

pub(crate) use current::{Current, OwnedCurrent, lend};
pub(crate) use kv::{KvSpace, KvStore};
pub(crate) use metrics::Metrics;
pub(crate) use tcp::Connections;
pub(crate) use timers::{TimerHandler, Timers};
pub(crate) use wasi::{Wasi, is_wasi};

use crate::{
    access::Access,
    config::{GuestConfig, PluginConfig},
    grants::{Grants, Secrets},
    instance::Guest,
    records::RecordEngine,
    refusal::{Refusal, VERSION},
    units::ByteSize,
};
use http::Http;
use logging::LogBudget;
use std::{sync::Arc, time::SystemTime};
use tcp::Tcp;
use tidegate_mqtt::Timestamp;
use tokio::runtime::Handle;
use wasmtime::component::{Component, Linker};

/// The interfaces that guests may import. `types` and `records` hold types only.
pub(crate) const INTERFACES: [&str; 12] = [
    "types", "records", "logging", "config", "kv", "current", "broker", "metrics", "timers", "http", "tcp",
    "engine",
];

/// What the imports of one generation work on; shared by its instances.
pub(crate) struct Environment {
    pub(crate) plugin: Arc<str>,
    pub(crate) generation: u64,
    pub(crate) broker_version: Arc<str>,
    pub(crate) config: GuestConfig,
    /// False for a shadow: it sees what the live generation sees, but what it does has no effect outside.
    acting: bool,
    grants: Grants,
    secrets: Secrets,
    access: Access,
    /// None: not granted.
    kv: Option<(Arc<KvSpace>, ByteSize)>,
    metrics: Arc<Metrics>,
    metric_series: usize,
    /// None: nobody would be called.
    timers: Option<Arc<Timers>>,
    most_timers: usize,
    /// None: not granted.
    http: Option<Http>,
    /// None: not granted.
    tcp: Option<Tcp>,
    /// None: not granted.
    engine: Option<Arc<dyn RecordEngine>>,
    log: LogBudget,
}

/// What a generation finds outside its box.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) access: Access,
    pub(crate) kept: Kept,
    /// False for a shadow.
    pub(crate) acting: bool,
}

/// What a plugin keeps over all its generations.
#[derive(Clone)]
pub(crate) struct Kept {
    /// None: never granted so far.
    pub(crate) kv: Option<Arc<KvSpace>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) timers: Arc<Timers>,
    /// None: never granted so far, or there is none.
    pub(crate) engine: Option<Arc<dyn RecordEngine>>,
}

impl Kept {
    /// Of a plugin that has not run yet; its timers go off on `runtime`.
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { kv: None, metrics: Arc::default(), timers: Arc::new(Timers::new(runtime)), engine: None }
    }
}

impl Environment {
    /// `hears_timers`: whether the generation exports `timer-handler`.
    ///
    /// # Errors
    /// A secret or a grant that cannot be given.
    pub(crate) fn new(
        plugin: Arc<str>,
        generation: u64,
        broker_version: Arc<str>,
        config: &PluginConfig,
        outside: Outside,
        hears_timers: bool,
    ) -> Result<Self, Refusal> {
        let Outside { access, kept, acting } = outside;
        let PluginConfig { grants, limits, secrets, .. } = config;
        let refused = |why: String| Refusal::Config(why.into());
        let space = |kv: Arc<KvSpace>| if acting { kv } else { Arc::new(kv.detached_copy()) };
        Ok(Self {
            plugin,
            generation,
            broker_version,
            config: GuestConfig::new(&config.config),
            acting,
            secrets: Secrets::read(secrets).map_err(refused)?,
            access,
            kv: grants.kv.and_then(|room| Some((space(kept.kv?), room))),
            metrics: if acting { kept.metrics } else { Arc::default() },
            metric_series: limits.metric_series,
            timers: hears_timers.then_some(kept.timers),
            most_timers: limits.timers,
            http: grants.http.as_ref().map(|grant| Http::new(grant, limits)).transpose().map_err(refused)?,
            tcp: grants.tcp.as_ref().map(|grant| Tcp::new(grant, limits)).transpose().map_err(refused)?,
            // Two who write to one place would be one too many.
            engine: kept.engine.filter(|_| grants.engine && acting),
            log: LogBudget::new(limits.log_lines),
            grants: grants.clone(),
        })
    }

    /// The metrics of the plugin.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// Makes all of them known to `linker`, and of WASI what `component` imports. `waits`: whether calls through it are made where waiting is no
/// harm; where it is, `http`, `tcp` and `engine` are denied.
pub(crate) fn link(linker: &mut Linker<Guest>, component: &Component, waits: bool) -> wasmtime::Result<()> {
    wasi::link(linker, component, waits)?;
    let name = |interface: &str| format!("tidegate:plugin/{interface}@{VERSION}");
    logging::link(&mut linker.instance(&name("logging"))?)?;
    config::link(&mut linker.instance(&name("config"))?)?;
    kv::link(&mut linker.instance(&name("kv"))?)?;
    current::link(&mut linker.instance(&name("current"))?)?;
    broker::link(&mut linker.instance(&name("broker"))?)?;
    metrics::link(&mut linker.instance(&name("metrics"))?)?;
    timers::link(&mut linker.instance(&name("timers"))?)?;
    http::link(&mut linker.instance(&name("http"))?, waits)?;
    tcp::link(&mut linker.instance(&name("tcp"))?, waits)?;
    engine::link(&mut linker.instance(&name("engine"))?, waits)
}

/// This moment, by the clock on the wall.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().after(since)
}

/// Of a plugin `p` with nothing but its configuration.
#[cfg(test)]
fn environment(config: &PluginConfig, acting: bool) -> Environment {
    try_environment(config, acting).unwrap()
}

#[cfg(test)]
fn try_environment(config: &PluginConfig, acting: bool) -> Result<Environment, Refusal> {
    let kept = Kept { kv: Some(Arc::default()), ..Kept::new(Handle::current()) };
    let outside = Outside { access: Access::default(), kept, acting };
    Environment::new("p".into(), 1, "0".into(), config, outside, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_shadow_has_copies_of_what_is_kept() {
        let config = toml::from_str("grants.kv = '1KiB'").unwrap();
        let kept = Kept { kv: Some(Arc::default()), ..Kept::new(Handle::current()) };
        for acting in [true, false] {
            let outside = Outside { access: Access::default(), kept: kept.clone(), acting };
            let environment = Environment::new("p".into(), 1, "0".into(), &config, outside, true).unwrap();
            let (space, limit) = environment.kv.unwrap();
            assert_eq!(limit, ByteSize(1024));
            assert_eq!(Arc::ptr_eq(&space, kept.kv.as_ref().unwrap()), acting);
            assert_eq!(Arc::ptr_eq(&environment.metrics, &kept.metrics), acting);
        }
    }

    #[test]
    fn everything_links_whether_it_waits_or_not() {
        for waits in [true, false] {
            let engine = crate::engine::PluginEngine::new().unwrap().engine;
            let nothing = Component::new(&engine, wat::parse_str("(component)").unwrap()).unwrap();
            link(&mut Linker::new(&engine), &nothing, waits).unwrap();
        }
    }

    #[tokio::test]
    async fn what_cannot_be_given_is_refused() {
        for (text, why) in [
            ("secrets.token = 'env:TIDEGATE_NO_SUCH_VARIABLE'", "`secrets.token` cannot be read"),
            ("grants.http = { origins = ['https://a'], ca = '/no/such/file' }", "`grants.http.ca`"),
        ] {
            let refusal = try_environment(&toml::from_str(text).unwrap(), true).err().unwrap();
            assert!(refusal.to_string().starts_with(why), "{refusal}");
        }
    }
}
