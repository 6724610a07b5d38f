//! The engine as a whole.

use super::{
    faults::{Fault, Faults},
    *,
};
use crate::suite;
use std::{fs, os::unix::fs::FileExt};
use tempfile::TempDir;

struct OnDisk(TempDir);

impl suite::Engine for OnDisk {
    fn fresh(&mut self) -> Arc<dyn Backend> {
        self.0 = TempDir::new().unwrap();
        Arc::new(open(self.0.path()))
    }

    fn reopen(&mut self, engine: Arc<dyn Backend>) -> Option<Arc<dyn Backend>> {
        drop(engine);
        Some(Arc::new(open(self.0.path())))
    }
}

fn open(folder: &Path) -> Fjall {
    // Small, so that a test sees journals change and tables being merged.
    Fjall::open(folder, FjallOptions { reserve: 0, cache: 1 << 20, journal: 256 << 10 }).unwrap()
}

fn put(key: u32, value: &[u8]) -> Operation {
    Operation::Put(Table::Messages, Bytes::copy_from_slice(&key.to_be_bytes()), Bytes::copy_from_slice(value))
}

fn keys(store: &Fjall) -> Vec<u32> {
    let rows = store.scan(Table::Messages, b"", None, usize::MAX).unwrap();
    rows.iter().map(|row| u32::from_be_bytes(row.key[..].try_into().unwrap())).collect()
}

/// The only file of a folder whose name ends so.
fn file(folder: &Path, end: &str) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.to_str().unwrap().ends_with(end)).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn flip(file: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// As after a kill.
fn killed(store: &Fjall) -> TempDir {
    store.running.read().as_ref().unwrap().engine.wait_until_idle();
    copy_of(&store.folder)
}

fn copy_of(folder: &Path) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap() {
            let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
            match from.is_dir() {
                true => {
                    fs::create_dir(&to).unwrap();
                    copy(&from, &to);
                }
                false => _ = fs::copy(from, to).unwrap(),
            }
        }
    }
    let place = TempDir::new().unwrap();
    copy(folder, place.path());
    place
}

#[test]
fn fjall_does_what_an_engine_must() {
    suite::run(&mut OnDisk(TempDir::new().unwrap()));
}

#[test]
fn what_a_killed_broker_left_is_there() {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    for key in 0..10 {
        store.commit(&[put(key, b"1")], Durability::Os).unwrap();
    }
    let copy = killed(&store);
    let store = open(copy.path());
    assert_eq!(keys(&store), (0..10).collect::<Vec<_>>());
    assert!(store.damage().is_empty());
}

#[test]
fn a_batch_that_was_not_written_to_its_end_is_no_damage() {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    store.commit(&[put(1, b"whole")], Durability::Sync).unwrap();
    let whole = fs::metadata(file(place.path(), ".journal")).unwrap().len();
    store.commit(&[put(2, b"torn"), put(3, b"torn")], Durability::Sync).unwrap();
    let torn = fs::metadata(file(place.path(), ".journal")).unwrap().len();
    for length in whole..torn {
        let copy = killed(&store);
        let journal = fs::File::options().write(true).open(file(copy.path(), ".journal")).unwrap();
        journal.set_len(length).unwrap();
        // The length was written, the bytes were not.
        if length % 2 == 0 {
            journal.set_len(torn + 4096).unwrap();
        }
        let store = open(copy.path());
        assert_eq!(keys(&store), [1], "cut at {length}");
        assert!(store.damage().is_empty(), "{:?}", store.damage());
    }
}

