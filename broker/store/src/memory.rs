//! The engine that forgets everything with the process.

use crate::backend::{Backend, Durability, Operation, Row, Snapshot, StoreError, Table};
use bytes::Bytes;
use parking_lot::RwLock;
use std::{
    collections::{BTreeMap, btree_map},
    ops::Bound,
};

/// Ordered maps in memory, one a table.
#[derive(Debug, Default)]
pub struct Memory {
    tables: RwLock<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    rows: BTreeMap<Table, BTreeMap<Bytes, Bytes>>,
    commits: u64,
}

impl Backend for Memory {
    fn commit(&self, operations: &[Operation], _: Durability) -> Result<u64, StoreError> {
        let mut tables = self.tables.write();
        for operation in operations {
            match operation {
                Operation::Put(table, key, value) => {
                    tables.rows.entry(*table).or_default().insert(key.clone(), value.clone());
                }
                Operation::Delete(table, key) => {
                    tables.rows.entry(*table).or_default().remove(key);
                }
            }
        }
        tables.commits += 1;
        Ok(tables.commits)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.tables.read().rows.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let tables = self.tables.read();
        let Some(rows) = tables.rows.get(&table) else { return Ok(Vec::new()) };
        let from = after.filter(|after| *after >= prefix).map_or(Bound::Included(prefix), Bound::Excluded);
        let (mut rows_taken, mut bytes) = (0, 0_usize);
        let found =
            rows.range::<[u8], _>((from, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(prefix));
        let fitting = found.take_while(|(key, value)| {
            rows_taken += 1;
            bytes += key.len() + value.len();
            rows_taken == 1 || bytes <= max_bytes
        });
        Ok(fitting.map(|(key, value)| Row { key: key.clone(), value: value.clone() }).collect())
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let rows = self.tables.read().rows.clone();
        let rows = rows.into_iter().map(|(table, rows)| (table, rows.into_iter()));
        Ok(Box::new(Copied(rows.collect())))
    }
}

/// What is left to read of each table. Keys and values are shared with the engine.
struct Copied(BTreeMap<Table, btree_map::IntoIter<Bytes, Bytes>>);

impl Snapshot for Copied {
    fn next(&mut self, table: Table, max_bytes: usize) -> Result<Vec<Row>, StoreError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for (key, value) in self.0.get_mut(&table).into_iter().flatten() {
            bytes += key.len() + value.len();
            rows.push(Row { key, value });
            if bytes >= max_bytes {
                break;
            }
        }
        Ok(rows)
    }
}
