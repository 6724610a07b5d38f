//! Wills: when they are sent, when not, and what they carry.

use bytes::Bytes;
use tidegate_mqtt::{
    Connect, ConnectProperties, Disconnect, DisconnectProperties, Packet, PublishProperties, QoS, ReasonCode,
    TopicName, Version, Will, WillProperties,
};
use tidegate_tests::{BOTH, Broker, Client, connect};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V3_1, V3_1_1, V5};

fn will(topic: &str) -> Will {
    Will {
        topic: TopicName::new(topic).unwrap(),
        payload: Bytes::from_static(b"gone"),
        qos: AtLeastOnce,
        retain: false,
        properties: WillProperties::default(),
    }
}

/// A CONNECT with a will on `will/ID`.
fn mortal(version: Version, client_id: &str) -> Connect {
    Connect { will: Some(will(&format!("will/{client_id}"))), ..connect(version, client_id) }
}

/// A CONNECT of MQTT 5 with a will on `will/ID` after a delay, and a session that outlives its connection.
fn delayed(client_id: &str, clean_start: bool, delay: u32, expiry: u32) -> Connect {
    let properties = WillProperties { will_delay_interval: Some(delay), ..WillProperties::default() };
    Connect {
        clean_start,
        will: Some(Will { properties, ..will(&format!("will/{client_id}")) }),
        properties: ConnectProperties {
            session_expiry_interval: Some(expiry),
            ..ConnectProperties::default()
        },
        ..connect(V5, client_id)
    }
}

fn witness(broker: &Broker) -> Client {
    let mut witness = Client::connect(broker, V5, "witness");
    witness.subscribe("will/#", ExactlyOnce);
    witness
}

/// The topic of the next will.
fn next_will(witness: &mut Client) -> String {
    let message = witness.accept();
    assert_eq!(message.payload, "gone");
    message.topic
}

#[test]
fn v5_3_1_2_8_and_v311_3_1_2_8_a_will_is_sent_when_the_connection_breaks() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    for version in [V3_1, V3_1_1, V5] {
        for (qos, topic) in [(AtMostOnce, "will/0"), (AtLeastOnce, "will/1"), (ExactlyOnce, "will/2")] {
            let connect = Connect { will: Some(Will { qos, ..will(topic) }), ..connect(version, "c") };
            let (client, _) = Client::connect_with(&broker, connect);
            witness.expect_nothing();
            client.break_off();
            let message = witness.accept();
            assert_eq!((message.topic.as_str(), message.qos, message.retain), (topic, qos, false));
        }
    }
}

#[test]
fn v5_3_1_2_10_and_v311_3_1_2_10_a_will_is_sent_once() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    for version in BOTH {
        let mut connect = mortal(version, "c");
        connect.clean_start = false;
        connect.properties.session_expiry_interval = (version == V5).then_some(3600);
        Client::connect_with(&broker, connect).0.break_off();
        assert_eq!(next_will(&mut witness), "will/c");
        // The session is there still, its will is not.
        let (client, present) = Client::connect_session(&broker, version, "c", false);
        assert!(present);
        client.break_off();
        Client::connect_session(&broker, version, "c", true).0.break_off();
        witness.expect_nothing();
    }
}

#[test]
fn v5_3_1_2_14_and_v311_3_1_2_16_a_will_without_retain_is_not_kept() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut early = witness(&broker);
        Client::connect_with(&broker, mortal(version, "c")).0.break_off();
        assert!(!early.accept().retain, "{version:?}");
        early.disconnect();
        witness(&broker).expect_nothing();
    }
}

#[test]
fn v5_3_14_4_3_and_v311_3_14_4_3_and_v5_3_1_2_10_and_v311_3_1_2_10_goodbye_deletes_the_will() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    for version in [V3_1, V3_1_1, V5] {
        Client::connect_with(&broker, mortal(version, "c")).0.disconnect();
        witness.expect_nothing();
    }
    // Nor does its session bring it back.
    Client::connect_with(&broker, delayed("d", true, 1, 1)).0.disconnect();
    Client::connect_with(&broker, delayed("clock", true, 3600, 1)).0.break_off();
    assert_eq!(next_will(&mut witness), "will/clock");
    witness.expect_nothing();
}

