//! Adds a field to JSON objects on their way through the broker.
//!
//! Reading order: `config`: what the operator writes; here: what becomes of a message; `object`: where in the text the field goes.

mod config;
mod object;

use config::{Config, OnOther};
use tidegate_plugin::{Edit, Field, Message, OnPublish, Plugin, ReasonCode, Scope, Start, Verdict};

/// Which build this is: `STAMP_LABEL` while it was built, or the version.
const LABEL: &str = match option_env!("STAMP_LABEL") {
    Some(label) => label,
    None => env!("CARGO_PKG_VERSION"),
};

/// What is stamped on what.
pub struct Stamp {
    topics: Vec<String>,
    field: String,
    /// As JSON.
    value: String,
    on_other: OnOther,
}

impl Plugin for Stamp {
    type Config = Config;

    fn new(start: Start, config: Config) -> Result<Self, String> {
        let value = config.value_as_json(start.generation, LABEL);
        let topics = config.topics.iter().map(|topic| topic.to_string()).collect();
        Ok(Self { topics, field: config.field, value, on_other: config.on_other })
    }

    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::publish(&self.topics).wanting(Field::Payload)]
    }
}

impl OnPublish for Stamp {
    fn on_publish(&mut self, message: Message) -> Verdict {
        let payload = message.payload();
        if payload.is_empty() {
            // Removes a retained message [MQTT-3.3.1-6]; nothing to stamp.
            return Verdict::Next;
        }
        match object::with_field(&payload, &self.field, &self.value) {
            Some(stamped) => Edit::new().payload(stamped).into(),
            None => match self.on_other {
                OnOther::Pass => Verdict::Next,
                OnOther::Refuse => Verdict::Refuse(ReasonCode::PayloadFormatInvalid),
            },
        }
    }
}

tidegate_plugin::export!(Stamp: on_publish);

#[cfg(test)]
mod tests;
