//! Packets byte by byte, for what no encoder writes.

/// A packet with this first byte and body; the length in between is right.
pub fn frame(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    let mut left = body.len();
    loop {
        let (low, more) = (left & 0x7F, left > 0x7F);
        bytes.push(low as u8 | if more { 0x80 } else { 0 });
        left >>= 7;
        if !more {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// A CONNECT: protocol name, level, flags, a keep alive of 0, and what follows.
pub fn connect_frame(name: &str, level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    frame(0x10, &[&field(name)[..], &[level, flags, 0, 0], rest].concat())
}

/// Text or binary data behind its two bytes of length.
///
/// # Panics
/// If it is longer than those can say.
pub fn field(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let len = u16::try_from(bytes.len()).expect("a field has at most 65,535 bytes");
    [&len.to_be_bytes(), bytes].concat()
}
