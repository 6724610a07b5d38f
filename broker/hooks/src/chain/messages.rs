//! Messages on their way: in (`on_publish`), and out to one recipient (`on_deliver`).

use super::{Chain, InScope, Member, OnDeliverFault, OnFault, holds};
use crate::{
    hooks::HookFailed,
    questions::{DeliverRequest, PublishRequest},
    verdicts::{DeliverVerdict, Patch, PublishVerdict},
};
use std::sync::Arc;
use tidegate_mqtt::ReasonCode;

/// A message was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
#[error("refused by plugin {by}: {code}")]
pub struct PublishRefusal {
    /// Which plugin.
    pub by: Arc<str>,
    /// What the publisher is told.
    pub code: ReasonCode,
    /// The fault, if that is why.
    pub fault: Option<HookFailed>,
}

/// What became of a message that nobody refused.
#[derive(Clone, Debug)]
pub enum PublishOutcome {
    /// As published.
    Unchanged,
    /// With these changes.
    Edited(Box<Patch>),
    /// Acknowledged, delivered to nobody.
    Swallowed,
}

/// One message on its way through the chain.
#[derive(Default)]
struct Passage {
    edits: Option<Patch>,
    /// Nobody else is asked.
    end: Option<End>,
}

enum End {
    Accepted,
    Swallowed,
    Refused(PublishRefusal),
}

impl Passage {
    /// The message as the members before left it.
    fn seen<'a>(&'a self, request: &PublishRequest<'a>) -> PublishRequest<'a> {
        match &self.edits {
            None => *request,
            Some(edits) => edited(request, edits),
        }
    }

    fn pass(&mut self, member: &Member, verdict: Result<PublishVerdict, HookFailed>) {
        let refused =
            |code, fault| End::Refused(PublishRefusal { by: member.place.name.clone(), code, fault });
        self.end = match verdict {
            Ok(PublishVerdict::Next) => None,
            Ok(PublishVerdict::Edit(patch)) => {
                self.edits.get_or_insert_default().extend(*patch);
                None
            }
            Ok(PublishVerdict::Accept) => Some(End::Accepted),
            Ok(PublishVerdict::Swallow) => Some(End::Swallowed),
            Ok(PublishVerdict::Refuse(code)) => Some(refused(code, None)),
            Err(fault) => match member.on_fault {
                OnFault::Next => None,
                OnFault::Refuse => Some(refused(ReasonCode::ImplementationSpecificError, Some(fault))),
            },
        };
    }

    fn outcome(self) -> Result<PublishOutcome, PublishRefusal> {
        match (self.end, self.edits) {
            (Some(End::Refused(refusal)), _) => Err(refusal),
            (Some(End::Swallowed), _) => Ok(PublishOutcome::Swallowed),
            (_, Some(edits)) => Ok(PublishOutcome::Edited(Box::new(edits))),
            (_, None) => Ok(PublishOutcome::Unchanged),
        }
    }
}

fn edited<'a>(request: &PublishRequest<'a>, edits: &'a Patch) -> PublishRequest<'a> {
    PublishRequest {
        topic: edits.topic.as_deref().unwrap_or(request.topic),
        qos: edits.qos.unwrap_or(request.qos),
        retain: edits.retain.unwrap_or(request.retain),
        payload: edits.payload.as_deref().unwrap_or(request.payload),
        properties: edits.properties.as_deref().or(request.properties),
        ..*request
    }
}

/// A plugin does not see what it published itself.
pub(super) fn is_own(member: &Member, request: &PublishRequest<'_>) -> bool {
    request.origin.is_some_and(|origin| origin.plugin == member.place.name)
}

/// Stands in a scope for whoever looks on: no member, but a reason to come by.
const ONLOOKER: u16 = u16::MAX;

impl Chain {
    /// Who must be asked about messages on `topic`. Derived once a topic and kept beside its routes.
    pub fn publish_scope(&self, topic: &str) -> InScope {
        let mut scope = match self.served.publish {
            true => {
                self.in_scope(|member| member.hooks.kinds().publish && holds(&member.scopes.publish, topic))
            }
            false => InScope::default(),
        };
        if self.observed.is_some() {
            scope.0.push(ONLOOKER);
        }
        scope
    }

    /// Runs the members of `scope`, each seeing the edits of those before.
    ///
    /// # Errors
    /// [`PublishRefusal`] if a member refuses, or fails and is not to be passed over.
    pub async fn on_publish(
        &self,
        scope: &InScope,
        request: &PublishRequest<'_>,
    ) -> Result<PublishOutcome, PublishRefusal> {
        let mut passage = Passage::default();
        for member in self.members_of(scope).filter(|member| !is_own(member, request)) {
            let verdict = {
                let request = passage.seen(request);
                member.hooks.on_publish(&request).wait().await
            };
            passage.pass(member, verdict);
            if passage.end.is_some() {
                break;
            }
        }
        let outcome = passage.outcome();
        self.observed.tell(|observer| observer.published(request, &outcome));
        outcome
    }

