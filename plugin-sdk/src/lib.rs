//! Write plugins for the Tidegate MQTT broker in Rust.
//!
//! A plugin is a type that implements [`Plugin`] and one trait per hook it has:
//!
//! | hook | asked |
//! |---|---|
//! | [`Authenticate`], [`Proceed`] | at CONNECT and AUTH: who may come in, and as whom |
//! | [`Acl`] | at PUBLISH, SUBSCRIBE and for wills: what a client may do |
//! | [`OnPublish`] or [`OnPublishBatch`] | what becomes of a message |
//! | [`OnSubscribe`] | what becomes of a subscription |
//! | [`Subscribers`] | who gets a message; which member of a shared subscription does |
//! | [`OnDeliver`] | what one recipient gets of a message |
//! | [`OnEvents`], [`OnTimer`] | nothing: they are told what has happened, and that it is time |
//! | [`Storage`] | to keep the broker's sessions, queues and retained messages |
//!
//! The macro [`export!`] makes a WebAssembly component of it. This is a whole one:
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
//! What else the broker lends: [`broker`] to publish, look up and disconnect clients, [`metrics`], [`timers`], [`http`], secrets in
//! [`config`], [`random`] bytes, a [`clock`], connections by [`tcp`], records in the broker's own [`engine`], and in [`current`] what the running hook is about. Most of it answers `Denied` until the operator grants it.
//!
//! Reading order:
//! - `plugin`: what every plugin has: start, config, scopes, drain
//! - `auth`, `acl`, `publish`, `subscribe`, `subscribers`, `deliver`, [`events`], [`timers`], [`storage`]: one hook each, its question and
//!   its answers
//! - `grant`: the terms under which a client comes in; `message`: a message and its edits; `property`: MQTT 5 properties
//! - `pattern`: filters with `%c`, `%u` and `%{NAME}`; `access`: rules as a config has them
//! - `template`: texts in a config with places to fill; [`units`]: durations and sizes in a config; `message_key`: which messages belong
//!   together; `on_error`: what becomes of a message that could not be judged
//! - [`logging`], [`config`], [`current`], [`kv`], [`broker`], [`metrics`], [`timers`], [`http`], [`tcp`], [`engine`], [`random`], [`clock`]: what the broker lends to a plugin; `host`:
//!   the real thing, and the fake for tests
//! - `export`: from component exports to the traits; `bindings`: generated
//! - `testing`: the broker's part, for unit tests

mod access;
mod acl;
mod auth;
#[doc(hidden)]
pub mod bindings;
pub mod broker;
pub mod clock;
pub mod config;
pub mod current;
mod deliver;
pub mod engine;
pub mod events;
mod export;
mod grant;
mod host;
pub mod http;
pub mod kv;
pub mod logging;
mod message;
mod message_key;
pub mod metrics;
mod on_error;
mod pattern;
mod plugin;
mod property;
mod publish;
pub mod random;
pub mod storage;
mod subscribe;
mod subscribers;
pub mod tcp;
mod template;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod timers;
pub mod units;

pub use access::{Access, AccessList, AccessRule};
pub use acl::{Acl, AclRequest, Action, Decision, Span};
pub use auth::{AuthStep, Authenticate, Challenge, Connect, Outcome, Proceed, Refusal};
pub use deliver::{DeliverVerdict, OnDeliver, Recipient};
pub use events::{Event, OnEvents};
pub use grant::{Grant, Quotas, Rule};
pub use logging::Level;
pub use message::{Edit, Message};
pub use message_key::MessageKey;
pub use on_error::OnError;
pub use pattern::{Pattern, PatternError};
pub use plugin::{Field, NoConfig, Plugin, Scope, Start};
pub use property::{Property, PropertyValue};
pub use publish::{OnPublish, OnPublishBatch, Verdict};
pub use storage::Storage;
pub use subscribe::{OnSubscribe, SubscribeChange, SubscribeRequest, SubscribeVerdict};
pub use subscribers::{Candidate, Choice, Selection, Subscribers};
pub use template::{Template, TemplateError};
/// The broker's own: what a filter is and what it matches is said once.
pub use tidegate_mqtt::{NameError, QoS, ReasonCode, RetainHandling, TopicFilter};
pub use timers::OnTimer;

/// For the macros. Not part of the API.
#[doc(hidden)]
pub mod __private {
    pub use crate::export::{Exported, Guest};
}

/// The plugin in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
