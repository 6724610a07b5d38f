//! One task a connection: it owns the socket and the session, and others reach it through its mailbox only.

use crate::{
    clients::{DelayedWill, Parked, Subscriber},
    clock,
    connect::{Connected, Login, Step, Visitor, connect, levels, refuse_malformed},
    door::{Counted, Door},
    mailbox::{Budget, Command},
    publish::{Draft, PublishError, Publisher, Receivers, fault_kind, publish},
    scratch::Scratch,
    shared::Shared,
    subscribe::{RetainedFeed, subscribe, unsubscribe},
    traffic::Moved,
};
use bytes::Bytes;
use std::{
    borrow::Cow,
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};
use tidegate_mqtt::{
    DecodeError, Outgoing, Packet, PublishProperties, QoS, ReasonCode, Subscribe, Unsubscribe, Version,
    next_frame,
};
use tidegate_session::{
    AuthStep, Delivered, Delivery, Ending, Incoming, KeepAlive, PendingWill, PublishToken, Request, Session,
    Violation, WillFate,
};
use tidegate_transport::{Certificate, Peer, Stream};
use tokio::{sync::oneshot, time::Instant};
use tracing::{debug, error, warn};

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
    Told { reason: ReasonCode, text: Cow<'static, str> },
}

/// Who comes, and until when it must have come in. In a box: a connection that is in holds it no more.
pub(crate) struct Arrival {
    pub(crate) peer: Peer,
    pub(crate) deadline: Instant,
}

impl Arrival {
    fn visitor<'a>(&'a self, door: &'a Arc<Door>) -> Visitor<'a> {
        Visitor { door, peer: &self.peer.address, certificate: self.peer.certificate() }
    }
}

/// Serves one client from its first byte to its last.
pub(crate) async fn serve(
    broker: Arc<Shared>,
    stream: Stream,
    door: Arc<Door>,
    knocking: Counted,
    arrival: Box<Arrival>,
) {
    let mut socket = Socket { stream, tail: Vec::new(), held: Held::new(broker.incoming.clone()) };
    let mut out = Outgoing::new();
    let visitor = arrival.visitor(&door);
    let Some(connected) = greet(&broker, &mut socket, visitor, arrival.deadline, &mut out).await else {
        broker.counters.connections_refused.add(1);
        return socket.say_goodbye(&broker, &mut out).await;
    };
    drop(knocking);
    let Connected { session, subscriber, publisher, will, keep_alive, expires_at, counted, login } =
        connected;
    let Peer { address: peer, tls } = arrival.peer;
    // A client may send on without waiting for CONNACK [MQTT-3.1.4-6].
    let backlog = !socket.tail.is_empty();
    let mut connection = Connection {
        broker,
        door,
        counted,
        socket,
        out,
        session,
        subscriber,
        publisher,
        keep_alive,
        expires_at,
        login,
        peer: peer.into(),
        certificate: tls.and_then(|tls| tls.certificate),
        feeds: VecDeque::new(),
        congested: false,
        backlog,
        moved: Moved::default(),
    };
    let guard = connection.broker.clone();
    let end = guarded(&guard, pin!(connection.run())).await.unwrap_or(End::Panicked);
    Box::pin(connection.leave(end, will)).await;
}

/// Our own fault.
pub(crate) struct Panicked;

