//! The path of a message through the broker. Only this file knows the order of its steps.

use crate::{
    clients::{Presence, Subscriber},
    clock,
    recipients::{Receiver, Recipients, chosen, delivery, everybody, post},
    shared::Shared,
};
use arc_swap::ArcSwapOption;
use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{Hash, Hasher},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tidegate_hooks::{
    AclRequest, Action, Authorization, Chain, EventKind, FaultKind, HookFailed, InScope, Patch, Permissions,
    PublishOutcome, PublishRefusal, PublishRequest,
};
use tidegate_mqtt::{
    ClientId, Heads, HomeId, Message, MessageId, Origin, PacketId, Payload, PublishProperties, QoS,
    ReasonCode, SessionId, Timestamp, TopicName, Will,
};
use tidegate_routing::{Generation, Match, Matches};
use tidegate_session::{Delivery, SharedKeys};
use tidegate_store::{Acceptance, Durability, Outcome, Retention, StoreError, Ticket};

/// Somebody who publishes: a client, or a client's will.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) session: SessionId,
    pub(crate) client_id: ClientId,
    /// As others see it.
    pub(crate) presence: Arc<Presence>,
    pub(crate) permissions: Permissions,
    /// What its messages are to survive before they are acknowledged.
    pub(crate) durability: Durability,
    /// Whether the store knows of the session.
    pub(crate) is_stored: bool,
    /// What it publishes was allowed before.
    is_trusted: bool,
    /// Stands before every topic, unseen by the client.
    mount_point: Option<TopicName>,
    topics: HashMap<Topic, Arc<Known>, SharedKeys>,
    /// The topic used last: the next message is on the same, often.
    last: Option<Arc<Known>>,
    sequence: std::ops::Range<u64>,
}

/// Who of those that match gets the messages of a topic.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Indexes; None: everybody.
    pub(crate) kept: Option<Vec<u32>>,
    pub(crate) until: Timestamp,
}

/// A topic that was checked: bytes that are equal need not be.
#[derive(Clone, Debug)]
struct Topic(TopicName);

impl Borrow<[u8]> for Topic {
    fn borrow(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Hash for Topic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_bytes().hash(state);
    }
}

impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Topic {}

/// What is known about a topic that this publisher has used before.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) topic: TopicName,
    routes: Generation,
    chain: u64,
    /// Up to which QoS nobody needs to be asked whether a message is allowed.
    allowed: Option<QoS>,
    /// Whether all who are asked what becomes of a message answer at once, and all who match get it.
    asks_at_once: bool,
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
    pub(crate) payload: Payload,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Without topic alias and subscription identifiers.
    pub(crate) properties: Option<Box<PublishProperties>>,
    /// The plugin that publishes it, if none of the clients does.
    pub(crate) origin: Option<Box<Origin>>,
    /// Its packet identifier, if its client may repeat it after a restart: QoS 2.
    pub(crate) received: Option<PacketId>,
    /// The session whose will it is.
    pub(crate) will_of: Option<SessionId>,
}

/// A message was accepted, and what it promises is safe.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Receivers {
    /// Sessions that get it.
    pub(crate) count: usize,
    /// A queue is filling: let others run before the next message.
    pub(crate) congested: bool,
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is accepted.
    In(Receivers),
    /// It is when the store has it.
    Waiting(Box<Submitted>),
}

