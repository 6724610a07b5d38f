//! The store: a map, and a clock that the test advances.

use super::with;
use crate::{kv::Error, testing::Granted};
use std::{collections::BTreeMap, time::Duration};

/// A value, and when it goes.
pub(crate) struct Entry {
    value: Vec<u8>,
    until: Option<Duration>,
}

/// The store without what has expired.
fn with_kv<R>(f: impl FnOnce(&mut BTreeMap<String, Entry>, Duration) -> R) -> Result<R, Error> {
    with(|fake| {
        if fake.denied.contains(&Granted::Kv) {
            return Err(Error::Denied);
        }
        let now = fake.now;
        fake.kv.retain(|_, entry| entry.until.is_none_or(|until| now < until));
        Ok(f(&mut fake.kv, now))
    })
}

pub(crate) fn kv_get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    with_kv(|kv, _| kv.get(key).map(|entry| entry.value.clone()))
}

pub(crate) fn kv_set(key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), Error> {
    with_kv(|kv, now| {
        kv.insert(key.into(), Entry { value: value.into(), until: ttl.map(|ttl| now + ttl) });
    })
}

pub(crate) fn kv_delete(key: &str) -> Result<(), Error> {
    with_kv(|kv, _| {
        kv.remove(key);
    })
}

/// A counter is its number in decimal here; how the broker keeps it is its own affair.
pub(crate) fn kv_add(key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, Error> {
    with_kv(|kv, now| {
        let entry = kv.get(key);
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
        kv.insert(key.into(), Entry { value: new.to_string().into(), until });
        Ok(new)
    })?
}

pub(crate) fn kv_swap(key: &str, old: Option<&[u8]>, new: &[u8]) -> Result<bool, Error> {
    with_kv(|kv, _| {
        let same = kv.get(key).map(|entry| entry.value.as_slice()) == old;
        if same {
            let until = kv.get(key).and_then(|entry| entry.until);
            kv.insert(key.into(), Entry { value: new.into(), until });
        }
        same
    })
}

pub(crate) fn kv_keys(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
    with_kv(|kv, _| {
        let wanted =
            kv.keys().filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
        wanted.take(limit as usize).cloned().collect()
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
        kv::delete("a/2").unwrap();
        assert_eq!(kv::keys("", None, 10).unwrap(), ["n"]);
    }

    #[test]
    fn kv_without_its_grant_says_so() {
        let _host = Host::new().without(Granted::Kv);
        assert_eq!(kv::get("a"), Err(kv::Error::Denied));
    }
}
