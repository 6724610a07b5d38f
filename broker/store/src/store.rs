//! What the broker says to its storage, in the words of MQTT.

use crate::{
    backend::{Backend, Durability, Snapshot, StoreError, Table},
    records::{self, Progress, QueueEntry},
    recovery::{self, Recovered},
    ticket::{Outcome, Ticket},
    writer::{Change, Figures, Gathering, Writer},
};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use std::{collections::BTreeMap, sync::Arc, thread::JoinHandle};
use tidegate_mqtt::{ClientId, Message, MessageId, PacketId, SessionId, SubscriptionFilter, Timestamp, Will};
use tidegate_session::{Delivery, Finished, Stored, Subscribed};

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

/// What is written when a message is accepted.
#[derive(Debug)]
pub struct Acceptance<'a> {
    /// Which message.
    pub message: &'a Message,
    /// What it does to the retained message of its topic.
    pub retention: Retention,
    /// Who waits for it. The store says where.
    pub queued: &'a mut [(SessionId, Delivery)],
    /// The session whose client sent it with QoS 2, and its packet identifier: a repeat is not a new message.
    pub received: Option<(SessionId, PacketId)>,
    /// The session whose will it is: it has none any more.
    pub will_of: Option<SessionId>,
    /// What the acceptance is to survive before anybody hears of it.
    pub durability: Durability,
    /// It cannot be refused any more: tried until it is written.
    pub is_certain: bool,
}

/// A session that outlives its connection, beside what it waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredSession {
    /// Whose it is.
    pub client_id: ClientId,
    /// Seconds it outlives its connection; `u32::MAX` for ever.
    pub expiry: u32,
    /// When its client left; None while it is connected.
    pub left_at: Option<Timestamp>,
}

/// A will that is to be published unless its client takes it back.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredWill {
    /// What is published.
    pub will: Will,
    /// Of its client, as authenticated.
    pub username: Option<Box<str>>,
    /// When its client's connection is over and only its delay is left; None while the client is connected.
    pub due_at: Option<Timestamp>,
}

/// A part of what waits for a session.
#[derive(Debug)]
pub struct QueuePage {
    /// In the order of their positions.
    pub deliveries: Vec<Delivery>,
    /// The last position that was looked at.
    pub last: u64,
    /// Whether there was nothing after it.
    pub is_end: bool,
    /// What the client has already, but for the last words about it.
    pub released: Vec<(MessageId, Stored)>,
}

/// Writes records through a [`Backend`].
pub struct Store {
    backend: Arc<dyn Backend>,
    gathering: Arc<Gathering>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Of what nobody waits for.
    durability: Durability,
    /// There was something at the start.
    had_something: bool,
    /// Whether nothing is read any more. Held by those who read.
    closed: Arc<RwLock<bool>>,
}

impl Store {
    /// Reads what is there, and begins to write. `durability`: of what nobody waits for. Blocks.
    ///
    /// # Errors
    /// [`StoreError`] if the engine cannot be read, or keeps something else.
    pub fn open(backend: Arc<dyn Backend>, durability: Durability) -> Result<(Self, Recovered), StoreError> {
        let recovered = recovery::recover(&*backend)?;
        let gathering = Arc::new(Gathering::new(recovered.first_number()));
        let writer = Writer::new(backend.clone(), gathering.clone(), recovered.group);
        let thread = std::thread::Builder::new().name("tidegate-store".into()).spawn(move || writer.run());
        let thread = thread.map_err(|error| StoreError::Unusable(format!("no thread: {error}").into()))?;
        let had_something = recovered.last_seen.is_some();
        let writer = Mutex::new(Some(thread));
        let closed = Arc::default();
        Ok((Self { backend, gathering, writer, durability, had_something, closed }, recovered))
    }

