//! The terms under which a client comes in.

use crate::{Action, bindings::lifecycle::tidegate::plugin::types};
use std::time::Duration;
use tidegate_mqtt::QoS;

/// The terms under which a client comes in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grant {
    /// Replaces the client id; not empty.
    pub client_id: Option<String>,
    /// Replaces the username.
    pub username: Option<String>,
    /// Evaluated by the broker itself, without a call. The first that applies decides.
    pub rules: Vec<Rule>,
    /// The client is disconnected after this long, with 0xA0.
    pub expires: Option<Duration>,
    /// For `%{NAME}` in rules, and for all plugins to see: [`current::attribute`](crate::current::attribute).
    pub attributes: Vec<(String, String)>,
    /// The last data of an enhanced authentication, for the client.
    pub data: Option<Vec<u8>>,
    /// What the client may use up.
    pub quotas: Quotas,
}

impl Grant {
    /// Come in as you said you are, without rules and without end.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more rule, asked after those before.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// More rules, asked after those before.
    #[must_use]
    pub fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// Replaces the client id.
    #[must_use]
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Replaces the username.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// The client is disconnected after this long, with 0xA0.
    #[must_use]
    pub fn expires(mut self, after: Duration) -> Self {
        self.expires = Some(after);
        self
    }

    /// One more attribute, for `%{NAME}` in rules, and for all plugins to see.
    #[must_use]
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((key.into(), value.into()));
        self
    }

    /// The last data of an enhanced authentication, for the client.
    #[must_use]
    pub fn data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// What the client may use up.
    #[must_use]
    pub fn quotas(mut self, quotas: Quotas) -> Self {
        self.quotas = quotas;
        self
    }
}

impl From<Grant> for types::Grant {
    fn from(grant: Grant) -> Self {
        Self {
            client_id: grant.client_id,
            username: grant.username,
            rules: grant.rules.into_iter().map(types::Rule::from).collect(),
            expires_ms: grant.expires.map(crate::host::milliseconds),
            attributes: grant.attributes,
            data: grant.data,
            quotas: (grant.quotas != Quotas::default()).then(|| grant.quotas.into()),
        }
    }
}

/// What a client may use up. What is None is as the broker's config says.
///
/// ```
/// use tidegate_plugin::{Grant, Quotas};
///
/// let grant = Grant::new()
///     .attribute("plan", "free")
///     .quotas(Quotas { messages_per_second: Some(10), subscriptions: Some(5), ..Quotas::default() });
/// assert_eq!(grant.quotas.inflight, None);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Quotas {
    /// PUBLISH packets. A client that is faster is read more slowly; nothing is lost.
    pub messages_per_second: Option<u32>,
    /// Bytes of packets, in the same way.
    pub bytes_per_second: Option<u32>,
    /// Subscriptions; more are refused with 0x97.
    pub subscriptions: Option<u32>,
    /// QoS 1 and 2 messages under way at once, in each direction.
    pub inflight: Option<u16>,
}

impl From<Quotas> for types::Quotas {
    fn from(quotas: Quotas) -> Self {
        let Quotas { messages_per_second, bytes_per_second, subscriptions, inflight } = quotas;
        Self { messages_per_second, bytes_per_second, subscriptions, inflight }
    }
}

/// "Allow or deny this action on this filter." `%c`, `%u` and `%{NAME}` in the filter stand for client id, username and an attribute of the
/// same grant; `%%` for a percent sign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Allow or deny.
    pub allow: bool,
    /// For which action.
    pub action: Action,
    /// Topic filter, perhaps with placeholders; see [`Pattern`](crate::Pattern).
    pub filter: String,
    /// An allow reaches up to this quality of service; a deny applies whatever the quality of service.
    pub max_qos: QoS,
}

impl Rule {
    /// Allow, at any quality of service.
    pub fn allow(action: Action, filter: impl Into<String>) -> Self {
        Self { allow: true, action, filter: filter.into(), max_qos: QoS::ExactlyOnce }
    }

    /// Deny.
    pub fn deny(action: Action, filter: impl Into<String>) -> Self {
        Self { allow: false, ..Self::allow(action, filter) }
    }

    /// Allow to publish to topics that match.
    pub fn allow_publish(filter: impl Into<String>) -> Self {
        Self::allow(Action::Publish, filter)
    }

    /// Allow subscriptions that lie within the filter.
    pub fn allow_subscribe(filter: impl Into<String>) -> Self {
        Self::allow(Action::Subscribe, filter)
    }

    /// Deny to publish to topics that match.
    pub fn deny_publish(filter: impl Into<String>) -> Self {
        Self::deny(Action::Publish, filter)
    }

    /// Deny subscriptions that share a topic with the filter.
    pub fn deny_subscribe(filter: impl Into<String>) -> Self {
        Self::deny(Action::Subscribe, filter)
    }

    /// Last in a list, these deny what no rule before them allows. Topics that begin with `$` do not match
    /// `#`: what nobody decides about them is refused.
    pub fn deny_the_rest() -> [Self; 2] {
        [Self::deny_publish("#"), Self::deny_subscribe("#")]
    }

    /// An allow reaches up to this quality of service only.
    #[must_use]
    pub fn up_to(mut self, max_qos: QoS) -> Self {
        self.max_qos = max_qos;
        self
    }
}

impl From<Rule> for types::Rule {
    fn from(rule: Rule) -> Self {
        Self {
            allow: rule.allow,
            action: rule.action.into(),
            filter: rule.filter,
            max_qos: rule.max_qos as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_crosses_the_border_whole() {
        let grant = Grant::new()
            .client_id("other")
            .username("alice")
            .rule(Rule::allow_publish("u/%u/#").up_to(QoS::AtLeastOnce))
            .expires(Duration::from_millis(1500))
            .attribute("team", "blue")
            .data("done")
            .quotas(Quotas { inflight: Some(3), ..Quotas::default() });
        let grant = types::Grant::from(grant);
        assert_eq!((grant.client_id.as_deref(), grant.username.as_deref()), (Some("other"), Some("alice")));
        assert_eq!((grant.rules[0].filter.as_str(), grant.rules[0].max_qos), ("u/%u/#", 1));
        assert_eq!((grant.expires_ms, grant.data.as_deref()), (Some(1500), Some(&b"done"[..])));
        assert_eq!(grant.attributes, [("team".to_owned(), "blue".to_owned())]);
        assert_eq!(grant.quotas.and_then(|quotas| quotas.inflight), Some(3));
        assert!(types::Grant::from(Grant::new()).quotas.is_none());
    }
}
