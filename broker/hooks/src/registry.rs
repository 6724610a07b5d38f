//! The chain in force. Readers take it without a lock; a change swaps it as a whole.

use crate::chain::{Chain, Member};
use arc_swap::{ArcSwap, Guard};
use std::sync::Arc;

/// Holds the chain in force.
#[derive(Debug, Default)]
pub struct HookRegistry {
    chain: ArcSwap<Chain>,
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

    /// Puts `member` into the chain, in place of the one of the same name if there is one.
    pub fn install(&self, member: &Member) {
        self.change(|members| {
            members.retain(|other| other.place.name != member.place.name);
            members.push(member.clone());
        });
    }

    /// Takes the member of that name out. What it decided stays decided by nobody, which means refused.
    pub fn remove(&self, name: &str) {
        self.change(|members| members.retain(|member| &*member.place.name != name));
    }

    fn change(&self, edit: impl Fn(&mut Vec<Member>)) {
        self.chain.rcu(|chain| {
            let mut members = chain.members().to_vec();
            edit(&mut members);
            chain.with_members(members)
        });
    }
}
