//! The trait that plugins and native code implement.

use crate::{
    questions::{AclRequest, AuthStep, ConnectRequest, PublishRequest},
    verdicts::{AclVerdict, AuthVerdict, PublishVerdict},
};
use std::{future::Future, pin::Pin, sync::Arc};

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
