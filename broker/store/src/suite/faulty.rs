//! An engine that fails when it is told to.

use crate::backend::{Backend, Damage, Durability, Operation, Row, Snapshot, StoreError, Table};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// Wraps an engine: commits fail, wait or are lost.
///
/// What is committed with less than [`Durability::Sync`] is there at once, and is undone by [`Faulty::cut_power`] unless something later
/// was synced.
pub struct Faulty {
    engine: Arc<dyn Backend>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// For the commits to come.
    faults: VecDeque<Fault>,
    /// For all commits after those.
    always: Option<Fault>,
    delay: Duration,
    commits: u64,
    synced: u64,
    /// How to undo what is not synced, newest last.
    unsynced: Vec<Vec<Operation>>,
    /// `recover` was not called since.
    unknown: bool,
    recoveries_to_fail: u64,
    recoveries: u64,
}

/// What happens to a commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It goes well.
    None,
    /// [`StoreError::Unavailable`], and nothing of it is there.
    Unavailable,
    /// [`StoreError::Unknown`], and it is there after [`Backend::recover`].
    UnknownButThere,
    /// [`StoreError::Unknown`], and nothing of it is there.
    UnknownAndNotThere,
}

impl Faulty {
    /// Around an engine.
    pub fn new(engine: Arc<dyn Backend>) -> Self {
        Self { engine, state: Mutex::default() }
    }

    /// The next commits meet these, one each.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().faults.extend(faults);
    }

    /// All commits meet this, after those of [`Faulty::next`], until it is [`Fault::None`].
    pub fn always(&self, fault: Fault) {
        self.state.lock().always = Some(fault);
    }

    /// Every commit blocks its thread so long before it does anything.
    pub fn delay(&self, delay: Duration) {
        self.state.lock().delay = delay;
    }

    /// So many calls of [`Backend::recover`] fail.
    pub fn fail_recoveries(&self, count: u64) {
        self.state.lock().recoveries_to_fail = count;
    }

    /// Commits that were tried, also in vain.
    pub fn commits(&self) -> u64 {
        self.state.lock().commits
    }

    /// Commits that went well and were to be synced.
    pub fn synced(&self) -> u64 {
        self.state.lock().synced
    }

    /// Calls of [`Backend::recover`] that went well.
    pub fn recoveries(&self) -> u64 {
        self.state.lock().recoveries
    }

    /// Everything committed after the last sync is lost, as if nothing had come of it. To be called while nobody commits.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn cut_power(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        while let Some(undo) = state.unsynced.pop() {
            self.engine.commit(&undo, Durability::Sync)?;
        }
        Ok(())
    }

    /// Puts rows back as they are now.
    fn undo(&self, operations: &[Operation]) -> Result<Vec<Operation>, StoreError> {
        let restore = |operation: &Operation| {
            let (Operation::Put(table, key, _) | Operation::Delete(table, key)) = operation;
            Ok(match self.engine.get(*table, key)? {
                Some(value) => Operation::Put(*table, key.clone(), value),
                None => Operation::Delete(*table, key.clone()),
            })
        };
        operations.iter().map(restore).collect()
    }

    fn fault(&self) -> (Fault, Duration) {
        let mut state = self.state.lock();
        state.commits += 1;
        let fault = state.faults.pop_front().or(state.always).unwrap_or(Fault::None);
        (fault, state.delay)
    }

    fn readable(&self) -> Result<(), StoreError> {
        match self.state.lock().unknown {
            true => Err(StoreError::Unavailable("recover first, as this test wants it".into())),
            false => Ok(()),
        }
    }
}

impl Backend for Faulty {
    fn commit(&self, operations: &[Operation], durability: Durability) -> Result<u64, StoreError> {
        let (fault, delay) = self.fault();
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        self.readable()?;
        let unknown = || {
            self.state.lock().unknown = true;
            Err(StoreError::Unknown("as this test wants it".into()))
        };
        match fault {
            Fault::Unavailable => return Err(StoreError::Unavailable("as this test wants it".into())),
            Fault::UnknownAndNotThere => return unknown(),
            Fault::None | Fault::UnknownButThere => {}
        }
        let undo = self.undo(operations)?;
        let number = self.engine.commit(operations, durability)?;
        let mut state = self.state.lock();
        match durability {
            Durability::Sync => {
                state.unsynced.clear();
                state.synced += 1;
            }
            Durability::None | Durability::Os => state.unsynced.push(undo),
        }
        drop(state);
        if fault == Fault::UnknownButThere {
            return unknown();
        }
        Ok(number)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.readable()?;
        self.engine.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.readable()?;
        self.engine.scan(table, prefix, after, max_bytes)
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.readable()?;
        self.engine.snapshot()
    }

    fn recover(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if let Some(left) = state.recoveries_to_fail.checked_sub(1) {
            state.recoveries_to_fail = left;
            return Err(StoreError::Unavailable("as this test wants it".into()));
        }
        self.engine.recover()?;
        state.unknown = false;
        state.recoveries += 1;
        Ok(())
    }

    fn disk_bytes(&self) -> Option<u64> {
        self.engine.disk_bytes()
    }

    fn damage(&self) -> Vec<Damage> {
        self.engine.damage()
    }
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faulty").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;

    fn put(key: &'static str, value: &'static str) -> Operation {
        Operation::Put(Table::Meta, key.into(), value.into())
    }

    fn faulty() -> Faulty {
        Faulty::new(Arc::new(Memory::default()))
    }

    fn get(faulty: &Faulty, key: &str) -> Option<Bytes> {
        faulty.get(Table::Meta, key.as_bytes()).unwrap()
    }

    #[test]
    fn a_commit_fails_as_it_was_told_to() {
        let faulty = faulty();
        faulty.next([Fault::None, Fault::Unavailable]);
        assert!(faulty.commit(&[put("a", "1")], Durability::Sync).is_ok());
        let refused = faulty.commit(&[put("b", "1")], Durability::Sync);
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
        assert_eq!((get(&faulty, "a").is_some(), get(&faulty, "b")), (true, None));
        assert_eq!((faulty.commits(), faulty.synced()), (2, 1));
    }

    #[test]
    fn after_an_unknown_commit_nothing_is_said_before_recovery() {
        for (fault, there) in [(Fault::UnknownButThere, true), (Fault::UnknownAndNotThere, false)] {
            let faulty = faulty();
            faulty.next([fault]);
            faulty.fail_recoveries(1);
            assert!(matches!(faulty.commit(&[put("a", "1")], Durability::Sync), Err(StoreError::Unknown(_))));
            assert!(faulty.get(Table::Meta, b"a").is_err() && faulty.recover().is_err());
            faulty.recover().unwrap();
            assert_eq!((get(&faulty, "a").is_some(), faulty.recoveries()), (there, 1));
        }
    }

    #[test]
    fn a_power_cut_takes_what_came_after_the_last_sync() {
        let faulty = faulty();
        faulty.commit(&[put("a", "1")], Durability::Os).unwrap();
        faulty.commit(&[put("b", "1")], Durability::Sync).unwrap();
        faulty.commit(&[put("b", "2"), put("c", "1")], Durability::Os).unwrap();
        let lost = [Operation::Delete(Table::Meta, "a".into()), put("b", "3")];
        faulty.commit(&lost, Durability::None).unwrap();
        faulty.cut_power().unwrap();
        assert_eq!((get(&faulty, "a").as_deref(), get(&faulty, "c")), (Some(&b"1"[..]), None));
        assert_eq!(get(&faulty, "b").as_deref(), Some(&b"1"[..]));
    }
}
