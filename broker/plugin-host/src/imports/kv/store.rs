//! Where `kv` survives restarts: one fjall database in the broker's data folder, with a keyspace for each plugin.
//!
//! What a plugin has changed is written within a few milliseconds and synced within about a second. So a broker that is killed loses
//! what changed in its last milliseconds, and a power cut what changed in the last second or so; what is there is whole.

use super::{
    saver::{Alarm, Saved, Saver},
    space::{Change, Entry, KvSpace},
};
use crate::imports::now;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use parking_lot::Mutex;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};
use tidegate_mqtt::Timestamp;

/// Bytes of memory that the database may use for blocks it has read: reading happens at the start only.
const CACHE: u64 = 1 << 20;
/// Bytes of changes of one plugin in memory before they become a file.
const MEMTABLE: u64 = 4 << 20;
/// Bytes of journals before memory is written out.
const JOURNALS: u64 = 64 << 20;

/// Gives each plugin its entries. Opens the database when the first of them asks.
pub(crate) struct KvStore {
    /// None: nothing is kept.
    folder: Option<PathBuf>,
    running: Mutex<Option<Running>>,
}

struct Running {
    saver: Arc<Saver>,
    thread: JoinHandle<()>,
}

impl KvStore {
    /// With a database in `data_dir/kv`.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { folder: Some(data_dir.join("kv")), running: Mutex::default() }
    }

    /// Nothing is read and nothing is kept, as for a check.
    pub(crate) fn in_memory() -> Self {
        Self { folder: None, running: Mutex::default() }
    }

    /// What the plugin kept. To be asked once a plugin, where blocking does no harm.
    ///
    /// # Errors
    /// Why the database cannot be used, in one sentence.
    pub(crate) fn space(&self, plugin: &str) -> Result<Arc<KvSpace>, String> {
        let Some(folder) = &self.folder else { return Ok(Arc::default()) };
        let sentence = |why: DiskError| {
            format!(
                "`grants.kv` cannot be given, {} cannot be used: {why}; {}",
                folder.display(),
                why.remedy()
            )
        };
        self.open(folder, plugin).map_err(sentence)
    }

    fn open(&self, folder: &Path, plugin: &str) -> Result<Arc<KvSpace>, DiskError> {
        let mut running = self.running.lock();
        let saver = match &*running {
            Some(running) => running.saver.clone(),
            None => {
                let saver = Arc::new(Saver {
                    folder: folder.to_owned(),
                    alarm: Arc::default(),
                    disk: Mutex::new(Some(Disk::open(folder)?)),
                    spaces: Mutex::default(),
                });
                let saving = saver.clone();
                let thread =
                    std::thread::Builder::new().name("plugin-kv".into()).spawn(move || saving.run())?;
                running.insert(Running { saver, thread }).saver.clone()
            }
        };
        let Some(disk) = saver.disk.lock().clone() else { return Err(DiskError::Failing) };
        // All generations of a plugin have the same.
        let mut spaces = saver.spaces.lock();
        if let Some(known) = spaces.iter().find(|saved| &*saved.plugin == plugin) {
            return Ok(known.space.clone());
        }
        let space = Arc::new(disk.load(plugin, saver.alarm.clone())?);
        spaces.push(Saved { plugin: plugin.into(), space: space.clone() });
        drop(spaces);
        if space.is_unsaved() {
            saver.alarm.ring();
        }
        Ok(space)
    }

    /// Saves everything and lets go of the database. What plugins change from now on is kept in memory only. Blocks until the disk
    /// has it all.
    pub(crate) fn close(&self) {
        let Some(Running { saver, thread }) = self.running.lock().take() else { return };
        saver.alarm.stop();
        if thread.join().is_err() {
            tracing::error!("the thread that saves what plugins keep in kv ended badly");
        }
    }
}

impl Drop for KvStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// The database. Every entry is its expiry in milliseconds since 1970, 0 for none, as eight bytes, and the value.
#[derive(Clone)]
pub(super) struct Disk(Database);

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiskError {
    #[error("another broker uses it")]
    Locked,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is damaged: {0}")]
    Damaged(Box<str>),
    #[error("it failed a moment ago")]
    Failing,
}