/// A panic ends its connection only; it is said and counted.
///
/// Takes the future where it is: one that was moved in would lie in memory twice.
pub(crate) async fn guarded<T>(
    broker: &Shared,
    mut future: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Panicked> {
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

/// Lets a client in, or not; None also if it takes too long, or we are at fault.
async fn greet(
    broker: &Arc<Shared>,
    socket: &mut Socket,
    visitor: Visitor<'_>,
    deadline: Instant,
    out: &mut Outgoing,
) -> Option<Connected> {
    let mut stopping = broker.stopping.clone();
    let hello = async {
        tokio::select! {
            said = hello(broker, socket, visitor, out) => said,
            // Nobody comes in any more.
            _ = stopping.wait_for(|stopping| *stopping) => None,
            () = tokio::time::sleep_until(deadline) => {
                debug!(peer = visitor.peer, "no CONNECT in time");
                None
            }
        }
    };
    guarded(broker, pin!(hello)).await.ok().flatten()
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
            debug!(peer = visitor.peer, %error, "closed before CONNECT");
            return None;
        }
        broker.traffic.add(Moved { bytes_received: socket.tail.len() as u64, ..Moved::default() });
        match socket.first_packet(visitor.door.limits.max_packet_size.get()) {
            Ok(Some(packet)) => break packet,
            Ok(None) => {}
            Err(error) => {
                refuse_malformed(broker, &socket.tail, &error, out);
                broker.counters.protocol_errors.add(1);
                debug!(peer = visitor.peer, %error, reason = %error.reason_code(), "no CONNECT");
                return None;
            }
        }
    };
    let Packet::Connect(packet) = packet else {
        // [MQTT-3.1.0-1]
        broker.counters.protocol_errors.add(1);
        debug!(peer = visitor.peer, "the first packet is not CONNECT");
        return None;
    };
    // Boxed, as is the end: what is needed once shall not be held by every connection that is idle, before CONNECT or after.
    Box::pin(connect(broker, visitor, socket, *packet, out)).await.ok()
}

/// A socket and the beginning of a packet whose end is not there yet. While idle it holds no buffer.
pub(crate) struct Socket {
    stream: Stream,
    tail: Vec<u8>,
    held: Held,
}

