//! What a message carries besides its payload, and what the broker says besides a reason code.

use bytes::Bytes;
use tidegate_mqtt::{
    Ack, AckProperties, Connect, ConnectProperties, Packet, PacketId, Publish, PublishProperties, QoS,
    ReasonCode, SubscribeProperties, SubscriptionOptions, TopicName, Version,
};
use tidegate_tests::{Broker, Client, Received, connect, mosquitto_rr, publish};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V3_1_1, V5};

/// Everything a message can carry from client to client.
fn all() -> PublishProperties {
    let pairs = [("z", "1"), ("a", "2"), ("z", "1"), ("", ""), ("ä\u{FEFF}", "\u{10FFFF}")];
    PublishProperties {
        payload_format_indicator: Some(true),
        response_topic: Some(TopicName::new("answer/to/me").unwrap()),
        correlation_data: Some(Bytes::from_static(b"\x00\x01\xFF")),
        user_properties: pairs.map(|(name, value)| (name.into(), value.into())).into(),
        content_type: Some("text/plain; charset=utf-8".into()),
        ..PublishProperties::default()
    }
}

/// Sends a message with these properties at every QoS, and checks that they come as they went.
fn pass(properties: &[PublishProperties]) {
    let broker = Broker::start("");
    let mut subscriber = Client::connect(&broker, V5, "s");
    subscriber.subscribe("a", ExactlyOnce);
    let mut publisher = Client::connect(&broker, V5, "p");
    for properties in properties {
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            publisher.publish_properties("a", "x", qos, properties.clone());
            assert_eq!(subscriber.accept().properties, *properties, "{qos:?}");
        }
    }
}

#[test]
fn v5_3_3_2_4_the_payload_format_indicator_is_forwarded() {
    let [bytes, text] = [false, true].map(|text| PublishProperties {
        payload_format_indicator: Some(text),
        ..PublishProperties::default()
    });
    pass(&[bytes, PublishProperties::default(), text]);
}

#[test]
fn v5_3_3_2_15_and_v5_3_3_2_16_response_topic_and_correlation_data_are_forwarded() {
    let long = "x/".repeat(500);
    for (topic, data) in
        [("answer/to/me", &b"\x00\x01\xFF"[..]), ("/", b""), ("$SYS/no/topic", b"x"), (&long, b"")]
    {
        let response_topic = Some(TopicName::new(topic).unwrap());
        let correlation_data = Some(Bytes::copy_from_slice(data));
        pass(&[
            PublishProperties { response_topic: response_topic.clone(), ..PublishProperties::default() },
            PublishProperties { correlation_data: correlation_data.clone(), ..PublishProperties::default() },
            PublishProperties { response_topic, correlation_data, ..PublishProperties::default() },
        ]);
    }
}

#[test]
fn v5_3_3_2_20_the_content_type_is_forwarded() {
    pass(&["", "text/plain; charset=utf-8", "no type at all \u{FEFF}"].map(|content_type| {
        PublishProperties { content_type: Some(content_type.into()), ..PublishProperties::default() }
    }));
}

#[test]
fn v5_3_3_2_17_and_v5_3_3_2_18_user_properties_are_forwarded_in_their_order() {
    // Not sorted, not merged, not cut; up to the 256 that the default allows.
    let of = |pairs: Vec<(&str, &str)>| PublishProperties {
        user_properties: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        ..PublishProperties::default()
    };
    let many: Vec<_> = (0..256).map(|n| ((999 - n).to_string(), (n % 7).to_string())).collect();
    pass(&[
        of(vec![("z", "1"), ("a", "2"), ("z", "1"), ("", ""), ("A", ""), ("", "x"), ("a", "1")]),
        of(many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()),
        all(),
    ]);
}

#[test]
fn v5_3_3_2_17_queued_and_retained_messages_keep_their_properties() {
    let broker = Broker::start("");
    let (mut subscriber, _) = Client::connect_session(&broker, V5, "s", true);
    subscriber.subscribe("a", AtLeastOnce);
    subscriber.disconnect();
    let mut publisher = Client::connect(&broker, V5, "p");
    let properties = Some(Box::new(all()));
    publisher.publish_with(Publish { retain: true, properties, ..publish("a", "x", AtLeastOnce) });
    let (mut subscriber, _) = Client::connect_session(&broker, V5, "s", false);
    assert_eq!(subscriber.accept().properties, all());
    subscriber.subscribe("a", AtLeastOnce);
    assert_eq!(subscriber.accept().properties, all());
}