#[test]
fn v311_3_1_2_12_without_a_will_none_is_sent() {
    let broker = Broker::start("");
    let mut witness = Client::connect(&broker, V5, "witness");
    witness.subscribe("#", AtMostOnce);
    for version in BOTH {
        Client::connect(&broker, version, "c").break_off();
        // Nor that of an older connection.
        Client::connect_with(&broker, mortal(version, "d")).0.disconnect();
        Client::connect(&broker, version, "d").break_off();
        witness.expect_nothing();
    }
}

#[test]
fn v5_3_1_2_8_a_goodbye_with_another_reason_sends_the_will() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    for reason in [ReasonCode::DisconnectWithWill, ReasonCode::UnspecifiedError, ReasonCode::QuotaExceeded] {
        let (client, _) = Client::connect_with(&broker, mortal(V5, "c"));
        client.disconnect_with(reason, DisconnectProperties::default());
        assert_eq!(next_will(&mut witness), "will/c");
    }
    witness.expect_nothing();
}

#[test]
fn v5_3_1_2_8_and_v311_3_14_1_1_a_protocol_error_sends_the_will() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    for version in BOTH {
        let (mut client, _) = Client::connect_with(&broker, mortal(version, "c"));
        client.send_bytes(&[0xE1, 0]); // DISCONNECT with wrong flags.
        client.expect_disconnect(ReasonCode::MalformedPacket);
        assert_eq!(next_will(&mut witness), "will/c");
    }
}

#[test]
fn v5_3_1_3_9_a_client_that_returns_in_time_cancels_its_will() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    let (client, _) = Client::connect_with(&broker, delayed("back", true, 1, 60));
    client.break_off();
    let (client, present) = Client::connect_session(&broker, V5, "back", false);
    assert!(present);
    // The will of somebody who went later, and does not return, comes first and alone.
    Client::connect_with(&broker, delayed("lost", true, 1, 60)).0.break_off();
    assert_eq!(next_will(&mut witness), "will/lost");
    client.break_off();
    witness.expect_nothing();
}

#[test]
fn v5_3_1_2_7_and_v5_3_1_2_8_a_delayed_will_outlives_its_connection_and_is_sent_when_its_delay_has_passed() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    Client::connect_with(&broker, delayed("c", true, 1, 60)).0.break_off();
    witness.expect_nothing();
    assert_eq!(next_will(&mut witness), "will/c");
    // It was sent: whether the client returns now makes no difference.
    let (client, present) = Client::connect_session(&broker, V5, "c", false);
    assert!(present);
    client.break_off();
    witness.expect_nothing();
}

#[test]
fn v5_3_1_2_7_and_v5_3_1_2_8_the_end_of_the_session_ends_the_delay() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    // With its connection: at once.
    Client::connect_with(&broker, delayed("c", true, 3600, 0)).0.break_off();
    assert_eq!(next_will(&mut witness), "will/c");
    // By its expiry.
    Client::connect_with(&broker, delayed("d", true, 3600, 1)).0.break_off();
    witness.expect_nothing();
    assert_eq!(next_will(&mut witness), "will/d");
    // By a client that wants a new one.
    Client::connect_with(&broker, delayed("e", true, 3600, 3600)).0.break_off();
    witness.expect_nothing();
    Client::connect(&broker, V5, "e").disconnect();
    assert_eq!(next_will(&mut witness), "will/e");
    witness.expect_nothing();
}

#[test]
fn v5_3_1_2_15_and_v311_3_1_2_17_a_retained_will_stays() {
    let broker = Broker::start("");
    for version in BOTH {
        let connect =
            Connect { will: Some(Will { retain: true, ..will("will/kept") }), ..connect(version, "c") };
        Client::connect_with(&broker, connect).0.break_off();
        let mut late = witness(&broker);
        let message = late.accept();
        assert_eq!((message.topic.as_str(), message.payload.as_str()), ("will/kept", "gone"));
        assert!(message.retain);
        late.publish_retained("will/kept", "", AtLeastOnce);
        late.accept();
        late.disconnect();
    }
}

#[test]
fn v5_3_1_4_3_and_v311_3_1_4_2_a_takeover_sends_the_will() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    for version in BOTH {
        let (mut older, _) = Client::connect_with(&broker, mortal(version, "c"));
        let newer = Client::connect(&broker, version, "c");
        older.expect_disconnect(ReasonCode::SessionTakenOver);
        assert_eq!(next_will(&mut witness), "will/c");
        newer.disconnect();
    }
    witness.expect_nothing();
}

