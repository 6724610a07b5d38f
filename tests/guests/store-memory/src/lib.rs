//! A store in the memory of its one instance (`limits.concurrent = 1`), gone with it, but left to the next generation. Fails when it is told
//! to.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
};
use tidegate_plugin::{
    Plugin, Start, Storage,
    storage::{Error, Op, Opened, Row},
};

/// The layout of records that this store was made for.
const FORMAT: u32 = 1;

/// What the operator writes.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// After so many commits the store fails.
    fail_after: Option<u64>,
    /// Whether it then fails for good, or says "not now".
    fatal: bool,
    /// After so many failed commits it works again.
    recover_after: Option<u64>,
    /// What meets this key traps: a commit half done, too.
    trap_key: Option<String>,
    /// What meets this key never ends.
    stall_key: Option<String>,
    /// A commit with this key is not done, now.
    busy_key: Option<String>,
    /// Whether it is not left to the next generation.
    forget: bool,
}

/// The guest.
pub struct Memory {
    config: Config,
    rows: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    sequence: u64,
    failures: u64,
}

impl Plugin for Memory {
    type Config = Config;

    fn new(start: Start, config: Config) -> Result<Self, String> {
        let Left { sequence, rows } = match start.state {
            Some(state) => serde_json::from_slice(&state).map_err(|why| why.to_string())?,
            None => Left::default(),
        };
        let rows = rows.into_iter().map(|(table, key, value)| ((table, key), value)).collect();
        Ok(Self { config, rows, sequence, failures: 0 })
    }

    fn drain(&mut self) -> Option<Vec<u8>> {
        let row = |((table, key), value): (&(u8, Vec<u8>), &Vec<u8>)| (*table, key.clone(), value.clone());
        let left = Left { sequence: self.sequence, rows: self.rows.iter().map(row).collect() };
        serde_json::to_vec(&left).ok().filter(|_| !self.config.forget)
    }
}

/// What one generation leaves to the next.
#[derive(Default, serde::Deserialize, serde::Serialize)]
struct Left {
    sequence: u64,
    /// Table, key, value.
    rows: Vec<(u8, Vec<u8>, Vec<u8>)>,
}

impl Memory {
    fn works(&mut self) -> Result<(), Error> {
        let failing = self.config.fail_after.is_some_and(|after| self.sequence >= after);
        let recovered = self.config.recover_after.is_some_and(|after| self.failures >= after);
        if !failing || recovered {
            return Ok(());
        }
        self.failures += 1;
        let why = "told to fail".to_owned();
        Err(if self.config.fatal { Error::Fatal(why) } else { Error::Retry(why) })
    }

    /// Traps or never ends, if that is what this key is for.
    #[allow(clippy::panic, reason = "that is what it is for")]
    fn meet(&self, key: &[u8]) {
        let is = |special: &Option<String>| special.as_ref().is_some_and(|special| special.as_bytes() == key);
        if is(&self.config.trap_key) {
            panic!("told to trap");
        }
        while is(&self.config.stall_key) {
            std::hint::spin_loop();
        }
    }
}

fn key_of(op: &Op) -> &[u8] {
    match op {
        Op::Put(entry) => &entry.key,
        Op::Delete { key, .. } => key,
    }
}

impl Storage for Memory {
    fn open(&mut self, format: u32, _: Option<u64>) -> Result<Opened, Error> {
        if format == FORMAT {
            Ok(Opened { sequence: self.sequence, term: 0 })
        } else {
            Err(Error::Fatal(format!("format {format} is not known here, only {FORMAT}")))
        }
    }

    fn commit(&mut self, ops: Vec<Op>, _durable: bool) -> Result<u64, Error> {
        self.works()?;
        let busy = self.config.busy_key.as_ref().map(String::as_bytes);
        if ops.iter().any(|op| Some(key_of(op)) == busy) {
            return Err(Error::Retry("busy".to_owned()));
        }
        for op in ops {
            self.meet(key_of(&op));
            match op {
                Op::Put(entry) => self.rows.insert((entry.table, entry.key), entry.value),
                Op::Delete { table, key } => self.rows.remove(&(table, key)),
            };
        }
        self.sequence += 1;
        Ok(self.sequence)
    }

