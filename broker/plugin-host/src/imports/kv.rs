//! `tidegate:plugin/kv`: a small store for each plugin, in memory, shared by its instances and kept across generations.

use crate::{instance::Guest, units::ByteSize, wire::KvError};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::Arc,
    time::{Duration, Instant},
};
use wasmtime::{StoreContextMut, component::LinkerInstance};

/// What an entry costs beside its key and value, in bytes.
const ENTRY: usize = 64;
/// Bytes of a key.
const LONGEST_KEY: usize = 1024;
/// Keys given at once.
const MOST_KEYS: usize = 1000;
/// Outdated entries are looked for no more often, when there is no room.
const SWEEP: Duration = Duration::from_secs(1);

type Answer<T> = Result<T, KvError>;

pub(super) fn link(interface: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    type Cx<'a> = StoreContextMut<'a, Guest>;
    interface.func_wrap("get", |cx: Cx<'_>, (key,): (String,)| {
        Ok((granted(&cx).and_then(|(space, _)| space.get(&key, Instant::now())),))
    })?;
    interface.func_wrap("set", |cx: Cx<'_>, (key, value, ttl): (String, Vec<u8>, Option<u64>)| {
        Ok((granted(&cx).and_then(|(space, limit)| space.set(key, value, ttl, limit, Instant::now())),))
    })?;
    interface.func_wrap("delete", |cx: Cx<'_>, (key,): (String,)| {
        Ok((granted(&cx).and_then(|(space, _)| space.delete(&key)),))
    })?;
    interface.func_wrap("add", |cx: Cx<'_>, (key, delta, ttl): (String, i64, Option<u64>)| {
        Ok((granted(&cx).and_then(|(space, limit)| space.add(key, delta, ttl, limit, Instant::now())),))
    })?;
    interface.func_wrap("swap", |cx: Cx<'_>, (key, old, new): (String, Option<Vec<u8>>, Vec<u8>)| {
        Ok((granted(&cx)
            .and_then(|(space, limit)| space.swap(key, old.as_deref(), new, limit, Instant::now())),))
    })?;
    interface.func_wrap("keys", |cx: Cx<'_>, (prefix, after, limit): (String, Option<String>, u32)| {
        Ok(
            (granted(&cx)
                .and_then(|(space, _)| space.keys(&prefix, after.as_deref(), limit, Instant::now())),),
        )
    })
}

fn granted<'a>(cx: &'a StoreContextMut<'_, Guest>) -> Answer<(&'a Arc<KvSpace>, ByteSize)> {
    cx.data().environment.kv.as_ref().map(|(space, limit)| (space, *limit)).ok_or(KvError::Denied)
}

/// All entries of one plugin.
#[derive(Debug, Default)]
pub(crate) struct KvSpace {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: BTreeMap<String, Entry>,
    /// Bytes, by [`cost`].
    used: usize,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    value: Vec<u8>,
    expires: Option<Instant>,
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

fn cost(key: &str, value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY
}

fn expiry(ttl_ms: Option<u64>, now: Instant) -> Option<Instant> {
    // What lies beyond the clock's end never comes.
    ttl_ms.and_then(|ttl| now.checked_add(Duration::from_millis(ttl)))
}

impl KvSpace {
    fn get(&self, key: &str, now: Instant) -> Answer<Option<Vec<u8>>> {
        let mut entries = self.entries.lock();
        Ok(entries.live(key, now).map(|entry| entry.value.clone()))
    }

    fn set(
        &self,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
        limit: ByteSize,
        now: Instant,
    ) -> Answer<()> {
        self.entries.lock().put(key, value, expiry(ttl_ms, now), limit, now)
    }

    fn delete(&self, key: &str) -> Answer<()> {
        self.entries.lock().remove(key);
        Ok(())
    }

    /// Counters are decimal text. Their time to live begins with the first `add` and is not prolonged by later ones, so that a
    /// counter with one is a window.
    fn add(
        &self,
        key: String,
        delta: i64,
        ttl_ms: Option<u64>,
        limit: ByteSize,
        now: Instant,
    ) -> Answer<i64> {
        let mut entries = self.entries.lock();
        let (value, expires) = match entries.live(&key, now) {
            None => (0, expiry(ttl_ms, now)),
            Some(entry) => {
                let number = std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse::<i64>().ok());
                (number.ok_or_else(|| KvError::Other("the value is not a counter".into()))?, entry.expires)
            }
        };
        let sum =
            value.checked_add(delta).ok_or_else(|| KvError::Other("the counter would overflow".into()))?;
        entries.put(key, sum.to_string().into_bytes(), expires, limit, now)?;
        Ok(sum)
    }

    /// Keeps the time to live of what was there.
    fn swap(
        &self,
        key: String,
        old: Option<&[u8]>,
        new: Vec<u8>,
        limit: ByteSize,
        now: Instant,
    ) -> Answer<bool> {
        let mut entries = self.entries.lock();
        let present = entries.live(&key, now);
        if present.map(|entry| entry.value.as_slice()) != old {
            return Ok(false);
        }
        let expires = present.and_then(|entry| entry.expires);
        entries.put(key, new, expires, limit, now)?;
        Ok(true)
    }

    fn keys(&self, prefix: &str, after: Option<&str>, limit: u32, now: Instant) -> Answer<Vec<String>> {
        let entries = self.entries.lock();
        let first = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let keys = entries.by_key.range::<str, _>((first, Bound::Unbounded));
        let limit = MOST_KEYS.min(limit as usize);
        let keys =
            keys.take_while(|(key, _)| key.starts_with(prefix)).filter(|(_, entry)| !entry.is_over(now));
        Ok(keys.take(limit).map(|(key, _)| key.clone()).collect())
    }
}

