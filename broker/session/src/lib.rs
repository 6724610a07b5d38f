//! What MQTT says happens next. No I/O, no clock: packets, answers and time go in, bytes and requests come out.
//!
//! Reading order: `session` (the whole), `receiving` (messages from the client), `sending` (messages to the client),
//! `topic_alias`, `keep_alive`, `will`, `state` (what outlives a connection), `subscriptions`, `shared_keys`
//! (how tables of a session hash).

mod authentication;
mod keep_alive;
mod receiving;
mod sending;
mod session;
mod shared_keys;
mod state;
mod subscriptions;
mod topic_alias;
mod will;

pub use authentication::{AuthStep, Authentication};
pub use keep_alive::KeepAlive;
pub use receiving::PublishToken;
pub use sending::{Delivery, Stored, Undelivered};
pub use session::{Incoming, Request, Session, Terms, Violation};
pub use shared_keys::SharedKeys;
pub use state::{Finished, Inflight, SessionState, Stage, Subscribed};
pub use subscriptions::Subscriptions;
pub use topic_alias::ResolvedTopic;
pub use will::{Ending, PendingWill, WillFate};
