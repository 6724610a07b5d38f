//! A plugin that misbehaves costs the message it misbehaves on, and nobody else anything.

use tidegate_mqtt::{QoS, ReasonCode, Version};
use tidegate_tests::{BOTH, Broker, Client, Folder, PATIENCE, guest, publish};

/// Does what the payload says, for topics below `probe/`.
fn probed(more: &str) -> Broker {
    let folder = Folder::new(&format!(
        "[plugin.probe-publish]\n{more}\nlimits = {{ memory = \"16MiB\" }}\nconfig = {{ obey = true }}\n"
    ));
    folder.install_plugin("probe-publish", &guest("probe-publish"));
    folder.start()
}

fn sends(client: &mut Client, payload: &str) -> ReasonCode {
    client.publish("probe/a", payload, QoS::AtLeastOnce)
}

#[test]
fn a_message_on_which_the_plugin_fails_is_refused_and_the_next_is_not() {
    for payload in ["trap", "loop", "grow", "recurse", "nonsense topic", "nonsense reason"] {
        let broker = probed("");
        let mut bystander = Client::connect(&broker, Version::V5, "bystander");
        bystander.subscribe("#", QoS::AtLeastOnce);
        let mut client = Client::connect(&broker, Version::V5, "publisher");
        assert_eq!(sends(&mut client, payload), ReasonCode::ImplementationSpecificError, "{payload}");
        assert_eq!(sends(&mut client, "fine"), ReasonCode::Success, "after {payload}");
        assert_eq!(bystander.accept().payload, "fine", "after {payload}");
        broker.stop();
    }
}

#[test]
fn on_fault_next_lets_the_message_pass_as_it_is() {
    let broker = probed("on_fault = \"next\"");
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.subscribe("probe/#", QoS::AtLeastOnce);
    client.send(&tidegate_mqtt::Packet::Publish(publish("probe/a", "trap", QoS::AtMostOnce)));
    assert_eq!(client.message().payload, "trap");
}

#[test]
fn v311_4_8_0_2_before_mqtt_5_a_fault_closes_rather_than_acknowledge() {
    let broker = probed("");
    let mut client = Client::connect(&broker, Version::V3_1_1, "c");
    let id = client.packet_id();
    let packet =
        tidegate_mqtt::Publish { packet_id: Some(id), ..publish("probe/a", "trap", QoS::AtLeastOnce) };
    client.send(&tidegate_mqtt::Packet::Publish(packet));
    client.expect_closed();
}

#[test]
fn verdicts_do_what_they_say() {
    let broker = probed("");
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.subscribe("#", QoS::ExactlyOnce);
    assert_eq!(sends(&mut client, "refuse"), ReasonCode::PayloadFormatInvalid);
    assert_eq!(sends(&mut client, "swallow"), ReasonCode::NoMatchingSubscribers);
    client.expect_nothing();
    client.send(&tidegate_mqtt::Packet::Publish(publish("probe/a", "move", QoS::AtMostOnce)));
    assert_eq!(client.message().topic, "moved");
}

/// Such messages are asked about before they are made.
#[test]
fn verdicts_on_a_topic_that_was_used_before_are_the_same() {
    let broker = probed("");
    let mut watcher = Client::connect(&broker, Version::V5, "watcher");
    watcher.subscribe("#", QoS::ExactlyOnce);
    for (version, qos) in BOTH
        .into_iter()
        .flat_map(|version| [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].map(|qos| (version, qos)))
    {
        let mut client = Client::connect(&broker, version, "publisher");
        let mut sends = |payload: &str| client.publish("probe/a", payload, qos);
        for payload in ["fine", "fine again"] {
            assert_eq!(sends(payload), ReasonCode::Success, "{payload}");
            let message = watcher.accept();
            assert_eq!((&*message.payload, message.qos), (payload, qos));
        }
        let refused = sends("refuse");
        let says_so = version == Version::V5 && qos > QoS::AtMostOnce;
        let expected = if says_so { ReasonCode::PayloadFormatInvalid } else { ReasonCode::Success };
        assert_eq!(refused, expected, "{version:?} {qos:?}");
        sends("swallow");
        sends("move");
        let moved = watcher.accept();
        assert_eq!((&*moved.topic, &*moved.payload, moved.qos), ("moved", "move", QoS::AtMostOnce));
        if says_so {
            assert_eq!(sends("trap"), ReasonCode::ImplementationSpecificError);
        }
        sends("fine at last");
        assert_eq!(watcher.accept().payload, "fine at last");
    }
    watcher.expect_nothing();
}

#[test]
fn the_breaker_opens_after_five_faults_and_says_so() {
    let broker = probed("");
    let mut client = Client::connect(&broker, Version::V5, "c");
    for _ in 0..5 {
        assert_eq!(sends(&mut client, "trap"), ReasonCode::ImplementationSpecificError);
    }
    broker.wait_for_log("breaker", PATIENCE);
    // Open: refused without a call. It closes by itself when a call succeeds again.
    let closed = (0..).any(|_| sends(&mut client, "fine").is_error().then(|| client.ping()).is_none());
    assert!(closed);
    assert_eq!(client.publish("elsewhere", "x", QoS::AtLeastOnce), ReasonCode::NoMatchingSubscribers);
}

#[test]
fn a_plugin_that_refuses_to_start_is_refused_with_its_reason() {
    let folder =
        Folder::new("[plugin.probe-publish]\nrequired = true\nconfig = { refuse_to_start = true }\n");
    folder.install_plugin("probe-publish", &guest("probe-publish"));
    let start = folder.run(&["-c", "tidegate.toml"]);
    assert_eq!(start.code, Some(1));
    assert!(start.stderr.iter().any(|line| line.contains("told to refuse")), "{start:?}");
    let folder =
        Folder::new("[plugin.probe-publish]\nrequired = true\nconfig = { refuse_to_strat = true }\n");
    folder.install_plugin("probe-publish", &guest("probe-publish"));
    let start = folder.run(&["-c", "tidegate.toml"]);
    assert!(start.stderr.iter().any(|line| line.contains("refuse_to_strat")), "{start:?}");
}
