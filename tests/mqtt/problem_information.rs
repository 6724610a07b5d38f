//! Reason strings and user properties: for clients that want to know (section 3.1.2.11.7).

use tidegate_mqtt::{
    Ack, Connect, ConnectProperties, Disconnect, DisconnectProperties, Packet, PacketId, Publish,
    PublishProperties, QoS, ReasonCode, SubscribeProperties, SubscriptionOptions, Version,
};
use tidegate_tests::{Broker, Client, Received, ack, connect, publish};

use QoS::{AtLeastOnce, ExactlyOnce};
use Version::{V3_1_1, V5};

/// A broker that refuses many things.
const STRICT: &str = "[limits]\nmax_retained_bytes = 0\nmax_subscriptions = 1\nmax_topic_levels = 3\n";

/// A client of MQTT 5 that wants problem information, or does not, or does not say.
fn client(broker: &Broker, wanted: Option<bool>) -> Client {
    let properties =
        ConnectProperties { request_problem_information: wanted, ..ConnectProperties::default() };
    Client::connect_with(broker, Connect { properties, ..connect(V5, "c") }).0
}

/// Whether this acknowledgement says why in words.
fn explains(ack: &Ack) -> bool {
    ack.properties.as_ref().is_some_and(|properties| properties.reason_string.is_some())
}

/// Lets the broker refuse messages and subscriptions; whether each answer said why in words.
fn refusals(client: &mut Client) -> Vec<(&'static str, bool)> {
    let mut explained = Vec::new();
    let filters = ["a", "b", "a/b/c/d"].map(|filter| (filter, SubscriptionOptions::default()));
    let suback = client.subscribe_with(&filters, SubscribeProperties::default());
    assert!(suback.reasons[1..].iter().all(|reason| reason.is_error()), "{suback:?}");
    assert!(suback.properties.user_properties.is_empty());
    explained.push(("SUBACK", suback.properties.reason_string.is_some()));
    for (topic, retain) in [("x", true), ("a/b/c/d", false), ("$SYS/x", false)] {
        for (qos, what) in [(AtLeastOnce, "PUBACK"), (ExactlyOnce, "PUBREC")] {
            let packet_id = Some(client.packet_id());
            client.send(&Packet::Publish(Publish { retain, packet_id, ..publish(topic, "x", qos) }));
            let refusal = client.find(what, |received| match received {
                Received::Packet(Packet::PubAck(ack) | Packet::PubRec(ack)) => Some(ack.clone()),
                _ => None,
            });
            assert!(refusal.reason.is_error(), "{refusal:?}");
            explained.push((what, explains(&refusal)));
        }
    }
    explained
}

#[test]
fn v5_3_1_2_29_who_wants_no_problem_information_gets_none_with_any_acknowledgement() {
    let broker = Broker::start(STRICT);
    let mut terse = client(&broker, Some(false));
    for (what, explained) in refusals(&mut terse) {
        assert!(!explained, "{what}");
    }
    // Nor with acknowledgements of what it does not know.
    let nowhere = |n| Ack { reason: ReasonCode::PacketIdentifierNotFound, ..ack(PacketId::new(n).unwrap()) };
    terse.send(&Packet::PubRel(ack(PacketId::new(900).unwrap())));
    terse.expect_packet(&Packet::PubComp(nowhere(900)));
    terse.send(&Packet::PubRec(ack(PacketId::new(901).unwrap())));
    terse.expect_packet(&Packet::PubRel(nowhere(901)));
    terse.expect_nothing();
}

#[test]
fn every_refusal_is_explained_to_who_wants_to_know() {
    let broker = Broker::start(STRICT);
    for wanted in [None, Some(true)] {
        let mut curious = client(&broker, wanted);
        for (what, explained) in refusals(&mut curious) {
            assert!(explained, "{what}, wanted: {wanted:?}");
        }
        curious.expect_nothing();
        curious.disconnect();
    }
}

#[test]
fn v5_3_1_2_29_publish_keeps_its_user_properties_for_everybody() {
    let broker = Broker::start("");
    let mut terse = client(&broker, Some(false));
    terse.subscribe("a", AtLeastOnce);
    let user_properties = vec![("b".into(), "1".into()), ("a".into(), "2".into())];
    let properties = PublishProperties { user_properties, ..PublishProperties::default() };
    Client::connect(&broker, V5, "p").publish_properties("a", "x", AtLeastOnce, properties.clone());
    assert_eq!(terse.accept().properties, properties);
}

#[test]
fn v5_3_1_2_29_disconnect_and_connack_may_explain_to_everybody() {
    let broker = Broker::start("");
    // These two may say why whatever was asked for, and do.
    let mut terse = client(&broker, Some(false));
    terse.send_bytes(&[0x00, 0x00]);
    assert_eq!(terse.expect_told().reason, ReasonCode::MalformedPacket);
    let properties = ConnectProperties {
        request_problem_information: Some(false),
        authentication_method: Some("unknown".into()),
        ..ConnectProperties::default()
    };
    let mut refused = Client::open(broker.address(), V5);
    refused.send(&Packet::Connect(Box::new(Connect { properties, ..connect(V5, "c") })));
    let connack = refused.expect_connack();
    assert!(connack.reason.is_error() && connack.properties.reason_string.is_some(), "{connack:?}");
    refused.expect_closed();
}

#[test]
fn what_clients_say_about_problems_is_accepted() {
    let broker = Broker::start("");
    let mut talker = Client::connect(&broker, V5, "c");
    talker.subscribe("a", ExactlyOnce);
    let words = || {
        let user_properties = vec![("why".into(), "because".into()); 3];
        Some(Box::new(tidegate_mqtt::AckProperties { reason_string: Some("no".into()), user_properties }))
    };
    talker.publish("a", "x", ExactlyOnce);
    let id = talker.message().id();
    talker.send(&Packet::PubRec(Ack { properties: words(), ..ack(id) }));
    talker.expect_packet(&Packet::PubRel(ack(id)));
    talker.send(&Packet::PubComp(Ack { properties: words(), ..ack(id) }));
    talker.publish("a", "x", AtLeastOnce);
    let id = talker.message().id();
    let reason = ReasonCode::QuotaExceeded;
    talker.send(&Packet::PubAck(Ack { reason, properties: words(), packet_id: id }));
    talker.expect_nothing();
    let user_properties = vec![("why".into(), "because".into())];
    let properties = DisconnectProperties {
        reason_string: Some("bye".into()),
        user_properties,
        ..DisconnectProperties::default()
    };
    talker.send(&Packet::Disconnect(Disconnect { reason: ReasonCode::Success, properties }));
    talker.expect_closed();
}

#[test]
fn v311_4_8_0_1_older_clients_are_told_nothing_in_words() {
    let broker = Broker::start("[limits]\nmax_subscriptions = 1\n");
    let mut old = Client::connect(&broker, V3_1_1, "old");
    let filters = ["a", "b"].map(|filter| (filter, SubscriptionOptions::default()));
    let suback = old.subscribe_with(&filters, SubscribeProperties::default());
    assert_eq!(suback.reasons, [ReasonCode::Success, ReasonCode::UnspecifiedError]);
    old.send_bytes(&[0x00, 0x00]);
    old.expect_closed();
}
