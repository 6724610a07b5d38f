//! Who proves itself, and who does not. Below: `messages` that make no sense, authenticating `again`, and what is wrong with a config
//! (`mistakes`); `client` is the other side.

mod again;
mod client;
mod messages;
mod mistakes;

use crate::Scram;
use client::{Client, line};
use std::sync::LazyLock;
use tidegate_plugin::{
    Action, Authenticate, Challenge, Connect, Grant, Outcome, Proceed, ReasonCode, Refusal, Rule,
    testing::{Host, anonymous, answer, connect, enhanced},
};

/// Alice by SHA-256, bob by SHA-512, and what else `config` says.
fn started(config: &str) -> (Host, Scram) {
    static USERS: LazyLock<String> = LazyLock::new(|| {
        let alice = line("SCRAM-SHA-256", "alice-secret", b"salt of alice...", 4096);
        let bob = line("SCRAM-SHA-512", "bob-secret", b"salt of bob", 5000);
        format!("users.alice = '{alice}'\nusers.bob = '{bob}'\n")
    });
    let host = Host::new().config(&format!("{}{config}", *USERS));
    let plugin = host.start().unwrap();
    (host, plugin)
}

fn connecting(client: &Client) -> Connect {
    enhanced("c1", client.method, Some(client.first().as_bytes()))
}

fn challenged(outcome: Outcome) -> Challenge {
    let Outcome::Challenge(challenge) = outcome else { panic!("{outcome:?}") };
    challenge
}

fn granted(outcome: Outcome) -> Grant {
    let Outcome::Grant(grant) = outcome else { panic!("{outcome:?}") };
    grant
}

/// From the first message to the last.
fn logs_in(plugin: &mut Scram, client: &Client) -> Outcome {
    let challenge = challenged(plugin.authenticate(connecting(client)));
    plugin.proceed(connecting(client), answer(&challenge, client.last(&challenge)))
}

fn refused(code: ReasonCode, text: &str) -> Outcome {
    Outcome::Refuse(Refusal { code, text: Some(text.into()) })
}

fn invalid_proof() -> Outcome {
    refused(ReasonCode::BadUserNameOrPassword, "e=invalid-proof")
}

const ALICE: Client = Client { user: "alice", ..Client::new("SCRAM-SHA-256", "alice-secret") };
const BOB: Client = Client { user: "bob", ..Client::new("SCRAM-SHA-512", "bob-secret") };

