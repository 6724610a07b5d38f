//! Runs WebAssembly components as hooks. The only crate that knows wasmtime.
//!
//! Reading order: `host` (the folder's plugins, kept in the chain), `folder` (what lies there, and when it has settled), `config`
//! with `grants`, `limits` and `units` (what the operator says), `examine` (what a component says of itself), `compile` and `engine` (bytes to code), `generation` (one file and
//! configuration, loaded; answers as a member of the chain), `shadow` (a candidate beside it), `exports` (questions and answers, checked), `imports` (what guests may
//! call), `instance` (a guest with its store, and the slots where callers find one), `wire` (the records of `wit/plugin.wit`),
//! `breaker`, `refusal` (why a plugin is not taken), `tally` and `report` (what is counted and told), `storage` (a plugin that keeps
//! records), `records` (the broker's own engine, for plugins), `priority` (of threads).

mod access;
mod breaker;
mod compile;
mod config;
mod engine;
mod examine;
mod exports;
mod folder;
mod generation;
mod grants;
mod host;
mod imports;
mod instance;
mod limits;
mod priority;
mod records;
mod refusal;
mod report;
mod shadow;
mod storage;
mod tally;
mod units;
mod wire;

pub use access::{Access, BrokerAccess, Busy, ClientInfo, PluginMessage};
pub use config::{OnDeliverFault, OnFault, PluginConfig, ScopedHook};
pub use engine::EngineError;
pub use examine::{Examined, examine};
pub use grants::{Destinations, Grants, HttpGrant, HttpOrigin, SecretSource, TcpGrant, TcpOrigin, Topics};
pub use host::{
    ControlError, HostError, HostOptions, PluginControl, PluginHost, Promoted, Reloaded, RolledBack,
    ShadowDropped, ShadowStarted, WaitFor,
};
pub use limits::Limits;
pub use records::{RecordEngine, RecordEngines, RecordError, RecordOp, RecordsOpened};
pub use report::{
    BreakerState, Histogram, HookReport, MetricValue, PluginLoad, PluginMetric, PluginReport, PluginState,
    ScopeReport,
};
pub use shadow::{Difference, HookDifferences, ShadowReport};
pub use storage::{PluginStorage, StorageError, StorageOp, StorageRow};
pub use units::{ByteSize, UnitError, duration, parse_duration};
