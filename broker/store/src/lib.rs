//! What survives a restart: MQTT records over an ordered key-value backend.
//!
//! Reading order: `store` (what the broker says), `records` (how it is written down), `backend` (what an engine must do),
//! `ticket` (when it is safe), `memory` (the engine that forgets everything with the process).

mod backend;
mod memory;
mod records;
mod store;
mod ticket;

pub use backend::{Backend, Durability, Operation, Row, StoreError, Table};
pub use memory::Memory;
pub use store::{Retention, Store};
pub use ticket::{Outcome, Settler, Ticket};
