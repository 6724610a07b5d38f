//! What becomes of subscriptions, before anybody is asked whether they are allowed.

use super::{Chain, Member, messages::batch};
use crate::{
    hooks::HookFailed,
    questions::SubscribeRequest,
    verdicts::{SubscribeChange, SubscribeVerdict},
};
use std::sync::Arc;
use tidegate_mqtt::{ReasonCode, SubscriptionFilter};

/// A subscription was not taken.
#[derive(Clone, Debug, thiserror::Error)]
#[error("refused by plugin {by}: {code}")]
pub struct SubscribeRefusal {
    /// Which plugin.
    pub by: Arc<str>,
    /// What the client is told.
    pub code: ReasonCode,
    /// The fault, if that is why.
    pub fault: Option<HookFailed>,
}

/// Changes to one subscription, all members taken together; what is None stays.
pub type SubscribeOutcome = Result<SubscribeChange, SubscribeRefusal>;

impl Chain {
    /// Asks about all filters of a SUBSCRIBE. One outcome a filter, in order.
    pub async fn on_subscribe(&self, requests: &[SubscribeRequest<'_>]) -> Vec<SubscribeOutcome> {
        let outcomes = self.decide_about_filters(requests).await;
        self.observed.tell(|observer| observer.subscribed(requests, &outcomes));
        outcomes
    }

    async fn decide_about_filters(&self, requests: &[SubscribeRequest<'_>]) -> Vec<SubscribeOutcome> {
        let mut outcomes: Vec<SubscribeOutcome> =
            requests.iter().map(|_| Ok(SubscribeChange::default())).collect();
        if !self.served.subscribe {
            return outcomes;
        }
        let mut accepted = vec![false; requests.len()];
        for member in self.members.iter().filter(|member| member.hooks.kinds().subscribe) {
            let texts: Vec<Option<String>> = outcomes
                .iter()
                .map(|outcome| Some(outcome.as_ref().ok()?.filter.as_ref()?.to_string()))
                .collect();
            let mut there = Vec::new();
            let mut asked = Vec::new();
            for (at, request) in requests.iter().enumerate() {
                let Ok(change) = &outcomes[at] else { continue };
                let filter = texts[at].as_deref().unwrap_or(request.filter);
                if !accepted[at] && member.subscribe_in_scope(filter) {
                    there.push(at);
                    asked.push(SubscribeRequest {
                        filter,
                        qos: change.qos.unwrap_or(request.qos),
                        ..*request
                    });
                }
            }
            if there.is_empty() {
                continue;
            }
            let answer = member.hooks.on_subscribe(&asked).wait().await;
            let refusal = |code, fault| SubscribeRefusal { by: member.place.name.clone(), code, fault };
            for (at, verdict) in there.iter().zip(batch(member, answer, asked.len())) {
                match verdict {
                    Ok(SubscribeVerdict::Next) => {}
                    Ok(SubscribeVerdict::Accept) => accepted[*at] = true,
                    Ok(SubscribeVerdict::Edit(change)) => {
                        if let Ok(before) = &mut outcomes[*at] {
                            before.filter = change.filter.or(before.filter.take());
                            before.qos = change.qos.or(before.qos);
                        }
                    }
                    Ok(SubscribeVerdict::Refuse(code)) => outcomes[*at] = Err(refusal(code, None)),
                    Err(fault) => {
                        outcomes[*at] = Err(refusal(ReasonCode::ImplementationSpecificError, Some(fault)));
                    }
                }
            }
        }
        outcomes
    }
}

impl Member {
    /// Whether a subscription lies in its scope for `on_subscribe`.
    pub fn subscribe_in_scope(&self, filter: &str) -> bool {
        let Some(scope) = &self.scopes.subscribe else { return true };
        let topics = SubscriptionFilter::new(filter);
        let topics = topics.as_ref().map_or(filter, |filter| &filter.filter);
        scope.iter().any(|filter| filter.overlaps(topics))
    }
}
