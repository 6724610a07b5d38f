use super::{Shape, Template, Topic, numbered};
use crate::stamp::Stamp;
use tidegate_mqtt::{Packet, PacketId, Publish, QoS, Version, next_frame};

const SHAPE: Shape<'static> = Shape {
    version: Version::V5,
    topic: Topic::One("bench/p2p/7", 7),
    qos: QoS::AtMostOnce,
    retain: false,
    size: 50,
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
    assert_eq!((topic, qos, retain, payload.len()), (expected_topic, shape.qos, shape.retain, shape.size));
    assert_eq!(packet_id, PacketId::new(0xABCD).filter(|_| qos > QoS::AtMostOnce));
    let stamp = Stamp { run: 3, publisher, sequence: 1 << 40, due: 99 };
    assert_eq!(Stamp::read(payload), (shape.size > 0).then_some(stamp));
}

#[test]
fn copies_are_packets_in_every_version_and_quality() {
    for version in [Version::V3_1_1, Version::V5] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for size in [24, 127, 128, 20_000] {
                let shape = Shape { version, qos, size, ..SHAPE };
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
    let shape = Shape { topic: Topic::Numbered("x/"), retain: true, size: 0, ..SHAPE };
    check(&shape, 12, &numbered("x/", 12), 12);
    assert_eq!(numbered("x/", 12), "x/0000000012");
}
