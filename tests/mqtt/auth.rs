//! AUTH where no authentication method was agreed on.

use tidegate_mqtt::{Connect, ConnectProperties, Packet, QoS, ReasonCode, Version};
use tidegate_tests::{Broker, Client, Received, connect, each_ends_its_connection};

use ReasonCode::{MalformedPacket as Malformed, ProtocolError};
use Version::V5;

/// Properties that name the method `x`, behind their length.
const METHOD_X: [u8; 5] = [4, 0x15, 0, 1, b'x'];

fn auth(first_byte: u8, reason: u8) -> Vec<u8> {
    tidegate_tests::frame(first_byte, &[&[reason][..], &METHOD_X].concat())
}

#[test]
fn v5_3_15_1_1_auth_has_no_flags_or_ends_the_connection() {
    let broker = Broker::start("");
    let wrong: Vec<_> = (1..16).map(|flags| ("AUTH flags", auth(0xF0 | flags, 0x19), Malformed)).collect();
    each_ends_its_connection(&broker, V5, &wrong);
}

#[test]
fn v5_3_15_2_1_auth_has_a_reason_of_its_table_or_ends_the_connection() {
    let broker = Broker::start("");
    let wrong = [0x01, 0x04, 0x10, 0x17, 0x1A, 0x80, 0x82, 0x87, 0x8C, 0xFF];
    let cases = wrong.map(|reason| ("AUTH reason", auth(0xF0, reason), ProtocolError));
    each_ends_its_connection(&broker, V5, &cases);
}

#[test]
fn v5_4_12_0_1_every_unknown_method_is_refused_and_closed() {
    let broker = Broker::start("");
    for (method, data) in [("", None), ("SCRAM-SHA-256", None), ("x", Some(&b"\0\xFF"[..]))] {
        let properties = ConnectProperties {
            authentication_method: Some(method.into()),
            authentication_data: data.map(Into::into),
            ..ConnectProperties::default()
        };
        let mut client = Client::open(broker.address(), V5);
        client.send(&Packet::Connect(Box::new(Connect { properties, ..connect(V5, "c") })));
        client.expect_refused(ReasonCode::BadAuthenticationMethod);
    }
}

#[test]
fn v5_4_12_0_6_who_names_no_method_hears_of_none() {
    let broker = Broker::start("");
    let named = Connect {
        username: Some("someone".into()),
        password: Some(bytes::Bytes::from_static(b"secret")),
        ..connect(V5, "named")
    };
    for connect in [connect(V5, "c"), connect(V5, ""), named] {
        let mut client = Client::open(broker.address(), V5);
        client.send(&Packet::Connect(Box::new(connect)));
        // The first packet is CONNACK, not AUTH.
        let connack = client.expect_connack();
        let properties = connack.properties;
        assert_eq!((properties.authentication_method, properties.authentication_data), (None, None));
        if connack.reason.is_error() {
            client.expect_closed();
            continue;
        }
        client.subscribe("a", QoS::AtMostOnce);
        client.publish("a", "x", QoS::AtMostOnce);
        assert!(matches!(client.receive(), Received::Message(_)));
        client.expect_nothing();
    }
}

#[test]
fn v5_4_12_0_7_auth_of_any_kind_ends_a_connection_without_a_method() {
    let broker = Broker::start("");
    let cases = [
        ("continue", auth(0xF0, 0x18), ProtocolError),
        ("authenticate again", auth(0xF0, 0x19), ProtocolError),
        ("success", auth(0xF0, 0x00), ProtocolError),
        ("nothing at all", vec![0xF0, 0], ProtocolError),
    ];
    each_ends_its_connection(&broker, V5, &cases);
}
