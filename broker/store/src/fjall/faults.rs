//! A disk that fails when a test says so.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

/// What the journals of a folder suffer from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Fault {
    #[default]
    None,
    /// Half of a write is there, then the disk is full.
    Full,
    /// A sync fails.
    Sync,
}

static FOLDERS: LazyLock<Mutex<HashMap<PathBuf, Arc<Mutex<Fault>>>>> = LazyLock::new(Mutex::default);

/// Of one folder, however often it is opened.
pub(super) struct Faults(Arc<Mutex<Fault>>);

impl Faults {
    pub(super) fn of(folder: &Path) -> Self {
        Self(FOLDERS.lock().entry(folder.to_owned()).or_default().clone())
    }

    pub(super) fn set(&self, fault: Fault) {
        *self.0.lock() = fault;
    }

    pub(super) fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        if *self.0.lock() != Fault::Full {
            return Ok(());
        }
        file.write_all_at(bytes.get(..bytes.len() / 2).unwrap_or_default(), at)?;
        Err(io::ErrorKind::StorageFull.into())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        match *self.0.lock() {
            Fault::Sync => Err(io::Error::other("input/output error")),
            _ => Ok(()),
        }
    }
}