/// A message on its way into the store.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) ticket: Ticket,
    message: Arc<Message>,
    retention: Retention,
    /// By which the store knows who came first.
    number: u64,
    receivers: Vec<(Arc<Subscriber>, Delivery)>,
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
            Self::Fault(_) | Self::Unknown => ReasonCode::ImplementationSpecificError,
            Self::Store(_) => ReasonCode::QuotaExceeded,
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
        durability: Durability,
    ) -> Self {
        Self {
            session,
            client_id,
            presence,
            permissions,
            durability,
            is_stored: false,
            is_trusted: false,
            mount_point,
            topics: HashMap::default(),
            last: None,
            sequence: 0..0,
        }
    }

    /// It may do something else from now on.
    pub(crate) fn permit(&mut self, permissions: Permissions) {
        self.permissions = permissions;
        self.topics.clear();
        self.last = None;
    }

    /// Of a session of an earlier run, whose will was allowed when its client came.
    pub(crate) fn recovered(session: SessionId, client_id: ClientId, username: Option<Box<str>>) -> Self {
        let presence = Arc::new(Presence { username, ..Presence::default() });
        let publisher =
            Self::new(session, client_id, presence, Permissions::default(), None, Durability::Sync);
        Self { is_stored: true, is_trusted: true, ..publisher }
    }

    /// The topic as a name, mount point included: the one kept from before, or a new one.
    pub(crate) fn topic(&self, text: &str) -> Option<TopicName> {
        let mounted = self.mount_point.as_ref().map(|mount_point| format!("{mount_point}{text}"));
        let text = mounted.as_deref().unwrap_or(text);
        match self.topics.get(text.as_bytes()) {
            Some(known) => Some(known.topic.clone()),
            None => TopicName::new(text).ok(),
        }
    }

    fn known(&mut self, broker: &Shared, chain: &Chain, topic: &TopicName) -> Arc<Known> {
        if let Some(known) = self.topics.get(topic.as_bytes())
            && known.chain == chain.generation()
            && broker.routes.is_current(known.routes)
        {
            return known.clone();
        }
        // Before the matches: a change in between is seen the next time.
        let routes = broker.routes.generation(topic);
        let in_scope = chain.publish_scope(topic);
        let chosen_by = chain.subscribers_scope(topic);
        let matches = broker.routes.matching(topic, Some(self.session));
        let who = (self.session, &self.client_id, &*self.presence);
        let request = |qos: QoS| acl_request(who, topic, qos, false);
        let is_allowed = |qos: &QoS| chain.always_allows(&self.permissions, &request(*qos));
        let allowed = [QoS::ExactlyOnce, QoS::AtLeastOnce, QoS::AtMostOnce].into_iter().find(is_allowed);
        let asks_at_once = chosen_by.is_empty()
            && matches.shared.is_empty()
            && !is_system(topic)
            && chain.answers_at_once(&request(QoS::AtMostOnce), &in_scope);
        let known = Arc::new(Known {
            topic: topic.clone(),
            routes,
            chain: chain.generation(),
            allowed,
            asks_at_once,
            in_scope,
            chosen_by,
            matches,
            selected: ArcSwapOption::empty(),
        });
        if self.topics.len() >= KNOWN_TOPICS && !self.topics.contains_key(topic.as_bytes()) {
            self.topics.clear();
        }
        self.topics.insert(Topic(topic.clone()), known.clone());
        self.last = Some(known.clone());
        known
    }

    /// The short way that a message can take: on a topic that was used before, it need not be stored, and nobody who is asked about it has to be
    /// waited for. So it is with nearly all messages. `chain`: the generation of the chain in force.
    #[inline]
    pub(crate) fn short_way(
        &mut self,
        broker: &Shared,
        topic: &[u8],
        qos: QoS,
        chain: u64,
    ) -> Option<ShortWay> {
        if self.last.as_ref().is_none_or(|last| last.topic.as_bytes() != topic) {
            self.last = Some(self.topics.get(topic)?.clone());
        }
        let known = self.last.as_ref()?;
        let is_kept = |one: &Match<Arc<Subscriber>>| {
            one.maximum_qos > QoS::AtMostOnce && one.subscriber.is_persistent()
        };
        let is_unasked = known.in_scope.is_empty() && known.always_allows(qos);
        let holds = known.asks_at_once
            && known.chain == chain
            && broker.routes.is_current(known.routes)
            && self.mount_point.is_none()
            && (qos == QoS::AtMostOnce || !known.matches.direct.iter().any(is_kept));
        holds.then(|| if is_unasked { ShortWay::Unasked } else { ShortWay::Asked(known.clone()) })
    }

    /// What becomes of a message that takes [`ShortWay::Asked`], before it is made. None: it has to take the long way after all.
    pub(crate) fn ask_at_once(
        &mut self,
        broker: &Shared,
        known: &Known,
        qos: QoS,
        payload: &[u8],
    ) -> Option<Result<PublishOutcome, PublishError>> {
        let chain = broker.hooks.chain();
        if known.chain != chain.generation() {
            return None;
        }
        let acl = acl_request((self.session, &self.client_id, &*self.presence), &known.topic, qos, false);
        if !known.always_allows(qos) {
            match at_once(chain.authorize(&mut self.permissions, &acl, clock::now()))? {
                Ok(Authorization::Allowed) => {}
                Ok(Authorization::Denied) => return Some(Err(PublishError::Denied(known.topic.clone()))),
                Err(fault) => return Some(Err(fault.into())),
            }
        }
        if known.in_scope.is_empty() {
            return Some(Ok(PublishOutcome::Unchanged));
        }
        let request = PublishRequest {
            session: self.session,
            client_id: &self.client_id,
            username: acl.username,
            topic: &known.topic,
            qos,
            retain: false,
            payload,
            properties: None,
            attributes: acl.attributes,
            origin: None,
        };
        Some(at_once(chain.on_publish(&known.in_scope, &request))?.map_err(PublishError::from))
    }
}

