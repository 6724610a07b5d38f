//! The path of a message through the broker. Only this file knows the order of its steps.

use crate::{
    clients::Subscriber,
    clock,
    mailbox::{Posted, Readiness},
    shared::Shared,
};
use bytes::Bytes;
use std::{collections::HashMap, sync::Arc};
use tidegate_hooks::{
    AclRequest, Action, Attributes, Authorization, Chain, FaultKind, HookFailed, InScope, Patch, Permissions,
    PublishOutcome, PublishRefusal, PublishRequest,
};
use tidegate_mqtt::{
    ClientId, Heads, HomeId, Message, MessageId, PublishProperties, QoS, ReasonCode, SessionId,
    SubscriptionFilter, Timestamp, TopicName, Will,
};
use tidegate_routing::{Generation, Match, Matches, SharedMatch};
use tidegate_session::Delivery;
use tidegate_store::{Outcome, Retention, StoreError};

/// Somebody who publishes: a client, or a client's will.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) session: SessionId,
    pub(crate) client_id: ClientId,
    pub(crate) username: Option<Box<str>>,
    pub(crate) attributes: Attributes,
    pub(crate) permissions: Permissions,
    /// Stands before every topic, unseen by the client.
    mount_point: Option<TopicName>,
    topics: HashMap<TopicName, Known, ahash::RandomState>,
    sequence: std::ops::Range<u64>,
}

/// What is known about a topic that this publisher has used before.
#[derive(Clone, Debug)]
struct Known {
    routes: Generation,
    chain: u64,
    in_scope: InScope,
    matches: Arc<Matches<Arc<Subscriber>>>,
}

/// Topics kept a publisher; when there are more, it starts anew.
const KNOWN_TOPICS: usize = 256;
/// Message numbers a publisher takes at once, so that the shared counter is touched rarely.
const SEQUENCE_BLOCK: u64 = 64;

/// A message on its way in.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) topic: TopicName,
    pub(crate) payload: Bytes,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Without topic alias and subscription identifiers.
    pub(crate) properties: Option<Box<PublishProperties>>,
}

/// A message was accepted, and what it promises is safe.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Receivers {
    /// Sessions that get it.
    pub(crate) count: usize,
    /// A queue is filling: let others run before the next message.
    pub(crate) congested: bool,
}

