use crate::TopicRewrite;
use tidegate_plugin::{
    Edit, Field, Message, OnPublish, OnSubscribe, Plugin, QoS, ReasonCode, Scope, SubscribeChange,
    SubscribeVerdict, Verdict,
    testing::{Host, message, subscription},
};

fn started(rules: &str) -> (Host, TopicRewrite) {
    let host = Host::new().config(&format!("rewrite = [{rules}]"));
    let plugin = host.start().unwrap();
    (host, plugin)
}

fn published(topic: &str, client_id: &str, username: Option<&str>) -> Message {
    let mut message = message(topic, "x");
    message.client_id = Some(client_id.into());
    message.username = username.map(Into::into);
    message
}

/// What becomes of a topic under one rule, for the client `c1`, logged in as `alice`.
fn rewritten(rule: &str, topic: &str) -> Verdict {
    started(rule).1.on_publish(published(topic, "c1", Some("alice")))
}

/// What becomes of the filter of a subscription under one rule, for the client `c1`.
fn subscribed(rule: &str, filter: &str) -> SubscribeVerdict {
    started(rule).1.on_subscribe(subscription("c1", filter, QoS::AtLeastOnce))
}

fn topic(topic: &str) -> Verdict {
    Edit::new().topic(topic).into()
}

fn filter(filter: &str) -> SubscribeVerdict {
    SubscribeChange::new().filter(filter).into()
}

const NO_TOPIC: Verdict = Verdict::Refuse(ReasonCode::TopicNameInvalid);
const NO_FILTER: SubscribeVerdict = SubscribeVerdict::Refuse(ReasonCode::TopicFilterInvalid);

