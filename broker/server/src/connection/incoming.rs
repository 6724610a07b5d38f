//! What comes from the client: bytes, packets, and what they ask for.

use super::{Connection, End, MOST_UNSETTLED, OUTGOING_BOUND, Unsettled, socket::Buffer};
use crate::{
    clients::Presence,
    clock,
    connect::{Step, Visitor, levels},
    publish::{
        Draft, Known, PublishError, Receivers, ShortWay, Taken, fault_kind, kept_properties, publish,
        publish_at_once, publish_batch, publish_decided,
    },
    rate::Rate,
    scratch::Scratch,
    subscribe::{Bounds, subscribe, unsubscribe},
    watched::{show_processed, show_received},
};
use std::{future::poll_fn, io, pin::pin, sync::Arc, task::Poll};
use tidegate_hooks::{EventKind, PacketClient, PublishOutcome};
use tidegate_mqtt::{
    Frame, Packet, PacketId, PacketType, Payload, PlainPublish, PublishProperties, QoS, ReasonCode,
    Subscribe, TopicName, Unsubscribe, Version, next_frame,
};
use tidegate_session::{AuthStep, Finished, Incoming, PublishToken, Request};
use tidegate_store::Ticket;
use tracing::{debug, warn};

/// What a packet asks for that may take time. Owns what it needs: the read buffer is given back before anything is waited for.
pub(super) enum Work {
    Publish {
        token: PublishToken,
        draft: Draft,
    },
    /// Of a message that hooks were asked about already.
    Decided(Box<Decided>),
    /// Messages that came together, and what came right after them.
    Batch(Box<Batch>),
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Authenticate(AuthStep),
}

/// A message, and what becomes of it.
pub(super) struct Decided {
    token: PublishToken,
    draft: Draft,
    outcome: Result<PublishOutcome, PublishError>,
}

/// What became of a packet that may be a plain one.
enum Plain {
    Handled,
    /// It is handled but for this.
    Then(Work),
    /// It is to be handled the long way.
    Not,
}

/// Messages that came together, for hooks that take them so.
#[derive(Default)]
pub(super) struct Batch {
    messages: Vec<(PublishToken, Draft)>,
    then: Option<Work>,
}

/// Messages that are asked about at once.
pub(super) const BATCH: usize = 64;