    fn get(&mut self, table: u8, key: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        self.meet(&key);
        Ok(self.rows.get(&(table, key)).cloned())
    }

    fn scan(
        &mut self,
        table: u8,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        max_bytes: u32,
    ) -> Result<Vec<Row>, Error> {
        let from = match after {
            Some(after) if after >= prefix => Excluded((table, after)),
            _ => Included((table, prefix.clone())),
        };
        let there = self.rows.range((from, Unbounded));
        let ours = there.take_while(|((other, key), _)| *other == table && key.starts_with(&prefix));
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for ((_, key), value) in ours {
            self.meet(key);
            let row = Row { key: key.clone(), value: value.clone() };
            bytes += row.len();
            if bytes > max_bytes as usize && !rows.is_empty() {
                break;
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

tidegate_plugin::export!(Memory: storage);

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_plugin::{storage::Entry, testing::Host};

    fn put(table: u8, key: &str) -> Op {
        Op::Put(Entry::new(table, key, "12345678"))
    }

    fn keys(store: &mut Memory, after: Option<&str>, max_bytes: u32) -> Vec<String> {
        let after = after.map(|after| after.as_bytes().to_vec());
        let rows = store.scan(1, b"a/".to_vec(), after, max_bytes).unwrap();
        rows.into_iter().map(|row| String::from_utf8(row.key).unwrap()).collect()
    }

    #[test]
    fn rows_come_in_order_and_in_parts() {
        let mut store: Memory = Host::new().start().unwrap();
        let opened = Opened { sequence: 0, term: 0 };
        assert_eq!((store.open(1, None), store.open(2, None).is_err()), (Ok(opened), true));
        let all = [put(2, "a/0"), put(1, "b"), put(1, "a/3"), put(1, "a/1"), put(1, "a/2"), put(1, "a")];
        assert_eq!(store.commit(all.to_vec(), true), Ok(1));
        assert_eq!(keys(&mut store, None, 1000), ["a/1", "a/2", "a/3"]);
        assert_eq!(keys(&mut store, None, 22), ["a/1", "a/2"]);
        assert_eq!(keys(&mut store, Some("a/1"), 0), ["a/2"]);
        assert_eq!(keys(&mut store, Some("a/3"), 1000), Vec::<String>::new());
        let gone = Op::Delete { table: 1, key: b"a/2".to_vec() };
        assert_eq!(store.commit(vec![gone], false), Ok(2));
        assert_eq!((store.get(1, b"a/2".to_vec()), keys(&mut store, None, 1000).len()), (Ok(None), 2));
    }

    #[test]
    fn it_is_left_to_the_next_generation() {
        let mut store: Memory = Host::new().start().unwrap();
        store.commit(vec![put(1, "a/1")], true).unwrap();
        let left = store.drain().unwrap();
        let mut next: Memory = Host::new().state(left).start().unwrap();
        let opened = next.open(1, Some(0)).map(|opened| opened.sequence);
        assert_eq!((opened, keys(&mut next, None, 100)), (Ok(1), vec!["a/1".to_owned()]));
    }

    #[test]
    fn it_fails_when_told_to_and_recovers() {
        let mut store: Memory = Host::new().config("fail_after = 1\nrecover_after = 2").start().unwrap();
        assert_eq!(store.commit(vec![put(1, "a")], true), Ok(1));
        for _ in 0..2 {
            assert_eq!(store.commit(vec![put(1, "b")], true), Err(Error::Retry("told to fail".into())));
        }
        assert_eq!(store.commit(vec![put(1, "b")], true), Ok(2));
    }
}
