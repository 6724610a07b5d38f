use super::write_digits;
use crate::{
    options::{Format, Payload},
    stamp::Stamp,
};
use serde_json::json;

const STAMP: Stamp = Stamp { run: u32::MAX, publisher: 7, sequence: (1 << 53) - 1, due: 12 };

#[test]
fn json_is_an_object_of_the_size_that_was_asked_for() {
    for size in [120, 121, 5000] {
        let payload = Payload { size, format: Format::Json }.stamped(STAMP);
        assert_eq!(payload.len(), size);
        let expected = json!({
            "run": u32::MAX, "publisher": 7, "sequence": 9_007_199_254_740_991_u64, "due": 12,
            "celsius": 21.5, "padding": ".".repeat(size - 120),
        });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&payload).unwrap(), expected);
        assert_eq!(Format::Json.read(&payload), Some(STAMP));
    }
}

#[test]
fn bytes_begin_with_the_stamp() {
    let payload = Payload { size: 30, format: Format::Bytes }.stamped(STAMP);
    assert_eq!((&payload[24..], Format::Bytes.read(&payload)), (&b"......"[..], Some(STAMP)));
    assert_eq!(Format::Bytes.read(&payload[..23]), None);
}

#[test]
fn bytes_keep_their_length() {
    let payload = |format| Payload { size: 30, format };
    assert!(payload(Format::Bytes).may_be(&[0; 30]) && !payload(Format::Bytes).may_be(&[0; 31]));
    assert!(payload(Format::Json).may_be(&[0; 31]));
}

#[test]
fn what_is_too_small_is_told() {
    let why = Payload { size: 119, format: Format::Json }.check().unwrap_err().to_string();
    assert_eq!(why, "--size 119: JSON takes 120 bytes, as number and time of the message are in it");
}

#[test]
fn digits_stand_at_the_end() {
    for (number, expected) in [(0, "..0"), (9, "..9"), (10, ".10"), (999, "999")] {
        let mut to = *b"...";
        write_digits(&mut to, number);
        assert_eq!(str::from_utf8(&to), Ok(expected));
    }
}
