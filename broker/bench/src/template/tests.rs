use super::{Shape, Template, Topic, numbered};
use crate::{
    options::{Format, Payload},
    stamp::Stamp,
};
use tidegate_mqtt::{Packet, PacketId, Publish, QoS, Version, next_frame};

const SHAPE: Shape<'static> = Shape {
    version: Version::V5,
    topic: Topic::One("bench/p2p/7", 7),
    qos: QoS::AtMostOnce,
    retain: false,
    payload: Some(Payload { size: 50, format: Format::Bytes }),
    run: 3,
};

/// Checks that a copy is what the codec takes for this message.
fn check(shape: &Shape<'_>, topic: u32, expected_topic: &str, publisher: u32) {
    let template = Template::new(shape).unwrap();
    let mut out = b"before".to_vec();
    template.append(&mut out, 0xABCD, topic, 1 << 40, 99);
    let bytes = &out[6..];
    assert_eq!(bytes.len(), template.len());
    let frame = next_frame(bytes, u32::MAX).unwrap().unwrap();
    assert_eq!(frame.len(), bytes.len());
    let Packet::Publish(Publish { topic, packet_id, qos, retain, payload, .. }) =
        frame.decode(shape.version).unwrap()
    else {
        panic!("not a PUBLISH");
    };
    assert_eq!((topic, qos, retain), (expected_topic, shape.qos, shape.retain));
    assert_eq!(payload.len(), shape.payload.map_or(0, |payload| payload.size));
    assert_eq!(packet_id, PacketId::new(0xABCD).filter(|_| qos > QoS::AtMostOnce));
    let stamp = Stamp { run: 3, publisher, sequence: 1 << 40, due: 99 };
    let read = shape.payload.and_then(|kind| kind.format.read(payload));
    assert_eq!(read, shape.payload.map(|_| stamp));
}

#[test]
fn copies_are_packets_in_every_version_and_quality() {
    for version in [Version::V3_1_1, Version::V5] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for (size, format) in [
                (24, Format::Bytes),
                (127, Format::Bytes),
                (128, Format::Bytes),
                (20_000, Format::Bytes),
                (120, Format::Json),
                (20_000, Format::Json),
            ] {
                let shape = Shape { version, qos, payload: Some(Payload { size, format }), ..SHAPE };
                check(&shape, 0, "bench/p2p/7", 7);
                check(
                    &Shape { topic: Topic::Numbered("x/"), retain: true, ..shape },
                    4_000_000_019,
                    "x/4000000019",
                    4_000_000_019,
                );
            }
        }
    }
}

#[test]
fn an_empty_payload_bears_no_stamp() {
    let shape = Shape { topic: Topic::Numbered("x/"), retain: true, payload: None, ..SHAPE };
    check(&shape, 12, &numbered("x/", 12), 12);
    assert_eq!(numbered("x/", 12), "x/0000000012");
}
