//! Plugins that answer each other, and one that would answer itself.

use tidegate_mqtt::{QoS, ReasonCode, Version};
use tidegate_tests::{BOTH, Broker, Client, Folder, PATIENCE, guest};

/// Messages of a plugin's that may lead to one another.
const HOPS: usize = 8;

/// `ping` answers `a` with `b`, `pong` answers `b` with `a`; `ping` answers `own` with `own`.
fn broker() -> Broker {
    let folder = Folder::new(
        r##"
        [plugin.ping]
        required = true
        grants.publish = ["b", "own"]
        [plugin.ping.config]
        authenticate = [{ verdict = "grant" }]
        acl = [{ topic = "#", verdict = "allow" }]
        publish = [
            { topic = "a", verdict = "next", forward = "b" },
            { topic = "own", verdict = "next", forward = "own" },
        ]
        [plugin.pong]
        required = true
        grants.publish = ["a"]
        [plugin.pong.config]
        publish = [{ topic = "b", verdict = "next", forward = "a" }]
        "##,
    );
    for plugin in ["ping", "pong"] {
        folder.install_plugin(plugin, &guest("every-hook"));
    }
    folder.start()
}

/// Topic and payload of the next messages, in the order of their hops: each has a `+` for each.
fn heard(client: &mut Client, count: usize) -> Vec<String> {
    let messages = (0..count).map(|_| client.accept());
    let mut messages: Vec<_> =
        messages.map(|message| format!("{} {}", message.topic, message.payload)).collect();
    messages.sort_by_key(String::len);
    messages
}

#[test]
fn a_circle_of_two_ends_after_eight_hops_and_is_said() {
    let broker = broker();
    for (round, version) in BOTH.into_iter().enumerate() {
        let mut client = Client::connect(&broker, version, "c");
        for topic in ["a", "b"] {
            client.subscribe(topic, QoS::AtLeastOnce);
        }
        let mut other = Client::connect(&broker, Version::V5, "other");
        other.subscribe("+", QoS::AtLeastOnce);
        let seen = broker.log().len();
        assert_eq!(client.publish("a", "x", QoS::AtLeastOnce), ReasonCode::Success);
        let topic = |hops: usize| if hops.is_multiple_of(2) { "a" } else { "b" };
        let expected: Vec<_> =
            (0..=HOPS).map(|hops| format!("{} x{}", topic(hops), "+".repeat(hops))).collect();
        assert_eq!(heard(&mut client, HOPS + 1), expected, "{round}");
        assert_eq!(heard(&mut other, HOPS + 1), expected, "{round}");
        // The eighth is on `a`: it is `ping` that may not go on.
        let said = broker.log().wait_for_after(seen, "not forwarded to b after 8 hops", PATIENCE);
        assert!(said.contains("too many plugins have answered each other"), "{said}");
        assert!(said.contains("ping"), "{said}");
        client.expect_nothing();
        other.expect_nothing();
    }
    assert!(!broker.log_contains("not forwarded to a"), "nobody stops before");
}

#[test]
fn a_plugin_is_not_asked_about_what_it_publishes() {
    let broker = broker();
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.subscribe("own", QoS::AtLeastOnce);
    for _ in 0..2 {
        client.publish("own", "x", QoS::AtLeastOnce);
        assert_eq!(heard(&mut client, 2), ["own x", "own x+"]);
        client.expect_nothing();
    }
    assert!(!broker.log_contains("not forwarded"));
}
