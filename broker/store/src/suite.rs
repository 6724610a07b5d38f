//! What an engine must do, by trying it: for the tests of all of them, here and elsewhere.

mod faulty;
mod model;

pub use faulty::{Fault, Faulty};

use crate::backend::{Backend, Durability, MAX_KEY, Operation, Row, Snapshot, StoreError, Table};
use bytes::Bytes;
use std::sync::Arc;

/// Where an engine under test comes from. All calls to one of these are about the same rows.
pub trait Engine {
    /// An engine without rows. What was opened before is gone.
    fn fresh(&mut self) -> Arc<dyn Backend>;

    /// Ends the engine and opens it again; `None` if it keeps nothing. Whoever calls has no other handle of it.
    fn reopen(&mut self, engine: Arc<dyn Backend>) -> Option<Arc<dyn Backend>>;
}

/// Tries everything.
///
/// # Panics
/// If the engine does something else than it must.
pub fn run(engine: &mut dyn Engine) {
    let fresh: [fn(&dyn Backend); 11] = [
        rows_come_in_the_order_of_their_keys,
        tables_are_apart,
        a_batch_is_done_in_order,
        a_deleted_row_is_gone_and_one_that_never_was_is_no_error,
        keys_and_values_may_be_empty,
        the_longest_key_is_taken,
        a_scan_goes_on_after_a_key_and_stops_at_its_bound,
        a_prefix_of_the_largest_bytes_ends_where_it_must,
        a_batch_is_seen_whole,
        a_snapshot_stays_as_it_was,
        a_snapshot_is_of_one_commit,
    ];
    for holds in fresh {
        holds(&*engine.fresh());
    }
    what_was_synced_is_there_after_a_restart(engine);
    large_values_are_kept(engine);
    model::random_commits_do_what_they_do_to_a_map(engine);
}

/// A commit that must go well.
fn commit(backend: &dyn Backend, operations: &[Operation]) -> u64 {
    match backend.commit(operations, Durability::Sync) {
        Ok(number) => number,
        Err(error) => panic!("a commit failed: {error}"),
    }
}

fn put(table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Operation {
    let [key, value] = [key.as_ref(), value.as_ref()].map(Bytes::copy_from_slice);
    Operation::Put(table, key, value)
}

fn delete(table: Table, key: impl AsRef<[u8]>) -> Operation {
    Operation::Delete(table, Bytes::copy_from_slice(key.as_ref()))
}

fn get(backend: &dyn Backend, table: Table, key: impl AsRef<[u8]>) -> Option<Bytes> {
    match backend.get(table, key.as_ref()) {
        Ok(value) => value,
        Err(error) => panic!("a row cannot be read: {error}"),
    }
}

/// In steps of so many bytes, as the store reads.
fn scan(backend: &dyn Backend, table: Table, prefix: &[u8], step: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.key.clone());
        match backend.scan(table, prefix, after.as_deref(), step) {
            Ok(more) if more.is_empty() => return rows,
            Ok(more) => rows.extend(more),
            Err(error) => panic!("rows cannot be read: {error}"),
        }
    }
}

fn keys(backend: &dyn Backend, table: Table, prefix: &[u8]) -> Vec<Bytes> {
    scan(backend, table, prefix, 1 << 20).into_iter().map(|row| row.key).collect()
}

fn rows_come_in_the_order_of_their_keys(backend: &dyn Backend) {
    let sorted: [&[u8]; 9] = [b"\0", b"\0\0", b"\0a", b"\x01", b"a", b"a\0", b"aa", b"b", b"\xff"];
    for key in [4, 8, 0, 2, 7, 1, 6, 3, 5_usize].map(|index| sorted[index]) {
        commit(backend, &[put(Table::Meta, key, key)]);
    }
    let rows = scan(backend, Table::Meta, b"", 1 << 20);
    assert!(rows.iter().all(|row| row.key == row.value));
    assert_eq!(rows.into_iter().map(|row| row.key).collect::<Vec<_>>(), sorted);
}

