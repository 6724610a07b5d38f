//! Snapshots that are being read. None outlives its engine: a table that was merged away goes when nobody reads it any more, and whoever opens
//! the folder next may have given its name to another.

use super::{engine, salvage, unavailable};
use crate::backend::{Row, Snapshot, StoreError, Table};
use lsm_tree::IterGuardImpl;
use parking_lot::Mutex;
use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Rows of a tree that were not read yet.
pub(super) type Rows = Box<dyn DoubleEndedIterator<Item = IterGuardImpl> + Send>;

/// By number of the table. `None`: it is over.
type Tables = Arc<Mutex<Option<Vec<Rows>>>>;

/// Those of one engine.
#[derive(Default)]
pub(super) struct Snapshots(Mutex<Vec<Tables>>);

impl Snapshots {
    /// `damaged`: where to say, by its bit, that a table cannot be read.
    pub(super) fn begin(&self, tables: Vec<Rows>, damaged: Arc<AtomicUsize>) -> Box<dyn Snapshot> {
        let tables = Arc::new(Mutex::new(Some(tables)));
        let mut begun = self.0.lock();
        begun.retain(|tables| Arc::strong_count(tables) > 1);
        begun.push(tables.clone());
        Box::new(Reading { tables, damaged })
    }

    /// Ends them, and waits for whoever reads at this moment.
    pub(super) fn end(&self) {
        for tables in self.0.lock().drain(..) {
            drop(tables.lock().take());
        }
    }
}

struct Reading {
    tables: Tables,
    damaged: Arc<AtomicUsize>,
}

impl Snapshot for Reading {
    fn next(&mut self, table: Table, max_bytes: usize) -> Result<Vec<Row>, StoreError> {
        let mut tables = self.tables.lock();
        let Some(rows) = tables.as_mut().and_then(|tables| tables.get_mut(table as usize)) else {
            return Err(unavailable("it was opened anew meanwhile"));
        };
        salvage::calmly(|| some(rows, max_bytes)).map_err(|error| {
            tables.take();
            // A file that is not there may be one that nobody but this snapshot needed.
            let is_gone = matches!(&error, lsm_tree::Error::Io(error) if error.kind() == ErrorKind::NotFound);
            if salvage::is_damage(&error) && !is_gone {
                self.damaged.fetch_or(1 << table as usize, Ordering::AcqRel);
            }
            unavailable(error)
        })
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // Under the lock, so that `end` does not overtake it.
        drop(self.tables.lock().take());
    }
}

fn some(rows: &mut Rows, max_bytes: usize) -> Result<Vec<Row>, lsm_tree::Error> {
    let (mut some, mut bytes) = (Vec::new(), 0);
    for found in rows {
        let row = engine::row(found)?;
        bytes += row.key.len() + row.value.len();
        some.push(row);
        if bytes >= max_bytes {
            break;
        }
    }
    Ok(some)
}
