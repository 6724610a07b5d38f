//! What plugins may call, by a component that does as messages tell it: `do/INTERFACE/FUNCTION`.

use super::every_hook::{broker, folder, told};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpListener,
};
use tidegate_mqtt::{QoS, ReasonCode, Version};
use tidegate_tests::{Broker, Client};

/// A client that listens to answers.
fn teller(broker: &Broker) -> Client {
    let mut client = Client::connect(broker, Version::V5, "teller");
    client.subscribe("done/#", QoS::AtLeastOnce);
    client
}

fn tell(client: &mut Client, what: &str, arguments: &Value) -> Value {
    let payload = arguments.to_string();
    assert_eq!(
        client.publish(&format!("do/{what}"), &payload, QoS::AtLeastOnce),
        ReasonCode::NoMatchingSubscribers
    );
    told(client, &format!("done/{what}"))
}

#[test]
fn kv_keeps_counts_swaps_and_survives_a_restart() {
    let broker = broker("grants.kv = \"64KiB\"");
    let mut client = teller(&broker);
    assert_eq!(tell(&mut client, "kv/get", &json!({ "key": "a" }))["ok"], Value::Null);
    assert_eq!(tell(&mut client, "kv/set", &json!({ "key": "a", "value": "1" }))["ok"], Value::Null);
    assert_eq!(tell(&mut client, "kv/get", &json!({ "key": "a" }))["ok"], "1");
    assert_eq!(tell(&mut client, "kv/add", &json!({ "key": "n", "delta": 5 }))["ok"], 5);
    assert_eq!(tell(&mut client, "kv/add", &json!({ "key": "n", "delta": -7 }))["ok"], -2);
    assert_eq!(tell(&mut client, "kv/swap", &json!({ "key": "a", "old": "2", "value": "3" }))["ok"], false);
    assert_eq!(tell(&mut client, "kv/swap", &json!({ "key": "a", "old": "1", "value": "3" }))["ok"], true);
    assert_eq!(tell(&mut client, "kv/keys", &json!({ "prefix": "" }))["ok"], json!(["a", "n"]));
    let large = "x".repeat(70_000);
    assert_eq!(tell(&mut client, "kv/set", &json!({ "key": "b", "value": large }))["error"], "full");
    let broker = broker.stop().start();
    let mut client = teller(&broker);
    assert_eq!(tell(&mut client, "kv/get", &json!({ "key": "a" }))["ok"], "3");
    assert_eq!(tell(&mut client, "kv/add", &json!({ "key": "n", "delta": 1 }))["ok"], -1);
}

#[test]
fn what_is_not_granted_is_denied() {
    let broker = broker("");
    let mut client = teller(&broker);
    for what in [
        "kv/get",
        "kv/set",
        "kv/keys",
        "broker/disconnect",
        "broker/client",
        "broker/find",
        "broker/subscribers",
        "broker/forget",
        "broker/retained",
        "http/fetch",
    ] {
        assert_eq!(
            tell(&mut client, what, &json!({ "url": "http://127.0.0.1:1/" }))["error"],
            "denied",
            "{what}"
        );
    }
    assert_eq!(tell(&mut client, "config/secret", &json!({ "name": "token" }))["ok"], Value::Null);
    let system =
        tell(&mut client, "broker/publish", &json!({ "topic": "$SYS/broker/version", "payload": "x" }));
    assert_ne!(system["error"], Value::Null);
}

