//! Enhanced authentication over a socket, by a native hook: section 4.12 of MQTT 5.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod embedded;

use bytes::Bytes;
use embedded::Embedded;
use std::sync::Arc;
use tidegate::hooks::{
    AuthStep, AuthVerdict, Challenge, ConnectRequest, Grant, HookFailed, HookKinds, Hooks, Refusal, Reply,
};
use tidegate_mqtt::{
    Auth, AuthProperties, Connect, ConnectProperties, Disconnect, Packet, QoS, ReasonCode, Version,
};
use tidegate_tests::{Client, Received, connect, publish};

/// Asks "one?" and then "two?", and wants "one" and "two". The method is the client's to choose, but for "NO".
struct TwoSteps;

impl Hooks for TwoSteps {
    fn kinds(&self) -> HookKinds {
        HookKinds { authenticate: true, proceed: true, ..HookKinds::default() }
    }

    fn authenticate<'a>(
        &'a self,
        request: &'a ConnectRequest<'a>,
    ) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        Reply::Now(Ok(match request.properties.authentication_method.as_deref() {
            None => AuthVerdict::Grant(Box::default()),
            Some("NO") => AuthVerdict::Next,
            Some(_) => ask("one?"),
        }))
    }

    fn proceed<'a>(
        &'a self,
        _: &'a ConnectRequest<'a>,
        step: &'a AuthStep<'a>,
    ) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        Reply::Now(Ok(match (step.state, step.data) {
            (b"", _) if step.again => ask("one?"),
            (b"one?", Some(b"one")) => ask("two?"),
            (b"two?", Some(b"two")) => {
                AuthVerdict::Grant(Box::new(Grant { data: Some("welcome".into()), ..Grant::default() }))
            }
            _ => AuthVerdict::Refuse(Refusal { code: ReasonCode::NotAuthorized, text: Some("wrong".into()) }),
        }))
    }
}

fn ask(question: &'static str) -> AuthVerdict {
    AuthVerdict::Challenge(Challenge { data: Some(question.into()), state: question.into() })
}

/// A broker with that hook.
struct Steps(Embedded);

impl Steps {
    fn start() -> Self {
        let embedded = Embedded::start();
        embedded.install("two-steps", Arc::new(TwoSteps));
        Self(embedded)
    }

    /// A client that has sent its CONNECT with this method.
    fn client(&self, method: &str) -> Client {
        let mut client = Client::open(self.0.address, Version::V5);
        let properties =
            ConnectProperties { authentication_method: Some(method.into()), ..ConnectProperties::default() };
        let connect = Connect { properties, ..connect(Version::V5, "c") };
        client.send(&Packet::Connect(Box::new(connect)));
        client
    }

    /// A client that is in.
    fn connected(&self) -> Client {
        let mut client = self.client("STEPS");
        expect_auth(&mut client, ReasonCode::ContinueAuthentication, Some("one?"));
        client.send(&auth(ReasonCode::ContinueAuthentication, "STEPS", "one"));
        expect_auth(&mut client, ReasonCode::ContinueAuthentication, Some("two?"));
        client.send(&auth(ReasonCode::ContinueAuthentication, "STEPS", "two"));
        let connack = client.expect_connack();
        assert_eq!(connack.reason, ReasonCode::Success);
        assert_eq!(connack.properties.authentication_method.as_deref(), Some("STEPS"));
        assert_eq!(connack.properties.authentication_data, Some(Bytes::from_static(b"welcome")));
        client
    }
}

fn auth(reason: ReasonCode, method: &str, data: &str) -> Packet<'static> {
    let properties = AuthProperties {
        authentication_method: Some(method.into()),
        authentication_data: Some(Bytes::copy_from_slice(data.as_bytes())),
        ..AuthProperties::default()
    };
    Packet::Auth(Auth { reason, properties })
}

