//! The JSON object of an answer: `{"result": "allow", "acl": […], …}`.
//!
//! Whatever in it cannot be kept to the letter makes the answer useless: a rule that is understood by half would allow more, or less, than
//! was meant.

use super::{Answer, Verdict};
use crate::config::Config;
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};
use tidegate_plugin::{Access, AccessRule, Action, Connect, Grant, Pattern, QoS, Quotas, ReasonCode, Rule};

/// Bytes of a text in MQTT (section 1.5.4).
const LONGEST: usize = 65_535;

/// Read first: who is not let in is not let in, whatever else stands there.
#[derive(Deserialize)]
struct Head {
    result: Said,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    Allow,
    Deny,
    Ignore,
}

/// What is not known is not looked at.
#[derive(Default, Deserialize)]
struct Terms {
    username: Option<Name>,
    #[serde(alias = "clientid")]
    client_id: Option<Name>,
    is_superuser: Option<bool>,
    #[serde(alias = "client_attrs")]
    attributes: Option<BTreeMap<String, Value>>,
    /// Seconds since 1970.
    expire_at: Option<u64>,
    /// Seconds since the answer came.
    expires_in: Option<u64>,
    acl: Option<Vec<Permission>>,
    quotas: Option<Limits>,
}

/// Let in, and nothing more is said.
pub(super) fn plain(config: &Config, client: &Connect) -> Result<Verdict, String> {
    Ok(Verdict::Allow(Terms::default().grant(config, client)))
}

pub(super) fn read(
    answer: &Answer,
    config: &Config,
    client: &Connect,
    now: Duration,
) -> Result<Verdict, String> {
    let head: Head = parse(&answer.body)?;
    match head.result {
        Said::Deny => return Ok(Verdict::Deny(ReasonCode::BadUserNameOrPassword)),
        Said::Ignore => return Ok(Verdict::Ignore),
        Said::Allow => {}
    }
    let terms: Terms = parse(&answer.body)?;
    let ends = [
        terms.expire_at.map(Duration::from_secs),
        terms.expires_in.map(|seconds| answer.at.saturating_add(Duration::from_secs(seconds))),
    ];
    let grant = terms.grant(config, client);
    Ok(match ends.into_iter().flatten().min() {
        None => Verdict::Allow(grant),
        Some(end) if end > now => Verdict::Allow(grant.expires(end - now)),
        Some(_) => Verdict::Deny(ReasonCode::NotAuthorized),
    })
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        match error.path().to_string().as_str() {
            "." => format!("the answer: {}", error.inner()),
            path => format!("the answer's `{path}`: {}", error.inner()),
        }
    })?;
    deserializer.end().map_err(|error| format!("the answer: {error}"))?;
    Ok(parsed)
}

impl Terms {
    fn grant(self, config: &Config, client: &Connect) -> Grant {
        let username = self.username.map(|Name(name)| name);
        let rules = match (self.is_superuser, self.acl) {
            (Some(true), _) => everything(),
            (_, Some(acl)) => {
                acl.iter().flat_map(|Permission(rule)| rule.rules()).chain(Rule::deny_the_rest()).collect()
            }
            (_, None) => {
                let known = username.as_deref().or(client.username.as_deref());
                config.acl.rules_for(known.unwrap_or_default())
            }
        };
        Grant {
            client_id: self.client_id.map(|Name(name)| name),
            username,
            rules,
            attributes: self
                .attributes
                .into_iter()
                .flatten()
                .map(|(key, Value(value))| (key, value))
                .collect(),
            quotas: self.quotas.map(Quotas::from).unwrap_or_default(),
            ..Grant::new()
        }
    }
}

/// What `#` does not match is allowed too, as far as there is something to read.
fn everything() -> Vec<Rule> {
    let read = ["#", "$SYS/#"]
        .into_iter()
        .flat_map(|filter| [Action::Subscribe, Action::Receive].map(|action| Rule::allow(action, filter)));
    std::iter::once(Rule::allow_publish("#")).chain(read).collect()
}

