//! Bytes from the network, as a connection of each version takes them.

use tidegate_mqtt::{DecodeError, Frame, Version, next_frame};

/// Small enough for the fuzzer to find the limit.
const MAX_PACKET_SIZE: u32 = 1000;

/// Takes packets off the front of `data` until something is wrong or missing.
///
/// # Panics
/// If the codec breaks a promise.
pub fn run(data: &[u8]) {
    for version in [Version::V3_1, Version::V3_1_1, Version::V5] {
        let mut rest = data;
        while let Some(frame) = frame(rest) {
            take_apart(frame, version);
            rest = &rest[frame.len()..];
        }
    }
}

fn frame(buffer: &[u8]) -> Option<Frame<'_>> {
    let found = next_frame(buffer, MAX_PACKET_SIZE);
    match found {
        Ok(Some(frame)) => {
            assert!((2..=buffer.len()).contains(&frame.len()), "a frame ends in its buffer");
            assert!(frame.len() <= MAX_PACKET_SIZE as usize, "a frame is within the limit");
            // Its last byte makes it one, and what follows does not matter.
            assert!(matches!(next_frame(&buffer[..frame.len() - 1], MAX_PACKET_SIZE), Ok(None)));
            let alone = next_frame(&buffer[..frame.len()], MAX_PACKET_SIZE);
            assert_eq!(alone.ok().flatten().map(|frame| frame.len()), Some(frame.len()));
            Some(frame)
        }
        // Five bytes hold every fixed header, and what it betrays is told at once.
        Ok(None) => {
            assert!(buffer.len() < MAX_PACKET_SIZE as usize);
            None
        }
        Err(error) => {
            if let DecodeError::TooLarge { size, limit } = error {
                assert!(size > limit);
            }
            explains(error);
            None
        }
    }
}

fn take_apart(frame: Frame<'_>, version: Version) {
    let from_anyone = frame.decode(version);
    let from_client = frame.decode_from_client(version);
    match (from_anyone, from_client) {
        (Ok(packet), Ok(from_client)) => {
            assert_eq!(packet, from_client);
            assert_eq!(packet.packet_type(), frame.packet_type());
        }
        (Ok(_), Err(error)) => explains(error),
        (Err(error), Err(from_client)) => {
            explains(error);
            explains(from_client);
        }
        (Err(error), Ok(packet)) => panic!("accepted from a client only: {packet:?}, {error}"),
    }
}

fn explains(error: DecodeError) {
    assert!(error.reason_code().is_error(), "{error:?}");
    assert!(!error.to_string().is_empty(), "{error:?}");
}
