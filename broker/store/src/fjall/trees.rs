//! The trees of a folder, one a table, each in a folder of its own.

use super::FjallOptions;
use crate::backend::Table;
use lsm_tree::{AbstractTree, AnyTree, Cache, Config, DescriptorTable, SequenceNumberCounter, Tree};
use parking_lot::RwLock;
use std::{io, path::Path, sync::Arc};

/// Files of tables that are held open.
const OPEN_FILES: usize = 64;

/// Why the trees cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Tree(#[from] lsm_tree::Error),
}

pub(super) fn open(
    folder: &Path,
    options: &FjallOptions,
    seqno: &SequenceNumberCounter,
) -> Result<Vec<Tree>, OpenError> {
    let cache = Arc::new(Cache::with_capacity_bytes(options.cache));
    let files = Arc::new(DescriptorTable::new(OPEN_FILES));
    let mut trees = Vec::new();
    for table in Table::ALL {
        let config = Config::new(folder.join(table.name()), seqno.clone(), SequenceNumberCounter::default());
        let config = config.use_cache(cache.clone()).use_descriptor_table(Some(files.clone()));
        match config.open()? {
            AnyTree::Standard(tree) => trees.push(tree),
            AnyTree::Blob(_) => return Err(lsm_tree::Error::Unrecoverable.into()),
        }
    }
    super::journal::sync_folder(folder)?;
    Ok(trees)
}

/// Does what writes tables. If it fails, what it has written so far goes, unless others write tables, too: then it goes at the next start.
pub(super) fn tidily<T>(
    writers: &RwLock<()>,
    tree: &Tree,
    write: impl FnOnce() -> lsm_tree::Result<T>,
) -> lsm_tree::Result<T> {
    let writing = writers.read();
    let first = tree.next_table_id();
    let written = write();
    drop(writing);
    if written.is_err()
        && let Some(_alone) = writers.try_write()
    {
        let current = tree.current_version();
        let known: Vec<_> = current.iter_tables().map(lsm_tree::Table::id).collect();
        for id in (first..tree.next_table_id()).filter(|id| !known.contains(id)) {
            let _ = std::fs::remove_file(tree.tree_config().path.join("tables").join(id.to_string()));
        }
    }
    written
}
