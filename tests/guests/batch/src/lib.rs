//! Writes into each message how many came together with it, and which of them it is: `PAYLOAD 2/5`.

use tidegate_plugin::{Edit, Field, Message, OnPublishBatch, Plugin, Scope, Start, Verdict};

/// What the operator writes.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Topic filters; none: all topics.
    topics: Vec<String>,
    /// Payloads that are left as they are.
    skip: Vec<String>,
    /// Whether the last verdict is missing.
    short: bool,
}

/// The guest.
pub struct Batch(Config);

impl Plugin for Batch {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        Ok(Self(config))
    }

    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::publish(&self.0.topics).wanting(Field::Payload)]
    }
}

impl OnPublishBatch for Batch {
    fn on_publish_batch(&mut self, messages: Vec<Message>) -> Vec<Verdict> {
        let size = messages.len();
        let verdict = |(index, message): (usize, &Message)| {
            let payload = message.payload();
            let text = String::from_utf8_lossy(&payload);
            if self.0.skip.iter().any(|skip| *skip == text) {
                return Verdict::Next;
            }
            Edit::new().payload(format!("{text} {}/{size}", index + 1)).into()
        };
        let verdicts = messages.iter().enumerate().map(verdict);
        verdicts.take(size - usize::from(self.0.short && size > 0)).collect()
    }
}

tidegate_plugin::export!(Batch: on_publish_batch);