#[test]
fn the_broker_as_far_as_it_was_granted() {
    let broker = broker("grants.disconnect = true\ngrants.clients = true\ngrants.retained = [\"kept/#\"]");
    let mut client = teller(&broker);
    let mut other = Client::connect(&broker, Version::V5, "other");
    other.subscribe("a/+", QoS::AtLeastOnce);
    client.publish_retained("kept/x", "old", QoS::AtLeastOnce);
    assert_eq!(tell(&mut client, "broker/retained", &json!({ "topic": "kept/x" }))["ok"], "old");
    assert_eq!(tell(&mut client, "broker/retained", &json!({ "topic": "other" }))["error"], "denied");
    let session = tell(&mut client, "broker/find", &json!({ "client_id": "other" }))["ok"].clone();
    let info = tell(&mut client, "broker/client", &json!({ "session": session }))["ok"].clone();
    assert_eq!(info["client_id"], "other");
    assert!(info["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    let found = tell(&mut client, "broker/subscribers", &json!({ "topic": "a/b" }))["ok"].clone();
    assert_eq!((found.as_array().unwrap().len(), &found[0]["client_id"]), (1, &json!("other")));
    tell(&mut client, "broker/publish", &json!({ "topic": "a/b", "payload": "from a plugin", "qos": 1 }));
    assert_eq!(other.accept().payload, "from a plugin");
    assert_eq!(tell(&mut client, "broker/forget", &json!({ "client_id": "other" }))["ok"], Value::Null);
    assert_eq!(
        tell(&mut client, "broker/disconnect", &json!({ "session": session, "code": 0x98 }))["ok"],
        Value::Null
    );
    other.expect_disconnect(ReasonCode::AdministrativeAction);
    assert_eq!(tell(&mut client, "broker/find", &json!({ "client_id": "nobody" }))["ok"], Value::Null);
}

#[test]
fn its_own_messages_skip_its_own_hooks() {
    let broker =
        broker("config.publish = [{ topic = \"loop\", verdict = \"edit\", edit = { append = \"!\" } }]");
    let mut client = teller(&broker);
    client.subscribe("loop", QoS::AtLeastOnce);
    client.publish("loop", "x", QoS::AtLeastOnce);
    assert_eq!(client.accept().payload, "x!");
    tell(&mut client, "broker/publish", &json!({ "topic": "loop", "payload": "y" }));
    assert_eq!(client.accept().payload, "y");
}

#[test]
fn current_tells_of_the_client_and_the_message() {
    let broker = broker(
        "[[plugin.every-hook.config.authenticate]]\nverdict = \"grant\"\nattributes = { team = \"blue\" }\n",
    );
    let mut client = teller(&broker);
    assert_eq!(tell(&mut client, "current/attribute", &json!({ "name": "team" }))["ok"], "blue");
    assert_eq!(tell(&mut client, "current/attribute", &json!({ "name": "x" }))["ok"], Value::Null);
    assert_eq!(tell(&mut client, "current/read", &json!({ "offset": 1, "len": 8 }))["ok"], "\"len\":8,");
    assert_eq!(tell(&mut client, "current/hops", &json!({}))["ok"], 0);
    assert_eq!(tell(&mut client, "current/origin", &json!({}))["ok"], Value::Null);
}

#[test]
fn secrets_are_read_from_files_and_never_told() {
    let folder = folder("secrets.token = \"file:token.txt\"");
    std::fs::write(folder.path().join("token.txt"), "s3cret-value\n").unwrap();
    let broker = folder.start();
    let mut client = teller(&broker);
    assert_eq!(tell(&mut client, "config/secret", &json!({ "name": "token" }))["ok"], "s3cret-value");
    assert!(!broker.log_contains("s3cret-value"));
    let stopped = broker.stop();
    stopped.write_config("[plugin.every-hook]\nrequired = true\nsecrets.token = \"file:missing.txt\"\n");
    let refused = stopped.run(&["-c", "tidegate.toml"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.iter().any(|line| line.contains("missing.txt")), "{refused:?}");
}

/// Answers every request with its first line, until the test ends.
pub(crate) fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let n = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..n]).into_owned();
            let body = text.lines().next().unwrap_or_default().to_owned();
            _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    origin
}

#[test]
fn http_reaches_the_origins_that_were_granted_and_no_other() {
    let (granted, other) = (server(), server());
    let broker = broker(&format!("grants.http = [\"{granted}\"]"));
    let mut client = teller(&broker);
    let answer = tell(&mut client, "http/fetch", &json!({ "url": format!("{granted}/hello") }));
    assert_eq!(
        (&answer["ok"]["status"], &answer["ok"]["body"]),
        (&json!(200), &json!("GET /hello HTTP/1.1"))
    );
    assert_eq!(
        tell(&mut client, "http/fetch", &json!({ "url": format!("{other}/hello") }))["error"],
        "denied"
    );
}
