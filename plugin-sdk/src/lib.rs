//! Write plugins for the Tidegate MQTT broker in Rust.
//!
//! A plugin is a type that implements [`Plugin`] and one trait per hook it has: [`Authenticate`], [`Acl`], [`OnPublish`]. The
//! macro [`export!`] makes a WebAssembly component of it. This is a whole one:
//!
//! ```
//! use std::collections::HashMap;
//! use tidegate_plugin::{Authenticate, Connect, Grant, Outcome, Plugin, ReasonCode, Rule, Start, info};
//!
//! /// `[plugin.NAME.config]` in the broker's config.
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     tokens: HashMap<String, String>,
//! }
//!
//! struct Tokens(Config);
//!
//! impl Plugin for Tokens {
//!     type Config = Config;
//!     fn new(_: Start, config: Config) -> Result<Self, String> {
//!         Ok(Self(config))
//!     }
//! }
//!
//! impl Authenticate for Tokens {
//!     fn authenticate(&mut self, client: Connect) -> Outcome {
//!         let Some(username) = &client.username else { return Outcome::Next };
//!         if self.0.tokens.get(username).map(String::as_bytes) != client.password.as_deref() {
//!             info!("wrong token", username, peer = client.peer);
//!             return Outcome::refuse(ReasonCode::BadUserNameOrPassword);
//!         }
//!         Grant::new().rule(Rule::allow_publish("devices/%u/#")).rule(Rule::allow_subscribe("news/#")).into()
//!     }
//! }
//!
//! tidegate_plugin::export!(Tokens: authenticate);
//!
//! // The crate builds natively too, and a test plays the broker.
//! use tidegate_plugin::testing::{self, Host};
//!
//! let host = Host::new().config("tokens.alice = 's3cret'");
//! let mut plugin: Tokens = host.start()?;
//! let Outcome::Grant(grant) = plugin.authenticate(testing::connect("c1", "alice", "s3cret")) else { panic!() };
//! assert_eq!(grant.rules[0].filter, "devices/%u/#");
//! plugin.authenticate(testing::connect("c1", "alice", "guess"));
//! assert_eq!(host.logged()[0].to_string(), "INFO wrong token username=alice peer=192.0.2.1:50000");
//! # Ok::<(), String>(())
//! ```
//!
//! In `Cargo.toml`: `crate-type = ["cdylib", "rlib"]`. `cargo xtask plugins` builds every folder below `plugins/`.
//!
//! Guests are single threaded, and one instance answers one call at a time; a broker runs several instances. What they must share
//! lives in [`kv`]. A panic is logged and ends the instance; the broker makes another one.
//!
//! Reading order:
//! - `plugin`: what every plugin has: start, config, scopes, drain
//! - `auth`, `acl`, `publish`: one hook each, its question and its answers
//! - `pattern`: filters with `%c` and `%u`; `access`: the words for actions in a config
//! - `logging`, `kv`, `current`, `config`: what the broker lends to a plugin; `host`: the real thing, and the fake for tests
//! - `export`: from component exports to the traits; `bindings`: generated
//! - `testing`: the broker's part, for unit tests

mod access;
mod acl;
mod auth;
#[doc(hidden)]
pub mod bindings;
pub mod config;
pub mod current;
mod export;
mod host;
pub mod kv;
pub mod logging;
mod pattern;
mod plugin;
mod publish;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use access::Access;
pub use acl::{Acl, AclRequest, Action, Decision, Span};
pub use auth::{Authenticate, Connect, Grant, Outcome, Refusal, Rule};
pub use logging::Level;
pub use pattern::Pattern;
pub use plugin::{Field, NoConfig, Plugin, Scope, Start};
pub use publish::{Edit, Message, OnPublish, Property, PropertyValue, Verdict};
/// The broker's own: what a filter is and what it matches is said once.
pub use tidegate_mqtt::{NameError, QoS, ReasonCode, TopicFilter};

/// For the macros. Not part of the API.
#[doc(hidden)]
pub mod __private {
    pub use crate::export::{Exported, Guest};
}

/// The plugin in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
