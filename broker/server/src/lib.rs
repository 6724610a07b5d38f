//! The Tidegate broker: sockets and wiring around the protocol crates, the binary `tidegate`, and the embedding API.
//!
//! Reading order is the way of a message: `listen`, `connect`, `connection` (with `scratch`, `rate` and `watched`), `publish`, `recipients`,
//! `subscribe`, `mailbox`; then `clients` (every session, live or parked) and `parked_sessions` (wills and expiry), `shared` (what they
//! all share), `events` and `plugin_access` (what plugins are told, and what they may do), `revocation`, `sys`, `counters`, `clock`; and
//! around it `server` (start and stop), `admin` (how commands reach it) and `config`.
//!
//! ```no_run
//! # async fn example() -> Result<(), tidegate::StartError> {
//! let config = tidegate::Config::read("tidegate.toml".as_ref())?;
//! let broker = tidegate::Broker::start(config).await?;
//! println!("listening on {:?}", broker.addresses());
//! broker.stop().await;
//! # Ok(())
//! # }
//! ```

mod admin;
mod clients;
mod clock;
mod config;
mod connect;
mod connection;
#[cfg(test)]
mod contention;
mod counters;
mod door;
mod events;
mod listen;
mod mailbox;
mod metrics;
mod offline_store;
mod parked_sessions;
mod plugin_access;
mod plugin_engines;
mod plugin_store;
mod publish;
mod rate;
mod recipients;
mod retaining;
mod revocation;
mod scratch;
mod server;
mod shared;
mod spare;
mod subscribe;
mod sys;
mod traffic;
mod watched;

pub use admin::{
    AdminAnswer, AdminCalls, AdminCommand, AdminDifference, AdminPlugin, AdminRequest, AdminShadow,
    AdminShadowHook, admin_socket,
};
pub use config::{
    ClientCert, Config, ConfigError, Engine, Limits, Listener, ListenerKind, Log, LogFormat, Mode, OnRevoked,
    UsernameFrom,
};
pub use mailbox::QueueFull;
pub use offline_store::OfflineStore;
pub use server::{Broker, StartError, check};
pub use tidegate_hooks as hooks;
pub use tidegate_plugin_host::{PluginConfig, PluginControl, PluginReport, PluginState};
