//! CONNECT: who may come in, and as whom.

use crate::{
    acl::Action,
    bindings::{auth::exports::tidegate::plugin::auth, lifecycle::tidegate::plugin::types},
    publish::Property,
};
use std::{fmt, time::Duration};
use tidegate_mqtt::{QoS, ReasonCode};

/// The hook for CONNECT.
pub trait Authenticate {
    /// May this client come in? May take seconds: other clients are served meanwhile.
    fn authenticate(&mut self, client: Connect) -> Outcome;
}

/// A client that wants in. `Debug` leaves the password out.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Connect {
    /// The session the connection would get, unique in the life of the broker.
    pub session: u64,
    /// As sent, or as assigned by the broker if it was empty.
    pub client_id: String,
    /// As sent.
    pub username: Option<String>,
    /// As sent.
    pub password: Option<Vec<u8>>,
    /// 3, 4 (3.1.1) or 5.
    pub protocol: u8,
    /// Whether the client wants a new session.
    pub clean_start: bool,
    /// Zero is off.
    pub keep_alive: Duration,
    /// Name of the listener the client came through.
    pub listener: String,
    /// Address of the client, `IP:PORT`.
    pub peer: String,
    /// Subject of the client's certificate, if it showed one.
    pub tls_subject: Option<String>,
    /// Alternative names in that certificate.
    pub tls_sans: Vec<String>,
    /// Whether the username stands in that certificate: then TLS vouches for it.
    pub tls_username: bool,
    /// Of the CONNECT, empty before MQTT 5.
    pub properties: Vec<Property>,
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("session", &self.session)
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("listener", &self.listener)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl From<auth::Connect> for Connect {
    fn from(connect: auth::Connect) -> Self {
        Self {
            session: connect.session,
            client_id: connect.client_id,
            username: connect.username,
            password: connect.password,
            protocol: connect.protocol,
            clean_start: connect.clean_start,
            keep_alive: Duration::from_secs(connect.keep_alive.into()),
            listener: connect.listener,
            peer: connect.peer,
            tls_subject: connect.tls_subject,
            tls_sans: connect.tls_sans,
            tls_username: connect.tls_username,
            properties: connect.properties.into_iter().map(Property::from).collect(),
        }
    }
}

/// Answer to a [`Connect`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Not mine to decide; ask the next plugin. If nobody decides the client is refused.
    Next,
    /// Come in, under these terms.
    Grant(Grant),
    /// Stay out.
    Refuse(Refusal),
}

impl Outcome {
    /// Stay out, for this reason.
    pub fn refuse(code: ReasonCode) -> Self {
        Self::Refuse(Refusal { code, text: None })
    }
}

impl From<Grant> for Outcome {
    fn from(grant: Grant) -> Self {
        Self::Grant(grant)
    }
}

impl From<Outcome> for types::AuthOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Next => Self::Next,
            Outcome::Grant(grant) => Self::Grant(types::Grant {
                client_id: grant.client_id,
                username: grant.username,
                rules: grant.rules.into_iter().map(types::Rule::from).collect(),
                expires_ms: grant.expires.map(crate::host::milliseconds),
                attributes: grant.attributes,
                data: None,
                quotas: None,
            }),
            Outcome::Refuse(Refusal { code, text }) => {
                Self::Refuse(types::Refusal { code: code as u8, text })
            }
        }
    }
}

/// A refusal with its reason code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// 0x80 or above.
    pub code: ReasonCode,
    /// Reason String for MQTT 5 clients.
    pub text: Option<String>,
}

/// The terms under which a client comes in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grant {
    /// Replaces the client id.
    pub client_id: Option<String>,
    /// Replaces the username.
    pub username: Option<String>,
    /// Evaluated by the broker itself, without a call. The first that applies decides.
    pub rules: Vec<Rule>,
    /// The client is disconnected after this long.
    pub expires: Option<Duration>,
    /// For other plugins to see.
    pub attributes: Vec<(String, String)>,
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

    /// The client is disconnected after this long.
    #[must_use]
    pub fn expires(mut self, after: Duration) -> Self {
        self.expires = Some(after);
        self
    }

    /// One more attribute for other plugins to see.
    #[must_use]
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((key.into(), value.into()));
        self
    }
}

/// "Allow or deny this action on this filter." `%c` and `%u` in the filter stand for client id and username.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Allow or deny.
    pub allow: bool,
    /// For which action.
    pub action: Action,
    /// Topic filter, perhaps with `%c` and `%u`; see [`Pattern`](crate::Pattern).
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
