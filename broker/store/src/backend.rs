//! What a storage engine must do: ordered keys, atomic batches, prefix scans, and a word when they are safe.
//!
//! All calls block. They come from the threads of the [`Store`](crate::Store), never from one that serves clients.

use bytes::Bytes;

/// Longest key that every engine takes, in bytes. Each also takes the empty one.
pub const MAX_KEY: usize = 65_534;

/// An ordered key-value engine.
pub trait Backend: Send + Sync + 'static {
    /// All of the operations, in order, or none of them, and everything committed before at least as safe as `durability` asks. Returns
    /// the number of the commit, which grows. One call at a time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing of it is there, nor will it be: not after a restart either. [`StoreError::Unknown`]: nobody can
    /// tell; the caller has [`Backend::recover`] before it commits again.
    fn commit(&self, operations: &[Operation], durability: Durability) -> Result<u64, StoreError>;

    /// One value, as the last commit left it.
    ///
    /// # Errors
    /// [`StoreError`] if the engine cannot read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Rows whose key begins with `prefix`, in the order of their keys, after the key `after`; at least one if there is one, then no
    /// more than `max_bytes` of keys and values. What the last commit left, or what an earlier one did, but never half of one.
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

    /// What the last commit left, to be read while others follow.
    ///
    /// # Errors
    /// [`StoreError::Unusable`]: this engine has nothing like it. [`StoreError::Unavailable`]: it cannot read now.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let sentence = "this engine cannot be copied while it is used; back up the place where it keeps its records, with its own tools";
        Err(StoreError::Unusable(sentence.into()))
    }

    /// After [`StoreError::Unknown`]: what is there is read again, as after a restart.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: not yet.
    fn recover(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Bytes on disk, as far as known.
    fn disk_bytes(&self) -> Option<u64> {
        None
    }

    /// Reads everything that is kept, and says what cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] if the engine cannot read at all.
    fn check(&self) -> Result<Vec<Damage>, StoreError> {
        Ok(Vec::new())
    }

    /// What could not be read and was set aside since the engine was opened, oldest first. The rest is served.
    fn damage(&self) -> Vec<Damage> {
        Vec::new()
    }
}

/// All tables as one commit left them, whatever is committed since. What only it needs of disk and memory goes with it.
pub trait Snapshot: Send {
    /// The next rows of a table, in the order of their keys, until there are `max_bytes` of keys and values; none at its end.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read. That may happen at any time: an engine that is opened again ends its snapshots.
    fn next(&mut self, table: Table, max_bytes: usize) -> Result<Vec<Row>, StoreError>;
}

/// What a commit survives.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Nothing: it is written when it comes handy.
    None,
    /// The end of the broker's process: the operating system has it.
    Os,
    /// A power cut: the disk has it.
    #[default]
    Sync,
}

/// Each kind of record has a table of its own. The numbers are part of the format.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Table {
    /// Name -> what there is one of: format, numbers given so far.
    Meta = 0,
    /// Message id -> message.
    Messages = 1,
    /// Session id, position -> queue entry.
    Queues = 2,
    /// Topic -> message.
    Retained = 3,
    /// Session id -> session.
    Sessions = 4,
    /// Session id, filter -> subscription.
    Subscriptions = 5,
    /// Message id -> queue entries that refer to it, if there are more than one.
    References = 6,
    /// Session id, packet id: a QoS 2 message of the client whose PUBREL is missing.
    Received = 7,
    /// Session id -> the will of its client.
    Wills = 8,
    /// Table and key of a record that is not what was written -> what was found.
    Damaged = 9,
}

impl Table {
    /// All there are, by number.
    pub const ALL: [Self; 10] = [
        Self::Meta,
        Self::Messages,
        Self::Queues,
        Self::Retained,
        Self::Sessions,
        Self::Subscriptions,
        Self::References,
        Self::Received,
        Self::Wills,
        Self::Damaged,
    ];

    /// For people, and for files that a backend keeps.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Messages => "messages",
            Self::Queues => "queues",
            Self::Retained => "retained",
            Self::Sessions => "sessions",
            Self::Subscriptions => "subscriptions",
            Self::References => "references",
            Self::Received => "received",
            Self::Wills => "wills",
            Self::Damaged => "damaged",
        }
    }
}

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

/// Something that could not be read and was set aside.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}: {what}", .place.display())]
pub struct Damage {
    /// The file, or the copy that was kept of it.
    pub place: std::path::PathBuf,
    /// Whose rows are missing, if that is known.
    pub table: Option<Table>,
    /// What is missing, for people.
    pub what: Box<str>,
}

/// Why an engine could not do it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// Not now: disk full, backend away. It may go well later.
    #[error("the store cannot be used now: {0}")]
    Unavailable(Box<str>),
    /// It may have been written, or not.
    #[error("nobody knows whether it was stored: {0}")]
    Unknown(Box<str>),
    /// A record is not what it should be.
    #[error("the record {key:?} in table {} is damaged", .table.name())]
    Damaged {
        /// Where.
        table: Table,
        /// Which.
        key: Bytes,
    },
    /// The folder cannot be used, and will not be by waiting. The text says what to do.
    #[error("{0}")]
    Unusable(Box<str>),
}
