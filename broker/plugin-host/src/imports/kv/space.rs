//! All entries of one plugin, in memory, and which of them the disk does not know yet.

use super::{Answer, saver::Alarm};
use crate::{units::ByteSize, wire::KvError};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
    time::Duration,
};
use tidegate_mqtt::Timestamp;

/// What an entry costs beside its key and value, in bytes.
const ENTRY: usize = 64;
/// Bytes of a key.
const LONGEST_KEY: usize = 1024;
/// Keys given at once.
const MOST_KEYS: usize = 1000;
/// Outdated entries are looked for no more often, when there is no room.
const SWEEP: Duration = Duration::from_secs(1);
/// Bytes of keys that were deleted but are not saved yet. With more of them everything is saved anew.
const BACKLOG: usize = 1 << 20;
/// Bytes that are copied for the disk under one lock.
const PART: usize = 256 << 10;

/// See the module. Callers never wait for the disk.
#[derive(Debug, Default)]
pub(crate) struct KvSpace {
    entries: Mutex<Entries>,
    /// None: never saved.
    alarm: Option<Arc<Alarm>>,
}

#[derive(Clone, Debug, Default)]
struct Entries {
    by_key: BTreeMap<String, Entry>,
    /// Bytes, by [`cost`].
    used: usize,
    swept: Timestamp,
    unsaved: Unsaved,
}

/// A value, and when it is over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) value: Vec<u8>,
    pub(super) expires: Option<Timestamp>,
}

/// A key, and its entry if it has one.
pub(super) type Change = (String, Option<Entry>);

/// What the disk does not know.
#[derive(Clone, Debug, Default)]
enum Unsaved {
    /// Nobody asks for it.
    #[default]
    Nowhere,
    /// These keys, and bytes of them.
    Keys(BTreeSet<String>, usize),
    /// So much that it is begun anew.
    Everything,
}

impl Unsaved {
    fn nothing() -> Self {
        Self::Keys(BTreeSet::new(), 0)
    }

    fn is_due(&self) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Keys(keys, _) => !keys.is_empty(),
            Self::Everything => true,
        }
    }
}

impl Entry {
    fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

fn cost(key: &str, value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY
}

fn expiry(ttl_ms: Option<u64>, now: Timestamp) -> Option<Timestamp> {
    ttl_ms.map(|ttl| now.after(Duration::from_millis(ttl)))
}

/// What guests do.
impl KvSpace {
    pub(super) fn get(&self, key: &str, now: Timestamp) -> Option<Vec<u8>> {
        self.change(|entries| entries.live(key, now).map(|entry| entry.value.clone()))
    }

    pub(super) fn set(
        &self,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
        limit: ByteSize,
        now: Timestamp,
    ) -> Answer<()> {
        self.change(|entries| entries.put(key, value, expiry(ttl_ms, now), limit, now))
    }

    /// Whether it was there.
    pub(super) fn delete(&self, key: &str, now: Timestamp) -> bool {
        self.change(|entries| {
            let there = entries.live(key, now).is_some();
            entries.remove(key);
            there
        })
    }

    /// Counters are decimal text. Their time to live begins with the first `add` and is not prolonged by later ones, so that a
    /// counter with one is a window.
    pub(super) fn add(
        &self,
        key: String,
        delta: i64,
        ttl_ms: Option<u64>,
        limit: ByteSize,
        now: Timestamp,
    ) -> Answer<i64> {
        self.change(|entries| {
            let (value, expires) = match entries.live(&key, now) {
                None => (0, expiry(ttl_ms, now)),
                Some(entry) => {
                    let number = std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse().ok());
                    let number: i64 =
                        number.ok_or_else(|| KvError::Other("the value is not a counter".into()))?;
                    (number, entry.expires)
                }
            };
            let sum = value
                .checked_add(delta)
                .ok_or_else(|| KvError::Other("the counter would overflow".into()))?;
            entries.put(key, sum.to_string().into_bytes(), expires, limit, now)?;
            Ok(sum)
        })
    }

