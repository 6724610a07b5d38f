//! A store in the memory of its one instance (`limits.concurrent = 1`), gone with it. Fails when it is told to.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
};
use tidegate_plugin::{
    Plugin, Start, Storage,
    storage::{Error, Op, Row},
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

    fn new(_: Start, config: Config) -> Result<Self, String> {
        Ok(Self { config, rows: BTreeMap::new(), sequence: 0, failures: 0 })
    }
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
}

impl Storage for Memory {
    fn open(&mut self, format: u32) -> Result<u64, Error> {
        if format == FORMAT {
            Ok(self.sequence)
        } else {
            Err(Error::Fatal(format!("format {format} is not known here, only {FORMAT}")))
        }
    }

    fn commit(&mut self, ops: Vec<Op>, _durable: bool) -> Result<u64, Error> {
        self.works()?;
        for op in ops {
            match op {
                Op::Put(entry) => self.rows.insert((entry.table, entry.key), entry.value),
                Op::Delete { table, key } => self.rows.remove(&(table, key)),
            };
        }
        self.sequence += 1;
        Ok(self.sequence)
    }

    fn get(&mut self, table: u8, key: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
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
        assert_eq!((store.open(1), store.open(2).is_err()), (Ok(0), true));
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
    fn it_fails_when_told_to_and_recovers() {
        let mut store: Memory = Host::new().config("fail_after = 1\nrecover_after = 2").start().unwrap();
        assert_eq!(store.commit(vec![put(1, "a")], true), Ok(1));
        for _ in 0..2 {
            assert_eq!(store.commit(vec![put(1, "b")], true), Err(Error::Retry("told to fail".into())));
        }
        assert_eq!(store.commit(vec![put(1, "b")], true), Ok(2));
    }
}
