//! Adds `fahrenheit` to JSON objects with `celsius`: what a transformation costs.

use serde_json::{Map, Value};
use tidegate_plugin::{Edit, Field, Message, NoConfig, OnPublish, Plugin, ReasonCode, Scope, Start, Verdict};

/// The guest.
pub struct Probe;

impl Plugin for Probe {
    type Config = NoConfig;

    fn new(_: Start, _: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::publish(["json/#"]).wanting(Field::Payload)]
    }
}

impl OnPublish for Probe {
    fn on_publish(&mut self, message: Message) -> Verdict {
        match with_fahrenheit(&message.payload()) {
            Some(payload) => Edit::new().payload(payload).into(),
            None => Verdict::Refuse(ReasonCode::PayloadFormatInvalid),
        }
    }
}

fn with_fahrenheit(payload: &[u8]) -> Option<Vec<u8>> {
    let mut object: Map<String, Value> = serde_json::from_slice(payload).ok()?;
    let celsius = object.get("celsius")?.as_f64()?;
    object.insert("fahrenheit".to_owned(), (celsius * 1.8 + 32.0).into());
    serde_json::to_vec(&object).ok()
}

tidegate_plugin::export!(Probe: on_publish);
