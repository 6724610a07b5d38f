//! Who comes in, and who does not. Below: `signatures`, `terms`, and what is wrong with a config (`mistakes`).

mod mistakes;
mod signatures;
mod terms;

use crate::Jwt;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{Duration, SystemTime};
use tidegate_plugin::{
    Authenticate, Connect, Grant, Outcome, ReasonCode,
    testing::{Host, anonymous, connect},
};

const NOW: u64 = 1_700_000_000;
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// HS256 with `SECRET`, and what else `config` says.
fn started(config: &str) -> (Host, Jwt) {
    let host = Host::new()
        .time(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
        .secret("hs", SECRET)
        .config(&format!("algorithms = ['HS256']\nsecret = 'hs'\n{config}"));
    let plugin = host.start().unwrap();
    (host, plugin)
}

fn part(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// By HS256, under a header of the test's own.
fn signed_as(header: &Value, claims: &str) -> String {
    let text = format!("{}.{}", part(header.to_string()), part(claims));
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(&text);
    format!("{text}.{}", part(mac.finalize().into_bytes()))
}

fn signed(claims: Value) -> String {
    signed_as(&json!({"alg": "HS256", "typ": "JWT"}), &claims.to_string())
}

/// The client `c1` with a user name of its own and that token as its password.
fn alice_with(token: &str) -> Connect {
    connect("c1", "alice", token)
}

fn without_username(token: &str) -> Connect {
    let mut client = anonymous("c1");
    client.password = Some(token.into());
    client
}

fn granted(outcome: Outcome) -> Grant {
    let Outcome::Grant(grant) = outcome else { panic!("{outcome:?}") };
    grant
}

/// The code, and what the log says of it.
#[track_caller]
fn assert_refused(host: &Host, outcome: Outcome, code: ReasonCode, why: &str) {
    assert_eq!(outcome, Outcome::refuse(code), "{why}");
    let line = host.logged().last().unwrap().to_string();
    assert!(line.starts_with(&format!("INFO token refused why={why}")), "{line}\n{why}");
    assert!(line.ends_with(" client=c1 peer=192.0.2.1:50000"), "{line}");
}

#[test]
fn a_good_token_lets_in_as_whom_it_names_until_it_expires() {
    let (_host, mut plugin) = started("");
    let token = signed(json!({"sub": "alice", "exp": NOW + 60}));
    let expected = Grant::new().username("alice").expires(Duration::from_secs(65));
    assert_eq!(plugin.authenticate(alice_with(&token)), Outcome::Grant(expected.clone()));
    assert_eq!(plugin.authenticate(without_username(&token)), Outcome::Grant(expected));
}

#[test]
fn what_is_no_token_is_for_the_next_plugin() {
    let (host, mut plugin) = started("");
    let header = |text: &str| part(text);
    for password in [
        String::new(),
        "alice-secret".into(),
        "a.b.c".into(),
        "1.2.3.4".into(),
        format!("{}.x.y", header("[\"alg\"]")),
        format!("{}.x.y", header("{\"typ\": \"JWT\"}")),
        header("{\"alg\": \"HS256\"}"),
    ] {
        assert_eq!(plugin.authenticate(alice_with(&password)), Outcome::Next, "{password}");
    }
    assert_eq!(plugin.authenticate(anonymous("c1")), Outcome::Next);
    let mut not_text = anonymous("c1");
    not_text.password = Some(vec![0xFF, b'.', 0xFF]);
    assert_eq!(plugin.authenticate(not_text), Outcome::Next);
    assert!(host.logged().is_empty());
}

#[test]
fn where_it_is_required_nobody_comes_in_without() {
    let (host, mut plugin) = started("required = true");
    for client in [anonymous("c1"), alice_with("alice-secret")] {
        let outcome = plugin.authenticate(client);
        assert_refused(&host, outcome, ReasonCode::BadUserNameOrPassword, "there is no token");
    }
    granted(plugin.authenticate(alice_with(&signed(json!({"sub": "alice", "exp": NOW + 1})))));
}

#[test]
fn what_looks_like_a_token_and_is_none_is_refused_and_never_logged() {
    let (host, mut plugin) = started("");
    let good = signed(json!({"sub": "alice", "exp": NOW + 60}));
    let (text, signature) = good.rsplit_once('.').unwrap();
    let (header, claims) = text.split_once('.').unwrap();
    let other = part(json!({"sub": "root", "exp": NOW + 60}).to_string());
    let header_of = |header: Value| signed_as(&header, "{\"sub\": \"alice\"}");
    for (token, why) in [
        (text.to_owned(), "it is no signed token"),
        (format!("{header}."), "it is no signed token"),
        (format!("{text}."), "no key of ours has signed it"),
        (format!("{text}.{}", part([0; 32])), "no key of ours has signed it"),
        (format!("{text}.{}", part([0; 31])), "no key of ours has signed it"),
        (format!("{text}.{signature}="), "it is no signed token"),
        (format!("{good}.{signature}"), "no key of ours has signed it"),
        (format!("{header}.{other}.{signature}"), "no key of ours has signed it"),
        (format!("{header}..{signature}"), "no key of ours has signed it"),
        (
            format!("{}.{claims}.", part("{\"alg\": \"none\"}")),
            "its algorithm is none that this plugin knows",
        ),
        (format!("{}.{claims}.{signature}", part("{\"alg\": 256}")), "its algorithm is none"),
        (header_of(json!({"alg": "HS384"})), "its algorithm HS384 is not in `algorithms`"),
        (header_of(json!({"alg": "RS256"})), "its algorithm RS256 is not in `algorithms`"),
        (header_of(json!({"alg": "hs256"})), "its algorithm is none that this plugin knows"),
        (header_of(json!({"alg": "HS256", "crit": ["b64"], "b64": false})), "its header has `crit`"),
        (signed_as(&json!({"alg": "HS256"}), "[]"), "it is no signed token"),
        (signed_as(&json!({"alg": "HS256"}), "claims"), "it is no signed token"),
    ] {
        let outcome = plugin.authenticate(alice_with(&token));
        assert_refused(&host, outcome, ReasonCode::BadUserNameOrPassword, why);
    }
    let secrets = [header, claims, signature, SECRET];
    for line in host.logged() {
        assert!(!secrets.iter().any(|secret| line.to_string().contains(secret)), "{line}");
    }
}

#[test]
fn a_token_may_be_the_user_name() {
    let (host, mut plugin) = started("from = 'username'");
    let token = signed(json!({"sub": "alice", "exp": NOW + 60}));
    let grant = granted(plugin.authenticate(connect("c1", &token, "unused")));
    assert_eq!(grant.username.as_deref(), Some("alice"));
    assert_eq!(plugin.authenticate(connect("c1", "alice", &token)), Outcome::Next);
    let outcome = plugin.authenticate(connect("c1", &format!("{token}A"), ""));
    assert_refused(&host, outcome, ReasonCode::BadUserNameOrPassword, "no key of ours has signed it");
    assert!(!host.logged()[0].to_string().contains(&token));
}

#[test]
fn the_user_name_is_that_of_the_token() {
    let (host, mut plugin) = started("");
    let outcome = plugin.authenticate(alice_with(&signed(json!({"sub": "bob", "exp": NOW + 60}))));
    assert_refused(&host, outcome, ReasonCode::NotAuthorized, "its claim `sub` is not the user name");
    for (claims, why) in [
        (json!({"exp": NOW + 60}), "it has no claim `sub`"),
        (json!({"sub": 7, "exp": NOW + 60}), "its claim `sub` is not a name"),
        (json!({"sub": "", "exp": NOW + 60}), "its claim `sub` is not a name"),
        (json!({"sub": "a\0", "exp": NOW + 60}), "its claim `sub` is not a name"),
        (json!({"sub": "x".repeat(65_536), "exp": NOW + 60}), "its claim `sub` is not a name"),
    ] {
        let outcome = plugin.authenticate(without_username(&signed(claims)));
        assert_refused(&host, outcome, ReasonCode::BadUserNameOrPassword, why);
    }
}

#[test]
fn any_user_name_passes_if_it_need_not_match_and_the_claim_takes_its_place() {
    let (_host, mut plugin) = started("match_username = false\nusername_claim = 'email'");
    let token = signed(json!({"sub": "4711", "email": "alice@example.org", "exp": NOW + 60}));
    let grant = granted(plugin.authenticate(connect("c1", "unused", &token)));
    assert_eq!(grant.username.as_deref(), Some("alice@example.org"));
}

#[test]
fn a_name_that_a_certificate_gives_must_match_always() {
    let (host, mut plugin) = started("match_username = false");
    let by_certificate = |user: &str| {
        let mut client = connect("c1", user, &signed(json!({"sub": "alice", "exp": NOW + 60})));
        client.tls_username = true;
        client
    };
    granted(plugin.authenticate(by_certificate("alice")));
    let outcome = plugin.authenticate(by_certificate("bob"));
    assert_refused(&host, outcome, ReasonCode::NotAuthorized, "its claim `sub` is not the user name");
}

#[test]
fn without_a_claim_for_it_the_client_keeps_its_user_name() {
    let (_host, mut plugin) =
        started("username_claim = ''\nacl = [{ allow = 'all', topic = 'a/%c/%{tenant}/100%%u' }]");
    let token = signed(json!({"sub": "bob", "exp": NOW + 60}));
    let grant = granted(plugin.authenticate(alice_with(&token)));
    assert_eq!((grant.username.as_deref(), grant.rules.len()), (Some("alice"), 5));
    let grant = granted(plugin.authenticate(without_username(&token)));
    assert_eq!((grant.username, grant.rules.len()), (None, 5));
}

#[test]
fn the_client_id_must_be_that_of_the_token_if_a_claim_is_named() {
    let (host, mut plugin) = started("client_id_claim = 'device'");
    let token = |device: &str| signed(json!({"sub": "alice", "exp": NOW + 60, "device": device}));
    granted(plugin.authenticate(alice_with(&token("c1"))));
    let outcome = plugin.authenticate(alice_with(&token("c2")));
    assert_refused(&host, outcome, ReasonCode::NotAuthorized, "its claim `device` is not the client id");
    let outcome = plugin.authenticate(alice_with(&signed(json!({"sub": "alice", "exp": NOW + 60}))));
    assert_refused(&host, outcome, ReasonCode::BadUserNameOrPassword, "it has no claim `device`");
}