#[test]
fn v5_3_3_2_a_message_passes_between_versions_without_its_properties() {
    let broker = Broker::start("");
    let mut new = Client::connect(&broker, V5, "new");
    new.subscribe("from/old", AtLeastOnce);
    let mut old = Client::connect(&broker, V3_1_1, "old");
    old.subscribe("from/new", AtLeastOnce);
    new.publish_properties("from/new", "x", AtLeastOnce, all());
    assert_eq!(old.payloads(1), ["x"]);
    old.publish("from/old", "y", AtLeastOnce);
    let message = new.accept();
    assert_eq!((message.payload.as_str(), message.properties), ("y", PublishProperties::default()));
}

/// The PUBACK of a message that is refused for want of room.
fn refusal(client: &mut Client) -> Ack {
    let packet_id = PacketId::new(1);
    client.send(&Packet::Publish(Publish { retain: true, packet_id, ..publish("a", "x", AtLeastOnce) }));
    client.find("PUBACK", |received| match received {
        Received::Packet(Packet::PubAck(ack)) => Some(ack.clone()),
        _ => None,
    })
}

#[test]
fn v5_3_1_2_29_reason_strings_are_for_clients_that_want_them() {
    let broker = Broker::start("[limits]\nmax_retained_bytes = 0\nmax_subscriptions = 0\n");
    let mut curious = Client::connect(&broker, V5, "curious");
    let told = refusal(&mut curious);
    assert_eq!(told.reason, ReasonCode::QuotaExceeded);
    assert!(told.properties.is_some_and(|properties| properties.reason_string.is_some()));
    let one = [("a", SubscriptionOptions::default())];
    let suback = curious.subscribe_with(&one, SubscribeProperties::default());
    assert_eq!(suback.reasons, [ReasonCode::QuotaExceeded]);
    assert!(suback.properties.reason_string.is_some(), "{suback:?}");
    let properties =
        ConnectProperties { request_problem_information: Some(false), ..ConnectProperties::default() };
    let (mut terse, _) = Client::connect_with(&broker, Connect { properties, ..connect(V5, "terse") });
    let told = refusal(&mut terse);
    assert_eq!((told.reason, told.properties), (ReasonCode::QuotaExceeded, None));
    let suback = terse.subscribe_with(&one, SubscribeProperties::default());
    assert_eq!(suback.reasons, [ReasonCode::QuotaExceeded]);
    assert_eq!(suback.properties, AckProperties::default());
    // A message is no answer: its user properties come all the same.
    let broker = Broker::start("");
    let properties =
        ConnectProperties { request_problem_information: Some(false), ..ConnectProperties::default() };
    let (mut terse, _) = Client::connect_with(&broker, Connect { properties, ..connect(V5, "terse") });
    terse.subscribe("a", AtLeastOnce);
    terse.publish_properties("a", "x", AtLeastOnce, all());
    assert_eq!(terse.accept().properties, all());
}

#[test]
fn v5_4_10_a_request_of_mosquitto_rr_gets_its_response() {
    let broker = Broker::start("");
    let mut responder = Client::connect(&broker, V5, "responder");
    responder.subscribe("request", AtLeastOnce);
    let arguments = ["-V", "mqttv5", "-q", "1", "-t", "request", "-e", "response/1", "-m", "how many?"];
    let finished = std::thread::scope(|scope| {
        let requester = scope.spawn(|| mosquitto_rr(&broker, &arguments));
        let request = responder.accept();
        assert_eq!(request.payload, "how many?");
        let PublishProperties { response_topic, correlation_data, .. } = request.properties;
        let topic = response_topic.expect("it says where to answer");
        assert_eq!(topic.as_str(), "response/1");
        let properties = PublishProperties { correlation_data, ..PublishProperties::default() };
        responder.publish_properties(&topic, "seven", AtLeastOnce, properties);
        requester.join().unwrap()
    });
    assert_eq!((finished.code, finished.stdout), (Some(0), vec!["seven".to_owned()]));
}

#[test]
fn v5_3_4_2_2_and_v5_3_14_2_3_a_reason_string_that_does_not_fit_is_left_out() {
    let broker = Broker::start("[limits]\nmax_retained_bytes = 0\n");
    let properties = ConnectProperties {
        maximum_packet_size: std::num::NonZeroU32::new(30),
        ..ConnectProperties::default()
    };
    let (mut narrow, _) = Client::connect_with(&broker, Connect { properties, ..connect(V5, "narrow") });
    let told = refusal(&mut narrow);
    assert_eq!((told.reason, told.properties), (ReasonCode::QuotaExceeded, None));
    narrow.send_bytes(&[0x00, 0x00]);
    narrow.expect_disconnect(ReasonCode::MalformedPacket);
}