    /// Without a time to live it keeps that of what was there.
    pub(super) fn swap(
        &self,
        key: String,
        old: Option<&[u8]>,
        new: Option<Vec<u8>>,
        ttl_ms: Option<u64>,
        limit: ByteSize,
        now: Timestamp,
    ) -> Answer<bool> {
        self.change(|entries| {
            let present = entries.live(&key, now);
            if present.map(|entry| entry.value.as_slice()) != old {
                return Ok(false);
            }
            let kept = present.and_then(|entry| entry.expires);
            let expires = if ttl_ms.is_some() { expiry(ttl_ms, now) } else { kept };
            match new {
                Some(new) => entries.put(key, new, expires, limit, now)?,
                None => entries.remove(&key),
            }
            Ok(true)
        })
    }

    pub(super) fn keys(&self, prefix: &str, after: Option<&str>, limit: u32, now: Timestamp) -> Vec<String> {
        let entries = self.entries.lock();
        let first = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let keys = entries.by_key.range::<str, _>((first, Bound::Unbounded));
        let limit = MOST_KEYS.min(limit as usize);
        let keys =
            keys.take_while(|(key, _)| key.starts_with(prefix)).filter(|(_, entry)| !entry.is_over(now));
        keys.take(limit).map(|(key, _)| key.clone()).collect()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> T {
        let mut entries = self.entries.lock();
        let due = entries.unsaved.is_due();
        let answer = change(&mut entries);
        let newly_due = !due && entries.unsaved.is_due();
        drop(entries);
        if newly_due && let Some(alarm) = &self.alarm {
            alarm.ring();
        }
        answer
    }
}

/// What the disk needs.
impl KvSpace {
    /// With what the disk has. What is over at `now` is not taken, and will be deleted there.
    pub(super) fn saved(
        entries: impl Iterator<Item = (String, Entry)>,
        now: Timestamp,
        alarm: Arc<Alarm>,
    ) -> Self {
        let mut loaded = Entries { unsaved: Unsaved::nothing(), ..Entries::default() };
        for (key, entry) in entries {
            if entry.is_over(now) {
                loaded.mark(&key);
            } else {
                loaded.used += cost(&key, &entry.value);
                loaded.by_key.insert(key, entry);
            }
        }
        Self { entries: Mutex::new(loaded), alarm: Some(alarm) }
    }

    /// A copy that is kept in memory and changes on its own.
    pub(crate) fn detached_copy(&self) -> Self {
        let entries = Entries { unsaved: Unsaved::Nowhere, ..self.entries.lock().clone() };
        Self { entries: Mutex::new(entries), alarm: None }
    }

    /// Keys that the disk does not know; from then on it counts as if it did.
    pub(super) fn take_unsaved(&self) -> BTreeSet<String> {
        match &mut self.entries.lock().unsaved {
            Unsaved::Keys(keys, bytes) => {
                *bytes = 0;
                std::mem::take(keys)
            }
            Unsaved::Nowhere | Unsaved::Everything => BTreeSet::new(),
        }
    }

    /// Some of `keys` with their entries as they are now. Empty: there are no more.
    pub(super) fn part_of(&self, keys: &mut impl Iterator<Item = String>) -> Vec<Change> {
        let entries = self.entries.lock();
        let mut part = Vec::new();
        let mut size = 0;
        while size < PART
            && let Some(key) = keys.next()
        {
            let entry = entries.by_key.get(&key).cloned();
            size += cost(&key, entry.as_ref().map_or(&[], |entry| &entry.value));
            part.push((key, entry));
        }
        part
    }

    /// If everything is to be saved: the last of all keys, for [`KvSpace::part_after`]. Changes from now on are told by
    /// [`KvSpace::take_unsaved`] again.
    pub(super) fn begin_anew(&self) -> Option<String> {
        let mut entries = self.entries.lock();
        if !matches!(entries.unsaved, Unsaved::Everything) {
            return None;
        }
        entries.unsaved = Unsaved::nothing();
        Some(entries.by_key.last_key_value().map(|(key, _)| key.clone()).unwrap_or_default())
    }