impl Entries {
    fn live(&mut self, key: &str, now: Instant) -> Option<&Entry> {
        if self.by_key.get(key).is_some_and(|entry| entry.is_over(now)) {
            self.remove(key);
        }
        self.by_key.get(key)
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.by_key.remove(key) {
            self.used -= cost(key, &entry.value);
        }
    }

    fn put(
        &mut self,
        key: String,
        value: Vec<u8>,
        expires: Option<Instant>,
        limit: ByteSize,
        now: Instant,
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
        self.remove(&key);
        self.used += wanted;
        self.by_key.insert(key, Entry { value, expires });
        Ok(())
    }

    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP) {
            return;
        }
        self.swept = Some(now);
        let mut freed = 0;
        self.by_key.retain(|key, entry| {
            let over = entry.is_over(now);
            freed += if over { cost(key, &entry.value) } else { 0 };
            !over
        });
        self.used -= freed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: ByteSize = ByteSize::mib(1);

    fn set(space: &KvSpace, key: &str, value: &[u8], ttl: Option<u64>, now: Instant) -> Answer<()> {
        space.set(key.into(), value.to_vec(), ttl, ROOM, now)
    }

    #[test]
    fn values_live_until_deleted_or_over() {
        let (space, now) = (KvSpace::default(), Instant::now());
        assert_eq!(space.get("a", now), Ok(None));
        set(&space, "a", b"1", None, now).unwrap();
        set(&space, "b", b"2", Some(500), now).unwrap();
        assert_eq!(space.get("a", now), Ok(Some(b"1".to_vec())));
        assert_eq!(space.get("b", now + Duration::from_millis(499)), Ok(Some(b"2".to_vec())));
        assert_eq!(space.get("b", now + Duration::from_millis(500)), Ok(None));
        space.delete("a").unwrap();
        space.delete("a").unwrap();
        assert_eq!(space.get("a", now), Ok(None));
        assert_eq!(space.entries.lock().used, 0);
        set(&space, "c", b"3", Some(u64::MAX), now).unwrap();
        assert!(space.get("c", now + Duration::from_secs(1 << 20)).unwrap().is_some());
    }

    #[test]
    fn a_counter_is_a_window_that_begins_with_the_first_add() {
        let (space, now) = (KvSpace::default(), Instant::now());
        let add =
            |delta, after| space.add("n".into(), delta, Some(1000), ROOM, now + Duration::from_millis(after));
        assert_eq!(add(5, 0), Ok(5));
        assert_eq!(add(-7, 900), Ok(-2));
        assert_eq!(space.get("n", now), Ok(Some(b"-2".to_vec())));
        assert_eq!(add(1, 1000), Ok(1), "a new window");
        set(&space, "n", b"x", None, now).unwrap();
        assert_eq!(add(1, 0), Err(KvError::Other("the value is not a counter".into())));
        set(&space, "n", i64::MAX.to_string().as_bytes(), None, now).unwrap();
        assert_eq!(add(1, 0), Err(KvError::Other("the counter would overflow".into())));
    }

    #[test]
    fn swap_sets_only_what_is_as_expected() {
        let (space, now) = (KvSpace::default(), Instant::now());
        let swap = |old: Option<&[u8]>, new: &[u8]| space.swap("k".into(), old, new.to_vec(), ROOM, now);
        assert_eq!(swap(Some(b"x"), b"y"), Ok(false));
        assert_eq!(swap(None, b"1"), Ok(true));
        assert_eq!(swap(None, b"2"), Ok(false));
        assert_eq!(swap(Some(b"1"), b"2"), Ok(true));
        assert_eq!(space.get("k", now), Ok(Some(b"2".to_vec())));
    }

    #[test]
    fn keys_come_in_order_and_in_parts() {
        let (space, now) = (KvSpace::default(), Instant::now());
        for key in ["b", "a/1", "a/2", "a/3", "a"] {
            set(&space, key, b"", None, now).unwrap();
        }
        set(&space, "a/0", b"", Some(0), now).unwrap();
        assert_eq!(space.keys("a/", None, 2, now), Ok(vec!["a/1".into(), "a/2".into()]));
        assert_eq!(space.keys("a/", Some("a/2"), 2, now), Ok(vec!["a/3".into()]));
        assert_eq!(space.keys("", None, 100, now).unwrap().len(), 5);
        assert_eq!(space.keys("a/", Some("b"), 2, now), Ok(vec![]));
    }

    #[test]
    fn room_is_bounded_and_outdated_entries_make_room() {
        let (space, now) = (KvSpace::default(), Instant::now());
        let limit = ByteSize(2 * (ENTRY as u64 + 11));
        let put = |key: &str, ttl, now| space.set(key.into(), vec![0; 10], ttl, limit, now);
        put("a", Some(1000), now).unwrap();
        put("b", None, now).unwrap();
        assert_eq!(put("c", None, now), Err(KvError::Full));
        assert_eq!(put("b", None, now), Ok(()), "replacing needs no more room");
        assert_eq!(put("c", None, now + Duration::from_secs(1)), Ok(()));
        assert_eq!(space.get("a", now), Ok(None));
        assert!(matches!(space.set("k".repeat(1025), vec![], None, ROOM, now), Err(KvError::Other(_))));
    }
}
