//! What all connections share.

use crate::{
    clients::{Clients, Due, Parked, Subscriber},
    clock,
    config::Config,
    counters::Counters,
    events::Events,
    mailbox::{Bounds, Budget},
    publish::{Draft, Publisher, publish},
    recipients::HandOver,
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
use tidegate_mqtt::{MessageId, QoS, SessionId, SubscriptionFilter, Will};
use tidegate_plugin_host::PluginMessage;
use tidegate_routing::{Retained, Routes};
use tidegate_session::{Delivery, Session, SessionState, Stage, Undelivered};
use tidegate_store::{Memory, Store, Ticket};
use tokio::sync::{mpsc, watch};
use tracing::debug;

/// The state of a running broker.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) hooks: Arc<HookRegistry>,
    pub(crate) routes: Routes<Arc<Subscriber>>,
    pub(crate) retained: Retained,
    pub(crate) store: Store,
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
    sequences: AtomicU64,
    /// Sessions to look at later, for [`parked_sessions`](crate::parked_sessions).
    pub(crate) parked: mpsc::UnboundedSender<crate::parked_sessions::Look>,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        hooks: Arc<HookRegistry>,
        parked: mpsc::UnboundedSender<crate::parked_sessions::Look>,
        plugin_messages: mpsc::Sender<PluginMessage>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let limits = &config.limits;
        let bounds = Bounds {
            messages: limits.max_queued_messages,
            bytes: limits.max_queued_bytes.bytes(),
            queue_full: limits.queue_full,
        };
        let budget = Budget::new(limits.max_queued_bytes_total.bytes());
        let incoming = Arc::new(Budget::new(limits.max_incoming_bytes_total.bytes()));
        Self {
            clients: Clients::new(bounds, budget),
            config,
            hooks,
            routes: Routes::new(),
            retained: Retained::new(),
            store: Store::new(Arc::new(Memory::default())),
            counters: Counters::default(),
            traffic: Traffic::default(),
            events: Events::default(),
            plugin_messages,
            incoming,
            stopping,
            sequences: AtomicU64::new(1),
            parked,
        }
    }

    /// The first of `n` message numbers nobody else has.
    pub(crate) fn take_sequences(&self, n: u64) -> u64 {
        self.sequences.fetch_add(n, Ordering::Relaxed)
    }

    /// A session is done with a message.
    pub(crate) fn done(&self, subscriber: &Subscriber, message: MessageId) {
        if subscriber.is_persistent() {
            // Nobody waits for it: a message that is forgotten late is delivered again at worst.
            let _: Ticket = self.store.done(subscriber.session, message);
        }
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
        if delivery.qos > QoS::AtMostOnce {
            self.done(subscriber, delivery.message.id);
        }
    }

    pub(crate) fn dropped_queue_full(&self, subscriber: &Subscriber, dropped: &Delivery) {
        if dropped.qos == QoS::AtMostOnce {
            self.counters.dropped_queue_full_qos0.add(1);
        } else {
            self.counters.dropped_queue_full.add(1);
            self.done(subscriber, dropped.message.id);
        }
        debug!(client_id = %subscriber.client_id, topic = %dropped.message.topic, "queue full, message dropped");
        self.events.tell(EventKind::Dropped, |event| {
            let event = event.of(subscriber.session, &subscriber.client_id).about(&dropped.message.topic);
            let event = event.from(dropped.message.origin.as_deref());
            event.with("why", "queue-full")
        });
    }

    /// A session is over: its subscriptions, its queue and what is stored of it go.
    pub(crate) fn forget_session<'a>(
        &self,
        subscriber: &Subscriber,
        filters: impl Iterator<Item = &'a SubscriptionFilter>,
        inflight: impl Iterator<Item = MessageId>,
    ) {
        for filter in filters {
            self.routes.unsubscribe(subscriber.session, filter);
        }
        let queued = subscriber.mailbox.take_all();
        let mut heirs = HandOver::new(self, subscriber, false);
        for delivery in &queued {
            heirs.give(delivery);
        }
        for message in queued.iter().map(|delivery| delivery.message.id).chain(inflight) {
            self.done(subscriber, message);
        }
        if subscriber.is_persistent() {
            let _: Ticket = self.store.forget_session(subscriber.session);
        }
    }

    /// The connection of a session is over: what it did not send or have acknowledged of shared subscriptions goes to others who are
    /// connected.
    pub(crate) fn hand_over(&self, subscriber: &Subscriber, session: &mut Session) {
        let mut others = HandOver::new(self, subscriber, true);
        let mut give = |delivery: &Delivery| {
            let taken = others.give(delivery);
            if taken && delivery.qos > QoS::AtMostOnce {
                self.done(subscriber, delivery.message.id);
            }
            taken
        };
        session.hand_over(&mut give);
        subscriber.mailbox.hand_over(&mut give);
    }

    pub(crate) fn forget_parked(&self, subscriber: &Subscriber, state: &SessionState) {
        // QoS 2 stays with the client that may have it [MQTT-4.8.2-5].
        let mut heirs = HandOver::new(self, subscriber, false);
        for inflight in &state.inflight {
            if let Stage::Published(delivery) = &inflight.stage
                && delivery.qos == QoS::AtLeastOnce
            {
                heirs.give(delivery);
            }
        }
        let inflight = state.inflight.iter().map(|inflight| match &inflight.stage {
            Stage::Published(delivery) => delivery.message.id,
            Stage::Released(released) => released.id,
        });
        self.forget_session(subscriber, state.subscriptions.keys(), inflight);
    }

    /// Publishes a will, as its client would have.
    pub(crate) async fn publish_will(&self, publisher: &mut Publisher, will: Will) {
        let client_id = publisher.client_id.clone();
        // No Local means the client, whose session may be another by now [MQTT-3.8.3-3].
        publisher.session = self.clients.session_of(&client_id).unwrap_or(publisher.session);
        let topic = will.topic.clone();
        match publish(self, publisher, Draft::of_will(will)).await {
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
    pub(crate) fn park(&self, subscriber: &Subscriber, parked: Parked) {
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
        &self,
        client_id: &tidegate_mqtt::ClientId,
        session: SessionId,
    ) -> Option<tidegate_mqtt::Timestamp> {
        match self.clients.due(client_id, session, clock::now()) {
            Due::Nothing => None,
            Due::Later(at) => Some(at),
            Due::Will(mut will, next) => {
                self.publish_will(&mut will.publisher, will.will).await;
                next
            }
            Due::Expired(subscriber, parked) => {
                self.counters.clients_expired.add(1);
                debug!(%client_id, "session expired");
                self.events.tell(EventKind::SessionExpired, |event| event.of(session, client_id));
                self.forget_parked(&subscriber, &parked.state);
                if let Some(mut will) = parked.will {
                    self.publish_will(&mut will.publisher, will.will).await;
                }
                None
            }
        }
    }

    /// When a session that ends its connection now expires; None: never.
    pub(crate) fn expires_at(&self, expiry: u32) -> Option<tidegate_mqtt::Timestamp> {
        (expiry != u32::MAX).then(|| clock::now().after(Duration::from_secs(expiry.into())))
    }
}