fn expect_auth(client: &mut Client, reason: ReasonCode, data: Option<&'static str>) {
    let Received::Packet(Packet::Auth(auth)) = client.receive() else { panic!("not AUTH") };
    assert_eq!(auth.reason, reason);
    assert_eq!(auth.properties.authentication_method.as_deref(), Some("STEPS"));
    assert_eq!(auth.properties.authentication_data, data.map(|data| Bytes::from_static(data.as_bytes())));
}

#[test]
fn v5_4_12_0_2_and_v5_4_12_0_5_and_v5_3_2_0_1_a_client_is_asked_step_by_step_and_then_let_in() {
    let embedded = Steps::start();
    let mut client = embedded.connected();
    client.subscribe("a", QoS::AtMostOnce);
    client.publish("a", "hello", QoS::AtMostOnce);
    assert_eq!(client.message().payload, "hello");
}

#[test]
fn v5_4_12_0_4_and_v5_3_2_2_7_a_wrong_answer_ends_in_a_connack_with_the_reason() {
    let embedded = Steps::start();
    let mut client = embedded.client("STEPS");
    expect_auth(&mut client, ReasonCode::ContinueAuthentication, Some("one?"));
    client.send(&auth(ReasonCode::ContinueAuthentication, "STEPS", "three"));
    let connack = client.expect_connack();
    assert_eq!(connack.reason, ReasonCode::NotAuthorized);
    assert_eq!(connack.properties.reason_string.as_deref(), Some("wrong"));
    client.expect_closed();
}

#[test]
fn v5_4_12_0_1_a_method_that_nobody_knows_is_refused() {
    let embedded = Steps::start();
    embedded.client("NO").expect_refused(ReasonCode::BadAuthenticationMethod);
}

#[test]
fn v5_4_12_0_3_and_v5_3_15_2_1_what_is_no_answer_to_the_question_is_a_protocol_error() {
    let embedded = Steps::start();
    let unknown_reason = [&[0xF0, 10, 0x17, 8, 0x15, 0, 5][..], b"STEPS"].concat();
    let mut encoded = Vec::new();
    let wrong = [
        auth(ReasonCode::ReAuthenticate, "STEPS", "one"),
        auth(ReasonCode::ContinueAuthentication, "OTHER", "one"),
        auth(ReasonCode::Success, "STEPS", "one"),
    ];
    for packet in wrong {
        let mut bytes = Vec::new();
        packet.encode(Version::V5, &mut bytes).unwrap();
        encoded.push(bytes);
    }
    encoded.push(unknown_reason);
    for bytes in encoded {
        let mut client = embedded.client("STEPS");
        expect_auth(&mut client, ReasonCode::ContinueAuthentication, Some("one?"));
        client.send_bytes(&bytes);
        client.expect_refused(ReasonCode::ProtocolError);
    }
}

#[test]
fn v5_3_1_2_30_nothing_but_auth_and_disconnect_comes_before_connack() {
    let embedded = Steps::start();
    for packet in [Packet::PingReq, Packet::Publish(publish("a", "early", QoS::AtMostOnce))] {
        let mut client = embedded.client("STEPS");
        expect_auth(&mut client, ReasonCode::ContinueAuthentication, Some("one?"));
        client.send(&packet);
        client.expect_refused(ReasonCode::ProtocolError);
    }
    let mut client = embedded.client("STEPS");
    expect_auth(&mut client, ReasonCode::ContinueAuthentication, Some("one?"));
    client.send(&Packet::Disconnect(Disconnect {
        reason: ReasonCode::Success,
        properties: Default::default(),
    }));
    let answer = client.receive_or_closed();
    assert!(
        matches!(&answer, None | Some(Received::Packet(Packet::ConnAck(_)))),
        "a client that leaves is at most refused: {answer:?}"
    );
}

