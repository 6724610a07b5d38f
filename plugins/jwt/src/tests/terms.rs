//! For whom and until when a token is good, and what it allows.

use super::*;
use tidegate_plugin::{Action, QoS, Rule};

fn rules(acl: Value) -> Vec<Rule> {
    let (_host, mut plugin) = started("acl = [{ allow = 'all', topic = 'not/for/this/one' }]");
    let token = signed(json!({"sub": "alice", "exp": NOW + 60, "acl": acl}));
    granted(plugin.authenticate(alice_with(&token))).rules
}

#[test]
fn times_are_kept_with_leeway() {
    let (host, mut plugin) = started("leeway_seconds = 10");
    for (claims, left) in [
        (json!({"exp": NOW + 60}), 70_000),
        (json!({"exp": NOW - 9}), 1_000),
        (json!({"exp": NOW as f64 + 0.5}), 10_500),
        (json!({"exp": NOW + 60, "nbf": NOW + 10}), 70_000),
        (json!({"exp": NOW + 60, "nbf": -1}), 70_000),
    ] {
        let mut claims = claims;
        claims["sub"] = json!("alice");
        let grant = granted(plugin.authenticate(alice_with(&signed(claims.clone()))));
        assert_eq!(grant.expires, Some(Duration::from_millis(left)), "{claims}");
    }
    for (claims, why) in [
        (json!({"exp": NOW - 10}), "it has expired"),
        (json!({"exp": 0}), "it has expired"),
        (json!({"exp": -1.5}), "it has expired"),
        (json!({"exp": NOW + 60, "nbf": NOW + 11}), "it is not valid yet"),
        (json!({"exp": "never"}), "its claim `exp` is not a number"),
        (json!({"exp": null}), "its claim `exp` is not a number"),
        (json!({"exp": NOW + 60, "nbf": [0]}), "its claim `nbf` is not a number"),
        (json!({"nbf": NOW}), "it has no claim `exp`"),
    ] {
        let outcome = plugin.authenticate(alice_with(&signed(claims)));
        assert_refused(&host, outcome, ReasonCode::BadUserNameOrPassword, why);
    }
}

#[test]
fn a_token_that_was_good_is_refused_once_its_time_is_over() {
    let (host, mut plugin) = started("leeway_seconds = 0");
    let token = signed(json!({"sub": "alice", "exp": NOW + 60}));
    host.advance(Duration::from_millis(59_999));
    let grant = granted(plugin.authenticate(alice_with(&token)));
    assert_eq!(grant.expires.map(|left| left.as_millis()), Some(1));
    host.advance(Duration::from_millis(1));
    let outcome = plugin.authenticate(alice_with(&token));
    assert_refused(&host, outcome, ReasonCode::BadUserNameOrPassword, "it has expired");
}

#[test]
fn a_token_without_an_end_is_for_those_who_ask_for_none() {
    let (_host, mut plugin) = started("required_claims = []");
    let grant = granted(plugin.authenticate(alice_with(&signed(json!({"sub": "alice"})))));
    assert_eq!(grant.expires, None);
    let grant = granted(plugin.authenticate(alice_with(&signed(json!({"sub": "alice", "exp": 1e300})))));
    assert!(grant.expires > Some(Duration::from_secs(1 << 40)));
}

#[test]
fn issuer_audience_and_claims_are_those_of_the_config() {
    let config =
        "iss = ['https://id.example', 'https://old.example']\naud = ['mqtt']\nrequired_claims = ['tenant']";
    let (host, mut plugin) = started(config);
    for (iss, aud) in [("https://id.example", json!("mqtt")), ("https://old.example", json!(["web", "mqtt"]))]
    {
        let claims = json!({"sub": "alice", "iss": iss, "aud": aud, "tenant": null});
        granted(plugin.authenticate(alice_with(&signed(claims))));
    }
    let iss = "https://id.example";
    for (claims, why) in [
        (json!({"iss": iss, "aud": "mqtt"}), "it has no claim `tenant`"),
        (json!({"aud": "mqtt", "tenant": 1}), "its claim `iss` is not in `iss` of the config"),
        (json!({"iss": "https://evil.example", "aud": "mqtt", "tenant": 1}), "its claim `iss` is not in"),
        (json!({"iss": iss, "tenant": 1}), "its claim `aud` has none"),
        (json!({"iss": iss, "aud": ["web"], "tenant": 1}), "its claim `aud` has none"),
        (json!({"iss": iss, "aud": {"mqtt": 1}, "tenant": 1}), "its claim `aud` has none"),
    ] {
        let outcome = plugin.authenticate(alice_with(&signed(claims)));
        assert_refused(&host, outcome, ReasonCode::BadUserNameOrPassword, why);
    }
}

#[test]
fn a_token_for_somebody_else_is_refused_by_those_who_have_no_name() {
    let (host, mut plugin) = started("");
    let outcome =
        plugin.authenticate(alice_with(&signed(json!({"sub": "alice", "exp": NOW + 60, "aud": "web"}))));
    assert_refused(&host, outcome, ReasonCode::BadUserNameOrPassword, "its claim `aud` has none");
}