impl Connection {
    /// Reads and handles what is there; returns what [`Connection::handle`] does.
    pub(super) fn read(&mut self) -> Result<Option<impl Future<Output = Result<(), End>> + Unpin>, End> {
        let mut scratch = Scratch::take();
        // The beginning of a packet goes before its rest, if that leaves room to read much at once.
        let begun = self.socket.tail.len();
        let before = if begun <= scratch.len() / 2 { begun } else { 0 };
        scratch[..before].copy_from_slice(&self.socket.tail[..before]);
        let n = match self.socket.stream.try_read(&mut scratch[before..]) {
            Ok(0) => return Err(End::Closed(io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(End::Closed(error)),
        };
        let mut tail = std::mem::take(&mut self.socket.tail);
        // Who sends little at a time shall not have it all copied each time.
        let buffer = if before == begun && n >= begun {
            Buffer::Scratch(scratch, begun + n)
        } else {
            tail.extend_from_slice(&scratch[before..before + n]);
            Buffer::Tail(tail)
        };
        self.look();
        self.keep_alive.heard(self.now);
        self.moved.bytes_received += n as u64;
        self.handle(buffer)
    }

    /// Handles the whole packets in the buffer; what is left becomes the tail. The buffer is given back before anything is waited for, and
    /// nothing is handled while too much waits to be sent: then whole packets are left, the backlog. What takes time is returned, to be waited
    /// for. Boxed, once for all that was read: what is rare shall not be held by every idle connection.
    pub(super) fn handle(
        &mut self,
        buffer: Buffer,
    ) -> Result<Option<impl Future<Output = Result<(), End>> + Unpin>, End> {
        let mut at = 0;
        self.backlog = false;
        if let Some(work) = self.next_work(&buffer, &mut at)? {
            return Ok(Some(Box::pin(self.handle_from(buffer, at, work))));
        }
        self.keep(buffer.into_rest(at))?;
        Ok(None)
    }

    /// Handles what asks for more than the session can answer, and all that follows.
    async fn handle_from(&mut self, buffer: Buffer, mut at: usize, first: Work) -> Result<(), End> {
        let mut next = Some(first);
        let rest = loop {
            let Some(work) = next else { return self.keep(buffer.into_rest(at)) };
            {
                let mut work = pin!(self.perform(work));
                match poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
                    Poll::Ready(done) => done?,
                    Poll::Pending => {
                        // Whoever is served meanwhile needs the buffer.
                        let rest = buffer.into_rest(at);
                        work.await?;
                        break rest;
                    }
                }
            }
            next = self.next_work(&buffer, &mut at)?;
        };
        self.backlog = true;
        self.keep(rest)
    }

    /// The next packet of the buffer that asks for more than the session can answer; None if there is none, or none may be handled now.
    pub(super) fn next_work(&mut self, buffer: &Buffer, at: &mut usize) -> Result<Option<Work>, End> {
        let max_packet_size = self.door.limits.max_packet_size.get();
        let mut batch: Option<Box<Batch>> = None;
        while let Some(frame) = next_frame(&buffer.bytes()[*at..], max_packet_size).map_err(End::Malformed)? {
            let waiting = self.unsettled.len() >= MOST_UNSETTLED;
            if self.out.len() >= OUTGOING_BOUND || waiting || self.is_too_fast() {
                self.backlog = true;
                break;
            }
            let (length, kind) = (frame.len(), frame.packet_type());
            *at += length;
            self.moved.messages_received += 1;
            if !self.served.packets && self.rate.is_none() {
                match self.handle_plain(&frame)? {
                    Plain::Handled => continue,
                    Plain::Then(work) => return Ok(Some(work)),
                    Plain::Not => {}
                }
            }
            let packet = frame.decode_from_client(self.session.terms().version).map_err(End::Malformed)?;
            if let Some(rate) = &mut self.rate {
                rate.spend(u32::from(matches!(packet, Packet::Publish(_))), length, self.now);
            }
            if self.served.packets {
                show_received(&self.broker.hooks, &self.as_packet_client(), &packet);
            }
            let work = self.begin(packet)?;
            self.handled = kind;
            match work {
                None => self.show_processed(),
                Some(Work::Publish { token, draft }) if self.served.publish_batch => {
                    let batch = batch.get_or_insert_default();
                    batch.messages.push((token, draft));
                    if batch.messages.len() == BATCH {
                        break;
                    }
                }
                Some(work) => match &mut batch {
                    None => return Ok(Some(work)),
                    Some(batch) => {
                        batch.then = Some(work);
                        break;
                    }
                },
            }
        }
        Ok(batch.map(Work::Batch))
    }

    /// Whether the client has to wait because it sent more than its rate; then it is known until when.
    pub(super) fn is_too_fast(&mut self) -> bool {
        let Some(rate) = &mut self.rate else { return false };
        let until = rate.wait_until(self.now);
        if until.is_some() && rate.paused_until.is_none() {
            self.broker.counters.throttled.add(1);
        }
        rate.paused_until = until;
        until.is_some()
    }

    /// Keeps the beginning of a packet until the rest comes, if there is room for it among all that is half-sent.
    pub(super) fn keep(&mut self, rest: Vec<u8>) -> Result<(), End> {
        self.socket.tail = rest;
        if self.socket.held.hold(self.socket.tail.capacity()) {
            return Ok(());
        }
        Err(End::Told {
            reason: ReasonCode::QuotaExceeded,
            text: "too many bytes of half-sent packets".into(),
        })
    }

    /// What needs no hook, no store and no time is done at once.
    pub(super) fn begin(&mut self, packet: Packet<'_>) -> Result<Option<Work>, End> {
        match self.session.receive(packet, &mut self.out).map_err(End::Violation)? {
            Request::None => Ok(None),
            Request::Publish(Incoming { token, mut publish, topic }) => {
                self.moved.publishes_received += 1;
                self.moved.publish_bytes_received += publish.payload.len() as u64;
                let properties = publish.properties.take().and_then(kept_properties);
                let way = |this: &mut Self| this.short_way(topic.as_str().as_bytes(), publish.qos);
                if !publish.retain && matches!(way(self), Some(ShortWay::Unasked)) {
                    self.take_at_once(token, publish.qos, publish.payload, properties);
                    return Ok(None);
                }
                let limits = &self.door.limits;
                let short = topic.as_str().len() <= limits.max_topic_length
                    && levels(topic.as_str()) <= limits.max_topic_levels;
                let topic = if short { self.publisher.topic(topic.as_str()) } else { None };
                let Some(topic) = topic else {
                    self.broker.counters.publishes_refused.add(1);
                    debug!("message refused: the topic has too many levels or bytes");
                    // Before MQTT 5 there is no word for it, and an acknowledgement would be a lie.
                    if self.session.terms().version < Version::V5 {
                        let text = "the topic has too many levels or bytes".into();
                        return Err(End::Told { reason: ReasonCode::TopicNameInvalid, text });
                    }
                    let text = Some("the topic has too many levels or bytes");
                    self.session.published(token, ReasonCode::TopicNameInvalid, text, &mut self.out);
                    return Ok(None);
                };
                let payload = Payload::copied(publish.payload);
                let (qos, retain) = (publish.qos, publish.retain);
                // A session that is not stored ends with the broker, and so do repeats.
                let received = token.exactly_once().filter(|_| self.subscriber.is_stored());
                let draft = Draft { qos, retain, properties, received, ..Draft::new(topic, payload) };
                Ok(Some(Work::Publish { token, draft }))
            }
            Request::Subscribe(subscribe) => Ok(Some(Work::Subscribe(subscribe))),
            Request::Unsubscribe(unsubscribe) => Ok(Some(Work::Unsubscribe(unsubscribe))),
            Request::Completed(packet_id) => {
                self.completed(packet_id);
                Ok(None)
            }
            Request::Released { packet_id, finished } => {
                self.released(packet_id, &finished);
                Ok(None)
            }
            Request::Done(finished) => {
                self.done(&finished);
                Ok(None)
            }
            Request::Disconnect(disconnect) => Err(End::Goodbye(disconnect.reason)),
            Request::Authenticate(step) => Ok(Some(Work::Authenticate(step))),
        }
    }

    /// What most packets are: a message that can take the short way, and acknowledgements.
    #[inline]
    fn handle_plain(&mut self, frame: &Frame<'_>) -> Result<Plain, End> {
        if let Some(publish) = frame.plain_publish(self.session.terms().version) {
            let PlainPublish { topic, qos, retain, packet_id, payload } = publish;
            if retain {
                return Ok(Plain::Not);
            }
            let Some(way) = self.short_way(topic, qos) else { return Ok(Plain::Not) };
            self.moved.publishes_received += 1;
            self.moved.publish_bytes_received += payload.len() as u64;
            let token = self.session.arrives(qos, packet_id, &mut self.out).map_err(End::Violation)?;
            let Some(token) = token else { return Ok(Plain::Handled) };
            return Ok(match way {
                ShortWay::Asked(known) => self.ask_and_take(token, &known, qos, payload),
                ShortWay::Unasked => {
                    self.take_at_once(token, qos, payload, None);
                    Plain::Handled
                }
            });
        }
        let Some(packet_id) = frame.plain_ack() else { return Ok(Plain::Not) };
        match frame.packet_type() {
            PacketType::PubAck => {
                if let Some(finished) = self.session.puback(packet_id) {
                    self.done(&finished);
                }
            }
            PacketType::PubRec => {
                if let Some(finished) = self.session.pubrec(packet_id, &mut self.out) {
                    self.released(packet_id, &finished);
                }
            }
            PacketType::PubRel => {
                if self.session.pubrel(packet_id, &mut self.out) {
                    self.completed(packet_id);
                }
            }
            PacketType::PubComp => {
                if let Some(finished) = self.session.pubcomp(packet_id) {
                    self.done(&finished);
                }
            }
            _ => return Ok(Plain::Not),
        }
        Ok(Plain::Handled)
    }

    /// Asks about a message; what most answers are, nothing to be changed, needs no more than that.
    fn ask_and_take(&mut self, token: PublishToken, known: &Known, qos: QoS, payload: &[u8]) -> Plain {
        let outcome = self.publisher.ask_at_once(&self.broker, known, qos, payload);
        if matches!(outcome, Some(Ok(PublishOutcome::Unchanged))) {
            self.take_at_once(token, qos, payload, None);
            return Plain::Handled;
        }
        let draft = Draft { qos, ..Draft::new(known.topic.clone(), Payload::copied(payload)) };
        Plain::Then(match outcome {
            Some(outcome) => Work::Decided(Box::new(Decided { token, draft, outcome })),
            None => Work::Publish { token, draft },
        })
    }

    #[inline]
    fn short_way(&mut self, topic: &[u8], qos: QoS) -> Option<ShortWay> {
        // What came before may still be waiting. And a stored session remembers the identifiers of QoS 2.
        let is_free = self.unsettled.is_empty()
            && !self.served.publish_batch
            && !(qos == QoS::ExactlyOnce && self.subscriber.is_stored());
        if is_free { self.publisher.short_way(&self.broker, topic, qos, self.chain) } else { None }
    }

    #[inline]
    fn take_at_once(
        &mut self,
        token: PublishToken,
        qos: QoS,
        payload: &[u8],
        properties: Option<Box<PublishProperties>>,
    ) {
        let (broker, publisher) = (&self.broker, &mut self.publisher);
        let receivers = publish_at_once(broker, publisher, qos, payload, properties, self.now);
        self.answer_accepted(token, receivers.unwrap_or_default());
    }

    /// A QoS 2 message of the client came to its end.
    fn completed(&mut self, packet_id: PacketId) {
        if self.subscriber.is_stored() {
            let (session, durability) = (self.session.id(), self.publisher.durability);
            let ticket = self.broker.store.completed(session, packet_id, durability);
            self.hold_for(ticket);
        }
    }

    /// The client has a QoS 2 message.
    fn released(&mut self, packet_id: PacketId, finished: &Finished) {
        if let Some(stored) = finished.stored {
            let (session, durability) = (self.session.id(), self.publisher.durability);
            let ticket = self.broker.store.released(session, finished, stored, packet_id, durability);
            self.hold_for(ticket);
        }
    }

    /// The client is done with a message.
    #[inline]
    fn done(&mut self, finished: &Finished) {
        let Finished { id, origin, stored } = finished;
        self.broker.done(self.session.id(), *id, *stored);
        self.broker.events.tell(EventKind::Acknowledged, |event| {
            let event = event.of(self.session.id(), self.session.client_id());
            event.from(origin.as_deref()).with("message", id.sequence.to_string())
        });
    }

    pub(super) async fn perform(&mut self, work: Work) -> Result<(), End> {
        match work {
            Work::Batch(batch) => return Box::pin(self.perform_batch(*batch)).await,
            Work::Publish { token, draft } => {
                let topic = draft.topic.clone();
                let behind = !self.unsettled.is_empty();
                let taken = publish(&self.broker, &mut self.publisher, draft, behind).await;
                self.answer_or_wait(token, topic, taken)
            }
            Work::Decided(decided) => {
                let Decided { token, draft, outcome } = *decided;
                let topic = draft.topic.clone();
                let behind = !self.unsettled.is_empty();
                let taken = match outcome {
                    Ok(outcome) => {
                        publish_decided(&self.broker, &mut self.publisher, draft, outcome, behind).await
                    }
                    Err(error) => Err(error),
                };
                self.answer_or_wait(token, topic, taken)
            }
            // Boxed: what is rare shall not be held by every idle connection.
            Work::Subscribe(packet) => Box::pin(self.subscribe(packet)).await,
            Work::Unsubscribe(packet) => Box::pin(self.unsubscribe(packet)).await,
            Work::Authenticate(step) => Box::pin(self.authenticate(step)).await,
        }?;
        self.show_processed();
        Ok(())
    }

    pub(super) async fn perform_batch(&mut self, batch: Batch) -> Result<(), End> {
        let Batch { messages, then } = batch;
        let (tokens, drafts): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let topics: Vec<TopicName> = drafts.iter().map(|draft: &Draft| draft.topic.clone()).collect();
        let behind = !self.unsettled.is_empty();
        let decisions = publish_batch(&self.broker, &mut self.publisher, drafts, behind).await;
        for ((token, topic), taken) in tokens.into_iter().zip(topics).zip(decisions) {
            self.answer_or_wait(token, topic, taken)?;
            self.handled = PacketType::Publish;
            self.show_processed();
        }
        match then {
            Some(work) => Box::pin(self.perform(work)).await,
            None => Ok(()),
        }
    }

    pub(super) async fn subscribe(&mut self, packet: Subscribe) -> Result<(), End> {
        // A client that subscribes finds what it retained before.
        self.settle_all().await?;
        let packet_id = packet.packet_id;
        let limits = &self.door.limits;
        let granted = self.standing.as_ref().and_then(|standing| standing.max_subscriptions);
        let bounds = Bounds {
            limits,
            mount_point: self.door.mount_point.as_ref(),
            subscriptions: granted.unwrap_or(usize::MAX).min(limits.max_subscriptions),
        };
        let (publisher, session) = (&mut self.publisher, &mut self.session);
        let granted = subscribe(&self.broker, &self.subscriber, publisher, session, bounds, packet).await;
        self.session.subscribed(packet_id, granted.reasons, granted.text.as_deref(), &mut self.out);
        if !granted.feeds.is_empty() {
            self.feeds.get_or_insert_default().extend(granted.feeds);
        }
        Ok(())
    }

    pub(super) async fn unsubscribe(&mut self, packet: Unsubscribe) -> Result<(), End> {
        let mount_point = self.door.mount_point.as_ref();
        let durability = self.publisher.durability;
        let reasons =
            unsubscribe(&self.broker, &self.subscriber, &mut self.session, mount_point, &packet, durability)
                .await;
        self.session.unsubscribed(packet.packet_id, reasons, &mut self.out);
        Ok(())
    }

    /// A step of a re-authentication.
    pub(super) async fn authenticate(&mut self, step: AuthStep) -> Result<(), End> {
        let presence = self.publisher.presence.clone();
        let refused =
            |(reason, text): (ReasonCode, Box<str>)| End::Told { reason, text: String::from(text).into() };
        // The session has checked that a method was agreed on.
        let standing = self.standing.get_or_insert_default();
        let Some(login) = &mut standing.login else {
            return Err(refused((
                ReasonCode::ProtocolError,
                "no authentication method was agreed on".into(),
            )));
        };
        let certificate = standing.certificate.as_deref();
        let visitor = Visitor { door: &self.door, peer: &presence.peer, certificate };
        let proceeding = login.proceed(&self.broker, visitor, &self.publisher.client_id, step);
        match proceeding.await.map_err(refused)? {
            Step::Challenge(data) => self.session.challenge(data, &mut self.out),
            Step::In(granted) => {
                self.publisher.permit(granted.permissions);
                let renewed = Arc::new(Presence {
                    username: presence.username.clone(),
                    attributes: granted.attributes,
                    peer: presence.peer.clone(),
                    listener: presence.listener.clone(),
                    since: presence.since,
                });
                self.subscriber.set_presence(Some(renewed.clone()));
                self.publisher.presence = renewed;
                standing.max_subscriptions = granted.quotas.subscriptions.map(|most| most as usize);
                standing.expires_at = granted.expires.map(|after| clock::now().after(after));
                self.rate = Rate::new(&granted.quotas, clock::now());
                // Its rules may be others.
                self.reauthorize = true;
                self.session.authenticated(granted.data, &mut self.out);
            }
        }
        Ok(())
    }

    /// Answers now, or when the store has the message.
    fn answer_or_wait(
        &mut self,
        token: PublishToken,
        topic: TopicName,
        taken: Result<Taken, PublishError>,
    ) -> Result<(), End> {
        match taken {
            Ok(Taken::Waiting(submitted)) => {
                self.unsettled.push_back(Unsettled { token, topic, submitted: *submitted });
                Ok(())
            }
            Ok(Taken::In(receivers)) => self.answer_publish(token, &topic, Ok(receivers)),
            Err(error) => self.answer_publish(token, &topic, Err(error)),
        }
    }

    /// Delivers and answers what the store has taken by now, in the order it came.
    pub(super) fn settle(&mut self) -> Result<(), End> {
        let settled = |front: &mut Unsettled| front.submitted.ticket.known();
        while let Some(outcome) = self.unsettled.front_mut().and_then(settled) {
            let Some(Unsettled { token, topic, submitted }) = self.unsettled.pop_front() else { break };
            let decision = submitted.settle(&self.broker, Some(&self.publisher), outcome);
            self.answer_publish(token, &topic, decision)?;
        }
        Ok(())
    }

    /// As [`Connection::settle`], and waits until nothing is left.
    pub(super) async fn settle_all(&mut self) -> Result<(), End> {
        while let Some(front) = self.unsettled.front_mut() {
            front.submitted.ticket.until_settled().await;
            self.settle()?;
        }
        Ok(())
    }

    /// Nothing goes out before this is settled.
    pub(super) fn hold_for(&mut self, mut ticket: Ticket) {
        // Tickets settle in the order in which they were given.
        if ticket.known().is_none() {
            self.hold = Some(Box::new(ticket));
        }
    }

    pub(super) fn answer_publish(
        &mut self,
        token: PublishToken,
        topic: &str,
        decision: Result<Receivers, PublishError>,
    ) -> Result<(), End> {
        let error = match decision {
            Ok(receivers) => {
                self.answer_accepted(token, receivers);
                return Ok(());
            }
            Err(error) => error,
        };
        self.broker.refused(&error);
        self.broker.events.tell(EventKind::PublishRefused, |event| {
            let event = event.of(self.session.id(), self.session.client_id());
            event.about_text(topic).because(error.reason_code())
        });
        match fault_kind(&error) {
            Some(fault) => {
                let client_id = self.session.client_id();
                warn!(%client_id, topic, %error, %fault, "message refused: a plugin failed");
            }
            None => debug!(topic, %error, "message refused"),
        }
        let can_say_no = self.session.terms().version == Version::V5;
        if !can_say_no && error.must_not_look_accepted() || matches!(error, PublishError::Unknown) {
            return Err(End::NotAccepted(error));
        }
        // Before MQTT 5 a message that is not allowed is acknowledged all the same [MQTT-3.3.5-2].
        let reason = if can_say_no { error.reason_code() } else { ReasonCode::Success };
        let text = error.to_string();
        self.session.published(token, reason, Some(&text), &mut self.out);
        Ok(())
    }

    fn answer_accepted(&mut self, token: PublishToken, receivers: Receivers) {
        self.congested |= receivers.congested;
        let nobody = receivers.count == 0;
        let reason = if nobody { ReasonCode::NoMatchingSubscribers } else { ReasonCode::Success };
        self.session.published(token, reason, None, &mut self.out);
    }

    pub(super) fn as_packet_client(&self) -> PacketClient<'_> {
        PacketClient { session: self.session.id(), client_id: self.session.client_id() }
    }

    pub(super) fn show_processed(&self) {
        if self.served.packets {
            show_processed(&self.broker.hooks, &self.as_packet_client(), self.handled);
        }
    }

    /// Shows what is about to be written to hooks that see every packet.
    pub(super) fn show_sent(&mut self) {
        if self.served.packets {
            let mut watched = self.watched.take().unwrap_or_default();
            watched.show_sent(&self.broker.hooks, &self.as_packet_client(), &self.out);
            self.watched = Some(watched);
        }
    }
}
