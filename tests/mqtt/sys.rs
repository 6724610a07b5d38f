//! `$SYS`: what the broker says about itself, and nobody else.

use tidegate_mqtt::{Packet, Publish, QoS, ReasonCode, Version};
use tidegate_tests::{BOTH, Broker, Client, publish};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::V5;

#[test]
fn what_the_broker_says_about_itself_is_retained() {
    let broker = Broker::start("sys_interval = 1\n");
    let mut watching = Client::connect(&broker, V5, "watching");
    watching.subscribe("$SYS/broker/uptime", AtMostOnce);
    // The second of these changes shows that everything was said once.
    for _ in 0..2 {
        watching.accept();
    }
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        for topic in ["version", "uptime", "clients/connected", "subscriptions/count", "connections/accepted"]
        {
            let topic = format!("$SYS/broker/{topic}");
            client.subscribe(&topic, AtLeastOnce);
            let told = client.accept();
            assert_eq!((told.topic.as_str(), told.retain), (topic.as_str(), true), "{told:?}");
            client.unsubscribe(&[&topic]);
            client.drain();
        }
        client.disconnect();
    }
}

#[test]
fn v5_4_7_2_1_and_v311_4_7_2_1_what_changes_in_sys_reaches_no_leading_wildcard() {
    let broker = Broker::start("sys_interval = 1\n");
    for version in BOTH {
        let mut watching = Client::connect(&broker, version, "watching");
        watching.subscribe("$SYS/broker/uptime", AtMostOnce);
        let mut all = Client::connect(&broker, version, "all");
        for filter in ["#", "+/#", "+/broker/#", "+/broker/uptime", "$share/g/#"] {
            all.subscribe(filter, AtMostOnce);
        }
        // One may be retained; two more are changes.
        (0..3).for_each(|_| assert_eq!(watching.accept().topic, "$SYS/broker/uptime"));
        all.expect_nothing();
        all.disconnect();
        watching.disconnect();
    }
}

#[test]
fn nobody_but_the_broker_publishes_to_sys() {
    let broker = Broker::start("sys_interval = 0\n");
    for version in BOTH {
        let mut watching = Client::connect(&broker, V5, "watching");
        watching.subscribe("$SYS/#", AtMostOnce);
        let mut client = Client::connect(&broker, version, "c");
        for topic in ["$SYS/broker/version", "$SYS/x", "$SYS/"] {
            for qos in [AtLeastOnce, ExactlyOnce] {
                for retain in [false, true] {
                    let told = client.publish_with(Publish { retain, ..publish(topic, "forged", qos) });
                    // Before MQTT 5 it is acknowledged and dropped.
                    let refused = if version == V5 { ReasonCode::NotAuthorized } else { ReasonCode::Success };
                    assert_eq!(told, refused, "{version:?} {topic}");
                }
            }
            client.send(&Packet::Publish(Publish { retain: true, ..publish(topic, "forged", AtMostOnce) }));
            client.ping();
        }
        watching.expect_nothing();
        watching.unsubscribe(&["$SYS/#"]);
        watching.subscribe("$SYS/#", AtMostOnce);
        watching.expect_nothing();
        // Other topics that begin with a dollar belong to everybody.
        watching.subscribe("$SYSTEM/x", AtMostOnce);
        client.publish("$SYSTEM/x", "mine", AtLeastOnce);
        assert_eq!(watching.payloads(1), ["mine"]);
    }
}
