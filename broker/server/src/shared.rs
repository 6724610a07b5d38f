//! What all connections share.

use crate::{
    clients::{Clients, DelayedWill, Due, Parked, Subscriber},
    clock,
    config::Config,
    counters::Counters,
    events::Events,
    mailbox::{Bounds, Budget},
    publish::{Draft, Publisher, publish_and_wait},
    recipients::HandOver,
    retaining::Retaining,
    traffic::Traffic,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tidegate_hooks::{EventKind, HookRegistry};
use tidegate_mqtt::{HomeId, Message, MessageId, QoS, SessionId, Will};
use tidegate_plugin_host::PluginMessage;
use tidegate_routing::{Retained, Routes, Subscription};
use tidegate_session::{Delivery, Session, SessionState, Stage, Stored, Subscribed, Undelivered};
use tidegate_store::{
    Acceptance, Durability, Recovered, Retention, Store, StoredSession, StoredWill, Ticket,
};
use tokio::sync::{mpsc, watch};
use tracing::debug;

/// The state of a running broker.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) hooks: Arc<HookRegistry>,
    pub(crate) routes: Routes<Arc<Subscriber>>,
    pub(crate) retained: Retained,
    pub(crate) store: Arc<Store>,
    pub(crate) retaining: Retaining,
    pub(crate) clients: Clients,
    pub(crate) counters: Counters,
    pub(crate) traffic: Traffic,
    pub(crate) events: Events,
    /// What plugins publish, on its way to [`plugin_access`](crate::plugin_access).
    pub(crate) plugin_messages: mpsc::Sender<PluginMessage>,
    /// Of half-sent packets.
    pub(crate) incoming: Arc<Budget>,
    /// Turns true when the broker stops.
    pub(crate) stopping: watch::Receiver<bool>,
    sequences: Sequences,
    /// Sessions to look at later, for [`parked_sessions`](crate::parked_sessions).
    pub(crate) parked: mpsc::UnboundedSender<crate::parked_sessions::Look>,
}

/// The next message number. In lines of its own: every message reads what would lie beside it.
#[derive(Debug)]
#[repr(align(128))]
struct Sequences(AtomicU64);

impl Shared {
    pub(crate) fn new(
        config: Config,
        hooks: Arc<HookRegistry>,
        parked: mpsc::UnboundedSender<crate::parked_sessions::Look>,
        plugin_messages: mpsc::Sender<PluginMessage>,
        stopping: watch::Receiver<bool>,
        store: (Store, u64),
    ) -> Self {
        let (store, first_number) = store;
        let limits = &config.limits;
        let bounds = Bounds {
            messages: limits.max_queued_messages,
            bytes: limits.max_queued_bytes.bytes(),
            queue_full: limits.queue_full,
        };
        let budget = Budget::new(limits.max_queued_bytes_total.bytes());
        let incoming = Arc::new(Budget::new(limits.max_incoming_bytes_total.bytes()));
        Self {
            clients: Clients::new(bounds, budget, first_number),
            config,
            hooks,
            routes: Routes::new(),
            retained: Retained::new(),
            store: Arc::new(store),
            retaining: Retaining::default(),
            counters: Counters::default(),
            traffic: Traffic::default(),
            events: Events::default(),
            plugin_messages,
            incoming,
            stopping,
            sequences: Sequences(AtomicU64::new(first_number + 1)),
            parked,
        }
    }

    /// The first of `n` message numbers nobody else has.
    pub(crate) fn take_sequences(&self, n: u64) -> u64 {
        self.sequences.0.fetch_add(n, Ordering::Relaxed)
    }

    /// A session is done with a message.
    pub(crate) fn done(&self, session: SessionId, message: MessageId, stored: Option<Stored>) {
        if let Some(stored) = stored {
            self.store.done(session, message, stored);
        }
    }

