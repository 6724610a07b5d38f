//! Who gets a message: subscriptions, shared groups and retained messages.
//!
//! No I/O, no clock, no tokio. Reading order: `routes` (the sharded table: subscribe, unsubscribe, match), `filters` (a shard's
//! filters, most of it a trie), `subscribers` (who subscribed to one filter, and what a match is), `shared_groups` (whose turn
//! it is), `retained` (the last message of each topic, in order, read a page at a time).

mod filters;
mod retained;
mod routes;
mod shared_groups;
mod subscribers;

pub use retained::{Cursor, Page, Retained};
pub use routes::{Generation, Matches, Routes};
pub use shared_groups::SharedMatch;
pub use subscribers::{Match, Subscription};
