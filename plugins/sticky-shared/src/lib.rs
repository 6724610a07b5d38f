//! Messages that belong together go to the same member of a shared subscription.
//!
//! Reading order: `config`: what the operator writes; here: which member it is.

mod config;

use config::{Away, Config, OnMissing};
use std::{borrow::Cow, cmp::Reverse, time::Duration};
use tidegate_plugin::{
    Candidate, Field, Message, MessageKey, Plugin, Scope, Selection, Start, Subscribers, broker,
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// `select` is about subscriptions that are not shared: everybody, and no need to ask soon again.
const NOT_ASKED_AGAIN: Duration = Duration::from_secs(3600);

/// Which messages stick to a member.
pub struct StickyShared {
    config: Config,
}

impl Plugin for StickyShared {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        if config.away == Away::Skip && broker::find("") == Err(broker::Error::Denied) {
            return Err("config key `away`: \"skip\" needs the grant `clients`; add `grants.clients = true` to the plugin's table".into());
        }
        Ok(Self { config })
    }

    fn scopes(&self) -> Vec<Scope> {
        let mut scope = Scope::subscribers(self.config.topics.filters());
        let instead = (self.config.on_missing == OnMissing::ClientId).then_some(Field::ClientId);
        for field in self.config.key.field().into_iter().chain(instead) {
            scope = scope.wanting(field);
        }
        vec![scope]
    }
}

impl Subscribers for StickyShared {
    fn select(&mut self, _: Message, _: Vec<Candidate>) -> Selection {
        Selection::all().cached(NOT_ASKED_AGAIN)
    }

    fn pick(&mut self, message: Message, group: &str, members: Vec<Candidate>) -> Option<usize> {
        let groups = &self.config.groups;
        if !groups.is_empty() && !groups.iter().any(|one| one.is(group)) {
            return None;
        }
        let key = xxh3_64(&self.key_of(&message)?);
        match self.config.away {
            Away::Wait => (0..members.len()).max_by_key(|at| rank(&members[*at], key)),
            Away::Skip => {
                let mut ranked: Vec<usize> = (0..members.len()).collect();
                ranked.sort_unstable_by_key(|at| Reverse(rank(&members[*at], key)));
                let connected = ranked.iter().find(|at| is_connected(&members[**at]));
                connected.or(ranked.first()).copied()
            }
        }
    }
}

impl StickyShared {
    fn key_of<'m>(&self, message: &'m Message) -> Option<Cow<'m, [u8]>> {
        let key = self.config.key.of(message);
        match self.config.on_missing {
            OnMissing::Broker => key,
            OnMissing::ClientId => key.or_else(|| MessageKey::ClientId.of(message)),
        }
    }
}

/// Rendezvous hashing: each key has an order of all members of its own, and the first gets it. Who comes or goes takes only the keys that it is
/// the first for.
fn rank(member: &Candidate, key: u64) -> (u64, &str) {
    (xxh3_64_with_seed(member.client_id.as_bytes(), key), &member.client_id)
}

fn is_connected(member: &Candidate) -> bool {
    matches!(broker::client(member.session), Ok(Some(_)))
}

tidegate_plugin::export!(StickyShared: subscribers);

#[cfg(test)]
mod tests;