#[test]
fn what_follows_a_damaged_batch_is_kept_and_the_journal_is_set_aside() {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    let mut ends = Vec::new();
    for key in 0..5 {
        store.commit(&[put(key, b"some value")], Durability::Sync).unwrap();
        ends.push(fs::metadata(file(place.path(), ".journal")).unwrap().len());
    }
    drop(store);
    for at in ends[1]..ends[2] {
        let copy = copy_of(place.path());
        flip(&file(copy.path(), ".journal"), at);
        let store = open(copy.path());
        assert_eq!(keys(&store), [0, 1, 3, 4], "flipped at {at}");
        let damage = store.damage();
        assert_eq!(damage.len(), 1, "{damage:?}");
        assert!(damage[0].place.starts_with(copy.path().join("damaged")) && damage[0].place.exists());
        drop(store);
        let store = open(copy.path());
        assert_eq!((keys(&store).len(), store.damage().len()), (4, 0), "it is said once");
    }
    for at in 0..32 {
        let copy = copy_of(place.path());
        flip(&file(copy.path(), ".journal"), at);
        let store = open(copy.path());
        assert_eq!((keys(&store).len(), store.damage().len()), (5, 1), "flipped at {at}");
    }
    // Closed in order, so the last batch was there.
    let copy = copy_of(place.path());
    flip(&file(copy.path(), ".journal"), ends[4] - 1);
    let store = open(copy.path());
    assert_eq!((keys(&store).len(), store.damage().len()), (4, 1));
}

/// A store of 3,000 rows in tables, closed.
fn tables() -> TempDir {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    for first in (0..3_000).step_by(100) {
        let rows: Vec<_> = (first..first + 100).map(|key| put(key, &[key as u8; 100])).collect();
        store.commit(&rows, Durability::Os).unwrap();
    }
    drop(store);
    drop(open(place.path()));
    place
}

#[test]
fn a_flipped_bit_anywhere_costs_some_rows_is_reported_and_nothing_wrong_is_served() {
    let place = tables();
    let whole = keys(&open(place.path()));
    assert_eq!(whole.len(), 3_000);
    let mut files = Vec::new();
    for folder in [place.path().join("messages"), place.path().join("messages/tables")] {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.is_file()));
    }
    assert!(files.len() > 2, "{files:?}");
    for path in files {
        let name = path.strip_prefix(place.path()).unwrap();
        let length = fs::metadata(&path).unwrap().len();
        for part in 0..8 {
            let at = (length * part / 8 + part).min(length - 1);
            let copy = copy_of(place.path());
            flip(&copy.path().join(name), at);
            let store = open(copy.path());
            let found = store.check().unwrap();
            let rows = store.scan(Table::Messages, b"", None, usize::MAX).unwrap();
            let right = |row: &Row| {
                let key = u32::from_be_bytes(row.key[..].try_into().unwrap());
                key < 3_000 && row.value == [key as u8; 100][..]
            };
            assert!(rows.iter().all(right));
            let damage = [found, store.damage()].concat();
            // A damaged table may have been merged meanwhile, if what was damaged is not needed for that.
            assert!(
                !damage.is_empty() || rows.len() == 3_000,
                "{} at {at}: nothing was said",
                name.display()
            );
            assert!(rows.len() > 1_000, "{} at {at}: {} rows, {damage:?}", name.display(), rows.len());
            drop(store);
            // Repaired, or still served as well as before.
            let store = open(copy.path());
            assert_eq!(keys(&store).len(), rows.len(), "{} at {at}", name.display());
            store.commit(&[put(9_999, b"goes on")], Durability::Sync).unwrap();
            assert_eq!(keys(&store).len(), rows.len() + 1);
        }
    }
}

#[test]
fn a_missing_table_is_reported_and_the_rest_is_served() {
    let place = tables();
    let tables = fs::read_dir(place.path().join("messages/tables")).unwrap();
    let largest = tables.map(|entry| entry.unwrap()).max_by_key(|entry| entry.metadata().unwrap().len());
    fs::remove_file(largest.unwrap().path()).unwrap();
    let store = open(place.path());
    assert!(keys(&store).len() < 3_000);
    assert!(store.damage()[0].to_string().contains("missing"), "{:?}", store.damage());
}

