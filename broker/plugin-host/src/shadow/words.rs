//! Answers in short, for logs and operators: what was decided, without payloads, passwords and what else is a secret.

use std::fmt::Write;
use tidegate_hooks::{
    AclVerdict, AuthVerdict, Choice, DeliverVerdict, Grant, Patch, PublishVerdict, Selection, Span,
    SubscribeVerdict,
};
use tidegate_mqtt::ReasonCode;

/// Says itself in a few words.
pub(super) trait InShort {
    fn in_short(&self) -> String;
}

impl InShort for AuthVerdict {
    fn in_short(&self) -> String {
        match self {
            Self::Next => "next".into(),
            Self::Grant(grant) => format!("grant({})", terms(grant)),
            Self::Challenge(_) => "challenge".into(),
            Self::Refuse(refusal) => refuse(refusal.code),
        }
    }
}

fn terms(grant: &Grant) -> String {
    let Grant { client_id, username, rules, attributes, quotas, expires, data } = grant;
    let mut terms = Vec::new();
    terms.extend(client_id.as_ref().map(|client_id| format!("client-id {:?}", &**client_id)));
    terms.extend(username.as_ref().map(|username| format!("username {username:?}")));
    terms.extend((!rules.is_empty()).then(|| counted(rules.len(), "rule")));
    let attributes = attributes.iter().count();
    terms.extend((attributes > 0).then(|| counted(attributes, "attribute")));
    terms.extend((*quotas != tidegate_hooks::Quotas::default()).then(|| "quotas".to_owned()));
    terms.extend(expires.map(|expires| format!("expires in {expires:?}")));
    terms.extend(data.as_ref().map(|data| format!("data of {} bytes", data.len())));
    terms.join(", ")
}

impl InShort for AclVerdict {
    fn in_short(&self) -> String {
        let for_span = |Span { filter, ttl }: &Span| match ttl.is_zero() {
            true => filter.to_string(),
            false => format!("{filter} for {ttl:?}"),
        };
        match self {
            Self::Next => "next".into(),
            Self::Allow(span) => format!("allow({})", for_span(span)),
            Self::Deny(span) => format!("deny({})", for_span(span)),
        }
    }
}

impl InShort for PublishVerdict {
    fn in_short(&self) -> String {
        match self {
            Self::Next => "next".into(),
            Self::Accept => "accept".into(),
            Self::Edit(patch) => edit(patch),
            Self::Refuse(code) => refuse(*code),
            Self::Swallow => "swallow".into(),
        }
    }
}

impl InShort for DeliverVerdict {
    fn in_short(&self) -> String {
        match self {
            Self::Next => "next".into(),
            Self::Edit(patch) => edit(patch),
            Self::Drop => "drop".into(),
        }
    }
}

fn edit(patch: &Patch) -> String {
    let Patch { topic, payload, qos, retain, properties } = patch;
    let mut changes = Vec::new();
    changes.extend(topic.as_ref().map(|topic| format!("topic {:?}", &**topic)));
    changes.extend(payload.as_ref().map(|payload| format!("payload of {} bytes", payload.len())));
    changes.extend(qos.map(|qos| format!("QoS {}", qos as u8)));
    changes.extend(retain.map(|retain| format!("retain {retain}")));
    changes.extend(properties.as_ref().map(|_| "properties".to_owned()));
    format!("edit({})", changes.join(", "))
}

impl InShort for SubscribeVerdict {
    fn in_short(&self) -> String {
        match self {
            Self::Next => "next".into(),
            Self::Accept => "accept".into(),
            Self::Edit(change) => {
                let mut changes = Vec::new();
                changes.extend(change.filter.as_ref().map(|filter| format!("filter {filter}")));
                changes.extend(change.qos.map(|qos| format!("QoS {}", qos as u8)));
                format!("edit({})", changes.join(", "))
            }
            Self::Refuse(code) => refuse(*code),
        }
    }
}

impl InShort for Selection {
    fn in_short(&self) -> String {
        let mut said = match &self.choice {
            Choice::All => "all".to_owned(),
            Choice::Only(only) => format!("only {}", some(only)),
            Choice::Except(except) => format!("all except {}", some(except)),
        };
        if !self.cache.is_zero() {
            _ = write!(said, " for {:?}", self.cache);
        }
        said
    }
}

impl InShort for Option<u32> {
    fn in_short(&self) -> String {
        self.map_or_else(|| "next".into(), |at| format!("member {at}"))
    }
}

fn refuse(code: ReasonCode) -> String {
    format!("refuse(0x{:02X})", code as u8)
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The first of them.
fn some(indexes: &[u32]) -> String {
    const SHOWN: usize = 8;
    let more = if indexes.len() > SHOWN { ", …" } else { "" };
    let shown: Vec<String> = indexes.iter().take(SHOWN).map(u32::to_string).collect();
    format!("[{}{more}]", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tidegate_mqtt::{TopicFilter, TopicName};

    #[test]
    fn answers_are_said_in_short_and_secrets_are_not() {
        let patch = Patch {
            topic: Some(TopicName::new("b").unwrap()),
            payload: Some("secret".into()),
            retain: Some(true),
            ..Patch::default()
        };
        assert_eq!(
            PublishVerdict::Edit(Box::new(patch)).in_short(),
            "edit(topic \"b\", payload of 6 bytes, retain true)"
        );
        assert_eq!(PublishVerdict::Refuse(ReasonCode::NotAuthorized).in_short(), "refuse(0x87)");
        let span = Span { filter: TopicFilter::new("a/#").unwrap(), ttl: Duration::from_secs(1) };
        assert_eq!(AclVerdict::Allow(span).in_short(), "allow(a/# for 1s)");
        let grant = Grant {
            username: Some("alice".into()),
            attributes: [("team".into(), "blue".into())].into_iter().collect(),
            data: Some("secret".into()),
            ..Grant::default()
        };
        assert_eq!(
            AuthVerdict::Grant(Box::new(grant)).in_short(),
            "grant(username \"alice\", 1 attribute, data of 6 bytes)"
        );
        let only = Selection { choice: Choice::Only((0..20).collect()), cache: Duration::ZERO };
        assert_eq!(only.in_short(), "only [0, 1, 2, 3, 4, 5, 6, 7, …]");
        assert_eq!(Some(3).in_short(), "member 3");
    }
}
