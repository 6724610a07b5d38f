//! PUBLISH, SUBSCRIBE and wills: what a client may do.

use crate::bindings::{acl::exports::tidegate::plugin::acl, lifecycle::tidegate::plugin::types};
use std::{fmt, time::Duration};
use tidegate_mqtt::QoS;

/// The hook for PUBLISH, SUBSCRIBE and wills.
pub trait Acl {
    /// May this client do this? Must answer at once.
    fn check(&mut self, request: AclRequest) -> Decision;
}

/// What a client wants to do with a topic.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Action {
    /// Publish to a topic; asked for wills too.
    #[default]
    Publish,
    /// Subscribe with a filter.
    Subscribe,
    /// Receive a message. Asked only where a rule or plugin wants it.
    Receive,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Receive => "receive",
        })
    }
}

impl From<types::Action> for Action {
    fn from(action: types::Action) -> Self {
        match action {
            types::Action::Publish => Self::Publish,
            types::Action::Subscribe => Self::Subscribe,
            types::Action::Receive => Self::Receive,
        }
    }
}

impl From<Action> for types::Action {
    fn from(action: Action) -> Self {
        match action {
            Action::Publish => Self::Publish,
            Action::Subscribe => Self::Subscribe,
            Action::Receive => Self::Receive,
        }
    }
}

/// May this client do this?
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AclRequest {
    /// Who asks, unique in the life of the broker.
    pub session: u64,
    /// Who asks.
    pub client_id: String,
    /// Who asks, as authenticated.
    pub username: Option<String>,
    /// What for.
    pub action: Action,
    /// A topic name, or for [`Action::Subscribe`] a topic filter without `$share/NAME/`.
    pub topic: String,
    /// Of the PUBLISH, or wanted by the subscription.
    pub qos: QoS,
    /// Of the PUBLISH.
    pub retain: bool,
}

impl From<acl::Request> for AclRequest {
    fn from(request: acl::Request) -> Self {
        Self {
            session: request.session,
            client_id: request.client_id,
            username: request.username,
            action: request.action.into(),
            topic: request.topic,
            qos: QoS::try_from(request.qos).unwrap_or_default(),
            retain: request.retain,
        }
    }
}

/// Answer to an [`AclRequest`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Not mine to decide; ask the next plugin. If nobody decides the answer is no.
    Next,
    /// Yes, for the whole span.
    Allow(Span),
    /// No, for the whole span.
    Deny(Span),
}

/// How far an answer reaches, so that one call covers a subtree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Span {
    /// Matches the topic that was asked about, or covers the subscription. The answer holds for this client and action on every
    /// topic, and every subscription, within it.
    pub filter: String,
    /// For how long; zero: this once.
    pub ttl: Duration,
}

impl Span {
    /// The answer holds on every topic under `filter` for as long as `ttl`.
    pub fn new(filter: impl Into<String>, ttl: Duration) -> Self {
        Self { filter: filter.into(), ttl }
    }

    /// The answer holds for this question only.
    pub fn once(request: &AclRequest) -> Self {
        Self::new(&request.topic, Duration::ZERO)
    }
}

impl From<Span> for acl::Span {
    fn from(Span { filter, ttl }: Span) -> Self {
        Self { filter, ttl_ms: u32::try_from(ttl.as_millis()).unwrap_or(u32::MAX) }
    }
}

impl From<Decision> for acl::Decision {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Next => Self::Next,
            Decision::Allow(span) => Self::Allow(span.into()),
            Decision::Deny(span) => Self::Deny(span.into()),
        }
    }
}
