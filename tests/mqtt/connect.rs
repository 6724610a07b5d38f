//! From the first packet to CONNACK: who is refused and how, and which session a client gets.

use tidegate_mqtt::{
    Auth, AuthProperties, ClientId, Connect, ConnectProperties, Packet, QoS, ReasonCode, Version,
};
use tidegate_tests::{BOTH, Broker, Client, Received, connect, connect_frame, field, frame, publish};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V3_1, V3_1_1, V5};

pub(crate) mod layout;

/// Hears every will.
fn witness(broker: &Broker) -> Client {
    let mut witness = Client::connect(broker, V5, "witness");
    witness.subscribe("will/#", ExactlyOnce);
    witness
}

/// A CONNECT with an expiry, which is for MQTT 5.
fn expiring(client_id: &str, clean_start: bool, expiry: u32) -> Connect {
    let properties =
        ConnectProperties { session_expiry_interval: Some(expiry), ..ConnectProperties::default() };
    Connect { clean_start, properties, ..connect(V5, client_id) }
}

fn bytes_of(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes).unwrap();
    bytes
}

#[test]
fn v5_3_1_4_5_and_v311_3_1_4_4_a_connect_is_answered() {
    let broker = Broker::start("");
    for version in [V3_1, V3_1_1, V5] {
        let (mut client, connack) = Client::connect_with(&broker, connect(version, "c"));
        assert!(!connack.session_present, "{version:?}");
        client.ping(); // v5 MQTT-3.12.4-1
        client.expect_nothing(); // v5 MQTT-3.2.0-2
        client.disconnect();
    }
}

#[test]
fn v5_3_1_0_1_and_v311_3_1_0_1_nothing_may_come_before_connect() {
    let broker = Broker::start("");
    let first: [(&str, &[u8]); 17] = [
        ("type 0", &[0, 0]),
        ("CONNACK", &[0x20, 2, 0, 0]),
        ("PUBLISH", &[0x30, 5, 0, 3, b'a', b'/', b'b']),
        ("PUBLISH at QoS 1", &[0x32, 6, 0, 1, b'a', 0, 1, 0]),
        ("PUBACK", &[0x40, 2, 0, 1]),
        ("PUBREC", &[0x50, 2, 0, 1]),
        ("PUBREL", &[0x62, 2, 0, 1]),
        ("PUBCOMP", &[0x70, 2, 0, 1]),
        ("SUBSCRIBE", &[0x82, 7, 0, 1, 0, 0, 1, b'#', 0]),
        ("SUBACK", &[0x90, 3, 0, 1, 0]),
        ("UNSUBSCRIBE", &[0xA2, 6, 0, 1, 0, 0, 1, b'#']),
        ("UNSUBACK", &[0xB0, 2, 0, 1]),
        ("PINGREQ", &[0xC0, 0]),
        ("PINGRESP", &[0xD0, 0]),
        ("DISCONNECT", &[0xE0, 0]),
        ("AUTH", &[0xF0, 0]),
        ("not for us at all", b"GET / HTTP/1.1\r\nHost: example\r\n\r\n"),
    ];
    let mut witness = Client::connect(&broker, V5, "witness");
    witness.subscribe("#", AtMostOnce);
    for (what, bytes) in first {
        eprintln!("{what}");
        let mut client = Client::open(broker.address(), V5);
        // What comes behind it does not mend it.
        client.send_bytes_if_open(&[bytes, &layout::connect_bytes(V5, 2, &field("late"))].concat());
        client.expect_closed();
    }
    witness.expect_nothing();
}

#[test]
fn v5_3_1_0_2_and_v311_3_1_0_2_and_v5_3_2_0_2_a_second_connect_ends_the_connection_without_connack() {
    let broker = Broker::start("");
    for version in [V3_1, V3_1_1, V5] {
        for id in ["c", "another"] {
            let mut client = Client::connect(&broker, version, "c");
            client.send(&Packet::Connect(Box::new(connect(version, id))));
            client.expect_disconnect_in_words(ReasonCode::ProtocolError);
        }
    }
}

#[test]
fn v5_3_1_2_1_and_v311_3_1_2_1_another_protocol_name_is_closed() {
    let broker = Broker::start("");
    for (name, level) in
        [("MQTX", 4), ("MQTX", 5), ("mqtt", 4), ("MQTT2", 5), ("", 5), ("MQIsdP", 3), ("MQIsd", 3)]
    {
        let mut client = Client::open(broker.address(), V5);
        client.send_bytes(&connect_frame(name, level, 2, &[&[0][..], &field("c")].concat()));
        client.expect_closed();
    }
}

