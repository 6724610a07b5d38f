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
        let Some((celsius, fahrenheit)) = both_scales(&payload) else {
            return Verdict::Refuse(ReasonCode::PayloadFormatInvalid);
        };
        let decimals = self.0.decimals;
        Edit::new()
            .payload(format!(
                r#"{{"celsius":{celsius:.decimals$},"fahrenheit":{fahrenheit:.decimals$}}}"#
            ))
            .into()
    }
}

/// None: it is no number, or so large that there is none for it in the other scale.
fn both_scales(payload: &[u8]) -> Option<(f64, f64)> {
    let celsius: f64 = str::from_utf8(payload).ok()?.trim().parse().ok()?;
    let fahrenheit = celsius * 1.8 + 32.0;
    fahrenheit.is_finite().then_some((celsius, fahrenheit))
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
        for payload in ["warm", "21.5 warm", "1e308"] {
            let refused = plugin.on_publish(message("sensors/kitchen", payload));
            assert_eq!(refused, Verdict::Refuse(ReasonCode::PayloadFormatInvalid));
        }
    }
}
