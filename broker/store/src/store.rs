//! What the broker says to its storage, in the words of MQTT.

use crate::{
    backend::{Backend, Durability, Operation, Row, StoreError, Table},
    records,
    ticket::{Outcome, Ticket},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use tidegate_mqtt::{ClientId, Message, MessageId, SessionId, SubscriptionFilter};
use tidegate_session::{Delivery, SessionState, Subscribed};

/// What a PUBLISH does to the retained message of its topic (section 3.3.1.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retention {
    /// RETAIN was 0.
    Untouched,
    /// Replaces it [MQTT-3.3.1-5].
    Replace,
    /// An empty payload removes it [MQTT-3.3.1-6].
    Remove,
}

/// Writes records through a [`Backend`].
pub struct Store {
    backend: Arc<dyn Backend>,
    /// Queue entries that still refer to a message: its body goes with the last one.
    references: Mutex<HashMap<MessageId, usize>>,
}

impl Store {
    /// Over this engine.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, references: Mutex::default() }
    }

    /// A message is accepted: what it retains and whom it waits for, in one batch. Nothing to keep costs nothing.
    pub fn accept(
        &self,
        message: &Message,
        retention: Retention,
        queued: &[(SessionId, Delivery)],
    ) -> Ticket {
        if retention == Retention::Untouched && queued.is_empty() {
            return Ticket::settled(Outcome::Durable);
        }
        let mut batch = Vec::new();
        let topic = || bytes::Bytes::copy_from_slice(message.topic.as_bytes());
        match retention {
            Retention::Untouched => {}
            Retention::Replace => {
                batch.push(Operation::Put(Table::Retained, topic(), records::message(message)))
            }
            Retention::Remove => batch.push(Operation::Delete(Table::Retained, topic())),
        }
        self.queue(message, queued, &mut batch);
        self.commit(batch)
    }

    fn queue(&self, message: &Message, queued: &[(SessionId, Delivery)], batch: &mut Vec<Operation>) {
        if queued.is_empty() {
            return;
        }
        *self.references.lock().entry(message.id).or_default() += queued.len();
        batch.push(Operation::Put(
            Table::Messages,
            records::message_key(message.id),
            records::message(message),
        ));
        for (session, delivery) in queued {
            let key = records::queue_key(*session, message.id);
            batch.push(Operation::Put(Table::Queues, key, records::queue_entry(delivery)));
        }
    }

    /// A session is done with a message: delivered to its end, dropped or expired.
    pub fn done(&self, session: SessionId, message: MessageId) -> Ticket {
        let mut batch = vec![Operation::Delete(Table::Queues, records::queue_key(session, message))];
        let mut references = self.references.lock();
        let Some(count) = references.get_mut(&message) else { return Ticket::settled(Outcome::Durable) };
        *count -= 1;
        if *count == 0 {
            references.remove(&message);
            batch.push(Operation::Delete(Table::Messages, records::message_key(message)));
        }
        drop(references);
        self.commit(batch)
    }

    /// A retained message expired.
    pub fn retained_expired(&self, message: &Message) -> Ticket {
        let key = bytes::Bytes::copy_from_slice(message.topic.as_bytes());
        self.commit(vec![Operation::Delete(Table::Retained, key)])
    }

    /// A session that outlives its connection began, or its subscriptions changed.
    pub fn save_session(
        &self,
        session: SessionId,
        client_id: &ClientId,
        expiry: u32,
        subscriptions: &BTreeMap<SubscriptionFilter, Subscribed>,
    ) -> Ticket {
        let record = records::session(client_id, expiry, subscriptions);
        self.commit(vec![Operation::Put(
            Table::Sessions,
            records::session_key(session),
            record,
        )])
    }

    /// All sessions that outlive their connections, by number.
    ///
    /// # Errors
    /// [`StoreError`] if the engine cannot read, or what it reads makes no sense.
    pub fn sessions(&self) -> Result<Vec<SessionState>, StoreError> {
        self.read_all(Table::Sessions, |row| records::read_session(&row.key, &row.value))
    }

    fn commit(&self, operations: Vec<Operation>) -> Ticket {
        Ticket::settled(match self.backend.commit(&operations, Durability::Sync) {
            Ok(_) => Outcome::Durable,
            Err(StoreError::Unknown(_)) => Outcome::Unknown,
            Err(error) => Outcome::Refused(error),
        })
    }

    /// A session ended. The caller is done with each of its queued messages already.
    pub fn forget_session(&self, session: SessionId) -> Ticket {
        self.commit(vec![Operation::Delete(Table::Sessions, records::session_key(session))])
    }

    /// The messages that wait for a session, in the order they were accepted.
    ///
    /// # Errors
    /// [`StoreError`] if the engine cannot read, or what it reads makes no sense.
    pub fn queue_of(&self, session: SessionId) -> Result<Vec<Delivery>, StoreError> {
        let prefix = records::session_key(session);
        let mut deliveries = Vec::new();
        let mut after = None;
        loop {
            let rows = self.backend.scan(Table::Queues, &prefix, after.as_deref(), 1 << 20)?;
            let Some(last) = rows.last() else { return Ok(deliveries) };
            after = Some(last.key.clone());
            for row in rows {
                let key = row.key.slice(prefix.len()..);
                let damaged = || StoreError::Damaged { table: Table::Queues, key: row.key.clone() };
                let body = self.backend.get(Table::Messages, &key)?.ok_or_else(damaged)?;
                let message = records::read_message(&body).ok_or_else(damaged)?;
                deliveries.push(records::read_queue_entry(&row.value, message).ok_or_else(damaged)?);
            }
        }
    }

    /// All retained messages, by topic.
    ///
    /// # Errors
    /// [`StoreError`] if the engine cannot read, or what it reads makes no sense.
    pub fn retained(&self) -> Result<Vec<Message>, StoreError> {
        self.read_all(Table::Retained, |row| records::read_message(&row.value))
    }

    fn read_all<T>(&self, table: Table, read: impl Fn(&Row) -> Option<T>) -> Result<Vec<T>, StoreError> {
        let mut records = Vec::new();
        let mut after = None;
        loop {
            let rows = self.backend.scan(table, b"", after.as_deref(), 1 << 20)?;
            let Some(last) = rows.last() else { return Ok(records) };
            after = Some(last.key.clone());
            for row in &rows {
                records.push(read(row).ok_or_else(|| StoreError::Damaged { table, key: row.key.clone() })?);
            }
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;
    use bytes::Bytes;
    use std::num::NonZeroU32;
    use tidegate_mqtt::{
        HomeId, PublishProperties, QoS, RetainHandling, SubscriptionOptions, Timestamp, TopicName,
    };

    fn message(sequence: u64) -> Message {
        let properties = PublishProperties {
            message_expiry_interval: Some(60),
            content_type: Some("text/plain".into()),
            ..PublishProperties::default()
        };
        Message {
            id: MessageId { home: HomeId::LOCAL, sequence },
            topic: TopicName::new("a/b").unwrap(),
            payload: Bytes::from_static(b"payload"),
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: Some(Box::new(properties)),
            publisher: Some(SessionId(9)),
            origin: Some(Box::new(tidegate_mqtt::Origin { plugin: "stamp".into(), hops: 2 })),
            accepted_at: Timestamp(1_234),
            heads: Default::default(),
        }
    }

    fn delivery(message: &Message) -> Delivery {
        let identifiers = [NonZeroU32::new(7).unwrap()].into_iter().collect();
        let group = SubscriptionFilter::new("$share/g/a/#").ok().map(Arc::new);
        Delivery {
            message: Arc::new(message.clone()),
            qos: QoS::AtLeastOnce,
            retain: true,
            identifiers,
            group,
        }
    }

    fn rows(backend: &Memory, table: Table) -> usize {
        backend.scan(table, b"", None, usize::MAX).unwrap().len()
    }

    #[test]
    fn a_retained_message_reads_back_as_it_was_written() {
        let store = Store::new(Arc::new(Memory::default()));
        let message = message(1);
        assert_eq!(store.accept(&message, Retention::Replace, &[]).outcome(), Some(&Outcome::Durable));
        assert_eq!(store.retained().unwrap(), std::slice::from_ref(&message));
        let _ = store.accept(&message, Retention::Remove, &[]);
        assert!(store.retained().unwrap().is_empty());
    }

    #[test]
    fn a_body_is_stored_once_and_goes_with_the_last_session_that_waits_for_it() {
        let backend = Arc::new(Memory::default());
        let store = Store::new(backend.clone());
        for sequence in 1..=3 {
            let message = message(sequence);
            let queued = [SessionId(1), SessionId(2)].map(|session| (session, delivery(&message)));
            let _ = store.accept(&message, Retention::Untouched, &queued);
        }
        assert_eq!((rows(&backend, Table::Messages), rows(&backend, Table::Queues)), (3, 6));
        let queue = store.queue_of(SessionId(1)).unwrap();
        let sequences: Vec<_> = queue.iter().map(|delivery| delivery.message.id.sequence).collect();
        assert_eq!(sequences, [1, 2, 3]);
        assert_eq!(*queue[0].message, message(1));
        assert_eq!(queue[0].identifiers, delivery(&message(1)).identifiers);

        let id = message(2).id;
        let _ = store.done(SessionId(1), id);
        assert_eq!(rows(&backend, Table::Messages), 3);
        let _ = store.done(SessionId(2), id);
        assert_eq!((rows(&backend, Table::Messages), rows(&backend, Table::Queues)), (2, 4));
        let _ = store.done(SessionId(2), id);
        assert_eq!(rows(&backend, Table::Messages), 2);
    }

    #[test]
    fn a_session_reads_back_with_its_subscriptions() {
        let store = Store::new(Arc::new(Memory::default()));
        let options = SubscriptionOptions {
            maximum_qos: QoS::AtLeastOnce,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::SendNever,
        };
        let one = Subscribed { options, identifier: NonZeroU32::new(7) };
        let filters = ["a/#", "$share/g/b/+"].map(|filter| SubscriptionFilter::new(filter).unwrap());
        let subscriptions: BTreeMap<_, _> = filters.into_iter().zip([one, Subscribed::default()]).collect();
        let _ = store.save_session(SessionId(5), &ClientId::new("c1"), 60, &subscriptions);
        let sessions = store.sessions().unwrap();
        assert_eq!((sessions[0].id, &*sessions[0].client_id, sessions[0].expiry), (SessionId(5), "c1", 60));
        assert_eq!(sessions[0].subscriptions, subscriptions);
        let _ = store.forget_session(SessionId(5));
        assert!(store.sessions().unwrap().is_empty());
    }

    #[test]
    fn a_damaged_record_is_said_and_not_served() {
        let backend = Arc::new(Memory::default());
        let store = Store::new(backend.clone());
        let put = Operation::Put(Table::Retained, Bytes::from_static(b"a"), Bytes::from_static(b"nonsense"));
        let _ = backend.commit(&[put], Durability::Sync);
        assert!(matches!(store.retained(), Err(StoreError::Damaged { table: Table::Retained, .. })));
    }

    #[test]
    fn scans_go_on_after_a_key_and_stop_at_their_bound() {
        let backend = Memory::default();
        let puts =
            ["a1", "a2", "a3", "b1"].map(|key| Operation::Put(Table::Sessions, key.into(), Bytes::new()));
        let _ = backend.commit(&puts, Durability::Sync);
        let keys = |after: Option<&str>, bytes| {
            let rows = backend.scan(Table::Sessions, b"a", after.map(str::as_bytes), bytes).unwrap();
            rows.into_iter().map(|row| String::from_utf8(row.key.to_vec()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(keys(None, 4), ["a1", "a2"]);
        assert_eq!(keys(Some("a2"), 100), ["a3"]);
        assert_eq!(keys(None, 0), ["a1"]);
    }
}
