//! A plugin as the store's engine.

use bytes::Bytes;
use tidegate_plugin_host::{PluginStorage, StorageError, StorageOp, StorageRow};
use tidegate_store::{Backend, Durability, FORMAT, Operation, Row, StoreError, Table};
use tokio::runtime::Handle;

/// Records that a plugin keeps. Its calls block: they come from threads of the store.
pub(crate) struct PluginStore {
    storage: PluginStorage,
    runtime: Handle,
}

impl PluginStore {
    /// Opens it. Blocks, and is not for a thread that serves clients.
    pub(crate) fn open(storage: PluginStorage, runtime: Handle) -> Result<Self, StoreError> {
        let store = Self { storage, runtime };
        store.recover()?;
        Ok(store)
    }
}

impl Backend for PluginStore {
    fn commit(&self, operations: &[Operation], durability: Durability) -> Result<u64, StoreError> {
        let operations: Vec<_> = operations.iter().map(operation).collect();
        let committed =
            self.runtime.block_on(self.storage.commit(&operations, durability > Durability::None));
        committed.map_err(|error| match error {
            StorageError::Retry { .. } | StorageError::Fatal { .. } | StorageError::Gone(_) => {
                unavailable(&error)
            }
            // It may have been done before it failed.
            StorageError::Unknown { .. } | StorageError::Failed(_) => {
                StoreError::Unknown(error.to_string().into())
            }
        })
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let found = self.runtime.block_on(self.storage.get(table as u8, key));
        found.map(|value| value.map(Bytes::from)).map_err(|error| unavailable(&error))
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let max_bytes = u32::try_from(max_bytes).unwrap_or(u32::MAX);
        let rows = self.runtime.block_on(self.storage.scan(table as u8, prefix, after, max_bytes));
        let row = |StorageRow { key, value }| Row { key: key.into(), value: value.into() };
        rows.map(|rows| rows.into_iter().map(row).collect()).map_err(|error| unavailable(&error))
    }

    fn recover(&self) -> Result<(), StoreError> {
        let opened = self.runtime.block_on(self.storage.open(FORMAT));
        opened.map(drop).map_err(|error| unavailable(&error))
    }
}

fn operation(operation: &Operation) -> StorageOp<'_> {
    match operation {
        Operation::Put(table, key, value) => {
            StorageOp::Put { table: *table as u8, key, value, expires_ms: None }
        }
        Operation::Delete(table, key) => StorageOp::Delete { table: *table as u8, key },
    }
}

fn unavailable(error: &StorageError) -> StoreError {
    StoreError::Unavailable(error.to_string().into())
}

#[cfg(test)]
mod tests;
