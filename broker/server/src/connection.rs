//! One task a connection: it owns the socket and the session, and others reach it through its mailbox only.

mod alarm;
mod incoming;
mod outgoing;
mod socket;

pub(crate) use socket::Socket;

use crate::{
    clients::{DelayedWill, Parked, Subscriber},
    clock,
    connect::{Connected, Login, Visitor, connect, refuse_malformed},
    door::{Counted, Door},
    publish::{PublishError, Publisher, Submitted, may_publish},
    rate::Rate,
    shared::Shared,
    subscribe::RetainedFeed,
    traffic::Moved,
    watched::Watched,
};
use alarm::Alarm;
use socket::{Buffer, Held, LAST_WORDS};
use std::{
    borrow::Cow,
    collections::{HashSet, VecDeque},
    future::poll_fn,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tidegate_hooks::{EventKind, HookKinds};
use tidegate_mqtt::{DecodeError, Outgoing, Packet, PacketType, ReasonCode, Timestamp, TopicName};
use tidegate_session::{
    Delivery, Ending, KeepAlive, PendingWill, PublishToken, Session, Violation, WillFate,
};
use tidegate_store::{Outcome, QueuePage, StoreError, StoredWill, Ticket};
use tidegate_transport::{Certificate, Peer, Stream};
use tokio::{sync::oneshot, task::JoinHandle, time::Instant};
use tracing::{debug, error};

/// Outgoing bytes from which on nothing more is read from the client or taken from its mailbox.
const OUTGOING_BOUND: usize = 256 * 1024;

/// Messages of one client that wait for the store; nothing more is read from it meanwhile.
const MOST_UNSETTLED: usize = 1024;

/// A message that waits for the store.
struct Unsettled {
    token: PublishToken,
    topic: TopicName,
    submitted: Submitted,
}

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
pub(crate) fn serve(
    broker: Arc<Shared>,
    stream: Stream,
    door: Arc<Door>,
    knocking: Counted,
    arrival: Box<Arrival>,
) -> impl Future<Output = ()> + Send {
    // Boxed, as is the end: what is needed once shall not be held by every connection that is idle, before CONNECT or after.
    let entering = Box::pin(enter(broker, stream, door, knocking, arrival));
    async move {
        let Some((mut connection, will)) = entering.await else { return };
        let guard = connection.broker.clone();
        let end = guarded(&guard, pin!(connection.run())).await.unwrap_or(End::Panicked);
        Box::pin(connection.leave(end, will)).await;
    }
}

/// From the first byte to CONNACK; None if the client stays out.
async fn enter(
    broker: Arc<Shared>,
    stream: Stream,
    door: Arc<Door>,
    knocking: Counted,
    arrival: Box<Arrival>,
) -> Option<(Box<Connection>, PendingWill)> {
    let mut socket = Socket { stream, tail: Vec::new(), held: Held::new(broker.incoming.clone()) };
    let mut out = Outgoing::new();
    let visitor = arrival.visitor(&door);
    let Some(mut connected) = greet(&broker, &mut socket, visitor, arrival.deadline, &mut out).await else {
        broker.counters.connections_refused.add(1);
        socket.say_goodbye(&broker, &mut out).await;
        return None;
    };
    drop(knocking);
    let hold = Box::pin(connected.settle_in(&broker)).await;
    let Connected {
        session,
        subscriber,
        publisher,
        will,
        keep_alive,
        expires_at,
        counted,
        login,
        quotas,
        predecessor: _,
    } = connected;
    let Peer { address: _, tls } = arrival.peer;
    // What a session brings along may not be allowed any more, or to whom it now belongs.
    let reauthorize = !session.subscriptions().is_empty();
    // A client may send on without waiting for CONNACK [MQTT-3.1.4-6].
    let backlog = !socket.tail.is_empty();
    let connection = Connection {
        broker,
        door,
        counted,
        socket,
        out,
        session,
        subscriber,
        publisher,
        keep_alive,
        standing: Standing {
            expires_at,
            max_subscriptions: quotas.subscriptions.map(|most| most as usize),
            login,
            certificate: tls.and_then(|tls| tls.certificate),
        }
        .boxed(),
        rate: Rate::new(&quotas, clock::now()),
        alarm: Alarm::default(),
        reauthorize,
        to_ask: Vec::new(),
        unsettled: VecDeque::new(),
        hold: hold.map(Box::new),
        page: None,
        now: clock::now(),
        served: HookKinds::default(),
        chain: 0,
        watched: None,
        handled: PacketType::Connect,
        feeds: None,
        window_full: false,
        congested: false,
        backlog,
        moved: Moved::default(),
    };
    Some((Box::new(connection), will))
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
    // Boxed, too: the hooks are asked in it.
    Box::pin(connect(broker, visitor, socket, *packet, out)).await.ok()
}

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
    standing: Option<Box<Standing>>,
    /// From its grant.
    rate: Option<Box<Rate>>,
    alarm: Alarm,
    /// Whether its subscriptions are allowed has to be asked before anything else.
    reauthorize: bool,
    /// Deliveries about which hooks are asked first.
    to_ask: Vec<Delivery>,
    /// Messages of the client that the store has not taken yet, in the order they came.
    unsettled: VecDeque<Unsettled>,
    /// Nothing is written to the socket before this is settled: it would say what is not safe.
    hold: Option<Box<Ticket>>,
    /// What waits is on disk, and being read.
    page: Option<Box<Page>>,
    /// What time it was when this turn began, or when it read.
    now: Timestamp,
    /// What hooks there were then.
    served: HookKinds,
    /// In which generation of the chain.
    chain: u64,
    /// For hooks that see every packet.
    watched: Option<Box<Watched>>,
    /// The packet that is being handled, or was last.
    handled: PacketType,
    /// Retained messages that are still to be sent; None: none are.
    #[expect(
        clippy::box_collection,
        reason = "an empty one is 24 bytes more, and most connections have none"
    )]
    feeds: Option<Box<VecDeque<RetainedFeed>>>,
    /// As many QoS 1 and 2 messages are under way to it as may be.
    window_full: bool,
    /// A queue that this client fills is filling.
    congested: bool,
    /// The tail may hold whole packets.
    backlog: bool,
    /// What this turn moved, not yet counted.
    moved: Moved,
}

