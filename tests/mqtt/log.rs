//! Every refusal is logged at debug with client and address, and counted.

use tidegate_mqtt::{QoS, ReasonCode, Version};
use tidegate_tests::{Broker, Client, PATIENCE, connect_frame, field};

/// The line with this text names client and address.
fn refusal(broker: &Broker, text: &str, client: &str, address: &str) {
    let line = broker.wait_for_log(text, PATIENCE);
    for part in ["\"level\":\"DEBUG\"", client, address] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

fn counter(watcher: &mut Client, topic: &str, at_least: u64) {
    let topic = format!("$SYS/broker/{topic}");
    watcher.subscribe(&topic, QoS::AtMostOnce);
    loop {
        let message = watcher.message();
        if message.topic == topic && message.payload.parse::<u64>().unwrap() >= at_least {
            return;
        }
    }
}

#[test]
fn refusals_are_logged_with_client_and_address_and_counted() {
    let config = "allow_anonymous = true\nsys_interval = 1\n[log]\nformat = \"json\"\nlevel = \"info,tidegate=debug\"\n\
                  [limits]\nmax_subscriptions = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\n";
    let broker = Broker::start(config);
    let local = |client: &Client| client.stream().local_addr().unwrap().to_string();

    let mut stranger = Client::open(broker.address(), Version::V5);
    let address = local(&stranger);
    stranger.send_bytes(&connect_frame("MQTT", 5, 1, &[&[0][..], &field("stranger")].concat()));
    stranger.expect_refused(ReasonCode::MalformedPacket);
    refusal(&broker, "no CONNECT", "", &address);

    let mut client = Client::connect(&broker, Version::V5, "greedy");
    let address = local(&client);
    client.subscribe("one", QoS::AtMostOnce);
    assert_eq!(client.subscribe("two", QoS::AtMostOnce), ReasonCode::QuotaExceeded);
    refusal(&broker, "subscription refused", "greedy", &address);
    assert_eq!(client.publish("$SYS/broker/uptime", "0", QoS::AtLeastOnce), ReasonCode::NotAuthorized);
    refusal(&broker, "message refused", "greedy", &address);
    client.send_bytes(&[0xF1, 0]);
    client.expect_disconnect(ReasonCode::MalformedPacket);
    refusal(&broker, "malformed packet, connection closed", "greedy", &address);

    let mut client = Client::connect(&broker, Version::V5, "twice");
    let address = local(&client);
    let second = Client::connect(&broker, Version::V5, "twice");
    client.expect_disconnect(ReasonCode::SessionTakenOver);
    refusal(&broker, "session taken over", "twice", &address);
    second.disconnect();

    let mut watcher = Client::connect(&broker, Version::V5, "watcher");
    counter(&mut watcher, "connections/refused", 1);
    watcher.unsubscribe(&["$SYS/broker/connections/refused"]);
    counter(&mut watcher, "connections/protocol_errors", 2);
    watcher.unsubscribe(&["$SYS/broker/connections/protocol_errors"]);
    counter(&mut watcher, "publish/messages/refused", 1);
    watcher.unsubscribe(&["$SYS/broker/publish/messages/refused"]);
    counter(&mut watcher, "subscriptions/refused", 1);
}
