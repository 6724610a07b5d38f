//! What a storage engine must do: ordered keys, atomic batches, prefix scans.

use crate::ticket::Ticket;
use bytes::Bytes;

/// An ordered key-value engine.
pub trait Backend: Send + Sync + 'static {
    /// All of the batch or nothing, in the order of the calls. Returns at once; the ticket says when it is durable.
    fn commit(&self, batch: Batch) -> Ticket;

    /// One value.
    ///
    /// # Errors
    /// [`StoreError`] if the engine cannot read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Rows whose key begins with `prefix`, in the order of their keys, after the key `after`; at least one if there is one, then no
    /// more than `max_bytes` of keys and values.
    ///
    /// # Errors
    /// [`StoreError`] if the engine cannot read.
    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: usize,
    ) -> Result<Vec<Row>, StoreError>;
}

/// Each kind of record has a table of its own. The numbers are part of the format.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Table {
    /// Message id -> message.
    Messages = 1,
    /// Session id, message id -> queue entry.
    Queues = 2,
    /// Topic -> message.
    Retained = 3,
    /// Session id -> session.
    Sessions = 4,
}

/// Changes that happen together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Batch(pub Vec<Operation>);

/// One change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Sets a value.
    Put(Table, Bytes, Bytes),
    /// Removes a key; nothing if it is not there.
    Delete(Table, Bytes),
}

/// A key and its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
}

/// Why an engine could not do it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// May go well later: disk full, backend away.
    #[error("the store cannot write now: {0}")]
    Unavailable(Box<str>),
    /// A record is not what it should be.
    #[error("the record {key:?} in table {table:?} is damaged")]
    Damaged {
        /// Where.
        table: Table,
        /// Which.
        key: Bytes,
    },
}
