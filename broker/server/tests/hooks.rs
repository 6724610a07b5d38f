//! Every hook over a socket, by native code: what each verdict means in each version and at each QoS, in which order members are asked,
//! and what they are told.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::type_complexity, reason = "tables of closures, each with its question and answer")]

mod embedded;

#[path = "hooks/scripted.rs"]
mod scripted;

#[path = "hooks/batches.rs"]
mod batches;
#[path = "hooks/deliveries.rs"]
mod deliveries;
#[path = "hooks/grants.rs"]
mod grants;
#[path = "hooks/order.rs"]
mod order;
#[path = "hooks/parity.rs"]
mod parity;
#[path = "hooks/recipients.rs"]
mod recipients;
#[path = "hooks/revocation.rs"]
mod revocation;
#[path = "hooks/subscriptions.rs"]
mod subscriptions;
#[path = "hooks/verdicts.rs"]
mod verdicts;
