//! What guests are asked, one file per interface: the question in their records, and their answer checked against the contract.

pub(crate) mod acl;
pub(crate) mod auth;
mod properties;
pub(crate) mod publish;

pub(crate) use properties::to_publish;

use std::fmt;
use tidegate_hooks::FaultKind;
use tidegate_mqtt::{QoS, ReasonCode};

/// An answer outside the contract: the field, and what is wrong with it.
fn broken(field: &str, why: impl fmt::Display) -> FaultKind {
    FaultKind::Contract(format!("{field}: {why}").into())
}

fn qos(field: &str, qos: u8) -> Result<QoS, FaultKind> {
    QoS::try_from(qos).map_err(|number| broken(field, format_args!("{number} is not 0, 1 or 2")))
}

/// A reason code that refuses.
fn refusing(field: &str, code: u8) -> Result<ReasonCode, FaultKind> {
    match ReasonCode::try_from(code) {
        Ok(reason) if code >= 0x80 => Ok(reason),
        Ok(reason) => Err(broken(field, format_args!("0x{code:02X} means {}, not a refusal", reason.text()))),
        Err(code) => Err(broken(field, format_args!("0x{code:02X} is not a reason code"))),
    }
}

/// A string that MQTT can carry (section 1.5.4).
fn text(field: &str, text: String) -> Result<Box<str>, FaultKind> {
    if text.len() > usize::from(u16::MAX) {
        return Err(broken(field, "longer than 65,535 bytes"));
    }
    if text.as_bytes().contains(&0) {
        return Err(broken(field, "contains U+0000"));
    }
    Ok(text.into())
}