impl DiskError {
    fn remedy(&self) -> &'static str {
        match self {
            Self::Locked => "stop that broker, or set another data_dir",
            Self::Io(_) => "make it a folder that can be written, or remove the grant",
            Self::Damaged(_) => "move it away and start with an empty one, or remove the grant",
            Self::Failing => "see the log for the reason",
        }
    }
}

impl From<fjall::Error> for DiskError {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Locked => Self::Locked,
            fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => Self::Io(error),
            error => Self::Damaged(error.to_string().into()),
        }
    }
}

impl Disk {
    pub(super) fn open(folder: &Path) -> Result<Self, DiskError> {
        let database = Database::builder(folder)
            .worker_threads(1)
            .cache_size(CACHE)
            .max_journaling_size(JOURNALS)
            .open()?;
        Ok(Self(database))
    }

    fn keyspace(&self, plugin: &str) -> Result<Keyspace, DiskError> {
        Ok(self.0.keyspace(plugin, || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE))?)
    }

    fn load(&self, plugin: &str, alarm: Arc<Alarm>) -> Result<KvSpace, DiskError> {
        let mut entries = Vec::new();
        for pair in self.keyspace(plugin)?.iter() {
            let (key, value) = pair.into_inner()?;
            entries.extend(key_of(&key).zip(decode(&value)));
        }
        Ok(KvSpace::saved(entries.into_iter(), now(), alarm))
    }

    /// All that it has of one plugin.
    pub(super) fn keys(&self, plugin: &str) -> Result<Vec<String>, DiskError> {
        let mut keys = Vec::new();
        for pair in self.keyspace(plugin)?.iter() {
            keys.extend(key_of(&pair.key()?));
        }
        Ok(keys)
    }

    /// All of them or none.
    pub(super) fn write(&self, plugin: &str, changes: impl Iterator<Item = Change>) -> Result<(), DiskError> {
        let keyspace = self.keyspace(plugin)?;
        let mut batch = self.0.batch();
        for (key, entry) in changes {
            // The database takes no empty key, a plugin may.
            let key = [b"k", key.as_bytes()].concat();
            match entry {
                Some(entry) => batch.insert(&keyspace, key, encode(&entry)),
                None => batch.remove(&keyspace, key),
            }
        }
        // To the system, so that it outlives the broker.
        Ok(batch.durability(Some(PersistMode::Buffer)).commit()?)
    }

    pub(super) fn sync(&self) -> Result<(), DiskError> {
        Ok(self.0.persist(PersistMode::SyncAll)?)
    }
}

fn key_of(stored: &[u8]) -> Option<String> {
    let key = stored.strip_prefix(b"k")?;
    std::str::from_utf8(key).ok().map(str::to_owned)
}

fn encode(entry: &Entry) -> Vec<u8> {
    let expires = entry.expires.map_or(0, |expires| expires.0.max(1));
    [&expires.to_le_bytes()[..], &entry.value].concat()
}

