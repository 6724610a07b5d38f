//! Who is asked in which order, who decides, and what silence and faults mean. Nothing of that stands anywhere else.
//!
//! | hook | nobody decides | a member fails |
//! |---|---|---|
//! | authenticate | refuse, unless a certificate names the client, or nobody was ever there to ask and anonymous clients are allowed | refuse; with 0x89 if it is asked too much at once |
//! | acl | refuse, unless no rule and no plugin for it was ever there | refuse |
//! | publish | as published | refuse with 0x83; with `on_fault = "next"` as if it had not been asked |
//! | subscribe | as asked for | refuse with 0x83 |
//! | subscribers | select: everybody; pick: the broker's turn | as if it had not been asked |
//! | deliver | as it is | as it is; with `on_deliver_fault = "drop"` the recipient does not get it |
//!
//! Edits chain: each member sees what those before it left. A message that a plugin published is not shown to that plugin. What stands
//! in other files of this folder is how the answers are put together.

mod messages;
mod recipients;
mod subscriptions;

pub use messages::{PublishOutcome, PublishRefusal, batch};
pub use recipients::Selected;
pub use subscriptions::{SubscribeOutcome, SubscribeRefusal};

use crate::{
    events::EventKinds,
    hooks::{FaultKind, HookFailed, HookKinds, Hooks, Remembered},
    observer::{Observed, Observer},
    questions::{AclRequest, Action, Attributes, AuthStep, ConnectRequest},
    rules::Rules,
    verdicts::{AclVerdict, AuthVerdict, Challenge, Quotas, Refusal},
};
use smallvec::SmallVec;
use std::{sync::Arc, time::Duration};
use tidegate_mqtt::{ClientId, ReasonCode, Timestamp, TopicFilter};

/// A member's place in the chain: by order, then by name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// Lower is asked earlier. 0 unless the config says otherwise.
    pub order: i32,
    /// The plugin's name.
    pub name: Arc<str>,
}

/// What a failed call of a transform hook means. Decisions about access always refuse.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnFault {
    /// The message is refused (0x83).
    #[default]
    Refuse,
    /// The message goes on as if this member had not been asked.
    Next,
}

/// One plugin, or native code, in the chain.
#[derive(Clone)]
pub struct Member {
    /// Where it stands.
    pub place: Place,
    /// What it answers.
    pub hooks: Arc<dyn Hooks>,
    /// About which topics it is asked.
    pub scopes: Scopes,
    /// For `on_publish` only.
    pub on_fault: OnFault,
    /// For `on_deliver` only.
    pub on_deliver_fault: OnDeliverFault,
}

/// What a failed `on_deliver` means.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnDeliverFault {
    /// The recipient gets the message as it is.
    #[default]
    Deliver,
    /// The recipient does not get it.
    Drop,
}

/// Topics that a member is asked about, by hook. None: every topic.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scopes {
    /// `check`: where a filter shares topics with what is asked about.
    pub acl: Scope,
    /// `on_publish`: topics that match.
    pub publish: Scope,
    /// `on_subscribe`: where a filter shares topics with the subscription.
    pub subscribe: Scope,
    /// `select` and `pick`: topics that match.
    pub subscribers: Scope,
    /// `on_deliver`: topics that match.
    pub deliver: Scope,
    /// `on_events`: events about a topic that matches, and events about none.
    pub events: Scope,
}

/// Topic filters; None: every topic.
pub type Scope = Option<Vec<TopicFilter>>;

impl Member {
    /// A member of that name, first among equals, asked about everything its hooks answer.
    pub fn new(name: &str, hooks: Arc<dyn Hooks>) -> Self {
        Self {
            place: Place { order: 0, name: name.into() },
            hooks,
            scopes: Scopes::default(),
            on_fault: OnFault::default(),
            on_deliver_fault: OnDeliverFault::default(),
        }
    }
}

