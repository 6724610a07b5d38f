//! Clients that others wrote: mosquitto's programs and rumqttc.

use std::{thread, time::Duration};
use tidegate_mqtt::{QoS, Version};
use tidegate_tests::{Broker, Client, mosquitto_pub, mosquitto_sub};

/// Messages that rumqttc sends and gets back.
const COUNT: usize = 1000;
/// Messages it may have to send at once.
const CAPACITY: usize = 100;

#[test]
fn mosquitto_pub_reaches_mosquitto_sub_in_both_versions_at_every_qos() {
    let broker = Broker::start("");
    for to in ["mqttv311", "mqttv5"] {
        let sub = mosquitto_sub(&broker, &["-V", to, "-q", "2", "-t", "a/+", "-C", "6"]);
        let mut expected = Vec::new();
        for from in ["mqttv311", "mqttv5"] {
            for qos in ["0", "1", "2"] {
                let finished = mosquitto_pub(&broker, &["-V", from, "-q", qos, "-t", "a/b", "-m", from]);
                assert_eq!(finished.code, Some(0), "{from} {qos}: {finished:?}");
                expected.push(format!("a/b {qos} 0 {from}"));
            }
        }
        assert_eq!(sub.messages(), expected, "{to}");
    }
}

#[test]
fn mosquitto_pub_retains_and_mosquitto_sub_is_told() {
    let broker = Broker::start("");
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        mosquitto_pub(&broker, &["-V", version, "-r", "-q", "1", "-t", "kept", "-m", version]);
        let sub = mosquitto_sub(&broker, &["-V", version, "-q", "1", "-t", "#", "-C", "1"]);
        assert_eq!(sub.messages(), [format!("kept 1 1 {version}")]);
    }
}

#[test]
fn mosquitto_sub_gets_what_waited_for_it() {
    let broker = Broker::start("");
    for version in ["mqttv311", "mqttv5"] {
        let arguments = ["-V", version, "-c", "-x", "3600", "-i", version, "-q", "1", "-t", "a"];
        let arguments =
            if version == "mqttv5" { &arguments[..] } else { &[&arguments[..3], &arguments[5..]].concat() };
        // It subscribes, and leaves with the first message.
        let sub = mosquitto_sub(&broker, &[arguments, &["-C", "1"]].concat());
        mosquitto_pub(&broker, &["-q", "1", "-t", "a", "-m", "first"]);
        assert_eq!(sub.messages(), ["a 1 0 first"]);
        mosquitto_pub(&broker, &["-q", "1", "-t", "a", "-m", "second"]);
        let sub = mosquitto_sub(&broker, &[arguments, &["-C", "2"]].concat());
        mosquitto_pub(&broker, &["-q", "1", "-t", "a", "-m", "third"]);
        assert_eq!(sub.messages(), ["a 1 0 second", "a 1 0 third"], "{version}");
    }
}

#[test]
fn the_will_of_mosquitto_sub_is_sent_when_it_is_killed() {
    let broker = Broker::start("");
    let mut witness = Client::connect(&broker, Version::V5, "witness");
    witness.subscribe("will", QoS::AtLeastOnce);
    for version in ["mqttv311", "mqttv5"] {
        let will = ["--will-topic", "will", "--will-payload", version, "--will-qos", "1"];
        let sub = mosquitto_sub(&broker, &[&["-V", version, "-t", "x"][..], &will].concat());
        drop(sub);
        assert_eq!(witness.payloads(1), [version]);
    }
}

#[test]
fn rumqttc_gets_its_messages_back_in_order() {
    use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
    let broker = Broker::start("");
    let mut options = MqttOptions::new("v4", "127.0.0.1", broker.address().port());
    options.set_keep_alive(Duration::from_secs(60));
    let (client, mut connection) = Client::new(options, CAPACITY);
    client.subscribe("a", QoS::AtLeastOnce).unwrap();
    thread::scope(|scope| {
        let (mut got, mut acknowledged) = (0, 0);
        for event in connection.iter() {
            match event.unwrap() {
                Event::Incoming(Packet::SubAck(_)) => {
                    let client = client.clone();
                    scope.spawn(move || {
                        for n in 0..COUNT {
                            client.publish("a", QoS::AtLeastOnce, false, n.to_string()).unwrap();
                        }
                    });
                }
                Event::Incoming(Packet::Publish(publish)) => {
                    assert_eq!(publish.payload, got.to_string());
                    assert!(!publish.dup && !publish.retain);
                    got += 1;
                }
                Event::Incoming(Packet::PubAck(_)) => acknowledged += 1,
                _ => {}
            }
            if (got, acknowledged) == (COUNT, COUNT) {
                break;
            }
        }
        assert_eq!((got, acknowledged), (COUNT, COUNT));
    });
}

#[test]
fn rumqttc_v5_gets_its_messages_back_in_order() {
    use rumqttc::v5::{Client, Event, MqttOptions, mqttbytes::QoS, mqttbytes::v5::Packet};
    let broker = Broker::start("");
    let mut options = MqttOptions::new("v5", "127.0.0.1", broker.address().port());
    options.set_keep_alive(Duration::from_secs(60));
    let (client, mut connection) = Client::new(options, CAPACITY);
    client.subscribe("a", QoS::AtLeastOnce).unwrap();
    thread::scope(|scope| {
        let (mut got, mut acknowledged) = (0, 0);
        for event in connection.iter() {
            match event.unwrap() {
                Event::Incoming(Packet::SubAck(_)) => {
                    let client = client.clone();
                    scope.spawn(move || {
                        for n in 0..COUNT {
                            client.publish("a", QoS::AtLeastOnce, false, n.to_string()).unwrap();
                        }
                    });
                }
                Event::Incoming(Packet::Publish(publish)) => {
                    assert_eq!(publish.payload, got.to_string());
                    assert!(!publish.dup && !publish.retain);
                    got += 1;
                }
                Event::Incoming(Packet::PubAck(_)) => acknowledged += 1,
                _ => {}
            }
            if (got, acknowledged) == (COUNT, COUNT) {
                break;
            }
        }
        assert_eq!((got, acknowledged), (COUNT, COUNT));
    });
}