    /// Entries in the order of their keys, from behind `after` to `last`. Empty: there are no more.
    pub(super) fn part_after(&self, after: Option<&str>, last: &str) -> Vec<(String, Entry)> {
        let entries = self.entries.lock();
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Included(last));
        let mut size = 0;
        let part = entries.by_key.range::<str, _>(range).take_while(|(key, entry)| {
            let fits = size < PART;
            size += cost(key, &entry.value);
            fits
        });
        part.map(|(key, entry)| (key.clone(), entry.clone())).collect()
    }

    /// Those of `keys` that have no entry.
    pub(super) fn missing(&self, keys: &[String]) -> Vec<String> {
        let entries = self.entries.lock();
        keys.iter().filter(|key| !entries.by_key.contains_key(*key)).cloned().collect()
    }

    pub(super) fn is_unsaved(&self) -> bool {
        self.entries.lock().unsaved.is_due()
    }

    /// The disk failed: nothing that it has counts.
    pub(super) fn mark_everything(&self) {
        self.entries.lock().unsaved = Unsaved::Everything;
    }

    /// Nothing is saved from now on.
    pub(super) fn detach(&self) {
        self.entries.lock().unsaved = Unsaved::Nowhere;
    }
}

impl Entries {
    fn live(&mut self, key: &str, now: Timestamp) -> Option<&Entry> {
        if self.by_key.get(key).is_some_and(|entry| entry.is_over(now)) {
            self.remove(key);
        }
        self.by_key.get(key)
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.by_key.remove(key) {
            self.used -= cost(key, &entry.value);
            self.mark(key);
        }
    }

    fn put(
        &mut self,
        key: String,
        value: Vec<u8>,
        expires: Option<Timestamp>,
        limit: ByteSize,
        now: Timestamp,
    ) -> Answer<()> {
        if key.len() > LONGEST_KEY {
            return Err(KvError::Other(format!("the key is longer than {LONGEST_KEY} bytes")));
        }
        let wanted = cost(&key, &value);
        let replaced = self.by_key.get(&key).map_or(0, |entry| cost(&key, &entry.value));
        if self.used - replaced + wanted > limit.bytes() {
            self.sweep(now);
            let replaced = self.by_key.get(&key).map_or(0, |entry| cost(&key, &entry.value));
            if self.used - replaced + wanted > limit.bytes() {
                return Err(KvError::Full);
            }
        }
        self.used = self.used - replaced + wanted;
        self.mark(&key);
        self.by_key.insert(key, Entry { value, expires });
        Ok(())
    }

