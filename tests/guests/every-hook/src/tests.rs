use crate::EveryHook;
use serde_json::{Value, json};
use std::time::Duration;
use tidegate_plugin::{
    Acl, Action, Authenticate, Challenge, Decision, DeliverVerdict, Edit, Grant, OnDeliver, OnEvents,
    OnPublish, OnSubscribe, Outcome, Plugin, Proceed, QoS, Quotas, ReasonCode, Rule, Selection, Span,
    SubscribeChange, SubscribeVerdict, Subscribers, Verdict,
    testing::{
        Granted, Host, again, answer, candidate, connect, enhanced, event, message, recipient, request,
        subscription,
    },
};

fn started(config: &str) -> (Host, EveryHook) {
    let host = Host::new().config(config);
    let plugin = host.start().unwrap();
    (host, plugin)
}

/// What was published last: its topic, and its payload as JSON.
fn said(host: &Host) -> (String, Value) {
    let last = host.published().pop().unwrap();
    (last.topic, serde_json::from_slice(&last.payload).unwrap())
}

#[test]
fn without_config_it_passes_everything_on() {
    let (host, mut plugin) = started("");
    assert_eq!(plugin.authenticate(connect("c", "alice", "secret")), Outcome::Next);
    assert_eq!(plugin.check(request(None, Action::Publish, "a")), Decision::Next);
    assert_eq!(plugin.on_publish(message("a", "b")), Verdict::Next);
    assert_eq!(plugin.on_subscribe(subscription("c", "a", QoS::AtMostOnce)), SubscribeVerdict::Next);
    assert_eq!(plugin.select(message("a", "b"), vec![candidate("c", "a")]), Selection::all());
    assert_eq!(plugin.pick(message("a", "b"), "$share/g/a", vec![candidate("c", "a")]), None);
    assert_eq!(plugin.on_deliver(message("a", "b"), recipient("c")), DeliverVerdict::Next);
    plugin.on_events(vec![event("connected", "c")], 0);
    assert!(host.published().is_empty());
    assert!(plugin.scopes().iter().all(|scope| scope.filters() != ["#"]));
}

#[test]
fn clients_are_granted_refused_and_challenged() {
    let (_host, mut plugin) = started(
        r##"
        [[authenticate]]
        client = "g-"
        verdict = "grant"
        client_id = "other"
        username = "alice"
        rules = [{ allow = "publish", filter = "u/%u/#", max_qos = 1 }]
        attributes = { team = "blue" }
        quotas = { subscriptions = 3 }
        expires_ms = 1500
        [[authenticate]]
        client = "r-"
        verdict = "refuse"
        code = 0x86
        [[authenticate]]
        if_method = "STEPS"
        verdict = "challenge"
        data = "one?"
        state = "1"
        [[proceed]]
        if_state = "1"
        if_data = "one"
        verdict = "challenge"
        data = "two?"
        state = "2"
        [[proceed]]
        if_state = "2"
        if_data = "two"
        verdict = "grant"
        data = "welcome"
        [[proceed]]
        if_again = true
        verdict = "grant"
        [[proceed]]
        verdict = "refuse"
        "##,
    );
    let granted = Grant::new()
        .client_id("other")
        .username("alice")
        .rule(Rule::allow_publish("u/%u/#").up_to(QoS::AtLeastOnce))
        .attribute("team", "blue")
        .quotas(Quotas { subscriptions: Some(3), ..Quotas::default() })
        .expires(Duration::from_millis(1500));
    assert_eq!(plugin.authenticate(connect("g-1", "u", "p")), granted.into());
    let refused = plugin.authenticate(connect("r-1", "u", "p"));
    assert_eq!(refused, Outcome::refuse(ReasonCode::BadUserNameOrPassword));
    let client = || enhanced("c", "STEPS", None);
    let (one, two) = (Challenge::new("one?").state("1"), Challenge::new("two?").state("2"));
    assert_eq!(plugin.authenticate(client()), one.clone().into());
    assert_eq!(plugin.proceed(client(), answer(&one, "one")), two.clone().into());
    assert_eq!(plugin.proceed(client(), answer(&two, "two")), Grant::new().data("welcome").into());
    assert_eq!(plugin.proceed(client(), answer(&two, "2")), Outcome::refuse(ReasonCode::NotAuthorized));
    assert_eq!(plugin.proceed(client(), again(None)), Grant::new().into());
}

