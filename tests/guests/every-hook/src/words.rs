//! What cases are made of.

use serde::Deserialize;
use tidegate_plugin::{QoS, ReasonCode, TopicFilter};

/// A filter for what nobody publishes to.
pub(crate) const NOWHERE: &str = "$nowhere";

/// A topic filter.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Filter(pub(crate) TopicFilter);

impl TryFrom<String> for Filter {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        TopicFilter::new(&text).map(Self).map_err(|why| format!("{text:?} is not a topic filter: {why}"))
    }
}

/// A reason code by its number.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "u8")]
pub(crate) struct Code(pub(crate) ReasonCode);

impl Default for Code {
    fn default() -> Self {
        Self(ReasonCode::NotAuthorized)
    }
}

impl TryFrom<u8> for Code {
    type Error = String;
    fn try_from(number: u8) -> Result<Self, String> {
        ReasonCode::try_from(number)
            .map(Self)
            .map_err(|number| format!("0x{number:02X} is not a reason code"))
    }
}

/// A quality of service by its number.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "u8")]
pub(crate) struct Qos(pub(crate) QoS);

impl TryFrom<u8> for Qos {
    type Error = String;
    fn try_from(number: u8) -> Result<Self, String> {
        QoS::try_from(number).map(Self).map_err(|number| format!("{number} is not 0, 1 or 2"))
    }
}
