//! The trait that plugins and native code implement.

use crate::{
    events::{Event, EventKinds},
    questions::{
        AclRequest, AuthStep, ConnectRequest, DeliverRequest, PickRequest, PublishRequest, SelectRequest,
        SubscribeRequest,
    },
    verdicts::{AclVerdict, AuthVerdict, DeliverVerdict, PublishVerdict, Selection, SubscribeVerdict},
};
use std::{future::Future, pin::Pin, sync::Arc};
use tidegate_mqtt::{Packet, SessionId};

/// A set of decisions somebody wants to take part in. Each method has its own question and answer; what is not overridden
/// passes on. Called from many threads at once.
pub trait Hooks: Send + Sync + 'static {
    /// Which of the methods below are worth calling. Read once, when the chain is built.
    fn kinds(&self) -> HookKinds;

    /// CONNECT: may this client come in?
    fn authenticate<'a>(
        &'a self,
        _request: &'a ConnectRequest<'a>,
    ) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        Reply::Now(Ok(AuthVerdict::Next))
    }

    /// AUTH: the next step of an enhanced authentication that this hook began, or of a re-authentication of a client that it let in.
    fn proceed<'a>(
        &'a self,
        _request: &'a ConnectRequest<'a>,
        _step: &'a AuthStep<'a>,
    ) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        Reply::Now(Ok(AuthVerdict::Next))
    }

    /// Whether [`Hooks::check`] and [`Hooks::on_publish`] never answer [`Reply::Later`].
    fn answers_at_once(&self) -> bool {
        false
    }

    /// PUBLISH, SUBSCRIBE, will: may this client do this?
    fn check<'a>(&'a self, _request: &'a AclRequest<'a>) -> Reply<'a, Result<AclVerdict, HookFailed>> {
        Reply::Now(Ok(AclVerdict::Next))
    }

    /// PUBLISH, after it was authorized: what becomes of this message?
    fn on_publish<'a>(
        &'a self,
        _request: &'a PublishRequest<'a>,
    ) -> Reply<'a, Result<PublishVerdict, HookFailed>> {
        Reply::Now(Ok(PublishVerdict::Next))
    }

    /// As [`Hooks::on_publish`], for several messages of one publisher at once: one verdict each, in order.
    fn on_publish_batch<'a>(
        &'a self,
        requests: &'a [PublishRequest<'a>],
    ) -> Reply<'a, Result<Vec<PublishVerdict>, HookFailed>> {
        Reply::Now(Ok(vec![PublishVerdict::Next; requests.len()]))
    }

    /// SUBSCRIBE, before it is authorized: what becomes of these subscriptions? One verdict each, in order.
    fn on_subscribe<'a>(
        &'a self,
        requests: &'a [SubscribeRequest<'a>],
    ) -> Reply<'a, Result<Vec<SubscribeVerdict>, HookFailed>> {
        Reply::Now(Ok(vec![SubscribeVerdict::Next; requests.len()]))
    }

    /// A message is matched: who gets it?
    fn select<'a>(&'a self, _request: &'a SelectRequest<'a>) -> Reply<'a, Result<Selection, HookFailed>> {
        Reply::Now(Ok(Selection { choice: crate::Choice::All, cache: std::time::Duration::ZERO }))
    }

    /// A message is for a shared subscription: which member gets it? None: the broker chooses. An index lies below the number of members.
    fn pick<'a>(&'a self, _request: &'a PickRequest<'a>) -> Reply<'a, Result<Option<u32>, HookFailed>> {
        Reply::Now(Ok(None))
    }

    /// A message leaves a recipient's queue: what does it get?
    fn on_deliver<'a>(
        &'a self,
        _request: &'a DeliverRequest<'a>,
    ) -> Reply<'a, Result<DeliverVerdict, HookFailed>> {
        Reply::Now(Ok(DeliverVerdict::Next))
    }

    /// What has happened, in batches. `lost`: events dropped since the last call. Can slow nobody.
    fn on_events<'a>(&'a self, _batch: &'a [Event], _lost: u64) -> Reply<'a, Result<(), HookFailed>> {
        Reply::Now(Ok(()))
    }

    /// An answer that it gave before was used once more, without asking again. For those who count: be quick.
    fn answered_before(&self, _question: Remembered) {}

    /// A packet came from a client that is in, and was decoded. Runs on the connection's thread: be quick. For native code only.
    fn packet_received(&self, _client: &PacketClient<'_>, _packet: &Packet<'_>) {}

    /// A packet from a client was handled: what it asked for is done, and its answer, if it has one, is on its way.
    fn packet_processed(&self, _client: &PacketClient<'_>, _kind: tidegate_mqtt::PacketType) {}

    /// A packet was encoded, and is about to be written to the client's socket: its bytes, whole.
    fn packet_sent(&self, _client: &PacketClient<'_>, _packet: &[u8]) {}
}

/// Questions whose answers are kept for a while.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Remembered {
    /// [`Hooks::check`]
    Check,
    /// [`Hooks::select`]
    Select,
}

