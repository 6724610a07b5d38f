//! SUBSCRIBE and UNSUBSCRIBE: may it, from now on it gets, and what was retained.

use crate::{
    clients::Subscriber, clock, config::Limits, connect::levels, publish::Publisher, shared::Shared,
};
use std::{collections::VecDeque, num::NonZeroU32, sync::Arc};
use tidegate_hooks::{
    AclRequest, Action, Authorization, EventKind, HookFailed, SubscribeChange, SubscribeRequest,
};
use tidegate_mqtt::{
    HomeId, Message, QoS, ReasonCode, RetainHandling, Subscribe, SubscriptionFilter, SubscriptionOptions,
    TopicFilter, TopicName, Unsubscribe,
};
use tidegate_routing::{Cursor, Subscription};
use tidegate_session::{Delivery, Session, Subscribed};
use tidegate_store::{Durability, Outcome};
use tracing::{debug, info, warn};

/// Retained messages on their way to a new subscription, at the client's own pace.
#[derive(Debug)]
pub(crate) struct RetainedFeed {
    filter: SubscriptionFilter,
    subscribed: Subscribed,
    page: VecDeque<Arc<Message>>,
    /// Where the next page begins; None after the last one.
    next: Option<Option<Cursor>>,
}

/// Retained messages looked up at once.
const PAGE: usize = 64;

/// What a SUBSCRIBE came to.
pub(crate) struct Granted {
    /// One a filter.
    pub(crate) reasons: Vec<ReasonCode>,
    /// What was wrong with those that were refused.
    pub(crate) text: Option<String>,
    pub(crate) feeds: Vec<RetainedFeed>,
}

/// Bytes of a reason string; more filters than that has room for are not named.
const TEXT_BYTES: usize = 512;

/// What a client may ask for, as far as that can be said without asking anybody.
#[derive(Clone, Copy)]
pub(crate) struct Bounds<'a> {
    pub(crate) limits: &'a Limits,
    /// Stands before every filter, unseen by the client.
    pub(crate) mount_point: Option<&'a TopicName>,
    /// Subscriptions at most.
    pub(crate) subscriptions: usize,
}

/// A subscription that nobody has refused so far: what was asked for, and what became of it.
struct Candidate {
    asked: SubscriptionFilter,
    filter: SubscriptionFilter,
    options: SubscriptionOptions,
}