#[test]
fn v5_3_1_3_9_a_takeover_that_resumes_the_session_cancels_a_delayed_will() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    let (mut older, _) = Client::connect_with(&broker, delayed("c", true, 60, 3600));
    let (mut newer, _) = Client::connect_with(&broker, delayed("c", false, 60, 3600));
    older.expect_disconnect(ReasonCode::SessionTakenOver);
    witness.expect_nothing();
    // One that begins a new session does not.
    let last = Client::connect(&broker, V5, "c");
    newer.expect_disconnect(ReasonCode::SessionTakenOver);
    assert_eq!(next_will(&mut witness), "will/c");
    last.disconnect();
    witness.expect_nothing();
}

#[test]
fn v5_3_1_2_22_and_v311_3_1_2_24_and_v5_3_2_2_22_a_client_that_falls_silent_is_gone() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    for version in BOTH {
        let connect = Connect { keep_alive: 1, ..mortal(version, "c") };
        let (mut client, connack) = Client::connect_with(&broker, connect);
        assert_eq!(connack.properties.server_keep_alive, None);
        client.ping();
        witness.expect_nothing();
        assert_eq!(next_will(&mut witness), "will/c");
        client.expect_disconnect_in_words(ReasonCode::KeepAliveTimeout);
    }
}

#[test]
fn v5_3_1_2_22_the_keep_alive_that_the_broker_sets_holds() {
    let broker = Broker::start("[limits]\nmax_keep_alive = 1\n");
    let (mut client, connack) = Client::connect_with(&broker, connect(V5, "c"));
    assert_eq!(connack.properties.server_keep_alive, Some(1));
    client.expect_disconnect(ReasonCode::KeepAliveTimeout);
}

#[test]
fn v5_3_1_3_10_a_will_carries_its_properties_in_their_order() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    let pairs = [("b", "1"), ("a", "2"), ("b", "3")].map(|(name, value)| (name.into(), value.into()));
    let carried = PublishProperties {
        payload_format_indicator: Some(true),
        message_expiry_interval: Some(1000),
        response_topic: Some(TopicName::new("answer").unwrap()),
        correlation_data: Some(Bytes::from_static(b"\x00\xFF")),
        user_properties: pairs.into(),
        content_type: Some("text/plain".into()),
        ..PublishProperties::default()
    };
    let properties = WillProperties { will_delay_interval: Some(0), publish: carried.clone() };
    let connect = Connect { will: Some(Will { properties, ..will("will/c") }), ..connect(V5, "c") };
    Client::connect_with(&broker, connect).0.break_off();
    let left = witness.accept().properties;
    assert!(left.message_expiry_interval.is_some_and(|seconds| (990..=1000).contains(&seconds)), "{left:?}");
    assert_eq!(PublishProperties { message_expiry_interval: Some(1000), ..left }, carried);
}

#[test]
fn v5_3_1_2_8_a_will_waits_for_clients_that_are_away() {
    let broker = Broker::start("");
    for version in BOTH {
        let (mut away, _) = Client::connect_session(&broker, version, "away", false);
        away.subscribe("will/#", AtLeastOnce);
        away.disconnect();
        Client::connect_with(&broker, mortal(V3_1_1, "c")).0.break_off();
        let (mut back, _) = Client::connect_session(&broker, version, "away", false);
        assert_eq!(next_will(&mut back), "will/c");
        back.disconnect();
    }
}

#[test]
fn v5_3_14_4_1_and_v311_3_14_4_2_nothing_behind_disconnect_is_acted_on() {
    let broker = Broker::start("");
    let mut witness = witness(&broker);
    for version in BOTH {
        let (mut client, _) = Client::connect_with(&broker, mortal(version, "c"));
        let mut bytes = Vec::new();
        let goodbye = Disconnect { reason: ReasonCode::Success, properties: DisconnectProperties::default() };
        Packet::Disconnect(goodbye).encode(version, &mut bytes).unwrap();
        let late = tidegate_tests::publish("will/late", "gone", AtMostOnce);
        Packet::Publish(late).encode(version, &mut bytes).unwrap();
        client.send_bytes(&bytes);
        client.expect_closed(); // v5 MQTT-3.14.4-2
        witness.expect_nothing();
    }
}
