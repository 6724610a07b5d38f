//! Packets to bytes and back.

use super::{input::Input, packets};
use tidegate_mqtt::{EncodeError, Packet, Version, next_frame};

const ALL: [Version; 3] = [Version::V3_1, Version::V3_1_1, Version::V5];

/// Reads `data` twice: as packets off the network, and as choices that make a packet.
///
/// # Panics
/// If a packet does not come back as it went, or a failure leaves something behind.
pub fn run(data: &[u8]) {
    for version in ALL {
        let mut rest = data;
        while let Ok(Some(frame)) = next_frame(rest, u32::MAX) {
            rest = &rest[frame.len()..];
            if let Ok(packet) = frame.decode(version) {
                comes_back(&packet, version);
                fits(&packet, version);
                // MQTT 5 asks for more than older packets may have, such as reasons in UNSUBACK.
                if version == Version::V5 {
                    survives_other_versions(&packet);
                }
            }
        }
    }
    let mut input = Input::new(data);
    let packet = packets::packet(&mut input);
    comes_back(&packet, Version::V5);
    survives_other_versions(&packet);
    fits(&packet, Version::V5);
}

/// The version that the packet is of can say all of it. A CONNECT goes by its own.
fn comes_back(packet: &Packet<'_>, version: Version) {
    let bytes = encode(packet, version).unwrap_or_else(|error| panic!("{error} in {packet:?}"));
    assert_eq!(decode(&bytes, version), *packet);
}

/// Another version may say less, or nothing; what it says it says again.
fn survives_other_versions(packet: &Packet<'_>) {
    for version in ALL {
        if let Ok(bytes) = encode(packet, version) {
            let seen = decode(&bytes, version);
            assert_eq!(seen.packet_type(), packet.packet_type());
            assert_eq!(encode(&seen, version).as_ref(), Ok(&bytes), "{packet:?} in {version:?}");
        }
    }
}

/// Receivers get nothing larger than they take, and everything that is not.
fn fits(packet: &Packet<'_>, version: Version) {
    let Ok(whole) = encode(packet, version) else { return };
    for limit in [whole.len(), whole.len() - 1, whole.len() / 2, 2] {
        let mut out = Vec::new();
        match packet.encode_within(version, limit as u32, &mut out) {
            Ok(()) => {
                assert!(out.len() <= limit);
                assert_eq!(decode(&out, version).packet_type(), packet.packet_type());
                assert!(limit < whole.len() || out == whole);
            }
            Err(error) => {
                assert_eq!((error, out.len()), (EncodeError::TooLarge, 0));
                assert!(limit < whole.len());
            }
        }
    }
}

fn encode(packet: &Packet<'_>, version: Version) -> Result<Vec<u8>, EncodeError> {
    let mut out = b"before".to_vec();
    let encoded = packet.encode(version, &mut out);
    assert!(out.starts_with(b"before"));
    let bytes = out.split_off(6);
    match encoded {
        Ok(()) => {
            assert_eq!(packet.encoded_len(version), Ok(bytes.len()));
            Ok(bytes)
        }
        Err(error) => {
            assert!(bytes.is_empty(), "{error} leaves nothing behind");
            Err(error)
        }
    }
}

fn decode(bytes: &[u8], version: Version) -> Packet<'_> {
    let frame = next_frame(bytes, u32::MAX).ok().flatten().expect("what we encode is a frame");
    assert_eq!(frame.len(), bytes.len());
    frame.decode(version).unwrap_or_else(|error| panic!("{error} in what we encode: {bytes:?}"))
}
