//! The store: a map, and a clock that the test advances.

use super::with;
use crate::{kv::Error, testing::Granted};
use std::{collections::BTreeMap, time::Duration};

/// What an entry costs beside its key and value, as in the broker.
const ENTRY: usize = 64;

/// A value, and when it goes.
pub(crate) struct Entry {
    value: Vec<u8>,
    until: Option<Duration>,
}

/// All entries, and the bytes there may be of them.
#[derive(Default)]
pub(crate) struct Kv {
    entries: BTreeMap<String, Entry>,
    /// None: any number.
    pub(crate) room: Option<usize>,
}

impl Kv {
    fn put(&mut self, key: &str, value: Vec<u8>, until: Option<Duration>) -> Result<(), Error> {
        let cost = |key: &str, value: &[u8]| key.len() + value.len() + ENTRY;
        let others = self.entries.iter().filter(|(other, _)| *other != key);
        let used: usize = others.map(|(key, entry)| cost(key, &entry.value)).sum();
        if self.room.is_some_and(|room| used + cost(key, &value) > room) {
            return Err(Error::Full);
        }
        self.entries.insert(key.into(), Entry { value, until });
        Ok(())
    }
}

/// The store without what has expired.
fn with_kv<R>(f: impl FnOnce(&mut Kv, Duration) -> Result<R, Error>) -> Result<R, Error> {
    with(|fake| {
        if fake.denied.contains(&Granted::Kv) {
            return Err(Error::Denied);
        }
        let now = fake.now;
        fake.kv.entries.retain(|_, entry| entry.until.is_none_or(|until| now < until));
        f(&mut fake.kv, now)
    })
}

pub(crate) fn kv_get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    with_kv(|kv, _| Ok(kv.entries.get(key).map(|entry| entry.value.clone())))
}

pub(crate) fn kv_set(key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), Error> {
    with_kv(|kv, now| kv.put(key, value.into(), ttl.map(|ttl| now + ttl)))
}

pub(crate) fn kv_delete(key: &str) -> Result<bool, Error> {
    with_kv(|kv, _| Ok(kv.entries.remove(key).is_some()))
}

/// Decimal text, as in the broker.
pub(crate) fn kv_add(key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, Error> {
    with_kv(|kv, now| {
        let entry = kv.entries.get(key);
        // As in the broker: the first `add` sets the time, later ones do not prolong it.
        let until = entry.map_or_else(|| ttl.map(|ttl| now + ttl), |entry| entry.until);
        let old = match entry {
            None => 0,
            Some(entry) => std::str::from_utf8(&entry.value)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| Error::Failed(format!("{key} is not a counter")))?,
        };
        let new =
            i64::checked_add(old, delta).ok_or_else(|| Error::Failed(format!("{key} would overflow")))?;
        kv.put(key, new.to_string().into(), until)?;
        Ok(new)
    })
}

pub(crate) fn kv_swap(
    key: &str,
    old: Option<&[u8]>,
    new: Option<&[u8]>,
    ttl: Option<Duration>,
) -> Result<bool, Error> {
    with_kv(|kv, now| {
        let entry = kv.entries.get(key);
        if entry.map(|entry| entry.value.as_slice()) != old {
            return Ok(false);
        }
        let until = ttl.map_or_else(|| entry.and_then(|entry| entry.until), |ttl| Some(now + ttl));
        match new {
            Some(new) => kv.put(key, new.into(), until)?,
            None => _ = kv.entries.remove(key),
        }
        Ok(true)
    })
}

pub(crate) fn kv_keys(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
    with_kv(|kv, _| {
        let behind = |key: &&String| after.is_none_or(|after| key.as_str() > after);
        let wanted = kv.entries.keys().filter(|key| key.starts_with(prefix)).filter(behind);
        Ok(wanted.take(limit as usize).cloned().collect())
    })
}

#[cfg(test)]
mod tests {
    use crate::{
        kv,
        testing::{Granted, Host},
    };
    use std::time::Duration;

    #[test]
    fn kv_keeps_counts_swaps_and_forgets() {
        let host = Host::new();
        kv::set("a/1", b"x", Some(Duration::from_secs(5))).unwrap();
        kv::set("a/2", b"y", None).unwrap();
        assert_eq!(kv::get("a/1").unwrap().as_deref(), Some(&b"x"[..]));
        assert_eq!(kv::keys("a/", Some("a/1"), 10).unwrap(), ["a/2"]);
        assert_eq!((kv::add("n", 2, None), kv::add("n", 3, None)), (Ok(2), Ok(5)));
        assert_eq!(kv::swap("a/2", Some(b"z"), b"w"), Ok(false));
        assert_eq!(kv::swap("a/2", Some(b"y"), b"w"), Ok(true));
        host.advance(Duration::from_secs(5));
        assert_eq!(kv::get("a/1"), Ok(None));
        assert_eq!(kv::delete_if("a/2", b"z"), Ok(false));
        assert_eq!((kv::delete("a/2"), kv::delete("a/2")), (Ok(true), Ok(false)));
        assert_eq!(kv::keys("", None, 10).unwrap(), ["n"]);
    }

    #[test]
    fn kv_without_its_grant_says_so() {
        let _host = Host::new().without(Granted::Kv);
        assert_eq!(kv::get("a"), Err(kv::Error::Denied));
        let missing = "it needs the grant `kv`; add `grants.kv = \"1MiB\"` to its table";
        assert_eq!(kv::require("1MiB"), Err(missing.into()));
        let _host = Host::new();
        assert_eq!(kv::require("1MiB"), Ok(()));
    }

    #[test]
    fn kv_takes_as_much_as_there_is_room_for() {
        let _host = Host::new().kv_room(2 * (64 + 2));
        assert_eq!((kv::set("a", b"1", None), kv::set("b", b"22", None)), (Ok(()), Err(kv::Error::Full)));
        assert_eq!((kv::add("b", 9, None), kv::add("b", 1, None)), (Ok(9), Err(kv::Error::Full)));
        assert_eq!(kv::set("a", b"2", None), Ok(()), "in place of what was there");
        assert_eq!(kv::swap("a", Some(b"2"), b"33"), Err(kv::Error::Full));
        kv::delete("b").unwrap();
        assert_eq!(kv::swap("a", Some(b"2"), b"33"), Ok(true));
    }
}