    /// As [`Chain::on_publish`], for several messages of one publisher: a member that takes batches is asked once about all of them that
    /// lie in its scope and that nobody before it ended. For each message the order of members is the same. One outcome a message.
    pub async fn on_publish_batch(
        &self,
        messages: &[(InScope, PublishRequest<'_>)],
    ) -> Vec<Result<PublishOutcome, PublishRefusal>> {
        let mut passages: Vec<Passage> = messages.iter().map(|_| Passage::default()).collect();
        for (index, member) in self.members.iter().enumerate() {
            let goes_there = |at: &usize| {
                let (scope, request) = &messages[*at];
                let listed = scope.0.iter().any(|member| usize::from(*member) == index);
                listed && passages[*at].end.is_none() && !is_own(member, request)
            };
            let there: Vec<usize> = (0..messages.len()).filter(goes_there).collect();
            if there.is_empty() {
                continue;
            }
            let verdicts = if member.hooks.kinds().publish_batch {
                let requests: Vec<_> = there.iter().map(|at| passages[*at].seen(&messages[*at].1)).collect();
                let answer = member.hooks.on_publish_batch(&requests).wait().await;
                batch(member, answer, there.len())
            } else {
                let mut verdicts = Vec::with_capacity(there.len());
                for at in &there {
                    let request = passages[*at].seen(&messages[*at].1);
                    verdicts.push(member.hooks.on_publish(&request).wait().await);
                }
                verdicts
            };
            for (at, verdict) in there.into_iter().zip(verdicts) {
                passages[at].pass(member, verdict);
            }
        }
        let outcomes: Vec<_> = passages.into_iter().map(Passage::outcome).collect();
        self.observed.tell(|observer| {
            for ((_, request), outcome) in messages.iter().zip(&outcomes) {
                observer.published(request, outcome);
            }
        });
        outcomes
    }

    /// Who must be asked about deliveries of messages on `topic`.
    pub fn deliver_scope(&self, topic: &str) -> InScope {
        if !self.served.deliver {
            return InScope::default();
        }
        self.in_scope(|member| member.hooks.kinds().deliver && holds(&member.scopes.deliver, topic))
    }

    /// What a recipient gets: None if the message is dropped for it, and by whom; else the changes, if there are any.
    pub async fn on_deliver(
        &self,
        scope: &InScope,
        request: &DeliverRequest<'_>,
    ) -> Result<Option<Box<Patch>>, Arc<str>> {
        let outcome = self.decide_what_it_gets(scope, request).await;
        self.observed.tell(|observer| observer.delivered(request, &outcome));
        outcome
    }

    async fn decide_what_it_gets(
        &self,
        scope: &InScope,
        request: &DeliverRequest<'_>,
    ) -> Result<Option<Box<Patch>>, Arc<str>> {
        let mut edits: Option<Patch> = None;
        for member in self.members_of(scope).filter(|member| !is_own(member, &request.message)) {
            let verdict = {
                let message = match &edits {
                    None => request.message,
                    Some(edits) => edited(&request.message, edits),
                };
                member.hooks.on_deliver(&DeliverRequest { message, ..*request }).wait().await
            };
            match verdict {
                Ok(DeliverVerdict::Next) => {}
                Ok(DeliverVerdict::Edit(patch)) => edits.get_or_insert_default().extend(*patch),
                Ok(DeliverVerdict::Drop) => return Err(member.place.name.clone()),
                Err(_) => match member.on_deliver_fault {
                    OnDeliverFault::Deliver => {}
                    OnDeliverFault::Drop => return Err(member.place.name.clone()),
                },
            }
        }
        Ok(edits.map(Box::new))
    }

    pub(super) fn in_scope(&self, holds: impl Fn(&Member) -> bool) -> InScope {
        let indexes = self.members.iter().enumerate().filter(|(_, member)| holds(member));
        InScope(indexes.filter_map(|(index, _)| u16::try_from(index).ok()).collect())
    }

    pub(super) fn members_of<'a>(&'a self, scope: &'a InScope) -> impl Iterator<Item = &'a Member> {
        scope.0.iter().filter_map(|index| self.members.get(usize::from(*index)))
    }
}

/// One answer for each, whatever came.
pub fn batch<T>(
    member: &Member,
    answer: Result<Vec<T>, HookFailed>,
    asked: usize,
) -> Vec<Result<T, HookFailed>> {
    match answer {
        Ok(verdicts) if verdicts.len() == asked => verdicts.into_iter().map(Ok).collect(),
        Ok(verdicts) => {
            let text = format!("{} verdicts for {asked} questions", verdicts.len());
            let kind = crate::FaultKind::Contract(text.into());
            let fault = HookFailed { plugin: member.place.name.clone(), kind };
            (0..asked).map(|_| Err(fault.clone())).collect()
        }
        Err(fault) => (0..asked).map(|_| Err(fault.clone())).collect(),
    }
}
