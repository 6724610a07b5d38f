//! What hooks may answer.

use crate::{questions::Attributes, rules::Rule};
use bytes::Bytes;
use std::time::Duration;
use tidegate_mqtt::{
    ClientId, PublishProperties, QoS, ReasonCode, SubscriptionFilter, TopicFilter, TopicName,
};

/// Answer to a [`ConnectRequest`](crate::ConnectRequest).
#[derive(Clone, Debug, PartialEq)]
pub enum AuthVerdict {
    /// Not mine to decide.
    Next,
    /// Come in, under these terms.
    Grant(Box<Grant>),
    /// Prove more: the client is asked with AUTH, its answer goes to [`Hooks::proceed`](crate::Hooks::proceed). Only for a client that named
    /// an authentication method.
    Challenge(Challenge),
    /// Stay out.
    Refuse(Refusal),
}

/// A question to a client that authenticates in steps.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Challenge {
    /// For the client.
    pub data: Option<Bytes>,
    /// Comes back with the client's answer, so that the hook itself need not remember.
    pub state: Bytes,
}

/// The terms under which a client comes in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grant {
    /// Replaces the client identifier.
    pub client_id: Option<ClientId>,
    /// Replaces the username.
    pub username: Option<Box<str>>,
    /// Evaluated by the broker itself, in order; the first that applies decides.
    pub rules: Vec<Rule>,
    /// For its rules, and for later hooks to see.
    pub attributes: Attributes,
    /// What it may use up.
    pub quotas: Quotas,
    /// The client is disconnected after this long.
    pub expires: Option<Duration>,
    /// The last data of an enhanced authentication, for the client.
    pub data: Option<Bytes>,
}

/// What a client may use up. What is None is as the broker's config says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Quotas {
    /// PUBLISH packets a second; who is faster is read more slowly.
    pub messages_per_second: Option<u32>,
    /// Bytes a second; who is faster is read more slowly.
    pub bytes_per_second: Option<u32>,
    /// Subscriptions (0x97).
    pub subscriptions: Option<u32>,
    /// QoS 1 and 2 messages under way at once, in each direction.
    pub inflight: Option<u16>,
}

/// A refusal with its reason code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// 0x80 or above.
    pub code: ReasonCode,
    /// Reason String for MQTT 5 clients.
    pub text: Option<Box<str>>,
}

/// Answer to an [`AclRequest`](crate::AclRequest).
#[derive(Clone, Debug, PartialEq)]
pub enum AclVerdict {
    /// Not mine to decide.
    Next,
    /// Yes, for the whole span.
    Allow(Span),
    /// No, for the whole span.
    Deny(Span),
}

/// How far an ACL answer reaches, so that one call covers a subtree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Span {
    /// Matches (or covers, for a subscription) the topic that was asked about.
    pub filter: TopicFilter,
    /// For how long; zero: this once.
    pub ttl: Duration,
}

/// Answer to a [`PublishRequest`](crate::PublishRequest).
#[derive(Clone, Debug, PartialEq)]
pub enum PublishVerdict {
    /// Nothing to say; ask the next hook.
    Next,
    /// Good as it is; ask no further hook.
    Accept,
    /// Change it, then ask the next hook.
    Edit(Box<Patch>),
    /// Refuse it with this reason code.
    Refuse(ReasonCode),
    /// Acknowledge it, deliver it to nobody.
    Swallow,
}

/// Changes to a message; what is None stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patch {
    /// New topic; authorized again if it differs.
    pub topic: Option<TopicName>,
    /// New payload.
    pub payload: Option<Bytes>,
    /// New quality of service towards the subscribers.
    pub qos: Option<QoS>,
    /// New RETAIN flag.
    pub retain: Option<bool>,
    /// New properties, all of them.
    pub properties: Option<Box<PublishProperties>>,
}

/// Answer to a [`SubscribeRequest`](crate::SubscribeRequest).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SubscribeVerdict {
    /// Nothing to say; ask the next hook.
    Next,
    /// Good as it is; ask no further hook.
    Accept,
    /// Change it, then ask the next hook.
    Edit(SubscribeChange),
    /// Refuse it with this reason code.
    Refuse(ReasonCode),
}

/// Changes to a subscription; what is None stays.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SubscribeChange {
    /// New filter.
    pub filter: Option<SubscriptionFilter>,
    /// New maximum quality of service, not above the one asked for.
    pub qos: Option<QoS>,
}

/// Answer to a [`SelectRequest`](crate::SelectRequest).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Selection {
    /// Who stays.
    pub choice: Choice,
    /// How long the answer holds for the same publisher and topic; zero: this once.
    pub cache: Duration,
}

/// A part of the candidates, by index. Indexes lie below their number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Choice {
    /// Each of them.
    All,
    /// These.
    Only(Vec<u32>),
    /// All but these.
    Except(Vec<u32>),
}

/// Answer to a [`DeliverRequest`](crate::DeliverRequest).
#[derive(Clone, Debug, PartialEq)]
pub enum DeliverVerdict {
    /// Nothing to say; ask the next hook.
    Next,
    /// Change it, then ask the next hook. QoS and RETAIN of the patch are None.
    Edit(Box<Patch>),
    /// This recipient does not get it.
    Drop,
}

impl Patch {
    /// Lays `later` over this patch.
    pub(crate) fn extend(&mut self, later: Self) {
        let Self { topic, payload, qos, retain, properties } = later;
        self.topic = topic.or(self.topic.take());
        self.payload = payload.or(self.payload.take());
        self.qos = qos.or(self.qos);
        self.retain = retain.or(self.retain);
        self.properties = properties.or(self.properties.take());
    }
}
