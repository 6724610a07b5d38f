use crate::AclLog;
use std::time::Duration;
use tidegate_plugin::{
    Acl, Action, Decision, Plugin, Scope, Span,
    testing::{Host, request},
};

const CONFIG: &str = r##"
    acl = [
        { user = "admin", allow = "all", topic = "sensors/secret/#" },
        { deny = "all", topic = "sensors/secret/#" },
        { client = "c2", deny = "publish", topic = "jobs/#" },
        { allow = "publish", topic = "jobs/%c" },
        { deny = "publish", topic = "jobs/+" },
    ]
"##;

fn started(config: &str) -> (Host, AclLog) {
    let host = Host::new().config(config);
    let plugin = host.start().unwrap();
    (host, plugin)
}

fn deny(filter: &str, seconds: u64) -> Decision {
    Decision::Deny(Span::new(filter, Duration::from_secs(seconds)))
}

fn allow(filter: &str, seconds: u64) -> Decision {
    Decision::Allow(Span::new(filter, Duration::from_secs(seconds)))
}

fn error(config: &str) -> String {
    Host::new().config(config).start::<AclLog>().err().expect("the config is refused")
}

#[test]
fn the_first_rule_that_applies_decides() {
    let (_host, mut plugin) = started(CONFIG);
    let mut ask = |user, topic| plugin.check(request(user, Action::Publish, topic));
    assert_eq!(ask(Some("admin"), "sensors/secret/1"), allow("sensors/secret/#", 60));
    assert_eq!(ask(Some("alice"), "sensors/secret/1"), deny("sensors/secret/#", 60));
    assert_eq!(ask(None, "sensors/secret"), deny("sensors/secret/#", 60));
    assert_eq!(ask(Some("alice"), "sensors/kitchen"), Decision::Next);
}

#[test]
fn rules_for_one_client_do_not_touch_others() {
    let (_host, mut plugin) = started(CONFIG);
    let mut second = request(None, Action::Publish, "jobs/c2");
    second.client_id = "c2".into();
    assert_eq!(plugin.check(second), deny("jobs/#", 60));
    assert_eq!(plugin.check(request(None, Action::Publish, "jobs/c1")), allow("jobs/c1", 60));
}

#[test]
fn an_answer_does_not_reach_what_an_earlier_rule_would_answer_otherwise() {
    let (_host, mut plugin) = started(CONFIG);
    // `jobs/+` holds `jobs/c1`, which this client may publish to.
    assert_eq!(plugin.check(request(None, Action::Publish, "jobs/c9")), deny("jobs/c9", 60));
}

#[test]
fn a_subscription_is_denied_by_any_part_and_then_says_nothing_of_other_parts() {
    let (_host, mut plugin) = started(CONFIG);
    let mut ask = |user, filter| plugin.check(request(user, Action::Subscribe, filter));
    assert_eq!(ask(Some("alice"), "sensors/secret/+"), deny("sensors/secret/#", 60));
    // For this once: `sensors/kitchen` lies within `sensors/#`, and is not denied.
    assert_eq!(ask(Some("alice"), "sensors/#"), deny("sensors/#", 0));
    // `sensors/secret/#` holds `sensors/secret` too [section 4.7.1.2].
    assert_eq!(ask(Some("alice"), "sensors/+"), deny("sensors/+", 0));
    assert_eq!(ask(Some("alice"), "sensors/kitchen/+"), Decision::Next);
    // The admin's rule does not hold all of it, the next one denies a part.
    assert_eq!(ask(Some("admin"), "#"), deny("#", 0));
    assert_eq!(ask(Some("admin"), "sensors/secret/#"), allow("sensors/secret/#", 60));
}

#[test]
fn names_that_could_reach_beyond_their_level_are_given_nothing_and_denied_the_level() {
    let config = r##"acl = [{ allow = "all", topic = "own/%u/#" }, { deny = "all", topic = "not/%u/#" }]"##;
    let (_host, mut plugin) = started(config);
    let mut ask = |user, topic| plugin.check(request(user, Action::Publish, topic));
    assert_eq!(ask(Some("alice"), "own/alice/a"), allow("own/alice/#", 60));
    assert_eq!(ask(Some("alice"), "not/bob"), Decision::Next);
    for user in [None, Some("#"), Some("+"), Some("a/b")] {
        assert_eq!(ask(user, "own/bob"), Decision::Next, "{user:?}");
        assert_eq!(ask(user, "not/bob"), deny("not/+/#", 60), "{user:?}");
    }
}

#[test]
fn each_denial_is_a_line() {
    let (host, mut plugin) = started(CONFIG);
    plugin.check(request(Some("alice"), Action::Subscribe, "sensors/secret/#"));
    plugin.check(request(Some("admin"), Action::Subscribe, "sensors/secret/#"));
    let lines: Vec<String> = host.logged().iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["INFO denied client=c1 user=alice action=subscribe topic=sensors/secret/#"]);
}

#[test]
fn the_scopes_are_the_filters_of_the_rules() {
    let (_host, plugin) = started(
        r##"acl = [{ deny = "all", topic = "a/#" }, { deny = "all", topic = "u/%u/dev-%c" }, { allow = "all", topic = "a/#" }]"##,
    );
    assert_eq!(plugin.scopes(), [Scope::acl(["a/#", "u/+/+"])]);
}

#[test]
fn answers_hold_as_long_as_configured() {
    let (_host, mut plugin) = started(&format!("ttl_seconds = 5\n{CONFIG}"));
    assert_eq!(plugin.check(request(None, Action::Publish, "sensors/secret/1")), deny("sensors/secret/#", 5));
}

#[test]
fn errors_name_the_key() {
    for (config, complaint) in [
        ("", "config: missing field `acl`"),
        ("acl = []", "config key `acl`: there is no rule"),
        (
            "acl = [{ deny = 'all', topic = 'a+' }]",
            "config key `acl[0].topic`: \"a+\" is not a topic filter: + must fill its level",
        ),
        ("acl = [{ topic = 'a' }]", "config key `acl[0]`: it needs `allow` or `deny`"),
        (
            "ttl = 1\nacl = [{ deny = 'all', topic = 'a' }]",
            "config key `ttl`: unknown field `ttl`, expected `acl` or `ttl_seconds`",
        ),
        ("acl = [{ deny = 'all', topic = 'a', usr = 'x' }]", "config key `acl[0].usr`: unknown field `usr`"),
    ] {
        let error = error(config);
        assert!(error.starts_with(complaint), "{config}:\n{error}\n{complaint}");
    }
}
