//! Every hook that is not in `calls`, asked through the chain: answers, and answers outside the contract.

use crate::{guests, logs, place::Place};
use std::time::Duration;
use tidegate_hooks::{
    Attributes, AuthOutcome, AuthRefusal, AuthStep, Candidate, Challenge, ConnectRequest, DeliverRequest,
    Event, EventKind, HookFailed, NO_ATTRIBUTES, Patch, PickRequest, PublishOutcome, PublishRequest,
    SelectRequest, Selected, SubscribeOutcome, SubscribeRequest,
};
use tidegate_mqtt::{
    ConnectProperties, Origin, QoS, ReasonCode, SessionId, SubscribeProperties, SubscriptionOptions,
    Timestamp, Version,
};
use tidegate_plugin_host::{BreakerState, HookReport, PluginHost, StorageError, StorageOp};

fn message<'a>(topic: &'a str, payload: &'a [u8]) -> PublishRequest<'a> {
    PublishRequest {
        session: SessionId(7),
        client_id: "client",
        username: None,
        topic,
        qos: QoS::AtLeastOnce,
        retain: false,
        payload,
        properties: None,
        attributes: &NO_ATTRIBUTES,
        origin: None,
    }
}

fn report(host: &PluginHost, hook: &str) -> HookReport {
    let reports = host.reports();
    reports[0].calls.iter().find(|report| report.hook == hook).unwrap().clone()
}

fn contract(fault: &HookFailed) -> String {
    let text = fault.kind.to_string();
    assert!(text.starts_with("answer outside the contract: "), "{text}");
    text
}

