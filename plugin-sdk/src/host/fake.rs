//! In place of the broker, one for each thread: as it is with tests.

use crate::{Level, kv::Error, testing::Line};
use std::{cell::RefCell, collections::BTreeMap, time::Duration};

pub(crate) struct Fake {
    pub(crate) log_level: Level,
    pub(crate) logged: Vec<Line>,
    pub(crate) config: serde_json::Value,
    pub(crate) payload: Vec<u8>,
    pub(crate) now: Duration,
    pub(crate) kv_granted: bool,
    pub(crate) kv: BTreeMap<String, Entry>,
}

/// A value, and when it goes.
pub(crate) struct Entry {
    value: Vec<u8>,
    until: Option<Duration>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            log_level: Level::Trace,
            logged: Vec::new(),
            config: serde_json::Value::Object(serde_json::Map::new()),
            payload: Vec::new(),
            now: Duration::ZERO,
            kv_granted: true,
            kv: BTreeMap::new(),
        }
    }
}

thread_local! {
    static FAKE: RefCell<Fake> = RefCell::default();
}

pub(crate) fn with<R>(f: impl FnOnce(&mut Fake) -> R) -> R {
    FAKE.with_borrow_mut(f)
}

/// The store without what has expired.
fn with_kv<R>(f: impl FnOnce(&mut BTreeMap<String, Entry>, Duration) -> R) -> Result<R, Error> {
    with(|fake| {
        if !fake.kv_granted {
            return Err(Error::Denied);
        }
        let now = fake.now;
        fake.kv.retain(|_, entry| entry.until.is_none_or(|until| now < until));
        Ok(f(&mut fake.kv, now))
    })
}

pub(crate) fn log_enabled(level: Level) -> bool {
    with(|fake| level >= fake.log_level)
}

pub(crate) fn log(level: Level, text: &str, fields: &[(String, String)]) {
    with(|fake| fake.logged.push(Line { level, text: text.into(), fields: fields.to_vec() }));
}

pub(crate) fn config_get(key: &str) -> Option<String> {
    with(|fake| match fake.config.get(key)? {
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    })
}

pub(crate) fn config_document() -> String {
    with(|fake| fake.config.to_string())
}

pub(crate) fn current_read(offset: u32, len: u32) -> Vec<u8> {
    with(|fake| fake.payload.iter().skip(offset as usize).take(len as usize).copied().collect())
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
    use crate::{kv, testing::Host};
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
        let _host = Host::new().without_kv();
        assert_eq!(kv::get("a"), Err(kv::Error::Denied));
    }
}