impl Known {
    #[inline]
    fn always_allows(&self, qos: QoS) -> bool {
        self.allowed.is_some_and(|allowed| qos <= allowed)
    }
}

/// What a future answers without waiting for anything.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// See [`Publisher::short_way`].
#[derive(Debug)]
pub(crate) enum ShortWay {
    /// Nobody needs to be asked.
    Unasked,
    /// All who are asked answer at once.
    Asked(Arc<Known>),
}

/// `left`: numbers taken before.
fn next_id(left: &mut std::ops::Range<u64>, broker: &Shared) -> MessageId {
    let sequence = left.next().unwrap_or_else(|| {
        let first = broker.take_sequences(SEQUENCE_BLOCK);
        *left = first + 1..first + SEQUENCE_BLOCK;
        first
    });
    MessageId { home: HomeId::LOCAL, sequence }
}

/// Takes in a message that [`Publisher::short_way`] was asked about just before, and which stays as it is. None if it was not.
#[inline]
pub(crate) fn publish_at_once(
    broker: &Arc<Shared>,
    from: &mut Publisher,
    qos: QoS,
    payload: &[u8],
    properties: Option<Box<PublishProperties>>,
    now: Timestamp,
) -> Option<Receivers> {
    let known = from.last.as_deref()?;
    let message = Arc::new(Message {
        id: next_id(&mut from.sequence, broker),
        topic: known.topic.clone(),
        payload: Payload::copied(payload),
        qos,
        retain: false,
        properties,
        publisher: Some(from.session),
        origin: None,
        accepted_at: now,
        heads: Heads::default(),
    });
    let mut receivers = Receivers { count: known.matches.direct.len(), congested: false };
    if broker.events.wants(EventKind::Published) {
        tell_published(broker, from, &message, receivers);
    }
    if let Some((last, others)) = known.matches.direct.split_last() {
        for one in others {
            receivers.congested |= post(broker, &one.subscriber, delivery(one, message.clone()));
        }
        receivers.congested |= post(broker, &last.subscriber, delivery(last, message));
    }
    Some(receivers)
}

/// What of a packet's properties belongs to the message: topic alias and subscription identifiers belong to one connection.
pub(crate) fn kept_properties(mut properties: Box<PublishProperties>) -> Option<Box<PublishProperties>> {
    properties.topic_alias = None;
    properties.subscription_identifiers.clear();
    (*properties != PublishProperties::default()).then_some(properties)
}

