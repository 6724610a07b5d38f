//! The trees and the journal in front of them.
//!
//! A commit goes to the journal, then to the memory of the trees. When the journal is long enough all trees change their memory for an
//! empty one, a new journal is begun, and a thread writes what the trees had in memory to tables; then the journal goes. Another thread
//! merges tables. Rows that come and go within one journal never reach a table.

use super::{
    FjallOptions,
    journal::{self, AppendError, Journal},
    keys,
    room::Room,
    salvage,
    snapshot::Rows,
    trees::{self, OpenError},
};
use crate::backend::{Damage, Durability, Operation, Row, Table};
use bytes::Bytes;
use lsm_tree::{
    AbstractTree, Guard, InternalValue, IterGuardImpl, Memtable, SeqNo, SequenceNumberCounter,
    Table as TableFile, Tree, UserKey, ValueType, compaction::Leveled,
    table::filter::standard_bloom::Builder as Bloom,
};
use parking_lot::{Condvar, Mutex, RwLock};
use std::{
    collections::{HashSet, VecDeque},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Bytes of a table that a merge writes.
const TABLE_BYTES: u64 = 8 << 20;
/// Of a tree; deletions need not go further down.
const LAST_LEVEL: usize = 6;
/// Journals that may wait for the disk before a commit waits, too.
const WAITING_JOURNALS: usize = 3;
/// Journals that may become tables before what they deleted is merged.
const UNMERGED_JOURNALS: usize = 2;
/// How long a commit waits for merges before it goes on anyway.
const SLOWED: Duration = Duration::from_millis(50);
/// How long a commit waits for the disk before it is refused.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long after a failure the disk is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Tables of the first level, each perhaps to be looked into by a reader, before a commit waits for merges.
const FIRST_LEVEL: usize = 24;

/// An open folder, without its threads.
pub(super) struct Engine {
    folder: PathBuf,
    options: FjallOptions,
    /// By number of the table.
    trees: Vec<Tree>,
    /// Of batches, and of the versions of trees.
    seqno: SequenceNumberCounter,
    /// Readers see what has a smaller number.
    visible: AtomicU64,
    /// Readers hold it while they pick a version of a tree. Who has had it alone knows that no reader will pick one from before.
    picking: RwLock<()>,
    writer: Mutex<Writer>,
    /// Nobody knows what the journal has on disk, or what the trees have in memory.
    broken: AtomicBool,
    /// Tables of which something could not be read, a bit each. Snapshots set them, too.
    pub(super) damaged: Arc<AtomicUsize>,
    table_writers: RwLock<()>,
    room: Room,
    work: Mutex<Work>,
    /// There is work, or an end.
    wanted: Condvar,
    /// Some was done, or went wrong.
    done: Condvar,
}

struct Writer {
    journal: Journal,
    /// Bytes of the trees' memory.
    memory: u64,
    /// Bytes in tables that were deleted since the journal was begun, more or less.
    dead: u64,
    /// Bytes of a row of each tree in tables.
    row_bytes: Vec<u64>,
}

#[derive(Default)]
struct Work {
    /// To be written to tables, oldest first.
    sealed: VecDeque<Sealed>,
    /// One of them is being written.
    writing: bool,
    /// Trees that may have something to merge.
    unmerged: Vec<usize>,
    /// Journals that became tables since the last time all trees were merged.
    unmerged_journals: usize,
    /// One of them is being merged.
    merging: bool,
    trouble: Option<String>,
    stop: bool,
}

/// What the trees had in memory while journals up to this one were written.
struct Sealed {
    journal: u64,
    memory: Vec<(usize, Arc<Memtable>)>,
}

/// Why a commit failed.
pub(super) enum CommitError {
    Refused(String),
    Unknown(String),
}

impl Engine {
    /// Reads the journals; returns what could not be read.
    pub(super) fn open(folder: &Path, options: &FjallOptions) -> Result<(Self, Vec<Damage>), OpenError> {
        let shared = trees::Shared::new(options);
        let (trees, mut damage) = trees::open(folder, &shared)?;
        let persisted: Vec<_> = trees.iter().map(|tree| tree.get_highest_persisted_seqno()).collect();
        let mut next = persisted.iter().flatten().max().map_or(1, |highest| highest + 1);
        let journals = journal::read_all(folder)?;
        for journal in &journals {
            next = next.max(journal.next);
            if !journal.damage.is_empty() {
                let place = journal::keep(folder, &journal.path)?;
                damage.push(Damage { place, table: None, what: journal.damage.join(", ").into() });
            }
        }
        for (seqno, operations) in journals.iter().flat_map(|journal| &journal.batches) {
            for operation in operations {
                let (Operation::Put(table, ..) | Operation::Delete(table, _)) = operation;
                // It may be in a table already.
                if persisted.get(*table as usize).is_some_and(|highest| *seqno > highest.unwrap_or_default())
                {
                    apply(&trees, operation, *seqno);
                }
            }
        }
        for tree in &trees {
            // If it cannot be read it is there; readers will see to the damage.
            if let Ok(None) = salvage::calmly(|| tree.get(keys::FIRST, SeqNo::MAX)) {
                tree.insert(keys::FIRST, b"", next);
            }
        }
        next += 1;
        shared.seqno.fetch_max(next);
        let row_bytes = trees.iter().map(row_bytes).collect();
        let number = journals.last().map_or(1, |journal| journal.number + 1);
        let journal = Journal::create(folder, number, next)?;
        drop(journals);
        let engine = Self {
            folder: folder.to_owned(),
            options: options.clone(),
            trees,
            visible: AtomicU64::new(next),
            seqno: shared.seqno,
            picking: RwLock::default(),
            writer: Mutex::new(Writer { journal, memory: 0, dead: 0, row_bytes }),
            broken: AtomicBool::new(false),
            damaged: Arc::default(),
            table_writers: RwLock::default(),
            room: Room::new(folder.to_owned(), options.reserve),
            work: Mutex::default(),
            wanted: Condvar::new(),
            done: Condvar::new(),
        };
        // What the journals said goes to tables at once, so that nothing depends on what a failed sync left in the system's memory.
        let mut sealed = Sealed { journal: number - 1, memory: engine.seal() };
        if let Err(error) = engine.write_out(&mut sealed) {
            let writer = engine.writer.lock();
            // Or every try would leave one more.
            let _ = std::fs::remove_file(writer.journal.path());
            return Err(error.into());
        }
        Ok((engine, damage))
    }

    /// Starts its threads.
    pub(super) fn start(self: &Arc<Self>) -> std::io::Result<Vec<JoinHandle<()>>> {
        let start = |name: &str, run: fn(&Self)| {
            let engine = self.clone();
            std::thread::Builder::new().name(name.into()).spawn(move || run(&engine))
        };
        self.work.lock().unmerged = (0..self.trees.len()).collect();
        Ok(vec![start("store-flush", Self::flush_forever)?, start("store-merge", Self::merge_forever)?])
    }

    /// Its threads have nothing to do.
    #[cfg(test)]
    pub(super) fn wait_until_idle(&self) {
        let busy = |work: &mut Work| {
            work.writing || work.merging || !work.sealed.is_empty() || !work.unmerged.is_empty()
        };
        self.done.wait_while(&mut self.work.lock(), busy);
    }

    pub(super) fn stop(&self) {
        self.work.lock().stop = true;
        self.wanted.notify_all();
        self.done.notify_all();
    }

    /// After the threads have ended: the journal is complete.
    pub(super) fn close(&self) {
        let mut writer = self.writer.lock();
        if !self.is_broken() {
            // If that fails the next start reads on until it finds no record; so it does after a kill.
            let _ = writer.journal.end(self.seqno.next());
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    pub(super) fn set_broken(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// A table of which something could not be read.
    pub(super) fn damaged(&self) -> Option<Table> {
        let damaged = self.damaged.load(Ordering::Acquire);
        Table::ALL.into_iter().find(|table| damaged >> *table as usize & 1 == 1)
    }

    pub(super) fn commit(
        &self,
        operations: &[Operation],
        durability: Durability,
    ) -> Result<u64, CommitError> {
        self.wait_for_disk().map_err(CommitError::Refused)?;
        if let Some(full) = self.room.refusal(operations) {
            return Err(CommitError::Refused(full));
        }
        let operations = last_of_each_key(operations);
        let sizes = |operation: &&Operation| match operation {
            Operation::Put(_, key, value) => (key.len(), value.len()),
            Operation::Delete(_, key) => (key.len(), 0),
        };
        if operations
            .iter()
            .map(sizes)
            .any(|(key, value)| key > crate::MAX_KEY || u32::try_from(value).is_err())
        {
            let longest = crate::MAX_KEY;
            return Err(CommitError::Refused(format!(
                "a key is longer than {longest} bytes or a value than 4 GiB"
            )));
        }
        let batch = journal::encode(&operations);
        let mut writer = self.writer.lock();
        // No new journal could be begun for long.
        if writer.memory > 8 * self.options.journal {
            self.rotate(&mut writer);
            if writer.memory > 0 {
                return Err(CommitError::Refused("no new journal can be begun".into()));
            }
        }
        let seqno = self.seqno.next();
        // An empty batch would end the journal.
        if !batch.is_empty() {
            match writer.journal.append(seqno, &batch, durability >= Durability::Os) {
                Ok(()) => {}
                Err(AppendError::NotThere(error)) => return Err(CommitError::Refused(error.to_string())),
                Err(AppendError::Unknown(error)) => {
                    self.set_broken();
                    return Err(CommitError::Unknown(error.to_string()));
                }
            }
        }
        if durability == Durability::Sync
            && let Err(error) = writer.journal.sync()
        {
            self.set_broken();
            return Err(CommitError::Unknown(error.to_string()));
        }
        for operation in operations {
            writer.memory += apply(&self.trees, operation, seqno);
            if let Operation::Delete(table, _) = operation {
                writer.dead += writer.row_bytes.get(*table as usize).copied().unwrap_or_default();
            }
        }
        self.visible.store(self.seqno.get(), Ordering::Release);
        let enough = self.options.journal;
        if writer.journal.bytes() >= enough || writer.memory >= 2 * enough || writer.dead >= enough / 2 {
            self.rotate(&mut writer);
        }
        Ok(seqno)
    }

    /// A new journal, and new memory for the trees. If that cannot be had now the old ones go on.
    fn rotate(&self, writer: &mut Writer) {
        let rotated = Journal::create(&self.folder, writer.journal.number() + 1, self.seqno.get());
        let journal = match rotated {
            Ok(journal) => journal,
            Err(error) => return self.trouble(&error.to_string()),
        };
        match writer.journal.end(self.seqno.next()) {
            Ok(()) => {}
            Err(AppendError::NotThere(error)) => {
                let _ = std::fs::remove_file(journal.path());
                return self.trouble(&error.to_string());
            }
            Err(AppendError::Unknown(error)) => {
                self.set_broken();
                return self.trouble(&error.to_string());
            }
        }
        let sealed = Sealed { journal: writer.journal.number(), memory: self.seal() };
        let row_bytes = self.trees.iter().map(row_bytes).collect();
        *writer = Writer { journal, memory: 0, dead: 0, row_bytes };
        self.work.lock().sealed.push_back(sealed);
        self.wanted.notify_all();
    }

    fn seal(&self) -> Vec<(usize, Arc<Memtable>)> {
        let trees = self.trees.iter().enumerate();
        trees.filter_map(|(index, tree)| Some((index, tree.rotate_memtable()?))).collect()
    }

    fn trouble(&self, why: &str) {
        tracing::error!(folder = %self.folder.display(), "the store cannot write: {why}");
        self.work.lock().trouble = Some(why.into());
        self.done.notify_all();
    }

    fn wait_for_disk(&self) -> Result<(), String> {
        let late = |work: &mut Work| {
            let waiting = work.sealed.len() + usize::from(work.writing);
            !work.stop
                && (waiting > WAITING_JOURNALS
                    || self.trees.iter().any(|tree| tree.l0_run_count() > FIRST_LEVEL))
        };
        let mut work = self.work.lock();
        // Deletions make no room before they are merged; so who commits very fast waits a little.
        let ahead = |work: &mut Work| !work.stop && work.unmerged_journals > UNMERGED_JOURNALS;
        if ahead(&mut work) {
            self.done.wait_while_for(&mut work, ahead, SLOWED);
        }
        if !late(&mut work) {
            return Ok(());
        }
        if let Some(trouble) = &work.trouble {
            return Err(trouble.clone());
        }
        self.done.wait_while_for(&mut work, |work| late(work) && work.trouble.is_none(), PATIENCE);
        match late(&mut work) {
            false => Ok(()),
            true => Err(work.trouble.clone().unwrap_or_else(|| "the disk does not keep up".into())),
        }
    }

    fn flush_forever(&self) {
        loop {
            let mut work = self.work.lock();
            let mut sealed = loop {
                if work.stop {
                    return;
                }
                match work.sealed.pop_front() {
                    Some(sealed) => break sealed,
                    None => self.wanted.wait(&mut work),
                }
            };
            work.writing = true;
            drop(work);
            let written = salvage::calmly(|| self.write_out(&mut sealed));
            let mut work = self.work.lock();
            work.writing = false;
            match written {
                Ok(()) => {
                    work.trouble = None;
                    work.unmerged = (0..self.trees.len()).collect();
                    work.unmerged_journals += 1;
                    self.wanted.notify_all();
                    self.done.notify_all();
                }
                Err(error) => {
                    work.sealed.push_front(sealed);
                    drop(work);
                    if salvage::is_damage(&error) {
                        self.set_broken();
                    }
                    self.trouble(&error.to_string());
                    let mut work = self.work.lock();
                    self.wanted.wait_while_for(&mut work, |work| !work.stop, TRY_AGAIN);
                }
            }
        }
    }

    /// To tables, then away with its journals. What failed may be tried again.
    fn write_out(&self, sealed: &mut Sealed) -> Result<(), lsm_tree::Error> {
        while let Some((index, memory)) = sealed.memory.last() {
            if let Some(tree) = self.trees.get(*index) {
                trees::tidily(&self.table_writers, tree, || self.write_table(tree, memory))?;
                self.forget_versions(tree);
            }
            sealed.memory.pop();
        }
        // The oldest goes first, for good, or its rows could come back without what was done to them later.
        for (number, path) in journal::list(&self.folder)? {
            if number <= sealed.journal {
                std::fs::remove_file(path)?;
                journal::sync_folder(&self.folder)?;
            }
        }
        Ok(())
    }

    fn write_table(&self, tree: &Tree, memory: &Memtable) -> Result<(), lsm_tree::Error> {
        let tables = tree.current_version();
        // A deletion is of use only while a table has the row.
        let is_of_use = |row: &InternalValue| {
            if !row.is_tombstone() {
                return true;
            }
            let hash = Bloom::get_hash(&row.key.user_key);
            let mut older = tables
                .iter_levels()
                .flat_map(|level| level.iter())
                .filter_map(|run| run.get_for_key(&row.key.user_key))
                .filter_map(|table| table.get(&row.key.user_key, SeqNo::MAX, hash).transpose());
            match older.next() {
                Some(Ok(older)) => !older.is_tombstone(),
                Some(Err(_)) => true,
                None => false,
            }
        };
        let mut last = None;
        let newest = memory.iter().filter(move |row| {
            let newest = last.as_ref() != Some(&row.key.user_key);
            last = Some(row.key.user_key.clone());
            newest
        });
        // What lies behind all else in a table of its own: it can be moved down as it is, and does not hold up what is before it.
        let last_level =
            tables.iter_levels().skip(LAST_LEVEL).flat_map(|level| level.iter()).flat_map(|run| run.iter());
        let end = last_level.map(|table| table.metadata.key_range.max().clone()).max();
        let mut rows = newest.filter(is_of_use).peekable();
        let lock = tree.get_flush_lock();
        let within = std::iter::from_fn(|| {
            rows.next_if(|row| end.as_ref().is_some_and(|end| row.key.user_key <= *end))
        });
        let within = tree.flush_to_tables(within.map(Ok))?;
        let behind = tree.flush_to_tables(rows.map(Ok))?;
        let tables: Vec<_> = within.into_iter().chain(behind).flat_map(|(tables, _)| tables).collect();
        tree.register_tables(&tables, None, None, &[memory.id()], self.oldest_reader())?;
        drop(lock);
        Ok(())
    }

    /// No reader will ask for a version of a tree that has a smaller number.
    fn oldest_reader(&self) -> SeqNo {
        drop(self.picking.write());
        self.visible.load(Ordering::Acquire)
    }

    /// Lets go of tables that are not part of the tree any more.
    fn forget_versions(&self, tree: &Tree) {
        let writer = self.writer.lock();
        self.visible.store(self.seqno.get(), Ordering::Release);
        drop(writer);
        let oldest = self.oldest_reader();
        if let Err(error) = tree.get_version_history_lock().maintenance(&tree.tree_config().path, oldest) {
            tracing::warn!(folder = %self.folder.display(), "old files of the store stay: {error}");
        }
    }

    fn merge_forever(&self) {
        loop {
            let mut work = self.work.lock();
            let index = loop {
                if work.stop {
                    return;
                }
                match work.unmerged.pop() {
                    Some(index) => break index,
                    None => self.wanted.wait(&mut work),
                }
            };
            let last = work.unmerged.is_empty();
            work.merging = true;
            drop(work);
            let Some(tree) = self.trees.get(index) else { continue };
            let merged = salvage::calmly(|| self.merge(tree));
            let mut work = self.work.lock();
            work.merging = false;
            if last {
                work.unmerged_journals = 0;
            }
            drop(work);
            if let Err(error) = merged {
                if salvage::is_damage(&error) {
                    self.damaged.fetch_or(1 << index, Ordering::AcqRel);
                }
                // Tried again after the next journal.
                tracing::error!(folder = %self.folder.display(), "the store cannot merge its tables: {error}");
            }
            self.done.notify_all();
        }
    }

    fn merge(&self, tree: &Tree) -> Result<(), lsm_tree::Error> {
        self.settle(tree, Leveled::default().with_table_target_size(TABLE_BYTES))?;
        if upper_bound_of_dead(tree) > self.options.journal / 2 {
            self.drop_dead_tables(tree)?;
            // Deletions go down to their rows, a few tables at a time. A level is let alone while it is smaller than a table, so tables
            // must be smaller than all the deletions.
            let above: u64 =
                tree.current_version().iter_levels().take(LAST_LEVEL).map(|level| level.size()).sum();
            let down = Leveled::default().with_table_target_size((above / 4).clamp(64 << 10, TABLE_BYTES));
            self.settle(tree, down.with_l0_threshold(1).with_level_ratio_policy(vec![0.001]))?;
            if dead_bytes(tree)? > self.options.journal.max(tree.disk_space() / 8) {
                return self.merge_all(tree);
            }
        }
        let (rows, deletions) = rows(tree);
        // Deletions without a row, or tables that became too small.
        let too_many_tables = tree.table_count() as u64 > 256 + 4 * tree.disk_space() / TABLE_BYTES;
        if deletions > (rows / 4).max(50_000) || too_many_tables {
            self.merge_all(tree)?;
        }
        Ok(())
    }

    /// Takes as much room as the tree has, until it is done.
    fn merge_all(&self, tree: &Tree) -> Result<(), lsm_tree::Error> {
        if !self.room.has(tree.disk_space()) {
            tracing::debug!(folder = %self.folder.display(), "the disk has no room to merge all tables");
            return Ok(());
        }
        trees::tidily(&self.table_writers, tree, || tree.major_compact(TABLE_BYTES, self.oldest_reader()))?;
        self.forget_versions(tree);
        Ok(())
    }

    /// Tables of which every row is deleted, as of a queue that is read from its beginning, go without being merged.
    fn drop_dead_tables(&self, tree: &Tree) -> Result<(), lsm_tree::Error> {
        loop {
            let before = tree.current_version().id();
            let (above, last) = tables(tree);
            let deleted = deleted_keys(&above)?;
            let mut dead = None;
            for table in &last {
                let keys = &table.metadata.key_range;
                // What else lies between its keys goes with it.
                let mut within = above.iter().map(|table| &table.metadata).filter(|other| {
                    other.key_range.min() >= keys.min() && other.key_range.max() <= keys.max()
                });
                if deleted_rows(table, &deleted) >= table.metadata.item_count
                    && within.all(|other| other.item_count == other.tombstone_count)
                    && is_dead(table, &deleted)?
                {
                    dead = Some(keys.clone());
                    break;
                }
            }
            let Some(keys) = dead else { return Ok(()) };
            // No table may come between its keys meanwhile.
            let flushing = tree.get_flush_lock();
            if tree.current_version().id() == before {
                tree.drop_range(keys.min().as_ref()..=keys.max().as_ref())?;
            }
            drop(flushing);
            drop((above, last));
            self.forget_versions(tree);
        }
    }

    fn settle(&self, tree: &Tree, strategy: Leveled) -> Result<(), lsm_tree::Error> {
        let strategy = Arc::new(strategy);
        loop {
            let before = tree.current_version().id();
            trees::tidily(&self.table_writers, tree, || {
                tree.compact(strategy.clone(), self.oldest_reader())
            })?;

            if tree.current_version().id() == before || self.work.lock().stop {
                return Ok(());
            }
            self.forget_versions(tree);
            self.done.notify_all();
        }
    }

    /// Reads every table.
    pub(super) fn check(&self) -> std::io::Result<Vec<Damage>> {
        let mut damage = Vec::new();
        for (table, tree) in Table::ALL.into_iter().zip(&self.trees) {
            for file in self.read(|_| tree.current_version()).iter_tables() {
                if !salvage::is_whole(&file.path, file.checksum())? {
                    let rows = file.metadata.item_count;
                    let what = format!("some of the {rows} rows of `{}` in it", table.name()).into();
                    damage.push(Damage { place: file.path.to_path_buf(), table: Some(table), what });
                }
            }
        }
        Ok(damage)
    }

    pub(super) fn last_commit(&self) -> SeqNo {
        self.visible.load(Ordering::Acquire).saturating_sub(1)
    }

    fn read<T>(&self, pick: impl FnOnce(SeqNo) -> T) -> T {
        let _picking = self.picking.read();
        pick(self.visible.load(Ordering::Acquire))
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, lsm_tree::Error> {
        let (Some(tree), Some(key)) = (self.trees.get(table as usize), keys::stored(key)) else {
            return Ok(None);
        };
        let value = self.read(|visible| tree.get(key, visible))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    pub(super) fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: usize,
    ) -> Result<Vec<Row>, lsm_tree::Error> {
        let (Some(tree), Some(range)) = (self.trees.get(table as usize), keys::range(prefix, after)) else {
            return Ok(Vec::new());
        };
        let found = self.read(|visible| tree.range(range, visible, None));
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for found in found {
            let row = row(found)?;
            bytes += row.key.len() + row.value.len();
            if !rows.is_empty() && bytes > max_bytes {
                break;
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// All rows of each tree, by number of the table, as the last commit left them. They hold on to the memory and the tables in which they
    /// lie, so no merge takes away what they need, and none has to wait for them.
    pub(super) fn all_rows(&self) -> Vec<Rows> {
        let Some(range) = keys::range(b"", None) else { return Vec::new() };
        self.read(|visible| {
            let rows = |tree: &Tree| -> Rows { tree.range(range.clone(), visible, None) };
            self.trees.iter().map(rows).collect()
        })
    }
}

/// As it was committed.
pub(super) fn row(found: IterGuardImpl) -> Result<Row, lsm_tree::Error> {
    let (key, value) = found.into_inner()?;
    let key = Bytes::copy_from_slice(keys::original(&key));
    Ok(Row { key, value: Bytes::copy_from_slice(&value) })
}

/// Returns the bytes of memory it takes.
fn apply(trees: &[Tree], operation: &Operation, seqno: SeqNo) -> u64 {
    let (table, key, value, kind) = match operation {
        Operation::Put(table, key, value) => (*table, key, &value[..], ValueType::Value),
        Operation::Delete(table, key) => (*table, key, &[][..], ValueType::Tombstone),
    };
    let (Some(tree), Some(key)) = (trees.get(table as usize), keys::stored(key)) else { return 0 };
    // What an entry costs besides: more than half of a small row.
    const ENTRY: u64 = 64;
    tree.append_entry(InternalValue::from_components(key, value, seqno, kind)).0 + ENTRY
}

/// The trees know no order within a batch.
fn last_of_each_key(operations: &[Operation]) -> Vec<&Operation> {
    let key = |operation: &&Operation| match operation {
        Operation::Put(table, key, _) | Operation::Delete(table, key) => (*table, key.clone()),
    };
    let mut seen = HashSet::with_capacity(operations.len());
    let mut last: Vec<_> = operations.iter().rev().filter(|operation| seen.insert(key(operation))).collect();
    last.reverse();
    last
}

/// Rows in tables, and how many of them are deletions.
fn rows(tree: &Tree) -> (u64, u64) {
    let tables = tree.current_version();
    tables.iter_tables().fold((0, 0), |(rows, deletions), table| {
        (rows + table.metadata.item_count, deletions + table.metadata.tombstone_count)
    })
}

/// Bytes of rows in tables that are deleted, if every deletion has one of the usual size.
fn upper_bound_of_dead(tree: &Tree) -> u64 {
    rows(tree).1 * row_bytes(tree)
}

/// Bytes of the last level that are deleted further up, more or less.
fn dead_bytes(tree: &Tree) -> Result<u64, lsm_tree::Error> {
    let (above, last) = tables(tree);
    let deleted = deleted_keys(&above)?;
    let dead = |table: &TableFile| {
        let rows = table.metadata.item_count.max(1);
        deleted_rows(table, &deleted).min(rows) * (table.metadata.file_size / rows)
    };
    Ok(last.iter().map(dead).sum())
}

/// The tables of all levels but the last, and those of the last.
fn tables(tree: &Tree) -> (Vec<TableFile>, Vec<TableFile>) {
    let version = tree.current_version();
    let (mut above, mut last) = (Vec::new(), Vec::new());
    for (index, level) in version.iter_levels().enumerate() {
        let tables = if index < LAST_LEVEL { &mut above } else { &mut last };
        tables.extend(level.iter().flat_map(|run| run.iter()).cloned());
    }
    (above, last)
}

/// In order.
fn deleted_keys(tables: &[TableFile]) -> Result<Vec<UserKey>, lsm_tree::Error> {
    let mut deleted = Vec::new();
    for table in tables.iter().filter(|table| table.metadata.tombstone_count > 0) {
        for row in table.iter() {
            let row = row?;
            if row.is_tombstone() {
                deleted.push(row.key.user_key);
            }
        }
    }
    deleted.sort_unstable();
    deleted.dedup();
    Ok(deleted)
}

/// Deleted keys between the first and the last of the table; not all need be in it.
fn deleted_rows(table: &TableFile, deleted: &[UserKey]) -> u64 {
    let keys = &table.metadata.key_range;
    let from = deleted.partition_point(|key| key < keys.min());
    let to = deleted.partition_point(|key| key <= keys.max());
    to.saturating_sub(from) as u64
}

/// Reads the table.
fn is_dead(table: &TableFile, deleted: &[UserKey]) -> Result<bool, lsm_tree::Error> {
    for row in table.iter() {
        let row = row?;
        if !row.is_tombstone() && deleted.binary_search(&row.key.user_key).is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Bytes of a row in tables.
fn row_bytes(tree: &Tree) -> u64 {
    let (rows, deletions) = rows(tree);
    tree.disk_space() / rows.saturating_sub(deletions).max(1)
}
