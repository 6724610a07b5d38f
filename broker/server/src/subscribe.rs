//! SUBSCRIBE and UNSUBSCRIBE: may it, from now on it gets, and what was retained.

use crate::{
    clients::Subscriber, clock, config::Limits, connect::levels, publish::Publisher, shared::Shared,
};
use std::{collections::VecDeque, num::NonZeroU32, sync::Arc};
use tidegate_hooks::{AclRequest, Action, Authorization};
use tidegate_mqtt::{
    HomeId, Message, QoS, ReasonCode, RetainHandling, Subscribe, SubscriptionFilter, SubscriptionOptions,
    TopicFilter, TopicName, Unsubscribe,
};
use tidegate_routing::{Cursor, Subscription};
use tidegate_session::{Delivery, Session, Subscribed};
use tidegate_store::{Outcome, Ticket};
use tracing::{debug, warn};

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

/// Subscribes to each filter that is allowed, below the listener's mount point if it has one.
pub(crate) async fn subscribe(
    broker: &Shared,
    subscriber: &Arc<Subscriber>,
    publisher: &mut Publisher,
    session: &mut Session,
    (limits, mount_point): (&Limits, Option<&TopicName>),
    packet: Subscribe,
) -> Granted {
    let identifier = packet.properties.subscription_identifier;
    let mut reasons = Vec::with_capacity(packet.subscriptions.len());
    let mut text = String::new();
    let mut feeds = Vec::new();
    for (asked, options) in packet.subscriptions {
        let answer = match acceptable(session, limits, mount_point, &asked, identifier) {
            Ok(filter) => allowed(broker, publisher, &filter, options).await.map(|()| filter),
            Err(refused) => Err(refused),
        };
        let filter = match answer {
            Ok(filter) => filter,
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
        let existed = session.subscribe(filter.clone(), subscribed);
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
    if subscriber.is_persistent() {
        let ticket: Ticket = broker.store.save_session(
            session.id(),
            session.client_id(),
            session.expiry(),
            session.subscriptions(),
        );
        if ticket.wait().await != Outcome::Durable {
            // What is not safe is not acknowledged.
            reasons.iter_mut().for_each(|reason| *reason = ReasonCode::ImplementationSpecificError);
            text = "the subscriptions cannot be stored".to_owned();
        }
    }
    Granted { reasons, text: Some(text).filter(|text| !text.is_empty()), feeds }
}

/// The filter below the mount point; None if that is too long.
fn mounted(filter: &SubscriptionFilter, mount_point: Option<&TopicName>) -> Option<SubscriptionFilter> {
    let Some(mount_point) = mount_point else { return Some(filter.clone()) };
    let below = TopicFilter::new(&format!("{mount_point}{}", filter.filter)).ok()?;
    Some(SubscriptionFilter { share: filter.share.clone(), filter: below })
}

/// What can be said without asking anybody.
fn acceptable(
    session: &Session,
    limits: &Limits,
    mount_point: Option<&TopicName>,
    asked: &SubscriptionFilter,
    identifier: Option<NonZeroU32>,
) -> Result<SubscriptionFilter, (ReasonCode, &'static str)> {
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
    let filter = mounted(asked, mount_point).ok_or((ReasonCode::TopicFilterInvalid, "too long"))?;
    let subscriptions = session.subscriptions();
    if subscriptions.len() >= limits.max_subscriptions && !subscriptions.contains_key(&filter) {
        return Err((ReasonCode::QuotaExceeded, "too many subscriptions"));
    }
    Ok(filter)
}

async fn allowed(
    broker: &Shared,
    publisher: &mut Publisher,
    filter: &SubscriptionFilter,
    options: SubscriptionOptions,
) -> Result<(), (ReasonCode, &'static str)> {
    let request = AclRequest {
        session: publisher.session,
        client_id: &publisher.client_id,
        username: publisher.username.as_deref(),
        action: Action::Subscribe,
        topic: &filter.filter,
        qos: options.maximum_qos,
        retain: false,
        attributes: &publisher.attributes,
    };
    let chain = broker.hooks.chain_full();
    match chain.authorize(&mut publisher.permissions, &request, clock::now()).await {
        Ok(Authorization::Allowed) => Ok(()),
        Ok(Authorization::Denied) => Err((ReasonCode::NotAuthorized, "not authorized")),
        Err(fault) => {
            broker.counters.plugin_faults.add(1);
            warn!(%filter, %fault, "subscription refused: a plugin failed");
            Err((ReasonCode::ImplementationSpecificError, "a plugin failed"))
        }
    }
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
) -> Vec<ReasonCode> {
    let mut end = |filter: &SubscriptionFilter| {
        let Some(filter) = mounted(filter, mount_point) else { return ReasonCode::NoSubscriptionExisted };
        broker.routes.unsubscribe(session.id(), &filter);
        if session.unsubscribe(&filter) { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted }
    };
    let reasons = packet.filters.iter().map(&mut end).collect();
    if subscriber.is_persistent() {
        let ticket = broker.store.save_session(
            session.id(),
            session.client_id(),
            session.expiry(),
            session.subscriptions(),
        );
        ticket.wait().await;
    }
    reasons
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
        Some(Delivery { message, qos, retain: true, identifiers, group: None }) // [MQTT-3.3.1-8]
    }

    /// The message was sent.
    pub(crate) fn advance(&mut self) {
        self.page.pop_front();
    }
}