    /// A message is accepted: all that this means, in one batch. Nothing to keep costs nothing. The number says who came first.
    pub fn accept(&self, acceptance: Acceptance<'_>) -> (Ticket, u64) {
        let Acceptance { message, retention, queued, received, will_of, durability, is_certain } = acceptance;
        if retention == Retention::Untouched && queued.is_empty() && received.is_none() && will_of.is_none() {
            return (Ticket::settled(Outcome::Durable), 0);
        }
        let keeps_body = retention == Retention::Replace || !queued.is_empty();
        let body = if keeps_body { records::message(message) } else { Bytes::new() };
        let mut changes = Vec::with_capacity(queued.len() + 4);
        let topic = || records::retained_key(&message.topic);
        match retention {
            Retention::Untouched => {}
            Retention::Replace => changes.push(Change::put(Table::Retained, topic(), &body)),
            Retention::Remove => changes.push(Change::Delete(Table::Retained, topic())),
        }
        if let Some((session, packet_id)) = received {
            changes.push(Change::put(Table::Received, records::received_key(session, packet_id), b""));
        }
        if let Some(session) = will_of {
            changes.push(Change::Delete(Table::Wills, records::session_key(session)));
        }
        if !queued.is_empty() {
            let key = records::message_key(message.id);
            changes.push(Change::put(Table::Messages, key.clone(), &body));
            if let Some(count) = u32::try_from(queued.len()).ok().filter(|count| *count > 1) {
                changes.push(Change::put(Table::References, key, &count.to_be_bytes()));
            }
        }
        let mut number = 0;
        let ticket = self.gathering.submit(durability, is_certain, |position| {
            *position += 1;
            number = *position;
            let shared = queued.len() > 1;
            for (session, delivery) in &mut *queued {
                *position += 1;
                delivery.stored = Some(Stored::new(*position, shared));
                let entry = QueueEntry::of(delivery, shared, Progress::Queued);
                let key = records::queue_key(*session, *position);
                changes.push(Change::put(Table::Queues, key, &entry.write()));
            }
            changes
        });
        (ticket, number)
    }

    /// A session is done with a message: delivered to its end, dropped or expired.
    pub fn done(&self, session: SessionId, message: MessageId, stored: Stored) {
        let key = records::queue_key(session, stored.position());
        let mut changes = vec![Change::Delete(Table::Queues, key)];
        changes.push(if stored.is_shared() {
            Change::Unreference(message)
        } else {
            Change::Delete(Table::Messages, records::message_key(message))
        });
        // Nobody waits for it: a message that is forgotten late is delivered again at worst.
        self.gathering.note(self.durability.min(Durability::Os), changes);
    }

    /// A QoS 1 PUBLISH is about to go out with this packet identifier. Nobody waits for that: at worst it comes again as another.
    pub fn sent(&self, session: SessionId, delivery: &Delivery, stored: Stored, packet_id: PacketId) {
        let entry = QueueEntry::of(delivery, stored.is_shared(), Progress::Sent(packet_id));
        let key = records::queue_key(session, stored.position());
        let change = Change::put(Table::Queues, key, &entry.write());
        self.gathering.note(self.durability.min(Durability::Os), vec![change]);
    }

    /// A QoS 2 PUBLISH is about to go out with this packet identifier, and must wait for the ticket: a restart would send it again as
    /// another.
    pub fn sent_once(
        &self,
        session: SessionId,
        delivery: &Delivery,
        stored: Stored,
        packet_id: PacketId,
        durability: Durability,
    ) -> Ticket {
        let entry = QueueEntry::of(delivery, stored.is_shared(), Progress::Sent(packet_id));
        self.put_queue_entry(session, stored, &entry, durability)
    }

    /// PUBREL is about to go out, and must wait for the ticket.
    pub fn released(
        &self,
        session: SessionId,
        finished: &Finished,
        stored: Stored,
        packet_id: PacketId,
        durability: Durability,
    ) -> Ticket {
        let entry = QueueEntry {
            message: finished.id,
            cost: 0,
            progress: Progress::Released(packet_id),
            shared: stored.is_shared(),
            qos: tidegate_mqtt::QoS::ExactlyOnce,
            retain: false,
            group: None,
            identifiers: Default::default(),
        };
        self.put_queue_entry(session, stored, &entry, durability)
    }

    fn put_queue_entry(
        &self,
        session: SessionId,
        stored: Stored,
        entry: &QueueEntry,
        durability: Durability,
    ) -> Ticket {
        let key = records::queue_key(session, stored.position());
        let change = Change::put(Table::Queues, key, &entry.write());
        self.gathering.submit(durability, true, |_| vec![change])
    }

    /// PUBREL came for a QoS 2 message of this session's client. PUBCOMP must wait for the ticket, or a restart would take the next message
    /// with that packet identifier for a repeat.
    pub fn completed(&self, session: SessionId, packet_id: PacketId, durability: Durability) -> Ticket {
        let change = Change::Delete(Table::Received, records::received_key(session, packet_id));
        self.gathering.submit(durability, true, |_| vec![change])
    }

