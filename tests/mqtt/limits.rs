//! Limits that the config sets: announced in CONNACK, and what becomes of a client that goes beyond.

use bytes::Bytes;
use std::num::NonZeroU32;
use tidegate_mqtt::{
    ConnAckProperties, Connect, ConnectProperties, Packet, Publish, PublishProperties, QoS, ReasonCode,
    SubAck, SubscribeProperties, SubscriptionOptions, TopicName, UserProperties, Version, Will,
    WillProperties,
};
use tidegate_tests::{BOTH, Broker, Client, Received, connect, publish};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V3_1_1, V5};

fn with_limits(limits: &str) -> Broker {
    Broker::start(&format!("[limits]\n{limits}\n"))
}

/// What CONNACK announces to a client that wants nothing special.
fn announced(broker: &Broker) -> ConnAckProperties {
    Client::connect_with(broker, connect(V5, "curious")).1.properties
}

fn will(topic: &str) -> Will {
    Will {
        topic: TopicName::new(topic).unwrap(),
        payload: Bytes::from_static(b"gone"),
        qos: AtMostOnce,
        retain: false,
        properties: WillProperties::default(),
    }
}

/// MQTT 5 is told the reason; older versions are closed without a word, or with this code.
fn is_refused(broker: &Broker, connect: Connect, reason: ReasonCode, older: Option<ReasonCode>) {
    let version = connect.version;
    let mut client = Client::open(broker.address(), version);
    client.send(&Packet::Connect(Box::new(connect)));
    match older.filter(|_| version < V5) {
        Some(code) => client.expect_refused(code),
        None => client.expect_refused_in_words(reason),
    }
}

/// Sends what goes beyond a limit, and checks that it ends the connection and reaches nobody.
fn ends_the_connection(broker: &Broker, version: Version, publish: Publish<'_>, reason: ReasonCode) {
    let mut witness = Client::connect(broker, V5, "witness");
    witness.subscribe("#", AtMostOnce);
    let mut client = Client::connect(broker, version, "c");
    let packet_id = (publish.qos > AtMostOnce).then(|| client.packet_id());
    client.send(&Packet::Publish(Publish { packet_id, ..publish }));
    client.expect_disconnect_in_words(reason);
    witness.expect_nothing();
}

/// Subscribes at every QoS, which is always granted, and returns the SUBACK.
fn subscribe(client: &mut Client, filter: &str, maximum_qos: QoS) -> SubAck {
    let options = SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() };
    client.subscribe_with(&[(filter, options)], SubscribeProperties::default())
}

/// Checks that a subscription is refused: with a code and words in MQTT 5, with 0x80 before.
fn is_not_granted(broker: &Broker, version: Version, filter: &str, reason: ReasonCode) {
    let mut client = Client::connect(broker, version, "c");
    let suback = subscribe(&mut client, filter, AtLeastOnce);
    if version == V5 {
        assert_eq!(suback.reasons, [reason], "{filter}");
        assert!(suback.properties.reason_string.is_some_and(|words| !words.is_empty()));
    } else {
        assert_eq!(suback.reasons, [ReasonCode::UnspecifiedError], "{filter}");
    }
    // It costs the filter only.
    client.ping();
    client.disconnect();
}

#[test]
fn v5_3_2_2_9_the_maximum_qos_is_announced() {
    for (limit, expected) in [(0, Some(AtMostOnce)), (1, Some(AtLeastOnce)), (2, None)] {
        let broker = with_limits(&format!("maximum_qos = {limit}"));
        assert_eq!(announced(&broker).maximum_qos, expected);
    }
}

#[test]
fn v5_3_2_2_10_subscriptions_above_the_maximum_qos_are_taken_all_the_same() {
    for (limit, highest) in [(0, AtMostOnce), (1, AtLeastOnce)] {
        let broker = with_limits(&format!("maximum_qos = {limit}"));
        for version in BOTH {
            let mut client = Client::connect(&broker, version, "c");
            for wanted in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
                let reasons = subscribe(&mut client, "a", wanted).reasons;
                assert!(
                    reasons.iter().all(|reason| !reason.is_error()),
                    "{version:?} {wanted:?}: {reasons:?}"
                );
                client.publish("a", "x", highest);
                assert_eq!(client.accept().qos, highest.min(wanted));
            }
        }
    }
}