#[test]
fn a_write_that_fails_leaves_nothing_and_the_next_goes_well() {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    let faults = Faults::of(place.path());
    store.commit(&[put(1, b"1")], Durability::Sync).unwrap();
    faults.set(Fault::Full);
    for durability in [Durability::Os, Durability::Sync] {
        let refused = store.commit(&[put(2, b"2")], durability);
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert_eq!(keys(&store), [1]);
        assert_eq!(keys(&open(killed(&store).path())), [1]);
    }
    faults.set(Fault::None);
    store.commit(&[put(3, b"3")], Durability::Sync).unwrap();
    drop(store);
    assert_eq!(keys(&open(place.path())), [1, 3]);
}

#[test]
fn after_a_sync_that_failed_nothing_is_read_until_it_recovers() {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    let faults = Faults::of(place.path());
    store.commit(&[put(1, b"1")], Durability::Sync).unwrap();
    faults.set(Fault::Sync);
    let unknown = store.commit(&[put(2, b"2")], Durability::Sync);
    assert!(matches!(unknown, Err(StoreError::Unknown(_))), "{unknown:?}");
    assert!(matches!(store.get(Table::Messages, b"1"), Err(StoreError::Unavailable(_))));
    faults.set(Fault::None);
    store.recover().unwrap();
    assert_eq!(keys(&store), [1, 2]);
    // A caller that does not recover is not stuck either.
    faults.set(Fault::Sync);
    assert!(store.commit(&[put(3, b"3")], Durability::Sync).is_err());
    faults.set(Fault::None);
    store.commit(&[put(4, b"4")], Durability::Sync).unwrap();
    assert_eq!(keys(&store), [1, 2, 3, 4]);
    assert!(store.damage().is_empty());
}

#[test]
fn a_full_disk_refuses_messages_and_takes_deletions() {
    let place = TempDir::new().unwrap();
    drop(open(place.path()));
    let options = FjallOptions { reserve: u64::MAX, ..FjallOptions::default() };
    let store = Fjall::open(place.path(), options).unwrap();
    let refused = store.commit(&[put(1, b"1")], Durability::Sync).unwrap_err();
    assert!(refused.to_string().contains("is full"), "{refused}");
    let key = || Bytes::from_static(b"key");
    let session = Operation::Put(Table::Sessions, key(), key());
    assert!(store.commit(&[session], Durability::Sync).is_err());
    store.commit(&[Operation::Delete(Table::Messages, key())], Durability::Sync).unwrap();
    let known = [Table::Meta, Table::References].map(|table| Operation::Put(table, key(), key()));
    store.commit(&known, Durability::Sync).unwrap();
    assert!(keys(&store).is_empty());
}

#[test]
fn a_folder_that_cannot_be_used_is_refused_with_its_name_and_what_to_do() {
    let refusal = |folder: &Path| match Fjall::open(folder, FjallOptions::default()) {
        Err(StoreError::Unusable(why)) => {
            assert!(why.contains(folder.to_str().unwrap()), "{why}");
            why
        }
        other => panic!("{other:?}"),
    };
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    assert!(refusal(place.path()).contains("another broker: stop that broker, or set another folder"));
    drop(store);
    let format = fs::read_to_string(place.path().join("FORMAT")).unwrap();
    fs::write(place.path().join("FORMAT"), folder::format_text(2)).unwrap();
    assert!(refusal(place.path()).contains("has format 2 and this broker knows formats up to 1"));
    // Not a format that anybody wrote.
    fs::write(place.path().join("FORMAT"), format.replace('1', "3")).unwrap();
    drop(open(place.path()));

    let foreign = TempDir::new().unwrap();
    fs::write(foreign.path().join("photo.jpg"), "").unwrap();
    assert!(refusal(foreign.path()).contains("was not written by this broker: set another folder"));
    assert!(
        refusal(&foreign.path().join("photo.jpg")).contains("make it a folder that this broker can write")
    );
    assert_eq!(fs::read_dir(foreign.path()).unwrap().count(), 1);
}

