//! What guests may call, one file per interface. Every one answers; none traps.

mod config;
mod current;
mod kv;
mod logging;
mod wasi;

pub(crate) use current::with_payload;
pub(crate) use kv::KvSpace;
pub(crate) use wasi::{Wasi, is_wasi};

use crate::{config::GuestConfig, instance::Guest, refusal::VERSION, units::ByteSize};
use logging::LogBudget;
use std::sync::Arc;
use wasmtime::component::{Component, Linker};

/// The interfaces that guests may import. `types` holds types only.
pub(crate) const INTERFACES: [&str; 5] = ["types", "logging", "config", "kv", "current"];

/// What the imports of one generation work on; shared by its instances.
pub(crate) struct Environment {
    pub(crate) plugin: Arc<str>,
    pub(crate) generation: u64,
    pub(crate) broker_version: Arc<str>,
    pub(crate) config: GuestConfig,
    /// None: not granted.
    pub(crate) kv: Option<(Arc<KvSpace>, ByteSize)>,
    log: LogBudget,
}

impl Environment {
    pub(crate) fn new(
        plugin: Arc<str>,
        generation: u64,
        broker_version: Arc<str>,
        config: GuestConfig,
        kv: Option<(Arc<KvSpace>, ByteSize)>,
        log_lines: u32,
    ) -> Self {
        Self { plugin, generation, broker_version, config, kv, log: LogBudget::new(log_lines) }
    }
}

/// Makes all of them known to `linker`, and of WASI what `component` imports. Where `waits`, some functions are asynchronous.
pub(crate) fn link(linker: &mut Linker<Guest>, component: &Component, waits: bool) -> wasmtime::Result<()> {
    wasi::link(linker, component, waits)?;
    let name = |interface: &str| format!("tidegate:plugin/{interface}@{VERSION}");
    logging::link(&mut linker.instance(&name("logging"))?)?;
    config::link(&mut linker.instance(&name("config"))?)?;
    kv::link(&mut linker.instance(&name("kv"))?)?;
    current::link(&mut linker.instance(&name("current"))?)
}
