//! A plugin that keeps records: its `storage` export, as the broker uses it.

use crate::{
    generation::{Generation, Terms},
    host::LivePlugins,
    tally::Hook,
    wire,
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
use tidegate_hooks::HookFailed;

/// An ordered key-value store that a plugin keeps. Follows the plugin from generation to generation. Calls may be made at once; whatever
/// instance answers has been opened before. A plugin that keeps records in its own memory needs `limits.concurrent = 1`. An instance that
/// does not know of a commit that was said to be durable is a fault: what it lost it must not hide.
#[derive(Clone, Debug)]
pub struct PluginStorage {
    live: LivePlugins,
    plugin: Arc<str>,
    /// Of the records, as said to [`PluginStorage::open`].
    format: Arc<AtomicU32>,
    /// The newest commit that was said to be durable.
    durable: Arc<AtomicU64>,
    /// Since [`PluginStorage::open`].
    term: Arc<AtomicU64>,
}

/// One change of a commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StorageOp<'a> {
    /// Writes a record, in place of the one with that key.
    Put {
        /// Tables have keys of their own.
        table: u8,
        /// Its key.
        key: &'a [u8],
        /// Its value.
        value: &'a [u8],
        /// Milliseconds since 1970; the record may go then.
        expires_ms: Option<u64>,
    },
    /// Removes a record, if it is there.
    Delete {
        /// Its table.
        table: u8,
        /// Its key.
        key: &'a [u8],
    },
}

/// One record of a scan.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StorageRow {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// A call of a plugin's storage did not do what it should.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// It may do so later.
    #[error("plugin {plugin}: {text}, to be tried again")]
    Retry {
        /// Which plugin.
        plugin: Arc<str>,
        /// As the plugin says.
        text: String,
    },
    /// It never will.
    #[error("plugin {plugin}: {text}")]
    Fatal {
        /// Which plugin.
        plugin: Arc<str>,
        /// As the plugin says.
        text: String,
    },
    /// Whether it was done is unknown: it is to be opened again.
    #[error("plugin {plugin}: {text}; nobody knows whether it was done")]
    Unknown {
        /// Which plugin.
        plugin: Arc<str>,
        /// As the plugin says.
        text: String,
    },
    /// The plugin failed: whether it was done is unknown.
    #[error(transparent)]
    Failed(#[from] HookFailed),
    /// The plugin is not there any more, or exports no storage any more.
    #[error("plugin {0}: no generation of it keeps records; restore its file")]
    Gone(Arc<str>),
}

impl<'a> StorageOp<'a> {
    fn to_wire(self) -> wire::Op<'a> {
        match self {
            Self::Put { table, key, value, expires_ms } => {
                wire::Op::Put(wire::Entry { table, key, value, expires_ms })
            }
            Self::Delete { table, key } => wire::Op::Delete((table, key)),
        }
    }
}

impl PluginStorage {
    /// None if the plugin does not run, or exports no storage.
    pub(crate) fn of(live: LivePlugins, plugin: &str) -> Option<Self> {
        let storage = Self {
            live,
            plugin: plugin.into(),
            format: Arc::default(),
            durable: Arc::default(),
            term: Arc::default(),
        };
        storage.generation().is_ok().then_some(storage)
    }

    /// The plugin's name.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// The first call; `format` is that of the records. The sequence of the last durable commit. Called again, it makes sure that what is not
    /// committed now will not be later.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn open(&self, format: u32) -> Result<u64, StorageError> {
        self.format.store(format, Ordering::Relaxed);
        let durable = self.durable.load(Ordering::Relaxed);
        let opened = self.said(self.generation()?.storage_open(format, durable).await)?;
        self.term.store(opened.term, Ordering::Relaxed);
        Ok(opened.sequence)
    }

    /// Writes all of `ops`, in order, or none of them; their sequence. If `durable`, they are on disk then.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn commit(&self, ops: &[StorageOp<'_>], durable: bool) -> Result<u64, StorageError> {
        let ops: Vec<_> = ops.iter().map(|op| op.to_wire()).collect();
        let sequence = self.said(self.generation()?.storage_commit(self.terms(), &ops, durable).await)?;
        if durable {
            self.durable.fetch_max(sequence, Ordering::Relaxed);
        }
        Ok(sequence)
    }

    /// The value of one record. None: it is not there.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn get(&self, table: u8, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.said(self.generation()?.storage_get(self.terms(), table, key).await)
    }

    /// Records whose keys begin with `prefix` and come after `after`, in the order of their keys, about `max_bytes` of them. None: the end.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn scan(
        &self,
        table: u8,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: u32,
    ) -> Result<Vec<StorageRow>, StorageError> {
        let rows = self.generation()?.storage_scan(self.terms(), table, prefix, after, max_bytes).await;
        let row = |wire::Row { key, value }| StorageRow { key, value };
        Ok(self.said(rows)?.into_iter().map(row).collect())
    }

    /// Read before the call that they are for: what is said meanwhile does not bind it.
    fn terms(&self) -> Terms {
        Terms {
            format: self.format.load(Ordering::Relaxed),
            durable: self.durable.load(Ordering::Relaxed),
            term: self.term.load(Ordering::Relaxed),
        }
    }

    fn generation(&self) -> Result<Arc<Generation>, StorageError> {
        let generation = self.live.get(&self.plugin).filter(|generation| generation.has(Hook::Storage));
        generation.ok_or_else(|| StorageError::Gone(self.plugin.clone()))
    }

    fn said<T>(&self, answer: Result<Result<T, wire::StorageError>, HookFailed>) -> Result<T, StorageError> {
        let plugin = self.plugin.clone();
        answer?.map_err(|error| match error {
            wire::StorageError::Retry(text) => StorageError::Retry { plugin, text },
            wire::StorageError::Fatal(text) => StorageError::Fatal { plugin, text },
            wire::StorageError::Unknown(text) => StorageError::Unknown { plugin, text },
        })
    }
}
