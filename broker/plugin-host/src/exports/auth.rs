//! `tidegate:plugin/auth` and `enhanced-auth`

use super::{broken, qos, refusing, text};
use crate::wire;
use std::time::Duration;
use tidegate_hooks::{
    Action, AuthVerdict, Challenge, ConnectRequest, FaultKind, Grant, Quotas, Refusal, Rule, Rules,
};
use tidegate_mqtt::{ClientId, PacketType, Version};

pub(crate) use super::properties::of_connect as properties;

/// The question, without a copy.
pub(crate) fn question<'a>(
    request: &ConnectRequest<'a>,
    properties: &'a [wire::Property<'a>],
) -> wire::Connect<'a> {
    wire::Connect {
        session: request.session.0,
        client_id: request.client_id,
        username: request.username,
        password: request.password,
        protocol: match request.version {
            Version::V3_1 => 3,
            Version::V3_1_1 => 4,
            Version::V5 => 5,
        },
        clean_start: request.clean_start,
        keep_alive: request.keep_alive,
        listener: request.listener,
        peer: request.peer,
        tls_subject: request.tls_subject,
        properties,
        tls_sans: request.tls_sans,
        tls_username: request.tls_username,
    }
}

/// The answer, if it is one. `again`: the client is in already, and a refusal reaches it in a DISCONNECT.
pub(crate) fn answer(outcome: wire::Outcome, again: bool) -> Result<AuthVerdict, FaultKind> {
    let packets: &[PacketType] =
        if again { &[PacketType::ConnAck, PacketType::Disconnect] } else { &[PacketType::ConnAck] };
    Ok(match outcome {
        wire::Outcome::Next => AuthVerdict::Next,
        wire::Outcome::Refuse(refusal) => AuthVerdict::Refuse(Refusal {
            code: refusing("refuse.code", refusal.code, packets)?,
            text: refusal.text.map(|reason| text("refuse.text", reason)).transpose()?,
        }),
        wire::Outcome::Grant(grant) => AuthVerdict::Grant(Box::new(granted(grant)?)),
        wire::Outcome::Challenge(challenge) => AuthVerdict::Challenge(Challenge {
            data: Some(challenge.data.into()).filter(|data: &bytes::Bytes| !data.is_empty()),
            state: challenge.state.into(),
        }),
    })
}

fn granted(grant: wire::Grant) -> Result<Grant, FaultKind> {
    let rules = grant.rules.into_iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    Rules::check(&rules).map_err(|why| broken("grant.rules", why))?;
    let client_id = grant.client_id.map(|id| text("grant.client-id", id)).transpose()?;
    if client_id.as_deref() == Some("") {
        return Err(broken("grant.client-id", "empty"));
    }
    let attributes = grant.attributes.into_iter().map(|(name, value)| (name.into(), value.into()));
    Ok(Grant {
        client_id: client_id.map(|id| ClientId::new(&id)),
        username: grant.username.map(|name| text("grant.username", name)).transpose()?,
        rules,
        attributes: attributes.collect(),
        quotas: grant.quotas.map(quotas).unwrap_or_default(),
        expires: grant.expires_ms.map(Duration::from_millis),
        data: grant.data.map(Into::into),
    })
}

fn quotas(quotas: wire::Quotas) -> Quotas {
    let wire::Quotas { messages_per_second, bytes_per_second, subscriptions, inflight } = quotas;
    Quotas { messages_per_second, bytes_per_second, subscriptions, inflight }
}

fn rule(rule: wire::Rule) -> Result<Rule, FaultKind> {
    Ok(Rule {
        allow: rule.allow,
        action: match rule.action {
            wire::Action::Publish => Action::Publish,
            wire::Action::Subscribe => Action::Subscribe,
            wire::Action::Receive => Action::Receive,
        },
        filter: rule.filter.into(),
        max_qos: qos("grant.rules.max-qos", rule.max_qos)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_mqtt::ReasonCode;

    fn grant(filter: &str, max_qos: u8, client_id: Option<&str>) -> wire::Outcome {
        let rule = wire::Rule { allow: true, action: wire::Action::Publish, filter: filter.into(), max_qos };
        wire::Outcome::Grant(wire::Grant {
            client_id: client_id.map(Into::into),
            username: Some("alice".into()),
            rules: vec![rule],
            expires_ms: Some(1500),
            attributes: vec![("team".into(), "blue".into())],
            data: None,
            quotas: None,
        })
    }

    fn fault(outcome: wire::Outcome) -> String {
        answer(outcome, false).unwrap_err().to_string()
    }

    #[test]
    fn a_grant_is_taken_over() {
        let AuthVerdict::Grant(grant) = answer(grant("u/%u/#", 1, Some("x")), false).unwrap() else {
            panic!()
        };
        assert_eq!(grant.client_id.as_deref(), Some("x"));
        assert_eq!(grant.expires, Some(Duration::from_millis(1500)));
        assert_eq!(&*grant.rules[0].filter, "u/%u/#");
    }

    #[test]
    fn nonsense_names_its_field() {
        assert!(fault(grant("a/#/b", 1, None)).contains("grant.rules"));
        assert!(fault(grant("a", 3, None)).contains("grant.rules.max-qos: 3"));
        assert!(fault(grant("a", 1, Some(""))).contains("grant.client-id"));
        assert!(fault(grant("a", 1, Some(&"x".repeat(65536)))).contains("grant.client-id"));
        let refuse = |code| wire::Outcome::Refuse(wire::Refusal { code, text: None });
        assert!(fault(refuse(0)).contains("refuse.code: 0x00 means success"));
        assert!(fault(refuse(0xFF)).contains("refuse.code: 0xFF is not a reason code"));
        assert!(fault(refuse(0x8E)).contains("which CONNACK cannot say"));
        assert!(answer(refuse(0x8E), true).is_ok(), "a DISCONNECT can");
        let AuthVerdict::Refuse(refusal) = answer(refuse(0x86), false).unwrap() else { panic!() };
        assert_eq!(refusal.code, ReasonCode::BadUserNameOrPassword);
    }
}