    /// Stores a delivery that was not: nobody waits for that, as its publisher was answered long ago.
    pub(crate) fn keep(&self, session: SessionId, delivery: &mut Delivery) {
        // Others may wait for the message by its name, and count for themselves.
        let id = MessageId { home: HomeId::LOCAL, sequence: self.take_sequences(1) };
        delivery.message = Arc::new(Message { id, ..(*delivery.message).clone() });
        let message = delivery.message.clone();
        let mut queued = [(session, delivery.clone())];
        let _: (Ticket, u64) = self.store.accept(Acceptance {
            message: &message,
            retention: Retention::Untouched,
            queued: &mut queued,
            received: None,
            will_of: None,
            durability: Durability::Os,
            is_certain: true,
        });
        let [(_, kept)] = queued;
        delivery.stored = kept.stored;
    }

    /// A message did not go out to its receiver, and will not.
    pub(crate) fn dropped_on_the_way(&self, subscriber: &Subscriber, delivery: &Delivery, why: Undelivered) {
        let counter = match why {
            Undelivered::TooLarge => &self.counters.dropped_too_large,
            Undelivered::Expired => &self.counters.dropped_expired,
        };
        counter.add(1);
        debug!(client_id = %subscriber.client_id, ?why, "message dropped");
        let why = if why == Undelivered::TooLarge { "too-large" } else { "expired" };
        self.events.tell(EventKind::Dropped, |event| {
            let event = event.of(subscriber.session, &subscriber.client_id).about(&delivery.message.topic);
            event.from(delivery.message.origin.as_deref()).with("why", why)
        });
        self.done(subscriber.session, delivery.message.id, delivery.stored);
    }

    pub(crate) fn dropped_queue_full(&self, subscriber: &Subscriber, dropped: &Delivery) {
        if dropped.qos == QoS::AtMostOnce {
            self.counters.dropped_queue_full_qos0.add(1);
        } else {
            self.counters.dropped_queue_full.add(1);
            self.done(subscriber.session, dropped.message.id, dropped.stored);
        }
        debug!(client_id = %subscriber.client_id, topic = %dropped.message.topic, "queue full, message dropped");
        self.events.tell(EventKind::Dropped, |event| {
            let event = event.of(subscriber.session, &subscriber.client_id).about(&dropped.message.topic);
            let event = event.from(dropped.message.origin.as_deref());
            event.with("why", "queue-full")
        });
    }

    /// A session is over: its subscriptions, its queue and what is stored of it go. The ticket says when a restart would not bring it back.
    pub(crate) fn forget_session(
        self: &Arc<Self>,
        subscriber: &Arc<Subscriber>,
        state: &SessionState,
        durability: Durability,
    ) -> Option<Ticket> {
        for (filter, _) in state.subscriptions.iter() {
            self.routes.unsubscribe(subscriber.session, filter);
        }
        let ticket = subscriber.is_stored().then(|| {
            let received = state.awaiting_release.iter().copied();
            self.store.forget_session(
                subscriber.session,
                state.subscriptions.iter().map(|(filter, _)| filter),
                received,
                durability,
            )
        });
        let session = subscriber.session;
        let mut heirs = HandOver::new(self, subscriber, false);
        for inflight in &state.inflight {
            match &inflight.stage {
                // QoS 2 stays with the client that may have it [MQTT-4.8.2-5].
                Stage::Published(delivery) if delivery.qos == QoS::AtLeastOnce => heirs.give_or_end(delivery),
                Stage::Published(delivery) => self.done(session, delivery.message.id, delivery.stored),
                Stage::Released(released) => self.done(session, released.id, released.stored),
            }
        }
        let (queued, on_disk) = subscriber.mailbox.take_all();
        for delivery in &queued {
            heirs.give_or_end(delivery);
        }
        if on_disk {
            let (broker, subscriber) = (self.clone(), subscriber.clone());
            tokio::spawn(async move { broker.empty_queue(&subscriber).await });
        }
        ticket
    }

    /// Gives what waits on disk for a session that has ended to others of its groups, and drops the rest.
    pub(crate) async fn empty_queue(self: &Arc<Self>, subscriber: &Subscriber) {
        let session = subscriber.session;
        let mut from = 0;
        loop {
            let page = match self.store.queue_page(session, from, PAGE_BYTES).await {
                Ok(page) => page,
                Err(error) => {
                    // It is found at the next start.
                    tracing::warn!(client_id = %subscriber.client_id, %error, "what waited for an ended session stays");
                    return;
                }
            };
            let mut heirs = HandOver::new(self, subscriber, false);
            page.deliveries.iter().for_each(|delivery| heirs.give_or_end(delivery));
            for (message, stored) in page.released {
                self.done(session, message, Some(stored));
            }
            if page.is_end {
                return;
            }
            from = page.last + 1;
        }
    }

