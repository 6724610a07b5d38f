//! The broker's own engine, in a folder of the plugin: an ordered key-value store with atomic commits. Needs the grant `engine`; a plugin
//! that has it may wait in its hooks.
//!
//! ```
//! use tidegate_plugin::{engine, storage::{Entry, Op}};
//!
//! # let host = tidegate_plugin::testing::Host::new();
//! engine::open(1, None)?;
//! engine::commit(vec![Op::Put(Entry::new(1, "key", "value"))], true)?;
//! assert_eq!(engine::get(1, b"key")?.as_deref(), Some(&b"value"[..]));
//! # Ok::<(), tidegate_plugin::storage::Error>(())
//! ```

use crate::{
    host,
    storage::{Error, Op, Opened, Row},
};

/// As [`Storage::open`](crate::Storage::open), before anything else.
///
/// # Errors
/// See [`Error`].
pub fn open(format: u32, term: Option<u64>) -> Result<Opened, Error> {
    host::engine_open(format, term)
}

/// All of it or nothing, in order; returns the commit's sequence. If `durable`, it is on disk then. Tables have the numbers 0 to 9, keys up to
/// 65,534 bytes; times of expiry are not kept.
///
/// # Errors
/// See [`Error`].
pub fn commit(ops: Vec<Op>, durable: bool) -> Result<u64, Error> {
    host::engine_commit(ops, durable)
}

/// One value.
///
/// # Errors
/// See [`Error`].
pub fn get(table: u8, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    host::engine_get(table, key)
}

/// As [`Storage::scan`](crate::Storage::scan).
///
/// # Errors
/// See [`Error`].
pub fn scan(table: u8, prefix: &[u8], after: Option<&[u8]>, max_bytes: u32) -> Result<Vec<Row>, Error> {
    host::engine_scan(table, prefix, after, max_bytes)
}
