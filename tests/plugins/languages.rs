//! Guests in other languages, as `tests/languages/README.md` describes them: what their generators make of `wit/plugin.wit` is understood, and
//! their ordinary libraries work over WASI.

use super::imports::server;
use serde_json::{Value, json};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};
use tidegate_mqtt::{QoS, ReasonCode, Version};
use tidegate_tests::{Broker, Client, Folder, PATIENCE, guest};

const PAYLOAD: &str = "sixty-four bytes, as the benches send them: 0123456789 abcdefghi";
const SHA256: &str = "1dabe504c32e29e54db736e1e03da83d67f7c723e3f34cef18521ca7aac7610e";

/// Engines of languages take all cores for seconds to compile: one at a time, so that none runs out of patience.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A broker with this guest, and a client that hears everything.
fn broker(name: &str, config: &str) -> (Broker, Client) {
    let folder = Folder::new("");
    folder.install_plugin(name, &guest(name));
    start(&folder, name, config)
}

/// As [`broker`], on a folder that may have been used before: what was compiled is there still.
fn start(folder: &Folder, name: &str, config: &str) -> (Broker, Client) {
    // The default is enough, but an interpreter on a slow machine is no failure.
    let limits = "limits.deadline = \"200ms\"";
    folder.write_config(&format!("[plugin.{name}]\nrequired = true\n{limits}\n{config}\n"));
    let broker = folder.start();
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.subscribe("#", QoS::AtLeastOnce);
    (broker, client)
}

/// What becomes of a message.
fn becomes(client: &mut Client, topic: &str, payload: &str) -> String {
    assert_eq!(client.publish(topic, payload, QoS::AtLeastOnce), ReasonCode::Success, "{topic}");
    let message = client.accept();
    assert_eq!(message.topic, topic);
    message.payload
}

fn millis() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

/// Accepts, copies, and tells what its library says, which is returned.
fn works(broker: &Broker, client: &mut Client, hello: &str) -> Value {
    assert_eq!(PAYLOAD.len(), 64);
    assert_eq!(becomes(client, "a", PAYLOAD), PAYLOAD);
    assert_eq!(becomes(client, "copy/a", PAYLOAD), PAYLOAD);
    assert_eq!(becomes(client, "copy/a", ""), "");
    let before = millis();
    let told: Value = serde_json::from_str(&becomes(client, "std/a", PAYLOAD)).unwrap();
    let now = u128::from(told["millis"].as_u64().unwrap());
    assert!((before..=millis()).contains(&now), "{told}");
    assert_ne!(told["random"][0], told["random"][1], "{told}");
    assert!(told["random"][1].is_string() || told["random"][1].is_number(), "{told}");
    broker.wait_for_log(hello, PATIENCE);
    told
}

#[test]
fn in_c() {
    let (broker, mut client) = broker("in-c", "");
    works(&broker, &mut client, "hello from C");
}

#[test]
fn one_that_wants_no_payload_accepts_without() {
    let (_broker, mut client) = broker("in-c", "config = { payload = false }");
    assert_eq!(becomes(&mut client, "a", PAYLOAD), PAYLOAD);
}

#[test]
fn in_python() {
    let _turn = turn();
    let (broker, mut client) = broker("in-python", "");
    let told = works(&broker, &mut client, "hello from Python");
    assert_eq!(told["sha256"], SHA256);
}

#[test]
fn in_javascript_by_quickjs() {
    let _turn = turn();
    let (broker, mut client) = broker("in-quickjs", "");
    works(&broker, &mut client, "hello from QuickJS");
    let told = becomes(&mut client, "json/a", r#"{ "celsius": 21.5, "padding": "é" }"#);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told, json!({ "celsius": 21.5, "fahrenheit": 70.7, "padding": "é" }));
}

#[test]
fn in_javascript_by_starlingmonkey() {
    let _turn = turn();
    let name = "in-starlingmonkey";
    let (broker, mut client) = broker(name, "");
    let told = works(&broker, &mut client, "hello from StarlingMonkey");
    assert_eq!(told["sha256"], SHA256);

    let (granted, other) = (server(), server());
    let fetch = |client: &mut Client, origin: &str| -> Value {
        serde_json::from_str(&becomes(client, "fetch/a", &format!("{origin}/hello"))).unwrap()
    };
    assert_ne!(fetch(&mut client, &granted)["error"], Value::Null);
    let folder = broker.stop();
    let (_broker, mut client) = start(&folder, name, &format!("grants.http = [\"{granted}\"]"));
    let answer = fetch(&mut client, &granted);
    assert_eq!(
        (&answer["status"], &answer["body"]),
        (&json!(200), &json!("GET /hello HTTP/1.1")),
        "{answer}"
    );
    assert_ne!(fetch(&mut client, &other)["error"], Value::Null);
    let again: Value = serde_json::from_str(&becomes(&mut client, "std/a", PAYLOAD)).unwrap();
    assert_ne!(again["random"], told["random"], "random numbers are not those of the build");
}