/// Whether a scope has `topic` in it.
pub fn holds(scope: &Scope, topic: &str) -> bool {
    scope.as_ref().is_none_or(|filters| filters.iter().any(|filter| filter.matches(topic)))
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member")
            .field("place", &self.place)
            .field("kinds", &self.hooks.kinds())
            .finish_non_exhaustive()
    }
}

/// Indexes of the members whose publish scope holds a topic. Empty for most topics: then nobody is asked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InScope(SmallVec<[u16; 4]>);

impl InScope {
    /// Whether nobody is to be asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// All members, in order. Immutable: a change makes a new chain (see [`HookRegistry`](crate::HookRegistry)), and whoever
/// began with the old one ends with it.
#[derive(Debug, Default)]
pub struct Chain {
    generation: u64,
    members: Vec<Member>,
    /// Those of them that answer `check`.
    guards: Vec<usize>,
    /// What some member answers.
    served: HookKinds,
    /// Kinds that some member, present or gone, has served: those questions stay asked.
    asked: HookKinds,
    observed: Observed,
}

impl Chain {
    /// This chain with other members, and the next generation's number.
    pub(crate) fn with_members(&self, members: Vec<Member>) -> Self {
        self.with(members, self.observed.clone())
    }

    /// This chain, and somebody who looks on, or nobody any more.
    pub(crate) fn observed_by(&self, observer: Option<Arc<dyn Observer>>) -> Self {
        self.with(self.members.clone(), Observed::by(observer))
    }

    fn with(&self, mut members: Vec<Member>, observed: Observed) -> Self {
        members.sort_by(|a, b| a.place.cmp(&b.place));
        let mut served =
            members.iter().fold(HookKinds::default(), |served, member| served.union(member.hooks.kinds()));
        let asked = self.asked.union(served);
        // Whoever looks on wants to see subscriptions as they were asked for.
        served.subscribe |= observed.is_some();
        let guards = (0..members.len()).filter(|index| members[*index].hooks.kinds().acl).collect();
        Self { generation: self.generation + 1, members, guards, served, asked, observed }
    }

    /// What some member answers: what is not among it costs nothing.
    pub fn served(&self) -> HookKinds {
        self.served
    }

    /// What somebody wants to be told of.
    pub fn events(&self) -> EventKinds {
        self.served.events
    }

    /// Whether a question about permission could be answered with no: by a member, or because one that is gone leaves it asked.
    pub fn asks_for_permission(&self) -> bool {
        self.asked.acl
    }

    /// Rises with every change. What was derived from a chain is worth nothing under another generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The members, in the order they are asked.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// CONNECT: asks until somebody decides. One that names an authentication method is for members that know how to go on.
    ///
    /// # Errors
    /// [`AuthRefusal`] if somebody refuses, nobody decides, or a member fails.
    pub async fn authenticate(&self, request: &ConnectRequest<'_>) -> Result<AuthOutcome, AuthRefusal> {
        let outcome = self.decide_who_comes_in(request).await;
        self.observed.tell(|observer| observer.authenticated(request, &outcome));
        outcome
    }

    async fn decide_who_comes_in(&self, request: &ConnectRequest<'_>) -> Result<AuthOutcome, AuthRefusal> {
        let method = request.properties.authentication_method.is_some();
        for member in self.members.iter().filter(|member| member.authenticates(request)) {
            let verdict = member.hooks.authenticate(request).wait().await;
            if let Some(outcome) = member.decided(request, verdict)? {
                return Ok(outcome);
            }
        }
        if method {
            // [MQTT-4.12.0-1]
            return Err(AuthRefusal::nobody(ReasonCode::BadAuthenticationMethod));
        }
        // A name that nobody vouches for is not let in once there was somebody to ask.
        let anonymous = request.allow_anonymous && (!self.asked.authenticate || request.username.is_none());
        if anonymous || request.tls_username {
            return Ok(AuthOutcome::In(Box::new(Authenticated {
                client_id: ClientId::new(request.client_id),
                username: request.username.map(Into::into),
                permissions: Permissions::default(),
                attributes: Attributes::default(),
                quotas: Quotas::default(),
                expires: None,
                by: None,
                data: None,
            })));
        }
        Err(AuthRefusal::nobody(if request.username.is_some() {
            ReasonCode::BadUserNameOrPassword
        } else {
            ReasonCode::NotAuthorized
        }))
    }