#[test]
fn v5_3_1_2_2_and_v311_3_1_2_2_another_level_is_refused_in_a_form_its_client_may_know() {
    let broker = Broker::start("");
    let levels = [
        ("MQTT", 0, V3_1_1),
        ("MQTT", 3, V3_1_1),
        ("MQIsdp", 2, V3_1),
        ("MQIsdp", 4, V3_1),
        ("MQIsdp", 5, V3_1),
        ("MQTT", 6, V5),
        ("MQTT", 100, V5),
        // The marks of a bridge.
        ("MQIsdp", 0x83, V3_1),
        ("MQTT", 0x84, V3_1_1),
    ];
    for (name, level, answered_as) in levels {
        let mut client = Client::open(broker.address(), answered_as);
        client.send_bytes(&connect_frame(name, level, 2, &field("c")));
        client.expect_refused(ReasonCode::UnsupportedProtocolVersion);
    }
}

#[test]
fn v5_3_1_4_6_and_v311_3_1_4_5_what_follows_a_refused_connect_is_not_acted_on() {
    let broker = Broker::start("");
    let mut witness = Client::connect(&broker, V5, "witness");
    witness.subscribe("#", AtMostOnce);
    for version in [V3_1, V3_1_1, V5] {
        let publish = bytes_of(&Packet::Publish(publish("a", "never", AtMostOnce)), version);
        // An empty identifier without clean session, or a method that is not served.
        let (flags, reason) = if version == V5 {
            (2, ReasonCode::BadAuthenticationMethod)
        } else {
            (0, ReasonCode::ClientIdentifierNotValid)
        };
        let method = [&[4, 0x15][..], &field("x"), &field("c")].concat();
        let rest = if version == V5 { method } else { field("") };
        let refused = connect_frame(version.protocol_name(), version.level(), flags, &rest);
        let mut client = Client::open(broker.address(), version);
        client.send_bytes(&[refused, publish].concat());
        client.expect_refused(reason);
    }
    witness.expect_nothing();
}

#[test]
fn v5_3_1_2_30_a_client_with_an_authentication_method_sends_nothing_else_before_connack() {
    let broker = Broker::start("");
    let mut witness = Client::connect(&broker, V5, "witness");
    witness.subscribe("#", AtMostOnce);
    let properties =
        ConnectProperties { authentication_method: Some("x".into()), ..ConnectProperties::default() };
    let first = bytes_of(&Packet::Connect(Box::new(Connect { properties, ..connect(V5, "c") })), V5);
    for next in [frame(0xC0, &[]), bytes_of(&Packet::Publish(publish("a", "never", AtMostOnce)), V5)] {
        let mut client = Client::open(broker.address(), V5);
        client.send_bytes(&[first.clone(), next].concat());
        let connack = client.expect_connack();
        let reasons = [ReasonCode::BadAuthenticationMethod, ReasonCode::ProtocolError];
        assert!(reasons.contains(&connack.reason), "{connack:?}");
        client.expect_closed();
    }
    witness.expect_nothing();
}

#[test]
fn v5_3_1_3_5_and_v311_3_1_3_5_ordinary_client_identifiers_are_accepted() {
    let broker = Broker::start("");
    let characters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for version in [V3_1, V3_1_1, V5] {
        for at in 0..characters.len() {
            Client::connect(&broker, version, &characters[at..=at]).disconnect();
            Client::connect(&broker, version, &characters[at..characters.len().min(at + 23)]).disconnect();
        }
        for length in 1..=23 {
            Client::connect(&broker, version, &characters[..length]).disconnect();
        }
        // More than must be.
        for id in ["x".repeat(1000), "ä/+#$ \u{FEFF}".to_owned()] {
            Client::connect(&broker, version, &id).disconnect();
        }
    }
}

#[test]
fn v5_3_1_3_6_and_v5_3_1_3_7_and_v5_3_2_2_16_an_empty_client_identifier_is_replaced_and_told() {
    let broker = Broker::start("");
    let assigned = |clean_start| {
        let (client, connack) = Client::connect_with(&broker, expiring("", clean_start, u32::MAX));
        assert!(!connack.session_present);
        (client, connack.properties.assigned_client_identifier.expect("it is told"))
    };
    let (first, one) = assigned(true);
    let (_second, two) = assigned(false);
    assert_ne!(one, two);
    assert!(!one.is_empty() && !two.is_empty());
    first.disconnect();
    // As though the client had sent it.
    let (_, present) = Client::connect_session(&broker, V5, &one, false);
    assert!(present);
    let (_, connack) = Client::connect_with(&broker, connect(V5, "named"));
    assert_eq!(connack.properties.assigned_client_identifier, None);
}

