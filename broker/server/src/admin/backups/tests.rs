use super::*;
use bytes::Bytes;
use tidegate_store::{Backend, Durability, Memory, Operation, Row, StoreError, Table, upkeep::CopyLine};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, DuplexStream, duplex},
    task::JoinHandle,
};

/// Rows without end, or until `fails_after` of them; `alive` is held by every snapshot.
struct Rows {
    memory: Memory,
    alive: Arc<()>,
    fails_after: Option<u64>,
}

struct Endless {
    _alive: Arc<()>,
    given: u64,
    fails_after: Option<u64>,
}

impl Snapshot for Endless {
    fn next(&mut self, _: Table, _: usize) -> Result<Vec<Row>, StoreError> {
        if Some(self.given) == self.fails_after {
            return Err(StoreError::Unavailable("as this test wants it".into()));
        }
        self.given += 1;
        Ok(vec![Row { key: Bytes::from_static(b"key"), value: Bytes::from(vec![7; 1_000]) }])
    }
}

impl Backend for Rows {
    fn commit(&self, operations: &[Operation], durability: Durability) -> Result<u64, StoreError> {
        self.memory.commit(operations, durability)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.memory.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.memory.scan(table, prefix, after, max_bytes)
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        Ok(Box::new(Endless { _alive: self.alive.clone(), given: 0, fails_after: self.fails_after }))
    }
}

/// A backup on its way, who reads it, and what its snapshots hold.
fn begin(fails_after: Option<u64>) -> (Arc<Backups>, JoinHandle<io::Result<()>>, DuplexStream, Arc<()>) {
    let alive = Arc::new(());
    let rows = Rows { memory: Memory::default(), alive: alive.clone(), fails_after };
    let (store, _) = Store::open(Arc::new(rows), Durability::None).unwrap();
    let backups = Arc::new(Backups::of(Arc::new(store)));
    let (mut ours, theirs) = duplex(4_096);
    let sending = backups.clone();
    let sent = tokio::spawn(async move { sending.send(&mut ours).await });
    (backups, sent, theirs, alive)
}

/// All snapshots are gone; the store's engine and the test hold it, too.
async fn until_over(alive: &Arc<()>) {
    while Arc::strong_count(alive) > 2 {
        tokio::task::yield_now().await;
    }
}

async fn answer(reader: &mut (impl AsyncBufReadExt + Unpin)) -> AdminAnswer {
    let mut line = String::new();
    reader.read_line(&mut line).await.unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[tokio::test]
async fn a_reader_that_leaves_ends_it() {
    let (_backups, sent, mut theirs, alive) = begin(None);
    theirs.read_exact(&mut [0; 200_000]).await.unwrap();
    drop(theirs);
    assert_eq!(sent.await.unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    until_over(&alive).await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_let_go() {
    let (_backups, sent, mut theirs, alive) = begin(None);
    theirs.read_exact(&mut [0; 20_000]).await.unwrap();
    while !sent.is_finished() {
        tokio::time::advance(SILENCE).await;
    }
    assert_eq!(sent.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    until_over(&alive).await;
}

#[tokio::test]
async fn a_broker_that_stops_does_not_wait_for_it() {
    let (_backups, sent, mut theirs, alive) = begin(None);
    theirs.read_exact(&mut [0; 20_000]).await.unwrap();
    sent.abort();
    assert!(sent.await.unwrap_err().is_cancelled());
    until_over(&alive).await;
    let mut rest = Vec::new();
    theirs.read_to_end(&mut rest).await.unwrap();
    assert!(!rest.split(|byte| *byte == b'\n').any(|line| CopyLine::of(line) == Some(CopyLine::End(0))));
}

#[tokio::test]
async fn what_fails_on_the_way_is_said_in_a_line_of_its_own() {
    let (backups, sent, theirs, alive) = begin(Some(300));
    let mut reader = BufReader::new(theirs);
    assert_eq!(answer(&mut reader).await.error, None);
    let (mut line, mut records) = (Vec::new(), 0);
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line).await.unwrap();
        if CopyLine::of(&line) != Some(CopyLine::Record) {
            break;
        }
        records += 1;
    }
    assert_eq!(records, 300);
    let error: AdminAnswer = serde_json::from_slice(&line).unwrap();
    assert!(error.error.unwrap().contains("as this test wants it"));
    sent.await.unwrap().unwrap();
    until_over(&alive).await;
    // And the next one may begin.
    assert_eq!(backups.turn.available_permits(), 1);
}

#[tokio::test]
async fn one_is_made_at_a_time() {
    let (backups, sent, mut theirs, _alive) = begin(None);
    theirs.read_exact(&mut [0; 20_000]).await.unwrap();
    let (mut ours, second) = duplex(4_096);
    backups.send(&mut ours).await.unwrap();
    let error = answer(&mut BufReader::new(second)).await.error.unwrap();
    assert!(error.contains("another backup"), "{error}");
    drop(theirs);
    assert!(sent.await.unwrap().is_err());
    assert_eq!(backups.turn.available_permits(), 1);
}
