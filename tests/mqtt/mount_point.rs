//! A listener's mount point: its clients live below it and do not see it.

use tidegate_mqtt::{
    Connect, Packet, QoS, ReasonCode, SubscribeProperties, SubscriptionOptions, Version, Will,
};
use tidegate_tests::{Broker, Client, connect};

const CONFIG: &str = "
[[listener]]
address = \"127.0.0.1:0\"
[[listener]]
address = \"127.0.0.1:0\"
mount_point = \"site-7/\"
";

const VERSIONS: [Version; 2] = [Version::V3_1_1, Version::V5];

/// A client of the listener with the mount point.
fn below(broker: &Broker, version: Version, id: &str) -> Client {
    let connect = connect(version, id);
    below_with(broker, connect)
}

fn below_with(broker: &Broker, connect: Connect) -> Client {
    let mut client = Client::open(broker.addresses()[1], connect.version);
    client.send(&Packet::Connect(Box::new(connect)));
    assert_eq!(client.expect_connack().reason, ReasonCode::Success);
    client
}

#[test]
fn topics_filters_and_retained_messages_are_below_it_and_seen_without_it() {
    let broker = Broker::start(CONFIG);
    for version in VERSIONS {
        let mut inside = below(&broker, version, "inside");
        let mut outside = Client::connect(&broker, version, "outside");
        inside.subscribe("a/+", QoS::AtLeastOnce);
        outside.subscribe("site-7/#", QoS::AtLeastOnce);
        inside.publish_retained("a/b", "from below", QoS::AtLeastOnce);
        assert_eq!(inside.accept().topic, "a/b");
        assert_eq!(outside.accept().topic, "site-7/a/b");
        outside.publish("site-7/a/c", "from above", QoS::AtLeastOnce);
        assert_eq!(inside.accept().topic, "a/c");
        outside.accept();
        outside.publish("a/b", "elsewhere", QoS::AtLeastOnce);
        inside.expect_nothing();

        let mut late = below(&broker, version, "late");
        late.subscribe("#", QoS::AtMostOnce);
        let retained = late.message();
        assert_eq!((&*retained.topic, retained.retain), ("a/b", true));
        late.unsubscribe(&["#"]);
        outside.publish("site-7/a/d", "", QoS::AtMostOnce);
        late.expect_nothing();
        inside.publish_retained("a/b", "", QoS::AtLeastOnce);
    }
}

#[test]
fn wills_and_shared_subscriptions_are_below_it_too() {
    let broker = Broker::start(CONFIG);
    for version in VERSIONS {
        let mut outside = Client::connect(&broker, version, "outside");
        outside.subscribe("site-7/gone", QoS::AtMostOnce);
        let mut inside = below(&broker, version, "inside");
        inside.subscribe("$share/g/gone", QoS::AtMostOnce);
        let will = Will {
            topic: tidegate_mqtt::TopicName::new("gone").unwrap(),
            payload: "bye".into(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Default::default(),
        };
        let dying = below_with(&broker, Connect { will: Some(will), ..connect(version, "dying") });
        dying.break_off();
        assert_eq!(outside.message().topic, "site-7/gone");
        assert_eq!(inside.message().topic, "gone");
    }
}

#[test]
fn what_the_broker_says_of_itself_is_not_below_it() {
    let broker = Broker::start(CONFIG);
    let mut inside = below(&broker, Version::V5, "inside");
    let options = SubscriptionOptions::default();
    inside.subscribe_with(&[("$SYS/#", options)], SubscribeProperties::default());
    inside.expect_nothing();
}

#[test]
fn a_mount_point_with_a_wildcard_is_refused_with_its_line() {
    let folder =
        tidegate_tests::Folder::new("[[listener]]\naddress = \"127.0.0.1:0\"\nmount_point = \"a/+/\"\n");
    let refused = folder.run(&["check", "-c", "tidegate.toml"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.iter().any(|line| line.contains("mount point \"a/+/\"")), "{refused:?}");
}