#[test]
fn v5_3_2_2_11_a_publish_above_the_maximum_qos_ends_the_connection() {
    for (limit, above) in [(0, &[AtLeastOnce, ExactlyOnce][..]), (1, &[ExactlyOnce])] {
        let broker = with_limits(&format!("maximum_qos = {limit}"));
        for version in BOTH {
            for qos in above {
                ends_the_connection(&broker, version, publish("a", "x", *qos), ReasonCode::QosNotSupported);
            }
        }
    }
}

#[test]
fn v5_3_2_2_12_a_will_above_the_maximum_qos_is_refused() {
    for (limit, above) in [(0, &[AtLeastOnce, ExactlyOnce][..]), (1, &[ExactlyOnce])] {
        let broker = with_limits(&format!("maximum_qos = {limit}"));
        for version in BOTH {
            for qos in above {
                let connect =
                    Connect { will: Some(Will { qos: *qos, ..will("w") }), ..connect(version, "c") };
                is_refused(&broker, connect, ReasonCode::QosNotSupported, None);
            }
            let modest = Connect { will: Some(will("w")), ..connect(version, "c") };
            Client::connect_with(&broker, modest).0.ping();
        }
    }
}

#[test]
fn v5_3_2_2_13_a_will_that_is_to_be_retained_is_refused_where_nothing_is() {
    let broker = with_limits("retain_available = false");
    assert_eq!(announced(&broker).retain_available, Some(false));
    for version in BOTH {
        let connect = |retain| Connect { will: Some(Will { retain, ..will("w") }), ..connect(version, "c") };
        is_refused(&broker, connect(true), ReasonCode::RetainNotSupported, None);
        Client::connect_with(&broker, connect(false)).0.ping();
    }
}

#[test]
fn v5_3_2_2_14_a_publish_with_retain_ends_the_connection_where_nothing_is_retained() {
    let broker = with_limits("retain_available = false");
    for version in BOTH {
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            for payload in ["x", ""] {
                let retained = Publish { retain: true, ..publish("a", payload, qos) };
                ends_the_connection(&broker, version, retained, ReasonCode::RetainNotSupported);
            }
        }
        let mut client = Client::connect(&broker, version, "c");
        client.publish("a", "x", AtLeastOnce);
        client.subscribe("a", AtLeastOnce);
        client.expect_nothing();
    }
}

#[test]
fn what_is_available_by_default_is_not_announced_as_missing() {
    let broker = Broker::start("");
    let properties = announced(&broker);
    assert_eq!(properties.maximum_qos, None);
    assert_ne!(properties.retain_available, Some(false));
    assert_ne!(properties.wildcard_subscription_available, Some(false));
    assert_ne!(properties.subscription_identifiers_available, Some(false));
    assert_ne!(properties.shared_subscription_available, Some(false));
}

#[test]
fn wildcards_are_refused_where_they_are_not_available() {
    let broker = with_limits("wildcard_subscription_available = false");
    assert_eq!(announced(&broker).wildcard_subscription_available, Some(false));
    for version in BOTH {
        for filter in ["#", "a/+", "+/a", "a/#", "$share/g/a/+"] {
            is_not_granted(&broker, version, filter, ReasonCode::WildcardSubscriptionsNotSupported);
        }
        let mut client = Client::connect(&broker, version, "c");
        assert_eq!(subscribe(&mut client, "a/b", AtLeastOnce).reasons, [ReasonCode::GrantedQos1]);
    }
}

#[test]
fn shared_subscriptions_are_refused_where_they_are_not_available() {
    let broker = with_limits("shared_subscription_available = false");
    assert_eq!(announced(&broker).shared_subscription_available, Some(false));
    for version in BOTH {
        for filter in ["$share/g/a", "$share/g/#"] {
            is_not_granted(&broker, version, filter, ReasonCode::SharedSubscriptionsNotSupported);
        }
        let mut client = Client::connect(&broker, version, "c");
        assert_eq!(subscribe(&mut client, "#", AtLeastOnce).reasons, [ReasonCode::GrantedQos1]);
    }
}

#[test]
fn subscription_identifiers_are_refused_where_they_are_not_available() {
    let broker = with_limits("subscription_identifiers_available = false");
    assert_eq!(announced(&broker).subscription_identifiers_available, Some(false));
    let mut client = Client::connect(&broker, V5, "c");
    let one = [("a", SubscriptionOptions::default()), ("b", SubscriptionOptions::default())];
    let properties =
        SubscribeProperties { subscription_identifier: NonZeroU32::new(7), ..SubscribeProperties::default() };
    let suback = client.subscribe_with(&one, properties);
    assert_eq!(suback.reasons, [ReasonCode::SubscriptionIdentifiersNotSupported; 2]);
    assert!(suback.properties.reason_string.is_some_and(|words| !words.is_empty()));
    client.publish("a", "x", AtLeastOnce);
    client.expect_nothing();
    assert_eq!(client.subscribe("a", AtLeastOnce), ReasonCode::GrantedQos1);
}