    fn sweep(&mut self, now: Timestamp) {
        if self.swept != Timestamp::default() && now.since(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        let over = self.by_key.iter().filter(|(_, entry)| entry.is_over(now));
        let over: Vec<String> = over.map(|(key, _)| key.clone()).collect();
        for key in over {
            self.remove(&key);
        }
    }

    /// The disk is to be told of `key`.
    fn mark(&mut self, key: &str) {
        let Unsaved::Keys(keys, bytes) = &mut self.unsaved else { return };
        if keys.contains(key) {
            return;
        }
        *bytes += key.len() + ENTRY;
        keys.insert(key.to_owned());
        if *bytes > self.used + BACKLOG {
            self.unsaved = Unsaved::Everything;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: ByteSize = ByteSize::mib(1);
    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn later(ms: u64) -> Timestamp {
        Timestamp(NOW.0 + ms)
    }

    fn set(space: &KvSpace, key: &str, value: &[u8], ttl: Option<u64>) {
        space.set(key.into(), value.to_vec(), ttl, ROOM, NOW).unwrap();
    }

    /// As if `entries` had been on the disk.
    fn saved(entries: &[(&str, &[u8], Option<Timestamp>)]) -> KvSpace {
        let entries = entries.iter().map(|(key, value, expires)| {
            ((*key).to_owned(), Entry { value: value.to_vec(), expires: *expires })
        });
        KvSpace::saved(entries, NOW, Arc::default())
    }

    fn unsaved(space: &KvSpace) -> Vec<(String, bool)> {
        let keys = space.take_unsaved();
        let part = space.part_of(&mut keys.into_iter());
        part.into_iter().map(|(key, entry)| (key, entry.is_some())).collect()
    }

    #[test]
    fn values_live_until_deleted_or_over() {
        let space = KvSpace::default();
        assert_eq!(space.get("a", NOW), None);
        set(&space, "a", b"1", None);
        set(&space, "b", b"2", Some(500));
        assert_eq!(space.get("a", NOW), Some(b"1".to_vec()));
        assert_eq!(space.get("b", later(499)), Some(b"2".to_vec()));
        assert_eq!(space.get("b", later(500)), None);
        space.delete("a", NOW);
        space.delete("a", NOW);
        assert_eq!(space.get("a", NOW), None);
        assert_eq!(space.entries.lock().used, 0);
        set(&space, "c", b"3", Some(u64::MAX));
        assert!(space.get("c", later(1 << 40)).is_some());
    }

    #[test]
    fn a_counter_is_a_window_that_begins_with_the_first_add() {
        let space = KvSpace::default();
        let add = |delta, after| space.add("n".into(), delta, Some(1000), ROOM, later(after));
        assert_eq!(add(5, 0), Ok(5));
        assert_eq!(add(-7, 900), Ok(-2));
        assert_eq!(space.get("n", NOW), Some(b"-2".to_vec()));
        assert_eq!(add(1, 1000), Ok(1), "a new window");
        set(&space, "n", b"x", None);
        assert_eq!(add(1, 0), Err(KvError::Other("the value is not a counter".into())));
        set(&space, "n", i64::MAX.to_string().as_bytes(), None);
        assert_eq!(add(1, 0), Err(KvError::Other("the counter would overflow".into())));
    }

    #[test]
    fn counters_are_exact_whoever_counts() {
        let space = KvSpace::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        space.add("n".into(), 1, None, ROOM, NOW).unwrap();
                    }
                });
            }
        });
        assert_eq!(space.get("n", NOW), Some(b"4000".to_vec()));
    }

    #[test]
    fn swap_sets_only_what_is_as_expected() {
        let space = KvSpace::default();
        let swap =
            |old: Option<&[u8]>, new: &[u8]| space.swap("k".into(), old, Some(new.to_vec()), None, ROOM, NOW);
        assert_eq!(swap(Some(b"x"), b"y"), Ok(false));
        assert_eq!(swap(None, b"1"), Ok(true));
        assert_eq!(swap(None, b"2"), Ok(false));
        assert_eq!(swap(Some(b"1"), b"2"), Ok(true));
        assert_eq!(space.get("k", NOW), Some(b"2".to_vec()));
        let remove = |old: &[u8]| space.swap("k".into(), Some(old), None, None, ROOM, NOW);
        assert_eq!(remove(b"1"), Ok(false));
        assert_eq!(remove(b"2"), Ok(true));
        assert_eq!(space.get("k", NOW), None);
    }

    #[test]
    fn swap_keeps_the_time_of_what_was_there_or_sets_another() {
        let space = KvSpace::default();
        let swap = |key: &str, ttl| space.swap(key.into(), Some(b"1"), Some(b"2".to_vec()), ttl, ROOM, NOW);
        let until = |key: &str, ms: u64| {
            let at = |ms| space.get(key, Timestamp(NOW.0 + ms)).is_some();
            // What is over is thrown away when it is looked at, so the later look comes last.
            (at(ms - 1), at(ms + 1)) == (true, false)
        };
        for (key, ttl, ends) in [("kept", None, 1000), ("longer", Some(5000), 5000)] {
            set(&space, key, b"1", Some(1000));
            assert_eq!(swap(key, ttl), Ok(true));
            assert!(until(key, ends), "{key}");
        }
        set(&space, "k", b"1", None);
        assert!(space.delete("k", NOW) && !space.delete("k", NOW));
    }

    #[test]
    fn keys_come_in_order_and_in_parts() {
        let space = KvSpace::default();
        for key in ["b", "a/1", "a/2", "a/3", "a"] {
            set(&space, key, b"", None);
        }
        set(&space, "a/0", b"", Some(0));
        assert_eq!(space.keys("a/", None, 2, NOW), ["a/1", "a/2"]);
        assert_eq!(space.keys("a/", Some("a/2"), 2, NOW), ["a/3"]);
        assert_eq!(space.keys("", None, 100, NOW).len(), 5);
        assert!(space.keys("a/", Some("b"), 2, NOW).is_empty());
    }

    #[test]
    fn room_is_bounded_and_outdated_entries_make_room() {
        let space = KvSpace::default();
        let limit = ByteSize(2 * (ENTRY as u64 + 11));
        let put = |key: &str, ttl, now| space.set(key.into(), vec![0; 10], ttl, limit, now);
        put("a", Some(1000), NOW).unwrap();
        put("b", None, NOW).unwrap();
        assert_eq!(put("c", None, NOW), Err(KvError::Full));
        assert_eq!(put("b", None, NOW), Ok(()), "replacing needs no more room");
        assert_eq!(put("c", None, later(1000)), Ok(()));
        assert_eq!(space.get("a", NOW), None);
        assert!(matches!(space.set("k".repeat(1025), vec![], None, ROOM, NOW), Err(KvError::Other(_))));
    }

    #[test]
    fn the_disk_is_told_of_each_changed_key_once() {
        let space = saved(&[("a", b"1", None), ("over", b"", Some(NOW)), ("soon", b"", Some(later(10)))]);
        assert_eq!(unsaved(&space), [("over".to_owned(), false)], "deleted there, too");
        assert!(!space.is_unsaved());
        for n in 0..100 {
            set(&space, "a", &[n], None);
        }
        space.delete("missing", NOW);
        assert_eq!(space.get("soon", later(10)), None);
        assert!(space.is_unsaved());
        let mut keys = space.take_unsaved().into_iter();
        let changes = space.part_of(&mut keys);
        let a = Entry { value: vec![99], expires: None };
        assert_eq!(changes, [("a".into(), Some(a)), ("soon".into(), None)]);
        assert!(space.part_of(&mut keys).is_empty() && !space.is_unsaved());
    }

    #[test]
    fn the_disk_is_told_in_parts() {
        let space = saved(&[]);
        for key in ["a", "b", "c"] {
            set(&space, key, &vec![0; PART], None);
        }
        let mut keys = space.take_unsaved().into_iter();
        let mut part = || space.part_of(&mut keys).into_iter().map(|(key, _)| key).collect::<String>();
        assert_eq!((part(), part()), ("a".to_owned(), "b".to_owned()));
        set(&space, "d", b"", None);
        assert_eq!(
            (part(), part()),
            ("c".to_owned(), String::new()),
            "what came meanwhile waits for its turn"
        );
        assert_eq!(unsaved(&space), [("d".to_owned(), true)]);
    }

    #[test]
    fn a_disk_that_does_not_keep_up_is_told_everything_later() {
        let space = saved(&[]);
        set(&space, "stays", b"1", None);
        for n in 0..BACKLOG {
            let key = n.to_string();
            set(&space, &key, b"", None);
            space.delete(&key, NOW);
            if matches!(space.entries.lock().unsaved, Unsaved::Everything) {
                break;
            }
        }
        assert!(space.is_unsaved() && space.take_unsaved().is_empty());
        set(&space, "first", b"1", None);
        let last = space.begin_anew().unwrap();
        assert_eq!((last.as_str(), space.begin_anew()), ("stays", None));
        for key in ["new", "unseen"] {
            set(&space, key, b"2", None);
        }
        let all = space.part_after(None, &last);
        assert_eq!(all.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["first", "new", "stays"]);
        assert!(space.part_after(Some("stays"), &last).is_empty());
        assert_eq!(space.missing(&["gone".into(), "new".into()]), ["gone"]);
        assert_eq!(unsaved(&space), [("new".to_owned(), true), ("unseen".to_owned(), true)]);
    }

    #[test]
    fn a_copy_goes_its_own_way() {
        let space = saved(&[("a", b"1", None)]);
        let copy = space.detached_copy();
        set(&copy, "a", b"2", None);
        assert_eq!(space.get("a", NOW), Some(b"1".to_vec()));
        assert_eq!(copy.get("a", NOW), Some(b"2".to_vec()));
        assert!(!copy.is_unsaved() && !space.is_unsaved());
    }
}