#[test]
fn topics_are_allowed_edited_refused_and_dropped() {
    let (_host, mut plugin) = started(
        r##"
        acl = [
            { topic = "a/#", action = "publish", verdict = "deny" },
            { topic = "#", verdict = "allow", filter = "#", ttl_ms = 500 },
        ]
        publish = [
            { topic = "edit", verdict = "edit", edit = { topic = "b", append = "!", qos = 0, retain = false } },
            { topic = "refuse", verdict = "refuse", code = 0x97 },
            { topic = "swallow", verdict = "swallow" },
        ]
        deliver = [
            { topic = "a", client = "x-", verdict = "drop" },
            { topic = "a", verdict = "edit", edit = { payload = "c", append = "d", user_properties = { e = "f" } } },
        ]
        "##,
    );
    assert_eq!(
        plugin.check(request(None, Action::Publish, "a/b")),
        Decision::Deny(Span::new("a/b", Duration::ZERO))
    );
    let all = Decision::Allow(Span::new("#", Duration::from_millis(500)));
    assert_eq!(plugin.check(request(None, Action::Subscribe, "a/b")), all);
    let edit = Edit::new().topic("b").payload("x!").qos(QoS::AtMostOnce).retain(false);
    assert_eq!(plugin.on_publish(message("edit", "x")), edit.into());
    assert_eq!(plugin.on_publish(message("refuse", "x")), Verdict::Refuse(ReasonCode::QuotaExceeded));
    assert_eq!(plugin.on_publish(message("swallow", "x")), Verdict::Swallow);
    assert_eq!(plugin.on_deliver(message("a", "x"), recipient("x-1")), DeliverVerdict::Drop);
    let edit = Edit::new().payload("cd").properties([tidegate_plugin::Property::user("e", "f")]);
    assert_eq!(plugin.on_deliver(message("a", "x"), recipient("y")), edit.into());
}

#[test]
fn subscriptions_are_changed_and_recipients_chosen() {
    let (_host, mut plugin) = started(
        r##"
        subscribe = [
            { filter = "a/#", verdict = "edit", edit = { filter = "b", qos = 0 } },
            { filter = "c", client = "x", verdict = "refuse", code = 0x8F },
        ]
        select = [{ topic = "a", choice = "only", clients = "x", cache_ms = 10 }, { topic = "b", choice = "except", clients = "x" }]
        pick = [{ topic = "a", by = "last" }, { topic = "k", by = "key" }]
        "##,
    );
    let change = SubscribeChange::new().filter("b").qos(QoS::AtMostOnce);
    let asked = |client_id, filter| subscription(client_id, filter, QoS::AtLeastOnce);
    assert_eq!(plugin.on_subscribe(asked("c", "$share/g/a/+")), change.into());
    let refused = SubscribeVerdict::Refuse(ReasonCode::TopicFilterInvalid);
    assert_eq!(plugin.on_subscribe(asked("x1", "c")), refused);
    assert_eq!(plugin.on_subscribe(asked("y1", "c")), SubscribeVerdict::Next);
    let members = || vec![candidate("y", "a"), candidate("x1", "a"), candidate("x2", "a")];
    let only = Selection::only([1, 2]).cached(Duration::from_millis(10));
    assert_eq!(plugin.select(message("a", ""), members()), only);
    assert_eq!(plugin.select(message("b", ""), members()), Selection::except([1, 2]));
    assert_eq!(plugin.pick(message("a", ""), "$share/g/a", members()), Some(2));
    let by_key =
        |plugin: &mut EveryHook, payload: &str| plugin.pick(message("k", payload), "$share/g/k", members());
    let first = by_key(&mut plugin, "order-7:1");
    assert!(first.is_some_and(|at| at < 3));
    assert_eq!(by_key(&mut plugin, "order-7:2"), first);
}

