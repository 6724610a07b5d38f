use super::*;
use crate::{Memory, Operation, RecoveredSession, WaitingOnDisk};
use std::num::NonZeroU32;
use tidegate_mqtt::{
    HomeId, PublishProperties, QoS, RetainHandling, SubscriptionOptions, TopicName, WillProperties,
};
use tidegate_session::Stage;

fn open(backend: &Arc<Memory>) -> (Store, Recovered) {
    Store::open(backend.clone(), Durability::Sync).unwrap()
}

pub(super) fn message(sequence: u64) -> Message {
    let properties = PublishProperties {
        message_expiry_interval: Some(60),
        content_type: Some("text/plain".into()),
        ..PublishProperties::default()
    };
    Message {
        id: MessageId { home: HomeId::LOCAL, sequence },
        topic: TopicName::new("a/b").unwrap(),
        payload: Bytes::from_static(b"payload").into(),
        qos: QoS::ExactlyOnce,
        retain: true,
        properties: Some(Box::new(properties)),
        publisher: Some(SessionId(9)),
        origin: Some(Box::new(tidegate_mqtt::Origin { plugin: "stamp".into(), hops: 2 })),
        accepted_at: Timestamp(1_234),
        heads: Default::default(),
    }
}

pub(super) fn delivery(message: &Message) -> Delivery {
    Delivery {
        message: Arc::new(message.clone()),
        qos: QoS::ExactlyOnce,
        retain: true,
        identifiers: [NonZeroU32::new(7).unwrap()].into_iter().collect(),
        group: SubscriptionFilter::new("$share/g/a/#").ok().map(Arc::new),
        stored: None,
    }
}

pub(super) fn acceptance<'a>(
    message: &'a Message,
    queued: &'a mut [(SessionId, Delivery)],
) -> Acceptance<'a> {
    Acceptance {
        message,
        retention: Retention::Untouched,
        queued,
        received: None,
        will_of: None,
        durability: Durability::Sync,
        is_certain: false,
    }
}

pub(super) async fn accept(store: &Store, message: &Message, sessions: &[u64]) -> Vec<(SessionId, Delivery)> {
    let mut queued: Vec<_> =
        sessions.iter().map(|session| (SessionId(*session), delivery(message))).collect();
    let (ticket, _) = store.accept(acceptance(message, &mut queued));
    assert_eq!(ticket.wait().await, Outcome::Durable);
    queued
}

async fn save(store: &Store, session: u64) {
    let stored = StoredSession { client_id: ClientId::new("c"), expiry: 60, left_at: Some(Timestamp(5_000)) };
    let ticket = store.save_session(SessionId(session), &stored, None, Durability::Sync);
    assert_eq!(ticket.wait().await, Outcome::Durable);
}

pub(super) fn rows(backend: &Memory, table: Table) -> usize {
    backend.scan(table, b"", None, usize::MAX).unwrap().len()
}

#[tokio::test]
async fn a_retained_message_reads_back_as_it_was_written() {
    let backend = Arc::new(Memory::default());
    let message = message(1);
    let (store, _) = open(&backend);
    let (ticket, number) =
        store.accept(Acceptance { retention: Retention::Replace, ..acceptance(&message, &mut []) });
    assert_eq!((ticket.wait().await, number > 0), (Outcome::Durable, true));
    drop(store);
    let (store, recovered) = open(&backend);
    assert_eq!(recovered.retained, std::slice::from_ref(&message));
    let (ticket, later) =
        store.accept(Acceptance { retention: Retention::Remove, ..acceptance(&message, &mut []) });
    assert_eq!((ticket.wait().await, later > number), (Outcome::Durable, true));
    drop(store);
    assert!(open(&backend).1.retained.is_empty());
}