/// Takes a message in: authorize, transform, authorize again if the topic changed, choose recipients, store, deliver. `behind`: earlier
/// messages of this publisher are still on their way into the store, so this one may not be delivered yet either.
///
/// Answers at once unless a plugin has to wait for something.
pub(crate) async fn publish(
    broker: &Arc<Shared>,
    from: &mut Publisher,
    mut draft: Draft,
    behind: bool,
) -> Result<Taken, PublishError> {
    let now = clock::now();
    let chain = broker.hooks.chain();
    authorize(&chain, from, &draft, now).await?;
    let mut known = from.known(broker, &chain, &draft.topic);
    let outcome = if known.in_scope.is_empty() {
        PublishOutcome::Unchanged
    } else {
        chain.on_publish(&known.in_scope, &request(from, &draft)).await?
    };
    take_in(broker, &chain, from, (&mut draft, &mut known), outcome, (now, behind)).await
}

/// As [`publish`], for a message of which it is known already what the hooks make of it.
pub(crate) async fn publish_decided(
    broker: &Arc<Shared>,
    from: &mut Publisher,
    mut draft: Draft,
    outcome: PublishOutcome,
    behind: bool,
) -> Result<Taken, PublishError> {
    let chain = broker.hooks.chain();
    let mut known = from.known(broker, &chain, &draft.topic);
    take_in(broker, &chain, from, (&mut draft, &mut known), outcome, (clock::now(), behind)).await
}

/// As [`publish`], and waits for the store.
pub(crate) async fn publish_and_wait(
    broker: &Arc<Shared>,
    from: &mut Publisher,
    draft: Draft,
) -> Result<Receivers, PublishError> {
    match publish(broker, from, draft, false).await? {
        Taken::In(receivers) => Ok(receivers),
        Taken::Waiting(submitted) => submitted.wait(broker, Some(from)).await,
    }
}

/// As [`publish`], for messages that came together: hooks that take batches are asked about all of them at once. One result each, in order.
pub(crate) async fn publish_batch(
    broker: &Arc<Shared>,
    from: &mut Publisher,
    drafts: Vec<Draft>,
    mut behind: bool,
) -> Vec<Result<Taken, PublishError>> {
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
                    take_in(broker, &chain, from, (&mut draft, &mut known), outcome, (now, behind)).await
                }
                Some(Err(refusal)) => Err(refusal.into()),
                None => Err(PublishError::Unknown),
            },
        };
        behind |= matches!(result, Ok(Taken::Waiting(_)));
        results.push(result);
    }
    results
}