fn tables_are_apart(backend: &dyn Backend) {
    let everywhere: Vec<_> = Table::ALL.iter().map(|table| put(*table, "key", table.name())).collect();
    commit(backend, &everywhere);
    commit(backend, &[delete(Table::Wills, "key")]);
    for table in Table::ALL {
        let expected = (table != Table::Wills).then(|| Bytes::from_static(table.name().as_bytes()));
        assert_eq!(get(backend, table, "key"), expected);
        assert_eq!(keys(backend, table, b"").len(), usize::from(table != Table::Wills));
    }
}

fn a_batch_is_done_in_order(backend: &dyn Backend) {
    let table = Table::Sessions;
    let first = commit(
        backend,
        &[put(table, "a", "1"), delete(table, "a"), put(table, "b", "1"), put(table, "b", "2")],
    );
    assert_eq!(get(backend, table, "a"), None);
    assert_eq!(get(backend, table, "b").as_deref(), Some(&b"2"[..]));
    let second = commit(
        backend,
        &[delete(table, "b"), put(table, "b", "3"), put(table, "c", "1"), delete(table, "c")],
    );
    assert_eq!(get(backend, table, "b").as_deref(), Some(&b"3"[..]));
    assert_eq!(keys(backend, table, b""), ["b"]);
    let third = commit(backend, &[]);
    assert!(first < second && second < third, "the numbers of commits grow");
}

fn a_deleted_row_is_gone_and_one_that_never_was_is_no_error(backend: &dyn Backend) {
    commit(backend, &[put(Table::Retained, "a", "1"), put(Table::Retained, "b", "1")]);
    commit(backend, &[delete(Table::Retained, "a"), delete(Table::Retained, "never")]);
    assert_eq!(get(backend, Table::Retained, "a"), None);
    assert_eq!(keys(backend, Table::Retained, b""), ["b"]);
    commit(backend, &[put(Table::Retained, "a", "2")]);
    assert_eq!(get(backend, Table::Retained, "a").as_deref(), Some(&b"2"[..]));
}

fn keys_and_values_may_be_empty(backend: &dyn Backend) {
    commit(
        backend,
        &[put(Table::Meta, "", "of the empty key"), put(Table::Meta, "\0", ""), put(Table::Meta, "a", "")],
    );
    assert_eq!(get(backend, Table::Meta, "").as_deref(), Some(&b"of the empty key"[..]));
    assert_eq!(get(backend, Table::Meta, "\0").as_deref(), Some(&b""[..]));
    assert_eq!(keys(backend, Table::Meta, b""), ["", "\0", "a"]);
    assert_eq!(keys(backend, Table::Meta, b"\0"), ["\0"]);
    assert_eq!(scan(backend, Table::Meta, b"", 0).len(), 3);
    commit(backend, &[delete(Table::Meta, "")]);
    assert_eq!(keys(backend, Table::Meta, b""), ["\0", "a"]);
}

fn the_longest_key_is_taken(backend: &dyn Backend) {
    for first in [0, b'a'] {
        let key = vec![first; MAX_KEY];
        commit(backend, &[put(Table::Subscriptions, &key, "1")]);
        assert_eq!(get(backend, Table::Subscriptions, &key).as_deref(), Some(&b"1"[..]));
        assert_eq!(keys(backend, Table::Subscriptions, &key), std::slice::from_ref(&key));
    }
}

