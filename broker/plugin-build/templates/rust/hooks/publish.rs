//! {{name}}: temperatures in Celsius become JSON with both scales.

use serde::Deserialize;
use tidegate_plugin::{Edit, Field, Message, OnPublish, Plugin, ReasonCode, Scope, Start, Verdict};

/// `[plugin.{{name}}.config]` in the broker's config.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    decimals: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { decimals: 1 }
    }
}

pub struct Temperatures(Config);

impl Plugin for Temperatures {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        Ok(Self(config))
    }

    /// Other topics cost nothing.
    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::publish(["sensors/#"]).wanting(Field::Payload)]
    }
}

impl OnPublish for Temperatures {
    fn on_publish(&mut self, message: Message) -> Verdict {
        let payload = message.payload();
        if payload.is_empty() {
            // It removes a retained message.
            return Verdict::Next;
        }
        let Some(celsius) = number(&payload) else {
            return Verdict::Refuse(ReasonCode::PayloadFormatInvalid);
        };
        let (fahrenheit, decimals) = (celsius * 1.8 + 32.0, self.0.decimals);
        Edit::new()
            .payload(format!(
                r#"{{"celsius":{celsius:.decimals$},"fahrenheit":{fahrenheit:.decimals$}}}"#
            ))
            .into()
    }
}

fn number(payload: &[u8]) -> Option<f64> {
    let number: f64 = str::from_utf8(payload).ok()?.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

tidegate_plugin::export!(Temperatures: on_publish);

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_plugin::testing::{Host, message};

    #[test]
    fn both_scales_are_told() {
        let mut plugin: Temperatures = Host::new().config("decimals = 2").start().unwrap();
        let told = plugin.on_publish(message("sensors/kitchen", "21.5"));
        assert_eq!(
            told,
            Edit::new()
                .payload(r#"{"celsius":21.50,"fahrenheit":70.70}"#)
                .into()
        );
        let refused = plugin.on_publish(message("sensors/kitchen", "warm"));
        assert_eq!(refused, Verdict::Refuse(ReasonCode::PayloadFormatInvalid));
    }
}
