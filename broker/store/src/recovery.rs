//! What is there when the broker starts.

use crate::{
    backend::{Backend, Durability, Operation, Row, StoreError, Table},
    records::{self, Progress, QueueEntry},
    store::{StoredSession, StoredWill},
    upkeep,
    writer::{Change, GROUP, Gathering},
};
use bytes::Bytes;
use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use tidegate_mqtt::{Message, MessageId, PacketId, SessionId, Timestamp};
use tidegate_session::{Finished, Inflight, SessionState, Stage, Stored};
use tracing::{error, info};

/// Of the records. A store of a newer one is not touched.
pub const FORMAT: u32 = 1;

const FORMAT_KEY: &[u8] = b"format";
const RUN: &[u8] = b"run";
/// When the broker was last known to live.
pub(crate) const ALIVE: &[u8] = b"alive";

/// Numbers of one run: each begins where no earlier one can have come.
const NUMBERS_OF_A_RUN: u32 = 40;
/// How often it is said how far it has come.
const PROGRESS: Duration = Duration::from_secs(2);
/// Bytes read at once.
const PAGE: usize = 1 << 20;

/// What was stored.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Those that outlive their connections.
    pub sessions: Vec<RecoveredSession>,
    /// By topic.
    pub retained: Vec<Message>,
    /// What is not as it was written, and was set aside.
    pub damaged: Vec<Damaged>,
    /// Sessions that ended while something still waited for them.
    pub orphans: Vec<SessionId>,
    /// When the broker was last known to live. None: there was none before.
    pub last_seen: Option<Timestamp>,
    /// How often a broker started on this store, this time included.
    pub run: u64,
    /// Number of the last group written.
    pub(crate) group: u64,
}

/// A session as it was stored.
#[derive(Debug)]
pub struct RecoveredSession {
    /// With what was on its way to the client.
    pub state: SessionState,
    /// None: its client was connected when the broker ended.
    pub left_at: Option<Timestamp>,
    /// The will of that client.
    pub will: Option<StoredWill>,
    /// What waits and was not sent.
    pub waiting: WaitingOnDisk,
}

/// What waits for a session, as far as it is on disk only.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WaitingOnDisk {
    /// Nothing lies before this position.
    pub from: u64,
    /// Nothing lies after this one.
    pub last: u64,
    /// How many.
    pub messages: usize,
    /// What they would cost in memory.
    pub bytes: usize,
}

/// A record that is not what was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damaged {
    /// Where.
    pub table: Table,
    /// Which.
    pub key: Bytes,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table.name(), self.key.escape_ascii())
    }
}

impl Recovered {
    /// Sessions, messages and positions of this run have greater numbers.
    pub fn first_number(&self) -> u64 {
        self.run << NUMBERS_OF_A_RUN
    }
}