/// What follows once the hooks have said what becomes of a message.
async fn take_in(
    broker: &Arc<Shared>,
    chain: &Chain,
    from: &mut Publisher,
    (draft, known): (&mut Draft, &mut Arc<Known>),
    outcome: PublishOutcome,
    (now, behind): (Timestamp, bool),
) -> Result<Taken, PublishError> {
    match outcome {
        PublishOutcome::Unchanged => {}
        PublishOutcome::Swallowed => return Ok(Taken::In(Receivers::default())),
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
    let received = draft.received.map(|packet_id| (from.session, packet_id));
    let will_of = draft.will_of;
    let message = Arc::new(draft.accepted(next_id(&mut from.sequence, broker), Some(from.session), now));
    let keeping = Keeping { received, will_of, durability: from.durability, behind };
    match accept(broker, message, &receivers, keeping)? {
        Submission::Nothing(message) => {
            let receivers = deliver(broker, &receivers, &message);
            tell_published(broker, from, &message, receivers);
            Ok(Taken::In(receivers))
        }
        Submission::Waiting(submitted) => Ok(Taken::Waiting(submitted)),
    }
}

/// Whether a will may be published, as things stand. One that a later run may have to publish is stored only then: it could ask nobody.
pub(crate) async fn may_publish(broker: &Shared, from: &mut Publisher, will: &Will) -> bool {
    let draft = Draft::of_will(will.clone());
    authorize(&broker.hooks.chain_full(), from, &draft, clock::now()).await.is_ok()
}

fn tell_published(broker: &Shared, from: &Publisher, message: &Message, receivers: Receivers) {
    broker.events.tell(EventKind::Published, |event| {
        let event =
            event.of(from.session, &from.client_id).about(&message.topic).from(message.origin.as_deref());
        let event = event.with("qos", (message.qos as u8).to_string());
        let event = event.with("bytes", message.payload.len().to_string());
        event.with("receivers", receivers.count.to_string())
    });
}

/// A message of the broker's own, such as `$SYS`: no hooks.
pub(crate) async fn publish_own(broker: &Arc<Shared>, mut draft: Draft) -> Result<Receivers, PublishError> {
    let id = MessageId { home: HomeId::LOCAL, sequence: broker.take_sequences(1) };
    let matches = broker.routes.matching(&draft.topic, None);
    let message = Arc::new(draft.accepted(id, None, clock::now()));
    let receivers = everybody(&matches);
    let keeping =
        Keeping { received: None, will_of: None, durability: broker.config.durability, behind: false };
    match accept(broker, message, &receivers, keeping)? {
        Submission::Nothing(message) => Ok(deliver(broker, &receivers, &message)),
        Submission::Waiting(submitted) => submitted.wait(broker, None).await,
    }
}

/// The broker's own, whoever allows it.
fn is_system(topic: &str) -> bool {
    topic.strip_prefix("$SYS").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

async fn authorize(
    chain: &Chain,
    from: &mut Publisher,
    draft: &Draft,
    now: Timestamp,
) -> Result<(), PublishError> {
    if is_system(&draft.topic) {
        return Err(PublishError::Denied(draft.topic.clone()));
    }
    // Where plugins may publish the operator has said.
    if draft.origin.is_some() || from.is_trusted {
        return Ok(());
    }
    let who = (from.session, &from.client_id, &*from.presence);
    let request = acl_request(who, &draft.topic, draft.qos, draft.retain);
    match chain.authorize(&mut from.permissions, &request, now).await? {
        Authorization::Allowed => Ok(()),
        Authorization::Denied => Err(PublishError::Denied(draft.topic.clone())),
    }
}

fn acl_request<'a>(
    (session, client_id, presence): (SessionId, &'a ClientId, &'a Presence),
    topic: &'a str,
    qos: QoS,
    retain: bool,
) -> AclRequest<'a> {
    let username = presence.username.as_deref();
    let (action, attributes) = (Action::Publish, &presence.attributes);
    AclRequest { session, client_id, username, action, topic, qos, retain, attributes }
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

/// What of a message is kept beside itself, and how well.
struct Keeping {
    received: Option<(SessionId, PacketId)>,
    will_of: Option<SessionId>,
    durability: Durability,
    /// Earlier messages are waiting.
    behind: bool,
}

enum Submission {
    /// There is nothing to store, and nothing to wait for.
    Nothing(Arc<Message>),
    Waiting(Box<Submitted>),
}

/// Store, then retain and deliver: nothing is seen by anybody before it is safe.
fn accept(
    broker: &Arc<Shared>,
    message: Arc<Message>,
    receivers: &Recipients<'_>,
    keeping: Keeping,
) -> Result<Submission, PublishError> {
    let Keeping { received, will_of, durability, behind } = keeping;
    // `$SYS` is told anew after a restart.
    let own = message.publisher.is_none() && message.origin.is_none();
    let retention = retention(broker, &message)?;
    let is_kept = |one: &&Receiver<'_>| {
        message.qos.min(one.to.maximum_qos) > QoS::AtMostOnce && one.to.subscriber.is_persistent()
    };
    let nothing = retention == Retention::Untouched
        && received.is_none()
        && will_of.is_none()
        && !receivers.iter().any(|one| is_kept(&one));
    if nothing && !behind {
        return Ok(Submission::Nothing(message));
    }
    let mut queued: Vec<_> =
        receivers.iter().filter(is_kept).map(|one| (one.to.session, one.delivery(&message))).collect();
    if retention != Retention::Untouched {
        broker.retaining.begin(&message.topic);
    }
    // Nobody waits for an acknowledgement of QoS 0.
    let durability = if message.qos == QoS::AtMostOnce { durability.min(Durability::Os) } else { durability };
    let kept_retention = if own { Retention::Untouched } else { retention };
    let (ticket, number) = broker.store.accept(Acceptance {
        message: &message,
        retention: kept_retention,
        queued: &mut queued,
        received,
        will_of,
        durability,
        is_certain: false,
    });
    let mut queued = queued.into_iter().map(|(_, delivery)| delivery);
    let receivers = receivers.iter().map(|one| {
        let delivery = if is_kept(&one) { queued.next() } else { None };
        (one.to.subscriber.clone(), delivery.unwrap_or_else(|| one.delivery(&message)))
    });
    let receivers = receivers.collect();
    Ok(Submission::Waiting(Box::new(Submitted { ticket, message, retention, number, receivers })))
}

