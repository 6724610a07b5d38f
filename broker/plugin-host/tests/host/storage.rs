//! A store that a plugin keeps, as the broker would use it: what was promised holds, and what cannot be held is an error. The guest is
//! `tests/guests/store-memory`; answers outside the contract are in `hooks`.

use crate::place::{Place, generation};
use std::{collections::BTreeSet, fs};
use tidegate_hooks::FaultKind;
use tidegate_plugin_host::{PluginHost, PluginStorage, StorageError, StorageOp, StorageRow};
use tidegate_tests::guest;

const FORMAT: u32 = 1;

/// The component; another file for each `build`, as a build of other sources would be.
fn component(build: u8) -> Vec<u8> {
    // A custom section, named by one letter.
    let section = [0, 2, 1, build];
    [&fs::read(guest("store-memory")).unwrap()[..], &section].concat()
}

async fn started(table: &str) -> (Place, PluginHost, PluginStorage) {
    let table = format!("limits.concurrent = 1\n{table}");
    let place = Place::with("store.wasm", &component(b'a')).table("store", &table);
    let host = place.start().await;
    let storage = host.storage("store").unwrap();
    assert_eq!(storage.open(FORMAT).await.unwrap(), 0);
    (place, host, storage)
}

fn put<'a>(key: &'a str, value: &'a str) -> StorageOp<'a> {
    StorageOp::Put { table: 1, key: key.as_bytes(), value: value.as_bytes(), expires_ms: None }
}

fn delete(key: &str) -> StorageOp<'_> {
    StorageOp::Delete { table: 1, key: key.as_bytes() }
}

async fn value(storage: &PluginStorage, key: &str) -> Option<String> {
    let value = storage.get(1, key.as_bytes()).await.unwrap();
    value.map(|value| String::from_utf8(value).unwrap())
}

fn fault<T: std::fmt::Debug>(answer: Result<T, StorageError>) -> FaultKind {
    match answer {
        Err(StorageError::Failed(failed)) => failed.kind,
        other => panic!("no fault: {other:?}"),
    }
}

