//! The plugin host with real guests and real folders, through its public face.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

#[path = "host/calls.rs"]
mod calls;
#[path = "host/guests.rs"]
mod guests;
#[path = "host/hooks.rs"]
mod hooks;
#[path = "host/logs.rs"]
mod logs;
#[path = "host/place.rs"]
mod place;
#[path = "host/refusals.rs"]
mod refusals;
#[path = "host/reload.rs"]
mod reload;
#[path = "host/speed.rs"]
mod speed;