    /// Drops what a queue on disk has too much, the oldest first.
    pub(crate) fn trim_queue(self: &Arc<Self>, subscriber: &Arc<Subscriber>) {
        let (broker, subscriber) = (self.clone(), subscriber.clone());
        tokio::spawn(async move {
            while let Some((from, excess)) = subscriber.mailbox.excess() {
                // Of small ones about as many as are too much.
                let page = broker.store.queue_page(subscriber.session, from, excess * 256).await;
                let Ok(mut page) = page else { return subscriber.mailbox.end_trimming() };
                let all = page.deliveries.len() <= excess;
                page.deliveries.truncate(excess);
                let last = match page.deliveries.last().and_then(|delivery| delivery.stored) {
                    Some(stored) if !all => stored.position(),
                    _ => page.last,
                };
                for delivery in &page.deliveries {
                    broker.dropped_queue_full(&subscriber, delivery);
                }
                subscriber.mailbox.trimmed(page.deliveries.len(), last, all && page.is_end);
            }
        });
    }

    /// The connection of a session is over: what it did not send or have acknowledged of shared subscriptions goes to others who are
    /// connected.
    pub(crate) fn hand_over(self: &Arc<Self>, subscriber: &Subscriber, session: &mut Session) {
        let mut others = HandOver::new(self, subscriber, true);
        let mut give = |delivery: &Delivery| others.give(delivery);
        session.hand_over(&mut give);
        subscriber.mailbox.hand_over(&mut give);
    }

    /// Publishes a will, as its client would have.
    pub(crate) async fn publish_will(self: &Arc<Self>, publisher: &mut Publisher, will: Will) {
        let will_of = publisher.is_stored.then_some(publisher.session);
        let client_id = publisher.client_id.clone();
        // No Local means the client, whose session may be another by now [MQTT-3.8.3-3].
        publisher.session = self.clients.session_of(&client_id).unwrap_or(publisher.session);
        let topic = will.topic.clone();
        let draft = Draft { will_of, ..Draft::of_will(will) };
        match publish_and_wait(self, publisher, draft).await {
            Ok(receivers) => {
                debug!(%client_id, %topic, receivers = receivers.count, "will published");
                self.events
                    .tell(EventKind::WillSent, |event| event.of(publisher.session, &client_id).about(&topic));
            }
            Err(error) => {
                self.refused(&error);
                tracing::warn!(%client_id, %topic, %error, "will not published");
            }
        }
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, error: &crate::publish::PublishError) {
        if error.is_fault() {
            self.counters.plugin_faults.add(1);
        } else {
            self.counters.publishes_refused.add(1);
        }
    }

    /// The connection of a session that goes on is over.
    pub(crate) fn park(&self, subscriber: &Arc<Subscriber>, parked: Parked) {
        let due = parked.due_at();
        self.clients.park(subscriber, parked);
        if let Some(at) = due {
            self.look_later(subscriber, at);
        }
    }

    fn look_later(&self, subscriber: &Subscriber, at: tidegate_mqtt::Timestamp) {
        let look = crate::parked_sessions::Look {
            at,
            client_id: subscriber.client_id.clone(),
            session: subscriber.session,
        };
        // Nobody looks any more only while the broker stops.
        let _ = self.parked.send(look);
    }

