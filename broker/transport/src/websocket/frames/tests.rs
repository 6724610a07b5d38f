use super::*;
use proptest::prelude::*;

fn frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame_head(Opcode::Binary, payload.len(), &mut bytes);
    bytes[0] = first;
    bytes[1] |= 0x80;
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

#[test]
fn lengths_take_the_shortest_form() {
    let head = |len| {
        let mut bytes = Vec::new();
        frame_head(Opcode::Binary, len, &mut bytes);
        bytes
    };
    assert_eq!(head(0), [0x82, 0]);
    assert_eq!(head(125), [0x82, 125]);
    assert_eq!(head(126), [0x82, 126, 0, 126]);
    assert_eq!(head(65_535), [0x82, 126, 0xFF, 0xFF]);
    assert_eq!(head(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn what_is_wrong_is_said_before_the_frame_is_whole() {
    let mut decoder = Decoder::default();
    decoder.decode(&mut [0x81]);
    assert!(matches!(decoder.end(), Some(End::Violation { code: 1003, .. })));
    let mut decoder = Decoder::default();
    decoder.decode(&mut [0x82, 0x05]);
    assert!(matches!(decoder.end(), Some(End::Violation { code: 1002, .. })));
}

#[test]
fn nothing_is_decoded_behind_the_end() {
    let mut bytes = [frame(0x88, [0; 4], &[]), frame(0x82, [0; 4], b"late")].concat();
    let mut decoder = Decoder::default();
    assert_eq!(decoder.decode(&mut bytes), 0);
    assert_eq!(decoder.end(), Some(&End::Closed { code: None }));
}

proptest! {
    #[test]
    fn any_bytes_come_to_the_same_however_they_are_cut(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        crate::fuzz::websocket(&bytes);
    }

    #[test]
    fn frames_come_to_the_same_however_they_are_cut(
        size in any::<u8>(),
        frames in proptest::collection::vec(
            (
                prop::sample::select(vec![0x82, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88, 0x81]),
                any::<[u8; 4]>(),
                proptest::collection::vec(any::<u8>(), 0..140),
            ),
            0..12,
        ),
    ) {
        let frames = frames.iter().flat_map(|(first, mask, payload)| frame(*first, *mask, payload));
        crate::fuzz::websocket(&std::iter::once(size).chain(frames).collect::<Vec<_>>());
    }

    #[test]
    fn binary_frames_hold_what_was_put_in(
        mask in any::<[u8; 4]>(),
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70_000), 0..4),
        size in 1_usize..5000,
    ) {
        let sent: Vec<u8> = payloads.iter().flat_map(|payload| frame(0x82, mask, payload)).collect();
        let mut decoder = Decoder::default();
        let mut got = Vec::new();
        for piece in sent.chunks(size) {
            let mut piece = piece.to_vec();
            let len = decoder.decode(&mut piece);
            got.extend_from_slice(&piece[..len]);
        }
        prop_assert_eq!(decoder.end(), None);
        prop_assert!(got == payloads.concat());
    }
}
