//! Group commit: one thread takes what has gathered while it wrote, and writes it as one batch with one sync.

use crate::{
    backend::{Backend, Durability, Operation, StoreError, Table},
    records,
    ticket::{Outcome, Settler, Ticket},
};
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tidegate_mqtt::MessageId;
use tracing::{error, info, warn};

/// What nobody waits for may be written so much later, together with more.
const LINGER: Duration = Duration::from_millis(5);
/// But no more than so much of it gathers.
const ENOUGH: usize = 1_000;

/// A group is no larger: an engine, and a plugin above all, has to hold it in memory. One submission alone may be.
const MOST: usize = 4_096;
const MOST_BYTES: usize = 4 << 20;

/// How long the writer waits before it tries again what must not be refused.
const RETRY: Duration = Duration::from_millis(250);
/// Tries at the end, before what could not be written is given up.
const LAST_TRIES: u32 = 20;
/// Reference counts kept in memory.
const COUNTS: usize = 65_536;

/// One change of what is stored.
#[derive(Debug)]
pub(crate) enum Change {
    /// Key and sealed value.
    Put(Table, Bytes, Bytes),
    Delete(Table, Bytes),
    /// One queue entry fewer refers to a message that others refer to as well: it goes with the last.
    Unreference(MessageId),
}

impl Change {
    pub(crate) fn put(table: Table, key: Bytes, value: &[u8]) -> Self {
        let value = records::seal(table, &key, value);
        Self::Put(table, key, value)
    }
}

/// Changes that belong together, and who waits for them.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) changes: Vec<Change>,
    pub(crate) settler: Option<Settler>,
    pub(crate) durability: Durability,
    /// Cannot be refused, since it has happened: tried until it is written.
    pub(crate) kept: bool,
}

impl Submission {
    /// Bytes of what is put.
    fn bytes(&self) -> usize {
        let bytes = |change: &Change| match change {
            Change::Put(_, key, value) => key.len() + value.len(),
            Change::Delete(..) | Change::Unreference(_) => 0,
        };
        self.changes.iter().map(bytes).sum()
    }

    /// Whether it is more than a wait, or the time of day.
    fn is_of_clients(&self) -> bool {
        self.changes.first().is_some_and(|change| !matches!(change, Change::Put(Table::Meta, ..)))
    }
}

/// What has gathered for the writer.
#[derive(Debug)]
pub(crate) struct Gathering {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Groups written, submissions in them, and those refused.
    pub(crate) figures: Figures,
}

/// What the writer has done.
#[derive(Debug, Default)]
pub struct Figures {
    groups: AtomicU64,
    submissions: AtomicU64,
    refused: AtomicU64,
    failing: AtomicU64,
}

impl Figures {
    /// Batches written.
    pub fn groups(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }

    /// What was submitted and written, many in a batch.
    pub fn submissions(&self) -> u64 {
        self.submissions.load(Ordering::Relaxed)
    }

    /// What was submitted and refused, as the engine could not write it.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether the last batch could not be written.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed) != 0
    }
}

#[derive(Debug)]
struct Waiting {
    submissions: Vec<Submission>,
    /// The last one given to a queue entry.
    position: u64,
    /// Nothing that may be refused is taken in.
    failing: Option<StoreError>,
    /// Of all submissions.
    bytes: usize,
    /// Somebody waits for it, or it is enough.
    urgent: bool,
    stopping: bool,
}

impl Waiting {
    /// Whether the writer is to be woken.
    fn push(&mut self, submission: Submission) -> bool {
        let before = (self.submissions.is_empty(), self.urgent);
        self.urgent |= submission.settler.is_some() || self.submissions.len() >= ENOUGH;
        self.bytes += submission.bytes();
        self.submissions.push(submission);
        before != (false, self.urgent)
    }