fn a_scan_goes_on_after_a_key_and_stops_at_its_bound(backend: &dyn Backend) {
    let rows = ["a1", "a2", "a3", "b1"].map(|key| put(Table::Queues, key, "value"));
    commit(backend, &rows);
    let keys = |prefix: &[u8], after: Option<&str>, bytes| match backend.scan(
        Table::Queues,
        prefix,
        after.map(str::as_bytes),
        bytes,
    ) {
        Ok(rows) => rows.into_iter().map(|row| row.key).collect::<Vec<_>>(),
        Err(error) => panic!("rows cannot be read: {error}"),
    };
    assert_eq!(keys(b"a", None, 14), ["a1", "a2"]);
    assert_eq!(keys(b"a", None, 13), ["a1"]);
    assert_eq!(keys(b"a", None, 0), ["a1"], "at least one");
    assert_eq!(keys(b"a", Some("a2"), 100), ["a3"]);
    assert_eq!(keys(b"a", Some("a25"), 100), ["a3"], "after a key that is not there");
    assert!(keys(b"a", Some("a3"), 100).is_empty());
    assert!(keys(b"a", Some("b"), 100).is_empty());
    assert_eq!(keys(b"", Some("a2"), 100), ["a3", "b1"]);
    assert!(keys(b"a11", None, 100).is_empty());
}

fn a_prefix_of_the_largest_bytes_ends_where_it_must(backend: &dyn Backend) {
    let all: [&[u8]; 7] = [b"a\xfe", b"a\xff", b"a\xff\0", b"a\xff\xff\xff", b"b", b"\xff", b"\xff\xff\xff"];
    for key in all {
        commit(backend, &[put(Table::Queues, key, "")]);
    }
    assert_eq!(keys(backend, Table::Queues, b"a\xff"), all[1..4]);
    assert_eq!(keys(backend, Table::Queues, b"a"), all[..4]);
    assert_eq!(keys(backend, Table::Queues, b"\xff"), all[5..]);
    assert_eq!(keys(backend, Table::Queues, b"\xff\xff"), all[6..]);
    assert!(keys(backend, Table::Queues, b"\xff\xff\xff\xff").is_empty());
}

/// Readers look on while commits change ten rows at a time, all to the same value.
fn a_batch_is_seen_whole(backend: &dyn Backend) {
    let rows =
        |value: u32| (0..10).map(|row| put(Table::Messages, [row], value.to_string())).collect::<Vec<_>>();
    commit(backend, &rows(0));
    std::thread::scope(|scope| {
        let readers: [_; 2] = std::array::from_fn(|_| {
            scope.spawn(|| {
                let mut last = 0;
                while last < 200 {
                    let found = scan(backend, Table::Messages, b"", 1 << 20);
                    assert!(
                        found.len() == 10 && found.iter().all(|row| row.value == found[0].value),
                        "{found:?}"
                    );
                    let value =
                        std::str::from_utf8(&found[0].value).ok().and_then(|value| value.parse().ok());
                    assert!(value >= Some(last), "an older state after a newer one");
                    last = value.unwrap_or(last);
                }
            })
        });
        for value in 1..=200 {
            if let Err(error) = backend.commit(&rows(value), Durability::None) {
                panic!("a commit failed: {error}");
            }
        }
        for reader in readers {
            assert!(reader.join().is_ok());
        }
    });
}

/// None from an engine that has none.
fn snapshot(backend: &dyn Backend) -> Option<Box<dyn Snapshot>> {
    match backend.snapshot() {
        Ok(snapshot) => Some(snapshot),
        Err(StoreError::Unusable(_)) => None,
        Err(error) => panic!("no snapshot: {error}"),
    }
}

/// What is left of a table.
pub(crate) fn rest(snapshot: &mut dyn Snapshot, table: Table, step: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    loop {
        match snapshot.next(table, step) {
            Ok(more) if more.is_empty() => return rows,
            Ok(more) => rows.extend(more),
            Err(error) => panic!("a snapshot cannot be read: {error}"),
        }
    }
}

