use super::{decode, malformed, split};
use tidegate_mqtt::{Packet, Version};

#[test]
fn packets_are_split_wherever_the_bytes_end() {
    let mut bytes = vec![0xD0, 0, 0x30, 0x80, 0x01];
    bytes.extend([7; 128]);
    let (piece, rest) = split(&bytes).unwrap();
    assert_eq!((piece.first, piece.body.len(), piece.whole.len(), rest.len()), (0xD0, 0, 2, 131));
    let (piece, rest) = split(rest).unwrap();
    assert_eq!((piece.first, piece.body.len(), piece.whole.len(), rest.len()), (0x30, 128, 131, 0));
    for end in 2..bytes.len() {
        let (_, rest) = split(&bytes[..end]).unwrap();
        assert!(split(rest).is_none(), "{end}");
        assert_eq!(malformed(rest), None, "{end}");
    }
    assert!(split(&bytes[..1]).is_none());
}

#[test]
fn what_is_no_packet_is_not_waited_for() {
    // A length of five bytes; a packet type that is none.
    for bytes in [&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1][..], &[0x00, 0x00, 0]] {
        assert!(split(bytes).is_none_or(|(piece, _)| decode(piece, Version::V5).is_err()));
        assert!(split(bytes).is_some() || malformed(bytes).is_some());
    }
}

#[test]
fn rare_packets_are_taken_apart_by_the_codec() {
    let (piece, _) = split(&[0xD0, 0]).unwrap();
    assert_eq!(decode(piece, Version::V5), Ok(Packet::PingResp));
    let (piece, _) = split(&[0x20, 2, 0, 5]).unwrap();
    let Ok(Packet::ConnAck(connack)) = decode(piece, Version::V3_1_1) else { panic!() };
    assert!(connack.reason.is_error());
}