/// Why a message was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// A rule or plugin says no.
    #[error("not authorized to publish to {0}")]
    Denied(TopicName),
    /// A plugin failed where it was asked for permission.
    #[error(transparent)]
    Fault(#[from] HookFailed),
    /// A plugin refuses the message, or failed on it.
    #[error(transparent)]
    Refused(#[from] PublishRefusal),
    /// No room for another retained message.
    #[error("too many retained messages")]
    RetainedFull,
    /// Nobody knows yet whether the message is stored. It is neither acknowledged nor refused.
    #[error("nobody knows whether the message was stored")]
    Unknown,
    /// The store cannot write.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PublishError {
    /// What an MQTT 5 publisher is told.
    pub(crate) fn reason_code(&self) -> ReasonCode {
        match self {
            Self::Denied(_) => ReasonCode::NotAuthorized,
            Self::Fault(_) | Self::Unknown | Self::Store(_) => ReasonCode::ImplementationSpecificError,
            Self::Refused(refusal) => refusal.code,
            Self::RetainedFull => ReasonCode::QuotaExceeded,
        }
    }

    /// Whether an acknowledgement would be a lie where the protocol version has no other way to say no: then the connection ends
    /// [MQTT-4.8.0-2] (3.1.1).
    pub(crate) fn must_not_look_accepted(&self) -> bool {
        self.is_fault() || matches!(self, Self::RetainedFull)
    }

    /// Whether we, not the publisher, are at fault: then nothing may look like an acknowledgement, even where the protocol version has no
    /// other way to say no.
    pub(crate) fn is_fault(&self) -> bool {
        match self {
            Self::Fault(_) | Self::Store(_) | Self::Unknown => true,
            Self::Refused(refusal) => refusal.fault.is_some(),
            Self::Denied(_) | Self::RetainedFull => false,
        }
    }
}

impl Publisher {
    pub(crate) fn new(
        session: SessionId,
        client_id: ClientId,
        username: Option<Box<str>>,
        attributes: Attributes,
        permissions: Permissions,
        mount_point: Option<TopicName>,
    ) -> Self {
        let topics = HashMap::default();
        Self { session, client_id, username, attributes, permissions, mount_point, topics, sequence: 0..0 }
    }

    /// The topic as a name, mount point included: the one kept from before, or a new one.
    pub(crate) fn topic(&self, text: &str) -> Option<TopicName> {
        let mounted = self.mount_point.as_ref().map(|mount_point| format!("{mount_point}{text}"));
        let text = mounted.as_deref().unwrap_or(text);
        match self.topics.get_key_value(text) {
            Some((topic, _)) => Some(topic.clone()),
            None => TopicName::new(text).ok(),
        }
    }

    fn known(&mut self, broker: &Shared, chain: &Chain, topic: &TopicName) -> Known {
        if let Some(known) = self.topics.get(topic)
            && known.chain == chain.generation()
            && broker.routes.is_current(known.routes)
        {
            return known.clone();
        }
        let known = Known {
            // Before the matches: a change in between is seen the next time.
            routes: broker.routes.generation(topic),
            chain: chain.generation(),
            in_scope: chain.publish_scope(topic),
            matches: Arc::new(broker.routes.matching(topic, Some(self.session))),
        };
        if self.topics.len() >= KNOWN_TOPICS && !self.topics.contains_key(topic) {
            self.topics.clear();
        }
        self.topics.insert(topic.clone(), known.clone());
        known
    }

    fn next_id(&mut self, broker: &Shared) -> MessageId {
        let sequence = self.sequence.next().unwrap_or_else(|| {
            let first = broker.take_sequences(SEQUENCE_BLOCK);
            self.sequence = first + 1..first + SEQUENCE_BLOCK;
            first
        });
        MessageId { home: HomeId::LOCAL, sequence }
    }
}

/// Takes a message in: authorize, transform, authorize again if the topic changed, store, route, deliver.
///
/// Answers at once unless a plugin or the store has to wait for something.
pub(crate) async fn publish(
    broker: &Shared,
    from: &mut Publisher,
    mut draft: Draft,
) -> Result<Receivers, PublishError> {
    let now = clock::now();
    let chain = broker.hooks.chain();
    authorize(&chain, from, &draft, now).await?;
    let mut known = from.known(broker, &chain, &draft.topic);
    if !known.in_scope.is_empty() {
        match transform(&chain, from, &known.in_scope, &draft).await? {
            PublishOutcome::Unchanged => {}
            PublishOutcome::Swallowed => return Ok(Receivers::default()),
            PublishOutcome::Edited(edits) => {
                let moved = edits.topic.as_ref().is_some_and(|topic| *topic != draft.topic);
                draft.apply(*edits);
                if moved {
                    authorize(&chain, from, &draft, now).await?;
                    known = from.known(broker, &chain, &draft.topic);
                }
            }
        }
    }
    drop(chain);
    let message = Arc::new(draft.accepted(from.next_id(broker), from.session, now));
    accept(broker, &message, &known.matches).await
}

/// A message of the broker's own, such as `$SYS`: no hooks.
pub(crate) async fn publish_own(broker: &Shared, draft: Draft) -> Result<Receivers, PublishError> {
    let id = MessageId { home: HomeId::LOCAL, sequence: broker.take_sequences(1) };
    let matches = broker.routes.matching(&draft.topic, None);
    let message = Arc::new(Message { publisher: None, ..draft.accepted(id, SessionId(0), clock::now()) });
    accept(broker, &message, &matches).await
}

async fn authorize(
    chain: &Chain,
    from: &mut Publisher,
    draft: &Draft,
    now: Timestamp,
) -> Result<(), PublishError> {
    // The broker's own, whoever allows it.
    if draft.topic.strip_prefix("$SYS").is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Err(PublishError::Denied(draft.topic.clone()));
    }
    let request = AclRequest {
        session: from.session,
        client_id: &from.client_id,
        username: from.username.as_deref(),
        action: Action::Publish,
        topic: &draft.topic,
        qos: draft.qos,
        retain: draft.retain,
        attributes: &from.attributes,
    };
    match chain.authorize(&mut from.permissions, &request, now).await? {
        Authorization::Allowed => Ok(()),
        Authorization::Denied => Err(PublishError::Denied(draft.topic.clone())),
    }
}

