//! Random commits, and the same done to a map.

use super::Engine;
use crate::backend::{Backend, Durability, Operation, Table};
use bytes::Bytes;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Operation>, Durability),
    Scan(Table, Bytes, Option<Bytes>, usize),
    Reopen,
}

type Model = BTreeMap<(Table, Bytes), Bytes>;

pub(super) fn random_commits_do_what_they_do_to_a_map(engine: &mut dyn Engine) {
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let engine = std::cell::RefCell::new(engine);
    let tried = runner.run(&vec(step(), 1..60), |steps| play(&mut **engine.borrow_mut(), &steps));
    if let Err(error) = tried {
        panic!("{error}");
    }
}

fn table() -> impl Strategy<Value = Table> {
    prop_oneof![Just(Table::Messages), Just(Table::Queues), Just(Table::Wills)]
}

/// Few, so that they meet: short, of the bytes where something can go wrong.
fn key() -> impl Strategy<Value = Bytes> {
    vec(prop_oneof![Just(0), Just(1), Just(b'a'), Just(0xff)], 0..4).prop_map(Bytes::from)
}

fn operation() -> impl Strategy<Value = Operation> {
    let value = vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    prop_oneof![
        2 => (table(), key(), value).prop_map(|(table, key, value)| Operation::Put(table, key, value)),
        1 => (table(), key()).prop_map(|(table, key)| Operation::Delete(table, key)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let durability = prop_oneof![Just(Durability::None), Just(Durability::Os), Just(Durability::Sync)];
    prop_oneof![
        8 => (vec(operation(), 0..8), durability)
            .prop_map(|(operations, durability)| Step::Commit(operations, durability)),
        4 => (table(), key(), proptest::option::of(key()), 0..200_usize)
            .prop_map(|(table, prefix, after, bytes)| Step::Scan(table, prefix, after, bytes)),
        1 => Just(Step::Reopen),
    ]
}

fn play(engine: &mut dyn Engine, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut backend = engine.fresh();
    let (mut model, mut last) = (Model::new(), 0);
    for step in steps {
        match step {
            Step::Commit(operations, durability) => {
                let number = backend.commit(operations, *durability);
                let number = number.map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert!(number > last);
                last = number;
                for operation in operations {
                    match operation.clone() {
                        Operation::Put(table, key, value) => _ = model.insert((table, key), value),
                        Operation::Delete(table, key) => _ = model.remove(&(table, key)),
                    }
                }
            }
            Step::Scan(table, prefix, after, bytes) => {
                let found = backend.scan(*table, prefix, after.as_deref(), *bytes);
                let found = found.map_err(|error| TestCaseError::fail(error.to_string()))?;
                let expected = expected(&model, *table, prefix, after.as_ref(), *bytes);
                prop_assert_eq!(
                    found.into_iter().map(|row| (row.key, row.value)).collect::<Vec<_>>(),
                    expected
                );
            }
            Step::Reopen => match engine.reopen(backend) {
                Some(reopened) => backend = reopened,
                None => return Ok(()),
            },
        }
    }
    same(&backend, &model)
}

fn expected(
    model: &Model,
    table: Table,
    prefix: &Bytes,
    after: Option<&Bytes>,
    bytes: usize,
) -> Vec<(Bytes, Bytes)> {
    let rows = model.iter().filter(|((of, key), _)| *of == table && key.starts_with(prefix));
    let rows = rows.filter(|((_, key), _)| after.is_none_or(|after| key > after));
    let (mut taken, mut size) = (Vec::new(), 0);
    for ((_, key), value) in rows {
        size += key.len() + value.len();
        if !taken.is_empty() && size > bytes {
            break;
        }
        taken.push((key.clone(), value.clone()));
    }
    taken
}

fn same(backend: &Arc<dyn Backend>, model: &Model) -> Result<(), TestCaseError> {
    for table in Table::ALL {
        let rows = super::scan(&**backend, table, b"", 100).into_iter().map(|row| (row.key, row.value));
        let expected = model.iter().filter(|((of, _), _)| *of == table);
        let expected: Vec<_> = expected.map(|((_, key), value)| (key.clone(), value.clone())).collect();
        prop_assert_eq!(rows.collect::<Vec<_>>(), expected);
    }
    for ((table, key), value) in model {
        prop_assert_eq!(super::get(&**backend, *table, key), Some(value.clone()));
    }
    Ok(())
}
