//! Somebody who looks on: what was asked, and what the whole chain made of it. Decides nothing.

use crate::{
    chain::{
        AuthOutcome, AuthRefusal, Authorization, Permissions, PublishOutcome, PublishRefusal, Selected,
        SubscribeOutcome,
    },
    hooks::HookFailed,
    questions::{
        AclRequest, AuthStep, ConnectRequest, DeliverRequest, PickRequest, PublishRequest, SelectRequest,
        SubscribeRequest,
    },
    verdicts::Patch,
};
use std::sync::Arc;

/// Told of every question to the chain it looks at, on the thread that asks: be quick. While there is one, messages and
/// subscriptions that no member is asked about come by, too; without one, nothing is told to nobody at the price of a branch.
pub trait Observer: Send + Sync {
    /// CONNECT.
    fn authenticated(&self, request: &ConnectRequest<'_>, outcome: &Result<AuthOutcome, AuthRefusal>);

    /// AUTH.
    fn proceeded(
        &self,
        request: &ConnectRequest<'_>,
        step: &AuthStep<'_>,
        outcome: &Result<AuthOutcome, AuthRefusal>,
    );

    /// PUBLISH, SUBSCRIBE or a will, unless it is known already that it is allowed.
    fn authorized(
        &self,
        permissions: &Permissions,
        request: &AclRequest<'_>,
        answer: &Result<Authorization, HookFailed>,
    );

    /// A message that was authorized.
    fn published(&self, request: &PublishRequest<'_>, outcome: &Result<PublishOutcome, PublishRefusal>);

    /// The filters of a SUBSCRIBE, before those that nobody refused are authorized one after the other.
    fn subscribed(&self, requests: &[SubscribeRequest<'_>], outcomes: &[SubscribeOutcome]);

    /// Recipients, where a member was asked about them.
    fn selected(&self, request: &SelectRequest<'_>, selected: &Selected);

    /// A member of a shared subscription, where a member of the chain was asked for one.
    fn picked(&self, request: &PickRequest<'_>, member: Option<usize>);

    /// A delivery, where a member was asked about it.
    fn delivered(&self, request: &DeliverRequest<'_>, outcome: &Result<Option<Box<Patch>>, Arc<str>>);
}

/// Whoever looks on, if anybody does.
#[derive(Clone, Default)]
pub(crate) struct Observed(Option<Arc<dyn Observer>>);

impl Observed {
    pub(crate) fn by(observer: Option<Arc<dyn Observer>>) -> Self {
        Self(observer)
    }

    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    #[inline]
    pub(crate) fn tell(&self, what: impl FnOnce(&dyn Observer)) {
        if let Some(observer) = &self.0 {
            what(&**observer);
        }
    }
}

impl std::fmt::Debug for Observed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Observed").field(&self.0.is_some()).finish()
    }
}
