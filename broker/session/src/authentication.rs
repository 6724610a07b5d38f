//! Enhanced authentication and re-authentication (section 4.12): who may send which AUTH when. What it proves, hooks decide.

use crate::session::Violation;
use bytes::Bytes;
use tidegate_mqtt::{Auth, AuthProperties, Packet, ReasonCode};

/// Where an exchange stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// Nothing is asked; the client may begin anew.
    Settled,
    /// Hooks are deciding.
    Deciding,
    /// The client has been asked for more.
    Challenged,
}

/// The method that CONNECT named, if it named one, and how far its exchange has come.
#[derive(Clone, Debug)]
pub struct Authentication {
    method: Option<Box<str>>,
    stage: Stage,
}

/// A step that the client has taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthStep {
    /// What it sent.
    pub data: Option<Bytes>,
    /// Whether it begins a re-authentication.
    pub begins: bool,
}

impl Authentication {
    /// For a CONNECT with this method, or with none; its first step is being decided.
    pub fn new(method: Option<Box<str>>) -> Self {
        Self { method, stage: Stage::Deciding }
    }

    /// The method, if there is one.
    pub fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// An AUTH from the client.
    ///
    /// # Errors
    /// [`Violation`]: without a method [MQTT-4.12.0-7], with another one [MQTT-4.12.0-5], [MQTT-4.12.1-1], or out of turn [MQTT-4.12.0-3].
    pub fn receive(&mut self, auth: Auth) -> Result<AuthStep, Violation> {
        let Some(method) = &self.method else { return Err(Violation::NoAuthenticationMethod) };
        if auth.properties.authentication_method.as_ref() != Some(method) {
            return Err(Violation::OtherAuthenticationMethod);
        }
        let begins = match (auth.reason, self.stage) {
            (ReasonCode::ContinueAuthentication, Stage::Challenged) => false,
            (ReasonCode::ReAuthenticate, Stage::Settled) => true,
            _ => return Err(Violation::AuthenticationOutOfTurn),
        };
        self.stage = Stage::Deciding;
        Ok(AuthStep { data: auth.properties.authentication_data, begins })
    }

    /// Asks the client for more [MQTT-4.12.0-2].
    pub fn challenge(&mut self, data: Option<Bytes>) -> Packet<'static> {
        self.stage = Stage::Challenged;
        self.packet(ReasonCode::ContinueAuthentication, data)
    }

    /// The client is let in; CONNACK says so.
    pub fn settle(&mut self) {
        self.stage = Stage::Settled;
    }

    /// The client has proved itself again.
    pub fn succeed(&mut self, data: Option<Bytes>) -> Packet<'static> {
        self.settle();
        self.packet(ReasonCode::Success, data)
    }

    fn packet(&self, reason: ReasonCode, authentication_data: Option<Bytes>) -> Packet<'static> {
        let authentication_method = self.method.clone();
        let properties =
            AuthProperties { authentication_method, authentication_data, ..AuthProperties::default() };
        Packet::Auth(Auth { reason, properties })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(reason: ReasonCode, method: &str) -> Auth {
        let properties =
            AuthProperties { authentication_method: Some(method.into()), ..AuthProperties::default() };
        Auth { reason, properties }
    }

    #[test]
    fn v5_4_12_0_7_without_a_method_there_is_no_auth() {
        let mut none = Authentication::new(None);
        none.settle();
        let refused = none.receive(auth(ReasonCode::ReAuthenticate, "M"));
        assert_eq!(refused, Err(Violation::NoAuthenticationMethod));
    }

    #[test]
    fn v5_4_12_0_3_an_exchange_goes_on_when_the_client_was_asked() {
        use ReasonCode::{ContinueAuthentication, ReAuthenticate};
        let out_of_turn = Err(Violation::AuthenticationOutOfTurn);
        let mut exchange = Authentication::new(Some("M".into()));
        assert_eq!(exchange.receive(auth(ContinueAuthentication, "M")), out_of_turn);
        exchange.challenge(None);
        assert_eq!(exchange.receive(auth(ReAuthenticate, "M")), out_of_turn);
        assert!(exchange.receive(auth(ContinueAuthentication, "M")).is_ok_and(|step| !step.begins));
        exchange.settle();
        assert_eq!(exchange.receive(auth(ContinueAuthentication, "M")), out_of_turn);
        assert!(exchange.receive(auth(ReAuthenticate, "M")).is_ok_and(|step| step.begins));
    }

    #[test]
    fn v5_4_12_1_1_the_method_stays() {
        let mut exchange = Authentication::new(Some("M".into()));
        exchange.settle();
        let refused = exchange.receive(auth(ReasonCode::ReAuthenticate, "N"));
        assert_eq!(refused, Err(Violation::OtherAuthenticationMethod));
    }
}