/// A name that MQTT can say.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = &'static str;
    fn try_from(name: String) -> Result<Self, &'static str> {
        match name.len() {
            0 => Err("it is empty"),
            length if length > LONGEST => Err("it is longer than 65,535 bytes"),
            _ if name.contains('\0') => Err("it contains U+0000"),
            _ => Ok(Self(name)),
        }
    }
}

/// Of an attribute: a text; numbers and truth as they are written.
#[derive(Deserialize)]
#[serde(try_from = "serde_json::Value")]
struct Value(String);

impl TryFrom<serde_json::Value> for Value {
    type Error = &'static str;
    fn try_from(value: serde_json::Value) -> Result<Self, &'static str> {
        match value {
            serde_json::Value::String(text) => Ok(Self(text)),
            serde_json::Value::Number(_) | serde_json::Value::Bool(_) => Ok(Self(value.to_string())),
            _ => Err("an attribute is a text"),
        }
    }
}

/// One of `acl`.
#[derive(Deserialize)]
#[serde(try_from = "PermissionTable")]
struct Permission(AccessRule);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PermissionTable {
    permission: Effect,
    action: Access,
    topic: Topic,
    qos: Option<Levels>,
    retain: Option<serde_json::Value>,
}

#[derive(Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Effect {
    Allow,
    Deny,
}

/// Levels of QoS that a rule is about.
#[derive(Deserialize)]
#[serde(untagged)]
enum Levels {
    UpTo(u8),
    These(Vec<u8>),
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Topic(Pattern);

impl TryFrom<PermissionTable> for Permission {
    type Error = String;
    fn try_from(table: PermissionTable) -> Result<Self, String> {
        if table.retain.is_some_and(|retain| retain != "all") {
            return Err("`retain`: a rule cannot tell retained messages from others".into());
        }
        let allow = table.permission == Effect::Allow;
        let highest = match table.qos {
            None => QoS::ExactlyOnce,
            Some(levels) => levels.highest(allow)?,
        };
        let Topic(topic) = table.topic;
        Ok(Self(AccessRule::new(allow, table.action, topic).up_to(highest)))
    }
}

impl Levels {
    /// What is allowed reaches from 0 to one of them, what is denied to all.
    fn highest(self, allow: bool) -> Result<QoS, String> {
        let highest = match &self {
            Self::UpTo(level) => Some(*level),
            Self::These(levels) => levels.iter().copied().max(),
        };
        let highest = highest.ok_or("`qos`: an empty list is about nothing")?;
        let highest = QoS::try_from(highest).map_err(|level| format!("`qos` is 0, 1 or 2, not {level}"))?;
        let all = match &self {
            Self::UpTo(_) => highest == QoS::ExactlyOnce,
            Self::These(levels) => (0..=2).all(|level| levels.contains(&level)),
        };
        match allow || all {
            true => Ok(highest),
            false => Err("`qos`: a deny holds for every QoS; allow up to one instead".into()),
        }
    }
}

impl TryFrom<String> for Topic {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with("eq ") || text.contains("${") {
            return Err(format!(
                "{text:?}: a topic here has no `eq` and no `${{…}}`; write %c, %u or %{{ATTRIBUTE}}"
            ));
        }
        Pattern::try_from(text).map(Self)
    }
}

/// Zero would be a client that may send nothing: deny it instead.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    messages_per_second: Option<NonZeroU32>,
    bytes_per_second: Option<NonZeroU32>,
    subscriptions: Option<u32>,
    inflight: Option<NonZeroU16>,
}

impl From<Limits> for Quotas {
    fn from(limits: Limits) -> Self {
        Self {
            messages_per_second: limits.messages_per_second.map(Into::into),
            bytes_per_second: limits.bytes_per_second.map(Into::into),
            subscriptions: limits.subscriptions,
            inflight: limits.inflight.map(Into::into),
        }
    }
}
