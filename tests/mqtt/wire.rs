//! Byte for byte: what a client hears that knows the standard and nothing else.

use std::io::{Read, Write};
use tidegate_mqtt::{QoS, Version};
use tidegate_tests::{BOTH, Broker, Client, PATIENCE, Received, connect_frame, field, frame};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::V3_1_1;

/// A socket without a client behind it.
fn raw(broker: &Broker) -> std::net::TcpStream {
    let stream = Client::open(broker.address(), V3_1_1).stream();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn hears(stream: &mut std::net::TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, expected, "{bytes:02X?}, not {expected:02X?}");
}

#[test]
fn v311_7_0_0_2_and_v311_4_5_0_1_a_client_needs_nothing_but_the_standard() {
    let broker = Broker::start("");
    let mut subscriber = raw(&broker);
    let mut publisher = raw(&broker);
    for (stream, id) in [(&mut subscriber, "s"), (&mut publisher, "p")] {
        stream.write_all(&connect_frame("MQTT", 4, 0x02, &field(id))).unwrap();
        hears(stream, &[0x20, 2, 0, 0]);
    }
    let filters = [&[0, 10][..], &field("a/+"), &[1], &field("b/#"), &[2], &field("c"), &[0]].concat();
    subscriber.write_all(&frame(0x82, &filters)).unwrap();
    hears(&mut subscriber, &[0x90, 5, 0, 10, 1, 2, 0]);
    let publish = |first: u8, topic: &str, id: &[u8]| frame(first, &[&field(topic)[..], id, b"hi"].concat());

    publisher.write_all(&publish(0x30, "c", &[])).unwrap();
    hears(&mut subscriber, &publish(0x30, "c", &[]));

    publisher.write_all(&publish(0x32, "a/b", &[0, 7])).unwrap();
    hears(&mut publisher, &[0x40, 2, 0, 7]);
    hears(&mut subscriber, &[0x32, 9, 0, 3, b'a', b'/', b'b']);
    let mut id = [0; 2];
    subscriber.read_exact(&mut id).unwrap();
    assert_ne!(id, [0, 0]);
    hears(&mut subscriber, b"hi");
    subscriber.write_all(&[0x40, 2, id[0], id[1]]).unwrap();

    publisher.write_all(&publish(0x34, "b/c", &[0, 8])).unwrap();
    hears(&mut publisher, &[0x50, 2, 0, 8]);
    publisher.write_all(&[0x62, 2, 0, 8]).unwrap();
    hears(&mut publisher, &[0x70, 2, 0, 8]);
    hears(&mut subscriber, &[0x34, 9, 0, 3, b'b', b'/', b'c']);
    subscriber.read_exact(&mut id).unwrap();
    hears(&mut subscriber, b"hi");
    subscriber.write_all(&[0x50, 2, id[0], id[1]]).unwrap();
    hears(&mut subscriber, &[0x62, 2, id[0], id[1]]);
    subscriber.write_all(&[0x70, 2, id[0], id[1]]).unwrap();

    subscriber.write_all(&frame(0xA2, &[&[0, 11][..], &field("a/+")].concat())).unwrap();
    hears(&mut subscriber, &[0xB0, 2, 0, 11]);
    subscriber.write_all(&[0xC0, 0]).unwrap();
    hears(&mut subscriber, &[0xD0, 0]);
    for mut stream in [subscriber, publisher] {
        stream.write_all(&[0xE0, 0]).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed without a word");
    }
}

#[test]
fn v5_3_12_4_1_and_v311_3_12_4_1_every_ping_is_answered() {
    let broker = Broker::start("");
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        client.send_bytes(&[0xC0, 0].repeat(100));
        for _ in 0..100 {
            assert_eq!(client.receive(), Received::Packet(tidegate_mqtt::Packet::PingResp));
        }
        client.expect_nothing();
    }
}

#[test]
fn v5_4_2_0_1_and_v311_7_1_1_1_tcp_carries_every_byte_both_ways_in_order() {
    let broker = Broker::start("");
    // No two parts of it are alike.
    let text: String = (0..400_000_u64).map(|n| char::from(b' ' + (n * n / 7 % 89) as u8)).collect();
    for version in BOTH {
        let mut subscriber = Client::connect(&broker, version, "s");
        subscriber.subscribe("a", ExactlyOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        for (at, qos) in [0, 1, 99, 4_096, 65_535, 131_073]
            .into_iter()
            .zip([AtMostOnce, AtLeastOnce, ExactlyOnce].into_iter().cycle())
        {
            for len in [0, 1, 127, 128, 16_383, 16_384, 250_000] {
                publisher.publish("a", &text[at..at + len], qos);
                let got = subscriber.accept().payload;
                assert!(
                    got == text[at..at + len],
                    "{version:?}: {len} bytes at {at} came as {} others",
                    got.len()
                );
            }
        }
        subscriber.expect_nothing();
        subscriber.disconnect();
    }
}