/// Whose packet it is.
#[derive(Clone, Copy, Debug)]
pub struct PacketClient<'a> {
    /// Its session.
    pub session: SessionId,
    /// Its identifier.
    pub client_id: &'a str,
}

/// Which hooks somebody implements.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HookKinds {
    /// [`Hooks::authenticate`]
    pub authenticate: bool,
    /// [`Hooks::proceed`]. Only such a hook is asked about a CONNECT that names an authentication method: no other knows what the method
    /// asks for.
    pub proceed: bool,
    /// [`Hooks::check`]
    pub acl: bool,
    /// [`Hooks::on_publish`]
    pub publish: bool,
    /// [`Hooks::on_publish_batch`], instead of one call a message where several come at once.
    pub publish_batch: bool,
    /// [`Hooks::on_subscribe`]
    pub subscribe: bool,
    /// [`Hooks::select`] and [`Hooks::pick`]
    pub subscribers: bool,
    /// [`Hooks::on_deliver`]
    pub deliver: bool,
    /// [`Hooks::on_events`], for these kinds.
    pub events: EventKinds,
    /// [`Hooks::packet_received`], [`Hooks::packet_processed`] and [`Hooks::packet_sent`]
    pub packets: bool,
}

impl HookKinds {
    /// Those of both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            authenticate: self.authenticate | other.authenticate,
            proceed: self.proceed | other.proceed,
            acl: self.acl | other.acl,
            publish: self.publish | other.publish,
            publish_batch: self.publish_batch | other.publish_batch,
            subscribe: self.subscribe | other.subscribe,
            subscribers: self.subscribers | other.subscribers,
            deliver: self.deliver | other.deliver,
            events: self.events.union(other.events),
            packets: self.packets | other.packets,
        }
    }
}

/// An answer that is here, or one to wait for. Hot hooks answer at once, without a future being made.
pub enum Reply<'a, T> {
    /// Decided on the caller's thread.
    Now(T),
    /// The hook waits for something, such as a backend.
    Later(Pin<Box<dyn Future<Output = T> + Send + 'a>>),
}

impl<T> Reply<'_, T> {
    /// The answer, whenever it comes.
    pub async fn wait(self) -> T {
        match self {
            Self::Now(answer) => answer,
            Self::Later(future) => future.await,
        }
    }
}

/// A hook did not answer. Never the same as "yes"; what it means is decided in `chain` alone.
#[derive(Clone, Debug, thiserror::Error)]
#[error("plugin {plugin} failed: {kind}")]
pub struct HookFailed {
    /// Which plugin.
    pub plugin: Arc<str>,
    /// How.
    pub kind: FaultKind,
}

/// How a hook failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FaultKind {
    /// The guest trapped: panic, out of memory, stack overflow.
    #[error("trap: {0}")]
    Trap(Box<str>),
    /// The guest did not answer in time.
    #[error("deadline passed")]
    Deadline,
    /// Too many calls wait already.
    #[error("too many calls waiting")]
    Busy,
    /// It is asked more often than its limits allow.
    #[error("more calls than limits.calls_per_second")]
    TooOften,
    /// The breaker is open after too many faults.
    #[error("breaker open")]
    BreakerOpen,
    /// No instance could be made.
    #[error("no instance: {0}")]
    NoInstance(Box<str>),
    /// The answer breaks the contract; the text names the field.
    #[error("answer outside the contract: {0}")]
    Contract(Box<str>),
}