    /// Looks at a parked session; returns when to look again.
    pub(crate) async fn look(
        self: &Arc<Self>,
        client_id: &tidegate_mqtt::ClientId,
        session: SessionId,
    ) -> Option<tidegate_mqtt::Timestamp> {
        match self.clients.due(client_id, session, clock::now()) {
            Due::Nothing => None,
            Due::Later(at) => Some(at),
            Due::Will(subscriber, mut parked) => {
                // What is stored of the will goes with this: a client that came back meanwhile would lose its new one.
                if let Some(mut will) = parked.will.take() {
                    self.publish_will(&mut will.publisher, will.will).await;
                }
                let next = parked.due_at();
                self.clients.put_back(&subscriber, parked);
                next
            }
            Due::Expired(subscriber, parked) => {
                self.counters.clients_expired.add(1);
                debug!(%client_id, "session expired");
                self.events.tell(EventKind::SessionExpired, |event| event.of(session, client_id));
                // The will first: it is stored with the session.
                if let Some(mut will) = parked.will {
                    self.publish_will(&mut will.publisher, will.will).await;
                }
                let _: Option<Ticket> =
                    self.forget_session(&subscriber, &parked.state, self.config.durability);
                None
            }
        }
    }

    /// When a session that ends its connection now expires; None: never.
    pub(crate) fn expires_at(&self, expiry: u32) -> Option<tidegate_mqtt::Timestamp> {
        (expiry != u32::MAX).then(|| clock::now().after(Duration::from_secs(expiry.into())))
    }

    /// Takes up what an earlier run left: before any client comes in.
    pub(crate) fn recover(self: &Arc<Self>, recovered: Recovered) {
        let last_seen = recovered.last_seen.unwrap_or_else(clock::now);
        for message in recovered.retained {
            drop(self.retained.set(Arc::new(message)));
        }
        for session in recovered.sessions {
            let tidegate_store::RecoveredSession { state, left_at, will, waiting } = session;
            let subscriber = self.clients.recover(&state.client_id, state.id);
            subscriber.mailbox.recover(waiting);
            for (filter, subscribed) in state.subscriptions.iter() {
                let Subscribed { options, identifier } = *subscribed;
                let subscription = Subscription { options, identifier };
                self.routes.subscribe(HomeId::LOCAL, state.id, &subscriber, filter, subscription);
            }
            let left_at = left_at.unwrap_or(last_seen);
            let expires_at =
                (state.expiry != u32::MAX).then(|| left_at.after(Duration::from_secs(state.expiry.into())));
            let will = will.map(|StoredWill { will, username, due_at }| {
                let delay = will.properties.will_delay_interval.unwrap_or(0).min(state.expiry);
                let at = due_at.unwrap_or_else(|| left_at.after(Duration::from_secs(delay.into())));
                let publisher = Publisher::recovered(state.id, state.client_id.clone(), username);
                DelayedWill { will, publisher: Box::new(publisher), at }
            });
            let parked = Parked { state, will, expires_at };
            let due = parked.due_at();
            self.clients.put_back(&subscriber, Box::new(parked));
            if let Some(at) = due {
                self.look_later(&subscriber, at);
            }
        }
        for session in recovered.orphans {
            let ended = self.clients.ended(session);
            let broker = self.clone();
            tokio::spawn(async move { broker.empty_queue(&ended).await });
        }
    }

    /// Stores that the client of a session is there, or left.
    pub(crate) fn save_session(
        &self,
        subscriber: &Subscriber,
        expiry: u32,
        left_at: Option<tidegate_mqtt::Timestamp>,
        will: Option<&StoredWill>,
        durability: Durability,
    ) -> Ticket {
        let session = StoredSession { client_id: subscriber.client_id.clone(), expiry, left_at };
        subscriber.set_stored();
        self.store.save_session(subscriber.session, &session, will, durability)
    }
}

/// Bytes of messages that are read from disk for one session at once.
pub(crate) const PAGE_BYTES: usize = 256 * 1024;

#[cfg(test)]
impl Shared {
    /// Of a broker to which nobody comes, with its store in memory.
    pub(crate) fn of_nobody(plugin_messages: mpsc::Sender<PluginMessage>) -> Arc<Self> {
        let store = Arc::new(tidegate_store::Memory::default());
        let (store, recovered) = Store::open(store, Durability::Os).unwrap();
        let numbered = (store, recovered.first_number());
        let (hooks, stopping) = (Arc::new(HookRegistry::new()), watch::channel(false).1);
        let parked = mpsc::unbounded_channel().0;
        Arc::new(Self::new(Config::without_file(), hooks, parked, plugin_messages, stopping, numbered))
    }
}
