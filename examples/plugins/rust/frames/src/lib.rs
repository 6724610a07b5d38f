//! frames: what sensors send in six bytes becomes JSON, under another topic.

use serde::Deserialize;
use tidegate_plugin::{
    Edit, Field, Message, OnPublish, Plugin, ReasonCode, Scope, Start, Verdict,
};

/// `[plugin.frames.config]` in the broker's config.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Topics below this one have frames.
    from: String,
    /// Where what is in them goes.
    to: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            from: "raw".into(),
            to: "sensors".into(),
        }
    }
}

pub struct Frames(Config);

impl Plugin for Frames {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        if config.from.contains(['+', '#']) {
            return Err("config key `from`: expected a topic, without + and #".into());
        }
        Ok(Self(config))
    }

    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::publish([format!("{}/#", self.0.from)]).wanting(Field::Payload)]
    }
}

impl OnPublish for Frames {
    fn on_publish(&mut self, message: Message) -> Verdict {
        let payload = message.payload();
        if payload.is_empty() {
            // It removes a retained message.
            return Verdict::Next;
        }
        let Some(told) = told(&payload) else {
            return Verdict::Refuse(ReasonCode::PayloadFormatInvalid);
        };
        let below = message.topic.get(self.0.from.len()..).unwrap_or_default();
        Edit::new()
            .topic(format!("{}{below}", self.0.to))
            .payload(told)
            .into()
    }
}

/// 01, battery in percent, centidegrees, permille of humidity.
fn told(frame: &[u8]) -> Option<String> {
    let &[1, battery @ 0..=100, c1, c2, h1, h2] = frame else {
        return None;
    };
    let humidity = u16::from_be_bytes([h1, h2]);
    let celsius = f64::from(i16::from_be_bytes([c1, c2])) / 100.0;
    (humidity <= 1000).then(|| {
        let humidity = f64::from(humidity) / 10.0;
        format!(r#"{{"battery":{battery},"celsius":{celsius},"humidity":{humidity}}}"#)
    })
}

tidegate_plugin::export!(Frames: on_publish);