    /// As much as makes a group.
    fn group(&mut self) -> Vec<Submission> {
        if self.submissions.len() <= MOST && self.bytes <= MOST_BYTES {
            (self.bytes, self.urgent) = (0, false);
            return std::mem::take(&mut self.submissions);
        }
        let mut bytes = 0;
        let fits = |one: &&Submission| {
            bytes += one.bytes();
            bytes <= MOST_BYTES
        };
        let count = self.submissions.iter().take(MOST).take_while(fits).count().max(1);
        let rest = self.submissions.split_off(count);
        let group = std::mem::replace(&mut self.submissions, rest);
        self.bytes -= group.iter().map(Submission::bytes).sum::<usize>();
        // What is left has waited already.
        self.urgent = true;
        group
    }
}

impl Gathering {
    pub(crate) fn new(position: u64) -> Self {
        let waiting = Waiting {
            submissions: Vec::new(),
            position,
            failing: None,
            bytes: 0,
            urgent: false,
            stopping: false,
        };
        Self { waiting: Mutex::new(waiting), wake: Condvar::new(), figures: Figures::default() }
    }

    /// Hands over what `build` makes of the next position, which it moves on. Whoever comes first is written first.
    pub(crate) fn submit(
        &self,
        durability: Durability,
        kept: bool,
        build: impl FnOnce(&mut u64) -> Vec<Change>,
    ) -> Ticket {
        let mut waiting = self.waiting.lock();
        if !kept && let Some(error) = &waiting.failing {
            let error = error.clone();
            drop(waiting);
            self.figures.refused.fetch_add(1, Ordering::Relaxed);
            return Ticket::settled(Outcome::Refused(error));
        }
        let changes = build(&mut waiting.position);
        let (settler, ticket) = if durability == Durability::None && !changes.is_empty() {
            (None, Ticket::settled(Outcome::Durable))
        } else {
            let (settler, ticket) = Ticket::pending();
            (Some(settler), ticket)
        };
        let wakes = waiting.push(Submission { changes, settler, durability, kept });
        drop(waiting);
        if wakes {
            self.wake.notify_one();
        }
        ticket
    }

    /// As [`Gathering::submit`] where nobody waits for what cannot be refused.
    pub(crate) fn note(&self, durability: Durability, changes: Vec<Change>) {
        let mut waiting = self.waiting.lock();
        let wakes = waiting.push(Submission { changes, settler: None, durability, kept: true });
        drop(waiting);
        if wakes {
            self.wake.notify_one();
        }
    }

    pub(crate) fn stop(&self) {
        self.waiting.lock().stopping = true;
        self.wake.notify_one();
    }

    /// What has gathered, and whether that was the last. Waits for it, but no longer than `patience` if there is one; if nobody waits for what
    /// there is, a little longer.
    fn take(&self, patience: Option<Duration>) -> (Vec<Submission>, bool) {
        let mut waiting = self.waiting.lock();
        while waiting.submissions.is_empty() && !waiting.stopping {
            match patience {
                None => self.wake.wait(&mut waiting),
                Some(patience) => {
                    self.wake.wait_for(&mut waiting, patience);
                    break;
                }
            }
        }
        let until = Instant::now() + LINGER;
        while !waiting.urgent && !waiting.stopping && !waiting.submissions.is_empty() {
            if self.wake.wait_until(&mut waiting, until).timed_out() {
                break;
            }
        }
        (waiting.group(), waiting.stopping)
    }

    fn set_failing(&self, failing: Option<StoreError>) {
        self.figures.failing.store(u64::from(failing.is_some()), Ordering::Relaxed);
        self.waiting.lock().failing = failing;
    }
}

/// The thread that writes.
pub(crate) struct Writer {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) gathering: Arc<Gathering>,
    /// Number of the last group.
    pub(crate) group: u64,
    counts: HashMap<MessageId, u32>,
    /// It has been said that messages are refused.
    refusing: bool,
}

/// What became of a group.
enum Written {
    Yes,
    /// And it will not be.
    No(StoreError),
    /// The engine must recover before anybody can tell.
    Unknown(StoreError),
}

impl Writer {
    pub(crate) fn new(backend: Arc<dyn Backend>, gathering: Arc<Gathering>, group: u64) -> Self {
        Self { backend, gathering, group, counts: HashMap::new(), refusing: false }
    }