/// Reads everything but the messages that wait.
pub(crate) fn recover(backend: &dyn Backend) -> Result<Recovered, StoreError> {
    let began = Instant::now();
    let mut reading = Reading { backend, damaged: Vec::new(), said: began, rows: 0 };
    let format = reading.number(FORMAT_KEY)?;
    if format.is_some_and(|format| format > u64::from(FORMAT)) {
        let format = format.unwrap_or_default();
        let sentence = format!(
            "the store was written by a newer broker (format {format}, this one knows {FORMAT}); start that one, or name another data_dir"
        );
        return Err(StoreError::Unusable(sentence.into()));
    }
    upkeep::refuse_half_imported(backend)?;
    let run = reading.number(RUN)?.unwrap_or(0) + 1;
    let group = reading.number(GROUP)?.unwrap_or(0);
    let last_seen = reading.number(ALIVE)?.map(Timestamp);
    let mut recovered = Recovered { run, group, last_seen, ..Recovered::default() };

    let mut sessions: HashMap<SessionId, RecoveredSession> = HashMap::new();
    reading.rows(Table::Sessions, |row, value| {
        let id = records::read_session_key(&row.key)?;
        let StoredSession { client_id, expiry, left_at } = records::read_session(&value)?;
        let state = SessionState::new(id, client_id, expiry);
        let waiting = WaitingOnDisk::default();
        sessions.insert(id, RecoveredSession { state, left_at, will: None, waiting });
        Some(())
    })?;
    reading.rows(Table::Subscriptions, |row, value| {
        let (id, filter, subscribed, asked) = records::read_subscription(&row.key, &value)?;
        if let Some(session) = sessions.get_mut(&id) {
            for asked in asked {
                session.state.rewritten.insert(asked, filter.clone());
            }
            session.state.subscriptions.insert(filter, subscribed);
        }
        Some(())
    })?;
    reading.rows(Table::Received, |row, _| {
        let (id, packet_id) = records::read_received_key(&row.key)?;
        if let Some(session) = sessions.get_mut(&id) {
            session.state.awaiting_release.insert(packet_id);
        }
        Some(())
    })?;
    reading.rows(Table::Wills, |row, value| {
        let id = records::read_session_key(&row.key)?;
        let will = records::read_will(&value)?;
        if let Some(session) = sessions.get_mut(&id) {
            session.will = Some(will);
        }
        Some(())
    })?;
    let mut orphans = HashSet::new();
    let mut open = Vec::new();
    reading.rows(Table::Queues, |row, value| {
        let (id, position) = records::read_queue_key(&row.key)?;
        let entry = QueueEntry::read(&value)?;
        let Some(session) = sessions.get_mut(&id) else {
            orphans.insert(id);
            return Some(());
        };
        match entry.progress {
            Progress::Queued => session.waiting.add(position, entry.cost as usize),
            Progress::Sent(packet_id) | Progress::Released(packet_id) => {
                open.push((id, position, packet_id, entry));
            }
        }
        Some(())
    })?;
    for (id, position, packet_id, entry) in open {
        reading.inflight(&mut sessions, (id, position, packet_id), entry)?;
    }
    reading.rows(Table::Retained, |_, value| {
        recovered.retained.push(records::read_message(&value)?);
        Some(())
    })?;

    // What belonged to a damaged session record is not thrown away.
    let lost: HashSet<_> = reading
        .damaged
        .iter()
        .filter(|damaged| damaged.table == Table::Sessions)
        .filter_map(|damaged| records::read_session_key(&damaged.key))
        .collect();
    recovered.orphans = orphans.difference(&lost).copied().collect();
    recovered.sessions = sessions.into_values().collect();
    recovered.damaged = reading.damaged;
    let mut operations = vec![put_number(FORMAT_KEY, FORMAT.into()), put_number(RUN, run)];
    for damaged in &recovered.damaged {
        error!(record = %damaged, "a record is damaged and set aside; `tidegate store check` lists it");
        operations.extend(aside(backend, damaged.table, &damaged.key));
    }
    backend.commit(&operations, Durability::Sync)?;
    if last_seen.is_some() || !recovered.sessions.is_empty() || !recovered.retained.is_empty() {
        let waiting: usize = recovered.sessions.iter().map(|session| session.waiting.messages).sum();
        info!(
            sessions = recovered.sessions.len(),
            retained = recovered.retained.len(),
            waiting,
            damaged = recovered.damaged.len(),
            milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "store read"
        );
    }
    Ok(recovered)
}

impl WaitingOnDisk {
    fn add(&mut self, position: u64, bytes: usize) {
        if self.messages == 0 {
            self.from = position;
        }
        self.last = position;
        self.messages += 1;
        self.bytes += bytes;
    }
}

struct Reading<'a> {
    backend: &'a dyn Backend,
    damaged: Vec<Damaged>,
    said: Instant,
    rows: u64,
}