#[test]
fn commands_call_imports_and_tell_the_result() {
    let (host, mut plugin) = started("");
    let mut done = |command: &str, arguments: Value| {
        let verdict = plugin.on_publish(message(&format!("do/{command}"), arguments.to_string()));
        assert_eq!(verdict, Verdict::Next);
        let (topic, result) = said(&host);
        assert_eq!(topic, format!("done/{command}"));
        result
    };
    assert_eq!(done("kv/add", json!({ "key": "n", "delta": 2, "id": 9 })), json!({ "ok": 2, "id": 9 }));
    assert_eq!(done("kv/get", json!({ "key": "n" })), json!({ "ok": "2" }));
    assert_eq!(done("broker/find", json!({ "client_id": "c" })), json!({ "ok": null }));
    assert_eq!(done("broker/disconnect", json!({ "session": 5 })), json!({ "error": "not-found" }));
    assert_eq!(done("http/fetch", json!({ "url": "http://127.0.0.1:1/" })), json!({ "error": "denied" }));
    assert_eq!(done("timers/set", json!({ "token": 4, "after_ms": 10 })), json!({ "ok": true }));
    assert_eq!(done("metrics/count", json!({ "name": "m", "delta": 3 })), json!({ "ok": null }));
    assert_eq!(host.counted("m", &[]), 3);
    assert_eq!(done("no/such", json!({})), json!({ "error": "there is no no/such" }));
    host.run_timers(&mut plugin, Duration::from_millis(10));
    assert_eq!(said(&host), ("timers/4".to_owned(), json!({ "token": 4 })));
}

#[test]
fn a_denied_import_is_told_as_the_interface_calls_it() {
    let host = Host::new().without(Granted::Kv).without(Granted::Clients);
    let mut plugin: EveryHook = host.start().unwrap();
    for command in ["kv/keys", "broker/subscribers"] {
        plugin.on_publish(message(&format!("do/{command}"), r#"{"topic":"a"}"#));
        assert_eq!(said(&host).1, json!({ "error": "denied" }));
    }
}

#[test]
fn events_and_questions_are_told() {
    let host =
        Host::new().config("events = {}\nreport = ['deliver']").attribute("team", "blue").origin("other", 2);
    let mut plugin: EveryHook = host.start().unwrap();
    plugin.on_events(vec![event("connected", "c1")], 3);
    let (topic, told) = said(&host);
    assert_eq!(
        (topic.as_str(), &told["client_id"], &told["lost"]),
        ("events/connected", &json!("c1"), &json!(3))
    );
    plugin.on_deliver(message("a", "b"), recipient("c2"));
    let (topic, seen) = said(&host);
    assert_eq!(
        (topic.as_str(), &seen["recipient_id"], &seen["payload"]),
        ("saw/deliver", &json!("c2"), &json!("b"))
    );
    assert_eq!(
        (&seen["attributes"]["team"], &seen["origin"], &seen["hops"]),
        (&json!("blue"), &json!("other"), &json!(2))
    );
}

#[test]
fn a_mistyped_config_is_refused() {
    for (config, complaint) in [
        ("report = ['publsh']", "config key `report`: \"publsh\" is none of"),
        ("publish = [{ topic = 'a/#/b', verdict = 'next' }]", "config key `publish[0].topic`"),
        ("authenticate = [{ verdict = 'grant', rules = [{ filter = 'a' }] }]", "it needs `allow` or `deny`"),
    ] {
        let error = Host::new().config(config).start::<EveryHook>().err().unwrap();
        assert!(error.contains(complaint), "{error}");
    }
}