#[test]
fn v311_3_1_3_7_and_v311_3_1_3_8_an_empty_client_identifier_goes_with_clean_session_only() {
    let broker = Broker::start("");
    for version in [V3_1, V3_1_1] {
        let mut refused = Client::open(broker.address(), version);
        refused.send(&Packet::Connect(Box::new(Connect { clean_start: false, ..connect(version, "") })));
        refused.expect_refused(ReasonCode::ClientIdentifierNotValid);
    }
}

#[test]
fn v311_3_1_3_6_and_v5_3_1_3_6_clients_without_identifier_are_not_the_same_client() {
    let broker = Broker::start("");
    for version in [V3_1, V3_1_1, V5] {
        let mut clients: Vec<_> = (0..5).map(|_| Client::connect(&broker, version, "")).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            client.subscribe(&format!("for/{n}"), AtLeastOnce);
        }
        let mut publisher = Client::connect(&broker, version, "p");
        for (n, client) in clients.iter_mut().enumerate() {
            publisher.publish(&format!("for/{n}"), "x", AtLeastOnce);
            assert_eq!(client.payloads(1), ["x"], "{version:?}");
        }
        clients.iter_mut().for_each(Client::expect_nothing);
    }
}

#[test]
fn v5_3_1_3_2_and_v311_3_1_3_2_a_session_is_found_by_its_client_identifier() {
    let broker = Broker::start("");
    for version in BOTH {
        let ids =
            ["c", "C", "c ", " c", "\u{FEFF}c", "ć", "c\u{301}"].map(|id| format!("{id}{}", version.level()));
        for (n, id) in ids.iter().enumerate() {
            let (mut client, present) = Client::connect_session(&broker, version, id, false);
            assert!(!present, "{id:?}");
            client.subscribe(&format!("for/{n}"), AtLeastOnce);
            client.disconnect();
        }
        let mut publisher = Client::connect(&broker, version, "p");
        for n in 0..ids.len() {
            publisher.publish(&format!("for/{n}"), &n.to_string(), AtLeastOnce);
        }
        for (n, id) in ids.iter().enumerate() {
            let (mut client, present) = Client::connect_session(&broker, version, id, false);
            assert!(present, "{id:?}");
            assert_eq!(client.payloads(1), [n.to_string()], "{id:?}");
            client.expect_nothing();
            client.subscribe("a", AtMostOnce);
            Client::connect_session(&broker, version, id, true).0.disconnect();
        }
    }
}

#[test]
fn v5_3_2_2_2_and_v5_3_2_2_3_and_v311_3_2_2_1_and_v311_3_2_2_2_and_v311_3_2_2_3_session_present_tells_the_truth()
 {
    let broker = Broker::start("");
    for version in BOTH {
        let id = format!("{version:?}");
        // A session that began with a clean session ends with its connection before MQTT 5.
        let after_clean = version == V5;
        for (clean_start, expected) in [(false, false), (false, true), (true, false), (false, after_clean)] {
            let (client, present) = Client::connect_session(&broker, version, &id, clean_start);
            assert_eq!(present, expected, "{version:?}, clean start {clean_start}");
            client.disconnect();
        }
    }
}

#[test]
fn v5_3_1_2_4_and_v311_3_1_2_6_clean_start_throws_the_old_session_away() {
    let broker = Broker::start("");
    for version in BOTH {
        let (mut client, _) = Client::connect_session(&broker, version, "c", false);
        client.subscribe("kept", AtLeastOnce);
        client.disconnect();
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish("kept", "queued", AtLeastOnce);
        let (mut client, _) = Client::connect_session(&broker, version, "c", true);
        publisher.publish("kept", "live", AtLeastOnce);
        client.expect_nothing();
        client.disconnect();
    }
}

#[test]
fn v311_3_1_2_6_a_clean_session_ends_with_its_connection() {
    let broker = Broker::start("");
    Client::connect_session(&broker, V3_1_1, "c", true).0.disconnect();
    assert!(!Client::connect_session(&broker, V3_1_1, "c", false).1);
}

