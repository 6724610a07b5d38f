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
#[path = "host/control.rs"]
mod control;
#[path = "host/guests.rs"]
mod guests;
#[path = "host/hooks.rs"]
mod hooks;
#[path = "host/imports.rs"]
mod imports;
#[path = "host/logs.rs"]
mod logs;
#[path = "host/place.rs"]
mod place;
#[path = "host/refusals.rs"]
mod refusals;
#[path = "host/reload.rs"]
mod reload;
#[path = "host/shadow.rs"]
mod shadow;
#[path = "host/start.rs"]
mod start;
#[path = "host/storage.rs"]
mod storage;
#[path = "host/wasi.rs"]
mod wasi;
