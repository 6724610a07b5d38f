//! What goes to the client: deliveries from its mailbox, retained messages, and what hooks make of them.

use super::{Connection, End, OUTGOING_BOUND, Page};
use crate::{
    clock, config::OnRevoked, mailbox::Command, shared::PAGE_BYTES, spare::List, subscribe::reauthorize,
};
use std::sync::Arc;
use tidegate_hooks::{DeliverRequest, EventKind, Patch, PublishRequest};
use tidegate_mqtt::{Heads, Message, PacketId, Payload, QoS, ReasonCode, Timestamp, Version};
use tidegate_session::{Delivery, Stored};
use tidegate_store::{QueuePage, StoreError};
use tracing::{debug, warn};

/// Deliveries taken from the mailbox at once.
const COLLECT: usize = 128;

impl Connection {
    /// Moves deliveries from mailbox and retained messages to the socket; true if more is waiting that could go out.
    pub(super) fn deliver(&mut self) -> Result<bool, End> {
        let mut deliveries = List::take();
        loop {
            // Commands are carried out even for a client that reads nothing.
            let full = self.out.len() >= OUTGOING_BOUND;
            self.tell_full_window();
            if !full && self.session.must_resume() {
                for (delivery, why) in self.session.resume(clock::now(), &mut self.out) {
                    self.broker.dropped_on_the_way(&self.subscriber, &delivery, why);
                }
            }
            let room = if !full && self.session.has_room() { self.room() } else { 0 };
            let limit = if full { 0 } else { COLLECT };
            match self.subscriber.mailbox.collect(limit, room, &mut deliveries) {
                Some(Command::TakeOver { new_session, left }) => {
                    return Err(End::TakenOver { new_session, left });
                }
                Some(Command::Disconnect { reason, text }) => {
                    return Err(End::Told { reason, text: text.into() });
                }
                Some(Command::Reauthorize) => {
                    self.reauthorize = true;
                    return Ok(true);
                }
                Some(Command::ForgetAnswers) => self.publisher.permissions.forget(),
                None => {}
            }
            if full {
                return Ok(true);
            }
            if deliveries.is_empty() {
                if room > 0 && self.page.is_none() {
                    self.page =
                        self.subscriber.mailbox.wanted_page().map(|from| Box::new(self.load_page(from)));
                }
                return Ok(self.feed_retained());
            }
            if self.served.deliver {
                self.to_ask = std::mem::take(&mut *deliveries);
                return Ok(true);
            }
            for delivery in deliveries.drain(..) {
                self.send(delivery, self.now);
            }
        }
    }

    /// Asks hooks what the client gets of each of these, and sends it.
    pub(super) async fn ask_and_send(&mut self, deliveries: Vec<Delivery>) {
        let chain = self.broker.hooks.chain_full();
        for delivery in deliveries {
            let now = clock::now();
            let scope = chain.deliver_scope(&delivery.message.topic);
            if scope.is_empty() {
                self.send(delivery, now);
                continue;
            }
            let outcome = chain.on_deliver(&scope, &self.deliver_request(&delivery)).await;
            match outcome {
                Ok(None) => self.send(delivery, now),
                Ok(Some(edits)) => self.send(edited(delivery, *edits), now),
                Err(by) => self.drop_for_plugin(&delivery, &by),
            }
        }
    }

    pub(super) fn deliver_request<'a>(&'a self, delivery: &'a Delivery) -> DeliverRequest<'a> {
        let message = &*delivery.message;
        DeliverRequest {
            message: PublishRequest {
                session: message.publisher.unwrap_or_default(),
                client_id: "",
                username: None,
                topic: &message.topic,
                qos: delivery.qos,
                retain: delivery.retain,
                payload: &message.payload,
                properties: message.properties.as_deref(),
                attributes: &self.publisher.presence.attributes,
                origin: message.origin.as_deref(),
            },
            recipient: self.session.id(),
            client_id: self.session.client_id(),
        }
    }

    pub(super) fn drop_for_plugin(&self, delivery: &Delivery, plugin: &str) {
        self.broker.counters.dropped_by_plugin.add(1);
        debug!(topic = %delivery.message.topic, plugin, "message dropped by a plugin");
        self.broker.events.tell(EventKind::Dropped, |event| {
            let event = event.of(self.session.id(), self.session.client_id()).about(&delivery.message.topic);
            let event = event.from(delivery.message.origin.as_deref());
            event.with("why", "plugin").with("plugin", plugin)
        });
        self.broker.done(self.session.id(), delivery.message.id, delivery.stored);
    }

    /// Has what waits on disk read. The connection goes on meanwhile: while the store fails that may take long.
    fn load_page(&self, from: u64) -> Page {
        let (broker, session) = (self.broker.clone(), self.session.id());
        let reading = async move { broker.store.queue_page(session, from, PAGE_BYTES).await };
        let open = self.session.stored().map(Stored::position).collect();
        Page { from, open, since: clock::now(), reading: tokio::spawn(reading) }
    }

    /// Brings what was read into the mailbox.
    pub(super) fn take_page(&mut self, read: Result<QueuePage, StoreError>) -> Result<(), End> {
        let Some(page) = self.page.take().filter(|page| self.subscriber.mailbox.wants_page(page.from)) else {
            return Ok(());
        };
        let read = read.map_err(|error| {
            let client_id = self.session.client_id();
            warn!(%client_id, %error, "disconnected: what waits for the client cannot be read");
            let text = "what waits for the client cannot be read".into();
            End::Told { reason: ReasonCode::ImplementationSpecificError, text }
        })?;
        let is_open = |delivery: &Delivery| {
            delivery.stored.is_some_and(|stored| page.open.contains(&stored.position()))
        };
        self.subscriber.mailbox.add_page(read, is_open);
        Ok(())
    }

