//! Records in memory.

use super::with;
use crate::storage::{Error, Op, Opened, Row};
use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
};

#[derive(Default)]
pub(crate) struct Engine {
    rows: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    sequence: u64,
    term: u64,
    opened: bool,
}

impl Engine {
    fn opened(&mut self) -> Result<&mut Self, Error> {
        match self.opened {
            true => Ok(self),
            false => Err(Error::Fatal("the engine has not been opened".into())),
        }
    }
}

pub(crate) fn engine_open(format: u32, term: Option<u64>) -> Result<Opened, Error> {
    with(|fake| {
        if fake.denied.contains(&crate::testing::Granted::Engine) {
            return Err(Error::Fatal("not granted".into()));
        }
        if format != 1 {
            return Err(Error::Fatal(format!("format {format} is not known here, only 1")));
        }
        let engine = &mut fake.engine;
        match term {
            Some(term) if term != engine.term => return Err(Error::Fatal("the term is over".into())),
            Some(_) => {}
            None => engine.term += 1,
        }
        engine.opened = true;
        Ok(Opened { sequence: engine.sequence, term: engine.term })
    })
}

pub(crate) fn engine_commit(ops: Vec<Op>, _durable: bool) -> Result<u64, Error> {
    with(|fake| {
        let engine = fake.engine.opened()?;
        for op in ops {
            match op {
                Op::Put(entry) => engine.rows.insert((entry.table, entry.key), entry.value),
                Op::Delete { table, key } => engine.rows.remove(&(table, key)),
            };
        }
        engine.sequence += 1;
        Ok(engine.sequence)
    })
}

pub(crate) fn engine_get(table: u8, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    with(|fake| Ok(fake.engine.opened()?.rows.get(&(table, key.to_vec())).cloned()))
}

pub(crate) fn engine_scan(
    table: u8,
    prefix: &[u8],
    after: Option<&[u8]>,
    max_bytes: u32,
) -> Result<Vec<Row>, Error> {
    let from = match after {
        Some(after) if after >= prefix => Excluded((table, after.to_vec())),
        _ => Included((table, prefix.to_vec())),
    };
    with(|fake| {
        let there = fake.engine.opened()?.rows.range((from, Unbounded));
        let ours = there.take_while(|((other, key), _)| *other == table && key.starts_with(prefix));
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
    })
}
