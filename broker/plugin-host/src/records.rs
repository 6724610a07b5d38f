//! The broker's own engine, as plugins may use it: what stands behind `tidegate:plugin/engine`. The server implements it.

use crate::storage::StorageRow;
use std::{fmt, sync::Arc};

/// Gives each plugin a place of its own.
pub trait RecordEngines: fmt::Debug + Send + Sync {
    /// That of `plugin`, from its first generation to its last. Nothing is opened yet.
    fn engine(&self, plugin: &str) -> Arc<dyn RecordEngine>;
}

/// Records in one place. All calls block; they come from threads that serve nobody.
pub trait RecordEngine: Send + Sync {
    /// Before anything else. `term`: None begins a new one, and what is not committed then never will be; Some goes on with it.
    ///
    /// # Errors
    /// See [`RecordError`].
    fn open(&self, format: u32, term: Option<u64>) -> Result<RecordsOpened, RecordError>;

    /// All of it, in order, or nothing; nothing if the term is over. `durable`: it is on disk then. Returns the commit's number, which rises.
    ///
    /// # Errors
    /// See [`RecordError`].
    fn commit(&self, term: u64, operations: Vec<RecordOp>, durable: bool) -> Result<u64, RecordError>;

    /// One value.
    ///
    /// # Errors
    /// See [`RecordError`].
    fn get(&self, table: u8, key: &[u8]) -> Result<Option<Vec<u8>>, RecordError>;

    /// Rows whose keys begin with `prefix`, in their order, behind `after`: at least one if there is one, then no more than `max_bytes`.
    ///
    /// # Errors
    /// See [`RecordError`].
    fn scan(
        &self,
        table: u8,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: usize,
    ) -> Result<Vec<StorageRow>, RecordError>;
}

/// What was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordsOpened {
    /// Number of the last commit, 0 if there was none.
    pub sequence: u64,
    /// To commit under.
    pub term: u64,
}

/// One change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RecordOp {
    /// Sets a value.
    Put {
        /// Tables have keys of their own.
        table: u8,
        /// Its key.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// Removes a key, if it is there.
    Delete {
        /// Its table.
        table: u8,
        /// Its key.
        key: Vec<u8>,
    },
}

/// Why it was not done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RecordError {
    /// Nothing of it; later it may be.
    Retry(String),
    /// Nothing of it, nor will it be.
    Fatal(String),
    /// Nobody can tell before it is opened again.
    Unknown(String),
}
