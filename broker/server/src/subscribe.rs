//! SUBSCRIBE and UNSUBSCRIBE: may it, from now on it gets, and what was retained.

use crate::{
    clients::Subscriber, clock, config::Limits, connect::levels, publish::Publisher, shared::Shared,
};
use std::{collections::VecDeque, sync::Arc};
use tidegate_hooks::{AclRequest, Action, Authorization};
use tidegate_mqtt::{
    HomeId, Message, QoS, ReasonCode, RetainHandling, Subscribe, SubscriptionFilter, SubscriptionOptions,
    Unsubscribe,
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

/// Subscribes to each filter that is allowed. Returns one reason a filter, and the retained messages that follow.
pub(crate) async fn subscribe(
    broker: &Shared,
    subscriber: &Arc<Subscriber>,
    publisher: &mut Publisher,
    session: &mut Session,
    limits: &Limits,
    packet: Subscribe,
) -> (Vec<ReasonCode>, Vec<RetainedFeed>) {
    let identifier = packet.properties.subscription_identifier;
    let mut reasons = Vec::with_capacity(packet.subscriptions.len());
    let mut feeds = Vec::new();
    for (filter, options) in packet.subscriptions {
        if let Err(reason) = allowed(broker, publisher, session, limits, &filter, options).await {
            debug!(%filter, %reason, "subscription refused");
            reasons.push(reason);
            continue;
        }
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
        }
    }
    (reasons, feeds)
}

async fn allowed(
    broker: &Shared,
    publisher: &mut Publisher,
    session: &Session,
    limits: &Limits,
    filter: &SubscriptionFilter,
    options: SubscriptionOptions,
) -> Result<(), ReasonCode> {
    if levels(&filter.filter) > limits.max_topic_levels {
        return Err(ReasonCode::TopicFilterInvalid);
    }
    let count = session.subscriptions().len();
    if count >= limits.max_subscriptions && !session.subscriptions().contains_key(filter) {
        return Err(ReasonCode::QuotaExceeded);
    }
    let request = AclRequest {
        session: publisher.session,
        client_id: &publisher.client_id,
        username: publisher.username.as_deref(),
        action: Action::Subscribe,
        topic: &filter.filter,
        qos: options.maximum_qos,
        retain: false,
    };
    let chain = broker.hooks.chain_full();
    match chain.authorize(&mut publisher.permissions, &request, clock::now()).await {
        Ok(Authorization::Allowed) => Ok(()),
        Ok(Authorization::Denied) => Err(ReasonCode::NotAuthorized),
        Err(fault) => {
            broker.counters.plugin_faults.add(1);
            warn!(%filter, %fault, "subscription refused: a plugin failed");
            Err(ReasonCode::ImplementationSpecificError)
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
    packet: &Unsubscribe,
) -> Vec<ReasonCode> {
    let mut end = |filter: &SubscriptionFilter| {
        broker.routes.unsubscribe(session.id(), filter);
        if session.unsubscribe(filter) { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted }
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
        Some(Delivery { message, qos, retain: true, identifiers }) // [MQTT-3.3.1-8]
    }

    /// The message was sent.
    pub(crate) fn advance(&mut self) {
        self.page.pop_front();
    }
}
