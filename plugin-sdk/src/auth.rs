//! CONNECT and AUTH: who may come in, and as whom.

use crate::{Grant, Property, PropertyValue, bindings::lifecycle::tidegate::plugin::types, property};
use std::{fmt, time::Duration};
use tidegate_mqtt::ReasonCode;

/// Identifier of the property Authentication Method.
pub(crate) const AUTHENTICATION_METHOD: u8 = 0x15;
/// Identifier of the property Authentication Data.
pub(crate) const AUTHENTICATION_DATA: u8 = 0x16;

/// The hook for CONNECT.
pub trait Authenticate {
    /// May this client come in? May take seconds: other clients are served meanwhile. A client that names an authentication method is
    /// for plugins that have [`Proceed`] too.
    fn authenticate(&mut self, client: Connect) -> Outcome;
}

/// The hook for AUTH: authentication in several steps (section 4.12), and again while the client is in.
///
/// No instance need remember where a client stands: what a [`Challenge`] keeps as its state comes back with the answer.
///
/// ```
/// use tidegate_plugin::{
///     AuthStep, Authenticate, Challenge, Connect, Grant, NoConfig, Outcome, Plugin, Proceed, ReasonCode, Start,
/// };
///
/// /// Lets in who can say the word backwards.
/// struct Backwards;
///
/// impl Plugin for Backwards {
///     type Config = NoConfig;
///     fn new(_: Start, _: NoConfig) -> Result<Self, String> {
///         Ok(Self)
///     }
/// }
///
/// impl Authenticate for Backwards {
///     fn authenticate(&mut self, client: Connect) -> Outcome {
///         match client.authentication_method() {
///             Some("BACKWARDS") => Challenge::new("drawer").state("reward").into(),
///             Some(_) => Outcome::refuse(ReasonCode::BadAuthenticationMethod),
///             None => Outcome::Next,
///         }
///     }
/// }
///
/// impl Proceed for Backwards {
///     fn proceed(&mut self, client: Connect, step: AuthStep) -> Outcome {
///         if step.again && step.state.is_empty() {
///             return self.authenticate(client);
///         }
///         if step.data.as_ref() == Some(&step.state) {
///             Grant::new().data("well done").into()
///         } else {
///             Outcome::refuse(ReasonCode::NotAuthorized)
///         }
///     }
/// }
///
/// tidegate_plugin::export!(Backwards: authenticate, proceed);
///
/// use tidegate_plugin::testing::{self, Host};
///
/// let mut plugin: Backwards = Host::new().start()?;
/// let client = || testing::enhanced("c1", "BACKWARDS", None);
/// let Outcome::Challenge(challenge) = plugin.authenticate(client()) else { panic!() };
/// let outcome = plugin.proceed(client(), testing::answer(&challenge, "reward"));
/// assert_eq!(outcome, Grant::new().data("well done").into());
/// # Ok::<(), String>(())
/// ```
pub trait Proceed: Authenticate {
    /// What comes of the client's answer? May take seconds. `client` is as it was at CONNECT.
    fn proceed(&mut self, client: Connect, step: AuthStep) -> Outcome;
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

impl Connect {
    /// The authentication method that the client names (section 3.1.2.11.9), if it is to be authenticated in steps.
    pub fn authentication_method(&self) -> Option<&str> {
        self.properties.iter().find_map(|property| match (&property.value, property.id) {
            (PropertyValue::Text(method), AUTHENTICATION_METHOD) => Some(method.as_str()),
            _ => None,
        })
    }

    /// The data that came with it (section 3.1.2.11.10).
    pub fn authentication_data(&self) -> Option<&[u8]> {
        self.properties.iter().find_map(|property| match (&property.value, property.id) {
            (PropertyValue::Bytes(data), AUTHENTICATION_DATA) => Some(data.as_slice()),
            _ => None,
        })
    }

    /// The first user property of that name (section 3.1.2.11.8).
    pub fn user_property(&self, name: &str) -> Option<&str> {
        property::user_property(&self.properties, name)
    }
}

impl From<types::Connect> for Connect {
    fn from(connect: types::Connect) -> Self {
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
            properties: property::from_list(connect.properties),
        }
    }
}

/// A client's answer to a [`Challenge`], or its wish to authenticate again. `Debug` leaves the data out.
#[derive(Clone, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct AuthStep {
    /// As the last challenge left it. Empty at the beginning of a re-authentication.
    pub state: Vec<u8>,
    /// Authentication Data of the AUTH.
    pub data: Option<Vec<u8>>,
    /// Whether the client is in already and authenticates again.
    pub again: bool,
}

impl AuthStep {
    pub(crate) fn new(state: Vec<u8>, data: Option<Vec<u8>>, again: bool) -> Self {
        Self { state, data, again }
    }
}

impl fmt::Debug for AuthStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthStep").field("again", &self.again).finish_non_exhaustive()
    }
}

/// Answer to a [`Connect`] or an [`AuthStep`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Not mine to decide; ask the next plugin. If nobody decides the client is refused. In the midst of an exchange nobody else is asked:
    /// then this refuses.
    Next,
    /// Come in, under these terms.
    Grant(Grant),
    /// Stay out.
    Refuse(Refusal),
    /// Prove more. Only for a client that names an authentication method.
    Challenge(Challenge),
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

impl From<Challenge> for Outcome {
    fn from(challenge: Challenge) -> Self {
        Self::Challenge(challenge)
    }
}

impl From<Outcome> for types::AuthOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Next => Self::Next,
            Outcome::Grant(grant) => Self::Grant(grant.into()),
            Outcome::Refuse(Refusal { code, text }) => {
                Self::Refuse(types::Refusal { code: code as u8, text })
            }
            Outcome::Challenge(Challenge { data, state }) => {
                Self::Challenge(types::Challenge { data, state })
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

/// A question to a client that authenticates in steps; its answer comes to [`Proceed`]. `Debug` leaves the data out.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Challenge {
    /// For the client.
    pub data: Vec<u8>,
    /// Comes back with the answer, to any instance. The client never sees it.
    pub state: Vec<u8>,
}

impl Challenge {
    /// Asks the client this.
    pub fn new(data: impl Into<Vec<u8>>) -> Self {
        Self { data: data.into(), state: Vec::new() }
    }

    /// To be had again with the answer.
    #[must_use]
    pub fn state(mut self, state: impl Into<Vec<u8>>) -> Self {
        self.state = state.into();
        self
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_keeps_data_and_state_apart() {
        let outcome = Outcome::from(Challenge::new("for the client").state("for me"));
        let types::AuthOutcome::Challenge(challenge) = outcome.into() else { panic!("no challenge") };
        assert_eq!((&challenge.data[..], &challenge.state[..]), (&b"for the client"[..], &b"for me"[..]));
    }

    #[test]
    fn a_connect_tells_method_data_and_user_properties() {
        let mut connect = crate::testing::enhanced("c", "SCRAM", Some(b"first"));
        connect.properties.push(Property::user("team", "blue"));
        assert_eq!(connect.authentication_method(), Some("SCRAM"));
        assert_eq!(connect.authentication_data(), Some(&b"first"[..]));
        assert_eq!((connect.user_property("team"), connect.user_property("x")), (Some("blue"), None));
    }
}
