//! What is done to a store as a whole: is it whole, what lies in it, and how it moves (`copy`).

mod copy;

pub(crate) use copy::refuse_half_imported;
pub use copy::{CopyError, CopyLine, backup, export, import};

use crate::{
    backend::{Backend, Row, StoreError, Table},
    records::{self, QueueEntry},
    recovery::Damaged,
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};
use tidegate_mqtt::{MessageId, SessionId};

/// Bytes read or written at once.
const PAGE: usize = 1 << 20;

/// Something in a store that should not be so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Finding {
    /// Not what was written.
    Damaged(Damaged),
    /// Was damaged, and was set aside.
    SetAside(Damaged),
    /// An entry of a queue whose message is not there.
    NoMessage(Damaged),
    /// A message that nobody waits for.
    Forgotten(Damaged),
    /// Belongs to a session that is not there.
    NoSession(Damaged),
    /// An import into the store did not come to its end.
    HalfImported,
    /// So many wait for a message, and as many were counted.
    Miscounted(Damaged, usize, usize),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(record) => write!(f, "{record}: damaged; the next start sets it aside"),
            Self::SetAside(record) => write!(f, "{record}: was damaged, and is set aside"),
            Self::NoMessage(record) => write!(f, "{record}: its message is not there"),
            Self::Forgotten(record) => write!(f, "{record}: nobody waits for it"),
            Self::NoSession(record) => {
                write!(f, "{record}: its session is not there; the next start removes it")
            }
            Self::HalfImported => f.write_str(copy::HALF_IMPORTED),
            Self::Miscounted(record, wait, counted) => {
                write!(f, "{record}: {wait} wait for it, {counted} are counted")
            }
        }
    }
}

/// What lies in a table.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TableStats {
    /// How many.
    pub records: u64,
    /// Of keys and values.
    pub bytes: u64,
}

/// Records and bytes of each table.
///
/// # Errors
/// [`StoreError`] if the engine cannot read.
pub fn stats(backend: &dyn Backend) -> Result<BTreeMap<&'static str, TableStats>, StoreError> {
    let mut tables = BTreeMap::new();
    for table in Table::ALL {
        let stats: &mut TableStats = tables.entry(table.name()).or_default();
        each(backend, table, |row| {
            stats.records += 1;
            stats.bytes += (row.key.len() + row.value.len()) as u64;
            Ok::<_, StoreError>(())
        })?;
    }
    Ok(tables)
}

/// Reads everything, and says what should not be so.
///
/// # Errors
/// [`StoreError`] if the engine cannot read.
pub fn check(backend: &dyn Backend) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    let sessions = readable(backend, Table::Sessions, &mut findings, |row, value| {
        records::read_session(value)?;
        records::read_session_key(&row.key)
    })?;
    let sessions: HashSet<SessionId> = sessions.into_iter().map(|(_, session)| session).collect();
    let mut waiting: HashMap<MessageId, (usize, Bytes)> = HashMap::new();
    let queued = readable(backend, Table::Queues, &mut findings, |row, value| {
        let (session, _) = records::read_queue_key(&row.key)?;
        Some((session, QueueEntry::read(value)?))
    })?;
    for (key, (session, entry)) in queued {
        waiting.entry(entry.message).or_insert_with(|| (0, key.clone())).0 += 1;
        if !sessions.contains(&session) {
            findings.push(Finding::NoSession(Damaged { table: Table::Queues, key }));
        }
    }
    type Read = fn(&Row, &[u8]) -> Option<SessionId>;
    let of_sessions: [(Table, Read); 3] = [
        (Table::Subscriptions, |row, value| Some(records::read_subscription(&row.key, value)?.0)),
        (Table::Received, |row, _| Some(records::read_received_key(&row.key)?.0)),
        (Table::Wills, |row, value| {
            records::read_will(value)?;
            records::read_session_key(&row.key)
        }),
    ];
    for (table, read) in of_sessions {
        for (key, session) in readable(backend, table, &mut findings, read)? {
            if !sessions.contains(&session) {
                findings.push(Finding::NoSession(Damaged { table, key }));
            }
        }
    }
    let counts = readable(backend, Table::References, &mut findings, |row, value| {
        let count = u32::from_be_bytes(value.try_into().ok()?);
        Some((records::read_message_key(&row.key)?, count as usize))
    })?;
    let counts: HashMap<MessageId, usize> = counts.into_iter().map(|(_, counted)| counted).collect();
    let messages = readable(backend, Table::Messages, &mut findings, |row, value| {
        records::read_message(value)?;
        records::read_message_key(&row.key)
    })?;
    for (key, message) in messages {
        let record = Damaged { table: Table::Messages, key };
        match (waiting.remove(&message), counts.get(&message)) {
            (None, _) => findings.push(Finding::Forgotten(record)),
            (Some((wait, _)), Some(counted)) if wait != *counted => {
                findings.push(Finding::Miscounted(record, wait, *counted));
            }
            (Some(_), _) => {}
        }
    }
    let no_message = |(_, key)| Finding::NoMessage(Damaged { table: Table::Queues, key });
    findings.extend(waiting.into_values().map(no_message));
    readable(backend, Table::Retained, &mut findings, |_, value| records::read_message(value).map(drop))?;
    let numbers = readable(backend, Table::Meta, &mut findings, |_, _| Some(()))?;
    if numbers.iter().any(|(key, ())| key == copy::IMPORTING) {
        findings.push(Finding::HalfImported);
    }
    each(backend, Table::Damaged, |row| {
        let table = row.key.first().and_then(|number| Table::ALL.into_iter().find(|t| *t as u8 == *number));
        let key = row.key.slice(row.key.len().min(1)..);
        findings.push(Finding::SetAside(Damaged { table: table.unwrap_or(Table::Damaged), key }));
        Ok::<_, StoreError>(())
    })?;
    Ok(findings)
}

/// What can be read of a table; what cannot be is found.
fn readable<T>(
    backend: &dyn Backend,
    table: Table,
    findings: &mut Vec<Finding>,
    read: impl Fn(&Row, &[u8]) -> Option<T>,
) -> Result<Vec<(Bytes, T)>, StoreError> {
    let mut found = Vec::new();
    each(backend, table, |row| {
        let value = records::unseal(table, &row.key, row.value.clone());
        match value.and_then(|value| read(&row, &value)) {
            Some(read) => found.push((row.key, read)),
            None => findings.push(Finding::Damaged(Damaged { table, key: row.key })),
        }
        Ok::<_, StoreError>(())
    })?;
    Ok(found)
}

fn each<E: From<StoreError>>(
    backend: &dyn Backend,
    table: Table,
    mut take: impl FnMut(Row) -> Result<(), E>,
) -> Result<(), E> {
    let mut after: Option<Bytes> = None;
    loop {
        let rows = backend.scan(table, b"", after.as_deref(), PAGE)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.key.clone());
        rows.into_iter().try_for_each(&mut take)?;
    }
}

#[cfg(test)]
mod tests;
