//! What fuzz targets call: any bytes are given to what reads bytes of strangers.

use crate::{proxy::parse, websocket::frames::Decoder};

/// Bytes of a WebSocket client behind its handshake, as a whole and in pieces: both must come to the same, and nothing may panic. The
/// first byte says how long the pieces are.
///
/// # Panics
/// If it makes a difference where the network cuts.
pub fn websocket(data: &[u8]) {
    let Some((size, data)) = data.split_first() else { return };
    let size = usize::from(*size).max(1);
    let mut whole = Decoder::default();
    let mut bytes = data.to_vec();
    let len = whole.decode(&mut bytes);
    bytes.truncate(len);
    let mut pieces = Decoder::default();
    let mut collected = Vec::new();
    for piece in data.chunks(size) {
        let mut piece = piece.to_vec();
        let len = pieces.decode(&mut piece);
        collected.extend_from_slice(&piece[..len]);
    }
    assert_eq!(collected, bytes);
    assert_eq!(pieces.end(), whole.end());
    assert_eq!(pieces.take_pong(), whole.take_pong());
}

/// Bytes before a PROXY header has ended: what is accepted must be accepted whatever follows, and nothing shorter may be.
///
/// # Panics
/// If it makes a difference what follows.
pub fn proxy_header(data: &[u8]) {
    match parse(data) {
        Ok(Some((_, len))) => {
            assert_eq!(parse(&data[..len]), parse(data));
            assert_eq!(parse(&data[..len - 1]), Ok(None));
        }
        Ok(None) => assert!(crate::proxy::missing(data) > 0),
        Err(_) => {}
    }
}