#[test]
fn v5_3_1_2_6_and_v311_3_1_2_4_without_a_stored_session_a_new_one_is_opened_and_kept() {
    let broker = Broker::start("");
    for version in [V3_1, V3_1_1, V5] {
        let id = format!("{version:?}");
        let (mut client, present) = Client::connect_session(&broker, version, &id, false);
        assert!(!present);
        client.expect_nothing();
        client.subscribe("a", ExactlyOnce);
        client.break_off();
        Client::connect(&broker, version, "p").publish("a", "x", ExactlyOnce);
        let (mut client, present) = Client::connect_session(&broker, version, &id, false);
        assert!(present);
        assert_eq!(client.payloads(1), ["x"], "{version:?}");
        client.disconnect();
    }
}

#[test]
fn v5_3_1_4_4_and_v311_3_1_4_3_a_takeover_minds_clean_start_too() {
    let broker = Broker::start("");
    for version in BOTH {
        let (mut first, _) = Client::connect_session(&broker, version, "c", false);
        first.subscribe("a", AtLeastOnce);
        let (mut second, present) = Client::connect_session(&broker, version, "c", false);
        assert!(present, "{version:?}");
        second.publish("a", "kept", AtLeastOnce);
        assert_eq!(second.payloads(1), ["kept"]);
        let (mut third, present) = Client::connect_session(&broker, version, "c", true);
        assert!(!present, "{version:?}");
        third.publish("a", "gone", AtLeastOnce);
        third.expect_nothing();
        third.disconnect();
    }
}

