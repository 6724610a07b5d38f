//! The path of a message through the broker. Only this file knows the order of its steps.

use crate::{
    clients::{Presence, Subscriber},
    clock,
    recipients::{Recipients, chosen, everybody, post},
    shared::Shared,
};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use std::{collections::HashMap, sync::Arc};
use tidegate_hooks::{
    AclRequest, Action, Authorization, Chain, EventKind, FaultKind, HookFailed, InScope, Patch, Permissions,
    PublishOutcome, PublishRefusal, PublishRequest,
};
use tidegate_mqtt::{
    ClientId, Heads, HomeId, Message, MessageId, Origin, PublishProperties, QoS, ReasonCode, SessionId,
    Timestamp, TopicName, Will,
};
use tidegate_routing::{Generation, Matches};
use tidegate_store::{Outcome, Retention, StoreError};

/// Somebody who publishes: a client, or a client's will.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) session: SessionId,
    pub(crate) client_id: ClientId,
    /// As others see it.
    pub(crate) presence: Arc<Presence>,
    pub(crate) permissions: Permissions,
    /// Stands before every topic, unseen by the client.
    mount_point: Option<TopicName>,
    topics: HashMap<TopicName, Arc<Known>, ahash::RandomState>,
    sequence: std::ops::Range<u64>,
}

/// Who of those that match gets the messages of a topic.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Indexes; None: everybody.
    pub(crate) kept: Option<Vec<u32>>,
    pub(crate) until: Timestamp,
}

/// What is known about a topic that this publisher has used before.
#[derive(Debug)]
pub(crate) struct Known {
    routes: Generation,
    chain: u64,
    in_scope: InScope,
    /// Who is asked about the recipients.
    pub(crate) chosen_by: InScope,
    pub(crate) matches: Matches<Arc<Subscriber>>,
    /// What those answered, for as long as it holds.
    pub(crate) selected: ArcSwapOption<Selection>,
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
    /// The plugin that publishes it, if none of the clients does.
    pub(crate) origin: Option<Box<Origin>>,
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
        presence: Arc<Presence>,
        permissions: Permissions,
        mount_point: Option<TopicName>,
    ) -> Self {
        let topics = HashMap::default();
        Self { session, client_id, presence, permissions, mount_point, topics, sequence: 0..0 }
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

    fn known(&mut self, broker: &Shared, chain: &Chain, topic: &TopicName) -> Arc<Known> {
        if let Some(known) = self.topics.get(topic)
            && known.chain == chain.generation()
            && broker.routes.is_current(known.routes)
        {
            return known.clone();
        }
        let known = Arc::new(Known {
            // Before the matches: a change in between is seen the next time.
            routes: broker.routes.generation(topic),
            chain: chain.generation(),
            in_scope: chain.publish_scope(topic),
            chosen_by: chain.subscribers_scope(topic),
            matches: broker.routes.matching(topic, Some(self.session)),
            selected: ArcSwapOption::empty(),
        });
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

/// Takes a message in: authorize, transform, authorize again if the topic changed, choose recipients, store, deliver.
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
    let outcome = if known.in_scope.is_empty() {
        PublishOutcome::Unchanged
    } else {
        chain.on_publish(&known.in_scope, &request(from, &draft)).await?
    };
    take_in(broker, &chain, from, (&mut draft, &mut known), outcome, now).await
}

/// As [`publish`], for messages that came together: hooks that take batches are asked about all of them at once. One result each, in order.
pub(crate) async fn publish_batch(
    broker: &Shared,
    from: &mut Publisher,
    drafts: Vec<Draft>,
) -> Vec<Result<Receivers, PublishError>> {
    let now = clock::now();
    let chain = broker.hooks.chain();
    let mut messages = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let allowed = authorize(&chain, from, &draft, now).await;
        messages.push(allowed.map(|()| {
            let known = from.known(broker, &chain, &draft.topic);
            (draft, known)
        }));
    }
    let questions: Vec<_> = messages
        .iter()
        .flatten()
        .map(|(draft, known)| (known.in_scope.clone(), request(from, draft)))
        .collect();
    let mut outcomes = chain.on_publish_batch(&questions).await.into_iter();
    drop(questions);
    let mut results = Vec::with_capacity(messages.len());
    for message in messages {
        let result = match message {
            Err(denied) => Err(denied),
            Ok((mut draft, mut known)) => match outcomes.next() {
                Some(Ok(outcome)) => {
                    take_in(broker, &chain, from, (&mut draft, &mut known), outcome, now).await
                }
                Some(Err(refusal)) => Err(refusal.into()),
                None => Err(PublishError::Unknown),
            },
        };
        results.push(result);
    }
    results
}

