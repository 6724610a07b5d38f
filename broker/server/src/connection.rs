//! One task a connection: it owns the socket and the session, and others reach it through its mailbox only.

use crate::{
    clients::{DelayedWill, Parked, Subscriber},
    clock,
    connect::{Connected, Visitor, connect, refuse_malformed},
    door::{Counted, Door},
    mailbox::Command,
    publish::{Draft, PublishError, Publisher, Receivers, fault_kind, publish},
    scratch::Scratch,
    shared::Shared,
    subscribe::{RetainedFeed, subscribe, unsubscribe},
};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};
use tidegate_mqtt::{
    DecodeError, Outgoing, Packet, PublishProperties, QoS, ReasonCode, Subscribe, Unsubscribe, Version,
    next_frame,
};
use tidegate_session::{
    Delivered, Delivery, Ending, Incoming, KeepAlive, PendingWill, PublishToken, Request, Session, Violation,
    WillFate,
};
use tokio::{net::TcpStream, sync::oneshot, time::Instant};
use tracing::{debug, error, info, warn};

/// Outgoing bytes from which on nothing more is read from the client or taken from its mailbox.
const OUTGOING_BOUND: usize = 256 * 1024;
/// Deliveries taken from the mailbox at once.
const COLLECT: usize = 64;
/// Slices in one vectored write.
const SLICES: usize = 32;

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The peer closed, or the socket broke.
    Closed(io::Error),
    /// The client said goodbye.
    Goodbye(ReasonCode),
    /// The bytes are no packet.
    Malformed(DecodeError),
    /// The packet may not come now.
    Violation(Violation),
    /// A message cannot be refused in this version, and must not be acknowledged.
    NotAccepted(PublishError),
    /// Another connection took the session; it waits until this one has left it.
    TakenOver { new_session: bool, left: oneshot::Sender<()> },
    /// We panicked.
    Panicked,
    /// The broker wants it.
    Told { reason: ReasonCode, text: &'static str },
}

/// Serves one client from its first byte to its last.
pub(crate) async fn serve(
    broker: Arc<Shared>,
    stream: TcpStream,
    door: Arc<Door>,
    knocking: Counted,
    peer: String,
) {
    let _ = stream.set_nodelay(true);
    let mut socket = Socket { stream, tail: Vec::new() };
    let mut out = Outgoing::new();
    let visitor = Visitor { door: &door, peer: &peer };
    let deadline = Instant::now() + door.limits.connect_timeout;
    // Boxed, as is the end: what is needed once shall not be held by every idle connection.
    let hello = tokio::time::timeout_at(deadline, Box::pin(hello(&broker, &mut socket, visitor, &mut out)));
    let mut stopping = broker.stopping.clone();
    let hello = async {
        tokio::select! {
            said = hello => said,
            // Nobody comes in any more.
            _ = stopping.wait_for(|stopping| *stopping) => Ok(None),
        }
    };
    let connected = match guarded(&broker, hello).await {
        Ok(Ok(Some(connected))) => connected,
        Ok(Ok(None)) => {
            broker.counters.connections_refused.add(1);
            return socket.say_goodbye(&mut out).await;
        }
        Ok(Err(_)) => {
            broker.counters.connections_refused.add(1);
            return debug!("no CONNECT in time");
        }
        Err(Panicked) => return,
    };
    drop(knocking);
    let Connected { session, subscriber, publisher, will, keep_alive, expires_at, counted } = connected;
    // A client may send on without waiting for CONNACK [MQTT-3.1.4-6].
    let backlog = !socket.tail.is_empty();
    let mut connection = Connection {
        broker,
        door,
        _counted: counted,
        socket,
        out,
        session,
        subscriber,
        publisher,
        keep_alive,
        expires_at,
        feeds: VecDeque::new(),
        congested: false,
        backlog,
    };
    let guard = connection.broker.clone();
    let end = guarded(&guard, connection.run()).await.unwrap_or(End::Panicked);
    Box::pin(connection.leave(end, will)).await;
}

/// Our own fault.
struct Panicked;

/// A panic ends its connection only; it is said and counted.
async fn guarded<T>(broker: &Shared, future: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut future = pin!(future);
    poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => {
            broker.counters.panics.add(1);
            error!("a connection ended in a panic of the broker; please report it");
            Poll::Ready(Err(Panicked))
        }
    })
    .await
}