#[tokio::test]
async fn a_body_is_stored_once_and_goes_with_the_last_session_that_waits_for_it() {
    let backend = Arc::new(Memory::default());
    let (store, _) = open(&backend);
    let (both, one) = (message(1), message(2));
    let shared = accept(&store, &both, &[1, 2]).await;
    let sole = accept(&store, &one, &[1]).await;
    assert_eq!((rows(&backend, Table::Messages), rows(&backend, Table::Queues)), (2, 3));
    let page = store.queue_page(SessionId(1), 0, 1 << 20).await.unwrap();
    assert!(page.is_end);
    let sequences: Vec<_> = page.deliveries.iter().map(|one| one.message.id.sequence).collect();
    assert_eq!(sequences, [1, 2]);
    assert_eq!(*page.deliveries[0].message, both);
    assert_eq!(page.deliveries[0].identifiers, delivery(&both).identifiers);
    assert_eq!(page.deliveries[0].stored, shared[0].1.stored);

    let end = |(session, delivery): &(SessionId, Delivery)| {
        store.done(*session, delivery.message.id, delivery.stored.unwrap());
    };
    end(&shared[0]);
    end(&sole[0]);
    store.written().wait().await;
    assert_eq!((rows(&backend, Table::Messages), rows(&backend, Table::Queues)), (1, 1));
    end(&shared[1]);
    store.written().wait().await;
    assert_eq!((rows(&backend, Table::Messages), rows(&backend, Table::Queues)), (0, 0));
    assert_eq!(rows(&backend, Table::References), 0);
}

