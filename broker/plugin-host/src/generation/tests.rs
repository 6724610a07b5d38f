//! What cannot be seen through the host's face: generations that may wait, and timers.

use super::{BreakerOpened, Generation, Plan, inspect};
use crate::{
    access::Access,
    config::PluginConfig,
    engine::PluginEngine,
    imports::{Kept, Outside},
};
use std::sync::Arc;
use tidegate_hooks::{Hooks, NO_ATTRIBUTES, PublishRequest, PublishVerdict, Reply};
use tidegate_mqtt::{QoS, SessionId};
use tokio::{runtime::Handle, sync::mpsc};
use wasmtime::component::Component;

#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    missing_docs,
    reason = "shared with the tests through the host's face"
)]
#[path = "../../tests/host/guests.rs"]
mod guests;

async fn load(
    guest: &[u8],
    waits: bool,
    config: &str,
) -> (Arc<Generation>, mpsc::UnboundedReceiver<BreakerOpened>) {
    let engine = Arc::new(PluginEngine::new().unwrap());
    let component = Component::from_binary(&engine.engine, guest).unwrap();
    let mut code = inspect(&engine.engine, component).unwrap();
    code.imports_http = waits;
    // Granted, and never called.
    let http = if waits { "grants.http = ['http://127.0.0.1:1']\n" } else { "" };
    let (opened, failures) = mpsc::unbounded_channel();
    let plan = Plan {
        plugin: "p".into(),
        number: 1,
        config: toml::from_str::<PluginConfig>(&format!("{http}{config}")).unwrap(),
        broker_version: "1.2.3".into(),
        state: None,
        outside: Outside { access: Access::default(), kept: Kept::new(Handle::current()), acting: true },
        workers: 2,
        opened,
    };
    (Generation::load(&engine, code, plan).await.unwrap(), failures)
}

async fn publish(generation: &Generation, topic: &str) -> Result<PublishVerdict, String> {
    let request = PublishRequest {
        session: SessionId(7),
        client_id: "client",
        username: None,
        topic,
        qos: QoS::AtMostOnce,
        retain: false,
        payload: b"hello world",
        properties: None,
        attributes: &NO_ATTRIBUTES,
        origin: None,
    };
    let reply = generation.on_publish(&request);
    assert_eq!(matches!(reply, Reply::Later(_)), generation.waits);
    reply.wait().await.map_err(|failed| failed.kind.to_string())
}

fn topic(verdict: PublishVerdict) -> String {
    match verdict {
        PublishVerdict::Edit(patch) => patch.topic.unwrap().to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_hooks_of_a_plugin_that_may_wait_hold_no_thread_and_see_a_copy() {
    let (generation, _failures) = load(
        &guests::publish("one"),
        true,
        "limits = { concurrent = 2, waiting = 1, wait_timeout = '200ms' }",
    )
    .await;
    assert_eq!(topic(publish(&generation, "p").await.unwrap()), "hello");
    assert_eq!(topic(publish(&generation, "e").await.unwrap()), "one");
    // On one thread: whoever held it would let nobody else finish.
    let (one, two, _waited, refused, ()) = tokio::join!(
        publish(&generation, "l"),
        publish(&generation, "l"),
        publish(&generation, "p"),
        publish(&generation, "p"),
        async { assert_eq!(generation.load_now().waiting, 1) },
    );
    assert_eq!(
        (one.unwrap_err().as_str(), two.unwrap_err().as_str()),
        ("deadline passed", "deadline passed")
    );
    assert_eq!(refused.unwrap_err(), "too many calls waiting");
    assert_eq!(topic(publish(&generation, "p").await.unwrap()), "hello");
    let report = generation.calls().remove(0);
    assert_eq!((report.calls, report.faults["deadline"]), (7, 2), "{:?}", report.faults);
    assert_eq!(report.latency.count(), 7 - report.faults["busy"], "all but those that were turned away");
    let drained = generation.clone();
    let drained = tokio::task::spawn_blocking(move || drained.drain()).await.unwrap();
    assert_eq!(drained.as_deref(), Some(&b"left-one"[..]));
}

#[tokio::test]
async fn a_thousand_calls_at_once_that_may_wait_are_answered() {
    let (generation, _failures) = load(&guests::publish("one"), true, "").await;
    let calls = (0..1000).map(|_| {
        let generation = generation.clone();
        tokio::spawn(async move { topic(publish(&generation, "e").await.unwrap()) })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), "one");
    }
    let load = generation.load_now();
    assert!(load.instances <= 256 && load.waiting == 0, "{load:?}");
    generation.drop_idle();
    assert_eq!((generation.load_now().instances, generation.load_now().memory), (0, 0));
}

#[tokio::test]
async fn timers_are_told_and_faults_counted() {
    let (generation, mut failures) = load(&guests::timer("tick"), false, "").await;
    generation.call_timer(1).await.unwrap();
    for _ in 0..5 {
        assert!(generation.call_timer(0).await.unwrap_err().to_string().contains("unreachable"));
    }
    assert_eq!(generation.call_timer(1).await.unwrap_err().kind.to_string(), "breaker open");
    let opened = failures.recv().await.unwrap();
    assert!(opened.fault.contains("unreachable") && opened.generation == 1);
    let report = generation.calls().remove(0);
    assert_eq!((report.hook, report.calls, report.verdicts["done"]), ("timer-handler", 7, 1));
}
