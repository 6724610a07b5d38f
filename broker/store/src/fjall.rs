//! The engine that keeps rows on a disk: the LSM trees of fjall, with a journal of our own in front of them.

mod engine;
#[cfg(test)]
mod faults;
mod folder;
mod journal;
mod keys;
mod room;
mod salvage;
mod snapshot;
mod trees;

use crate::backend::{Backend, Damage, Durability, Operation, Row, Snapshot, StoreError, Table};
use bytes::Bytes;
use engine::{CommitError, Engine};
use parking_lot::{MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};
use snapshot::Snapshots;
use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};
use trees::OpenError;

/// How the engine uses disk and memory.
#[derive(Clone, Debug)]
pub struct FjallOptions {
    /// Bytes of the disk that messages must leave free, so that what deletes them can still be written.
    pub reserve: u64,
    /// Bytes of memory for what was read.
    pub cache: u64,
    /// Bytes of a journal before it becomes tables. The trees have about as much in memory, up to four times if the disk is slow.
    pub journal: u64,
}

impl Default for FjallOptions {
    fn default() -> Self {
        Self { reserve: 64 << 20, cache: 8 << 20, journal: 8 << 20 }
    }
}

/// Rows on a disk: an LSM tree for each table (`lsm-tree`, the trees of fjall), and a journal in front of them.
///
/// # What a commit survives
/// - [`Durability::Sync`]: the journal is synced with `fdatasync`, which also writes its length. A journal's name is on disk before the
///   first record goes into it (file and folder are synced). Tables are synced before the tree's manifest names them, manifests before
///   the file `current` points to them, each with its folder; and a journal is deleted after all that. So a power cut loses nothing that
///   was confirmed, as far as the disk does what it says.
/// - [`Durability::Os`]: the record is written to the journal with one `pwrite`; it survives the end of the process, however it ends.
/// - [`Durability::None`]: up to 64 KiB of records wait in the process.
///
/// A batch is one record with a checksum, so a start finds all of it or nothing.
///
/// # Disk full, and worse
/// A write that fails is undone by cutting the journal, so it is [`StoreError::Unavailable`] and the engine goes on. Only if that fails
/// too, or a sync fails, it is [`StoreError::Unknown`]; then [`Backend::recover`] (or the next commit) opens the folder again and writes
/// what it finds to new files, because after a failed sync the system's memory may show what the disk does not have. Until then nothing
/// can be read. Tables that cannot be written are tried again every second; when too many wait, commits are refused. See
/// [`FjallOptions::reserve`] for what is refused before it is written.
///
/// # Snapshots
/// A snapshot keeps the tables that it reads, and what was in memory, until it is dropped or the folder is opened again after a failure.
/// Commits and merges go on meanwhile and do not wait for it.
///
/// # Damage
/// Every record of a journal and every block of a table has a checksum. Of a damaged journal the batches before and behind the damage are
/// kept. A damaged table is noticed when the block is read, or by [`Backend::check`], which reads everything; when a reader or a merge
/// meets it the whole tree is written anew from what can be read. Damaged files are kept in the folder `damaged`, and
/// [`Backend::damage`] says what happened.
pub struct Fjall {
    folder: PathBuf,
    options: FjallOptions,
    running: RwLock<Option<Running>>,
    damage: Mutex<Vec<Damage>>,
    /// Held as long as this lives.
    _lock: File,
}

struct Running {
    engine: Arc<Engine>,
    threads: Vec<JoinHandle<()>>,
    snapshots: Snapshots,
}

impl Running {
    fn stop(self) {
        self.engine.stop();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the store ended badly");
            }
        }
        self.snapshots.end();
        self.engine.close();
    }
}

impl Fjall {
    /// Opens or creates the store in a folder. Blocks until what the journals say is in tables.
    ///
    /// # Errors
    /// [`StoreError::Unusable`]: another broker uses the folder, it was written by a newer one, holds something else, or cannot be written.
    pub fn open(folder: &Path, options: FjallOptions) -> Result<Self, StoreError> {
        let lock = folder::claim(folder)?;
        let store = Self {
            folder: folder.to_owned(),
            options,
            running: RwLock::default(),
            damage: Mutex::default(),
            _lock: lock,
        };
        let running = store.run().map_err(|error| folder::unusable(folder, &error.into()))?;
        *store.running.write() = Some(running);
        Ok(store)
    }

    /// The number of the last commit that is there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: not while it is opened anew.
    pub fn last_commit(&self) -> Result<u64, StoreError> {
        Ok(self.running()?.last_commit())
    }