#[tokio::test]
async fn messages_come_in_batches_and_each_has_its_verdict() {
    let place = Place::with("p.wasm", &guests::batch("edited"));
    let host = place.start().await;
    let chain = place.registry.chain_full();
    assert!(chain.served().publish && chain.served().publish_batch);
    let asked = async |topics: &[&str]| {
        let messages = topics.iter().map(|topic| (chain.publish_scope(topic), message(topic, b"x")));
        chain.on_publish_batch(&messages.collect::<Vec<_>>()).await
    };
    let outcomes = asked(&["n", "s", "e", "b", "r"]).await;
    assert!(matches!(outcomes[0], Ok(PublishOutcome::Unchanged)));
    assert!(matches!(outcomes[1], Ok(PublishOutcome::Swallowed)));
    let topic = |at: usize| match &outcomes[at] {
        Ok(PublishOutcome::Edited(patch)) => patch.topic.as_deref().unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!((topic(2).as_str(), topic(3).as_str()), ("edited", "5"));
    assert_eq!(outcomes[4].as_ref().unwrap_err().code, ReasonCode::NotAuthorized);
    assert_eq!(place.edited("b").await, "1", "a single message is a batch of one");
    let report = report(&host, "publish-batch");
    assert_eq!((report.calls, report.faulty()), (2, 0));
    assert_eq!(report.verdicts, [("next", 1), ("swallow", 1), ("edit", 3), ("refuse", 1)].into());

    for (topics, field) in [(&["n", "R"][..], "verdicts[1].refuse: 0x00"), (&["f", "n"][..], "verdicts: 1")] {
        for outcome in asked(topics).await {
            let fault = outcome.unwrap_err().fault.unwrap();
            assert!(contract(&fault).contains(field), "{fault}");
        }
    }
    assert!(place.fault("f").await.contains("verdicts: 0 for 1"));
    assert!(place.fault("t").await.contains("unreachable"));
}

#[tokio::test]
async fn subscriptions_are_taken_changed_or_refused() {
    let place = Place::with("p.wasm", &guests::subscribe("$share/group/b"));
    let host = place.start().await;
    let outcomes = subscribe(&place, &["n", "a", "e", "q", "r"]).await;
    let change = |at: usize| outcomes[at].as_ref().unwrap();
    assert_eq!((&change(0).filter, &change(1).filter), (&None, &None));
    assert_eq!(change(2).filter.as_ref().unwrap().to_string(), "$share/group/b");
    assert_eq!(change(3).qos, Some(QoS::AtMostOnce));
    assert_eq!(outcomes[4].as_ref().unwrap_err().code, ReasonCode::TopicFilterInvalid);
    let verdicts = report(&host, "subscribe").verdicts;
    assert_eq!(verdicts, [("next", 1), ("accept", 1), ("edit", 2), ("refuse", 1)].into());
    for (filter, field) in [("w", "edit.filter"), ("Q", "edit.qos: 2 is above the 1"), ("R", "refuse: 0x99")]
    {
        let refusal = subscribe(&place, &["n", filter]).await.remove(1).unwrap_err();
        assert_eq!(refusal.code, ReasonCode::ImplementationSpecificError);
        assert!(contract(&refusal.fault.unwrap()).contains(&format!("verdicts[1].{field}")), "{filter}");
    }
    assert!(subscribe(&place, &["t"]).await.remove(0).is_err());
}

async fn subscribe(place: &Place, filters: &[&str]) -> Vec<SubscribeOutcome> {
    let properties = SubscribeProperties::default();
    let options = SubscriptionOptions { maximum_qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    let request = |filter| SubscribeRequest {
        session: SessionId(7),
        client_id: "client",
        username: None,
        filter,
        qos: QoS::AtLeastOnce,
        options,
        properties: &properties,
        attributes: &NO_ATTRIBUTES,
    };
    let requests: Vec<_> = filters.iter().copied().map(request).collect();
    place.registry.chain_full().on_subscribe(&requests).await
}

fn candidates(count: u64) -> Vec<Candidate<'static>> {
    let candidate =
        |n| Candidate { session: SessionId(n), client_id: "c", filter: "#", qos: QoS::AtLeastOnce };
    (0..count).map(candidate).collect()
}

#[tokio::test]
async fn recipients_are_chosen() {
    let place = Place::with("p.wasm", &guests::subscribers());
    let host = place.start().await;
    let chain = place.registry.chain_full();
    let candidates = candidates(20);
    let select = async |topic: &str| -> Selected {
        let request = SelectRequest { message: message(topic, b"x"), candidates: &candidates };
        chain.select(&chain.subscribers_scope(topic), &request).await
    };
    assert_eq!(select("a").await.kept, None);
    assert_eq!(select("o").await.kept, Some(vec![19]));
    assert_eq!(select("x").await.kept, Some((1..20).collect()));
    assert_eq!(select("c").await, Selected { kept: Some(vec![0]), cache: Duration::from_secs(5) });
    let pick = async |topic: &str| {
        let request =
            PickRequest { message: message(topic, b"x"), group: "$share/g/#", members: &candidates };
        chain.pick(&chain.subscribers_scope(topic), &request).await
    };
    assert_eq!((pick("o").await, pick("a").await), (Some(19), None));
    let before = report(&host, "subscribers");
    assert_eq!(before.verdicts, [("all", 1), ("only", 2), ("except", 1), ("chosen", 1), ("next", 1)].into());
    // As if it had not been asked.
    assert_eq!((select("i").await.kept, pick("i").await), (None, None));
    assert_eq!((select("d").await.kept, select("t").await.kept), (None, None));
    assert_eq!(report(&host, "subscribers").faults, [("contract", 3), ("trap", 1)].into());
    let lines = logs::lines("plugin p: call failed");
    for field in
        ["choice.only: 20 is not below 20", "index: 20 is not below 20", "0 stands there more than once"]
    {
        assert!(lines.iter().any(|line| line.contains(field)), "{field}: {lines:?}");
    }
}

async fn deliver(place: &Place, topic: &str) -> Result<Option<Box<Patch>>, std::sync::Arc<str>> {
    let chain = place.registry.chain_full();
    let request =
        DeliverRequest { message: message(topic, b"x"), recipient: SessionId(3), client_id: "receiver" };
    chain.on_deliver(&chain.deliver_scope(topic), &request).await
}

#[tokio::test]
async fn a_recipient_gets_another_payload_or_nothing() {
    let place = Place::with("p.wasm", &guests::deliver("+")).table("p", "on_deliver_fault = 'drop'");
    let host = place.start().await;
    assert_eq!(deliver(&place, "n").await, Ok(None));
    let patch = deliver(&place, "e").await.unwrap().unwrap();
    assert_eq!(patch.payload.as_deref(), Some(&b"receiver"[..]));
    assert_eq!(deliver(&place, "d").await, Err("p".into()));
    assert_eq!(deliver(&place, "d/outside").await, Ok(None));
    assert_eq!(deliver(&place, "q").await, Err("p".into()), "a fault drops, the operator says");
    let report = report(&host, "deliver");
    assert_eq!(report.verdicts, [("next", 1), ("edit", 1), ("drop", 1)].into());
    assert_eq!(report.faults, [("contract", 1)].into());
    let place = Place::with("p.wasm", &guests::deliver("+"));
    let _host = place.start().await;
    assert_eq!(deliver(&place, "q").await, Ok(None), "unless the operator says so");
}

#[tokio::test]
async fn an_authentication_goes_on_in_steps() {
    let place = Place::with("p.wasm", &guests::steps());
    let host = place.start().await;
    assert_eq!(host.reports()[0].hooks, ["auth", "enhanced-auth"]);
    let asked = connect(&place, None).await.unwrap();
    let challenge = challenge(asked);
    assert_eq!((challenge.data.as_deref(), &challenge.state[..]), (Some(&b"who?"[..]), &b"first"[..]));
    let step = |data, again| Some(AuthStep { state: b"first", data, again });
    let more = self::challenge(connect(&place, step(Some(b"more"), false)).await.unwrap());
    assert_eq!((more.data.as_deref(), &more.state[..]), (Some(&b"first"[..]), &b"second"[..]));
    let more = self::challenge(connect(&place, step(None, true)).await.unwrap());
    assert_eq!(more.data.as_deref(), Some(&b"first!"[..]));
    let AuthOutcome::In(granted) = connect(&place, step(Some(b"good"), false)).await.unwrap() else {
        panic!("not granted")
    };
    assert_eq!((granted.data.as_deref(), granted.by.as_deref()), (Some(&b"welcome"[..]), Some("p")));
    let refused = connect(&place, step(Some(b"r"), false)).await.unwrap_err();
    assert_eq!((refused.refusal.code, refused.fault.is_none()), (ReasonCode::NotAuthorized, true));
    let taken_over = connect(&place, step(Some(b"R"), true)).await.unwrap_err();
    assert_eq!(taken_over.refusal.code, ReasonCode::SessionTakenOver, "a DISCONNECT can say so");
    let fault = connect(&place, step(Some(b"R"), false)).await.unwrap_err().fault.unwrap();
    assert!(contract(&fault).contains("refuse.code: 0x8E"));
    let fault = connect(&place, step(Some(b"t"), false)).await.unwrap_err().fault.unwrap();
    assert!(fault.kind.to_string().contains("unreachable"));
    let verdicts = report(&host, "enhanced-auth").verdicts;
    assert_eq!(verdicts, [("challenge", 2), ("grant", 1), ("refuse", 2)].into());
}

fn challenge(outcome: AuthOutcome) -> Challenge {
    match outcome {
        AuthOutcome::Challenge { by, challenge } if &*by == "p" => challenge,
        other => panic!("{other:?}"),
    }
}

async fn connect(place: &Place, step: Option<AuthStep<'_>>) -> Result<AuthOutcome, AuthRefusal> {
    let properties =
        ConnectProperties { authentication_method: Some("steps".into()), ..ConnectProperties::default() };
    let request = ConnectRequest {
        session: SessionId(7),
        client_id: "client",
        username: None,
        password: None,
        version: Version::V5,
        clean_start: true,
        keep_alive: 60,
        listener: "tcp",
        peer: "127.0.0.1:1",
        allow_anonymous: true,
        tls_subject: None,
        tls_sans: &[],
        tls_username: false,
        properties: &properties,
    };
    let chain = place.registry.chain_full();
    match step {
        None => chain.authenticate(&request).await,
        Some(step) => chain.proceed("p", &request, &step).await,
    }
}

#[tokio::test]
async fn events_are_told_and_a_fault_harms_nobody() {
    let place = Place::with("tells.wasm", &guests::events("some-events-are-lost", "window-full"));
    let host = place.start().await;
    let hooks = place.registry.chain_full().members()[0].hooks.clone();
    assert!(
        hooks.kinds().events.has(EventKind::WindowFull) && !hooks.kinds().events.has(EventKind::Connected)
    );
    let tell = async |kind: EventKind, lost: u64| {
        let event = Event::new(kind, Timestamp(5)).about_text("a/b").with("why", "because");
        hooks.on_events(&[event], lost).wait().await
    };
    tell(EventKind::Published, 0).await.unwrap();
    assert!(logs::lines("some-events-are-lost").is_empty());
    tell(EventKind::RetainedExpired, 3).await.unwrap();
    assert_eq!(logs::lines("some-events-are-lost").len(), 1);
    assert_eq!(logs::lines("retained-expired plugin=\"tells\"").len(), 1);
    assert!(tell(EventKind::WindowFull, 0).await.unwrap_err().to_string().contains("unreachable"));
    tell(EventKind::Published, 0).await.unwrap();
    let report = report(&host, "events");
    assert_eq!((report.calls, report.verdicts), (4, [("done", 3)].into()));
    assert_eq!(report.latency.count(), 4, "every calm call is timed");
}

#[tokio::test]
async fn a_plugin_keeps_records() {
    let place = Place::with("keeps.wasm", &guests::storage()).table("keeps", "limits.concurrent = 1");
    let host = place.start().await;
    assert!(host.storage("other").is_none());
    let storage = host.storage("keeps").unwrap();
    assert!(matches!(storage.open(9).await, Err(StorageError::Fatal { text, .. }) if text == "format"));
    assert_eq!(storage.open(1).await.unwrap(), 0);
    let put = |key, value| StorageOp::Put { table: 1, key, value, expires_ms: Some(5) };
    assert_eq!(storage.commit(&[put(b"a", b"one"), put(b"key", b"value")], false).await.unwrap(), 1);
    assert_eq!(storage.get(1, b"key").await.unwrap().as_deref(), Some(&b"value"[..]));
    let rows = storage.scan(1, b"k", None, 1024).await.unwrap();
    assert_eq!((rows.len(), &rows[0].key[..], &rows[0].value[..]), (1, &b"key"[..], &b"value"[..]));
    assert!(storage.scan(1, b"k", Some(b"key"), 1024).await.unwrap().is_empty());
    let later = storage.commit(&[StorageOp::Put { table: 9, key: b"", value: b"", expires_ms: None }], true);
    assert!(matches!(later.await, Err(StorageError::Retry { text, .. }) if text == "later"));
    for fault in [
        storage.scan(77, b"", None, 1024).await.unwrap_err().to_string(),
        storage.scan(1, b"other", None, 1024).await.unwrap_err().to_string(),
    ] {
        assert!(fault.contains("rows["), "{fault}");
    }
    // Ends the instance; the next one is opened before it is asked.
    assert!(storage.commit(&[StorageOp::Delete { table: 66, key: b"" }], false).await.is_err());
    assert_eq!(storage.get(1, b"key").await.unwrap(), None);
    assert_eq!(storage.commit(&[StorageOp::Delete { table: 1, key: b"key" }], false).await.unwrap(), 1);

    place.write("keeps.wasm", guests::events("x", ""));
    crate::place::generation(&host, "keeps", 2).await;
    assert!(matches!(storage.get(1, b"key").await, Err(StorageError::Gone(_))));
    assert!(host.storage("keeps").is_none());
}

#[tokio::test]
async fn a_guest_sees_whose_message_it_is() {
    let place = Place::with("p.wasm", &guests::current());
    let _host = place.start().await;
    let chain = place.registry.chain_full();
    let pair = |name: &str, value: &str| (name.into(), value.into());
    let attributes: Attributes = [pair("team", "blue"), pair("role", "admin")].into_iter().collect();
    let origin = Origin { plugin: "other".into(), hops: 3 };
    let says = async |topic: &str, attributes: &Attributes, origin: Option<&Origin>| {
        let request = PublishRequest { attributes, origin, ..message(topic, b"hello world") };
        match chain.on_publish(&chain.publish_scope(topic), &request).await.unwrap() {
            PublishOutcome::Edited(patch) => patch.topic.unwrap().to_string(),
            other => panic!("{other:?}"),
        }
    };
    for (topic, of_a_client, of_a_plugin) in [
        ("A", "none", "blue"),
        ("N", "0", "2"),
        ("O", "none", "other"),
        ("H", "0", "3"),
        ("p", "hello", "hello"),
    ] {
        assert_eq!(says(topic, &NO_ATTRIBUTES, None).await, of_a_client, "{topic}");
        assert_eq!(says(topic, &attributes, Some(&origin)).await, of_a_plugin, "{topic}");
    }
}

#[tokio::test]
async fn calls_are_bounded_each_second_and_that_is_nobodys_fault() {
    let place = Place::with("p.wasm", &guests::next()).table("p", "limits.calls_per_second = 1");
    let host = place.start().await;
    let mut fault = None;
    // Two within one second, whenever the second began.
    for _ in 0..1000 {
        if let Err(refusal) = place.publish("x").await {
            fault = Some(refusal.fault.unwrap().kind.to_string());
        }
    }
    assert_eq!(fault.unwrap(), "more calls than limits.calls_per_second");
    let report = report(&host, "publish");
    assert_eq!(report.calls, 1000);
    assert!(report.faults["too-often"] >= 900, "{report:?}");
    assert_eq!(host.reports()[0].load.breaker, BreakerState::Closed);
}

#[tokio::test]
async fn what_a_plugin_takes_up_is_told_and_returned() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    let host = place.start().await;
    for _ in 0..20 {
        place.publish("x").await.unwrap();
    }
    let load = host.reports()[0].load;
    assert!(load.instances >= 1 && load.memory >= 17 << 16, "{load:?}");
    assert_eq!(load.memory % load.instances as u64, 0);
    let latency = report(&host, "publish").latency;
    assert_eq!(latency.count(), 2, "one call in sixteen");
    assert!(latency.p50().unwrap() <= latency.p99().unwrap());
    for _ in 0..5 {
        place.fault("t").await;
    }
    assert_eq!(host.reports()[0].load.breaker, BreakerState::Open);
    place.fault("x").await;
    assert_eq!(report(&host, "publish").faults, [("trap", 5), ("breaker-open", 1)].into());
}