fn decode(stored: &[u8]) -> Option<Entry> {
    let (expires, value) = stored.split_first_chunk()?;
    let expires = Some(u64::from_le_bytes(*expires)).filter(|ms| *ms != 0).map(Timestamp);
    Some(Entry { value: value.to_vec(), expires })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ByteSize;
    use tempfile::TempDir;

    const ROOM: ByteSize = ByteSize::mib(1);

    fn set(space: &KvSpace, key: &str, value: &str, ttl: Option<u64>) {
        space.set(key.into(), value.into(), ttl, ROOM, now()).unwrap();
    }

    fn get(space: &KvSpace, key: &str) -> Option<String> {
        space.get(key, now()).map(|value| String::from_utf8(value).unwrap())
    }

    #[test]
    fn entries_outlive_the_store_but_not_their_time() {
        let place = TempDir::new().unwrap();
        let store = KvStore::new(place.path());
        let (one, two) = (store.space("one").unwrap(), store.space("two").unwrap());
        set(&one, "", "empty key", None);
        set(&one, "stays", "1", None);
        set(&one, "goes", "2", None);
        set(&one, "is over", "3", Some(0));
        set(&one, "has an hour", "4", Some(3_600_000));
        set(&two, "stays", "of two", None);
        one.add("counter".into(), 41, None, ROOM, now()).unwrap();
        store.close();

        let store = KvStore::new(place.path());
        let one = store.space("one").unwrap();
        assert_eq!(one.keys("", None, 10, now()), ["", "counter", "goes", "has an hour", "stays"]);
        assert_eq!(get(&one, "").unwrap(), "empty key");
        assert_eq!(one.get("has an hour", now().after(std::time::Duration::from_secs(3600))), None);
        assert_eq!(one.add("counter".into(), 1, None, ROOM, now()), Ok(42));
        one.delete("goes", now());
        drop(store);

        let store = KvStore::new(place.path());
        let (one, two) = (store.space("one").unwrap(), store.space("two").unwrap());
        assert_eq!(one.keys("", None, 10, now()), ["", "counter", "stays"]);
        assert_eq!(get(&one, "counter").unwrap(), "42");
        assert_eq!(get(&two, "stays").unwrap(), "of two");
        assert!(store.space("three").unwrap().keys("", None, 1, now()).is_empty());
    }

    #[test]
    fn nothing_is_opened_before_a_plugin_asks() {
        let place = TempDir::new().unwrap();
        drop(KvStore::new(place.path()));
        KvStore::in_memory().space("one").unwrap();
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_database_in_use_or_in_the_way_is_refused_with_a_remedy() {
        let place = TempDir::new().unwrap();
        let store = KvStore::new(place.path());
        store.space("one").unwrap();
        let refused = KvStore::new(place.path()).space("one").unwrap_err();
        assert!(refused.contains("another broker uses it; stop that broker"), "{refused}");
        drop(store);
        KvStore::new(place.path()).space("one").unwrap();
        std::fs::write(place.path().join("file"), "").unwrap();
        let refused = KvStore::new(&place.path().join("file")).space("one").unwrap_err();
        assert!(refused.contains("`grants.kv` cannot be given") && refused.contains("make it a folder"));
    }

    #[test]
    fn what_a_killed_broker_left_is_there() {
        let place = TempDir::new().unwrap();
        let disk = Disk::open(&place.path().join("kv")).unwrap();
        let entry = Entry { value: b"1".to_vec(), expires: None };
        disk.write("one", [("a".to_owned(), Some(entry))].into_iter()).unwrap();
        // A copy of the files at this moment: never closed, never synced.
        let copy = TempDir::new().unwrap();
        copy_folder(&place.path().join("kv"), &copy.path().join("kv"));
        let store = KvStore::new(copy.path());
        assert_eq!(get(&store.space("one").unwrap(), "a").unwrap(), "1");
    }

    fn copy_folder(from: &Path, to: &Path) {
        std::fs::create_dir(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => copy_folder(&entry.path(), &to),
                false => _ = std::fs::copy(entry.path(), to).unwrap(),
            }
        }
    }

    #[test]
    fn a_disk_that_failed_is_given_everything_when_it_is_back() {
        let place = TempDir::new().unwrap();
        let store = KvStore::new(place.path());
        let space = store.space("one").unwrap();
        set(&space, "before", "1", None);
        set(&space, "deleted", "1", None);
        let saver = store.running.lock().as_ref().unwrap().saver.clone();
        while space.is_unsaved() {
            std::thread::yield_now();
        }
        // As `Saver::failed` leaves it.
        let disk = saver.disk.lock().take();
        drop(disk);
        space.mark_everything();
        space.delete("deleted", now());
        set(&space, "after", "2", None);
        drop(saver);
        store.close();
        let space = KvStore::new(place.path()).space("one").unwrap();
        assert_eq!(space.keys("", None, 10, now()), ["after", "before"]);
    }
}
