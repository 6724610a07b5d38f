//! The chain in force. Readers take it without a lock; a change swaps it as a whole.

use crate::{
    chain::{Chain, Member},
    observer::Observer,
};
use arc_swap::{ArcSwap, Guard};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// What a change of the chain means for those who keep something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RegistryChange {
    /// Somebody who answers `check` came, went or was replaced: what was allowed may not be any more.
    pub acl: bool,
}

type Listener = Box<dyn Fn(RegistryChange) + Send + Sync>;

/// Holds the chain in force.
#[derive(Default)]
pub struct HookRegistry {
    chain: ArcSwap<Chain>,
    listener: OnceLock<Listener>,
}

impl fmt::Debug for HookRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookRegistry").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl HookRegistry {
    /// An empty chain.
    pub fn new() -> Self {
        Self::default()
    }

    /// The chain in force now. Costs no shared write; held across an await it keeps that chain alive.
    pub fn chain(&self) -> Guard<Arc<Chain>> {
        self.chain.load()
    }

    /// The chain in force now, to keep for longer.
    pub fn chain_full(&self) -> Arc<Chain> {
        self.chain.load_full()
    }

    /// Tells `listener` of every change from now on, after it is in force. For one listener only: the broker.
    pub fn on_change(&self, listener: impl Fn(RegistryChange) + Send + Sync + 'static) {
        // A second one would be a mistake of ours, and is not heard.
        _ = self.listener.set(Box::new(listener));
    }

    /// Puts `member` into the chain, in place of the one of the same name if there is one.
    pub fn install(&self, member: &Member) {
        let acl = self.answers_check(&member.place.name) || member.hooks.kinds().acl;
        self.change(|members| {
            members.retain(|other| other.place.name != member.place.name);
            members.push(member.clone());
        });
        self.tell(RegistryChange { acl });
    }

    /// Takes the member of that name out. What it decided stays decided by nobody, which means refused.
    pub fn remove(&self, name: &str) {
        let acl = self.answers_check(name);
        self.change(|members| members.retain(|member| &*member.place.name != name));
        self.tell(RegistryChange { acl });
    }

    /// Lets `observer` look on from now on, in place of whoever did; or nobody.
    pub fn observe(&self, observer: Option<Arc<dyn Observer>>) {
        self.chain.rcu(|chain| chain.observed_by(observer.clone()));
    }

    /// Nobody changes, but every answer that somebody kept is worth nothing any more.
    pub fn forget_answers(&self) {
        self.change(|_| {});
    }

    fn answers_check(&self, name: &str) -> bool {
        self.chain().members().iter().any(|member| &*member.place.name == name && member.hooks.kinds().acl)
    }

    fn tell(&self, change: RegistryChange) {
        if let Some(listener) = self.listener.get() {
            listener(change);
        }
    }

    fn change(&self, edit: impl Fn(&mut Vec<Member>)) {
        self.chain.rcu(|chain| {
            let mut members = chain.members().to_vec();
            edit(&mut members);
            chain.with_members(members)
        });
    }
}