#[test]
fn wildcards_of_the_topic_are_captured_in_order() {
    let rule = r#"{ topic = "old/+/x/+/#", to = "new/$3/$1-$2" }"#;
    assert_eq!(rewritten(rule, "old/a/x/b/c/d"), topic("new/c/d/a-b"));
    assert_eq!(rewritten(rule, "old//x//"), topic("new//-"));
    assert_eq!(rewritten(rule, "old/a/y/b/c"), Verdict::Next);
    assert_eq!(rewritten(r##"{ topic = "+/#", to = "$2/$1" }"##, "a/b/c"), topic("b/c/a"));
}

#[test]
fn v5_4_7_1_2_a_rest_of_no_level_takes_its_slash_along() {
    let rule = r#"{ topic = "old/#", to = "new/$1" }"#;
    assert_eq!(rewritten(rule, "old"), topic("new"));
    assert_eq!(rewritten(rule, "old/"), topic("new/"));
    assert_eq!(rewritten(r#"{ topic = "old/+/#", to = "new/$2/$1" }"#, "old/a"), topic("new/a"));
}

#[test]
fn groups_of_the_regex_are_captured_where_the_topic_fits_too() {
    let rule = r#"{ topic = "x/#", regex = "^x/y/(.+?)(-z)?$", to = "x/y/z/$1/$2" }"#;
    assert_eq!(rewritten(rule, "x/y/1-z"), topic("x/y/z/1/-z"));
    assert_eq!(rewritten(rule, "x/y/1"), topic("x/y/z/1"));
    assert_eq!(rewritten(rule, "x/1"), Verdict::Next);
    assert_eq!(rewritten(r#"{ topic = "a/#", regex = "b(.)", to = "$1" }"#, "xx/bc"), Verdict::Next);
    assert_eq!(
        rewritten(r#"{ regex = "dev([0-9]+)", to = "devices/$1" }"#, "a/dev12/b"),
        topic("devices/12")
    );
}

#[test]
fn names_of_the_client_are_filled() {
    let host = Host::new().attribute("team", "blue");
    let host = host.config(
        r#"rewrite = [{ topic = "t/+", to = "%{team}/%u/%c/$1/100%%/$$" }, { topic = "a", to = "%%c" }]"#,
    );
    let mut plugin: TopicRewrite = host.start().unwrap();
    assert_eq!(plugin.on_publish(published("t/x", "c1", Some("alice"))), topic("blue/alice/c1/x/100%/$"));
    assert_eq!(plugin.on_publish(published("a", "c1", None)), topic("%c"));
}

#[test]
fn a_name_is_not_looked_through_for_places() {
    let (_host, mut plugin) = started(r#"{ topic = "t/+", to = "n/%c/%u/$1" }"#);
    let message = published("t/%c$1", "x$1%u", Some("%c"));
    assert_eq!(plugin.on_publish(message), topic("n/x$1%u/%c/%c$1"));
}

#[test]
fn names_that_are_missing_or_reach_beyond_their_level_are_refused_with_a_line() {
    let (host, mut plugin) = started(r#"{ topic = "a", to = "n/%c" }, { topic = "t", to = "n/%u" }"#);
    for name in ["", "a/b", "+", "#", "$x"] {
        assert_eq!(plugin.on_publish(published("a", name, None)), NO_TOPIC, "{name:?}");
    }
    assert_eq!(plugin.on_publish(published("t", "c1", None)), NO_TOPIC);
    let mut anonymous = subscription("#", "a", QoS::AtMostOnce);
    assert_eq!(plugin.on_subscribe(anonymous.clone()), NO_FILTER);
    anonymous.filter = "t".into();
    assert_eq!(plugin.on_subscribe(anonymous), NO_FILTER);
    let lines = host.logged();
    assert_eq!(
        lines[5].to_string(),
        "INFO refused: what the rule makes of it is no topic rule=1 topic=t \
         why=%u is missing or would reach beyond its level"
    );
    assert_eq!(lines.len(), 8);
}

#[test]
fn what_is_no_topic_is_refused() {
    assert_eq!(rewritten(r##"{ topic = "x/#", to = "$1" }"##, "x/"), NO_TOPIC, "empty");
    assert_eq!(rewritten(r##"{ topic = "x/#", to = "$1" }"##, "x/$SYS/a"), NO_TOPIC, "begins with a dollar");
    assert_eq!(rewritten(r#"{ topic = "x/+", to = "$$app/$1" }"#, "x/a"), topic("$app/a"));
    let doubled = r#"{ topic = "+", to = "$1/$1" }"#;
    assert_eq!(rewritten(doubled, &"a".repeat(40_000)), NO_TOPIC, "too long");
    assert_eq!(subscribed(doubled, &"a".repeat(40_000)), NO_FILTER);
}

#[test]
fn subscriptions_keep_their_wildcards() {
    let rule = r#"{ topic = "old/+/#", to = "new/$1/$2" }"#;
    assert_eq!(subscribed(rule, "old/a/b"), filter("new/a/b"));
    assert_eq!(subscribed(rule, "old/+/#"), filter("new/+/#"));
    assert_eq!(subscribed(rule, "old/+"), filter("new/+"));
    for wider in ["#", "old/#", "+/a/b", "$share/g/#"] {
        assert_eq!(
            subscribed(rule, wider),
            SubscribeVerdict::Next,
            "{wider}: a part of it is not the rule's"
        );
    }
    let inside = r#"{ topic = "old/+", to = "new/dev-$1" }"#;
    assert_eq!(subscribed(inside, "old/a"), filter("new/dev-a"));
    assert_eq!(subscribed(inside, "old/+"), NO_FILTER);
    assert_eq!(subscribed(r#"{ regex = "^old/(.*)$", to = "new/$1" }"#, "old/+/x"), filter("new/+/x"));
    assert_eq!(
        subscribed(r#"{ action = "subscribe", topic = "mine", to = "+/%c/#" }"#, "mine"),
        filter("+/c1/#")
    );
}

#[test]
fn shared_subscriptions_stay_shared() {
    let rule = r##"{ topic = "old/#", to = "new/$1" }"##;
    assert_eq!(subscribed(rule, "$share/workers/old/+"), filter("$share/workers/new/+"));
    assert_eq!(subscribed(rule, "$queue/old/#"), filter("$queue/new/#"));
    assert_eq!(subscribed(rule, "$share/old/b"), SubscribeVerdict::Next);
    let dollar = r##"{ topic = "x/#", to = "$1" }"##;
    assert_eq!(subscribed(dollar, "x/$share/g/a"), NO_FILTER);
    assert_eq!(subscribed(dollar, "$share/g/x/$share/h/a"), NO_FILTER);
}

#[test]
fn topics_that_begin_with_a_dollar_are_left_alone_unless_named() {
    assert_eq!(rewritten(r##"{ topic = "#", to = "all/$1" }"##, "$delayed/5/a"), Verdict::Next);
    assert_eq!(rewritten(r#"{ regex = "(.*)", to = "all/$1" }"#, "$delayed/5/a"), Verdict::Next);
    assert_eq!(
        rewritten(r#"{ topic = "$delayed/+/a", to = "$$delayed/$1/b" }"#, "$delayed/5/a"),
        topic("$delayed/5/b")
    );
}

#[test]
fn the_first_rule_that_fits_is_used_and_no_other() {
    let rules = r##"
        { topic = "a/#", regex = "([0-9]+)$", to = "b/$1" },
        { action = "subscribe", topic = "a/#", to = "s/$1" },
        { action = "publish", topic = "a/#", to = "p/$1" },
        { topic = "b/#", to = "c/$1" },
    "##;
    let (_host, mut plugin) = started(rules);
    let mut publish = |topic| plugin.on_publish(published(topic, "c1", None));
    assert_eq!(publish("a/12"), topic("b/12"));
    assert_eq!(publish("a/x"), topic("p/x"));
    assert_eq!(publish("b/x"), topic("c/x"));
    assert_eq!(publish("d"), Verdict::Next);
    let mut subscribe = |filter| plugin.on_subscribe(subscription("c1", filter, QoS::AtMostOnce));
    assert_eq!(subscribe("a/12"), filter("b/12"));
    assert_eq!(subscribe("a/+"), filter("s/+"));
}

#[test]
fn what_stays_as_it_is_is_no_edit() {
    let rule = r#"{ regex = "^(a/.*)$", to = "$1" }"#;
    assert_eq!(rewritten(rule, "a/b"), Verdict::Next);
    assert_eq!(subscribed(rule, "$share/g/a/b"), SubscribeVerdict::Next);
}

#[test]
fn scopes_are_the_topics_of_the_rules_and_the_names_they_need() {
    let scopes = |rules: &str| started(rules).1.scopes();
    let rules = r##"
        { action = "publish", topic = "b/#", to = "x/%c" },
        { topic = "a", to = "x" },
        { action = "subscribe", topic = "s", to = "x/%u" },
        { topic = "a", to = "x/%{team}" },
    "##;
    assert_eq!(
        scopes(rules),
        [Scope::publish(["a", "b/#"]).wanting(Field::ClientId), Scope::subscribe(["a", "s"])]
    );
    let only_subscriptions = r#"{ action = "subscribe", regex = "a", to = "x/%u" }"#;
    assert_eq!(scopes(only_subscriptions), [Scope::publish(["$nowhere"]), Scope::subscribe(["#"])]);
}

#[test]
fn errors_name_the_key() {
    for (rules, complaint) in [
        ("", "config key `rewrite`: there is no rule"),
        ("{ topic = 'a' }", "config key `rewrite[0]`: missing field `to`"),
        ("{ to = 'a' }", "config key `rewrite[0]`: it needs `topic`, `regex` or both"),
        (
            "{ topic = 'a+', to = 'b' }",
            "config key `rewrite[0].topic`: \"a+\" is not a topic filter: + must fill its level",
        ),
        ("{ regex = '(', to = 'b' }", "config key `rewrite[0].regex`: \"(\" is not a regular expression: "),
        ("{ topic = 'a', to = 'b', form = 'c' }", "config key `rewrite[0].form`: unknown field `form`"),
        (
            "{ topic = 'a', to = 'b' }, { topic = 'a', to = 'x/$' }",
            "config key `rewrite[1].to`: after $ comes a number from 1 on, or another $",
        ),
        ("{ topic = '+', to = '$0' }", "config key `rewrite[0].to`: after $ comes a number"),
        (
            "{ topic = '+', to = 'x/%' }",
            "config key `rewrite[0].to`: after % comes c, u, {NAME} or another %",
        ),
        ("{ topic = '+', to = 'x/%ü' }", "config key `rewrite[0].to`: after % comes"),
        ("{ topic = '+', to = 'x/%{team' }", "config key `rewrite[0].to`: after % comes"),
        (
            "{ topic = 'a/+', to = '$1/$2' }",
            "config key `rewrite[0]`: `to` has $2, but the wildcards in `topic` are 1",
        ),
        (
            "{ topic = '+', regex = 'a', to = '$1' }",
            "config key `rewrite[0]`: `to` has $1, but the groups in `regex` are 0",
        ),
        ("{ topic = 'a', to = '' }", "config key `rewrite[0]`: `to`: it is empty"),
        ("{ topic = 'a', to = 'b/+' }", "config key `rewrite[0]`: `to`: nobody can publish to wildcards"),
        (
            "{ topic = 'a', action = 'subscribe', to = 'b#' }",
            "config key `rewrite[0]`: `to`: # must be the last level",
        ),
        (
            "{ topic = 'a', to = '$$share/g/b' }",
            "config key `rewrite[0]`: `to`: whether a subscription is shared",
        ),
        (
            "{ topic = 'a', to = 'b', action = 'pub' }",
            "config key `rewrite[0].action`: unknown variant `pub`, expected one of `publish`, `subscribe`, `all`",
        ),
    ] {
        let error = Host::new().config(&format!("rewrite = [{rules}]")).start::<TopicRewrite>().err();
        let error = error.expect(rules);
        assert!(error.starts_with(complaint), "{rules}:\n{error}\n{complaint}");
    }
}

#[test]
fn the_page_of_docs_has_a_line_for_every_key() {
    let host = Host::new();
    let mut keys = host.config_keys::<TopicRewrite>();
    keys.extend(host.table_keys::<TopicRewrite>("rewrite = [{ 'no key' = 0 }]"));
    assert!(keys.len() > 1, "{keys:?}");
    for key in keys {
        assert!(
            include_str!("../README.md").contains(&format!("\n| `{key}` |")),
            "README.md says nothing of {key}"
        );
    }
}