    /// A message that waits for one session waits for another from now on, which `delivery` says.
    pub fn hand_over(&self, from: (SessionId, Stored), to: SessionId, delivery: &mut Delivery) {
        let (session, stored) = from;
        let ticket = self.gathering.submit(self.durability.min(Durability::Os), true, |position| {
            *position += 1;
            delivery.stored = Some(Stored::new(*position, stored.is_shared()));
            let entry = QueueEntry::of(delivery, stored.is_shared(), Progress::Queued);
            vec![
                Change::Delete(Table::Queues, records::queue_key(session, stored.position())),
                Change::put(Table::Queues, records::queue_key(to, *position), &entry.write()),
            ]
        });
        // Until it is written the record of the one who leaves stands.
        drop(ticket);
    }

    /// A retained message expired.
    pub fn retained_expired(&self, message: &Message) {
        let key = records::retained_key(&message.topic);
        self.gathering.note(Durability::None, vec![Change::Delete(Table::Retained, key)]);
    }

    /// A session that outlives its connection, its client came or left. `will`: its only one from now on.
    pub fn save_session(
        &self,
        id: SessionId,
        session: &StoredSession,
        will: Option<&StoredWill>,
        durability: Durability,
    ) -> Ticket {
        let key = records::session_key(id);
        let will = match will {
            Some(will) => Change::put(Table::Wills, key.clone(), &records::will(will)),
            None => Change::Delete(Table::Wills, key.clone()),
        };
        let session = Change::put(Table::Sessions, key, &records::session(session));
        self.gathering.submit(durability, true, |_| vec![session, will])
    }

    /// These subscriptions of a session are as they are here; None: ended. With each what its client asked for, where a plugin made this of
    /// it.
    pub fn save_subscriptions<'a>(
        &self,
        session: SessionId,
        subscriptions: impl IntoIterator<
            Item = (&'a SubscriptionFilter, Option<(&'a Subscribed, Vec<&'a SubscriptionFilter>)>),
        >,
        durability: Durability,
    ) -> Ticket {
        let changes = subscriptions.into_iter().map(|(filter, subscribed)| {
            let key = records::subscription_key(session, filter);
            match subscribed {
                Some((subscribed, asked)) => {
                    Change::put(Table::Subscriptions, key, &records::subscription(filter, subscribed, &asked))
                }
                None => Change::Delete(Table::Subscriptions, key),
            }
        });
        let changes: Vec<_> = changes.collect();
        self.gathering.submit(durability, false, |_| changes)
    }