async fn transform(
    chain: &Chain,
    from: &Publisher,
    in_scope: &InScope,
    draft: &Draft,
) -> Result<PublishOutcome, PublishRefusal> {
    let request = PublishRequest {
        session: from.session,
        client_id: &from.client_id,
        username: from.username.as_deref(),
        topic: &draft.topic,
        qos: draft.qos,
        retain: draft.retain,
        payload: &draft.payload,
        properties: draft.properties.as_deref(),
        attributes: &from.attributes,
        origin: None,
    };
    chain.on_publish(in_scope, &request).await
}

/// Store, then retain and deliver: nothing is seen by anybody before it is safe.
async fn accept(
    broker: &Shared,
    message: &Arc<Message>,
    matches: &Matches<Arc<Subscriber>>,
) -> Result<Receivers, PublishError> {
    let retention = retention(broker, message)?;
    // A shared group's turn moves with each question, so it is asked once.
    let direct = matches.direct.iter().map(|one| Receiver { to: one, group: None });
    let receivers: smallvec::SmallVec<[Receiver<'_>; 8]> =
        direct.chain(matches.shared.iter().filter_map(member_in_turn)).collect();
    let stored: Vec<_> = receivers
        .iter()
        .filter(|one| {
            message.qos.min(one.to.maximum_qos) > QoS::AtMostOnce && one.to.subscriber.is_persistent()
        })
        .map(|one| (one.to.session, one.delivery(message)))
        .collect();
    let ticket = broker.store.accept(message, retention, &stored);
    match ticket.wait().await {
        Outcome::Durable => {}
        Outcome::Refused(error) => return Err(error.into()),
        Outcome::Unknown => return Err(PublishError::Unknown),
    }
    match retention {
        Retention::Untouched => {}
        Retention::Replace => drop(broker.retained.set(message.clone())),
        Retention::Remove => drop(broker.retained.remove(&message.topic)),
    }
    let mut congested = false;
    for one in &receivers {
        congested |= post(broker, &one.to.subscriber, one.delivery(message));
    }
    Ok(Receivers { count: receivers.len(), congested })
}

fn retention(broker: &Shared, message: &Message) -> Result<Retention, PublishError> {
    if !message.retain {
        return Ok(Retention::Untouched);
    }
    if message.payload.is_empty() {
        return Ok(Retention::Remove); // [MQTT-3.3.1-6]
    }
    let limits = &broker.config.limits;
    let full = broker.retained.len() >= limits.max_retained_messages
        || broker.retained.bytes() + message.cost() > limits.max_retained_bytes.bytes();
    if full && message.publisher.is_some() && broker.retained.get(&message.topic).is_none() {
        return Err(PublishError::RetainedFull);
    }
    Ok(Retention::Replace) // [MQTT-3.3.1-5]
}

/// Who gets a message, and by which group.
struct Receiver<'a> {
    to: &'a Match<Arc<Subscriber>>,
    group: Option<&'a Arc<SubscriptionFilter>>,
}

impl Receiver<'_> {
    fn delivery(&self, message: &Arc<Message>) -> Delivery {
        Delivery {
            message: message.clone(),
            qos: message.qos.min(self.to.maximum_qos), // [MQTT-3.8.4-8]
            retain: message.retain && self.to.retain_as_published, // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
            identifiers: self.to.identifiers.clone(),
            group: self.group.cloned(),
        }
    }
}

/// The member whose turn it is, or the next that can take the message now; if none can, one that will when it returns.
fn member_in_turn(shared: &SharedMatch<Arc<Subscriber>>) -> Option<Receiver<'_>> {
    choose(shared, None)
}

/// As [`member_in_turn`], without `except`.
fn choose(shared: &SharedMatch<Arc<Subscriber>>, except: Option<SessionId>) -> Option<Receiver<'_>> {
    let (mut slow, mut away) = (None, None);
    for member in shared.in_turn().filter(|member| Some(member.session) != except) {
        let found = Receiver { to: member, group: Some(&shared.group) };
        match member.subscriber.mailbox.readiness() {
            Readiness::Free => return Some(found),
            Readiness::Slow if slow.is_none() => slow = Some(found),
            Readiness::Unable if away.is_none() && member.subscriber.is_persistent() => away = Some(found),
            Readiness::Slow | Readiness::Unable => {}
        }
    }
    slow.or(away)
}

