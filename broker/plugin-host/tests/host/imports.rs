//! What guests import, called by a guest.

use crate::{
    guests::{COMMON, LIFECYCLE, MESSAGE, component_of, publish},
    logs,
    place::{Place, generation},
};
use bytes::Bytes;
use std::{
    fs,
    sync::{Arc, Mutex},
};
use tidegate_mqtt::{ReasonCode, SessionId, TopicName};
use tidegate_plugin_host::{
    BrokerAccess, Busy, ClientInfo, MetricValue, PluginHost, PluginMessage, PluginMetric, PluginState,
};

/// Calls an import by the first letter of the topic: `P` publishes `hi` to `a/out`, `D` disconnects session 7, `c` gives the client
/// identifier of session 7, `f` finds `alice`, `b` asks who gets `a/out`, `F` forgets everybody, `r` gives what is retained at `a/out`, `m`
/// counts 2, sets a gauge to 1.5 and observes 0.5, `i` counts what has a bad name, `T` sets a timer and cancels it, `h` fetches, `s` gives the
/// secret `token`. The answer is what was given, `ok`, or the number of the error.
fn caller() -> Vec<u8> {
    component_of(
        &format!(
            r#"(module
            (import "tidegate:plugin/broker@0.1.0" "publish" (func $publish (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))
            (import "tidegate:plugin/broker@0.1.0" "disconnect" (func $disconnect (param i64 i32 i32)))
            (import "tidegate:plugin/broker@0.1.0" "client" (func $client (param i64 i32)))
            (import "tidegate:plugin/broker@0.1.0" "find" (func $find (param i32 i32 i32)))
            (import "tidegate:plugin/broker@0.1.0" "subscribers" (func $subscribers (param i32 i32 i32 i32)))
            (import "tidegate:plugin/broker@0.1.0" "forget" (func $forget (param i32 i32 i32 i32)))
            (import "tidegate:plugin/broker@0.1.0" "retained" (func $retained (param i32 i32 i32)))
            (import "tidegate:plugin/metrics@0.1.0" "count" (func $count (param i32 i32 i64 i32 i32)))
            (import "tidegate:plugin/metrics@0.1.0" "gauge" (func $gauge (param i32 i32 f64 i32 i32)))
            (import "tidegate:plugin/metrics@0.1.0" "observe" (func $observe (param i32 i32 f64 i32 i32)))
            (import "tidegate:plugin/timers@0.1.0" "set" (func $set (param i64 i32 i64 i64) (result i32)))
            (import "tidegate:plugin/timers@0.1.0" "cancel" (func $cancel (param i64)))
            (import "tidegate:plugin/http@0.1.0" "fetch" (func $fetch (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
            (import "tidegate:plugin/config@0.1.0" "secret" (func $secret (param i32 i32 i32)))
            {COMMON} {LIFECYCLE}
            (data (i32.const 2048) "a/outhialicetokenGEThttp://127.0.0.1:9/oknone-found")
            ;; one label: line = 3
            (data (i32.const 2200) "line3")
            (data (i32.const 2208) "\98\08\00\00\04\00\00\00\9c\08\00\00\01\00\00\00")
            (data (i32.const 2240) "seenleveltook")
            (func $edit (param $ptr i32) (param $len i32) (result i32)
                (memory.fill (i32.const 1024) (i32.const 0) (i32.const 64))
                (i32.store8 (i32.const 1028) (i32.const 1))
                (i32.store (i32.const 1032) (local.get $ptr))
                (i32.store (i32.const 1036) (local.get $len))
                (i32.store8 (i32.const 1024) (i32.const 2))
                (call $done))
            (func $number (param i32) (result i32)
                (i32.store8 (i32.const 2300) (i32.add (i32.const 48) (local.get 0)))
                (call $edit (i32.const 2300) (i32.const 1)))
            (func $ok (result i32) (call $edit (i32.const 2087) (i32.const 2)))
            ;; of a result at 1200 whose payload begins at `at`
            (func $answer (param $at i32) (result i32)
                (if (result i32) (i32.load8_u (i32.const 1200))
                    (then (call $number (i32.load8_u (local.get $at))))
                    (else (call $ok))))
            ;; the same, of text at `text` if it is there
            (func $given (param $at i32) (param $text i32) (result i32)
                (if (i32.load8_u (i32.const 1200)) (then (return (call $number (i32.load8_u (local.get $at))))))
                (if (result i32) (i32.load8_u (local.get $at))
                    (then (call $edit (i32.load (local.get $text)) (i32.load offset=4 (local.get $text))))
                    (else (call $edit (i32.const 2089) (i32.const 4)))))
            (func (export "tidegate:plugin/publish@0.1.0#on-publish") {MESSAGE} (result i32)
                (local $c i32)
                (local.set $c (i32.load8_u (local.get $topic)))
                (if (i32.eq (local.get $c) (i32.const 0x50)) (then
                    (call $publish (i32.const 2048) (i32.const 5) (i32.const 2053) (i32.const 2) (i32.const 1) (i32.const 1)
                        (i32.const 0) (i32.const 0) (i32.const 1200))
                    (return (call $answer (i32.const 1204)))))
                (if (i32.eq (local.get $c) (i32.const 0x44)) (then
                    (call $disconnect (i64.const 7) (i32.const 0x98) (i32.const 1200))
                    (return (call $answer (i32.const 1204)))))
                (if (i32.eq (local.get $c) (i32.const 0x63)) (then
                    (call $client (i64.const 7) (i32.const 1200))
                    (return (call $given (i32.const 1208) (i32.const 1224)))))
                (if (i32.eq (local.get $c) (i32.const 0x66)) (then
                    (call $find (i32.const 2055) (i32.const 5) (i32.const 1200))
                    (if (i32.load8_u (i32.const 1200)) (then (return (call $number (i32.load8_u (i32.const 1208))))))
                    (return (call $number (i32.load (i32.const 1216))))))
                (if (i32.eq (local.get $c) (i32.const 0x62)) (then
                    (call $subscribers (i32.const 2048) (i32.const 5) (i32.const 9) (i32.const 1200))
                    (if (i32.load8_u (i32.const 1200)) (then (return (call $number (i32.load8_u (i32.const 1204))))))
                    (return (call $number (i32.load (i32.const 1208))))))
                (if (i32.eq (local.get $c) (i32.const 0x46)) (then
                    (call $forget (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1200))
                    (return (call $answer (i32.const 1204)))))
                (if (i32.eq (local.get $c) (i32.const 0x72)) (then
                    (call $retained (i32.const 2048) (i32.const 5) (i32.const 1200))
                    (return (call $given (i32.const 1204) (i32.const 1208)))))
                (if (i32.eq (local.get $c) (i32.const 0x6d)) (then
                    (call $count (i32.const 2240) (i32.const 4) (i64.const 2) (i32.const 2208) (i32.const 1))
                    (call $gauge (i32.const 2244) (i32.const 5) (f64.const 1.5) (i32.const 0) (i32.const 0))
                    (call $observe (i32.const 2249) (i32.const 4) (f64.const 0.5) (i32.const 0) (i32.const 0))
                    (return (call $ok))))
                (if (i32.eq (local.get $c) (i32.const 0x69)) (then
                    (call $count (i32.const 2089) (i32.const 10) (i64.const 1) (i32.const 0) (i32.const 0))
                    (return (call $ok))))
                (if (i32.eq (local.get $c) (i32.const 0x54)) (then
                    (call $cancel (i64.const 1))
                    (return (call $number (call $set (i64.const 1000) (i32.const 1) (i64.const 1000) (i64.const 1))))))
                (if (i32.eq (local.get $c) (i32.const 0x68)) (then
                    (call $fetch (i32.const 2065) (i32.const 3) (i32.const 2068) (i32.const 19) (i32.const 0) (i32.const 0)
                        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1200))
                    (return (call $answer (i32.const 1204)))))
                (if (i32.eq (local.get $c) (i32.const 0x73)) (then
                    (call $secret (i32.const 2060) (i32.const 5) (i32.const 1200))
                    (if (i32.load8_u (i32.const 1200)) (then
                        (return (call $edit (i32.load (i32.const 1204)) (i32.load (i32.const 1208))))))
                    (return (call $edit (i32.const 2089) (i32.const 4)))))
                (i32.store8 (i32.const 1024) (i32.const 0))
                (call $done)))"#
        ),
        &["publish-plugin", "http-plugin"],
    )
}

#[derive(Default)]
struct Broker(Mutex<Vec<String>>);

impl Broker {
    fn did(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

fn alice() -> ClientInfo {
    ClientInfo {
        session: SessionId(7),
        client_id: "alice".into(),
        username: Some("a".into()),
        peer: "127.0.0.1:1".into(),
        listener: "tcp".into(),
        since_ms: 1,
    }
}

impl BrokerAccess for Broker {
    fn publish(&self, message: PluginMessage) -> Result<(), Busy> {
        let PluginMessage { origin, topic, payload, qos, retain, .. } = message;
        self.did(format!(
            "{} {} publishes {payload:?} to {topic} {qos:?} {retain}",
            origin.plugin, origin.hops
        ));
        Ok(())
    }

    fn disconnect(&self, session: SessionId, reason: ReasonCode) -> bool {
        self.did(format!("disconnects {} {reason}", session.0));
        true
    }

    fn client(&self, _: SessionId) -> Option<ClientInfo> {
        Some(alice())
    }

    fn find(&self, client_id: &str) -> Option<SessionId> {
        (client_id == "alice").then_some(SessionId(7))
    }

    fn subscribers(&self, _: &TopicName, limit: usize) -> Vec<ClientInfo> {
        vec![alice(); limit.min(3)]
    }

    fn retained(&self, topic: &TopicName) -> Option<Bytes> {
        (topic.as_str() == "a/out").then(|| Bytes::from_static(b"kept"))
    }

    fn forget(&self, client_id: Option<&str>) {
        self.did(format!("forgets {client_id:?}"));
    }
}

const DENIED: &str = "0";
const BUSY: &str = "1";

#[tokio::test]
async fn what_is_not_granted_is_denied() {
    let place = Place::with("p.wasm", &caller());
    let host = place.start().await;
    for call in ["P", "D", "c", "f", "b", "F", "r", "h"] {
        assert_eq!(place.edited(call).await, DENIED, "{call}");
    }
    assert_eq!(place.edited("s").await, "none");
    assert_eq!(place.edited("T").await, "0", "no timer-handler");
    assert!(host.reports()[0].grants.is_empty());
}

#[tokio::test]
async fn what_is_granted_reaches_the_broker_once_it_is_there() {
    let grants = "grants = { publish = ['a/#'], retained = ['a/out'], disconnect = true, clients = true }";
    let place = Place::with("p.wasm", &caller()).table("p", grants);
    let host = place.start().await;
    assert_eq!(host.reports()[0].grants, ["publish a/#", "disconnect", "clients", "retained a/out"]);
    assert_eq!(place.edited("P").await, BUSY);
    assert_eq!(place.edited("f").await, BUSY);
    let broker = Arc::new(Broker::default());
    let reached: Arc<dyn BrokerAccess> = broker.clone();
    place.access.open(Arc::downgrade(&reached));
    for (call, answer) in
        [("P", "ok"), ("D", "ok"), ("c", "alice"), ("f", "7"), ("b", "3"), ("F", "ok"), ("r", "kept")]
    {
        assert_eq!(place.edited(call).await, answer, "{call}");
    }
    let done = broker.0.lock().unwrap();
    assert_eq!(done[0], "p 1 publishes b\"hi\" to a/out AtLeastOnce true");
    assert_eq!(done[1..], ["disconnects 7 0x98 administrative action", "forgets None"]);
}

#[tokio::test]
async fn metrics_are_reported_over_generations() {
    let place = Place::with("counts.wasm", &caller());
    let host = place.start().await;
    assert_eq!(place.edited("m").await, "ok");
    host.configure([("counts".to_owned(), toml::from_str("order = 1").unwrap())].into());
    generation(&host, "counts", 2).await;
    assert_eq!(place.edited("m").await, "ok");
    assert_eq!(place.edited("i").await, "ok");
    assert_eq!(place.edited("i").await, "ok");
    let report = host.reports().remove(0);
    let metric = |name: &str, labels, value| PluginMetric { name: name.into(), labels, value };
    assert_eq!(report.metrics[0], metric("level", vec![], MetricValue::Gauge(1.5)));
    let line = vec![("line".to_owned(), "3".to_owned())];
    assert_eq!(report.metrics[1], metric("seen", line, MetricValue::Counter(4)));
    let MetricValue::Histogram { count, sum, .. } = report.metrics[2].value else { panic!() };
    assert_eq!((report.metrics[2].name.as_str(), count, sum), ("took", 2, 1.0));
    assert_eq!(report.metrics_ignored, 2);
    assert_eq!(logs::lines("plugin counts: a metric is ignored, names are made of").len(), 1);
}

#[tokio::test]
async fn secrets_are_read_at_load_and_lie_beside_their_table() {
    let place = Place::with("p.wasm", &caller());
    place.write("p.toml", "secrets.token = 'file:p.token'");
    place.write("p.token", "hunter2\n");
    let host = place.start().await;
    assert_eq!(host.reports()[0].grants, ["secrets token"]);
    assert_eq!(place.edited("s").await, "hunter2");
    assert!(logs::lines("hunter2").is_empty());
    fs::remove_file(place.path("p.token")).unwrap();
    let reports = PluginHost::check(place.options()).await.unwrap();
    let PluginState::Refused { reason } = &reports[0].state else { panic!() };
    assert!(reason.contains("`secrets.token` cannot be read from") && reason.contains("set it"), "{reason}");
}

#[tokio::test]
async fn what_a_plugin_keeps_is_there_after_a_restart() {
    let place = Place::with("p.wasm", &publish("one")).table("p", "grants.kv = '1KiB'");
    let host = place.start().await;
    assert_eq!(place.edited("k").await, "1");
    // A broker that runs, and a check beside it.
    let reports = PluginHost::check(place.options()).await.unwrap();
    assert_eq!(reports[0].state, PluginState::Running);
    assert_eq!(place.edited("k").await, "2");
    host.stop().await;
    let host = place.start().await;
    assert_eq!(place.edited("k").await, "3");
    host.stop().await;
}

#[tokio::test]
async fn without_its_database_a_plugin_is_refused_and_others_run() {
    let place = Place::with("keeps.wasm", &publish("one")).table("keeps", "grants.kv = '1KiB'");
    place.write("other.wasm", publish("two"));
    fs::create_dir(place.folder.path().join("data")).unwrap();
    fs::write(place.folder.path().join("data/kv"), "in the way").unwrap();
    let (_host, reports) = place.try_start().await.unwrap();
    let PluginState::Refused { reason } = &reports[0].state else { panic!() };
    assert!(reason.contains("keeps.wasm: `grants.kv` cannot be given"), "{reason}");
    assert_eq!(reports[1].state, PluginState::Running);
}
