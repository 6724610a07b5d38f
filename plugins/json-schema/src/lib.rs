//! Payloads are what a JSON Schema says, or go nowhere.
//!
//! Reading order: `config`: what the operator writes; here: what becomes of a message; `schema`: what a schema says, and whether a value is so.

mod config;
mod schema;

use config::{Check, Config, OnFailure};
use schema::Effort;
use serde_json::Value;
use tidegate_plugin::{
    Edit, Field, Message, OnPublish, Plugin, Property, PropertyValue, ReasonCode, Scope, Start, Verdict,
    info, metrics, warn,
};

/// The user property that marks what is not as it must be.
const MARK: &str = "schema-error";
/// Characters of names in payloads that are told to others.
const LONGEST_PATH: usize = 200;

/// The checks, by their names.
pub struct JsonSchema {
    checks: Vec<(String, Check)>,
    /// Bytes of a payload.
    max_payload: u64,
}

impl Plugin for JsonSchema {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        if config.check.is_empty() {
            return Err("config key `check`: there is none, so there is nothing to ask this plugin".into());
        }
        let named = |(at, check): (usize, Check)| {
            let name = check.name.clone().unwrap_or_else(|| at.to_string());
            for keyword in &check.schema.unknown {
                warn!("nobody knows this keyword, so it checks nothing", check = name, keyword);
            }
            (name, check)
        };
        let checks = config.check.into_iter().enumerate().map(named).collect();
        Ok(Self { checks, max_payload: config.max_payload.0 })
    }

    fn scopes(&self) -> Vec<Scope> {
        let checks = || self.checks.iter().map(|(_, check)| check);
        let everywhere = checks().any(|check| check.topics.are_all());
        let named = checks().flat_map(|check| check.topics.filters());
        let scope = Scope::publish(named.filter(|_| !everywhere)).wanting(Field::Payload);
        let marks = checks().any(|check| check.on_failure == OnFailure::Mark);
        vec![if marks { scope.wanting(Field::Properties) } else { scope }]
    }
}

impl OnPublish for JsonSchema {
    fn on_publish(&mut self, message: Message) -> Verdict {
        if message.retain && message.payload_len == 0 {
            // Removes a retained message [MQTT-3.3.1-6]; there is nothing to check.
            return Verdict::Next;
        }
        let mut checks = self.checks.iter().filter(|(_, check)| check.topics.hold(&message.topic)).peekable();
        if checks.peek().is_none() {
            return Verdict::Next;
        }
        let (payload, effort) = (self.read(&message), Effort::default());
        let (mut marking, mut marks) = (false, Vec::new());
        for (name, check) in checks {
            marking |= check.on_failure == OnFailure::Mark;
            let Err(failure) = check.validate(&payload, &effort) else { continue };
            failure.tell(name, &message.topic, check.on_failure);
            match check.on_failure {
                OnFailure::Refuse => return Verdict::Refuse(ReasonCode::PayloadFormatInvalid),
                OnFailure::Swallow => return Verdict::Swallow,
                OnFailure::Mark => marks.push(Property::user(MARK, failure.mark(name))),
            }
        }
        if marking { marked(message.properties, marks) } else { Verdict::Next }
    }
}

impl JsonSchema {
    fn read(&self, message: &Message) -> Payload {
        if u64::from(message.payload_len) > self.max_payload {
            return Payload::TooLarge;
        }
        serde_json::from_slice(&message.payload()).map_or(Payload::NoJson, Payload::Json)
    }
}

/// A mark says what this plugin has found, never what a client says.
fn marked(mut properties: Vec<Property>, marks: Vec<Property>) -> Verdict {
    let forged =
        |property: &Property| matches!(&property.value, PropertyValue::Pair(name, _) if name == MARK);
    if marks.is_empty() && !properties.iter().any(forged) {
        return Verdict::Next;
    }
    properties.retain(|property| !forged(property));
    properties.extend(marks);
    Edit::new().properties(properties).into()
}

/// What a payload holds.
enum Payload {
    Json(Value),
    NoJson,
    /// It was not looked into.
    TooLarge,
}

/// What is wrong with a payload, in words that hold nothing of it but names.
enum Failure {
    NoJson,
    TooLarge,
    /// Nobody knows whether anything is: it was given up at that keyword.
    Unfinished {
        keyword: String,
    },
    /// JSON pointers to what is wrong, and to the keyword that says so.
    Invalid {
        at: String,
        keyword: String,
    },
}

impl Check {
    fn validate(&self, payload: &Payload, effort: &Effort) -> Result<(), Failure> {
        let payload = match payload {
            Payload::Json(payload) => payload,
            Payload::NoJson => return Err(Failure::NoJson),
            Payload::TooLarge => return Err(Failure::TooLarge),
        };
        self.schema.validate(payload, effort).map_err(|failure| {
            let keyword = failure.schema.to_owned();
            match failure.unfinished {
                true => Failure::Unfinished { keyword },
                false => Failure::Invalid { at: legible(&failure.instance), keyword },
            }
        })
    }
}

impl Failure {
    fn tell(&self, check: &str, topic: &str, on_failure: OnFailure) {
        let did = on_failure.name();
        metrics::count("schema_failures", 1, &[("check", check), ("did", did)]);
        match self {
            Self::NoJson => info!("payload is no JSON", check, topic, did),
            Self::TooLarge => info!("payload is larger than `max_payload`", check, topic, did),
            Self::Unfinished { keyword } => {
                info!("payload takes too long to check", check, topic, keyword, did);
            }
            Self::Invalid { at, keyword } => {
                info!("payload is not as its schema says", check, topic, at, keyword, did);
            }
        }
    }

    fn mark(&self, check: &str) -> String {
        match self {
            Self::NoJson => format!("{check}: no JSON"),
            Self::TooLarge => format!("{check}: larger than it may be"),
            Self::Unfinished { keyword } => format!("{check}: takes too long to check at {keyword:?}"),
            Self::Invalid { at, keyword } => format!("{check}: {at:?} is not as {keyword:?} says"),
        }
    }
}

/// A name in a payload may be anything.
fn legible(path: &str) -> String {
    let printed = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    path.chars().take(LONGEST_PATH).map(printed).collect()
}

tidegate_plugin::export!(JsonSchema: on_publish);

#[cfg(test)]
mod tests;
