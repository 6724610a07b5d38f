//! The broker with real plugins: the quickstart as its README tells it, and plugins that misbehave. Swapping under load is in `reload.rs`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "plugins/faults.rs"]
mod faults;
#[path = "plugins/folder.rs"]
mod folder;
#[path = "plugins/quickstart.rs"]
mod quickstart;