type Refused = (ReasonCode, &'static str);

/// Subscribes to each filter that is allowed, below the listener's mount point if it has one.
pub(crate) async fn subscribe(
    broker: &Shared,
    subscriber: &Arc<Subscriber>,
    publisher: &mut Publisher,
    session: &mut Session,
    bounds: Bounds<'_>,
    packet: Subscribe,
) -> Granted {
    let identifier = packet.properties.subscription_identifier;
    let mut candidates: Vec<Result<Candidate, Refused>> = Vec::with_capacity(packet.subscriptions.len());
    for (asked, options) in &packet.subscriptions {
        let filter = acceptable(bounds, asked, identifier);
        candidates.push(filter.map(|filter| Candidate { asked: filter.clone(), filter, options: *options }));
    }
    if broker.hooks.chain().served().subscribe {
        transform(broker, publisher, bounds, &packet, &mut candidates).await;
    }
    let mut reasons = Vec::with_capacity(candidates.len());
    let mut text = String::new();
    let mut feeds = Vec::new();
    let (mut changed, mut before) = (Vec::new(), Vec::new());
    for (candidate, (asked, _)) in candidates.into_iter().zip(&packet.subscriptions) {
        let answer = match candidate {
            Ok(candidate) if too_many(session, bounds, &candidate.filter) => {
                Err((ReasonCode::QuotaExceeded, "too many subscriptions"))
            }
            Ok(candidate) => {
                allowed(broker, publisher, &candidate.filter, candidate.options).await.map(|()| candidate)
            }
            Err(refused) => Err(refused),
        };
        let Candidate { asked, filter, options } = match answer {
            Ok(candidate) => candidate,
            Err((reason, why)) => {
                broker.counters.subscriptions_refused.add(1);
                debug!(filter = %asked, %reason, why, "subscription refused");
                let line = format!("{}{asked}: {why}", if text.is_empty() { "" } else { "; " });
                if text.len() + line.len() <= TEXT_BYTES {
                    text.push_str(&line);
                }
                reasons.push(reason);
                continue;
            }
        };
        let subscribed = Subscribed { options, identifier };
        let subscription = Subscription { options, identifier };
        broker.routes.subscribe(HomeId::LOCAL, session.id(), subscriber, &filter, subscription);
        session.rewrite(asked, filter.clone());
        let existed = session.subscribe(filter.clone(), subscribed);
        if existed {
            before.push(filter.clone());
        }
        changed.push(filter.clone());
        broker.events.tell(EventKind::Subscribed, |event| {
            let event = event.of(session.id(), session.client_id()).about_text(filter.to_string());
            event.with("qos", (options.maximum_qos as u8).to_string()).with("existed", existed.to_string())
        });
        reasons.push(granted(options.maximum_qos));
        // [MQTT-3.3.1-9] to [MQTT-3.3.1-11]; never for shared subscriptions (section 4.8.2).
        let wanted = match options.retain_handling {
            RetainHandling::SendAlways => true,
            RetainHandling::SendIfNew => !existed,
            RetainHandling::SendNever => false,
        };
        if wanted && filter.share.is_none() {
            feeds.push(RetainedFeed { filter, subscribed, page: VecDeque::new(), next: Some(None) });
        }
    }
    if !save(broker, subscriber, session, &changed, publisher.durability).await {
        // What is not safe is not acknowledged.
        for filter in changed.iter().filter(|filter| !before.contains(filter)) {
            broker.routes.unsubscribe(session.id(), filter);
            session.unsubscribe(filter);
        }
        feeds.clear();
        reasons.iter_mut().for_each(|reason| *reason = ReasonCode::QuotaExceeded);
        text = "the subscriptions cannot be stored".to_owned();
    }
    Granted { reasons, text: Some(text).filter(|text| !text.is_empty()), feeds }
}

/// Stores subscriptions of a session that outlives its connection, as they are now; false if that failed.
async fn save(
    broker: &Shared,
    subscriber: &Subscriber,
    session: &Session,
    changed: &[SubscriptionFilter],
    durability: Durability,
) -> bool {
    if !subscriber.is_stored() || changed.is_empty() {
        return true;
    }
    let subscriptions = changed.iter().map(|filter| {
        let asked = || {
            let rewritten = session.rewritten().iter().filter(|(_, granted)| *granted == filter);
            rewritten.map(|(asked, _)| asked).collect()
        };
        (filter, session.subscriptions().get(filter).map(|subscribed| (subscribed, asked())))
    });
    let ticket = broker.store.save_subscriptions(session.id(), subscriptions, durability);
    ticket.wait().await == Outcome::Durable
}

/// What hooks make of the filters that are acceptable.
async fn transform(
    broker: &Shared,
    publisher: &Publisher,
    bounds: Bounds<'_>,
    packet: &Subscribe,
    candidates: &mut [Result<Candidate, Refused>],
) {
    let texts: Vec<String> =
        candidates.iter().flatten().map(|candidate| candidate.filter.to_string()).collect();
    let requests: Vec<_> = candidates
        .iter()
        .flatten()
        .zip(&texts)
        .map(|(candidate, filter)| SubscribeRequest {
            session: publisher.session,
            client_id: &publisher.client_id,
            username: publisher.presence.username.as_deref(),
            filter,
            qos: candidate.options.maximum_qos,
            options: candidate.options,
            properties: &packet.properties,
            attributes: &publisher.presence.attributes,
        })
        .collect();
    let outcomes = broker.hooks.chain_full().on_subscribe(&requests).await;
    for (candidate, outcome) in candidates.iter_mut().filter(|candidate| candidate.is_ok()).zip(outcomes) {
        let changed = match outcome {
            Ok(change) => changed(bounds, packet, candidate, change),
            Err(refusal) => {
                if let Some(fault) = &refusal.fault {
                    broker.counters.plugin_faults.add(1);
                    let client_id = &publisher.client_id;
                    warn!(%client_id, %fault, "subscription refused: a plugin failed");
                }
                Err((
                    refusal.code,
                    if refusal.fault.is_some() { "a plugin failed" } else { "refused by a plugin" },
                ))
            }
        };
        if let Err(refused) = changed {
            *candidate = Err(refused);
        }
    }
}

/// Lays a plugin's changes over a subscription. Its filter has to keep the limits, too; the mount point is the plugin's to mind.
fn changed(
    bounds: Bounds<'_>,
    packet: &Subscribe,
    candidate: &mut Result<Candidate, Refused>,
    change: SubscribeChange,
) -> Result<(), Refused> {
    let Ok(candidate) = candidate else { return Ok(()) };
    if let Some(filter) = change.filter {
        let identifier = packet.properties.subscription_identifier;
        acceptable(Bounds { mount_point: None, ..bounds }, &filter, identifier)?;
        candidate.filter = filter;
    }
    if let Some(qos) = change.qos {
        candidate.options.maximum_qos = candidate.options.maximum_qos.min(qos);
    }
    Ok(())
}

/// Asks again whether the subscriptions of a session are allowed, and takes away those that are not. Returns how many those were.
///
/// # Errors
/// Somebody who had to be asked failed: nobody knows, and nothing was taken away that was not denied.
pub(crate) async fn reauthorize(
    broker: &Shared,
    subscriber: &Subscriber,
    publisher: &mut Publisher,
    session: &mut Session,
) -> Result<usize, HookFailed> {
    let all: Vec<_> =
        session.subscriptions().iter().map(|(filter, subscribed)| (filter.clone(), *subscribed)).collect();
    let mut revoked = Vec::new();
    let mut failed = None;
    for (filter, subscribed) in all {
        match permission(broker, publisher, &filter, subscribed.options).await {
            Ok(Authorization::Allowed) => {}
            Ok(Authorization::Denied) => {
                broker.routes.unsubscribe(session.id(), &filter);
                session.unsubscribe(&filter);
                revoked.push(filter.clone());
                broker.counters.subscriptions_revoked.add(1);
                info!(client_id = %publisher.client_id, %filter, "subscription taken away: it is not allowed any more");
                broker.events.tell(EventKind::Unsubscribed, |event| {
                    let event = event.of(session.id(), session.client_id()).about_text(filter.to_string());
                    event.because(ReasonCode::NotAuthorized)
                });
            }
            Err(fault) => {
                failed = Some(fault);
                break;
            }
        }
    }
    // If it cannot be stored, it is asked about and taken away again after a restart.
    save(broker, subscriber, session, &revoked, publisher.durability).await;
    failed.map_or(Ok(revoked.len()), Err)
}

/// The filter below the mount point; None if that is too long.
fn mounted(filter: &SubscriptionFilter, mount_point: Option<&TopicName>) -> Option<SubscriptionFilter> {
    let Some(mount_point) = mount_point else { return Some(filter.clone()) };
    let below = TopicFilter::new(&format!("{mount_point}{}", filter.filter)).ok()?;
    Some(SubscriptionFilter { share: filter.share.clone(), filter: below })
}

/// What can be said without asking anybody.
fn acceptable(
    Bounds { limits, mount_point, .. }: Bounds<'_>,
    asked: &SubscriptionFilter,
    identifier: Option<NonZeroU32>,
) -> Result<SubscriptionFilter, Refused> {
    if levels(&asked.filter) > limits.max_topic_levels || asked.filter.len() > limits.max_topic_length {
        return Err((ReasonCode::TopicFilterInvalid, "too many levels or bytes"));
    }
    if asked.share.is_some() && !limits.shared_subscription_available {
        return Err((ReasonCode::SharedSubscriptionsNotSupported, "no shared subscriptions here"));
    }
    if !asked.filter.is_exact() && !limits.wildcard_subscription_available {
        return Err((ReasonCode::WildcardSubscriptionsNotSupported, "no wildcards here"));
    }
    if identifier.is_some() && !limits.subscription_identifiers_available {
        return Err((ReasonCode::SubscriptionIdentifiersNotSupported, "no subscription identifiers here"));
    }
    mounted(asked, mount_point).ok_or((ReasonCode::TopicFilterInvalid, "too long"))
}

fn too_many(session: &Session, bounds: Bounds<'_>, filter: &SubscriptionFilter) -> bool {
    let subscriptions = session.subscriptions();
    subscriptions.len() >= bounds.subscriptions && subscriptions.get(filter).is_none()
}

async fn allowed(
    broker: &Shared,
    publisher: &mut Publisher,
    filter: &SubscriptionFilter,
    options: SubscriptionOptions,
) -> Result<(), Refused> {
    match permission(broker, publisher, filter, options).await {
        Ok(Authorization::Allowed) => Ok(()),
        Ok(Authorization::Denied) => Err((ReasonCode::NotAuthorized, "not authorized")),
        Err(fault) => {
            broker.counters.plugin_faults.add(1);
            let client_id = &publisher.client_id;
            warn!(%client_id, %filter, %fault, "subscription refused: a plugin failed");
            Err((ReasonCode::ImplementationSpecificError, "a plugin failed"))
        }
    }
}

async fn permission(
    broker: &Shared,
    publisher: &mut Publisher,
    filter: &SubscriptionFilter,
    options: SubscriptionOptions,
) -> Result<Authorization, HookFailed> {
    let request = AclRequest {
        session: publisher.session,
        client_id: &publisher.client_id,
        username: publisher.presence.username.as_deref(),
        action: Action::Subscribe,
        topic: &filter.filter,
        qos: options.maximum_qos,
        retain: false,
        attributes: &publisher.presence.attributes,
    };
    let chain = broker.hooks.chain_full();
    chain.authorize(&mut publisher.permissions, &request, clock::now()).await
}

fn granted(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQos1,
        QoS::ExactlyOnce => ReasonCode::GrantedQos2,
    }
}

