//! The harness of the tests that look at Tidegate from outside: it starts the real binary on a folder of its own and talks to it over
//! sockets.
//!
//! Reading order:
//! - `binaries`: where the broker and the plugins were built
//! - `folder`: config, plugins and data of one broker; runs the binary to its end
//! - `broker`: a running broker
//! - `process`: a child process; `lines`: what it writes, waited for line by line
//! - `client`: a client that says exactly what it is told to, right or wrong; `received`: what it hears
//! - `endings`: how connections end, and what the client is told
//! - `raw`: packets byte by byte, for what no encoder writes
//! - `mosquitto`: clients that others wrote
//! - `power_cut`: what a disk may hold after a power cut
//! - `stores`: where brokers keep their records: their own engine, or a plugin
//! - `backend`: an HTTP server that plugins ask
//!
//! Everything that is waited for has [`PATIENCE`]; nothing sleeps. What goes wrong panics: a test has no better answer.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod authority;
mod backend;
mod binaries;
mod broker;
mod client;
mod endings;
mod folder;
mod lines;
mod mosquitto;
mod power_cut;
mod process;
mod raw;
mod received;
mod stores;

pub use authority::{Authority, Pair};
pub use backend::{Backend, Question};
pub use binaries::{broker_binary, guest, library, new_projects, plugin};
pub use broker::Broker;
pub use client::{Client, ack, connect, publish};
pub use endings::{Wrong, each_ends_its_connection, request_frame};
pub use folder::Folder;
pub use lines::Lines;
pub use mosquitto::{MosquittoSub, mosquitto_pub, mosquitto_rr, mosquitto_sub};
pub use power_cut::{Names, PowerCut};
pub use process::{Finished, Process};
pub use raw::{connect_frame, field, frame};
pub use received::{Message, Received};
pub use stores::{StoreKind, Stores};

/// How long anything that must happen may take: generous, so that only a hang runs into it. On a busy machine a plugin, compiled at low
/// priority, takes many seconds.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(40);

/// The versions that most requirements hold for.
pub const BOTH: [tidegate_mqtt::Version; 2] = [tidegate_mqtt::Version::V3_1_1, tidegate_mqtt::Version::V5];