#[test]
fn v5_3_1_3_8_and_v311_3_1_3_9_a_client_identifier_that_is_not_accepted_is_refused_with_its_code() {
    let broker = with_limits("max_client_id_length = 8\nassign_client_id = false");
    let reason = ReasonCode::ClientIdentifierNotValid;
    for version in BOTH {
        // Bytes count, not characters.
        for id in ["123456789", "ääääa", &"x".repeat(65_535)] {
            is_refused(&broker, connect(version, id), reason, Some(reason));
        }
        for id in ["1", "12345678", "ääää"] {
            Client::connect(&broker, version, id).ping();
        }
        is_refused(&broker, connect(version, ""), reason, Some(reason));
        is_refused(&broker, Connect { clean_start: false, ..connect(version, "") }, reason, Some(reason));
    }
}

#[test]
fn an_assigned_identifier_may_be_longer_than_those_of_clients() {
    let broker = with_limits("max_client_id_length = 1");
    for version in BOTH {
        Client::connect(&broker, version, "").ping();
    }
    assert!(Client::connect_with(&broker, connect(V5, "")).1.properties.assigned_client_identifier.is_some());
}

#[test]
fn topics_and_filters_that_are_too_long_are_refused() {
    let broker = with_limits("max_topic_length = 10");
    let (fits, too_long) = ("1234567/90", "1234567/901");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        assert_eq!(subscribe(&mut client, fits, AtLeastOnce).reasons, [ReasonCode::GrantedQos1]);
        client.publish(fits, "x", AtLeastOnce);
        assert_eq!(client.payloads(1), ["x"]);
        client.disconnect();
        is_not_granted(&broker, version, too_long, ReasonCode::TopicFilterInvalid);
    }
    let connect = |topic| Connect { will: Some(will(topic)), ..connect(V5, "c") };
    Client::connect_with(&broker, connect(fits)).0.disconnect();
    is_refused(&broker, connect(too_long), ReasonCode::TopicNameInvalid, None);
    // A message that is refused can be told so, or ends its connection; it reaches nobody.
    let mut witness = Client::connect(&broker, V5, "witness");
    witness.subscribe("#", AtMostOnce);
    for qos in [AtLeastOnce, ExactlyOnce] {
        let mut client = Client::connect(&broker, V5, "c");
        let packet_id = Some(client.packet_id());
        client.send(&Packet::Publish(Publish { packet_id, ..publish(too_long, "x", qos) }));
        let (reason, words) = match client.receive() {
            Received::Packet(Packet::PubAck(ack) | Packet::PubRec(ack)) => {
                (ack.reason, ack.properties.and_then(|properties| properties.reason_string))
            }
            Received::Packet(Packet::Disconnect(disconnect)) => {
                (disconnect.reason, disconnect.properties.reason_string)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(reason, ReasonCode::TopicNameInvalid);
        assert!(words.is_some_and(|words| !words.is_empty()));
    }
    let mut old = Client::connect(&broker, V3_1_1, "old");
    let packet_id = Some(old.packet_id());
    old.send(&Packet::Publish(Publish { packet_id, ..publish(too_long, "x", AtLeastOnce) }));
    witness.expect_nothing();
}

/// So many user properties.
fn pairs(count: usize) -> UserProperties {
    (0..count).map(|n| (n.to_string().into(), "x".into())).collect()
}

#[test]
fn more_user_properties_than_allowed_are_refused() {
    let broker = with_limits("max_user_properties = 3");
    let reason = ReasonCode::QuotaExceeded;
    let connect_with = |count| {
        let properties = ConnectProperties { user_properties: pairs(count), ..ConnectProperties::default() };
        Connect { properties, ..connect(V5, "c") }
    };
    Client::connect_with(&broker, connect_with(3)).0.ping();
    is_refused(&broker, connect_with(4), reason, None);
    let will_with = |count| {
        let publish = PublishProperties { user_properties: pairs(count), ..PublishProperties::default() };
        let properties = WillProperties { publish, ..WillProperties::default() };
        Connect { will: Some(Will { properties, ..will("w") }), ..connect(V5, "c") }
    };
    Client::connect_with(&broker, will_with(3)).0.disconnect();
    is_refused(&broker, will_with(4), reason, None);
    for qos in [AtMostOnce, AtLeastOnce] {
        let of = |count| {
            let properties =
                PublishProperties { user_properties: pairs(count), ..PublishProperties::default() };
            Publish { properties: Some(Box::new(properties)), ..publish("a", "x", qos) }
        };
        Client::connect(&broker, V5, "p").publish_with(of(3));
        ends_the_connection(&broker, V5, of(4), reason);
    }
    let mut client = Client::connect(&broker, V5, "c");
    let subscribe =
        |count| SubscribeProperties { user_properties: pairs(count), ..SubscribeProperties::default() };
    let one = [("a", SubscriptionOptions::default())];
    assert_eq!(client.subscribe_with(&one, subscribe(3)).reasons, [ReasonCode::Success]);
    let packet_id = client.packet_id();
    client.send(&Packet::Unsubscribe(tidegate_mqtt::Unsubscribe {
        packet_id,
        properties: pairs(4),
        filters: vec![tidegate_mqtt::SubscriptionFilter::new("a").unwrap()],
    }));
    client.expect_disconnect_in_words(reason);
}

#[test]
fn a_will_larger_than_allowed_is_refused() {
    let broker = with_limits("max_will_size = 10");
    for version in BOTH {
        let of = |size| {
            let payload = Bytes::from(vec![b'x'; size]);
            Connect { will: Some(Will { payload, ..will("w") }), ..connect(version, "c") }
        };
        Client::connect_with(&broker, of(10)).0.ping();
        Client::connect_with(&broker, of(0)).0.ping();
        is_refused(&broker, of(11), ReasonCode::PacketTooLarge, None);
        is_refused(&broker, of(65_535), ReasonCode::PacketTooLarge, None);
    }
}

#[test]
fn a_will_waits_no_longer_than_allowed() {
    let broker = with_limits("max_will_delay = 0");
    let mut witness = Client::connect(&broker, V5, "witness");
    witness.subscribe("w", AtMostOnce);
    let properties = WillProperties { will_delay_interval: Some(3600), ..WillProperties::default() };
    let connect = Connect {
        will: Some(Will { properties, ..will("w") }),
        properties: ConnectProperties { session_expiry_interval: Some(3600), ..ConnectProperties::default() },
        ..connect(V5, "c")
    };
    Client::connect_with(&broker, connect).0.break_off();
    assert_eq!(witness.payloads(1), ["gone"]);
}

#[test]
fn a_listener_has_limits_of_its_own() {
    let broker = Broker::start(
        "[limits]\nreceive_maximum = 7\nmaximum_qos = 1\n\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\nmaximum_qos = 0\nretain_available = false\nmax_packet_size = 2000\n\
         max_keep_alive = 30\nassign_client_id = false\n",
    );
    let announced = |at: usize| {
        let mut client = Client::open(broker.addresses()[at], V5);
        client.send(&Packet::Connect(Box::new(connect(V5, "c"))));
        let connack = client.expect_connack();
        assert_eq!(connack.reason, ReasonCode::Success);
        (client, connack.properties)
    };
    let (_, wide) = announced(0);
    assert_eq!((wide.maximum_qos, wide.retain_available), (Some(AtLeastOnce), None));
    assert_eq!((wide.server_keep_alive, wide.receive_maximum.map(Into::into)), (None, Some(7)));
    let (mut client, narrow) = announced(1);
    assert_eq!((narrow.maximum_qos, narrow.retain_available), (Some(AtMostOnce), Some(false)));
    assert_eq!(narrow.maximum_packet_size.map(Into::into), Some(2000));
    // What the listener does not say holds for all.
    assert_eq!((narrow.server_keep_alive, narrow.receive_maximum.map(Into::into)), (Some(30), Some(7)));
    let packet_id = Some(client.packet_id());
    client.send(&Packet::Publish(Publish { packet_id, ..publish("a", "x", AtLeastOnce) }));
    client.expect_disconnect_in_words(ReasonCode::QosNotSupported);
    let (mut client, _) = announced(0);
    client.publish("a", "x", AtLeastOnce);
    let mut nameless = Client::open(broker.addresses()[1], V5);
    nameless.send(&Packet::Connect(Box::new(connect(V5, ""))));
    nameless.expect_refused_in_words(ReasonCode::ClientIdentifierNotValid);
}

#[test]
fn connections_beyond_a_listener_s_own_maximum_are_refused_there_only() {
    let broker = Broker::start(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\nmax_connections = 1\n",
    );
    let connect_at = |at: usize, id: &str| {
        let mut client = Client::open(broker.addresses()[at], V5);
        client.send(&Packet::Connect(Box::new(connect(V5, id))));
        client
    };
    let mut first = connect_at(1, "first");
    assert_eq!(first.expect_connack().reason, ReasonCode::Success);
    connect_at(1, "second").expect_refused_in_words(ReasonCode::QuotaExceeded);
    for id in ["a", "b", "c"] {
        assert_eq!(connect_at(0, id).expect_connack().reason, ReasonCode::Success);
    }
    first.ping();
}

/// Whether or not the client closes its side.
#[test]
fn a_place_is_free_when_the_broker_has_closed_the_connection() {
    let broker = with_limits("max_connections = 1");
    for version in BOTH {
        let mut only = Client::connect(&broker, version, "only");
        only.send_bytes(&[0xE0, 0]);
        only.expect_closed();
        Client::connect(&broker, version, "next").disconnect();
    }
}

#[test]
fn another_server_is_named_when_there_is_no_room() {
    let broker =
        Broker::start("server_reference = \"other.example:1883\"\n\n[limits]\nmax_connections = 1\n");
    let mut only = Client::connect(&broker, V5, "only");
    let mut refused = Client::open(broker.address(), V5);
    refused.send(&Packet::Connect(Box::new(connect(V5, "more"))));
    let connack = refused.expect_connack();
    assert_eq!(connack.reason, ReasonCode::UseAnotherServer);
    assert_eq!(connack.properties.server_reference.as_deref(), Some("other.example:1883"));
    assert!(connack.properties.reason_string.is_some());
    refused.expect_closed();
    is_refused(
        &broker,
        connect(V3_1_1, "more"),
        ReasonCode::UseAnotherServer,
        Some(ReasonCode::ServerUnavailable),
    );
    only.ping();
}

#[test]
fn another_server_is_named_when_the_broker_stops() {
    let broker = Broker::start("server_reference = \"other.example:1883\"\n");
    let mut client = Client::connect(&broker, V5, "c");
    let mut old = Client::connect(&broker, V3_1_1, "old");
    broker.terminate();
    match client.receive() {
        Received::Packet(Packet::Disconnect(disconnect)) => {
            assert_eq!(disconnect.reason, ReasonCode::UseAnotherServer);
            assert_eq!(disconnect.properties.server_reference.as_deref(), Some("other.example:1883"));
        }
        other => panic!("{other:?}"),
    }
    client.expect_closed();
    old.expect_closed();
}

#[test]
fn without_another_server_none_is_named() {
    let broker = Broker::start("");
    let mut client = Client::connect(&broker, V5, "c");
    broker.terminate();
    match client.receive() {
        Received::Packet(Packet::Disconnect(disconnect)) => {
            assert_eq!(disconnect.reason, ReasonCode::ServerShuttingDown);
            assert_eq!(disconnect.properties.server_reference, None);
            assert!(disconnect.properties.reason_string.is_some());
        }
        other => panic!("{other:?}"),
    }
    client.expect_closed();
}

#[test]
fn the_subscriptions_of_one_client_are_bounded() {
    let broker = with_limits("max_subscriptions = 2");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        for filter in ["a", "b", "a"] {
            assert_eq!(subscribe(&mut client, filter, AtLeastOnce).reasons, [ReasonCode::GrantedQos1]);
        }
        let suback = subscribe(&mut client, "c", AtLeastOnce);
        let expected = if version == V5 { ReasonCode::QuotaExceeded } else { ReasonCode::UnspecifiedError };
        assert_eq!(suback.reasons, [expected]);
        client.unsubscribe(&["a"]);
        assert_eq!(subscribe(&mut client, "c", AtLeastOnce).reasons, [ReasonCode::GrantedQos1]);
        client.disconnect();
    }
}

#[test]
fn receive_maximum_and_packet_size_are_announced() {
    let broker = with_limits("receive_maximum = 12\nmax_packet_size = 5000\ntopic_alias_maximum = 9");
    let properties = announced(&broker);
    assert_eq!(properties.receive_maximum.map(Into::into), Some(12));
    assert_eq!(properties.maximum_packet_size.map(Into::into), Some(5000));
    assert_eq!(properties.topic_alias_maximum, Some(9));
}
