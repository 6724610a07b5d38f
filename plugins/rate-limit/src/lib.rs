//! How many messages and bytes may come: of a client, a user, on a topic, or of all.
//!
//! Reading order: `config`: what the operator writes; here: what is counted for a message, and what becomes of one that is too much;
//! `rate`: how it is counted.

mod config;
mod rate;

use config::{Config, Limit, OnExcess, Per};
use rate::Taken;
use std::time::{Duration, SystemTime};
use tidegate_plugin::{
    Field, Message, OnError, OnPublish, Plugin, ReasonCode, Scope, Start, Verdict, broker, clock, current,
    debug, kv, metrics, warn,
};

/// The limits.
pub struct RateLimit {
    limits: Vec<Counted>,
    on_error: OnError,
}

/// A limit, and where its counters are.
struct Counted {
    limit: Limit,
    name: String,
    /// A limit that is changed begins to count anew.
    seed: [u8; 32],
}

impl Plugin for RateLimit {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        if config.limit.is_empty() {
            return Err("config key `limit`: there is none, so there is nothing to ask this plugin".into());
        }
        kv::require("16MiB")?;
        for (at, limit) in config.limit.iter().enumerate() {
            // Nobody has session 0, so nobody is disconnected.
            let denied =
                || broker::disconnect(0, ReasonCode::MessageRateTooHigh) == Err(broker::Error::Denied);
            if limit.on_excess == OnExcess::Disconnect && denied() {
                return Err(format!(
                    "config key `limit[{at}].on_excess`: it needs the grant `disconnect`; add `grants.disconnect = true` to the plugin's table"
                ));
            }
        }
        let limits =
            config.limit.into_iter().enumerate().map(|(at, limit)| Counted::new(at, limit)).collect();
        Ok(Self { limits, on_error: config.on_error })
    }

    fn scopes(&self) -> Vec<Scope> {
        let everywhere = self.limits.iter().any(|counted| counted.limit.topics.are_all());
        let named = self.limits.iter().flat_map(|counted| counted.limit.topics.filters());
        let mut scope = Scope::publish(named.filter(|_| !everywhere));
        for (per, field) in [(Per::Client, Field::ClientId), (Per::User, Field::Username)] {
            if self.limits.iter().any(|counted| counted.limit.per == per) {
                scope = scope.wanting(field);
            }
        }
        vec![scope]
    }
}

impl OnPublish for RateLimit {
    fn on_publish(&mut self, message: Message) -> Verdict {
        if current::origin().is_some() {
            // What plugins publish the operator has granted.
            return Verdict::Next;
        }
        let now = clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut taken = Vec::new();
        for counted in self.limits.iter().filter(|counted| counted.limit.topics.hold(&message.topic)) {
            match counted.take(&message, now, &mut taken) {
                Ok(true) => {}
                Ok(false) => {
                    taken.into_iter().for_each(Taken::give_back);
                    return counted.exceeded(&message);
                }
                Err(error) => {
                    taken.into_iter().for_each(Taken::give_back);
                    metrics::count("rate_limit_errors", 1, &[]);
                    warn!(
                        "a message could not be counted",
                        limit = counted.name,
                        topic = message.topic,
                        why = error
                    );
                    return self.on_error.verdict();
                }
            }
        }
        Verdict::Next
    }
}

impl Counted {
    fn new(at: usize, limit: Limit) -> Self {
        let seed = *blake3::hash(format!("{at} {limit:?}").as_bytes()).as_bytes();
        Self { name: limit.name.clone().unwrap_or_else(|| at.to_string()), limit, seed }
    }

    /// Counts a message. False: it is too much.
    fn take(&self, message: &Message, now: Duration, taken: &mut Vec<Taken>) -> Result<bool, kv::Error> {
        let subject = self.subject(message);
        let rates =
            [(&self.limit.messages, 'm', 1), (&self.limit.bytes, 'b', u64::from(message.payload_len))];
        for (rate, kind, cost) in rates {
            let Some(rate) = rate else { continue };
            match rate.take(&format!("{subject}{kind}"), cost, now)? {
                Some(one) => taken.push(one),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Whose counters, in as much room for all.
    fn subject(&self, message: &Message) -> String {
        let subject = match self.limit.per {
            Per::Client => message.client_id.as_deref().unwrap_or_default(),
            Per::User => message.username.as_deref().unwrap_or_default(),
            Per::Topic => &message.topic,
            Per::All => "",
        };
        let hash = blake3::keyed_hash(&self.seed, subject.as_bytes());
        hash.to_hex().chars().take(32).collect()
    }

    fn exceeded(&self, message: &Message) -> Verdict {
        let did = self.limit.on_excess.name();
        metrics::count("rate_limited", 1, &[("limit", &self.name), ("did", did)]);
        debug!("too much", limit = self.name, topic = message.topic, session = message.session, did);
        match self.limit.on_excess {
            OnExcess::Refuse => Verdict::Refuse(ReasonCode::QuotaExceeded),
            OnExcess::Swallow => Verdict::Swallow,
            OnExcess::Disconnect => {
                if let Err(error) = broker::disconnect(message.session, ReasonCode::MessageRateTooHigh) {
                    debug!("not disconnected", session = message.session, why = error);
                }
                Verdict::Refuse(ReasonCode::QuotaExceeded)
            }
        }
    }
}

tidegate_plugin::export!(RateLimit: on_publish);

#[cfg(test)]
mod tests;
