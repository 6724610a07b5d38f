//! Who of those whose subscriptions match gets a message.

use super::{Chain, InScope, holds, messages::is_own};
use crate::{
    hooks::Remembered,
    questions::{Candidate, PickRequest, SelectRequest},
    verdicts::Choice,
};
use std::time::Duration;

/// Who is left, all members taken together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Selected {
    /// Indexes of those who get the message, rising. None: everybody.
    pub kept: Option<Vec<u32>>,
    /// How long that holds for the same publisher and topic; zero: this once.
    pub cache: Duration,
}

impl Chain {
    /// Who must be asked about the recipients of messages on `topic`. Derived once a topic and kept beside its routes.
    pub fn subscribers_scope(&self, topic: &str) -> InScope {
        if !self.served.subscribers {
            return InScope::default();
        }
        self.in_scope(|member| member.hooks.kinds().subscribers && holds(&member.scopes.subscribers, topic))
    }

    /// Who was selected for a message before holds for another one: those who selected learn of it.
    pub fn selected_before(&self, scope: &InScope) {
        self.members_of(scope).for_each(|member| member.hooks.answered_before(Remembered::Select));
    }

    /// Each member chooses among those whom the ones before left. One that fails has chosen everybody.
    pub async fn select(&self, scope: &InScope, request: &SelectRequest<'_>) -> Selected {
        let mut kept: Option<Vec<u32>> = None;
        let mut cache = Duration::MAX;
        for member in self.members_of(scope).filter(|member| !is_own(member, &request.message)) {
            let left: Vec<Candidate<'_>>;
            let candidates = match &kept {
                None => request.candidates,
                Some(kept) => {
                    left =
                        kept.iter().filter_map(|at| request.candidates.get(*at as usize).copied()).collect();
                    &left
                }
            };
            if candidates.is_empty() {
                break;
            }
            let answer = member.hooks.select(&SelectRequest { candidates, ..*request }).wait().await;
            let Ok(selection) = answer else {
                cache = Duration::ZERO;
                continue;
            };
            cache = cache.min(selection.cache);
            let all = || 0..u32::try_from(candidates.len()).unwrap_or(u32::MAX);
            let mut chosen: Vec<u32> = match selection.choice {
                Choice::All => continue,
                Choice::Only(only) => only.into_iter().filter(|at| all().contains(at)).collect(),
                Choice::Except(except) => all().filter(|at| !except.contains(at)).collect(),
            };
            chosen.sort_unstable();
            chosen.dedup();
            kept = Some(match kept {
                None => chosen,
                Some(before) => {
                    chosen.into_iter().filter_map(|at| before.get(at as usize).copied()).collect()
                }
            });
        }
        let selected = Selected { kept, cache: if cache == Duration::MAX { Duration::ZERO } else { cache } };
        self.observed.tell(|observer| observer.selected(request, &selected));
        selected
    }

    /// The member chosen by the first hook that chooses one. None: the broker chooses.
    pub async fn pick(&self, scope: &InScope, request: &PickRequest<'_>) -> Option<usize> {
        let member = self.decide_who_is_next(scope, request).await;
        self.observed.tell(|observer| observer.picked(request, member));
        member
    }

    async fn decide_who_is_next(&self, scope: &InScope, request: &PickRequest<'_>) -> Option<usize> {
        for member in self.members_of(scope).filter(|member| !is_own(member, &request.message)) {
            if let Ok(Some(at)) = member.hooks.pick(request).wait().await
                && (at as usize) < request.members.len()
            {
                return Some(at as usize);
            }
        }
        None
    }
}