    /// Until [`Gathering::stop`], and everything is written.
    pub(crate) fn run(mut self) {
        let mut held: Vec<Submission> = Vec::new();
        let mut last_tries = LAST_TRIES;
        loop {
            let failing = !held.is_empty() || self.gathering.figures.is_failing();
            let (gathered, stopping) = self.gathering.take(failing.then_some(RETRY));
            let mut group = std::mem::take(&mut held);
            group.extend(gathered);
            if stopping && group.is_empty() {
                return;
            }
            held = self.write(group, stopping);
            if stopping && !held.is_empty() {
                last_tries -= 1;
                if last_tries == 0 {
                    error!(changes = held.len(), "the store could not be written before the end");
                    return;
                }
                std::thread::sleep(RETRY);
            }
        }
    }

    /// Writes a group; returns what must be tried again.
    fn write(&mut self, group: Vec<Submission>, stopping: bool) -> Vec<Submission> {
        let error = match self.try_to_write(&group) {
            Written::Yes => {
                self.succeeded();
                if self.refusing && group.iter().any(|one| !one.kept && !one.changes.is_empty()) {
                    self.refusing = false;
                    info!("the store takes messages again");
                }
                self.settle(group, &Outcome::Durable);
                return Vec::new();
            }
            Written::No(error) => error,
            Written::Unknown(error) => {
                let number = self.group;
                self.failed(&error);
                match self.recover(number, stopping) {
                    // Nobody will know before the next start.
                    None => return Vec::new(),
                    Some(true) => {
                        self.succeeded();
                        self.settle(group, &Outcome::Durable);
                        return Vec::new();
                    }
                    Some(false) => error,
                }
            }
        };
        let (kept, refused): (Vec<_>, Vec<_>) = group.into_iter().partition(|one| one.kept);
        let nothing_else = refused.is_empty();
        self.gathering.figures.refused.fetch_add(refused.len() as u64, Ordering::Relaxed);
        self.settle(refused, &Outcome::Refused(error.clone()));
        if nothing_else {
            self.failed(&error);
            return kept;
        }
        if !std::mem::replace(&mut self.refusing, true) {
            warn!(%error, "the store refuses messages");
        }
        // Without what needs room it may go well.
        if kept.is_empty() { Vec::new() } else { self.write(kept, stopping) }
    }

    fn settle(&self, group: Vec<Submission>, outcome: &Outcome) {
        if *outcome == Outcome::Durable {
            self.gathering.figures.groups.fetch_add(1, Ordering::Relaxed);
            let commits = group.iter().filter(|one| one.is_of_clients()).count();
            self.gathering.figures.submissions.fetch_add(commits as u64, Ordering::Relaxed);
        }
        for settler in group.into_iter().filter_map(|one| one.settler) {
            settler.settle(outcome.clone());
        }
    }

    fn succeeded(&mut self) {
        if self.gathering.figures.is_failing() {
            info!("the store can be written again");
            self.gathering.set_failing(None);
        }
    }

    fn failed(&mut self, error: &StoreError) {
        // They may be ahead of what is written.
        self.counts.clear();
        if !self.gathering.figures.is_failing() {
            error!(%error, "the store cannot be written; messages that need it are refused until it can");
            self.gathering.set_failing(Some(error.clone()));
        }
    }

    /// Until the engine can be used again; then whether the group of that number was written. None: the broker stops before.
    fn recover(&mut self, number: u64, stopping: bool) -> Option<bool> {
        let mut tries = 0;
        loop {
            std::thread::sleep(RETRY);
            let recovered = self.backend.recover().and_then(|()| self.backend.get(Table::Meta, GROUP));
            match recovered {
                Ok(found) => {
                    let found = found.and_then(|value| records::unseal(Table::Meta, GROUP, value));
                    let written = found.is_some_and(|found| *found == number.to_be_bytes());
                    // What is there must be safe before anybody is told so.
                    if !written || matches!(self.commit(Vec::new(), Durability::Sync), Written::Yes) {
                        return Some(written);
                    }
                }
                Err(error) => tracing::debug!(%error, "the store is still away"),
            }
            tries += 1;
            if (stopping || self.gathering.waiting.lock().stopping) && tries >= LAST_TRIES {
                error!("the store did not come back before the end");
                return None;
            }
        }
    }