/// What follows once the hooks have said what becomes of a message.
async fn take_in(
    broker: &Shared,
    chain: &Chain,
    from: &mut Publisher,
    (draft, known): (&mut Draft, &mut Arc<Known>),
    outcome: PublishOutcome,
    now: Timestamp,
) -> Result<Receivers, PublishError> {
    match outcome {
        PublishOutcome::Unchanged => {}
        PublishOutcome::Swallowed => return Ok(Receivers::default()),
        PublishOutcome::Edited(edits) => {
            let moved = edits.topic.as_ref().is_some_and(|topic| *topic != draft.topic);
            draft.apply(*edits);
            if moved {
                authorize(chain, from, draft, now).await?;
                *known = from.known(broker, chain, &draft.topic);
            }
        }
    }
    let receivers = if known.chosen_by.is_empty() {
        everybody(&known.matches)
    } else {
        // Boxed: what is rare shall not be held by every idle connection.
        Box::pin(chosen(chain, from, known, draft, now)).await
    };
    let message = Arc::new(draft.accepted(from.next_id(broker), Some(from.session), now));
    let taken = accept(broker, &message, &receivers).await?;
    broker.events.tell(EventKind::Published, |event| {
        let event =
            event.of(from.session, &from.client_id).about(&message.topic).from(message.origin.as_deref());
        let event = event.with("qos", (message.qos as u8).to_string());
        let event = event.with("bytes", message.payload.len().to_string());
        event.with("receivers", taken.count.to_string())
    });
    Ok(taken)
}

/// A message of the broker's own, such as `$SYS`: no hooks.
pub(crate) async fn publish_own(broker: &Shared, mut draft: Draft) -> Result<Receivers, PublishError> {
    let id = MessageId { home: HomeId::LOCAL, sequence: broker.take_sequences(1) };
    let matches = broker.routes.matching(&draft.topic, None);
    let message = Arc::new(draft.accepted(id, None, clock::now()));
    accept(broker, &message, &everybody(&matches)).await
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
    // Where plugins may publish the operator has said.
    if draft.origin.is_some() {
        return Ok(());
    }
    let request = AclRequest {
        session: from.session,
        client_id: &from.client_id,
        username: from.presence.username.as_deref(),
        action: Action::Publish,
        topic: &draft.topic,
        qos: draft.qos,
        retain: draft.retain,
        attributes: &from.presence.attributes,
    };
    match chain.authorize(&mut from.permissions, &request, now).await? {
        Authorization::Allowed => Ok(()),
        Authorization::Denied => Err(PublishError::Denied(draft.topic.clone())),
    }
}

pub(crate) fn request<'a>(from: &'a Publisher, draft: &'a Draft) -> PublishRequest<'a> {
    PublishRequest {
        session: from.session,
        client_id: &from.client_id,
        username: from.presence.username.as_deref(),
        topic: &draft.topic,
        qos: draft.qos,
        retain: draft.retain,
        payload: &draft.payload,
        properties: draft.properties.as_deref(),
        attributes: &from.presence.attributes,
        origin: draft.origin.as_deref(),
    }
}

/// Store, then retain and deliver: nothing is seen by anybody before it is safe.
async fn accept(
    broker: &Shared,
    message: &Arc<Message>,
    receivers: &Recipients<'_>,
) -> Result<Receivers, PublishError> {
    let retention = retention(broker, message)?;
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
    if retention != Retention::Untouched {
        broker.events.tell(EventKind::Retained, |event| {
            let event = event.about(&message.topic).from(message.origin.as_deref());
            if retention == Retention::Remove { event.with("removed", "true") } else { event }
        });
    }
    let mut congested = false;
    for one in receivers {
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

impl Draft {
    /// What a will publishes.
    pub(crate) fn of_will(will: Will) -> Self {
        let properties = will.properties.publish;
        let properties = (properties != PublishProperties::default()).then(|| Box::new(properties));
        let Will { topic, payload, qos, retain, .. } = will;
        Self { topic, payload, qos, retain, properties, origin: None }
    }

    fn apply(&mut self, edits: Patch) {
        let Patch { topic, payload, qos, retain, properties } = edits;
        self.topic = topic.unwrap_or_else(|| self.topic.clone());
        self.payload = payload.unwrap_or_else(|| std::mem::take(&mut self.payload));
        self.qos = qos.unwrap_or(self.qos);
        self.retain = retain.unwrap_or(self.retain);
        self.properties = properties.or(self.properties.take());
    }

    /// Its payload and properties become the message's.
    fn accepted(&mut self, id: MessageId, publisher: Option<SessionId>, accepted_at: Timestamp) -> Message {
        let Self { topic, payload, qos, retain, properties, origin } = self;
        let (topic, payload) = (topic.clone(), std::mem::take(payload));
        let (qos, retain, properties, origin) = (*qos, *retain, properties.take(), origin.take());
        let publisher = publisher.filter(|_| origin.is_none());
        Message {
            id,
            topic,
            payload,
            qos,
            retain,
            properties,
            publisher,
            origin,
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