impl Submitted {
    /// Waits for the store. `from`: who is said to have published it.
    async fn wait(
        mut self,
        broker: &Arc<Shared>,
        from: Option<&Publisher>,
    ) -> Result<Receivers, PublishError> {
        let outcome = self.ticket.until_settled().await;
        self.settle(broker, from, outcome)
    }

    /// The store has it, or not.
    pub(crate) fn settle(
        self,
        broker: &Arc<Shared>,
        from: Option<&Publisher>,
        outcome: Outcome,
    ) -> Result<Receivers, PublishError> {
        let Self { message, retention, number, receivers, .. } = self;
        let accepted = match outcome {
            Outcome::Durable => Ok(()),
            Outcome::Refused(error) => Err(error.into()),
            Outcome::Unknown => Err(PublishError::Unknown),
        };
        if retention != Retention::Untouched {
            // What is only in memory comes after all that was stored.
            let number = accepted.is_ok().then_some(if number == 0 { u64::MAX } else { number });
            broker.retaining.end(&message.topic, number, || match retention {
                Retention::Remove => drop(broker.retained.remove(&message.topic)),
                _ => drop(broker.retained.set(message.clone())),
            });
        }
        accepted?;
        // The broker's own are many, and its business.
        if retention != Retention::Untouched && !is_system(&message.topic) {
            broker.events.tell(EventKind::Retained, |event| {
                let event = event.about(&message.topic).from(message.origin.as_deref());
                if retention == Retention::Remove { event.with("removed", "true") } else { event }
            });
        }
        let mut taken = Receivers { count: receivers.len(), congested: false };
        for (to, delivery) in receivers {
            taken.congested |= post(broker, &to, delivery);
        }
        if let Some(from) = from {
            tell_published(broker, from, &message, taken);
        }
        Ok(taken)
    }
}

fn deliver(broker: &Arc<Shared>, receivers: &Recipients<'_>, message: &Arc<Message>) -> Receivers {
    let mut congested = false;
    for one in receivers {
        congested |= post(broker, &one.to.subscriber, one.delivery(message));
    }
    Receivers { count: receivers.len(), congested }
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
    /// At QoS 0, of nothing but a payload.
    pub(crate) fn new(topic: TopicName, payload: Payload) -> Self {
        Self {
            topic,
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            properties: None,
            origin: None,
            received: None,
            will_of: None,
        }
    }

    /// What a will publishes.
    pub(crate) fn of_will(will: Will) -> Self {
        let properties = will.properties.publish;
        let properties = (properties != PublishProperties::default()).then(|| Box::new(properties));
        let Will { topic, payload, qos, retain, .. } = will;
        Self { qos, retain, properties, ..Self::new(topic, payload.into()) }
    }

    fn apply(&mut self, edits: Patch) {
        let Patch { topic, payload, qos, retain, properties } = edits;
        self.topic = topic.unwrap_or_else(|| self.topic.clone());
        self.payload = payload.map(Payload::from).unwrap_or_else(|| std::mem::take(&mut self.payload));
        self.qos = qos.unwrap_or(self.qos);
        self.retain = retain.unwrap_or(self.retain);
        self.properties = properties.or(self.properties.take());
    }

    /// Its payload and properties become the message's.
    fn accepted(&mut self, id: MessageId, publisher: Option<SessionId>, accepted_at: Timestamp) -> Message {
        let Self { topic, payload, qos, retain, properties, origin, .. } = self;
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
