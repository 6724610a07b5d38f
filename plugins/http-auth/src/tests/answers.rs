use super::*;
use tidegate_plugin::{Action, QoS, Quotas, Rule, testing::anonymous};

/// What comes of that answer to alice.
fn outcome(config: &str, status: u16, body: &str) -> Outcome {
    Scene::new(config).answers(status, body).alice()
}

fn grant(config: &str, body: &str) -> Grant {
    match outcome(config, 200, body) {
        Outcome::Grant(grant) => grant,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn statuses_alone_decide() {
    use ReasonCode::{BadUserNameOrPassword, NotAuthorized, ServerUnavailable};
    for (status, body, expected) in [
        (204, "", granted()),
        (200, "", granted()),
        (200, " \n", granted()),
        (401, "", refused(BadUserNameOrPassword)),
        (403, r#"{"result": "allow"}"#, refused(NotAuthorized)),
        (404, "", refused(BadUserNameOrPassword)),
        (201, "", refused(ServerUnavailable)),
        (302, "", refused(ServerUnavailable)),
        (400, r#"{"result": "allow"}"#, refused(ServerUnavailable)),
        (429, "", refused(ServerUnavailable)),
        (500, r#"{"result": "allow"}"#, refused(ServerUnavailable)),
    ] {
        assert_eq!(outcome("", status, body), expected, "{status} {body}");
    }
    assert_eq!(outcome("not_found = 'ignore'", 404, ""), Outcome::Next);
    assert_eq!(outcome("not_found = 'error'", 404, ""), refused(ServerUnavailable));
}

#[test]
fn results_decide() {
    let with = |body| outcome("", 200, body);
    assert_eq!(with(r#"{"result": "allow"}"#), granted());
    assert_eq!(with(r#"{"result": "deny"}"#), refused(ReasonCode::BadUserNameOrPassword));
    assert_eq!(with(r#"{"result": "ignore"}"#), Outcome::Next);
    assert_eq!(
        with(r#"{"result": "deny", "is_superuser": "yes", "acl": 5}"#),
        refused(ReasonCode::BadUserNameOrPassword),
        "whatever else stands there"
    );
    assert_eq!(with(r#"{"result": "allow", "later": {}, "acl": null, "is_superuser": null}"#), granted());
}

#[test]
fn an_answer_that_cannot_be_kept_to_the_letter_lets_nobody_in() {
    for (body, complaint) in [
        ("allow", "the answer: expected value"),
        ("[]", "the answer: invalid"),
        ("{}", "the answer: missing field `result`"),
        (r#"{"result": "Allow"}"#, "the answer's `result`: unknown variant `Allow`"),
        (r#"{"result": "allow"} {}"#, "the answer: trailing characters"),
        (r#"{"result": "allow", "username": ""}"#, "the answer's `username`: it is empty"),
        (r#"{"result": "allow", "client_id": "a\u0000"}"#, "the answer's `client_id`: it contains U+0000"),
        (r#"{"result": "allow", "is_superuser": "true"}"#, "the answer's `is_superuser`: invalid type"),
        (
            r#"{"result": "allow", "attributes": {"a": []}}"#,
            "the answer's `attributes.a`: an attribute is a text",
        ),
        (r#"{"result": "allow", "attributes": {}, "client_attrs": {}}"#, "the answer: duplicate field"),
        (r#"{"result": "allow", "expire_at": "soon"}"#, "the answer's `expire_at`: invalid type"),
        (
            r#"{"result": "allow", "quotas": {"inflight": 0}}"#,
            "the answer's `quotas.inflight`: invalid value",
        ),
        (r#"{"result": "allow", "quotas": {"rate": 1}}"#, "the answer's `quotas.rate`: unknown field"),
    ] {
        let mut scene = Scene::new("");
        let outcome = scene.answers(200, body).alice();
        assert_eq!(outcome, refused(ReasonCode::ServerUnavailable), "{body}");
        let line = scene.last_line();
        let begins = format!("WARN no verdict, refused client=c1 peer=192.0.2.1:50000 why={complaint}");
        assert!(line.starts_with(&begins), "{body}:\n{line}\n{begins}");
        assert_eq!((scene.asked(), line.contains("alice-secret")), (1, false));
    }
}

#[test]
fn rules_are_those_of_the_answer_and_the_rest_is_denied() {
    let body = r#"{"result": "allow", "acl": [
        {"permission": "deny", "action": "publish", "topic": "a/secret", "qos": [0, 1, 2], "retain": "all"},
        {"permission": "allow", "action": "publish", "topic": "a/%c/#", "qos": 1},
        {"permission": "allow", "action": "subscribe", "topic": "b/%{team}", "qos": [0, 1]},
        {"permission": "allow", "action": "all", "topic": "c"}
    ]}"#;
    let expected = [
        Rule::deny_publish("a/secret"),
        Rule::allow_publish("a/%c/#").up_to(QoS::AtLeastOnce),
        Rule::allow_subscribe("b/%{team}").up_to(QoS::AtLeastOnce),
        Rule::allow(Action::Receive, "b/%{team}"),
        Rule::allow_publish("c"),
        Rule::allow_subscribe("c"),
        Rule::allow(Action::Receive, "c"),
    ];
    let expected: Vec<Rule> = expected.into_iter().chain(Rule::deny_the_rest()).collect();
    assert_eq!(grant("", body).rules, expected);
    assert_eq!(grant("", r#"{"result": "allow", "acl": []}"#).rules, Rule::deny_the_rest());
}

#[test]
fn a_rule_that_cannot_be_said_here_makes_the_answer_useless() {
    for (rule, complaint) in [
        (r#"{"action": "all", "topic": "a"}"#, "`acl[0]`: missing field `permission`"),
        (r#"{"permission": "allow", "action": "all"}"#, "`acl[0]`: missing field `topic`"),
        (
            r#"{"permission": "allow", "action": "pub", "topic": "a"}"#,
            "`acl[0].action`: unknown variant `pub`",
        ),
        (
            r#"{"permission": "allow", "action": "all", "topic": "a#"}"#,
            "`acl[0].topic`: \"a#\" is not a topic filter",
        ),
        (
            r#"{"permission": "allow", "action": "all", "topic": "eq a/#"}"#,
            "`acl[0].topic`: \"eq a/#\": a topic here has no `eq`",
        ),
        (
            r#"{"permission": "allow", "action": "all", "topic": "a/${clientid}"}"#,
            "`acl[0].topic`: \"a/${clientid}\": a topic here",
        ),
        (
            r#"{"permission": "allow", "action": "all", "topic": "a", "qos": 3}"#,
            "`acl[0]`: `qos` is 0, 1 or 2, not 3",
        ),
        (
            r#"{"permission": "allow", "action": "all", "topic": "a", "qos": []}"#,
            "`acl[0]`: `qos`: an empty list",
        ),
        (
            r#"{"permission": "deny", "action": "all", "topic": "a", "qos": [2]}"#,
            "`acl[0]`: `qos`: a deny holds for every QoS",
        ),
        (
            r#"{"permission": "deny", "action": "all", "topic": "a", "qos": 1}"#,
            "`acl[0]`: `qos`: a deny holds for every QoS",
        ),
        (
            r#"{"permission": "allow", "action": "publish", "topic": "a", "retain": false}"#,
            "`acl[0]`: `retain`: a rule cannot tell",
        ),
        (
            r#"{"permission": "allow", "action": "all", "topic": "a", "ipaddr": "::1"}"#,
            "`acl[0].ipaddr`: unknown field `ipaddr`",
        ),
    ] {
        let mut scene = Scene::new("");
        let outcome = scene.answers(200, &format!(r#"{{"result": "allow", "acl": [{rule}]}}"#)).alice();
        assert_eq!(outcome, refused(ReasonCode::ServerUnavailable), "{rule}");
        let line = scene.last_line();
        assert!(line.contains(&format!(" why=the answer's {complaint}")), "{rule}:\n{line}\n{complaint}");
    }
}

#[test]
fn a_superuser_may_do_everything() {
    let body = r#"{"result": "allow", "is_superuser": true, "acl": []}"#;
    let expected = [
        Rule::allow_publish("#"),
        Rule::allow_subscribe("#"),
        Rule::allow(Action::Receive, "#"),
        Rule::allow_subscribe("$SYS/#"),
        Rule::allow(Action::Receive, "$SYS/#"),
    ];
    assert_eq!(grant("", body).rules, expected);
    assert!(grant("", r#"{"result": "allow", "is_superuser": false}"#).rules.is_empty());
}

#[test]
fn rules_of_the_config_are_for_those_whose_answer_has_none() {
    let config = r##"acl = [
        { user = "gateway", allow = "all", topic = "#" },
        { allow = "publish", topic = "devices/%c" },
    ]"##;
    let rules = |body: &str| grant(config, body).rules;
    let device = [&[Rule::allow_publish("devices/%c")][..], &Rule::deny_the_rest()].concat();
    assert_eq!(rules(r#"{"result": "allow"}"#), device);
    assert_eq!(rules("")[..], device);
    assert_eq!(rules(r#"{"result": "allow", "username": "gateway"}"#)[0], Rule::allow_publish("#"));
    assert_eq!(rules(r#"{"result": "allow", "acl": []}"#), Rule::deny_the_rest());
    let mut scene = Scene::new(config);
    let Outcome::Grant(nobody) = scene.plugin.authenticate(anonymous("c1")) else { panic!("refused") };
    assert_eq!(nobody.rules, device);
}

#[test]
fn names_attributes_and_quotas_are_granted() {
    let body = r#"{
        "result": "allow", "username": "al", "clientid": "site-1",
        "client_attrs": {"team": "blue", "floor": 3, "admin": false},
        "quotas": {"messages_per_second": 10, "bytes_per_second": 4096, "subscriptions": 0, "inflight": 2}
    }"#;
    let expected = Grant {
        quotas: Quotas {
            messages_per_second: Some(10),
            bytes_per_second: Some(4096),
            subscriptions: Some(0),
            inflight: Some(2),
        },
        ..Grant::new().username("al").client_id("site-1")
    };
    let expected = expected.attribute("admin", "false").attribute("floor", "3").attribute("team", "blue");
    assert_eq!(grant("", body), expected);
}

#[test]
fn a_grant_ends_when_the_answer_says() {
    let expires = |terms: &str| grant("", &format!(r#"{{"result": "allow", {terms}}}"#)).expires;
    let at = |seconds: u64| format!(r#""expire_at": {}"#, BEGAN + seconds);
    assert_eq!(expires(&at(90)), Some(Duration::from_secs(90)));
    assert_eq!(expires(r#""expires_in": 30"#), Some(Duration::from_secs(30)));
    assert_eq!(expires(&(at(90) + r#", "expires_in": 30"#)), Some(Duration::from_secs(30)));
    assert_eq!(
        expires(r#""expires_in": 18446744073709551615"#),
        Some(Duration::MAX - Duration::from_secs(BEGAN))
    );
    for over in [at(0), r#""expires_in": 0"#.into(), r#""expire_at": 5"#.into()] {
        let outcome = outcome("", 200, &format!(r#"{{"result": "allow", {over}}}"#));
        assert_eq!(outcome, refused(ReasonCode::NotAuthorized), "{over}");
    }
}