    fn run(&self) -> Result<Running, OpenError> {
        let (engine, damage) = salvage::calmly(|| Ok(Engine::open(&self.folder, &self.options)))??;
        self.report(damage);
        let engine = Arc::new(engine);
        let threads = engine.start()?;
        Ok(Running { engine, threads, snapshots: Snapshots::default() })
    }

    fn report(&self, damage: Vec<Damage>) {
        for damage in &damage {
            let table = damage.table.map(Table::name);
            tracing::error!(
                table,
                "the store is damaged, and goes on without what could not be read: {damage}"
            );
        }
        self.damage.lock().extend(damage);
    }

    fn running(&self) -> Result<MappedRwLockReadGuard<'_, Engine>, StoreError> {
        let running =
            RwLockReadGuard::try_map(self.running.read(), |running| running.as_ref().map(|r| &*r.engine));
        match running {
            Ok(engine) if !engine.is_broken() => Ok(engine),
            _ => Err(unavailable(FAILED)),
        }
    }

    fn read<T>(
        &self,
        table: Table,
        read: impl Fn(&Engine) -> Result<T, lsm_tree::Error>,
    ) -> Result<T, StoreError> {
        let once = || {
            let engine = self.running()?;
            Ok(salvage::calmly(|| read(&engine)))
        };
        match once()? {
            Err(error) if salvage::is_damage(&error) => {
                self.repair(table, |engine| salvage::calmly(|| read(engine)).is_ok())?;
                once()?
            }
            done => done,
        }
        .map_err(unavailable)
    }

    /// Writes a damaged table anew, unless somebody did so in the meantime.
    fn repair(&self, table: Table, is_well: impl Fn(&Engine) -> bool) -> Result<(), StoreError> {
        let mut running = self.running.write();
        if running.as_ref().is_some_and(|running| !running.engine.is_broken() && is_well(&running.engine)) {
            return Ok(());
        }
        if let Some(running) = running.take() {
            running.stop();
        }
        let damage = salvage::calmly(|| salvage::salvage(&self.folder, table)).map_err(unavailable)?;
        self.report(damage);
        *running = Some(self.run().map_err(unavailable)?);
        Ok(())
    }

    /// Does what is to be done before the next commit.
    fn heal(&self) -> Result<(), StoreError> {
        let (broken, damaged) = match &*self.running.read() {
            Some(Running { engine, .. }) => (engine.is_broken(), engine.damaged()),
            None => (true, None),
        };
        match damaged {
            Some(table) => self.repair(table, |engine| engine.damaged() != Some(table)),
            None if broken => self.recover(),
            None => Ok(()),
        }
    }
}

const FAILED: &str = "it failed a moment ago";

fn unavailable(why: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(why.to_string().into())
}

impl Backend for Fjall {
    fn commit(&self, operations: &[Operation], durability: Durability) -> Result<u64, StoreError> {
        self.heal()?;
        let engine = self.running()?;
        match catch_unwind(AssertUnwindSafe(|| engine.commit(operations, durability))) {
            Ok(Ok(number)) => Ok(number),
            Ok(Err(CommitError::Refused(why))) => Err(unavailable(why)),
            Ok(Err(CommitError::Unknown(why))) => Err(StoreError::Unknown(why.into())),
            Err(_) => {
                engine.set_broken();
                Err(StoreError::Unknown("a bug, see the log".into()))
            }
        }
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.read(table, |engine| engine.get(table, key))
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.read(table, |engine| engine.scan(table, prefix, after, max_bytes))
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let running = self.running.read();
        let Some(running) = running.as_ref().filter(|running| !running.engine.is_broken()) else {
            return Err(unavailable(FAILED));
        };
        let rows = salvage::calmly(|| Ok(running.engine.all_rows())).map_err(unavailable)?;
        Ok(running.snapshots.begin(rows, running.engine.damaged.clone()))
    }

    fn recover(&self) -> Result<(), StoreError> {
        let mut running = self.running.write();
        if let Some(running) = running.take() {
            running.stop();
        }
        *running = Some(self.run().map_err(unavailable)?);
        Ok(())
    }

    fn disk_bytes(&self) -> Option<u64> {
        folder::bytes(&self.folder).ok()
    }

    fn check(&self) -> Result<Vec<Damage>, StoreError> {
        self.running()?.check().map_err(unavailable)
    }

    fn damage(&self) -> Vec<Damage> {
        self.damage.lock().clone()
    }
}

impl Drop for Fjall {
    fn drop(&mut self) {
        if let Some(running) = self.running.get_mut().take() {
            running.stop();
        }
    }
}

impl std::fmt::Debug for Fjall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fjall").field("folder", &self.folder).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
