//! From the first packet to CONNACK: who is refused and how, and which session a client gets.

use tidegate_mqtt::{
    Auth, AuthProperties, ClientId, Connect, ConnectProperties, Packet, QoS, ReasonCode, Version,
};
use tidegate_tests::{BOTH, Broker, Client, connect, connect_frame, field, frame, publish};

use Version::{V3_1, V3_1_1, V5};

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
    let first: [&[u8]; 7] = [
        &[0xC0, 0],                                 // PINGREQ
        &[0xE0, 0],                                 // DISCONNECT
        &[0x30, 5, 0, 3, b'a', b'/', b'b'],         // PUBLISH
        &[0x82, 6, 0, 1, 0, 1, b'#', 0],            // SUBSCRIBE
        &[0x20, 2, 0, 0],                           // CONNACK
        &[0xF0, 0],                                 // AUTH
        b"GET / HTTP/1.1\r\nHost: example\r\n\r\n", // not for us at all
    ];
    for bytes in first {
        let mut client = Client::open(broker.address(), V5);
        client.send_bytes(bytes);
        client.expect_closed();
    }
}

#[test]
fn v5_3_1_0_2_and_v311_3_1_0_2_a_second_connect_ends_the_connection() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        client.send(&Packet::Connect(Box::new(connect(version, "c"))));
        client.expect_disconnect(ReasonCode::ProtocolError);
    }
}

#[test]
fn v5_3_1_2_1_and_v311_3_1_2_1_another_protocol_name_is_closed() {
    let broker = Broker::start("");
    for (name, level) in [("MQTX", 4), ("MQTX", 5), ("mqtt", 4), ("MQTT2", 5), ("", 5)] {
        let mut client = Client::open(broker.address(), V5);
        client.send_bytes(&connect_frame(name, level, 2, &[&[0][..], &field("c")].concat()));
        client.expect_closed();
    }
}

#[test]
fn v5_3_1_2_2_and_v311_3_1_2_2_another_level_is_refused_in_a_form_its_client_may_know() {
    let broker = Broker::start("");
    let levels =
        [("MQTT", 0, V3_1_1), ("MQTT", 3, V3_1_1), ("MQIsdp", 4, V3_1_1), ("MQTT", 6, V5), ("MQTT", 100, V5)];
    for (name, level, answered_as) in levels {
        let mut client = Client::open(broker.address(), answered_as);
        client.send_bytes(&connect_frame(name, level, 2, &field("c")));
        client.expect_refused(ReasonCode::UnsupportedProtocolVersion);
    }
}

#[test]
fn v5_3_1_4_1_and_v311_3_1_4_1_a_connect_that_does_not_fit_its_layout_is_refused() {
    let id = field("c");
    let will = [field("w"), field("gone")].concat();
    let bad: [(&str, u8, Vec<u8>); 11] = [
        ("v5 3.1.2-3: reserved flag", 0b0000_0011, id.clone()),
        ("v5 3.1.2-11: will QoS without will", 0b0000_1010, id.clone()),
        ("v5 3.1.2-13: will retain without will", 0b0010_0010, id.clone()),
        ("v5 3.1.2-12: will QoS 3", 0b0001_1110, [id.clone(), will.clone()].concat()),
        ("v5 3.1.2-9: will flag without will", 0b0000_0110, id.clone()),
        ("v5 3.1.2-17: user name flag without user name", 0b1000_0010, id.clone()),
        ("v5 3.1.2-19: password flag without password", 0b1100_0010, [id.clone(), field("u")].concat()),
        ("v5 3.1.2-16: user name without its flag", 0b0000_0010, [id.clone(), field("u")].concat()),
        ("v5 3.1.3-3: no client identifier", 0b0000_0010, Vec::new()),
        ("v5 3.1.3-4: client identifier is not UTF-8", 0b0000_0010, field(b"\xFF")),
        ("v5 3.1.3-12: user name is not UTF-8", 0b1000_0010, [id.clone(), field(b"\xED\xA0\x80")].concat()),
    ];
    let broker = Broker::start("");
    for (what, flags, rest) in bad {
        eprintln!("{what}");
        let mut old = Client::open(broker.address(), V3_1_1);
        old.send_bytes(&connect_frame("MQTT", 4, flags, &rest));
        old.expect_closed();
        let mut new = Client::open(broker.address(), V5);
        // An empty property set before the will, too.
        let rest = if rest.ends_with(&will) { [id.clone(), vec![0], will.clone()].concat() } else { rest };
        new.send_bytes(&connect_frame("MQTT", 5, flags, &[&[0][..], &rest].concat()));
        new.expect_refused(ReasonCode::MalformedPacket);
    }
}

#[test]
fn v5_3_1_2_19_and_v311_3_1_2_22_only_mqtt_5_has_passwords_without_user_names() {
    let broker = Broker::start("");
    let rest = [field("c"), field("secret")].concat();
    let mut old = Client::open(broker.address(), V3_1_1);
    old.send_bytes(&connect_frame("MQTT", 4, 0b0100_0010, &rest));
    old.expect_closed();
    let mut new = Client::open(broker.address(), V5);
    new.send_bytes(&connect_frame("MQTT", 5, 0b0100_0010, &[&[0][..], &rest].concat()));
    assert_eq!(new.expect_connack().reason, ReasonCode::Success);
}

