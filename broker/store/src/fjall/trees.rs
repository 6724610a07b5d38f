//! The trees of a folder, one a table, each in a folder of its own.

use super::{FjallOptions, salvage};
use crate::backend::{Damage, Table};
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

/// What all trees use together.
pub(super) struct Shared {
    cache: Arc<Cache>,
    files: Arc<DescriptorTable>,
    pub(super) seqno: SequenceNumberCounter,
}

impl Shared {
    pub(super) fn new(options: &FjallOptions) -> Self {
        Self {
            cache: Arc::new(Cache::with_capacity_bytes(options.cache)),
            files: Arc::new(DescriptorTable::new(OPEN_FILES)),
            seqno: SequenceNumberCounter::new(1),
        }
    }

    /// For a tree that is only written.
    pub(super) fn small() -> Self {
        Self::new(&FjallOptions { cache: 1 << 20, ..FjallOptions::default() })
    }
}

/// By number of the table. What cannot be read of them is set aside.
pub(super) fn open(folder: &Path, shared: &Shared) -> Result<(Vec<Tree>, Vec<Damage>), OpenError> {
    let (mut trees, mut damage) = (Vec::new(), Vec::new());
    for table in Table::ALL {
        salvage::tidy(folder, table)?;
        let path = folder.join(table.name());
        let is_new = !path.join("tables").exists();
        let tree = match is_new || salvage::version_file(&path).is_some() {
            true => salvage::calmly(|| open_one(&path, shared)),
            false => Err(lsm_tree::Error::Unrecoverable),
        };
        trees.push(match tree {
            Err(error) if salvage::is_damage(&error) && !is_new => {
                tracing::error!(folder = %path.display(), "the store is damaged, reading what can be read: {error}");
                damage.extend(salvage::salvage(folder, table)?);
                open_one(&path, shared)?
            }
            tree => tree?,
        });
    }
    super::journal::sync_folder(folder)?;
    Ok((trees, damage))
}

pub(super) fn open_one(path: &Path, shared: &Shared) -> lsm_tree::Result<Tree> {
    let config = Config::new(path, shared.seqno.clone(), SequenceNumberCounter::default());
    let config = config.use_cache(shared.cache.clone()).use_descriptor_table(Some(shared.files.clone()));
    match config.open()? {
        AnyTree::Standard(tree) => Ok(tree),
        AnyTree::Blob(_) => Err(lsm_tree::Error::Unrecoverable),
    }
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
