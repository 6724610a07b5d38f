//! The broker with real plugins: the quickstart as its README tells it, and plugins that misbehave. Swapping under load is in `reload.rs`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "plugins/abuse.rs"]
mod abuse;
#[path = "plugins/crowd.rs"]
mod crowd;
#[path = "plugins/every_hook.rs"]
mod every_hook;
#[path = "plugins/faults.rs"]
mod faults;
#[path = "plugins/folder.rs"]
mod folder;
#[path = "plugins/going_back.rs"]
mod going_back;
#[path = "plugins/hops.rs"]
mod hops;
#[path = "plugins/imports.rs"]
mod imports;
#[path = "plugins/languages.rs"]
mod languages;
#[path = "plugins/quickstart.rs"]
mod quickstart;
#[path = "plugins/reroute.rs"]
mod reroute;
#[path = "plugins/waiting.rs"]
mod waiting;