#[test]
fn v5_3_1_4_6_and_v311_3_1_4_5_what_follows_a_refused_connect_is_not_acted_on() {
    let broker = Broker::start("");
    let mut witness = Client::connect(&broker, V5, "witness");
    witness.subscribe("#", QoS::AtMostOnce);
    for version in BOTH {
        let publish = bytes_of(&Packet::Publish(publish("a", "never", QoS::AtMostOnce)), version);
        let mut client = Client::open(broker.address(), V3_1_1);
        client.send_bytes(&[connect_frame("MQTT", 4, 0, &field("")), publish].concat());
        client.expect_refused(ReasonCode::ClientIdentifierNotValid);
    }
    witness.expect_nothing();
}

#[test]
fn v5_3_1_3_5_and_v311_3_1_3_5_ordinary_client_identifiers_are_accepted() {
    let broker = Broker::start("");
    let long = "x".repeat(1000);
    for version in BOTH {
        for id in
            ["0", "abcdefghijklmnopqrstuvw", "ABCDEFGHIJKLMNOPQRSTUVW", "01234567890123456789012", &long]
        {
            Client::connect(&broker, version, id).disconnect();
        }
    }
}

#[test]
fn v5_3_1_3_6_and_v5_3_1_3_7_an_empty_client_identifier_is_replaced_and_told() {
    let broker = Broker::start("");
    let assigned = |clean_start| {
        let (client, connack) = Client::connect_with(&broker, expiring("", clean_start, u32::MAX));
        assert!(!connack.session_present);
        (client, connack.properties.assigned_client_identifier.expect("it is told"))
    };
    let (first, one) = assigned(true);
    let (_second, two) = assigned(false);
    assert_ne!(one, two); // v5 MQTT-3.2.2-16
    assert!(!one.is_empty() && !two.is_empty());
    first.disconnect();
    // As though the client had sent it.
    let (_, present) = Client::connect_session(&broker, V5, &one, false);
    assert!(present);
    let (_, connack) = Client::connect_with(&broker, connect(V5, "named"));
    assert_eq!(connack.properties.assigned_client_identifier, None);
}

#[test]
fn v311_3_1_3_8_an_empty_client_identifier_goes_with_clean_session_only() {
    let broker = Broker::start("");
    for version in [V3_1, V3_1_1] {
        let (mut first, _) = Client::connect_with(&broker, connect(version, ""));
        let (mut second, _) = Client::connect_with(&broker, connect(version, ""));
        first.ping(); // v311 MQTT-3.1.3-6: they are not the same client.
        second.ping();
        let mut refused = Client::open(broker.address(), version);
        refused.send(&Packet::Connect(Box::new(Connect { clean_start: false, ..connect(version, "") })));
        refused.expect_refused(ReasonCode::ClientIdentifierNotValid);
    }
}

#[test]
fn v5_3_2_2_3_and_v311_3_2_2_2_session_present_says_whether_a_session_was_there() {
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
        client.subscribe("kept", QoS::AtLeastOnce);
        client.disconnect();
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish("kept", "queued", QoS::AtLeastOnce);
        let (mut client, _) = Client::connect_session(&broker, version, "c", true);
        publisher.publish("kept", "live", QoS::AtLeastOnce);
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
        first.subscribe("a", QoS::AtLeastOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish("a", "open", QoS::AtLeastOnce);
        assert_eq!(first.message().payload, "open");
        let (mut second, present) = Client::connect_session(&broker, version, &id, false);
        assert!(present, "{version:?}");
        first.expect_disconnect(ReasonCode::SessionTakenOver);
        let again = second.accept();
        assert_eq!((again.payload.as_str(), again.dup), ("open", true));
        publisher.publish("a", "next", QoS::AtLeastOnce);
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
    assert_eq!(properties.response_information, None); // v5 MQTT-3.1.2-28
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
    client.expect_refused(ReasonCode::BadAuthenticationMethod);
}

#[test]
fn v5_4_12_0_7_auth_without_an_agreed_method_ends_the_connection() {
    let broker = Broker::start("");
    let mut client = Client::connect(&broker, V5, "c");
    let properties = AuthProperties { authentication_method: Some("x".into()), ..AuthProperties::default() };
    client.send(&Packet::Auth(Auth { reason: ReasonCode::ReAuthenticate, properties }));
    client.expect_disconnect(ReasonCode::ProtocolError);
}

#[test]
fn v5_3_1_4_2_and_v311_3_1_4_2_more_connections_than_allowed_are_refused() {
    let broker = Broker::start("[limits]\nmax_connections = 1\n");
    let only = Client::connect(&broker, V5, "only");
    for (version, reason) in [(V3_1_1, ReasonCode::ServerUnavailable), (V5, ReasonCode::QuotaExceeded)] {
        let mut refused = Client::open(broker.address(), version);
        refused.send(&Packet::Connect(Box::new(connect(version, "more"))));
        refused.expect_refused(reason);
    }
    only.disconnect();
    Client::connect(&broker, V5, "more").ping();
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
        refused.expect_closed(); // v5 MQTT-3.2.2-7
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