/// Gives messages of shared subscriptions, which a session leaves behind, to others of their groups.
pub(crate) struct HandOver<'a> {
    broker: &'a Shared,
    from: &'a Subscriber,
    /// Only to clients that are connected.
    at_once: bool,
    /// The group of the last message: the next has the same, nearly always.
    group: Option<SharedMatch<Arc<Subscriber>>>,
}

impl<'a> HandOver<'a> {
    pub(crate) fn new(broker: &'a Shared, from: &'a Subscriber, at_once: bool) -> Self {
        Self { broker, from, at_once, group: None }
    }

    /// False if nobody takes it.
    pub(crate) fn give(&mut self, left: &Delivery) -> bool {
        let Some(filter) = &left.group else { return false };
        if self.group.as_ref().is_none_or(|group| !Arc::ptr_eq(&group.group, filter)) {
            self.group = self.broker.routes.group(filter);
        }
        let Some(group) = &self.group else { return false };
        let Some(receiver) = choose(group, Some(self.from.session)) else { return false };
        let to = &receiver.to.subscriber;
        if self.at_once && to.mailbox.readiness() == Readiness::Unable {
            return false;
        }
        let delivery = receiver.delivery(&left.message);
        if delivery.qos > QoS::AtMostOnce && to.is_persistent() {
            // Nobody waits for it: until it is durable the record of the one who leaves stands.
            let queued = [(to.session, delivery.clone())];
            let _: tidegate_store::Ticket =
                self.broker.store.accept(&left.message, Retention::Untouched, &queued);
        }
        post(self.broker, to, delivery);
        true
    }
}

/// Puts a message into a mailbox; true if that one is filling.
fn post(broker: &Shared, to: &Subscriber, delivery: Delivery) -> bool {
    match to.mailbox.post(delivery) {
        Posted::Queued | Posted::Offline => false,
        Posted::Congested => true,
        Posted::Dropped(dropped) => {
            broker.dropped_queue_full(to, &dropped);
            true
        }
    }
}

impl Draft {
    /// What a will publishes.
    pub(crate) fn of_will(will: Will) -> Self {
        let properties = will.properties.publish;
        let properties = (properties != PublishProperties::default()).then(|| Box::new(properties));
        Self { topic: will.topic, payload: will.payload, qos: will.qos, retain: will.retain, properties }
    }

    fn apply(&mut self, edits: Patch) {
        let Patch { topic, payload, qos, retain, properties } = edits;
        self.topic = topic.unwrap_or_else(|| self.topic.clone());
        self.payload = payload.unwrap_or_else(|| std::mem::take(&mut self.payload));
        self.qos = qos.unwrap_or(self.qos);
        self.retain = retain.unwrap_or(self.retain);
        self.properties = properties.or(self.properties.take());
    }

    fn accepted(self, id: MessageId, publisher: SessionId, accepted_at: Timestamp) -> Message {
        let Self { topic, payload, qos, retain, properties } = self;
        Message {
            id,
            topic,
            payload,
            qos,
            retain,
            properties,
            publisher: Some(publisher),
            origin: None,
            accepted_at,
            heads: Heads::default(),
        }
    }
}

/// For the log: whose fault a refusal was.
pub(crate) fn fault_kind(error: &PublishError) -> Option<&FaultKind> {
    match error {
        PublishError::Fault(fault) => Some(&fault.kind),
        PublishError::Refused(refusal) => refusal.fault.as_ref().map(|fault| &fault.kind),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What closes the connection of an older publisher: `Connection::answer_publish` asks nothing else.
    #[test]
    fn v311_4_8_0_2_a_failure_of_ours_is_a_fault_and_a_refusal_is_none() {
        let fault = |kind| HookFailed { plugin: "p".into(), kind };
        let refusal = |fault| PublishRefusal { by: "p".into(), code: ReasonCode::QuotaExceeded, fault };
        let topic = || TopicName::new("t").unwrap();
        for ours in [
            PublishError::Fault(fault(FaultKind::Busy)),
            PublishError::Fault(fault(FaultKind::Deadline)),
            PublishError::Refused(refusal(Some(fault(FaultKind::Busy)))),
            PublishError::Store(StoreError::Unavailable("the disk is full".into())),
            PublishError::Unknown,
        ] {
            assert!(ours.is_fault(), "{ours}");
        }
        for refused in [PublishError::Denied(topic()), PublishError::Refused(refusal(None))] {
            assert!(!refused.is_fault(), "{refused}");
        }
    }
}