impl Socket {
    /// Waits for bytes and appends them to the tail.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        loop {
            self.stream.readable().await?;
            let mut scratch = Scratch::take();
            match self.stream.try_read(&mut scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.tail.extend_from_slice(&scratch[..n]);
                    return if self.held.hold(self.tail.capacity()) {
                        Ok(())
                    } else {
                        Err(io::Error::other("too many bytes of half-sent packets"))
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a packet from before CONNACK out of the tail. Others than CONNECT, AUTH and DISCONNECT have no place there and look alike.
    pub(crate) fn first_packet(
        &mut self,
        max_packet_size: u32,
    ) -> Result<Option<Packet<'static>>, DecodeError> {
        let Some(frame) = next_frame(&self.tail, max_packet_size)? else { return Ok(None) };
        let len = frame.len();
        let packet = match frame.decode_from_client(Version::V5)? {
            Packet::Connect(connect) => Packet::Connect(connect),
            Packet::Auth(auth) => Packet::Auth(auth),
            Packet::Disconnect(disconnect) => Packet::Disconnect(disconnect),
            _ => Packet::PingReq,
        };
        self.tail.drain(..len);
        Ok(Some(packet))
    }

    /// Writes as much as the socket takes now.
    fn write(&mut self, out: &mut Outgoing) -> io::Result<()> {
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
        self.stream.flush()
    }

    /// Writes everything.
    pub(crate) async fn flush(&mut self, out: &mut Outgoing) -> io::Result<()> {
        loop {
            self.write(out)?;
            if out.is_empty() && !self.stream.has_pending_write() {
                return Ok(());
            }
            self.stream.writable().await?;
        }
    }

    /// The last words, if the client takes them at once or nearly so.
    async fn say_goodbye(&mut self, broker: &Shared, out: &mut Outgoing) {
        if *broker.stopping.borrow() {
            self.stream.going_away();
        }
        let last_words = async {
            if self.flush(out).await.is_err() {
                return;
            }
            // Closing with unread bytes would reset the connection, and the client might never see the last words.
            let _ = self.stream.shutdown().await;
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
    /// Its place among those who are in.
    counted: Counted,
    socket: Socket,
    out: Outgoing,
    session: Session,
    subscriber: Arc<Subscriber>,
    publisher: Publisher,
    keep_alive: KeepAlive,
    /// When the client's grant ends.
    expires_at: Option<tidegate_mqtt::Timestamp>,
    /// For re-authentication.
    login: Option<Box<Login>>,
    peer: Box<str>,
    certificate: Option<Box<Certificate>>,
    feeds: VecDeque<RetainedFeed>,
    /// A queue that this client fills is filling.
    congested: bool,
    /// The tail may hold whole packets.
    backlog: bool,
    /// What this turn moved, not yet counted.
    moved: Moved,
}

/// What a packet asks for that may take time. Owns what it needs: the read buffer is given back before anything is waited for.
enum Work {
    Publish { token: PublishToken, draft: Draft },
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Authenticate(AuthStep),
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
        let waited = self.out.len();
        self.socket.write(&mut self.out).map_err(End::Closed)?;
        self.moved.bytes_sent += waited.saturating_sub(self.out.len()) as u64;
        self.count();
        if std::mem::take(&mut self.congested) {
            tokio::task::yield_now().await;
        }
        let full = self.out.len() >= OUTGOING_BOUND;
        if (more || self.backlog) && !full {
            // Others first: a client with much to do is no reason for them to wait.
            tokio::task::yield_now().await;
            return Ok(());
        }
        let pending = !self.out.is_empty() || self.socket.stream.has_pending_write();
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
                Some(Command::Disconnect { reason, text }) => {
                    return Err(End::Told { reason, text: text.into() });
                }
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

    /// Counts what this turn moved.
    fn count(&mut self) {
        self.moved.messages_sent += u64::from(self.out.take_packets());
        if self.moved != Moved::default() {
            self.broker.traffic.add(std::mem::take(&mut self.moved));
        }
    }

    fn send(&mut self, delivery: Delivery, now: tidegate_mqtt::Timestamp) {
        let payload = delivery.message.payload.len() as u64;
        let id = (delivery.qos > QoS::AtMostOnce).then_some(delivery.message.id);
        let counter = match self.session.deliver(delivery, now, &mut self.out) {
            Delivered::Sent => {
                self.moved.publishes_sent += 1;
                self.moved.publish_bytes_sent += payload;
                return;
            }
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
        self.moved.bytes_received += n as u64;
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
            self.moved.messages_received += 1;
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
            self.backlog = true;
            return self.keep(rest);
        }
        let rest = buffer.into_rest(at);
        self.keep(rest)
    }

    /// Keeps the beginning of a packet until the rest comes, if there is room for it among all that is half-sent.
    fn keep(&mut self, rest: Vec<u8>) -> Result<(), End> {
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
    fn begin(&mut self, packet: Packet<'_>) -> Result<Option<Work>, End> {
        match self.session.receive(packet, &mut self.out).map_err(End::Violation)? {
            Request::None => Ok(None),
            Request::Publish(Incoming { token, publish, topic }) => {
                let properties = publish
                    .properties
                    .map(without_connection_properties)
                    .filter(|p| **p != PublishProperties::default());
                self.moved.publishes_received += 1;
                self.moved.publish_bytes_received += publish.payload.len() as u64;
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
            Request::Authenticate(step) => Ok(Some(Work::Authenticate(step))),
        }
    }

    async fn perform(&mut self, work: Work) -> Result<(), End> {
        match work {
            Work::Publish { token, draft } => {
                let topic = draft.topic.clone();
                let decision = publish(&self.broker, &mut self.publisher, draft).await;
                self.answer_publish(token, &topic, decision)
            }
            // Boxed: what is rare shall not be held by every idle connection.
            Work::Subscribe(packet) => Box::pin(self.subscribe(packet)).await,
            Work::Unsubscribe(packet) => Box::pin(self.unsubscribe(packet)).await,
            Work::Authenticate(step) => Box::pin(self.authenticate(step)).await,
        }
    }

    async fn subscribe(&mut self, packet: Subscribe) -> Result<(), End> {
        let packet_id = packet.packet_id;
        let bounds = (&self.door.limits, self.door.mount_point.as_ref());
        let (publisher, session) = (&mut self.publisher, &mut self.session);
        let granted = subscribe(&self.broker, &self.subscriber, publisher, session, bounds, packet).await;
        self.session.subscribed(packet_id, granted.reasons, granted.text.as_deref(), &mut self.out);
        self.feeds.extend(granted.feeds);
        Ok(())
    }

    async fn unsubscribe(&mut self, packet: Unsubscribe) -> Result<(), End> {
        let mount_point = self.door.mount_point.as_ref();
        let reasons =
            unsubscribe(&self.broker, &self.subscriber, &mut self.session, mount_point, &packet).await;
        self.session.unsubscribed(packet.packet_id, reasons, &mut self.out);
        Ok(())
    }

    /// A step of a re-authentication.
    async fn authenticate(&mut self, step: AuthStep) -> Result<(), End> {
        let certificate = self.certificate.as_deref();
        let visitor = Visitor { door: &self.door, peer: &self.peer, certificate };
        let refused =
            |(reason, text): (ReasonCode, Box<str>)| End::Told { reason, text: String::from(text).into() };
        // The session has checked that a method was agreed on.
        let Some(login) = &mut self.login else {
            return Err(refused((
                ReasonCode::ProtocolError,
                "no authentication method was agreed on".into(),
            )));
        };
        let proceeding = login.proceed(&self.broker, visitor, &self.publisher.client_id, step);
        match proceeding.await.map_err(refused)? {
            Step::Challenge(data) => self.session.challenge(data, &mut self.out),
            Step::In(granted) => {
                self.publisher.permissions = granted.permissions;
                self.expires_at = granted.expires.map(|after| clock::now().after(after));
                self.session.authenticated(granted.data, &mut self.out);
            }
        }
        Ok(())
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
        if !can_say_no && error.must_not_look_accepted() || matches!(error, PublishError::Unknown) {
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
                text: "nothing heard for one and a half keep alives".into(),
            });
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            let text = "the grant has expired".into();
            return Err(End::Told { reason: ReasonCode::MaximumConnectTime, text });
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
                debug!(%error, peer = &*self.peer, "malformed packet, connection closed");
                (Ending::Abrupt, Some(error.reason_code()), Some(error.to_string()))
            }
            End::Violation(violation) => {
                self.broker.counters.protocol_errors.add(1);
                debug!(%violation, peer = &*self.peer, "protocol violation, connection closed");
                (Ending::Abrupt, Some(violation.reason_code()), Some(violation.to_string()))
            }
            End::NotAccepted(error) => (Ending::Abrupt, Some(error.reason_code()), Some(error.to_string())),
            End::TakenOver { new_session, .. } => {
                debug!(peer = &*self.peer, "session taken over");
                let ending = if *new_session { Ending::Replaced } else { Ending::TakenOver };
                let text = "another connection has the client identifier".to_owned();
                (ending, Some(ReasonCode::SessionTakenOver), Some(text))
            }
            End::Panicked => (Ending::Abrupt, Some(ReasonCode::ImplementationSpecificError), None),
            End::Told { reason, text } => {
                self.broker.counters.told_to_leave.add(1);
                debug!(%reason, peer = &*self.peer, %text, "disconnected");
                (Ending::Abrupt, Some(*reason), Some(text.clone().into_owned()))
            }
        };
        if let Some(reason) = reason {
            let reference = self.broker.config.server_reference.as_deref();
            let reference = reference.filter(|_| reason == ReasonCode::UseAnotherServer);
            self.session.disconnect(reason, text.as_deref(), reference, &mut self.out);
        }
        self.count();
        let Self { broker, mut socket, mut out, mut session, subscriber, mut publisher, counted, .. } = self;
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
        if !matches!(ending, Ending::TakenOver | Ending::Replaced) {
            subscriber.mailbox.set_connected(false);
            broker.hand_over(&subscriber, &mut session);
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
        // Its place is free: only its last words are still on their way.
        drop(counted);
        socket.say_goodbye(&broker, &mut out).await;
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

/// What the beginning of a packet takes from the bytes that all half-sent packets together may.
struct Held {
    bytes: usize,
    of: Arc<Budget>,
}

/// Each connection may keep this much without asking.
const FREE_BYTES: usize = 16 * 1024;
/// What is taken at once.
const PIECE_BYTES: usize = 64 * 1024;

impl Held {
    fn new(of: Arc<Budget>) -> Self {
        Self { bytes: 0, of }
    }

    /// Holds as much as `bytes` ask for; false if that is too much.
    fn hold(&mut self, bytes: usize) -> bool {
        let wanted = bytes.saturating_sub(FREE_BYTES).div_ceil(PIECE_BYTES) * PIECE_BYTES;
        if wanted > self.bytes {
            if !self.of.take(wanted - self.bytes) {
                return false;
            }
        } else {
            self.of.give_back(self.bytes - wanted);
        }
        self.bytes = wanted;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.give_back(self.bytes);
    }
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
