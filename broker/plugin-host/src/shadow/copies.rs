//! What was asked, copied to be asked again. Lives in memory only; a CONNECT has its password in it.

use bytes::Bytes;
use tidegate_hooks::{
    AclRequest, AclVerdict, Action, Attributes, AuthStep, AuthVerdict, Candidate, ConnectRequest,
    DeliverVerdict, HookFailed, PublishRequest, PublishVerdict, Selection, SubscribeRequest,
    SubscribeVerdict,
};
use tidegate_mqtt::{
    ConnectProperties, Origin, PublishProperties, QoS, SessionId, SubscribeProperties, SubscriptionOptions,
    UserProperties, Version,
};

/// What the live generation answered.
pub(super) type Answer<T> = Result<T, HookFailed>;

/// A question, and what the live generation answered.
pub(super) enum Question {
    Authenticate(Box<ConnectCopy>, Answer<AuthVerdict>),
    Proceed(Box<(ConnectCopy, StepCopy)>, Answer<AuthVerdict>),
    Check(AclCopy, Answer<AclVerdict>),
    Publish(Box<MessageCopy>, Answer<PublishVerdict>),
    PublishBatch(Vec<MessageCopy>, Answer<Vec<PublishVerdict>>),
    Subscribe(Vec<SubscribeCopy>, Answer<Vec<SubscribeVerdict>>),
    Select(Box<MessageCopy>, Vec<CandidateCopy>, Answer<Selection>),
    Pick(Box<MessageCopy>, Box<str>, Vec<CandidateCopy>, Answer<Option<u32>>),
    Deliver(Box<MessageCopy>, SessionId, Box<str>, Answer<DeliverVerdict>),
}

pub(super) struct ConnectCopy {
    session: SessionId,
    pub(super) client_id: Box<str>,
    username: Option<Box<str>>,
    password: Option<Box<[u8]>>,
    version: Version,
    clean_start: bool,
    keep_alive: u16,
    listener: Box<str>,
    peer: Box<str>,
    allow_anonymous: bool,
    tls_subject: Option<Box<str>>,
    tls_sans: Vec<String>,
    tls_username: bool,
    properties: ConnectProperties,
}

impl ConnectCopy {
    pub(super) fn of(request: &ConnectRequest<'_>) -> Self {
        Self {
            session: request.session,
            client_id: request.client_id.into(),
            username: request.username.map(Into::into),
            password: request.password.map(Into::into),
            version: request.version,
            clean_start: request.clean_start,
            keep_alive: request.keep_alive,
            listener: request.listener.into(),
            peer: request.peer.into(),
            allow_anonymous: request.allow_anonymous,
            tls_subject: request.tls_subject.map(Into::into),
            tls_sans: request.tls_sans.to_vec(),
            tls_username: request.tls_username,
            properties: request.properties.clone(),
        }
    }

    pub(super) fn request(&self) -> ConnectRequest<'_> {
        ConnectRequest {
            session: self.session,
            client_id: &self.client_id,
            username: self.username.as_deref(),
            password: self.password.as_deref(),
            version: self.version,
            clean_start: self.clean_start,
            keep_alive: self.keep_alive,
            listener: &self.listener,
            peer: &self.peer,
            allow_anonymous: self.allow_anonymous,
            tls_subject: self.tls_subject.as_deref(),
            tls_sans: &self.tls_sans,
            tls_username: self.tls_username,
            properties: &self.properties,
        }
    }
}

pub(super) struct StepCopy {
    state: Box<[u8]>,
    data: Option<Box<[u8]>>,
    again: bool,
}

impl StepCopy {
    pub(super) fn of(step: &AuthStep<'_>) -> Self {
        Self { state: step.state.into(), data: step.data.map(Into::into), again: step.again }
    }

    pub(super) fn step(&self) -> AuthStep<'_> {
        AuthStep { state: &self.state, data: self.data.as_deref(), again: self.again }
    }
}

pub(super) struct AclCopy {
    session: SessionId,
    client_id: Box<str>,
    username: Option<Box<str>>,
    action: Action,
    topic: Box<str>,
    qos: QoS,
    retain: bool,
    attributes: Attributes,
}