/// Waits for CONNECT and answers it; None if the client stays out.
async fn hello(
    broker: &Arc<Shared>,
    socket: &mut Socket,
    visitor: Visitor<'_>,
    out: &mut Outgoing,
) -> Option<Connected> {
    let packet = loop {
        if let Err(error) = socket.fill().await {
            debug!(%error, "closed before CONNECT");
            return None;
        }
        match socket.first_packet(visitor.door.limits.max_packet_size.get()) {
            Ok(Some(packet)) => break packet,
            Ok(None) => {}
            Err(error) => {
                let refused = refuse_malformed(&socket.tail, &error, out);
                broker.counters.protocol_errors.add(1);
                debug!(%error, reason = %refused.reason, "no CONNECT");
                return None;
            }
        }
    };
    let Packet::Connect(packet) = packet else {
        // [MQTT-3.1.0-1]
        broker.counters.protocol_errors.add(1);
        debug!("the first packet is not CONNECT");
        return None;
    };
    connect(broker, visitor, *packet, out).await.ok()
}

/// A socket and the beginning of a packet whose end is not there yet. While idle it holds no buffer.
struct Socket {
    stream: TcpStream,
    tail: Vec<u8>,
}

impl Socket {
    /// Waits for bytes and appends them to the tail.
    async fn fill(&mut self) -> io::Result<()> {
        loop {
            self.stream.readable().await?;
            let mut scratch = Scratch::take();
            match self.stream.try_read(&mut scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.tail.extend_from_slice(&scratch[..n]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a CONNECT out of the tail.
    fn first_packet(&mut self, max_packet_size: u32) -> Result<Option<Packet<'static>>, DecodeError> {
        let Some(frame) = next_frame(&self.tail, max_packet_size)? else { return Ok(None) };
        let len = frame.len();
        let packet = match frame.decode_from_client(Version::V5)? {
            Packet::Connect(connect) => Packet::Connect(connect),
            _ => Packet::PingReq,
        };
        self.tail.drain(..len);
        Ok(Some(packet))
    }

    /// Writes as much as the socket takes now.
    fn write(&self, out: &mut Outgoing) -> io::Result<()> {
        while !out.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = out.fill_slices(&mut slices);
            match self.stream.try_write_vectored(&slices[..used]) {
                Ok(n) => out.consume(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        out.release();
        Ok(())
    }

    /// The last words, if the client takes them at once or nearly so.
    async fn say_goodbye(&mut self, out: &mut Outgoing) {
        let last_words = async {
            while !out.is_empty() && self.write(out).is_ok() && !out.is_empty() {
                if self.stream.writable().await.is_err() {
                    return;
                }
            }
            // Closing with unread bytes would reset the connection, and the client might never see the last words.
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.stream).await;
            while matches!(self.fill().await, Ok(())) {
                self.tail.clear();
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
    }
}

/// How long a client may take for the last words.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(500);

/// A client that is in.
struct Connection {
    broker: Arc<Shared>,
    door: Arc<Door>,
    _counted: Counted,
    socket: Socket,
    out: Outgoing,
    session: Session,
    subscriber: Arc<Subscriber>,
    publisher: Publisher,
    keep_alive: KeepAlive,
    /// When the client's grant ends.
    expires_at: Option<tidegate_mqtt::Timestamp>,
    feeds: VecDeque<RetainedFeed>,
    /// A queue that this client fills is filling.
    congested: bool,
    /// The tail may hold whole packets.
    backlog: bool,
}

/// What a packet asks for that may take time. Owns what it needs: the read buffer is given back before anything is waited for.
enum Work {
    Publish { token: PublishToken, draft: Draft },
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
}

impl Connection {
    async fn run(&mut self) -> End {
        loop {
            match self.turn().await {
                Ok(()) => {}
                Err(end) => return end,
            }
        }
    }

    /// Sends what can be sent, then waits for something to happen and handles it.
    async fn turn(&mut self) -> Result<(), End> {
        tokio::task::consume_budget().await;
        if self.backlog && self.out.len() < OUTGOING_BOUND {
            let tail = std::mem::take(&mut self.socket.tail);
            self.handle(Buffer::Tail(tail)).await?;
        }
        let more = self.deliver()?;
        self.socket.write(&mut self.out).map_err(End::Closed)?;
        if std::mem::take(&mut self.congested) {
            tokio::task::yield_now().await;
        }
        let full = self.out.len() >= OUTGOING_BOUND;
        if (more || self.backlog) && !full {
            // Others first: a client with much to do is no reason for them to wait.
            tokio::task::yield_now().await;
            return Ok(());
        }
        let pending = !self.out.is_empty();
        let timer = self.timer();
        tokio::select! {
            biased;
            readable = self.socket.stream.readable(), if !full => {
                readable.map_err(End::Closed)?;
                self.read().await?;
            }
            () = self.subscriber.mailbox.wake.notified() => {}
            writable = self.socket.stream.writable(), if pending => writable.map_err(End::Closed)?,
            () = sleep_until(timer), if timer.is_some() => self.look_at_time()?,
        }
        Ok(())
    }

    /// Moves deliveries from mailbox and retained messages to the socket; true if more is waiting that could go out.
    fn deliver(&mut self) -> Result<bool, End> {
        let mut deliveries = Vec::new();
        while self.out.len() < OUTGOING_BOUND {
            if self.session.must_resume() {
                for gone in self.session.resume(clock::now(), &mut self.out) {
                    self.broker.done(&self.subscriber, gone);
                }
            }
            let room = if self.session.has_room() { self.room() } else { 0 };
            match self.subscriber.mailbox.collect(COLLECT, room, &mut deliveries) {
                Some(Command::TakeOver { new_session, left }) => {
                    return Err(End::TakenOver { new_session, left });
                }
                Some(Command::Disconnect { reason, text }) => return Err(End::Told { reason, text }),
                None => {}
            }
            if deliveries.is_empty() {
                return Ok(self.feed_retained());
            }
            let now = clock::now();
            for delivery in deliveries.drain(..) {
                self.send(delivery, now);
            }
        }
        Ok(true)
    }

    fn room(&self) -> usize {
        usize::from(self.session.terms().client_receive_maximum).saturating_sub(self.session.inflight())
    }

    fn send(&mut self, delivery: Delivery, now: tidegate_mqtt::Timestamp) {
        let id = (delivery.qos > QoS::AtMostOnce).then_some(delivery.message.id);
        let counter = match self.session.deliver(delivery, now, &mut self.out) {
            Delivered::Sent => return,
            Delivered::TooLarge => &self.broker.counters.dropped_too_large,
            Delivered::Expired => &self.broker.counters.dropped_expired,
        };
        counter.add(1);
        if let Some(id) = id {
            self.broker.done(&self.subscriber, id);
        }
    }

    /// Sends retained messages as far as the client's window and our buffer go; true if more could go out at once.
    fn feed_retained(&mut self) -> bool {
        let now = clock::now();
        for _ in 0..COLLECT {
            let Some(feed) = self.feeds.front_mut() else { return false };
            let Some(delivery) = feed.next(&self.broker) else {
                self.feeds.pop_front();
                continue;
            };
            if delivery.qos > QoS::AtMostOnce && !self.session.has_room() {
                return false;
            }
            feed.advance();
            self.send(delivery, now);
        }
        !self.feeds.is_empty()
    }

    async fn read(&mut self) -> Result<(), End> {
        let mut scratch = Scratch::take();
        let n = match self.socket.stream.try_read(&mut scratch) {
            Ok(0) => return Err(End::Closed(io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(End::Closed(error)),
        };
        let buffer = if self.socket.tail.is_empty() {
            Buffer::Scratch(scratch, n)
        } else {
            let mut tail = std::mem::take(&mut self.socket.tail);
            tail.extend_from_slice(&scratch[..n]);
            Buffer::Tail(tail)
        };
        self.keep_alive.heard(clock::now());
        self.handle(buffer).await
    }

    /// Handles the whole packets in the buffer; what is left becomes the tail. The buffer is given back before anything is waited for, and
    /// nothing is handled while too much waits to be sent: then whole packets are left, the backlog.
    async fn handle(&mut self, buffer: Buffer) -> Result<(), End> {
        let mut at = 0;
        self.backlog = false;
        let max_packet_size = self.door.limits.max_packet_size.get();
        while let Some(frame) = next_frame(&buffer.bytes()[at..], max_packet_size).map_err(End::Malformed)? {
            if self.out.len() >= OUTGOING_BOUND {
                self.backlog = true;
                break;
            }
            at += frame.len();
            let packet = frame.decode_from_client(self.session.terms().version).map_err(End::Malformed)?;
            let Some(work) = self.begin(packet)? else { continue };
            let rest = {
                let mut work = pin!(self.perform(work));
                match poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
                    Poll::Ready(done) => {
                        done?;
                        continue;
                    }
                    Poll::Pending => {
                        let rest = buffer.into_rest(at);
                        work.await?;
                        rest
                    }
                }
            };
            self.socket.tail = rest;
            self.backlog = true;
            return Ok(());
        }
        self.socket.tail = buffer.into_rest(at);
        Ok(())
    }

    /// What needs no hook, no store and no time is done at once.
    fn begin(&mut self, packet: Packet<'_>) -> Result<Option<Work>, End> {
        match self.session.receive(packet, &mut self.out).map_err(End::Violation)? {
            Request::None => Ok(None),
            Request::Publish(Incoming { token, publish, topic }) => {
                let properties = publish
                    .properties
                    .map(without_connection_properties)
                    .filter(|p| **p != PublishProperties::default());
                let topic = self.publisher.topic(topic.as_str());
                let Some(topic) =
                    topic.filter(|t| crate::connect::levels(t) <= self.door.limits.max_topic_levels)
                else {
                    self.session.published(token, ReasonCode::TopicNameInvalid, None, &mut self.out);
                    return Ok(None);
                };
                let payload = Bytes::copy_from_slice(publish.payload);
                let draft = Draft { topic, payload, qos: publish.qos, retain: publish.retain, properties };
                Ok(Some(Work::Publish { token, draft }))
            }
            Request::Subscribe(subscribe) => Ok(Some(Work::Subscribe(subscribe))),
            Request::Unsubscribe(unsubscribe) => Ok(Some(Work::Unsubscribe(unsubscribe))),
            Request::Done(message) => {
                self.broker.done(&self.subscriber, message);
                Ok(None)
            }
            Request::Disconnect(disconnect) => Err(End::Goodbye(disconnect.reason)),
            // No method was agreed on, so none can go on.
            Request::Auth(_) => Err(End::Told {
                reason: ReasonCode::ProtocolError,
                text: "no authentication method was agreed on",
            }),
        }
    }

    async fn perform(&mut self, work: Work) -> Result<(), End> {
        match work {
            Work::Publish { token, draft } => {
                let topic = draft.topic.clone();
                let decision = publish(&self.broker, &mut self.publisher, draft).await;
                self.answer_publish(token, &topic, decision)
            }
            Work::Subscribe(packet) => {
                let packet_id = packet.packet_id;
                let (broker, limits) = (&*self.broker, &self.door.limits);
                let (publisher, session) = (&mut self.publisher, &mut self.session);
                let (reasons, feeds) =
                    subscribe(broker, &self.subscriber, publisher, session, limits, packet).await;
                self.session.subscribed(packet_id, reasons, None, &mut self.out);
                self.feeds.extend(feeds);
                Ok(())
            }
            Work::Unsubscribe(packet) => {
                let reasons = unsubscribe(&self.broker, &self.subscriber, &mut self.session, &packet).await;
                self.session.unsubscribed(packet.packet_id, reasons, &mut self.out);
                Ok(())
            }
        }
    }

    fn answer_publish(
        &mut self,
        token: PublishToken,
        topic: &str,
        decision: Result<Receivers, PublishError>,
    ) -> Result<(), End> {
        let error = match decision {
            Ok(receivers) => {
                self.congested |= receivers.congested;
                let reason = if receivers.count == 0 {
                    ReasonCode::NoMatchingSubscribers
                } else {
                    ReasonCode::Success
                };
                self.session.published(token, reason, None, &mut self.out);
                return Ok(());
            }
            Err(error) => error,
        };
        self.broker.refused(&error);
        match fault_kind(&error) {
            Some(_) => warn!(topic, %error, "message refused: a plugin failed"),
            None => debug!(topic, %error, "message refused"),
        }
        let can_say_no = self.session.terms().version == Version::V5;
        if !can_say_no && error.is_fault() || matches!(error, PublishError::Unknown) {
            return Err(End::NotAccepted(error));
        }
        // Before MQTT 5 a message that is not allowed is acknowledged all the same [MQTT-3.3.5-2].
        let reason = if can_say_no { error.reason_code() } else { ReasonCode::Success };
        let text = error.to_string();
        self.session.published(token, reason, Some(&text), &mut self.out);
        Ok(())
    }

    /// When to look at the time again.
    fn timer(&self) -> Option<Instant> {
        [self.keep_alive.deadline(), self.expires_at].into_iter().flatten().min().map(clock::instant)
    }

    fn look_at_time(&self) -> Result<(), End> {
        let now = clock::now();
        if self.keep_alive.deadline().is_some_and(|at| at <= now) {
            return Err(End::Told {
                reason: ReasonCode::KeepAliveTimeout,
                text: "nothing heard for one and a half keep alives",
            });
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            return Err(End::Told { reason: ReasonCode::MaximumConnectTime, text: "the grant has expired" });
        }
        Ok(())
    }

    /// The connection is over: last words, will, and what is left of the session.
    async fn leave(mut self, end: End, will: PendingWill) {
        let (ending, reason, text) = match &end {
            End::Closed(error) => {
                debug!(%error, "connection closed");
                (Ending::Abrupt, None, None)
            }
            End::Goodbye(reason) => {
                debug!(%reason, "client disconnected");
                (Ending::Goodbye(*reason), None, None)
            }
            End::Malformed(error) => {
                self.broker.counters.protocol_errors.add(1);
                info!(%error, "malformed packet, connection closed");
                (Ending::Abrupt, Some(error.reason_code()), Some(error.to_string()))
            }
            End::Violation(violation) => {
                self.broker.counters.protocol_errors.add(1);
                info!(%violation, "protocol violation, connection closed");
                (Ending::Abrupt, Some(violation.reason_code()), Some(violation.to_string()))
            }
            End::NotAccepted(error) => (Ending::Abrupt, Some(error.reason_code()), Some(error.to_string())),
            End::TakenOver { new_session, .. } => {
                debug!("session taken over");
                let ending = if *new_session { Ending::Replaced } else { Ending::TakenOver };
                (ending, Some(ReasonCode::SessionTakenOver), None)
            }
            End::Panicked => (Ending::Abrupt, Some(ReasonCode::ImplementationSpecificError), None),
            End::Told { reason, text } => {
                debug!(%reason, text, "disconnected");
                (Ending::Abrupt, Some(*reason), Some((*text).to_owned()))
            }
        };
        if let Some(reason) = reason {
            self.session.disconnect(reason, text.as_deref(), &mut self.out);
        }
        let Self { broker, mut socket, mut out, session, subscriber, mut publisher, .. } = self;
        // Take what can be written out of the way, but let nobody wait for it: the session is free before the socket is.
        let _ = socket.write(&mut out);
        let expiry = session.expiry();
        let lives_on = expiry > 0 && ending != Ending::Replaced;
        let fate = will.fate(ending, expiry);
        let mut delayed = None;
        let mut now_due = None;
        match fate {
            WillFate::None => {}
            WillFate::Publish(will) => now_due = Some(will),
            WillFate::Delay(will, delay) => delayed = Some((will, clock::now().after(delay))),
        }
        if let Some(will) = now_due {
            broker.publish_will(&mut publisher, will).await;
        }
        let state = session.end();
        if lives_on {
            let will = delayed.map(|(will, at)| DelayedWill { will, publisher: Box::new(publisher), at });
            broker.park(&subscriber, Parked { state, will, expires_at: broker.expires_at(expiry) });
        } else {
            broker.forget_parked(&subscriber, &state);
            broker.clients.end(&subscriber);
        }
        if let End::TakenOver { left, .. } = end {
            // Whoever takes over may be gone by now.
            let _ = left.send(());
        }
        socket.say_goodbye(&mut out).await;
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Topic alias and subscription identifiers belong to one connection, not to the message.
fn without_connection_properties(mut properties: Box<PublishProperties>) -> Box<PublishProperties> {
    properties.topic_alias = None;
    properties.subscription_identifiers.clear();
    properties
}

/// Bytes to take packets from.
enum Buffer {
    /// This thread's read buffer, and how much of it was read.
    Scratch(Scratch, usize),
    /// The beginning of a packet from before, and what followed.
    Tail(Vec<u8>),
}

impl Buffer {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Scratch(scratch, n) => &scratch[..*n],
            Self::Tail(tail) => tail,
        }
    }

    /// What was not handled.
    fn into_rest(self, at: usize) -> Vec<u8> {
        match self {
            Self::Scratch(scratch, n) => scratch[at..n].to_vec(),
            Self::Tail(tail) if at == tail.len() => Vec::new(),
            Self::Tail(mut tail) => {
                tail.drain(..at);
                tail
            }
        }
    }
}

/// What all log lines of a connection carry. The client identifier is filled in when it is known.
pub(crate) fn span(listener: &str, peer: &str) -> tracing::Span {
    tracing::info_span!("connection", client_id = tracing::field::Empty, listener, peer)
}
