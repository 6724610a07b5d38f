//! What the store says while its engine fails, and that it is true.

use super::{Store, tests::*};
use crate::{
    Backend, Durability, Memory, Outcome, StoreError, StoredSession, Table,
    suite::{Fault, Faulty},
};
use std::{sync::Arc, time::Duration};
use tidegate_mqtt::{ClientId, MessageId, PacketId, SessionId};
use tidegate_session::Delivery;

fn open_faulty() -> (Arc<Faulty>, Arc<Memory>, Store) {
    let memory = Arc::new(Memory::default());
    let faulty = Arc::new(Faulty::new(memory.clone()));
    let (store, _) = Store::open(faulty.clone(), Durability::Sync).unwrap();
    (faulty, memory, store)
}

fn end(store: &Store, (session, delivery): &(SessionId, Delivery)) {
    store.done(*session, delivery.message.id, delivery.stored.unwrap());
}

async fn outcome(store: &Store, sequence: u64) -> Outcome {
    let message = message(sequence);
    let mut queued = [(SessionId(1), delivery(&message))];
    store.accept(acceptance(&message, &mut queued)).0.wait().await
}

fn messages(memory: &Memory) -> usize {
    rows(memory, Table::Messages)
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_and_leaves_nothing() {
    let (faulty, memory, store) = open_faulty();
    faulty.next([Fault::Unavailable]);
    assert!(matches!(outcome(&store, 1).await, Outcome::Refused(StoreError::Unavailable(_))));
    assert_eq!(messages(&memory), 0);
    assert_eq!(outcome(&store, 2).await, Outcome::Durable);
    assert_eq!((messages(&memory), store.figures().refused()), (1, 1));
}

#[tokio::test]
async fn what_has_happened_is_written_as_soon_as_it_can_be() {
    let (faulty, memory, store) = open_faulty();
    let one = accept(&store, &message(1), &[1]).await;
    let shared = accept(&store, &message(2), &[1, 2]).await;
    faulty.always(Fault::Unavailable);
    end(&store, &one[0]);
    end(&store, &shared[0]);
    let packet_id = PacketId::MIN;
    let mut completed = store.completed(SessionId(1), packet_id, Durability::Sync);
    while !store.figures().is_failing() {
        tokio::task::yield_now().await;
    }
    // Nothing else is taken in meanwhile, and whoever waits is told nothing.
    assert!(matches!(outcome(&store, 3).await, Outcome::Refused(_)));
    assert_eq!(completed.known(), None);
    faulty.always(Fault::None);
    assert_eq!(completed.wait().await, Outcome::Durable);
    assert!(!store.figures().is_failing());
    end(&store, &shared[1]);
    store.written().wait().await;
    assert_eq!(
        (messages(&memory), rows(&memory, Table::Queues), rows(&memory, Table::References)),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn nobody_is_told_before_it_is_known_what_the_engine_has() {
    for (fault, there) in [(Fault::UnknownButThere, true), (Fault::UnknownAndNotThere, false)] {
        let (faulty, memory, store) = open_faulty();
        faulty.fail_recoveries(2);
        faulty.next([fault]);
        let outcome = outcome(&store, 1).await;
        assert_eq!(faulty.recoveries(), 1, "{fault:?}");
        assert_eq!(
            (outcome == Outcome::Durable, messages(&memory)),
            (there, usize::from(there)),
            "{fault:?}"
        );
        assert!(there || matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        // What cannot be refused is there in the end, once.
        faulty.next([fault]);
        let session = StoredSession { client_id: ClientId::new("c"), expiry: 9, left_at: None };
        let saved = store.save_session(SessionId(1), &session, None, Durability::Sync);
        assert_eq!(saved.wait().await, Outcome::Durable);
        assert_eq!(rows(&memory, Table::Sessions), 1);
    }
}

#[tokio::test]
async fn many_share_a_sync() {
    let (faulty, _, store) = open_faulty();
    faulty.delay(Duration::from_millis(5));
    let before = faulty.commits();
    let tickets: Vec<_> = (1..=500)
        .map(|sequence| {
            let message = message(sequence);
            let mut queued = [(SessionId(1), delivery(&message))];
            store.accept(acceptance(&message, &mut queued)).0
        })
        .collect();
    for ticket in tickets {
        assert_eq!(ticket.wait().await, Outcome::Durable);
    }
    // The first alone, perhaps a few more while the others are handed over.
    let commits = faulty.commits() - before;
    assert!(commits < 100, "{commits}");
    assert_eq!((store.figures().groups(), store.figures().submissions()), (commits, 500));
}

#[tokio::test]
async fn each_is_as_safe_as_it_was_to_be() {
    let (faulty, memory, store) = open_faulty();
    let synced = faulty.synced();
    let put = |sequence: u64, durability: Durability| {
        let message = message(sequence);
        let mut queued = [(SessionId(1), delivery(&message))];
        let acceptance = crate::Acceptance { durability, ..acceptance(&message, &mut queued) };
        store.accept(acceptance).0
    };
    let ticket = put(1, Durability::None);
    assert_eq!(ticket.outcome(), Some(&Outcome::Durable), "nobody waits");
    assert_eq!(put(2, Durability::Os).wait().await, Outcome::Durable);
    assert_eq!(faulty.synced(), synced);
    faulty.cut_power().unwrap();
    assert_eq!(messages(&memory), 0);
    assert_eq!(put(3, Durability::Sync).wait().await, Outcome::Durable);
    assert_eq!(put(4, Durability::Os).wait().await, Outcome::Durable);
    faulty.cut_power().unwrap();
    let key = crate::records::message_key(MessageId { sequence: 3, ..message(3).id });
    assert_eq!((messages(&memory), memory.get(Table::Messages, &key).unwrap().is_some()), (1, true));
}

#[test]
fn a_broker_that_stops_while_its_engine_is_away_says_nothing_and_ends() {
    let (faulty, _, store) = open_faulty();
    faulty.fail_recoveries(u64::MAX);
    faulty.next([Fault::UnknownAndNotThere]);
    let message = message(1);
    let mut queued = [(SessionId(1), delivery(&message))];
    let (mut ticket, _) = store.accept(acceptance(&message, &mut queued));
    store.close();
    assert!(ticket.known().is_some());
    assert_eq!(ticket.outcome(), Some(&Outcome::Unknown));
}