impl AclCopy {
    pub(super) fn of(request: &AclRequest<'_>) -> Self {
        Self {
            session: request.session,
            client_id: request.client_id.into(),
            username: request.username.map(Into::into),
            action: request.action,
            topic: request.topic.into(),
            qos: request.qos,
            retain: request.retain,
            attributes: request.attributes.clone(),
        }
    }

    pub(super) fn request(&self) -> AclRequest<'_> {
        AclRequest {
            session: self.session,
            client_id: &self.client_id,
            username: self.username.as_deref(),
            action: self.action,
            topic: &self.topic,
            qos: self.qos,
            retain: self.retain,
            attributes: &self.attributes,
        }
    }
}

pub(super) struct MessageCopy {
    session: SessionId,
    client_id: Box<str>,
    username: Option<Box<str>>,
    topic: Box<str>,
    qos: QoS,
    retain: bool,
    payload: Bytes,
    properties: Option<PublishProperties>,
    attributes: Attributes,
    origin: Option<Origin>,
}

impl MessageCopy {
    pub(super) fn of(request: &PublishRequest<'_>) -> Self {
        Self {
            session: request.session,
            client_id: request.client_id.into(),
            username: request.username.map(Into::into),
            topic: request.topic.into(),
            qos: request.qos,
            retain: request.retain,
            payload: Bytes::copy_from_slice(request.payload),
            properties: request.properties.cloned(),
            attributes: request.attributes.clone(),
            origin: request.origin.cloned(),
        }
    }

    pub(super) fn request(&self) -> PublishRequest<'_> {
        PublishRequest {
            session: self.session,
            client_id: &self.client_id,
            username: self.username.as_deref(),
            topic: &self.topic,
            qos: self.qos,
            retain: self.retain,
            payload: &self.payload,
            properties: self.properties.as_ref(),
            attributes: &self.attributes,
            origin: self.origin.as_ref(),
        }
    }
}

/// Bytes that matter of a copy.
pub(super) fn message_size(request: &PublishRequest<'_>) -> usize {
    let properties = request.properties.map_or(0, |properties| pairs_size(&properties.user_properties));
    request.payload.len() + request.topic.len() + properties
}

/// Bytes that matter of a copy.
pub(super) fn connect_size(request: &ConnectRequest<'_>) -> usize {
    request.password.map_or(0, <[u8]>::len) + pairs_size(&request.properties.user_properties)
}

fn pairs_size(pairs: &UserProperties) -> usize {
    pairs.iter().map(|(name, value)| name.len() + value.len() + size_of::<[Box<str>; 2]>()).sum()
}

pub(super) struct SubscribeCopy {
    session: SessionId,
    client_id: Box<str>,
    username: Option<Box<str>>,
    filter: Box<str>,
    qos: QoS,
    options: SubscriptionOptions,
    properties: SubscribeProperties,
    attributes: Attributes,
}

impl SubscribeCopy {
    pub(super) fn of(request: &SubscribeRequest<'_>) -> Self {
        Self {
            session: request.session,
            client_id: request.client_id.into(),
            username: request.username.map(Into::into),
            filter: request.filter.into(),
            qos: request.qos,
            options: request.options,
            properties: request.properties.clone(),
            attributes: request.attributes.clone(),
        }
    }

    pub(super) fn request(&self) -> SubscribeRequest<'_> {
        SubscribeRequest {
            session: self.session,
            client_id: &self.client_id,
            username: self.username.as_deref(),
            filter: &self.filter,
            qos: self.qos,
            options: self.options,
            properties: &self.properties,
            attributes: &self.attributes,
        }
    }
}

pub(super) struct CandidateCopy {
    session: SessionId,
    client_id: Box<str>,
    filter: Box<str>,
    qos: QoS,
}

impl CandidateCopy {
    pub(super) fn of(candidate: &Candidate<'_>) -> Self {
        Self {
            session: candidate.session,
            client_id: candidate.client_id.into(),
            filter: candidate.filter.into(),
            qos: candidate.qos,
        }
    }

    pub(super) fn candidate(&self) -> Candidate<'_> {
        Candidate { session: self.session, client_id: &self.client_id, filter: &self.filter, qos: self.qos }
    }

    /// Bytes of that many copies.
    pub(super) fn size(candidates: &[Candidate<'_>]) -> usize {
        let size = |candidate: &Candidate<'_>| {
            size_of::<Self>() + candidate.client_id.len() + candidate.filter.len()
        };
        candidates.iter().map(size).sum()
    }
}
