//! Drops messages that came before.
//!
//! Reading order: `config`: what the operator writes; here: how a message is known again.

mod config;

use blake3::Hasher;
use config::Config;
use tidegate_plugin::{Field, Message, OnPublish, Plugin, Scope, Start, Verdict, debug, kv, metrics, warn};

/// What tells messages apart, and for how long they are remembered.
pub struct Dedupe {
    config: Config,
    /// What is remembered by another key is something else.
    hasher: Hasher,
}

impl Plugin for Dedupe {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        kv::require("16MiB")?;
        let mut hasher = Hasher::new();
        hasher.update(format!("{:?} {} {}", config.key, config.per_topic, config.per_client).as_bytes());
        Ok(Self { config, hasher })
    }

    fn scopes(&self) -> Vec<Scope> {
        let mut scope = Scope::publish(self.config.topics.filters());
        let client_id = self.config.per_client.then_some(Field::ClientId);
        for field in self.config.key.field().into_iter().chain(client_id) {
            scope = scope.wanting(field);
        }
        vec![scope]
    }
}

impl OnPublish for Dedupe {
    fn on_publish(&mut self, message: Message) -> Verdict {
        let Some(id) = self.id(&message) else { return Verdict::Next };
        // One of all instances is told 1, whichever is first.
        match kv::add(&id, 1, Some(self.config.window)) {
            Ok(1) => Verdict::Next,
            Ok(times) => {
                metrics::count("dedupe_repeated", 1, &[]);
                debug!("came before", topic = message.topic, session = message.session, times);
                Verdict::Swallow
            }
            Err(why) => {
                metrics::count("dedupe_errors", 1, &[]);
                warn!("nobody knows whether a message came before", topic = message.topic, why);
                self.config.on_error.verdict()
            }
        }
    }
}

impl Dedupe {
    /// The same for messages that are one, in as much room for all. None: the message has no key.
    fn id(&self, message: &Message) -> Option<String> {
        let key = self.config.key.of(message)?;
        let mut hasher = self.hasher.clone();
        let mut add = |part: &[u8]| _ = hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        if self.config.per_topic {
            add(message.topic.as_bytes());
        }
        if self.config.per_client {
            add(message.client_id.as_deref().unwrap_or_default().as_bytes());
        }
        add(&key);
        Some(hasher.finalize().to_hex().chars().take(32).collect())
    }
}

tidegate_plugin::export!(Dedupe: on_publish);

#[cfg(test)]
mod tests;
