//! A store as text, a line a record: how it moves to another engine, and how it is kept elsewhere.
//!
//! `{"table":"…","key":"…","value":"…"}` is a record, keys and values in hexadecimal. The last line, `{"records":N}`, says how many there are:
//! what ends without it, or after fewer, is no copy.

use super::{PAGE, each, stats};
use crate::{
    backend::{Backend, Durability, Operation, Row, Snapshot, StoreError, Table},
    records,
};
use bytes::Bytes;
use std::io::{self, BufRead, Write};

/// In `meta` while an import is on its way.
pub(super) const IMPORTING: &[u8] = b"importing";
pub(super) const HALF_IMPORTED: &str =
    "an import did not come to its end; move the folder `store` away and import again";

/// A copy could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The engine says no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file does.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Not a line of a copy.
    #[error("line {0}: {1}")]
    Line(usize, &'static str),
    /// The last line is not there.
    #[error("it ends after {0} records, and not as a whole copy does; use another, or make it again")]
    CutOff(u64),
}

/// A line of a copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CopyLine {
    /// By its beginning; the rest was not looked at.
    Record,
    /// The last one: so many records are before it.
    End(u64),
}

impl CopyLine {
    /// What kind of line it is, if it is one.
    pub fn of(line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.starts_with(RECORD) {
            return Some(Self::Record);
        }
        let records = line.strip_prefix(END)?.strip_suffix(b"}")?;
        std::str::from_utf8(records).ok()?.parse().ok().map(Self::End)
    }
}

const RECORD: &[u8] = b"{\"table\":\"";
const END: &[u8] = b"{\"records\":";

/// Writes every record of a store that nobody else uses; how many those are.
///
/// # Errors
/// [`CopyError`]: what was written lacks its last line.
pub fn export(backend: &dyn Backend, to: &mut dyn Write) -> Result<u64, CopyError> {
    let mut lines = Lines { to, line: Vec::new(), records: 0 };
    for table in Table::ALL {
        each(backend, table, |row| lines.record(table, &row))?;
    }
    lines.end()
}

/// As [`export`], of a store that is used meanwhile.
///
/// # Errors
/// As [`export`].
pub fn backup(mut snapshot: Box<dyn Snapshot>, to: &mut dyn Write) -> Result<u64, CopyError> {
    let mut lines = Lines { to, line: Vec::new(), records: 0 };
    for table in Table::ALL {
        loop {
            let rows = snapshot.next(table, PAGE)?;
            if rows.is_empty() {
                break;
            }
            rows.iter().try_for_each(|row| lines.record(table, row))?;
        }
    }
    drop(snapshot);
    lines.end()
}

struct Lines<'a> {
    to: &'a mut dyn Write,
    line: Vec<u8>,
    records: u64,
}

impl Lines<'_> {
    fn record(&mut self, table: Table, row: &Row) -> Result<(), CopyError> {
        let line = &mut self.line;
        line.clear();
        line.extend(RECORD);
        line.extend(table.name().as_bytes());
        line.extend(b"\",\"key\":\"");
        hex(&row.key, line);
        line.extend(b"\",\"value\":\"");
        hex(&row.value, line);
        line.extend(b"\"}\n");
        self.records += 1;
        Ok(self.to.write_all(line)?)
    }

    fn end(self) -> Result<u64, CopyError> {
        writeln!(self.to, "{{\"records\":{}}}", self.records)?;
        self.to.flush()?;
        Ok(self.records)
    }
}

/// Reads what [`export`] or [`backup`] wrote into a store that must be empty; how many records those are.
///
/// # Errors
/// [`CopyError`]; the store is empty again. If not even that could be done, or the process ended before, no broker starts on it.
pub fn import(backend: &dyn Backend, from: &mut dyn BufRead) -> Result<u64, CopyError> {
    if stats(backend)?.values().any(|table| table.records > 0) {
        let sentence = "the store is not empty; name another data_dir, or move its folder `store` away";
        return Err(StoreError::Unusable(sentence.into()).into());
    }
    let key = Bytes::from_static(IMPORTING);
    let mark = Operation::Put(Table::Meta, key.clone(), records::seal(Table::Meta, IMPORTING, b""));
    backend.commit(&[mark], Durability::Sync)?;
    match read_all(backend, from) {
        Ok(records) => {
            backend.commit(&[Operation::Delete(Table::Meta, key)], Durability::Sync)?;
            Ok(records)
        }
        Err(error) => {
            if let Err(error) = clear(backend) {
                tracing::error!(%error, "what was imported is still there");
            }
            Err(error)
        }
    }
}

fn read_all(backend: &dyn Backend, from: &mut dyn BufRead) -> Result<u64, CopyError> {
    let mut operations = Vec::new();
    let (mut bytes, mut records, mut end) = (0, 0, None);
    for (index, line) in from.lines().enumerate() {
        let (line, wrong) = (line?, |why| CopyError::Line(index + 1, why));
        if end.is_some() {
            return Err(wrong("something follows the end"));
        }
        if let Some(CopyLine::End(counted)) = CopyLine::of(line.as_bytes()) {
            end = Some(counted);
            continue;
        }
        let (table, key, value) = read_record(&line).ok_or_else(|| wrong("not a record of a store"))?;
        if table != Table::Damaged && records::unseal(table, &key, value.clone()).is_none() {
            return Err(wrong("the record is damaged"));
        }
        bytes += key.len() + value.len();
        operations.push(Operation::Put(table, key, value));
        records += 1;
        if bytes >= PAGE {
            backend.commit(&std::mem::take(&mut operations), Durability::None)?;
            bytes = 0;
        }
    }
    if end != Some(records) {
        return Err(CopyError::CutOff(records));
    }
    backend.commit(&operations, Durability::Sync)?;
    Ok(records)
}

/// The mark of the import goes last.
fn clear(backend: &dyn Backend) -> Result<(), StoreError> {
    for table in Table::ALL.into_iter().rev() {
        loop {
            let rows = backend.scan(table, b"", None, PAGE)?;
            if rows.is_empty() {
                break;
            }
            let rows: Vec<_> = rows.into_iter().map(|row| Operation::Delete(table, row.key)).collect();
            backend.commit(&rows, Durability::Sync)?;
        }
    }
    Ok(())
}

/// # Errors
/// [`StoreError::Unusable`]: nobody should start on this.
pub(crate) fn refuse_half_imported(backend: &dyn Backend) -> Result<(), StoreError> {
    match backend.get(Table::Meta, IMPORTING)? {
        Some(_) => Err(StoreError::Unusable(HALF_IMPORTED.into())),
        None => Ok(()),
    }
}

fn read_record(line: &str) -> Option<(Table, Bytes, Bytes)> {
    let rest = line.strip_prefix("{\"table\":\"")?;
    let (table, rest) = rest.split_once("\",\"key\":\"")?;
    let (key, rest) = rest.split_once("\",\"value\":\"")?;
    let value = rest.strip_suffix("\"}")?;
    let table = Table::ALL.into_iter().find(|known| known.name() == table)?;
    Some((table, unhex(key)?, unhex(value)?))
}

fn hex(bytes: &[u8], to: &mut Vec<u8>) {
    let digit = |four: u8| if four < 10 { b'0' + four } else { b'a' + four - 10 };
    to.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}

fn unhex(text: &str) -> Option<Bytes> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>().map(Bytes::from)
}