    fn try_to_write(&mut self, group: &[Submission]) -> Written {
        let durability = group.iter().map(|one| one.durability).max().unwrap_or(Durability::None);
        let changes: usize = group.iter().map(|one| one.changes.len()).sum();
        if changes == 0 && !self.gathering.figures.is_failing() {
            // Whoever only waits for what came before.
            return Written::Yes;
        }
        let mut batch = Batch::with_capacity(changes + 1);
        for change in group.iter().flat_map(|one| &one.changes) {
            match change {
                Change::Put(table, key, value) => batch.put(*table, key.clone(), value.clone()),
                Change::Delete(table, key) => batch.delete(*table, key.clone()),
                Change::Unreference(message) => {
                    if let Err(error) = self.unreference(*message, &mut batch) {
                        self.counts.clear();
                        return Written::No(error);
                    }
                }
            }
        }
        self.commit(batch.operations, durability)
    }

    fn commit(&mut self, mut operations: Vec<Operation>, durability: Durability) -> Written {
        self.group += 1;
        let number = self.group.to_be_bytes();
        let key = Bytes::from_static(GROUP);
        operations.push(Operation::Put(Table::Meta, key, records::seal(Table::Meta, GROUP, &number)));
        match self.backend.commit(&operations, durability) {
            Ok(_) => Written::Yes,
            Err(error @ StoreError::Unknown(_)) => Written::Unknown(error),
            Err(error) => {
                self.counts.clear();
                Written::No(error)
            }
        }
    }

    fn unreference(&mut self, message: MessageId, batch: &mut Batch) -> Result<(), StoreError> {
        let key = records::message_key(message);
        let count = match (batch.last(Table::References, &key), self.counts.get(&message)) {
            (Some(Operation::Put(_, _, value)), _) => read_count(&key, value.clone()),
            (Some(Operation::Delete(..)), _) => None,
            (None, Some(count)) => Some(*count),
            (None, None) => {
                let value = self.backend.get(Table::References, &key)?;
                value.and_then(|value| read_count(&key, value))
            }
        };
        // Without a count nobody can tell who else waits: `store check` finds what is left.
        let Some(count) = count else { return Ok(()) };
        if self.counts.len() >= COUNTS {
            self.counts.clear();
        }
        if count > 1 {
            self.counts.insert(message, count - 1);
            let value = records::seal(Table::References, &key, &(count - 1).to_be_bytes());
            batch.put(Table::References, key, value);
        } else {
            self.counts.remove(&message);
            batch.delete(Table::References, key.clone());
            batch.delete(Table::Messages, key);
        }
        Ok(())
    }
}

/// Number of the last group that was written.
pub(crate) const GROUP: &[u8] = b"group";

fn read_count(key: &[u8], value: Bytes) -> Option<u32> {
    let count = records::unseal(Table::References, key, value)?;
    Some(u32::from_be_bytes((*count).try_into().ok()?))
}

/// Operations of which the last on each key stands.
struct Batch {
    operations: Vec<Operation>,
    places: HashMap<(Table, Bytes), usize, ahash::RandomState>,
}

impl Batch {
    fn with_capacity(capacity: usize) -> Self {
        let places = HashMap::with_capacity_and_hasher(capacity, ahash::RandomState::new());
        Self { operations: Vec::with_capacity(capacity), places }
    }

    fn last(&self, table: Table, key: &Bytes) -> Option<&Operation> {
        self.places.get(&(table, key.clone())).map(|at| &self.operations[*at])
    }

    fn put(&mut self, table: Table, key: Bytes, value: Bytes) {
        self.set((table, key.clone()), Operation::Put(table, key, value));
    }

    fn delete(&mut self, table: Table, key: Bytes) {
        self.set((table, key.clone()), Operation::Delete(table, key));
    }

    fn set(&mut self, place: (Table, Bytes), operation: Operation) {
        match self.places.get(&place) {
            Some(at) => self.operations[*at] = operation,
            None => {
                self.places.insert(place, self.operations.len());
                self.operations.push(operation);
            }
        }
    }
}