    /// AUTH: asks the member that began, or that let the client in.
    ///
    /// # Errors
    /// [`AuthRefusal`] if it refuses, fails, does not decide, or is gone.
    pub async fn proceed(
        &self,
        by: &str,
        request: &ConnectRequest<'_>,
        step: &AuthStep<'_>,
    ) -> Result<AuthOutcome, AuthRefusal> {
        let outcome = self.take_step(by, request, step).await;
        self.observed.tell(|observer| observer.proceeded(request, step, &outcome));
        outcome
    }

    async fn take_step(
        &self,
        by: &str,
        request: &ConnectRequest<'_>,
        step: &AuthStep<'_>,
    ) -> Result<AuthOutcome, AuthRefusal> {
        let it = self.members.iter().find(|member| &*member.place.name == by);
        let Some(member) = it.filter(|member| member.hooks.kinds().proceed) else {
            return Err(AuthRefusal::nobody(ReasonCode::NotAuthorized));
        };
        let verdict = member.hooks.proceed(request, step).wait().await;
        member.decided(request, verdict)?.ok_or_else(|| AuthRefusal::nobody(ReasonCode::NotAuthorized))
    }

    /// PUBLISH, SUBSCRIBE, will: the client's rules stand in the chain at the place of the plugin that granted them.
    ///
    /// # Errors
    /// The fault of the member that was asked; it means no.
    pub async fn authorize(
        &self,
        permissions: &mut Permissions,
        request: &AclRequest<'_>,
        now: Timestamp,
    ) -> Result<Authorization, HookFailed> {
        let answer = self.decide_what_it_may(permissions, request, now).await;
        self.observed.tell(|observer| observer.authorized(permissions, request, &answer));
        answer
    }

    async fn decide_what_it_may(
        &self,
        permissions: &mut Permissions,
        request: &AclRequest<'_>,
        now: Timestamp,
    ) -> Result<Authorization, HookFailed> {
        let mut rules_asked = permissions.rules.is_empty();
        for (index, member) in self.guards.iter().map(|index| (*index, &self.members[*index])) {
            if !rules_asked && permissions.granted_at.as_ref().is_none_or(|place| *place <= member.place) {
                rules_asked = true;
                if let Some(allow) = permissions.rules.decide(request) {
                    return Ok(Authorization::from(allow));
                }
            }
            if !member.acl_in_scope(request) {
                continue;
            }
            if let Some(allow) = permissions.remembered(self.generation, index, request, now) {
                member.hooks.answered_before(Remembered::Check);
                return Ok(Authorization::from(allow));
            }
            let (allow, span) = match member.hooks.check(request).wait().await? {
                AclVerdict::Next => continue,
                AclVerdict::Allow(span) => (true, span),
                AclVerdict::Deny(span) => (false, span),
            };
            if !span.ttl.is_zero() {
                let until = now.after(span.ttl);
                permissions.remember(
                    self.generation,
                    Answer { member: index, action: request.action, filter: span.filter, allow, until },
                );
            }
            return Ok(Authorization::from(allow));
        }
        if !rules_asked && let Some(allow) = permissions.rules.decide(request) {
            return Ok(Authorization::from(allow));
        }
        let nobody_to_ask = permissions.rules.is_empty() && !self.asked.acl;
        Ok(Authorization::from(nobody_to_ask))
    }