/// Rows come and go at random and in order, over many journals and merges.
#[test]
fn what_is_merged_says_the_same_as_a_map() {
    let place = TempDir::new().unwrap();
    let options = FjallOptions { reserve: 0, cache: 1 << 20, journal: 8 << 10 };
    let mut store = Fjall::open(place.path(), options.clone()).unwrap();
    let mut rows = std::collections::BTreeMap::new();
    let (mut seed, mut oldest) = (1_u64, 0);
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u32 % below
    };
    for commit in 0..6_000_u32 {
        let mut operations = Vec::new();
        for _ in 0..random(8) {
            let key = match random(4) {
                0 => random(2_000),
                _ => 10_000 + commit,
            };
            let value = commit.to_be_bytes().repeat(random(20) as usize);
            rows.insert(key, value.clone());
            operations.push(put(key, &value));
        }
        for _ in 0..random(8) {
            let key = match random(3) {
                0 => random(2_000),
                _ => {
                    oldest = (oldest + 1).min(commit);
                    10_000 + oldest
                }
            };
            rows.remove(&key);
            operations.push(Operation::Delete(Table::Messages, Bytes::copy_from_slice(&key.to_be_bytes())));
        }
        store.commit(&operations, Durability::None).unwrap();
        if commit % 1_000 == 999 {
            if commit % 2_000 == 999 {
                drop(store);
                store = Fjall::open(place.path(), options.clone()).unwrap();
            }
            let found = store.scan(Table::Messages, b"", None, usize::MAX).unwrap();
            assert_eq!(found.len(), rows.len());
            for (row, (key, value)) in found.iter().zip(&rows) {
                assert_eq!((&row.key[..], &row.value[..]), (&key.to_be_bytes()[..], &value[..]));
                assert_eq!(store.get(Table::Messages, &row.key).unwrap().unwrap(), row.value);
            }
        }
    }
    assert!(store.check().unwrap().is_empty() && store.damage().is_empty());
}

#[test]
fn the_folder_does_not_grow_while_messages_come_and_go() {
    let place = TempDir::new().unwrap();
    let journal = 1 << 20;
    let options = FjallOptions { reserve: 0, cache: 1 << 20, journal };
    let store = Fjall::open(place.path(), options.clone()).unwrap();
    let queue = |key: u32| Bytes::copy_from_slice(&[(key % 7).to_be_bytes(), key.to_be_bytes()].concat());
    let idle = |store: &Fjall| store.running.read().as_ref().unwrap().engine.wait_until_idle();
    let (mut most, body) = (0, vec![7; 500]);
    // 40 MiB of messages, of which 2,000 wait at a time; then they go.
    for first in (0..82_000).step_by(50) {
        let come = (first..first + 50).filter(|key| *key < 80_000);
        let come =
            come.flat_map(|key| [put(key, &body), Operation::Put(Table::Queues, queue(key), Bytes::new())]);
        let go = (first..first + 50).filter_map(|key| key.checked_sub(2_000)).flat_map(|key| {
            let message = Bytes::copy_from_slice(&key.to_be_bytes());
            [Operation::Delete(Table::Messages, message), Operation::Delete(Table::Queues, queue(key))]
        });
        store.commit(&come.chain(go).collect::<Vec<_>>(), Durability::Os).unwrap();
        if first % 1_000 == 0 {
            // How far merges are behind is a matter of how busy the machine is.
            idle(&store);
            most = most.max(store.disk_bytes().unwrap());
        }
    }
    assert!(keys(&store).is_empty());
    // Twice the live bytes, and some journals.
    assert!(most < (2 << 20) + 6 * journal, "{} KiB", most >> 10);
    drop(store);
    let store = Fjall::open(place.path(), options).unwrap();
    idle(&store);
    assert!(store.disk_bytes().unwrap() < 3 * journal, "{:?}", store.disk_bytes());
}