fn a_snapshot_stays_as_it_was(backend: &dyn Backend) {
    let keys: Vec<Bytes> = ["", "\0", "a", "b", "c", "\u{7f}"].map(Bytes::from).to_vec();
    let before = |table: Table| keys.iter().map(move |key| put(table, key, table.name()));
    commit(backend, &[Table::Meta, Table::Queues].into_iter().flat_map(before).collect::<Vec<_>>());
    let (Some(mut one), Some(mut other)) = (snapshot(backend), snapshot(backend)) else { return };
    commit(
        backend,
        &[put(Table::Meta, "a", "changed"), put(Table::Meta, "aa", "new"), delete(Table::Meta, "b")],
    );
    commit(backend, &[put(Table::Wills, "a", "new"), delete(Table::Queues, ""), delete(Table::Queues, "c")]);
    for (snapshot, step) in [(&mut one, 0), (&mut other, 1 << 20)] {
        for table in [Table::Meta, Table::Queues] {
            let rows = rest(&mut **snapshot, table, step);
            assert!(rows.iter().all(|row| row.value == table.name()), "{rows:?}");
            assert_eq!(rows.into_iter().map(|row| row.key).collect::<Vec<_>>(), keys);
        }
        assert!(rest(&mut **snapshot, Table::Wills, step).is_empty());
    }
    let now = snapshot(backend).map(|mut now| rest(&mut *now, Table::Meta, 1));
    assert_eq!(now, Some(scan(backend, Table::Meta, b"", 1)));
}

/// Every commit changes a row of each table, all to the same value.
fn a_snapshot_is_of_one_commit(backend: &dyn Backend) {
    let rows = |value: u32| Table::ALL.map(|table| put(table, "key", value.to_string()));
    commit(backend, &rows(0));
    if snapshot(backend).is_none() {
        return;
    }
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0;
            while last < 200 {
                let Some(mut snapshot) = snapshot(backend) else { continue };
                let found: Vec<_> =
                    Table::ALL.into_iter().flat_map(|table| rest(&mut *snapshot, table, 1 << 20)).collect();
                assert!(
                    found.len() == 10 && found.iter().all(|row| row.value == found[0].value),
                    "{found:?}"
                );
                let value = std::str::from_utf8(&found[0].value).ok().and_then(|value| value.parse().ok());
                assert!(value >= Some(last), "an older state after a newer one");
                last = value.unwrap_or(last);
            }
        });
        for value in 1..=200 {
            if let Err(error) = backend.commit(&rows(value), Durability::None) {
                panic!("a commit failed: {error}");
            }
        }
        assert!(reader.join().is_ok());
    });
}

fn what_was_synced_is_there_after_a_restart(engine: &mut dyn Engine) {
    let mut backend = engine.fresh();
    let mut last = 0;
    for round in 0..5_u8 {
        commit(&*backend, &[put(Table::Sessions, [round], "kept"), put(Table::Sessions, "changes", [round])]);
        last = commit(&*backend, &[delete(Table::Sessions, [round.wrapping_sub(1)])]);
        match engine.reopen(backend) {
            Some(reopened) => backend = reopened,
            None => return,
        }
        assert_eq!(get(&*backend, Table::Sessions, "changes").as_deref(), Some(&[round][..]));
        assert_eq!(keys(&*backend, Table::Sessions, b""), [&[round][..], b"changes"]);
    }
    assert!(commit(&*backend, &[]) > last, "the numbers of commits grow");
}

fn large_values_are_kept(engine: &mut dyn Engine) {
    let mut backend = engine.fresh();
    let large: Vec<_> = (0..16 << 20).map(|at: u32| at.wrapping_mul(0x9e37_79b9).to_le_bytes()[3]).collect();
    commit(&*backend, &[put(Table::Retained, "large", &large), put(Table::Retained, "small", "1")]);
    for _ in 0..2 {
        assert!(get(&*backend, Table::Retained, "large").is_some_and(|value| value == large));
        assert_eq!(scan(&*backend, Table::Retained, b"", 1 << 20).len(), 2);
        match engine.reopen(backend) {
            Some(reopened) => backend = reopened,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;

    struct InMemory;

    impl Engine for InMemory {
        fn fresh(&mut self) -> Arc<dyn Backend> {
            Arc::new(Memory::default())
        }

        fn reopen(&mut self, _: Arc<dyn Backend>) -> Option<Arc<dyn Backend>> {
            None
        }
    }

    #[test]
    fn memory_does_what_an_engine_must() {
        run(&mut InMemory);
    }
}