    /// Whether [`Chain::authorize`] would allow it without asking anybody, or looking for an answer that holds for a while: then it would do
    /// so again, for as long as chain and permissions stay what they are.
    pub fn always_allows(&self, permissions: &Permissions, request: &AclRequest<'_>) -> bool {
        let before = |member: &&Member| permissions.granted_at.as_ref().is_none_or(|at| *at <= member.place);
        let rules = &permissions.rules;
        for member in self.guards.iter().map(|index| &self.members[*index]) {
            if !rules.is_empty()
                && before(&member)
                && let Some(allow) = rules.decide(request)
            {
                return allow;
            }
            if member.acl_in_scope(request) {
                return false;
            }
        }
        rules.decide(request).unwrap_or(rules.is_empty() && !self.asked.acl)
    }

    /// Whether all who may be asked by [`Chain::authorize`] and [`Chain::on_publish`] answer at once, so that neither has to be waited for. A message
    /// that anybody is asked about may move to a topic about which others are.
    pub fn answers_at_once(&self, request: &AclRequest<'_>, scope: &InScope) -> bool {
        let guards = self.guards.iter().map(|index| &self.members[*index]);
        let transforms =
            self.members.iter().filter(|member| !scope.is_empty() && member.hooks.kinds().publish);
        let mut asked = guards.filter(|member| member.acl_in_scope(request)).chain(transforms);
        asked.all(|member| member.hooks.answers_at_once())
    }
}

impl Member {
    /// Whether it is asked about this client: whether it knows how to go on, if the client names an authentication method.
    pub fn authenticates(&self, request: &ConnectRequest<'_>) -> bool {
        let kinds = self.hooks.kinds();
        kinds.authenticate && (kinds.proceed || request.properties.authentication_method.is_none())
    }

    /// What an answer about a client comes to; None: the next member is asked.
    ///
    /// # Errors
    /// [`AuthRefusal`] if it refuses, fails, or is not to be understood.
    pub fn decided(
        &self,
        request: &ConnectRequest<'_>,
        verdict: Result<AuthVerdict, HookFailed>,
    ) -> Result<Option<AuthOutcome>, AuthRefusal> {
        let by = self.place.name.clone();
        let contract = |text: String| {
            let kind = FaultKind::Contract(text.into());
            AuthRefusal::fault(HookFailed { plugin: by.clone(), kind })
        };
        match verdict.map_err(AuthRefusal::fault)? {
            AuthVerdict::Next => Ok(None),
            AuthVerdict::Refuse(refusal) => Err(AuthRefusal { by: Some(by), refusal, fault: None }),
            AuthVerdict::Challenge(challenge) => {
                if request.properties.authentication_method.is_none() {
                    return Err(contract("a challenge for a client without authentication method".into()));
                }
                Ok(Some(AuthOutcome::Challenge { by, challenge }))
            }
            AuthVerdict::Grant(grant) => {
                let client_id = grant.client_id.unwrap_or_else(|| ClientId::new(request.client_id));
                let username = grant.username.or_else(|| request.username.map(Into::into));
                let rules = Rules::compile(&grant.rules, &client_id, username.as_deref(), &grant.attributes);
                let rules = rules.map_err(|error| contract(error.to_string()))?;
                let permissions =
                    Permissions { rules, granted_at: Some(self.place.clone()), ..Permissions::default() };
                Ok(Some(AuthOutcome::In(Box::new(Authenticated {
                    client_id,
                    username,
                    permissions,
                    attributes: grant.attributes,
                    quotas: grant.quotas,
                    expires: grant.expires,
                    by: Some(by),
                    data: grant.data,
                }))))
            }
        }
    }

    /// Whether what is asked about lies in its scope for `check`.
    pub fn acl_in_scope(&self, request: &AclRequest<'_>) -> bool {
        let Some(scope) = &self.scopes.acl else { return true };
        scope.iter().any(|filter| match request.action {
            Action::Subscribe => filter.overlaps(request.topic),
            Action::Publish | Action::Receive => filter.matches(request.topic),
        })
    }
}

/// Who a client is, and what it may do.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// As sent, or as a plugin says.
    pub client_id: ClientId,
    /// As sent, or as a plugin says.
    pub username: Option<Box<str>>,
    /// What it may do.
    pub permissions: Permissions,
    /// From the grant.
    pub attributes: Attributes,
    /// From the grant.
    pub quotas: Quotas,
    /// The client is disconnected after this long.
    pub expires: Option<Duration>,
    /// Which plugin let it in; None if nobody had to.
    pub by: Option<Arc<str>>,
    /// The last data of an enhanced authentication, for the client.
    pub data: Option<bytes::Bytes>,
}

