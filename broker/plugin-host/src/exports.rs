//! What guests are asked, one file per interface: the question in their records, and their answer checked against the contract.

pub(crate) mod acl;
pub(crate) mod auth;
pub(crate) mod deliver;
pub(crate) mod events;
pub(crate) mod message;
mod properties;
pub(crate) mod publish;
pub(crate) mod storage;
pub(crate) mod subscribe;
pub(crate) mod subscribers;

pub(crate) use properties::to_publish;

use std::fmt;
use tidegate_hooks::FaultKind;
use tidegate_mqtt::{PacketType, QoS, ReasonCode};

/// Bytes of what is said about an answer; guests choose a part of it.
const LONGEST: usize = 300;

/// An answer outside the contract: the field, and what is wrong with it.
fn broken(field: &str, why: impl fmt::Display) -> FaultKind {
    let mut text = format!("{field}: {why}");
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    FaultKind::Contract(text.into())
}

/// One answer for each question, in order; a fault says which.
fn each<W, A>(
    answers: Vec<W>,
    asked: usize,
    judge: impl Fn(usize, W) -> Result<A, FaultKind>,
) -> Result<Vec<A>, FaultKind> {
    if answers.len() != asked {
        return Err(broken("verdicts", format_args!("{} for {asked} questions", answers.len())));
    }
    let judged = answers.into_iter().enumerate().map(|(at, answer)| {
        judge(at, answer).map_err(|fault| match fault {
            FaultKind::Contract(text) => FaultKind::Contract(format!("verdicts[{at}].{text}").into()),
            other => other,
        })
    });
    judged.collect()
}

fn qos(field: &str, qos: u8) -> Result<QoS, FaultKind> {
    QoS::try_from(qos).map_err(|number| broken(field, format_args!("{number} is not 0, 1 or 2")))
}

/// A reason code that refuses, in one of these packets (section 2.4).
fn refusing(field: &str, code: u8, packets: &[PacketType]) -> Result<ReasonCode, FaultKind> {
    let reason = ReasonCode::try_from(code)
        .map_err(|code| broken(field, format_args!("0x{code:02X} is not a reason code")))?;
    let because = if code < 0x80 {
        "not a refusal".to_owned()
    } else if packets.iter().any(|packet| reason.is_allowed_in(*packet)) {
        return Ok(reason);
    } else {
        let names: Vec<_> = packets.iter().map(|packet| format!("{packet:?}").to_uppercase()).collect();
        format!("which {} cannot say", names.join(" or "))
    };
    Err(broken(field, format_args!("0x{code:02X} means {}, {because}", reason.text())))
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