#[test]
fn the_example_of_rfc_7677_holds() {
    let salt = [91, 109, 153, 104, 157, 18, 53, 142, 236, 160, 75, 20, 18, 54, 250, 129];
    let host = Host::new().random(*b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
    let config = format!("users.user = '{}'", line("SCRAM-SHA-256", "pencil", &salt, 4096));
    let mut plugin: Scram = host.config(&config).start().unwrap();
    let client = || enhanced("c1", "SCRAM-SHA-256", Some(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
    let challenge = challenged(plugin.authenticate(client()));
    assert_eq!(
        String::from_utf8_lossy(&challenge.data),
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let expected = Grant::new().username("user").data("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert_eq!(plugin.proceed(client(), answer(&challenge, last)), Outcome::Grant(expected));
}

#[test]
fn who_knows_the_password_comes_in_and_learns_that_the_broker_knows_it() {
    let (_host, mut plugin) = started("");
    for client in [ALICE, BOB] {
        let challenge = challenged(plugin.authenticate(connecting(&client)));
        let grant = granted(plugin.proceed(connecting(&client), answer(&challenge, client.last(&challenge))));
        assert_eq!(grant.username.as_deref(), Some(client.user));
        assert_eq!(grant.data.as_deref(), Some(client.server_last(&challenge).as_bytes()));
        assert_eq!(grant.rules, []);
    }
}

#[test]
fn any_instance_goes_on_where_another_began() {
    let (_host, mut plugin) = started("");
    let challenge = challenged(plugin.authenticate(connecting(&ALICE)));
    let (_host, mut other) = started("");
    granted(other.proceed(connecting(&ALICE), answer(&challenge, ALICE.last(&challenge))));
}

#[test]
fn rules_of_the_user_and_of_everyone_are_granted() {
    let acl =
        "acl = [{ user = 'alice', allow = 'subscribe', topic = 'a' }, { allow = 'publish', topic = 'b/%u' }]";
    let (_host, mut plugin) = started(acl);
    let own = [Rule::allow_subscribe("a"), Rule::allow(Action::Receive, "a")];
    let all = [Rule::allow_publish("b/%u")].into_iter().chain(Rule::deny_the_rest());
    let grant = granted(logs_in(&mut plugin, &ALICE));
    assert_eq!(grant.rules, own.into_iter().chain(all.clone()).collect::<Vec<_>>());
    assert_eq!(granted(logs_in(&mut plugin, &BOB)).rules, all.collect::<Vec<_>>());
}

#[test]
fn who_does_not_know_it_is_refused_and_nothing_is_said_of_users() {
    let (host, mut plugin) = started("");
    for client in [
        Client { password: "bob-secret", ..ALICE },
        Client { password: "", ..ALICE },
        Client { user: "mallory", ..ALICE },
        // There is such a user, but not by that method.
        Client { method: "SCRAM-SHA-512", ..ALICE },
        Client { method: "SCRAM-SHA-256", ..BOB },
    ] {
        assert_eq!(logs_in(&mut plugin, &client), invalid_proof(), "{client:?}");
    }
    let lines: Vec<String> = host.logged().iter().skip(1).map(ToString::to_string).collect();
    let expected =
        "INFO not authenticated why=wrong user name or password client=c1 peer=192.0.2.1:50000 again=false";
    assert_eq!(lines, [expected; 5]);
}

/// Salt and iterations, without the nonce.
fn look(plugin: &mut Scram, user: &'static str, method: &'static str) -> String {
    let client = Client { user, ..Client::new(method, "") };
    let challenge = challenged(plugin.authenticate(connecting(&client)));
    let text = String::from_utf8(challenge.data).unwrap();
    text.split_once(",s=").unwrap().1.to_owned()
}

#[test]
fn who_is_no_user_looks_like_one() {
    let (_host, mut plugin) = started("");
    let (_host, mut other) = started("");
    let mut seen = Vec::new();
    for user in ["mallory", "eve", "trudy"] {
        for (method, salt, iterations) in [("SCRAM-SHA-256", 24, 4096), ("SCRAM-SHA-512", 16, 5000)] {
            let look_here = look(&mut plugin, user, method);
            assert_eq!(look_here, look(&mut plugin, user, method), "the same whenever it is asked about");
            assert_eq!(look_here, look(&mut other, user, method), "and by whichever instance");
            let (salt_here, iterations_here) = look_here.split_once(",i=").unwrap();
            assert_eq!((salt_here.len(), iterations_here), (salt, iterations.to_string().as_str()));
            seen.push(look_here);
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6);
}

#[test]
fn decoys_come_from_a_secret_if_there_is_one_and_then_outlast_a_change_of_users() {
    let users = |name: &str| {
        format!("decoy_secret = 'decoy'\nusers.{name} = '{}'", line("SCRAM-SHA-256", "x", b"salt", 4096))
    };
    let look = |name: &str, secret: &str| {
        let host = Host::new().secret("decoy", secret).config(&users(name));
        look(&mut host.start().unwrap(), "mallory", "SCRAM-SHA-256")
    };
    assert_eq!(look("alice", "one"), look("bob", "one"));
    assert_ne!(look("alice", "one"), look("alice", "two"));
}

#[test]
fn where_users_differ_so_do_those_who_are_none() {
    let users =
        (0..9).map(|at| format!("users.u{at} = '{}'\n", line("SCRAM-SHA-256", "x", b"salt", 4096 + at % 3)));
    let mut plugin: Scram = Host::new().config(&users.collect::<String>()).start().unwrap();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];
    for iterations in 4096..4099 {
        let end = format!(",i={iterations}");
        assert!(names.iter().any(|name| look(&mut plugin, name, "SCRAM-SHA-256").ends_with(&end)));
    }
}

#[test]
fn nonces_never_come_again_and_are_long() {
    let (_host, mut plugin) = started("");
    let mut nonce = || {
        let challenge = challenged(plugin.authenticate(connecting(&ALICE)));
        let nonce = client::attributes(&challenge.data)[0].strip_prefix(ALICE.nonce).unwrap().to_owned();
        assert_eq!(nonce.len(), 30);
        nonce
    };
    assert_ne!(nonce(), nonce());
}

#[test]
fn bytes_that_may_not_stand_in_a_nonce_are_passed_over() {
    let (host, mut plugin) = started("");
    let _host = host.random(*b"=a,b\x00c d\x7F!~\xC1").random([b'x'; 40]);
    let challenge = challenged(plugin.authenticate(connecting(&ALICE)));
    let nonce = format!("{}abcd!~A{}", ALICE.nonce, "x".repeat(23));
    assert_eq!(client::attributes(&challenge.data)[0], nonce);
}

#[test]
fn a_last_message_is_good_for_its_own_exchange_only() {
    let (_host, mut plugin) = started("");
    let first = challenged(plugin.authenticate(connecting(&ALICE)));
    let last = ALICE.last(&first);
    granted(plugin.proceed(connecting(&ALICE), answer(&first, last.clone())));
    let second = challenged(plugin.authenticate(connecting(&ALICE)));
    assert_eq!(plugin.proceed(connecting(&ALICE), answer(&second, last)), invalid_proof());
    // With the new nonce, and a proof for the old one.
    let nonce = |challenge: &Challenge| client::attributes(&challenge.data)[0].clone();
    let mixed = ALICE.last(&first).replace(&nonce(&first), &nonce(&second));
    assert_eq!(plugin.proceed(connecting(&ALICE), answer(&second, mixed)), invalid_proof());
    // Another nonce, and a proof for it: there is no exchange with that.
    let client = Client { echoes: Some("fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"), ..ALICE };
    assert_eq!(logs_in(&mut plugin, &client), invalid_proof());
}

#[test]
fn an_answer_of_another_client_is_none() {
    let (_host, mut plugin) = started("");
    let challenge = challenged(plugin.authenticate(connecting(&ALICE)));
    let step = || answer(&challenge, ALICE.last(&challenge));
    let malformed = refused(ReasonCode::ProtocolError, "e=other-error");
    let mut another_session = connecting(&ALICE);
    another_session.session = 2;
    assert_eq!(plugin.proceed(another_session, step()), malformed);
    let another_id = enhanced("c2", "SCRAM-SHA-256", None);
    assert_eq!(plugin.proceed(another_id, step()), malformed);
    let another_method = enhanced("c1", "SCRAM-SHA-512", None);
    assert_eq!(plugin.proceed(another_method, step()), malformed);
    let stateless = answer(&Challenge::new(""), ALICE.last(&challenge));
    assert_eq!(plugin.proceed(connecting(&ALICE), stateless), malformed);
}

#[test]
fn other_methods_are_for_other_plugins() {
    let (_host, mut plugin) = started("");
    for method in ["SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "scram-sha-256", "PLAIN", ""] {
        assert_eq!(plugin.authenticate(enhanced("c1", method, Some(b"n,,n=alice,r=x"))), Outcome::Next);
    }
    for client in [anonymous("c1"), connect("c1", "alice", "alice-secret")] {
        assert_eq!(plugin.authenticate(client), Outcome::Next);
    }
    let (_host, mut plugin) = started("");
    assert_eq!(plugin.proceed(enhanced("c1", "PLAIN", None), answer(&Challenge::new(""), "")), Outcome::Next);
}

#[test]
fn a_user_name_in_connect_or_in_a_certificate_must_be_the_same() {
    let (_host, mut plugin) = started("");
    let named = |name: &str| {
        let mut client = connecting(&ALICE);
        client.username = Some(name.into());
        client
    };
    // What SASLprep makes of it is alice.
    for name in ["alice", "al\u{AD}ice"] {
        let challenge = challenged(plugin.authenticate(named(name)));
        let grant = granted(plugin.proceed(named(name), answer(&challenge, ALICE.last(&challenge))));
        assert_eq!(grant.username.as_deref(), Some("alice"));
    }
    assert_eq!(plugin.authenticate(named("bob")), refused(ReasonCode::NotAuthorized, "e=other-error"));
    assert_eq!(
        plugin.authenticate(named("")),
        refused(ReasonCode::ProtocolError, "e=invalid-username-encoding")
    );
}
