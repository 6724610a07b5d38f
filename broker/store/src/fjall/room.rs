//! Room on the disk: what would fill it is refused before anything is written.
//!
//! Below the reserve, messages are refused: what would put a row into `messages`, `retained` or `wills`. What deletes rows goes on, and so
//! does what is said about messages that are there already, because that is how a full disk becomes empty. Below a quarter of the reserve
//! nothing is put into `sessions`, `subscriptions`, `queues` and `received` either.

use crate::backend::{Operation, Table};
use parking_lot::Mutex;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOK_AFTER: u64 = 4 << 20;

pub(super) struct Room {
    folder: PathBuf,
    reserve: u64,
    looked: Mutex<Option<Looked>>,
}

struct Looked {
    at: Instant,
    free: u64,
    written_since: u64,
}

impl Room {
    pub(super) fn new(folder: PathBuf, reserve: u64) -> Self {
        Self { folder, reserve, looked: Mutex::default() }
    }

    /// Why these must not be written now.
    pub(super) fn refusal(&self, operations: &[Operation]) -> Option<String> {
        let put = |tables: &[Table]| {
            operations
                .iter()
                .any(|operation| matches!(operation, Operation::Put(table, ..) if tables.contains(table)))
        };
        let bytes = |operation: &Operation| match operation {
            Operation::Put(_, key, value) => key.len() + value.len(),
            Operation::Delete(_, key) => key.len(),
        };
        let bytes = operations.iter().map(bytes).sum::<usize>() as u64;
        let left = self.free(bytes)?;
        let floor = if put(&[Table::Messages, Table::Retained, Table::Wills]) {
            self.reserve
        } else if put(&[Table::Sessions, Table::Subscriptions, Table::Queues, Table::Received]) {
            self.reserve / 4
        } else {
            return None;
        };
        (left < floor).then(|| {
            let folder = self.folder.display();
            format!(
                "the disk of {folder} is full: {} MiB left, {} MiB are kept free",
                left >> 20,
                floor >> 20
            )
        })
    }

    /// Bytes left when so many more are written; `None` if nobody knows.
    fn free(&self, bytes: u64) -> Option<u64> {
        let mut looked = self.looked.lock();
        let stale = |looked: &Looked| looked.at.elapsed() > LOOK_EVERY || looked.written_since > LOOK_AFTER;
        if looked.as_ref().is_none_or(stale) {
            let disk = rustix::fs::statvfs(&self.folder).ok()?;
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            *looked = Some(Looked { at: Instant::now(), free, written_since: 0 });
        }
        let looked = looked.as_mut()?;
        looked.written_since += bytes;
        Some(looked.free.saturating_sub(looked.written_since))
    }
}