#[test]
fn a_snapshot_outlives_journals_and_merges_and_gives_back_what_only_it_needs() {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    let idle = || store.running.read().as_ref().unwrap().engine.wait_until_idle();
    let value = |key: u32| [key as u8; 1_000];
    // Some in tables, some in memory.
    for key in 0..1_500 {
        store.commit(&[put(key, &value(key))], Durability::None).unwrap();
    }
    idle();
    let mut snapshot = store.snapshot().unwrap();
    let mut read = snapshot.next(Table::Messages, 10_000).unwrap();
    assert!((10..20).contains(&read.len()));
    // All of it is written over, goes, and is merged away; others come and go.
    for key in 0..1_500 {
        store.commit(&[put(key, b"changed")], Durability::None).unwrap();
    }
    for key in 0..1_500 {
        let key = Bytes::copy_from_slice(&u32::to_be_bytes(key));
        store.commit(&[Operation::Delete(Table::Messages, key)], Durability::None).unwrap();
    }
    for key in 10_000..11_500 {
        store.commit(&[put(key, &value(key))], Durability::None).unwrap();
    }
    idle();
    let tree = |store: &Fjall| {
        let tables = fs::read_dir(store.folder.join("messages/tables")).unwrap();
        tables.map(|entry| entry.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    let with_snapshot = tree(&store);
    read.extend(suite::rest(&mut *snapshot, Table::Messages, 50_000));
    assert_eq!(read.len(), 1_500);
    for (key, row) in (0..).zip(&read) {
        assert_eq!((&row.key[..], &row.value[..]), (&u32::to_be_bytes(key)[..], &value(key)[..]));
    }
    drop(snapshot);
    assert!(tree(&store) + 1_000_000 < with_snapshot, "{} of {with_snapshot}", tree(&store));
    assert_eq!(keys(&store), (10_000..11_500).collect::<Vec<_>>());
}

#[test]
fn a_snapshot_ends_when_the_folder_is_opened_anew_and_takes_nothing_with_it() {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    let rows: Vec<_> = (0..2_000).map(|key| put(key, &[7; 500])).collect();
    store.commit(&rows, Durability::Sync).unwrap();
    let snapshots = [store.snapshot().unwrap(), store.snapshot().unwrap()];
    let all: Vec<_> = keys(&store).into_iter().map(|key| key.to_be_bytes()).collect();
    let gone = all.iter().map(|key| Operation::Delete(Table::Messages, Bytes::copy_from_slice(key)));
    store.commit(&gone.collect::<Vec<_>>(), Durability::Sync).unwrap();
    store.running.read().as_ref().unwrap().engine.wait_until_idle();
    let [mut one, other] = snapshots;
    drop(other);
    store.recover().unwrap();
    // Tables of the same names as those that went.
    store.commit(&rows, Durability::Sync).unwrap();
    store.running.read().as_ref().unwrap().engine.wait_until_idle();
    let ended = one.next(Table::Messages, 1);
    assert!(matches!(ended, Err(StoreError::Unavailable(_))), "{ended:?}");
    drop(one);
    assert_eq!(keys(&store).len(), 2_000);
    let mut last = store.snapshot().unwrap();
    drop(store);
    assert!(last.next(Table::Messages, 1).is_err());
    let store = open(place.path());
    drop(last);
    assert!(store.check().unwrap().is_empty() && store.damage().is_empty());
    assert_eq!(keys(&store).len(), 2_000);
}

#[test]
fn a_snapshot_that_meets_damage_says_so_and_has_it_repaired() {
    let place = tables();
    let folder = place.path().join("messages/tables");
    let tables = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let largest = tables.max_by_key(|entry| entry.metadata().unwrap().len()).unwrap().path();
    flip(&largest, fs::metadata(&largest).unwrap().len() / 3);
    let store = open(place.path());
    let mut snapshot = store.snapshot().unwrap();
    let whole = std::iter::from_fn(|| match snapshot.next(Table::Messages, 1_000) {
        Ok(rows) if rows.is_empty() => None,
        read => Some(read),
    })
    .collect::<Result<Vec<_>, _>>();
    assert!(matches!(whole, Err(StoreError::Unavailable(_))), "{:?}", whole.map(|pages| pages.len()));
    store.commit(&[put(9_999, b"goes on")], Durability::Sync).unwrap();
    assert!(!store.damage().is_empty());
    let mut snapshot = store.snapshot().unwrap();
    assert_eq!(suite::rest(&mut *snapshot, Table::Messages, 1_000).len(), keys(&store).len());
}