/// What only some clients have: with it, the connections of the others would be larger.
#[derive(Default)]
struct Standing {
    /// When the client's grant ends.
    expires_at: Option<Timestamp>,
    /// From its grant.
    max_subscriptions: Option<usize>,
    /// For re-authentication.
    login: Option<Box<Login>>,
    certificate: Option<Box<Certificate>>,
}

impl Standing {
    /// None if there is nothing to it.
    fn boxed(self) -> Option<Box<Self>> {
        let Self { expires_at, max_subscriptions, login, certificate } = &self;
        let is_plain =
            expires_at.is_none() && max_subscriptions.is_none() && login.is_none() && certificate.is_none();
        (!is_plain).then(|| Box::new(self))
    }
}

/// Part of a queue that is being read. A client that says something meanwhile is heard when it is there, so that PINGRESP, say, does not overtake
/// what waited before; but no later than [`PAGE_PATIENCE`]: while the store fails everything else goes on.
struct Page {
    from: u64,
    /// Positions of what was on its way to the client when reading began. It is no part of the page, even if it is acknowledged meanwhile.
    open: HashSet<u64>,
    since: Timestamp,
    reading: JoinHandle<Result<QueuePage, StoreError>>,
}

/// What a connection waited for.
enum Woken {
    /// The store has something, or somebody has.
    Told,
    Readable(io::Result<()>),
    Writable(io::Result<()>),
    PageRead(Box<Result<QueuePage, StoreError>>),
    Rung,
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
        self.look();
        if self.reauthorize {
            Box::pin(self.ask_again()).await?;
        }
        if let Some(rate) = &mut self.rate
            && rate.paused_until.is_some_and(|until| until <= self.now)
        {
            rate.paused_until = None;
            self.keep_alive.heard(self.now);
        }
        self.settle()?;
        if self.may_handle_backlog() {
            let tail = std::mem::take(&mut self.socket.tail);
            if let Some(handling) = self.handle(Buffer::Tail(tail))? {
                handling.await?;
            }
        }
        self.settle()?;
        let more = self.deliver()?;
        if !self.to_ask.is_empty() {
            let deliveries = std::mem::take(&mut self.to_ask);
            Box::pin(self.ask_and_send(deliveries)).await;
        }
        if let Some(outcome) = self.hold.as_mut().and_then(|hold| hold.known()) {
            self.hold = None;
            if outcome != Outcome::Durable {
                self.out = Outgoing::new();
                let text = "the store cannot be written".into();
                return Err(End::Told { reason: ReasonCode::ImplementationSpecificError, text });
            }
        }
        self.show_sent();
        let waited = self.out.len();
        if self.hold.is_none() {
            self.socket.write(&mut self.out).map_err(End::Closed)?;
        }
        let written = waited.saturating_sub(self.out.len());
        self.moved.bytes_sent += written as u64;
        if let Some(watched) = &mut self.watched {
            watched.wrote(written);
        }
        self.count();
        if std::mem::take(&mut self.congested) {
            tokio::task::yield_now().await;
        }
        let full = self.out.len() >= OUTGOING_BOUND;
        let paused = self.paused_until().is_some();
        if ((more || self.reauthorize) && !full) || self.may_handle_backlog() {
            // Others first: a client with much to do is no reason for them to wait.
            tokio::task::yield_now().await;
            return Ok(());
        }
        let held = self.hold.is_some();
        let pending = !held && (!self.out.is_empty() || self.socket.stream.has_pending_write());
        let full = full || self.unsettled.len() >= MOST_UNSETTLED;
        let heard_at = self.page.as_ref().map(|page| page.since.after(PAGE_PATIENCE));
        let loading = heard_at.is_some_and(|at| self.now < at);
        // Who is not heard has not been silent.
        self.alarm.set(if loading { heard_at } else { self.deadline() });
        let reads = !full && !paused && !loading;
        match poll_fn(|context| self.poll_woken(reads, pending, context)).await {
            Woken::Told => Ok(()),
            Woken::Readable(readable) => {
                readable.map_err(End::Closed)?;
                match self.read()? {
                    Some(handling) => handling.await,
                    None => Ok(()),
                }
            }
            Woken::Writable(writable) => writable.map_err(End::Closed),
            Woken::PageRead(read) => self.take_page(*read),
            Woken::Rung if loading => Ok(()),
            Woken::Rung => self.look_at_time(),
        }
    }

    /// Ready when there is something to do. By hand: the futures of a `select!` would take half a kilobyte of each idle connection.
    fn poll_woken(&mut self, reads: bool, writes: bool, context: &mut Context<'_>) -> Poll<Woken> {
        let unsettled = self.unsettled.front_mut().map(|front| &mut front.submitted.ticket);
        for ticket in unsettled.into_iter().chain(self.hold.as_deref_mut()) {
            if ticket.poll_settled(context).is_ready() {
                return Poll::Ready(Woken::Told);
            }
        }
        if reads && let Poll::Ready(readable) = self.socket.stream.poll_readable(context) {
            return Poll::Ready(Woken::Readable(readable));
        }
        if self.subscriber.mailbox.poll_told(context).is_ready() {
            return Poll::Ready(Woken::Told);
        }
        if let Some(page) = &mut self.page
            && let Poll::Ready(read) = Pin::new(&mut page.reading).poll(context)
        {
            let read = read.unwrap_or_else(|failed| Err(StoreError::Unavailable(failed.to_string().into())));
            return Poll::Ready(Woken::PageRead(Box::new(read)));
        }
        if writes && let Poll::Ready(writable) = self.socket.stream.poll_writable(context) {
            return Poll::Ready(Woken::Writable(writable));
        }
        self.alarm.poll_ring(context).map(|()| Woken::Rung)
    }

    /// What time it is, and who is to be asked: looked at once for all that is done together.
    fn look(&mut self) {
        self.now = clock::now();
        let chain = self.broker.hooks.chain();
        self.served = chain.served();
        self.chain = chain.generation();
    }

    fn may_handle_backlog(&self) -> bool {
        self.backlog
            && self.paused_until().is_none()
            && self.out.len() < OUTGOING_BOUND
            && self.unsettled.len() < MOST_UNSETTLED
    }

    /// Counts what this turn moved.
    fn count(&mut self) {
        self.moved.messages_sent += self.out.take_packets();
        if self.moved != Moved::default() {
            self.broker.traffic.add(std::mem::take(&mut self.moved));
        }
    }

    /// When to look at the time again.
    fn deadline(&self) -> Option<Timestamp> {
        let paused_until = self.paused_until();
        let keep_alive = self.keep_alive.deadline().filter(|_| paused_until.is_none());
        [keep_alive, self.expires_at(), paused_until].into_iter().flatten().min()
    }

    fn paused_until(&self) -> Option<Timestamp> {
        self.rate.as_ref().and_then(|rate| rate.paused_until)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.standing.as_ref().and_then(|standing| standing.expires_at)
    }

    fn look_at_time(&self) -> Result<(), End> {
        let now = clock::now();
        if self.paused_until().is_none() && self.keep_alive.deadline().is_some_and(|at| at <= now) {
            return Err(End::Told {
                reason: ReasonCode::KeepAliveTimeout,
                text: "nothing heard for one and a half keep alives".into(),
            });
        }
        if self.expires_at().is_some_and(|at| at <= now) {
            let text = "the grant has expired".into();
            return Err(End::Told { reason: ReasonCode::MaximumConnectTime, text });
        }
        Ok(())
    }

    /// The connection is over: last words, will, and what is left of the session.
    async fn leave(mut self: Box<Self>, end: End, will: PendingWill) {
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
                debug!(%error, peer = &*self.publisher.presence.peer, "malformed packet, connection closed");
                (Ending::Abrupt, Some(error.reason_code()), Some(error.to_string()))
            }
            End::Violation(violation) => {
                self.broker.counters.protocol_errors.add(1);
                debug!(%violation, peer = &*self.publisher.presence.peer, "protocol violation, connection closed");
                (Ending::Abrupt, Some(violation.reason_code()), Some(violation.to_string()))
            }
            End::NotAccepted(error) => (Ending::Abrupt, Some(error.reason_code()), Some(error.to_string())),
            End::TakenOver { new_session, .. } => {
                debug!(peer = &*self.publisher.presence.peer, "session taken over");
                let ending = if *new_session { Ending::Replaced } else { Ending::TakenOver };
                let text = "another connection has the client identifier".to_owned();
                (ending, Some(ReasonCode::SessionTakenOver), Some(text))
            }
            End::Panicked => (Ending::Abrupt, Some(ReasonCode::ImplementationSpecificError), None),
            End::Told { reason, text } => {
                self.broker.counters.told_to_leave.add(1);
                debug!(%reason, peer = &*self.publisher.presence.peer, %text, "disconnected");
                (Ending::Abrupt, Some(*reason), Some(text.clone().into_owned()))
            }
        };
        self.broker.events.tell(EventKind::Disconnected, |event| {
            let given = match &end {
                End::Goodbye(given) => Some(*given),
                _ => reason,
            };
            let event = event.of(self.session.id(), self.session.client_id());
            let event = event.because(given.unwrap_or(ReasonCode::UnspecifiedError));
            let event = event.with("by", if reason.is_none() { "client" } else { "broker" });
            event
                .with("peer", &*self.publisher.presence.peer)
                .with("text", text.as_deref().unwrap_or_default())
        });
        if let Some(reason) = reason {
            let reference = self.broker.config.server_reference.as_deref();
            let reference = reference.filter(|_| reason == ReasonCode::UseAnotherServer);
            self.session.disconnect(reason, text.as_deref(), reference, &mut self.out);
        }
        if let Some(hold) = &mut self.hold {
            // What is there may not be said before it is safe.
            let safe = tokio::time::timeout(LAST_WORDS, hold.until_settled()).await;
            if safe != Ok(Outcome::Durable) {
                self.out = Outgoing::new();
            }
        }
        self.show_sent();
        self.count();
        // What was taken in comes to its end: others shall have it before anybody else speaks for this session.
        while self.settle_all().await.is_err() {
            debug!("a message was not accepted, and its connection is gone");
        }
        let Self {
            broker, mut socket, mut out, mut session, subscriber, mut publisher, counted, to_ask, ..
        } = *self;
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
        subscriber.mailbox.rest(to_ask);
        let state = session.end();
        let durability = publisher.durability;
        let saved = if lives_on {
            let may = match &delayed {
                Some((will, _)) => may_publish(&broker, &mut publisher, will).await,
                None => false,
            };
            let will = delayed.map(|(will, at)| DelayedWill { will, publisher: Box::new(publisher), at });
            let stored_will = will.as_ref().filter(|_| may).map(|delayed| StoredWill {
                will: delayed.will.clone(),
                username: delayed.publisher.presence.username.clone(),
                due_at: Some(delayed.at),
            });
            let left_at = Some(clock::now());
            let saved = broker.save_session(&subscriber, expiry, left_at, stored_will.as_ref(), durability);
            broker.park(&subscriber, Parked { state, will, expires_at: broker.expires_at(expiry) });
            Some(saved)
        } else {
            let forgotten = broker.forget_session(&subscriber, &state, durability);
            broker.clients.end(&subscriber);
            forgotten
        };
        if let End::TakenOver { left, .. } = end {
            // Whoever takes over may be gone by now.
            let _ = left.send(());
        }
        // Its place is free: only its last words are still on their way.
        drop(counted);
        if let (Some(mut saved), Ending::Goodbye(_)) = (saved, ending) {
            // Whoever sees the socket close knows that its will is gone.
            saved.until_settled().await;
        }
        socket.say_goodbye(&broker, &mut out).await;
    }
}

/// See [`Page`].
const PAGE_PATIENCE: Duration = Duration::from_secs(2);

/// What log lines of a connection carry where the level `debug` is logged; without it the span would cost half a kilobyte a connection, and what
/// matters names the client by itself. The client identifier is filled in when it is known.
pub(crate) fn span(listener: &str, peer: &str) -> tracing::Span {
    tracing::debug_span!("connection", client_id = tracing::field::Empty, listener, peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of what a function of five arguments returns.
    fn size_of_future<A, B, C, D, E, F>(_: impl Fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    /// Bytes that each idle connection holds, beside what the system, tokio's list of sockets and the routing table hold. It may cost more if
    /// there is a reason: then write it here.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of_future(serve) <= 320, "the task: {}", size_of_future(serve));
        // The allocator has sizes of 896 and 1,024 bytes.
        assert!(size_of::<Connection>() <= 896, "the connection: {}", size_of::<Connection>());
        assert!(size_of::<Subscriber>() <= 208, "the session as others see it: {}", size_of::<Subscriber>());
    }
}