#[test]
fn v5_3_2_0_1_and_v311_3_2_0_1_and_v5_3_2_0_2_connack_comes_once_and_before_all_that_waited() {
    let broker = Broker::start("");
    for version in BOTH {
        let (mut client, _) = Client::connect_session(&broker, version, "c", true);
        client.subscribe("a/#", AtLeastOnce);
        client.disconnect();
        let (mut client, _) = Client::connect_session(&broker, version, "c", false);
        client.subscribe("a/#", AtLeastOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish("a/1", "open", AtLeastOnce);
        assert_eq!(client.message().payload, "open");
        client.break_off();
        publisher.publish("a/2", "queued", AtLeastOnce);
        let mut client = Client::open(broker.address(), version);
        let properties = ConnectProperties {
            session_expiry_interval: (version == V5).then_some(9),
            ..ConnectProperties::default()
        };
        let connect = Connect { clean_start: false, properties, ..connect(version, "c") };
        // Answers are waiting to be sent, too.
        client
            .send_bytes(&[bytes_of(&Packet::Connect(Box::new(connect)), version), frame(0xC0, &[])].concat());
        let mut heard = Vec::new();
        for _ in 0..4 {
            heard.push(match client.receive() {
                Received::Packet(Packet::ConnAck(_)) => "CONNACK".to_owned(),
                Received::Packet(Packet::PingResp) => "PINGRESP".to_owned(),
                Received::Message(message) => message.payload,
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(heard[0], "CONNACK", "{version:?}");
        heard.sort_unstable();
        assert_eq!(heard, ["CONNACK", "PINGRESP", "open", "queued"], "{version:?}");
        Client::connect_session(&broker, version, "c", true).0.disconnect();
    }
}

#[test]
fn v5_3_2_2_1_the_flags_of_connack_are_0_but_for_session_present() {
    let broker = Broker::start("");
    let flags_of = |connect: &Connect| {
        let mut client = Client::open(broker.address(), connect.version);
        client.send(&Packet::Connect(Box::new(connect.clone())));
        let connack = client.receive_bytes();
        assert_eq!(connack[0], 0x20);
        let length_bytes = connack[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
        connack[1 + length_bytes]
    };
    assert_eq!(flags_of(&expiring("c", false, 100)), 0);
    assert_eq!(flags_of(&expiring("c", false, 100)), 1);
    assert_eq!(flags_of(&expiring("c", true, 100)), 0);
    let properties =
        ConnectProperties { authentication_method: Some("x".into()), ..ConnectProperties::default() };
    assert_eq!(flags_of(&Connect { properties, ..connect(V5, "c") }), 0);
    for (clean_start, expected) in [(false, 0), (false, 1), (true, 0)] {
        assert_eq!(flags_of(&Connect { clean_start, ..connect(V3_1_1, "d") }), expected);
    }
}

#[test]
fn v5_3_1_2_28_response_information_is_for_clients_that_ask() {
    let broker = Broker::start("response_information = \"responses/%c\"\n");
    let told = |client_id, request_response_information| {
        let properties = ConnectProperties { request_response_information, ..ConnectProperties::default() };
        let connect = Connect { properties, ..connect(V5, client_id) };
        Client::connect_with(&broker, connect).1.properties.response_information
    };
    assert_eq!(told("silent", None), None);
    assert_eq!(told("content", Some(false)), None);
    assert_eq!(told("curious", Some(true)).as_deref(), Some("responses/curious"));
}

/// MQTT 3.1 has other names and limits, but we serve it as 3.1.1.
#[test]
fn mqtt_3_1_is_served_with_the_rules_of_3_1_1() {
    let broker = Broker::start("");
    // Every byte, as its clients send them: identifier longer than 3.1 allows, will, keep alive.
    let id = "an identifier of more than 23 bytes";
    let will = [field("will/old"), field("gone")].concat();
    let bytes = frame(0x10, &[&field("MQIsdp")[..], &[3, 0b0000_1110, 0, 60], &field(id), &will].concat());
    let mut witness = witness(&broker);
    let mut old = Client::open(broker.address(), V3_1);
    old.send_bytes(&bytes);
    assert_eq!(old.receive_bytes(), [0x20, 2, 0, 0]);
    old.send_bytes(&[0x82, 14, 0, 7, 0, 1, b'a', 0, 0, 1, b'b', 1, 0, 1, b'c', 2]);
    assert_eq!(old.receive_bytes(), [0x90, 5, 0, 7, 0, 1, 2]);
    for (topic, qos) in [("a", AtMostOnce), ("b", AtLeastOnce), ("c", ExactlyOnce)] {
        old.publish(topic, "x", qos);
        assert_eq!(old.accept().qos, qos);
    }
    old.send_bytes(&[0xA2, 5, 0, 8, 0, 1, b'a']);
    assert_eq!(old.receive_bytes(), [0xB0, 2, 0, 8]);
    old.ping();
    // A mistake costs the connection, without a word; the will is sent.
    old.send_bytes(&[0xC1, 0]);
    old.expect_closed();
    assert_eq!(witness.accept().topic, "will/old");
    // A session stays without clean session, and is told as 3.1.1 tells it.
    assert!(!Client::connect_session(&broker, V3_1, "stays", false).1);
    assert!(Client::connect_session(&broker, V3_1, "stays", false).1);
    assert!(!Client::connect_session(&broker, V3_1, "stays", true).1);
}

#[test]
fn v5_3_1_4_3_and_v311_3_1_4_2_the_older_connection_with_a_client_identifier_is_closed() {
    let broker = Broker::start("");
    for older in BOTH {
        for newer in BOTH {
            let mut first = Client::connect(&broker, older, "c");
            let mut second = Client::connect(&broker, newer, "c");
            first.expect_disconnect(ReasonCode::SessionTakenOver);
            second.ping();
            second.disconnect();
        }
    }
}

#[test]
fn v5_3_1_4_3_a_session_taken_over_is_resumed_with_all_it_had() {
    let broker = Broker::start("");
    for version in BOTH {
        let id = format!("{version:?}");
        let (mut first, _) = Client::connect_session(&broker, version, &id, false);
        first.subscribe("a", AtLeastOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish("a", "open", AtLeastOnce);
        assert_eq!(first.message().payload, "open");
        let (mut second, present) = Client::connect_session(&broker, version, &id, false);
        assert!(present, "{version:?}");
        first.expect_disconnect(ReasonCode::SessionTakenOver);
        let again = second.accept();
        assert_eq!((again.payload.as_str(), again.dup), ("open", true));
        publisher.publish("a", "next", AtLeastOnce);
        assert_eq!(second.payloads(1), ["next"]);
        second.expect_nothing();
        second.disconnect();
    }
}

#[test]
fn v5_3_2_2_connack_announces_the_limits_that_hold() {
    let broker = Broker::start(
        "[limits]\nreceive_maximum = 7\nmax_packet_size = 1234\ntopic_alias_maximum = 3\nmax_keep_alive = 60\n\
         max_session_expiry = 100\n",
    );
    let (_client, connack) = Client::connect_with(&broker, expiring("c", true, 1000));
    let properties = connack.properties;
    assert_eq!(properties.receive_maximum.map(Into::into), Some(7));
    assert_eq!(properties.maximum_packet_size.map(Into::into), Some(1234));
    assert_eq!(properties.topic_alias_maximum, Some(3));
    assert_eq!(properties.server_keep_alive, Some(60));
    assert_eq!(properties.session_expiry_interval, Some(100));
    assert_eq!(properties.authentication_method, None); // v5 MQTT-4.12.0-6
    // What is served needs no mention: absent means yes.
    assert!(properties.maximum_qos.is_none() && properties.retain_available != Some(false));
    assert!(properties.wildcard_subscription_available != Some(false));
    assert!(properties.shared_subscription_available != Some(false));
    assert!(properties.subscription_identifiers_available != Some(false));

    let modest = Connect { keep_alive: 30, ..expiring("d", true, 50) };
    let (_client, connack) = Client::connect_with(&broker, modest);
    assert_eq!(connack.properties.server_keep_alive, None);
    assert_eq!(connack.properties.session_expiry_interval, None);
}

#[test]
fn v5_4_12_0_1_an_authentication_method_that_is_not_served_is_refused() {
    let broker = Broker::start("");
    let properties = ConnectProperties {
        authentication_method: Some("SCRAM-SHA-1".into()),
        ..ConnectProperties::default()
    };
    let mut client = Client::open(broker.address(), V5);
    client.send(&Packet::Connect(Box::new(Connect { properties, ..connect(V5, "c") })));
    client.expect_refused_in_words(ReasonCode::BadAuthenticationMethod);
}

#[test]
fn v5_4_12_0_7_auth_without_an_agreed_method_ends_the_connection() {
    let broker = Broker::start("");
    let mut client = Client::connect(&broker, V5, "c");
    let properties = AuthProperties { authentication_method: Some("x".into()), ..AuthProperties::default() };
    client.send(&Packet::Auth(Auth { reason: ReasonCode::ReAuthenticate, properties }));
    client.expect_disconnect_in_words(ReasonCode::ProtocolError);
}

#[test]
fn v5_3_1_4_2_and_v5_3_2_2_6_and_v5_3_2_2_7_and_v311_3_2_2_4_and_v311_3_2_2_5_more_connections_than_allowed_are_refused()
 {
    let broker = Broker::start("[limits]\nmax_connections = 1\n");
    // There is a session that could be present.
    Client::connect_session(&broker, V5, "more", false).0.disconnect();
    // Its place may be free a moment later.
    let mut only = loop {
        let mut client = Client::open(broker.address(), V5);
        client.send(&Packet::Connect(Box::new(connect(V5, "only"))));
        if client.expect_connack().reason == ReasonCode::Success {
            break client;
        }
    };
    for (version, reason) in [(V3_1_1, ReasonCode::ServerUnavailable), (V5, ReasonCode::QuotaExceeded)] {
        let mut refused = Client::open(broker.address(), version);
        refused.send(&Packet::Connect(Box::new(Connect { clean_start: false, ..connect(version, "more") })));
        refused.expect_refused(reason);
    }
    only.ping();
}

#[test]
fn v5_3_1_4_2_anonymous_clients_stay_out_if_the_config_says_so() {
    let broker = Broker::start("allow_anonymous = false\n");
    for version in BOTH {
        let mut refused = Client::open(broker.address(), version);
        refused.send(&Packet::Connect(Box::new(connect(version, "c"))));
        let connack = refused.expect_connack();
        assert!(
            matches!(connack.reason, ReasonCode::NotAuthorized | ReasonCode::BadUserNameOrPassword),
            "{connack:?}"
        );
        refused.expect_closed();
    }
}

#[test]
fn a_connect_may_come_byte_by_byte() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::open(broker.address(), version);
        let id = ClientId::new("slow");
        for byte in
            bytes_of(&Packet::Connect(Box::new(Connect { client_id: id, ..connect(version, "") })), version)
        {
            client.send_bytes(&[byte]);
        }
        assert_eq!(client.expect_connack().reason, ReasonCode::Success);
        client.ping();
    }
}

#[test]
fn v5_3_1_4_packets_right_behind_connect_need_not_wait_for_connack() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::open(broker.address(), version);
        let connect = bytes_of(&Packet::Connect(Box::new(connect(version, "c"))), version);
        client.send_bytes(&[connect, frame(0xC0, &[])].concat());
        assert_eq!(client.expect_connack().reason, ReasonCode::Success); // v5 MQTT-3.2.0-1
        client.expect_packet(&Packet::PingResp);
    }
}