#[tokio::test]
async fn a_commit_is_done_whole_and_in_its_order() {
    let (_place, _host, storage) = started("config.busy_key = 'busy'").await;
    let ops =
        [put("a", "1"), put("a", "2"), put("b", "1"), delete("b"), delete("c"), put("c", "1"), put("", "x")];
    assert_eq!(storage.commit(&ops, true).await.unwrap(), 1);
    assert_eq!(value(&storage, "a").await.as_deref(), Some("2"));
    assert_eq!(value(&storage, "b").await, None);
    assert_eq!(value(&storage, "c").await.as_deref(), Some("1"));
    assert_eq!(value(&storage, "").await.as_deref(), Some("x"));
    assert_eq!(storage.get(2, b"a").await.unwrap(), None, "tables have keys of their own");

    // What is not done is not done at all, and takes no sequence.
    let refused = storage.commit(&[put("a", "3"), delete("c"), put("busy", "")], true).await;
    assert!(matches!(&refused, Err(StorageError::Retry { text, .. }) if text == "busy"), "{refused:?}");
    assert_eq!(value(&storage, "a").await.as_deref(), Some("2"));
    assert_eq!(value(&storage, "c").await.as_deref(), Some("1"));
    assert_eq!(storage.commit(&[delete("a"), delete("never there")], true).await.unwrap(), 2);
    assert_eq!(value(&storage, "a").await, None);
    assert_eq!(storage.commit(&[], false).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_at_once_have_each_their_sequence_and_the_last_one_stays() {
    const WRITERS: u64 = 8;
    const COMMITS: u64 = 50;
    let (_place, _host, storage) = started("").await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let storage = storage.clone();
        writers.spawn(async move {
            let (own, mut sequences) = (format!("own {writer}"), Vec::new());
            for n in 0..COMMITS {
                let text = format!("{writer} {n}");
                // Not durable: those would have to come back in their order.
                let ops = [put("shared", &text), put(&own, &text)];
                sequences.push((storage.commit(&ops, false).await.unwrap(), text));
            }
            assert!(sequences.windows(2).all(|two| two[0].0 < two[1].0), "{sequences:?}");
            sequences
        });
    }
    let mut all: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    all.sort();
    let sequences: Vec<u64> = all.iter().map(|(sequence, _)| *sequence).collect();
    assert_eq!(sequences, (1..=WRITERS * COMMITS).collect::<Vec<_>>());
    assert_eq!(value(&storage, "shared").await.as_ref(), all.last().map(|(_, text)| text));
    for writer in 0..WRITERS {
        assert_eq!(
            value(&storage, &format!("own {writer}")).await,
            Some(format!("{writer} {}", COMMITS - 1))
        );
    }
}

/// All that a scan gives, page by page.
async fn pages(storage: &PluginStorage, table: u8, prefix: &[u8], max_bytes: u32) -> Vec<Vec<StorageRow>> {
    let (mut pages, mut after) = (Vec::new(), None::<Vec<u8>>);
    loop {
        let page = storage.scan(table, prefix, after.as_deref(), max_bytes).await.unwrap();
        let Some(last) = page.last() else { return pages };
        after = Some(last.key.clone());
        pages.push(page);
    }
}

#[tokio::test]
async fn a_scan_gives_every_row_once_in_order_page_by_page() {
    let (_place, _host, storage) = started("").await;
    // In no order; 7 has no divisor in common with 300.
    let keys: Vec<Vec<u8>> = (0..300_u32)
        .map(|n| format!("p/{:03}", n * 7 % 300).into_bytes())
        .chain([&b"p/"[..], b"p", b"p0", b"o/1", b"p/\xFF", b"p/\xFF\xFF", b"p/\0"].map(<[u8]>::to_vec))
        .collect();
    let there = |table| {
        let put = move |key| StorageOp::Put { table, key, value: b"12345", expires_ms: None };
        keys.iter().map(move |key| put(key)).collect::<Vec<_>>()
    };
    storage.commit(&there(3), true).await.unwrap();
    storage.commit(&[there(4), there(2)].concat(), true).await.unwrap();
    let expected: Vec<Vec<u8>> = keys.iter().filter(|key| key.starts_with(b"p/")).cloned().collect();
    let expected: Vec<Vec<u8>> = expected.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    for (max_bytes, fewest) in [(0, expected.len()), (25, 100), (1000, 3), (1 << 20, 1)] {
        let pages = pages(&storage, 3, b"p/", max_bytes).await;
        assert!(pages.len() >= fewest, "{max_bytes}: {}", pages.len());
        for page in &pages {
            let bytes: usize = page.iter().map(|row| row.key.len() + row.value.len()).sum();
            assert!(page.len() == 1 || bytes <= max_bytes as usize, "{max_bytes}: {bytes}");
        }
        let rows: Vec<StorageRow> = pages.concat();
        assert!(rows.iter().all(|row| row.value == b"12345"));
        assert_eq!(rows.into_iter().map(|row| row.key).collect::<Vec<_>>(), expected, "{max_bytes}");
    }
    assert_eq!(pages(&storage, 3, b"", 4096).await.concat().len(), keys.len(), "without prefix: a table");
    assert!(pages(&storage, 3, b"q", 4096).await.is_empty());
    assert!(pages(&storage, 5, b"", 4096).await.is_empty());

    // Between two pages rows come and go: what was there all the time is given, once.
    let first = storage.scan(3, b"p/", None, 1000).await.unwrap();
    let last = &first.last().unwrap().key;
    let gone: Vec<_> = first.iter().map(|row| StorageOp::Delete { table: 3, key: &row.key }).collect();
    storage.commit(&gone, true).await.unwrap();
    let next = storage.scan(3, b"p/", Some(last), 1000).await.unwrap();
    assert_eq!(next[0].key, expected[first.len()]);
}

#[tokio::test]
async fn a_store_that_traps_says_so_and_hides_no_loss() {
    let (_place, _host, storage) = started("config.trap_key = 'trap'").await;
    assert_eq!(storage.commit(&[put("a", "1")], false).await.unwrap(), 1);
    let failed = fault(storage.commit(&[put("a", "2"), put("trap", ""), put("b", "1")], true).await);
    assert!(matches!(failed, FaultKind::Trap(_)), "{failed:?}");
    // The instance is gone, with what it had; nothing of it was promised. Another one is opened before it is asked.
    assert_eq!(value(&storage, "b").await, None);
    assert_eq!(value(&storage, "a").await, None);
    assert!(matches!(fault(storage.get(1, b"trap").await), FaultKind::Trap(_)));

    assert_eq!(storage.commit(&[put("a", "1")], true).await.unwrap(), 1);
    assert_eq!(storage.commit(&[put("a", "2")], true).await.unwrap(), 2);
    assert!(matches!(fault(storage.commit(&[delete("trap")], true).await), FaultKind::Trap(_)));
    // What was promised is gone: neither an old value nor none is told, and no sequence is given twice.
    for failed in [
        fault(storage.get(1, b"a").await),
        fault(storage.commit(&[put("a", "3")], true).await),
        // Five faults have opened the breaker.
        fault(storage.scan(1, b"", None, 100).await),
    ] {
        let text = failed.to_string();
        assert!(
            text.contains("open: 0, but 2 was said to be durable") || failed == FaultKind::BreakerOpen,
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_store_that_stalls_is_cut_off_and_another_instance_answers() {
    let (_place, host, storage) =
        started("limits.storage_timeout = '500ms'\nconfig.stall_key = 'stall'").await;
    storage.commit(&[put("a", "1")], false).await.unwrap();
    let ops = [put("b", "1"), put("stall", "")];
    // One waits for the other's end: it may be served then, or have waited for too long.
    let (stalled, waited) = tokio::join!(storage.commit(&ops, false), storage.get(1, b"b"));
    assert_eq!(fault(stalled), FaultKind::Deadline);
    assert!(matches!(waited, Ok(None) | Err(StorageError::Failed(_))), "{waited:?}");
    assert_eq!(value(&storage, "b").await, None, "half a commit");
    assert_eq!(fault(storage.get(1, b"stall").await), FaultKind::Deadline);
    assert_eq!(storage.commit(&[put("a", "1")], true).await.unwrap(), 1);
    assert_eq!(value(&storage, "a").await.as_deref(), Some("1"));
    let report = &host.reports()[0].calls[0];
    assert!(report.faults["deadline"] >= 2, "{report:?}");
}

#[tokio::test]
async fn records_and_sequences_outlive_a_swap() {
    let (place, host, storage) = started("config.trap_key = 'trap'").await;
    assert_eq!(storage.commit(&[put("a", "1"), put("b", "1")], true).await.unwrap(), 1);
    assert_eq!(storage.commit(&[put("a", "2")], true).await.unwrap(), 2);
    place.write("store.wasm", component(b'b'));
    generation(&host, "store", 2).await;
    // Nobody opens it again: that is done before the first call.
    assert_eq!(value(&storage, "a").await.as_deref(), Some("2"));
    assert_eq!(storage.scan(1, b"", None, 100).await.unwrap().len(), 2);
    assert_eq!(storage.commit(&[delete("b")], false).await.unwrap(), 3);
    // The instance ends; what it was started with is there again, what was not durable is not.
    assert!(matches!(fault(storage.get(1, b"trap").await), FaultKind::Trap(_)));
    assert_eq!(storage.scan(1, b"", None, 100).await.unwrap().len(), 2);
    assert_eq!(storage.commit(&[delete("b")], true).await.unwrap(), 3);
    assert_eq!(value(&storage, "b").await, None);
}

#[tokio::test]
async fn a_swap_that_forgets_is_an_error_and_no_empty_store() {
    let (place, host, storage) = started("config.forget = true").await;
    assert_eq!(storage.commit(&[put("a", "1")], true).await.unwrap(), 1);
    place.write("store.wasm", component(b'b'));
    generation(&host, "store", 2).await;
    for _ in 0..2 {
        let text = fault(storage.get(1, b"a").await).to_string();
        assert!(text.contains("open: 0, but 1 was said to be durable"), "{text}");
    }
    let text = fault(storage.open(FORMAT).await).to_string();
    assert!(text.contains("but 1 was said to be durable"), "{text}");
}
