//! What survives a restart: MQTT records over an ordered key-value backend.
//!
//! Reading order: `store` (what the broker says), `records` (how it is written down), `writer` (many commits, one sync), `recovery` (what is
//! there at the start), `backend` (what an engine must do), `ticket` (when it is safe), `memory` (the engine that forgets everything with the
//! process), `fjall` (the engine that keeps it on a disk). `suite` says what an engine must do by trying it. `upkeep`
//! looks at a store as a whole and copies it.

mod backend;
mod fjall;
mod memory;
mod records;
mod recovery;
mod store;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
mod ticket;
pub mod upkeep;
mod writer;

pub use backend::{Backend, Damage, Durability, MAX_KEY, Operation, Row, Snapshot, StoreError, Table};
pub use fjall::{Fjall, FjallOptions};
pub use memory::Memory;
pub use recovery::{Damaged, FORMAT, Recovered, RecoveredSession, WaitingOnDisk};
pub use store::{Acceptance, QueuePage, Retention, Store, StoredSession, StoredWill};
pub use ticket::{Outcome, Settler, Ticket};
pub use writer::Figures;
