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
struct Passage<'a> {
    /// Who is asked, in order, as long as it keeps its topic.
    scope: &'a InScope,
    /// Who was and is asked, in order, since it went to another topic.
    rerouted: Option<InScope>,
    /// How many of them have been asked.
    asked: usize,
    edits: Option<Patch>,
    /// Nobody else is asked.
    end: Option<End>,
}

enum End {
    Accepted,
    Swallowed,
    Refused(PublishRefusal),
}

impl<'a> Passage<'a> {
    fn new(scope: &'a InScope) -> Self {
        Self { scope, rerouted: None, asked: 0, edits: None, end: None }
    }

    /// Who is asked next. A plugin does not see what it published itself.
    fn next<'c>(&mut self, chain: &'c Chain, request: &PublishRequest<'_>) -> Option<(usize, &'c Member)> {
        if self.end.is_some() {
            return None;
        }
        let scope = self.rerouted.as_ref().unwrap_or(self.scope);
        while let Some(index) = scope.0.get(self.asked) {
            let index = usize::from(*index);
            match chain.members.get(index) {
                Some(member) if !is_own(member, request) => return Some((index, member)),
                _ => self.asked += 1,
            }
        }
        None
    }

    /// The message as the members before left it.
    fn seen<'r>(&'r self, request: &PublishRequest<'r>) -> PublishRequest<'r> {
        match &self.edits {
            None => *request,
            Some(edits) => edited(request, edits),
        }
    }

    fn pass(&mut self, chain: &Chain, member: &Member, verdict: Result<PublishVerdict, HookFailed>) {
        self.asked += 1;
        let refused =
            |code, fault| End::Refused(PublishRefusal { by: member.place.name.clone(), code, fault });
        self.end = match verdict {
            Ok(PublishVerdict::Next) => None,
            Ok(PublishVerdict::Edit(patch)) => {
                if let Some(topic) = &patch.topic {
                    self.reroute(chain, topic);
                }
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

    /// It goes to whoever is asked about `topic` as well, each once: those whose place is past are asked at the end. So nobody gets round a plugin by
    /// way of another topic.
    fn reroute(&mut self, chain: &Chain, topic: &str) {
        let mut way = self.rerouted.take().unwrap_or_else(|| self.scope.clone());
        let here = self.asked.checked_sub(1).and_then(|at| way.0.get(at)).copied().unwrap_or_default();
        for index in chain.publish_scope(topic).0 {
            if !way.0.contains(&index) {
                way.0.push(index);
            }
        }
        way.0[self.asked..].sort_unstable_by_key(|index| (*index < here, *index));
        self.rerouted = Some(way);
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

    /// Runs the members of `scope`, each seeing the edits of those before. A message that one of them moves to another topic goes to the
    /// members that are asked about that one, too.
    ///
    /// # Errors
    /// [`PublishRefusal`] if a member refuses, or fails and is not to be passed over.
    pub async fn on_publish(
        &self,
        scope: &InScope,
        request: &PublishRequest<'_>,
    ) -> Result<PublishOutcome, PublishRefusal> {
        let mut passage = Passage::new(scope);
        while let Some((_, member)) = passage.next(self, request) {
            let verdict = {
                let request = passage.seen(request);
                member.hooks.on_publish(&request).wait().await
            };
            passage.pass(self, member, verdict);
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
        let mut passages: Vec<Passage<'_>> = messages.iter().map(|(scope, _)| Passage::new(scope)).collect();
        // Once through them, but for messages that moved.
        while let Some(first) = passages
            .iter_mut()
            .zip(messages)
            .filter_map(|(passage, (_, request))| Some(passage.next(self, request)?.0))
            .min()
        {
            for (index, member) in self.members.iter().enumerate().skip(first) {
                let there: Vec<usize> = (0..messages.len())
                    .filter(|at| {
                        passages[*at].next(self, &messages[*at].1).is_some_and(|(next, _)| next == index)
                    })
                    .collect();
                if !there.is_empty() {
                    self.ask_about_batch(member, messages, &mut passages, &there).await;
                }
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

    /// `there`: which of them come to this member.
    async fn ask_about_batch(
        &self,
        member: &Member,
        messages: &[(InScope, PublishRequest<'_>)],
        passages: &mut [Passage<'_>],
        there: &[usize],
    ) {
        let verdicts = if member.hooks.kinds().publish_batch {
            let requests: Vec<_> = there.iter().map(|at| passages[*at].seen(&messages[*at].1)).collect();
            let answer = member.hooks.on_publish_batch(&requests).wait().await;
            batch(member, answer, there.len())
        } else {
            let mut verdicts = Vec::with_capacity(there.len());
            for at in there {
                let request = passages[*at].seen(&messages[*at].1);
                verdicts.push(member.hooks.on_publish(&request).wait().await);
            }
            verdicts
        };
        for (at, verdict) in there.iter().zip(verdicts) {
            passages[*at].pass(self, member, verdict);
        }
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
