//! Keeps the broker's sessions, queues and retained messages: an ordered key-value store with atomic commits.

use crate::bindings::lifecycle::tidegate::plugin::records;
use std::time::Duration;

/// The hooks of a store. Any instance may be asked: what is kept lies behind them, in a backend that they share. (One that keeps it itself, as
/// here, is for `limits.concurrent = 1`.)
///
/// ```
/// use std::collections::BTreeMap;
/// use tidegate_plugin::{
///     NoConfig, Plugin, Start, Storage,
///     storage::{Error, Op, Opened, Row},
/// };
///
/// /// Forgets everything with its instance.
/// #[derive(Default)]
/// struct Memory {
///     rows: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
///     sequence: u64,
/// }
///
/// impl Plugin for Memory {
///     type Config = NoConfig;
///     fn new(_: Start, _: NoConfig) -> Result<Self, String> {
///         Ok(Self::default())
///     }
/// }
///
/// impl Storage for Memory {
///     fn open(&mut self, _format: u32, _term: Option<u64>) -> Result<Opened, Error> {
///         Ok(Opened { sequence: self.sequence, term: 0 })
///     }
///
///     fn commit(&mut self, ops: Vec<Op>, _durable: bool) -> Result<u64, Error> {
///         for op in ops {
///             match op {
///                 Op::Put(entry) => self.rows.insert((entry.table, entry.key), entry.value),
///                 Op::Delete { table, key } => self.rows.remove(&(table, key)),
///             };
///         }
///         self.sequence += 1;
///         Ok(self.sequence)
///     }
///
///     fn get(&mut self, table: u8, key: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
///         Ok(self.rows.get(&(table, key)).cloned())
///     }
///
///     fn scan(&mut self, table: u8, prefix: Vec<u8>, after: Option<Vec<u8>>, max_bytes: u32) -> Result<Vec<Row>, Error> {
///         let there = self.rows.range((table, prefix.clone())..);
///         let ours = there.take_while(|((other, key), _)| *other == table && key.starts_with(&prefix));
///         let (mut rows, mut bytes) = (Vec::new(), 0);
///         for ((_, key), value) in ours.filter(|((_, key), _)| Some(key) > after.as_ref()) {
///             let row = Row { key: key.clone(), value: value.clone() };
///             bytes += row.len();
///             if bytes > max_bytes as usize && !rows.is_empty() {
///                 break;
///             }
///             rows.push(row);
///         }
///         Ok(rows)
///     }
/// }
///
/// tidegate_plugin::export!(Memory: storage);
///
/// use tidegate_plugin::{storage::Entry, testing::Host};
///
/// let mut store: Memory = Host::new().start()?;
/// let entry = |key: &str| Op::Put(Entry::new(1, key, "value"));
/// assert_eq!(store.commit(vec![entry("a/1"), entry("a/2"), entry("b")], true), Ok(1));
/// assert_eq!(store.scan(1, b"a/".to_vec(), None, 1)?.len(), 1);
/// assert_eq!(store.scan(1, b"a/".to_vec(), Some(b"a/1".to_vec()), 1)?[0].key, b"a/2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Storage {
    /// The first call to an instance. Without a `term`: a broker starts, or does not know whether its last commit was done. What was
    /// committed under an earlier term and is not done yet must never be done, and the answer has a new term. With one: another instance of the
    /// same broker. A store that nobody else can reach may say 0 always.
    ///
    /// # Errors
    /// [`Error::Fatal`] for a `format` that this store does not know, and for a term that is over.
    fn open(&mut self, format: u32, term: Option<u64>) -> Result<Opened, Error>;

    /// All of it or nothing, in order; returns the commit's sequence, which rises with every commit. If `durable`, the answer means that it
    /// is.
    ///
    /// # Errors
    /// Then nothing of it happened, nor will it. Who cannot tell says [`Error::Unknown`]; the store is opened again before the next commit.
    fn commit(&mut self, ops: Vec<Op>, durable: bool) -> Result<u64, Error>;

    /// One value.
    ///
    /// # Errors
    /// See [`Error`].
    fn get(&mut self, table: u8, key: Vec<u8>) -> Result<Option<Vec<u8>>, Error>;

    /// Rows whose key begins with `prefix`, in the order of their keys, beyond the key `after`: at least one if there is one, then no more
    /// than `max_bytes` of keys and values. An empty list ends the scan.
    ///
    /// # Errors
    /// See [`Error`].
    fn scan(
        &mut self,
        table: u8,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        max_bytes: u32,
    ) -> Result<Vec<Row>, Error>;
}

/// What the broker finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Opened {
    /// Of the last durable commit, 0 if there was none.
    pub sequence: u64,
    /// See [`Storage::open`].
    pub term: u64,
}

/// A value to be kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Each kind of record has a table of its own.
    pub table: u8,
    /// Unique in its table.
    pub key: Vec<u8>,
    /// What is kept.
    pub value: Vec<u8>,
    /// The store may drop it this long after the commit; the broker does not ask for it any more.
    pub expires: Option<Duration>,
}

impl Entry {
    /// A value to be kept for good.
    pub fn new(table: u8, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { table, key: key.into(), value: value.into(), expires: None }
    }
}

/// A key and its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// Unique in its table.
    pub key: Vec<u8>,
    /// What was kept.
    pub value: Vec<u8>,
}

impl Row {
    /// Bytes of key and value.
    #[allow(clippy::len_without_is_empty, reason = "it is a size")]
    pub fn len(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// A step of a commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Op {
    /// Keep this, in place of what its key had.
    Put(Entry),
    /// Keep this no longer, if it is there.
    Delete {
        /// The key's table.
        table: u8,
        /// What goes.
        key: Vec<u8>,
    },
}

impl From<records::Op> for Op {
    fn from(op: records::Op) -> Self {
        match op {
            records::Op::Put(records::Entry { table, key, value, expires_ms }) => {
                Self::Put(Entry { table, key, value, expires: expires_ms.map(Duration::from_millis) })
            }
            records::Op::Delete((table, key)) => Self::Delete { table, key },
        }
    }
}

/// Why the store did not do it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Not now; the broker tries again.
    #[error("not now: {0}")]
    Retry(String),
    /// Not ever; the broker keeps nothing any more and says so.
    #[error("{0}")]
    Fatal(String),
    /// Nobody can tell; the broker opens the store again, and looks.
    #[error("nobody knows whether it was done: {0}")]
    Unknown(String),
}

impl From<Error> for records::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Retry(why) => Self::Retry(why),
            Error::Fatal(why) => Self::Fatal(why),
            Error::Unknown(why) => Self::Unknown(why),
        }
    }
}

impl From<Opened> for records::Opened {
    fn from(Opened { sequence, term }: Opened) -> Self {
        Self { sequence, term }
    }
}

impl From<Row> for records::Row {
    fn from(Row { key, value }: Row) -> Self {
        Self { key, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_are_taken_over() {
        let put =
            records::Entry { table: 3, key: b"k".to_vec(), value: b"v".to_vec(), expires_ms: Some(1500) };
        let expected = Entry { expires: Some(Duration::from_millis(1500)), ..Entry::new(3, "k", "v") };
        assert_eq!(Op::from(records::Op::Put(put)), Op::Put(expected));
        let deleted = Op::from(records::Op::Delete((4, b"k".to_vec())));
        assert_eq!(deleted, Op::Delete { table: 4, key: b"k".to_vec() });
    }
}