#[tokio::test]
async fn pages_end_at_their_bound_and_go_on_after_it() {
    let backend = Arc::new(Memory::default());
    let (store, _) = open(&backend);
    for sequence in 1..=5 {
        accept(&store, &message(sequence), &[1]).await;
    }
    let mut from = 0;
    let mut seen = Vec::new();
    loop {
        let page = store.queue_page(SessionId(1), from, 2 * message(1).cost()).await.unwrap();
        assert!(page.deliveries.len() <= 2);
        seen.extend(page.deliveries.iter().map(|one| one.message.id.sequence));
        if page.is_end {
            break;
        }
        from = page.last + 1;
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_session_reads_back_with_all_that_belongs_to_it() {
    let backend = Arc::new(Memory::default());
    let (store, recovered) = open(&backend);
    assert_eq!((recovered.run, recovered.sessions.len()), (1, 0));
    let id = SessionId(5);
    let options = SubscriptionOptions {
        maximum_qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::SendNever,
    };
    let subscribed = Subscribed { options, identifier: NonZeroU32::new(7) };
    let [one, two, asked] = ["a/#", "$share/g/b/+", "asked"].map(|f| SubscriptionFilter::new(f).unwrap());
    let will = Will {
        topic: TopicName::new("will").unwrap(),
        payload: Bytes::from_static(b"gone"),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: WillProperties { will_delay_interval: Some(30), ..WillProperties::default() },
    };
    let will = StoredWill { will, username: Some("u".into()), due_at: None };
    let session = StoredSession { client_id: ClientId::new("c1"), expiry: 60, left_at: None };
    let _ = store.save_session(id, &session, Some(&will), Durability::Sync);
    let subscriptions = [(&one, Some((&subscribed, vec![&asked]))), (&two, Some((&subscribed, Vec::new())))];
    let _ = store.save_subscriptions(id, subscriptions, Durability::Sync);
    let gone = [(&two, None)];
    let _ = store.save_subscriptions(id, gone, Durability::Sync);
    let packet_id = PacketId::new(9).unwrap();
    let first = message(1);
    let (ticket, _) =
        store.accept(Acceptance { received: Some((id, packet_id)), ..acceptance(&first, &mut []) });
    assert_eq!(ticket.wait().await, Outcome::Durable);
    // One waits, one is out, one is the client's but for PUBCOMP.
    let mut deliveries = Vec::new();
    for sequence in 2..=4 {
        let message = message(sequence);
        deliveries.extend(accept(&store, &message, &[5]).await);
    }
    let stored = |at: usize| deliveries[at].1.stored.unwrap();
    let [two_out, one_out] = [12, 11].map(|id| PacketId::new(id).unwrap());
    let _ = store.sent_once(id, &deliveries[0].1, stored(0), one_out, Durability::Sync);
    let _ = store.sent_once(id, &deliveries[1].1, stored(1), two_out, Durability::Sync);
    let finished = Finished::from(&deliveries[1].1);
    let _ = store.released(id, &finished, stored(1), two_out, Durability::Sync);
    drop(store);

    let (store, mut recovered) = open(&backend);
    assert_eq!((recovered.run, recovered.damaged.len(), recovered.orphans.len()), (2, 0, 0));
    let RecoveredSession { state, left_at, will: found, waiting } = recovered.sessions.remove(0);
    assert_eq!((state.id, &*state.client_id, state.expiry, left_at), (id, "c1", 60, None));
    assert_eq!(found, Some(will));
    assert_eq!(state.subscriptions.iter().collect::<Vec<_>>(), [(&one, &subscribed)]);
    assert_eq!(state.rewritten.into_iter().collect::<Vec<_>>(), [(asked, one)]);
    assert_eq!(state.awaiting_release.into_iter().collect::<Vec<_>>(), [packet_id]);
    assert_eq!(state.next_packet_id, 13);
    let [out, released] = &state.inflight[..] else { panic!("{:?}", state.inflight) };
    assert_eq!((out.packet_id, released.packet_id), (one_out, two_out));
    assert!(matches!(&out.stage, Stage::Published(one) if one.message.id.sequence == 2));
    assert!(matches!(&released.stage, Stage::Released(one) if one.id.sequence == 3));
    let position = stored(2).position();
    let bytes = message(4).cost();
    assert_eq!(waiting, WaitingOnDisk { from: position, last: position, messages: 1, bytes });

    // PUBREL came, the session ends: nothing is left of it but what waits.
    let _ = store.completed(id, packet_id, Durability::Sync);
    let _ = store.forget_session(id, [&message_filter()].into_iter(), std::iter::empty(), Durability::Sync);
    drop(store);
    let (_, recovered) = open(&backend);
    assert_eq!((recovered.sessions.len(), recovered.orphans), (0, vec![id]));
    assert_eq!((rows(&backend, Table::Received), rows(&backend, Table::Subscriptions)), (0, 0));
}

fn message_filter() -> SubscriptionFilter {
    SubscriptionFilter::new("a/#").unwrap()
}

#[tokio::test]
async fn what_is_handed_over_waits_for_the_other_session_only() {
    let backend = Arc::new(Memory::default());
    let (store, _) = open(&backend);
    let mut queued = accept(&store, &message(1), &[1]).await;
    let (session, delivery) = &mut queued[0];
    let from = (*session, delivery.stored.unwrap());
    store.hand_over(from, SessionId(2), delivery);
    assert!(store.queue_page(SessionId(1), 0, 1 << 20).await.unwrap().deliveries.is_empty());
    let page = store.queue_page(SessionId(2), 0, 1 << 20).await.unwrap();
    assert_eq!(page.deliveries[0].stored, delivery.stored);
    store.done(SessionId(2), delivery.message.id, delivery.stored.unwrap());
    store.written().wait().await;
    assert_eq!(rows(&backend, Table::Messages), 0);
}

#[tokio::test]
async fn damaged_records_are_set_aside_and_the_rest_is_served() {
    let backend = Arc::new(Memory::default());
    let (store, _) = open(&backend);
    save(&store, 1).await;
    for sequence in 1..=3 {
        accept(&store, &message(sequence), &[1]).await;
    }
    drop(store);
    let nonsense = |table, at: usize| {
        let row = backend.scan(table, b"", None, usize::MAX).unwrap().remove(at);
        let mut value = row.value.to_vec();
        *value.last_mut().unwrap() ^= 1;
        backend.commit(&[Operation::Put(table, row.key, value.into())], Durability::Sync).unwrap();
    };
    nonsense(Table::Messages, 0);
    nonsense(Table::Queues, 1);
    let (store, recovered) = open(&backend);
    assert_eq!((recovered.damaged.len(), recovered.damaged[0].table), (1, Table::Queues));
    assert_eq!(recovered.sessions[0].waiting.messages, 2);
    let page = store.queue_page(SessionId(1), 0, 1 << 20).await.unwrap();
    let sequences: Vec<_> = page.deliveries.iter().map(|one| one.message.id.sequence).collect();
    assert_eq!(sequences, [3]);
    store.written().wait().await;
    assert_eq!(rows(&backend, Table::Damaged), 2);
}

#[test]
fn a_store_of_a_newer_format_is_not_touched() {
    let backend = Arc::new(Memory::default());
    let value = records::seal(Table::Meta, b"format", &9_u64.to_be_bytes());
    let newer = Operation::Put(Table::Meta, Bytes::from_static(b"format"), value);
    backend.commit(&[newer], Durability::Sync).unwrap();
    let refused = Store::open(backend, Durability::Sync).unwrap_err().to_string();
    assert!(refused.contains("newer broker"), "{refused}");
}

#[tokio::test]
async fn what_costs_nothing_to_forget_is_not_written() {
    let backend = Arc::new(Memory::default());
    let (store, _) = open(&backend);
    let message = message(1);
    let (ticket, _) = store.accept(acceptance(&message, &mut []));
    assert_eq!(ticket.outcome(), Some(&Outcome::Durable));
    assert!(!store.is_used());
}