    /// Those who decide have changed, or the session was another connection's before: what is not allowed any more goes.
    pub(super) async fn ask_again(&mut self) -> Result<(), End> {
        self.reauthorize = false;
        let (publisher, session) = (&mut self.publisher, &mut self.session);
        let asked = reauthorize(&self.broker, &self.subscriber, publisher, session).await;
        let disconnects = self.broker.config.on_revoked == OnRevoked::Disconnect;
        match asked {
            Ok(0) => Ok(()),
            Ok(_) if !disconnects || self.session.terms().version < Version::V5 => Ok(()),
            Ok(_) => Err(End::Told {
                reason: ReasonCode::NotAuthorized,
                text: "a subscription is not allowed any more".into(),
            }),
            Err(fault) => {
                self.broker.counters.plugin_faults.add(1);
                let client_id = self.session.client_id();
                warn!(%client_id, %fault, "disconnected: a plugin failed when it was asked about the subscriptions again");
                let text = "nobody knows whether the subscriptions are still allowed".into();
                Err(End::Told { reason: ReasonCode::ImplementationSpecificError, text })
            }
        }
    }

    /// Said once when the window fills.
    pub(super) fn tell_full_window(&mut self) {
        let full = !self.session.has_room();
        if full && !self.window_full {
            self.broker.events.tell(EventKind::WindowFull, |event| {
                let event = event.of(self.session.id(), self.session.client_id());
                event.with("inflight", self.session.inflight().to_string())
            });
        }
        self.window_full = full;
    }

    pub(super) fn room(&self) -> usize {
        usize::from(self.session.terms().client_receive_maximum).saturating_sub(self.session.inflight())
    }

    pub(super) fn send(&mut self, delivery: Delivery, now: Timestamp) {
        let payload = delivery.message.payload.len() as u64;
        // What went out is the session's: who wants to know of it needs another.
        let told = self.broker.events.wants(EventKind::Delivered).then(|| delivery.clone());
        let kept = delivery.stored.map(|stored| (stored, delivery.clone()));
        match self.session.deliver(delivery, now, &mut self.out) {
            Ok(packet_id) => {
                if let (Some((stored, delivery)), Some(packet_id)) = (kept, packet_id) {
                    self.keep_sent(&delivery, stored, packet_id);
                }
                self.moved.publishes_sent += 1;
                self.moved.publish_bytes_sent += payload;
                if let Some(delivery) = told {
                    self.tell_delivery(&delivery);
                }
            }
            Err((delivery, why)) => self.broker.dropped_on_the_way(&self.subscriber, &delivery, why),
        }
    }

    /// A restart shall send it again as what it is. One of QoS 2 goes out when that is safe, or it might be taken for another.
    fn keep_sent(&mut self, delivery: &Delivery, stored: Stored, packet_id: PacketId) {
        let store = &self.broker.store;
        if delivery.qos == QoS::ExactlyOnce {
            let durability = self.publisher.durability;
            let ticket = store.sent_once(self.session.id(), delivery, stored, packet_id, durability);
            self.hold_for(ticket);
        } else {
            store.sent(self.session.id(), delivery, stored, packet_id);
        }
    }

    pub(super) fn tell_delivery(&self, delivery: &Delivery) {
        self.broker.events.tell(EventKind::Delivered, |event| {
            let event = event.of(self.session.id(), self.session.client_id()).about(&delivery.message.topic);
            let event = event.from(delivery.message.origin.as_deref());
            event.with("qos", (delivery.qos as u8).to_string())
        });
    }

    /// Sends retained messages as far as the client's window and our buffer go; true if more could go out at once.
    pub(super) fn feed_retained(&mut self) -> bool {
        if self.feeds.is_none() {
            return false;
        }
        let now = clock::now();
        let asked = self.served.deliver;
        for _ in 0..COLLECT {
            let Some(feeds) = &mut self.feeds else { return false };
            let Some(feed) = feeds.front_mut() else {
                self.feeds = None;
                return false;
            };
            let Some(mut delivery) = feed.next(&self.broker) else {
                feeds.pop_front();
                continue;
            };
            if delivery.qos > QoS::AtMostOnce && !self.session.has_room() {
                return false;
            }
            feed.advance();
            if delivery.qos > QoS::AtMostOnce && self.subscriber.is_persistent() {
                self.broker.keep(self.session.id(), &mut delivery);
            }
            self.broker.events.tell(EventKind::RetainedDelivered, |event| {
                let event = event.of(self.session.id(), self.session.client_id());
                event.about(&delivery.message.topic).from(delivery.message.origin.as_deref())
            });
            if asked {
                // One at a time, so that the window is known for the next.
                self.to_ask = vec![delivery];
                return true;
            }
            self.send(delivery, now);
        }
        self.feeds.is_some()
    }
}

/// What a plugin makes of a message for one recipient.
fn edited(delivery: Delivery, edits: Patch) -> Delivery {
    let Patch { topic, payload, properties, .. } = edits;
    let message = &*delivery.message;
    let message = Message {
        topic: topic.unwrap_or_else(|| message.topic.clone()),
        payload: payload.map(Payload::from).unwrap_or_else(|| message.payload.clone()),
        properties: properties.or_else(|| message.properties.clone()),
        heads: Heads::default(),
        ..message.clone()
    };
    Delivery { message: Arc::new(message), ..delivery }
}