    /// A session ended. What waited for it is taken out by [`Store::queue_page`] and [`Store::done`], by whoever can hand it on.
    pub fn forget_session<'a>(
        &self,
        session: SessionId,
        subscriptions: impl Iterator<Item = &'a SubscriptionFilter>,
        received: impl Iterator<Item = PacketId>,
        durability: Durability,
    ) -> Ticket {
        let key = records::session_key(session);
        let mut changes =
            vec![Change::Delete(Table::Sessions, key.clone()), Change::Delete(Table::Wills, key)];
        changes.extend(
            subscriptions.map(|filter| {
                Change::Delete(Table::Subscriptions, records::subscription_key(session, filter))
            }),
        );
        changes.extend(
            received
                .map(|packet_id| Change::Delete(Table::Received, records::received_key(session, packet_id))),
        );
        self.gathering.submit(durability, true, |_| changes)
    }

    /// Settles when everything handed over before is written, safe or not.
    pub fn written(&self) -> Ticket {
        self.gathering.submit(Durability::None, true, |_| Vec::new())
    }

    /// What waits for a session from this position on, about `max_bytes` of it, with all that was accepted before the call.
    ///
    /// # Errors
    /// [`StoreError`] if the engine cannot read.
    pub async fn queue_page(
        &self,
        session: SessionId,
        from: u64,
        max_bytes: usize,
    ) -> Result<QueuePage, StoreError> {
        if self.written().wait().await != Outcome::Durable {
            return Err(StoreError::Unavailable("it is not written".into()));
        }
        let (backend, gathering) = (self.backend.clone(), self.gathering.clone());
        let closed = self.closed.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let closed = closed.read();
            match *closed {
                true => Err(StoreError::Unavailable("it is closed".into())),
                false => read_page(&*backend, &gathering, session, from, max_bytes),
            }
        });
        reading.await.map_err(|error| StoreError::Unavailable(error.to_string().into()))?
    }

    /// All that was accepted before the call, and perhaps more, as one commit left it.
    ///
    /// # Errors
    /// [`StoreError`] if the engine has no snapshots, or cannot be used now.
    pub async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        // It would wait until that is over.
        if self.figures().is_failing() {
            return Err(StoreError::Unavailable("it cannot be written".into()));
        }
        if self.written().wait().await != Outcome::Durable {
            return Err(StoreError::Unavailable("it is not written".into()));
        }
        let backend = self.backend.clone();
        let taking = tokio::task::spawn_blocking(move || backend.snapshot());
        taking.await.map_err(|error| StoreError::Unavailable(error.to_string().into()))?
    }

    /// What the writer has done.
    pub fn figures(&self) -> &Figures {
        &self.gathering.figures
    }

    /// Bytes on disk, as far as the engine knows.
    pub fn disk_bytes(&self) -> Option<u64> {
        self.backend.disk_bytes()
    }

    /// Whether anything was ever stored: by this run or one before.
    pub fn is_used(&self) -> bool {
        self.had_something || self.figures().submissions() > 0
    }

    /// Remembers that the broker lived at this time: what expires counts from there if it ends without a word.
    pub fn alive(&self, now: Timestamp) {
        let key = Bytes::from_static(recovery::ALIVE);
        let change = Change::put(Table::Meta, key, &now.0.to_be_bytes());
        self.gathering.note(Durability::Os, vec![change]);
    }

    /// Writes what is left, and makes it safe. Blocks. What comes after is lost.
    pub fn close(&self) {
        let Some(writer) = self.writer.lock().take() else { return };
        drop(self.gathering.submit(self.durability, true, |_| Vec::new()));
        self.gathering.stop();
        if writer.join().is_err() {
            tracing::error!("the thread that writes the store ended badly");
        }
        // An engine may need what ends after this.
        *self.closed.write() = true;
        if let Err(error) = self.backend.commit(&[], self.durability) {
            tracing::error!(%error, "the store is not safe at the end");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

fn read_page(
    backend: &dyn Backend,
    gathering: &Gathering,
    session: SessionId,
    from: u64,
    max_bytes: usize,
) -> Result<QueuePage, StoreError> {
    let prefix = records::session_key(session);
    let mut page = QueuePage {
        deliveries: Vec::new(),
        last: from.saturating_sub(1),
        is_end: false,
        released: Vec::new(),
    };
    let mut bodies: BTreeMap<MessageId, Arc<Message>> = BTreeMap::new();
    let mut bytes = 0;
    while bytes < max_bytes {
        let after = records::queue_key(session, page.last);
        let rows = backend.scan(Table::Queues, &prefix, Some(&after), ENTRIES_BYTES)?;
        if rows.is_empty() {
            page.is_end = true;
            break;
        }
        for row in rows {
            let Some((_, position)) = records::read_queue_key(&row.key) else { continue };
            page.last = position;
            let entry = records::unseal(Table::Queues, &row.key, row.value);
            let Some(entry) = entry.and_then(|entry| QueueEntry::read(&entry)) else {
                recovery::set_aside(gathering, Table::Queues, &row.key, backend);
                continue;
            };
            if matches!(entry.progress, Progress::Released(_)) {
                page.released.push((entry.message, Stored::new(position, entry.shared)));
                continue;
            }
            let message = match bodies.get(&entry.message) {
                Some(message) => Some(message.clone()),
                None => recovery::body(backend, entry.message)?.map(Arc::new),
            };
            let Some(message) = message else {
                recovery::set_aside(gathering, Table::Queues, &row.key, backend);
                continue;
            };
            bytes += message.cost();
            if entry.shared {
                bodies.insert(entry.message, message.clone());
            }
            page.deliveries.push(entry.delivery(position, message));
            if bytes >= max_bytes {
                break;
            }
        }
    }
    Ok(page)
}

/// Bytes of queue entries, without their messages, that are read at once.
const ENTRIES_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod failing;
#[cfg(test)]
mod tests;