/// Ends subscriptions; one reason a filter.
pub(crate) async fn unsubscribe(
    broker: &Shared,
    subscriber: &Subscriber,
    session: &mut Session,
    mount_point: Option<&TopicName>,
    packet: &Unsubscribe,
    durability: Durability,
) -> Vec<ReasonCode> {
    let mut changed = Vec::new();
    let mut end = |filter: &SubscriptionFilter| {
        let Some(filter) = mounted(filter, mount_point) else { return ReasonCode::NoSubscriptionExisted };
        let Some(filter) = session.ended_by(filter) else { return ReasonCode::Success };
        broker.routes.unsubscribe(session.id(), &filter);
        if !session.unsubscribe(&filter) {
            return ReasonCode::NoSubscriptionExisted;
        }
        changed.push(filter.clone());
        broker.events.tell(EventKind::Unsubscribed, |event| {
            event.of(session.id(), session.client_id()).about_text(filter.to_string())
        });
        ReasonCode::Success
    };
    let reasons: Vec<_> = packet.filters.iter().map(&mut end).collect();
    if save(broker, subscriber, session, &changed, durability).await {
        return reasons;
    }
    // It has ended, but a restart may bring it back: that is not acknowledged.
    vec![ReasonCode::ImplementationSpecificError; reasons.len()]
}

impl RetainedFeed {
    /// The next message, or None after the last. It stays the next one until [`RetainedFeed::advance`].
    pub(crate) fn next(&mut self, broker: &Shared) -> Option<Delivery> {
        while self.page.is_empty() {
            let from = self.next.take()?;
            let page = broker.retained.matching(&self.filter.filter, from.as_ref(), PAGE);
            self.page = page.messages.into();
            self.next = page.next.map(Some);
        }
        let message = self.page.front()?.clone();
        let qos = message.qos.min(self.subscribed.options.maximum_qos);
        let identifiers = self.subscribed.identifier.into_iter().collect();
        Some(Delivery { message, qos, retain: true, identifiers, group: None, stored: None }) // [MQTT-3.3.1-8]
    }

    /// The message was sent.
    pub(crate) fn advance(&mut self) {
        self.page.pop_front();
    }
}