/// What came of a step of authentication.
#[derive(Clone, Debug)]
pub enum AuthOutcome {
    /// The client is in.
    In(Box<Authenticated>),
    /// The client has to answer first.
    Challenge {
        /// Which plugin asks; its answer goes there.
        by: Arc<str>,
        /// What it asks.
        challenge: Challenge,
    },
}

/// A client stays out.
#[derive(Clone, Debug, thiserror::Error)]
#[error("refused by {}: {}", .by.as_deref().unwrap_or("default, nobody vouched for the client"), .refusal.code)]
pub struct AuthRefusal {
    /// Which plugin said so; None if nobody decided.
    pub by: Option<Arc<str>>,
    /// What the client is told.
    pub refusal: Refusal,
    /// The fault, if that is why.
    pub fault: Option<HookFailed>,
}

impl AuthRefusal {
    fn nobody(code: ReasonCode) -> Self {
        Self { by: None, refusal: Refusal { code, text: None }, fault: None }
    }

    fn fault(fault: HookFailed) -> Self {
        let code = match fault.kind {
            // It says nothing about the client, who may come again.
            FaultKind::Busy | FaultKind::TooOften => ReasonCode::ServerBusy,
            _ => ReasonCode::NotAuthorized,
        };
        Self { by: Some(fault.plugin.clone()), refusal: Refusal { code, text: None }, fault: Some(fault) }
    }
}

/// The answer to "may this client do this?".
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Authorization {
    /// Yes.
    Allowed,
    /// No.
    Denied,
}

impl From<bool> for Authorization {
    fn from(allow: bool) -> Self {
        if allow { Self::Allowed } else { Self::Denied }
    }
}

/// What one client may do: its rules, and the answers of plugins that still hold. Owned by the client's connection.
#[derive(Clone, Debug, Default)]
pub struct Permissions {
    rules: Rules,
    granted_at: Option<Place>,
    generation: u64,
    answers: Vec<Answer>,
}

#[derive(Clone, Debug)]
struct Answer {
    member: usize,
    action: Action,
    filter: TopicFilter,
    allow: bool,
    until: Timestamp,
}

impl Permissions {
    /// Answers kept a client; the oldest makes room.
    const MAX_ANSWERS: usize = 64;

    /// Whether somebody's answers or rules could change what this client may do: then later requests are worth asking about.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Drops what plugins have answered so far.
    pub fn forget(&mut self) {
        self.answers.clear();
    }

    fn remembered(
        &self,
        generation: u64,
        member: usize,
        request: &AclRequest<'_>,
        now: Timestamp,
    ) -> Option<bool> {
        if self.generation != generation {
            return None;
        }
        let holds = |answer: &&Answer| {
            answer.member == member
                && answer.action == request.action
                && now < answer.until
                && match request.action {
                    Action::Subscribe => answer.filter.covers(request.topic),
                    Action::Publish | Action::Receive => answer.filter.matches(request.topic),
                }
        };
        // The latest answer counts, so that a denial learnt later is not hidden by an older, wider allow.
        self.answers.iter().rev().find(holds).map(|answer| answer.allow)
    }

    fn remember(&mut self, generation: u64, answer: Answer) {
        if self.generation != generation {
            self.generation = generation;
            self.answers.clear();
        }
        if self.answers.len() == Self::MAX_ANSWERS {
            self.answers.remove(0);
        }
        self.answers.push(answer);
    }
}

#[cfg(test)]
mod tests;