impl Reading<'_> {
    fn number(&mut self, key: &'static [u8]) -> Result<Option<u64>, StoreError> {
        let Some(value) = self.backend.get(Table::Meta, key)? else { return Ok(None) };
        let number = records::unseal(Table::Meta, key, value);
        let number = number.and_then(|value| Some(u64::from_be_bytes((*value).try_into().ok()?)));
        if number.is_none() {
            self.damaged.push(Damaged { table: Table::Meta, key: Bytes::from_static(key) });
        }
        Ok(number)
    }

    /// Every row of a table; None from `take` means that it makes no sense.
    fn rows(
        &mut self,
        table: Table,
        mut take: impl FnMut(&Row, Bytes) -> Option<()>,
    ) -> Result<(), StoreError> {
        let mut after: Option<Bytes> = None;
        loop {
            let rows = self.backend.scan(table, b"", after.as_deref(), PAGE)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.key.clone());
            for row in &rows {
                let value = records::unseal(table, &row.key, row.value.clone());
                if value.and_then(|value| take(row, value)).is_none() {
                    self.damaged.push(Damaged { table, key: row.key.clone() });
                }
                self.rows += 1;
            }
            if self.said.elapsed() >= PROGRESS {
                self.said = Instant::now();
                info!(records = self.rows, table = table.name(), "reading the store");
            }
        }
    }

    fn inflight(
        &mut self,
        sessions: &mut HashMap<SessionId, RecoveredSession>,
        (id, position, packet_id): (SessionId, u64, PacketId),
        entry: QueueEntry,
    ) -> Result<(), StoreError> {
        let Some(session) = sessions.get_mut(&id) else { return Ok(()) };
        let stage = if matches!(entry.progress, Progress::Released(_)) {
            let stored = Some(Stored::new(position, entry.shared));
            Stage::Released(Finished { id: entry.message, origin: None, stored })
        } else {
            let Some(message) = body(self.backend, entry.message)? else {
                let key = records::queue_key(id, position);
                self.damaged.push(Damaged { table: Table::Queues, key });
                return Ok(());
            };
            Stage::Published(entry.delivery(position, Arc::new(message)))
        };
        // Positions rise in the order in which messages were first sent.
        session.state.inflight.push(Inflight { packet_id, stage });
        session.state.next_packet_id = packet_id.get().wrapping_add(1).max(1);
        Ok(())
    }
}

/// A message; None if it is not there, or not what was written.
pub(crate) fn body(backend: &dyn Backend, message: MessageId) -> Result<Option<Message>, StoreError> {
    let key = records::message_key(message);
    let Some(value) = backend.get(Table::Messages, &key)? else { return Ok(None) };
    let value = records::unseal(Table::Messages, &key, value);
    Ok(value.and_then(|value| records::read_message(&value)))
}

/// Takes a damaged record out of the way, and keeps it.
pub(crate) fn set_aside(gathering: &Gathering, table: Table, key: &Bytes, backend: &dyn Backend) {
    let damaged = Damaged { table, key: key.clone() };
    error!(record = %damaged, "a record is damaged and set aside; `tidegate store check` lists it");
    let changes = aside(backend, table, key).into_iter().map(|operation| match operation {
        Operation::Put(table, key, value) => Change::Put(table, key, value),
        Operation::Delete(table, key) => Change::Delete(table, key),
    });
    gathering.note(Durability::None, changes.collect());
}

fn aside(backend: &dyn Backend, table: Table, key: &Bytes) -> Vec<Operation> {
    let mut name = Vec::with_capacity(1 + key.len());
    name.push(table as u8);
    name.extend_from_slice(key);
    let found = backend.get(table, key).ok().flatten().unwrap_or_default();
    vec![Operation::Put(Table::Damaged, name.into(), found), Operation::Delete(table, key.clone())]
}

fn put_number(key: &'static [u8], number: u64) -> Operation {
    let value = records::seal(Table::Meta, key, &number.to_be_bytes());
    Operation::Put(Table::Meta, Bytes::from_static(key), value)
}
