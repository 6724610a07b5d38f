//! Not a test but a measurement: `cargo test --release -p tidegate-plugin-host --test host speed -- --ignored --nocapture`.

use crate::{guests, place::Place};
use std::{hint::black_box, time::Instant};
use tidegate_hooks::{AclRequest, Action, Hooks, PublishRequest, Reply};
use tidegate_mqtt::{QoS, SessionId};

const CALLS: u32 = 5_000;

fn measure(what: &str, mut call: impl FnMut()) {
    let best = (0..300).map(|_| {
        let began = Instant::now();
        (0..CALLS).for_each(|_| call());
        began.elapsed() / CALLS
    });
    println!("{what}: {:?} a call", best.min().unwrap());
}

fn hooks(place: &Place) -> std::sync::Arc<dyn Hooks> {
    place.registry.chain().members()[0].hooks.clone()
}

#[tokio::test]
#[ignore = "a measurement"]
async fn speed_of_a_call() {
    let payload = [b'x'; 64];
    let request = PublishRequest {
        session: SessionId(7),
        client_id: "client-1234",
        username: Some("alice"),
        topic: "plant/line-3/temperature",
        qos: QoS::AtMostOnce,
        retain: false,
        payload: &payload,
        properties: None,
        attributes: &tidegate_hooks::NO_ATTRIBUTES,
        origin: None,
    };
    for (what, guest) in [
        ("on-publish, no fields", guests::next()),
        ("on-publish, all fields, 64 B", guests::next_with_all_fields()),
        ("on-publish, imports current", guests::publish("one")),
    ] {
        let place = Place::with("p.wasm", &guest);
        let _host = place.start().await;
        let hooks = hooks(&place);
        measure(what, || {
            let Reply::Now(answer) = hooks.on_publish(black_box(&request)) else { panic!() };
            black_box(answer.unwrap());
        });
    }
    let place = Place::with("p.wasm", &guests::publish("one"));
    let _host = place.start().await;
    place.fault("t").await;
    let began = Instant::now();
    place.publish("x").await.unwrap();
    println!("the call after a trap: {:?}", began.elapsed());

    let place = Place::with("p.wasm", &guests::access());
    let _host = place.start().await;
    let hooks = hooks(&place);
    for topic in ["z/line-3/temperature", "a/line-3/temperature"] {
        let request = AclRequest {
            session: SessionId(7),
            client_id: "client-1234",
            username: Some("alice"),
            action: Action::Publish,
            topic,
            qos: QoS::AtMostOnce,
            retain: false,
            attributes: &tidegate_hooks::NO_ATTRIBUTES,
        };
        measure(
            if topic.starts_with('z') { "acl.check, next" } else { "acl.check, allow with a span" },
            || {
                let Reply::Now(answer) = hooks.check(black_box(&request)) else { panic!() };
                black_box(answer.unwrap());
            },
        );
    }
}