#[test]
fn a_client_proves_itself_again_while_messages_flow() {
    let embedded = Steps::start();
    let mut client = embedded.connected();
    client.subscribe("a", QoS::AtMostOnce);
    client.send(&auth(ReasonCode::ReAuthenticate, "STEPS", "again"));
    expect_auth(&mut client, ReasonCode::ContinueAuthentication, Some("one?"));
    client.publish("a", "between", QoS::AtMostOnce);
    assert_eq!(client.message().payload, "between");
    client.send(&auth(ReasonCode::ContinueAuthentication, "STEPS", "one"));
    expect_auth(&mut client, ReasonCode::ContinueAuthentication, Some("two?"));
    client.send(&auth(ReasonCode::ContinueAuthentication, "STEPS", "two"));
    expect_auth(&mut client, ReasonCode::Success, Some("welcome"));
    client.publish("a", "after", QoS::AtMostOnce);
    assert_eq!(client.message().payload, "after");
}

/// Lets "alice" in as who she says she is, first and again; as "name" says what it was told at the beginning of a re-authentication.
struct Names;

impl Hooks for Names {
    fn kinds(&self) -> HookKinds {
        HookKinds { authenticate: true, proceed: true, ..HookKinds::default() }
    }

    fn authenticate<'a>(&'a self, _: &'a ConnectRequest<'a>) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        let grant = Grant { username: Some("alice".into()), ..Grant::default() };
        Reply::Now(Ok(AuthVerdict::Grant(Box::new(grant))))
    }

    fn proceed<'a>(
        &'a self,
        request: &'a ConnectRequest<'a>,
        step: &'a AuthStep<'a>,
    ) -> Reply<'a, Result<AuthVerdict, HookFailed>> {
        let proved = step.data.map(|data| String::from_utf8_lossy(data).as_ref().into());
        let told = request.username.unwrap_or("nobody").to_owned();
        let grant = Grant { username: proved, data: Some(told.into()), ..Grant::default() };
        Reply::Now(Ok(AuthVerdict::Grant(Box::new(grant))))
    }
}

#[test]
fn who_authenticates_again_is_asked_to_be_who_it_is_and_cannot_become_somebody_else() {
    let embedded = Embedded::start();
    embedded.install("names", Arc::new(Names));
    let steps = Steps(embedded);
    // It sent no user name; the hook gave it one.
    let mut client = steps.client("STEPS");
    assert_eq!(client.expect_connack().reason, ReasonCode::Success);
    client.send(&auth(ReasonCode::ReAuthenticate, "STEPS", "alice"));
    expect_auth(&mut client, ReasonCode::Success, Some("alice"));
    client.send(&auth(ReasonCode::ReAuthenticate, "STEPS", "bob"));
    client.expect_disconnect(ReasonCode::NotAuthorized);
}

#[test]
fn v5_4_12_1_1_the_method_stays_the_same() {
    let embedded = Steps::start();
    let mut client = embedded.connected();
    client.send(&auth(ReasonCode::ReAuthenticate, "OTHER", "again"));
    client.expect_disconnect(ReasonCode::ProtocolError);
}

#[test]
fn v5_4_12_1_2_who_fails_to_prove_itself_again_is_disconnected() {
    let embedded = Steps::start();
    let mut client = embedded.connected();
    client.send(&auth(ReasonCode::ReAuthenticate, "STEPS", "again"));
    expect_auth(&mut client, ReasonCode::ContinueAuthentication, Some("one?"));
    client.send(&auth(ReasonCode::ContinueAuthentication, "STEPS", "three"));
    client.expect_disconnect(ReasonCode::NotAuthorized);
}

#[test]
fn v5_4_12_0_7_and_v5_4_12_0_6_without_a_method_there_is_no_auth() {
    let embedded = Steps::start();
    let mut client = Client::open(embedded.0.address, Version::V5);
    client.send(&Packet::Connect(Box::new(connect(Version::V5, "c"))));
    let connack = client.expect_connack();
    assert_eq!(connack.reason, ReasonCode::Success);
    assert_eq!(connack.properties.authentication_method, None);
    client.send(&auth(ReasonCode::ReAuthenticate, "STEPS", "again"));
    client.expect_disconnect(ReasonCode::ProtocolError);
}