#[test]
fn claims_become_attributes() {
    let (_host, mut plugin) = started("attributes = ['tenant', 'level', 'admin', 'roles', 'missing']");
    let claims = json!({"sub": "alice", "exp": NOW + 60, "tenant": "acme", "level": 3, "admin": false, "roles": ["x"]});
    let grant = granted(plugin.authenticate(alice_with(&signed(claims))));
    let expected = [("tenant", "acme"), ("level", "3"), ("admin", "false")];
    assert_eq!(grant.attributes, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn rules_of_the_config_are_for_tokens_without_their_own() {
    let acl = "acl = [{ allow = 'publish', topic = 'devices/%u' }, { user = 'bob', deny = 'publish', topic = '#' }]";
    let (_host, mut plugin) = started(acl);
    let grant = granted(plugin.authenticate(alice_with(&signed(json!({"sub": "alice", "exp": NOW + 60})))));
    let own = Rule::allow_publish("devices/%u");
    assert_eq!(grant.rules, [own, Rule::deny_publish("#"), Rule::deny_subscribe("#")]);
    let (_host, mut plugin) = started("");
    let grant = granted(plugin.authenticate(alice_with(&signed(json!({"sub": "alice", "exp": NOW + 60})))));
    assert_eq!(grant.rules, []);
}

#[test]
fn the_claim_may_list_what_is_allowed() {
    let acl = json!({"pub": ["a/${clientid}", "b"], "sub": ["c/${username}/#"], "all": ["d/${client_attrs.tenant}/%c"]});
    let expected = [
        Rule::allow_publish("a/%c"),
        Rule::allow_publish("b"),
        Rule::allow_subscribe("c/%u/#"),
        Rule::allow(Action::Receive, "c/%u/#"),
        Rule::allow_publish("d/%{tenant}/%c"),
        Rule::allow_subscribe("d/%{tenant}/%c"),
        Rule::allow(Action::Receive, "d/%{tenant}/%c"),
        Rule::deny_publish("#"),
        Rule::deny_subscribe("#"),
    ];
    assert_eq!(rules(acl), expected);
}

#[test]
fn the_claim_may_be_a_list_of_rules() {
    let acl = json!([
        {"permission": "deny", "action": "all", "topic": "t/secret", "qos": [0, 1, 2], "retain": "all"},
        {"permission": "allow", "action": "publish", "topic": "t/${clientid}", "qos": [1, 0]},
        {"permission": "allow", "action": "sub", "topics": ["eq t/1", "u"], "qos": 0},
    ]);
    let expected = [
        Rule::deny_publish("t/secret"),
        Rule::deny_subscribe("t/secret"),
        Rule::deny(Action::Receive, "t/secret"),
        Rule::allow_publish("t/%c").up_to(QoS::AtLeastOnce),
        Rule::allow_subscribe("t/1").up_to(QoS::AtMostOnce),
        Rule::allow(Action::Receive, "t/1"),
        Rule::allow_subscribe("u").up_to(QoS::AtMostOnce),
        Rule::allow(Action::Receive, "u"),
        Rule::deny_publish("#"),
        Rule::deny_subscribe("#"),
    ];
    assert_eq!(rules(acl), expected);
}

#[test]
fn a_claim_that_allows_nothing_allows_nothing() {
    for acl in [json!({}), json!([]), json!({"pub": []})] {
        assert_eq!(rules(acl), Rule::deny_the_rest());
    }
}

#[test]
fn a_claim_that_cannot_be_kept_as_it_is_written_lets_nobody_in() {
    let (host, mut plugin) = started("acl_claim = 'rules'");
    let one = |rest: Value| {
        let mut entry = json!({"permission": "allow", "action": "publish", "topic": "a"});
        entry.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        json!([{"permission": "allow", "action": "all", "topic": "fine"}, entry])
    };
    for (acl, why) in [
        (json!("a/#"), "it is neither an object nor a list"),
        (Value::Null, "it is neither an object nor a list"),
        (json!({"publish": ["a"]}), "unknown field `publish`, expected one of `pub`, `sub`, `all`"),
        (json!({"pub": "a"}), "invalid type: string \"a\", expected a sequence"),
        (json!({"pub": ["a+"]}), "\"a+\" is not a topic filter: + must fill its level"),
        (json!({"pub": ["50%"]}), "\"50%\" is not a topic filter: after % comes"),
        (json!({"pub": ["a/${zone}"]}), "\"a/${zone}\": the placeholder \"zone\" is not known"),
        (json!({"pub": ["a/${clientid"]}), "\"a/${clientid\": a placeholder has no end"),
        (json!({"sub": ["eq a/#"]}), "\"eq a/#\": rules know no wildcard that stands for itself"),
        (json!(["a"]), "[0]: invalid type: string \"a\", expected struct Entry"),
        (one(json!({"permission": "maybe"})), "[1]: unknown variant `maybe`, expected `allow` or `deny`"),
        (one(json!({"action": "receive"})), "[1]: unknown variant `receive`"),
        (one(json!({"ipaddr": "192.0.2.1"})), "[1]: unknown field `ipaddr`"),
        (one(json!({"topic": null})), "[1]: it has no `topic`"),
        (one(json!({"retain": true})), "[1]: `retain`: rules do not tell retained messages from others"),
        (one(json!({"qos": [1, 2]})), "[1]: `qos`: a rule reaches from 0 up to a highest QoS"),
        (one(json!({"qos": [1]})), "[1]: `qos`: a rule reaches from 0 up to a highest QoS"),
        (one(json!({"qos": 2})), "[1]: `qos`: a rule reaches from 0 up to a highest QoS"),
        (one(json!({"qos": []})), "[1]: `qos`: a rule reaches from 0 up to a highest QoS"),
        (one(json!({"qos": "2"})), "[1]: `qos` is a list of 0, 1 and 2"),
        (one(json!({"permission": "deny", "qos": [0]})), "[1]: `qos`: a \"deny\" holds for every QoS"),
    ] {
        let token = signed(json!({"sub": "alice", "exp": NOW + 60, "rules": acl}));
        let outcome = plugin.authenticate(alice_with(&token));
        assert_refused(
            &host,
            outcome,
            ReasonCode::NotAuthorized,
            &format!("its claim `rules` has no rules: {why}"),
        );
    }
}
