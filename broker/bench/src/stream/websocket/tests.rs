use super::{BINARY, CLOSE, CONTINUATION, PING, PONG, WebSocket, write_frame};

/// One whose request was answered.
fn open() -> WebSocket {
    let (mut websocket, answer) = asked();
    let mut answer = answer.into_bytes();
    assert_eq!(websocket.unwrap(&mut answer).unwrap(), 0);
    // What waited: an empty frame.
    assert_eq!(unmask(websocket.reply().unwrap()), [(BINARY, vec![])]);
    websocket
}

/// One that has asked, and the answer that it deserves.
fn asked() -> (WebSocket, String) {
    let (websocket, request) = WebSocket::ask("broker:80", "/mqtt");
    assert!(request.starts_with("GET /mqtt HTTP/1.1\r\nHost: broker:80\r\n"), "{request}");
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nSec-WebSocket-ACCEPT: {accept}\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n\r\n"
    );
    (websocket, answer)
}

/// As a server writes it.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, opcode, payload, [0; 4]);
    out[1] &= 0x7F;
    let mask = out.len() - payload.len() - 4;
    out.drain(mask..mask + 4);
    out
}

/// What a server reads: kinds and payloads.
fn unmask(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        assert_eq!((first & 0xF0, length & 0x80), (0x80, 0x80), "whole and masked");
        let (length, rest) = match length & 0x7F {
            126 => (u16::from_be_bytes([rest[0], rest[1]]) as usize, &rest[2..]),
            127 => (u64::from_be_bytes(*rest.first_chunk().unwrap()) as usize, &rest[8..]),
            length => (length as usize, rest),
        };
        let (mask, rest) = rest.split_at(4);
        let payload = rest[..length].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        frames.push((first & 0x0F, payload.collect()));
        bytes = &rest[length..];
    }
    frames
}

#[test]
fn what_is_sent_is_masked_and_never_the_same_way() {
    let mut websocket = open();
    for length in [0, 5, 125, 126, 65_535, 65_536] {
        let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
        assert_eq!(unmask(websocket.wrap(&payload).unwrap()), [(BINARY, payload)]);
    }
    let first = websocket.wrap(b"same").unwrap().to_vec();
    assert_ne!(first, websocket.wrap(b"same").unwrap());
}

#[test]
fn what_comes_is_put_together_wherever_it_was_cut() {
    let sent: Vec<u8> = (0..70_000_u32).map(|n| (n % 251) as u8).collect();
    let mut bytes = frame(BINARY, &sent[..100]);
    bytes.extend(frame(PING, b"are you there"));
    bytes.extend(frame(CONTINUATION, &sent[100..300]));
    bytes.extend(frame(BINARY, b""));
    bytes.extend(frame(PONG, b""));
    bytes.extend(frame(BINARY, &sent[300..]));
    for size in [1, 2, 3, 7, 100, 4096, bytes.len()] {
        let (mut websocket, mut got, mut replies) = (open(), Vec::new(), Vec::new());
        for chunk in bytes.chunks(size) {
            let mut chunk = chunk.to_vec();
            let count = websocket.unwrap(&mut chunk).unwrap();
            got.extend_from_slice(&chunk[..count]);
            replies.extend_from_slice(websocket.reply().unwrap_or_default());
        }
        assert!(got == sent, "chunks of {size}");
        assert_eq!(unmask(&replies), [(PONG, b"are you there".to_vec())]);
    }
}

#[test]
fn what_comes_with_the_answer_counts_and_what_waited_is_sent() {
    let (mut websocket, answer) = asked();
    assert!(!websocket.is_clear());
    assert!(websocket.wrap(b"hello").is_none());
    let mut bytes = answer.into_bytes();
    bytes.extend(frame(BINARY, b"welcome"));
    let (first, second) = bytes.split_at_mut(20);
    assert_eq!(websocket.unwrap(first).unwrap(), 0);
    let count = websocket.unwrap(second).unwrap();
    assert_eq!(&second[..count], b"welcome");
    assert_eq!(unmask(websocket.reply().unwrap()), [(BINARY, b"hello".to_vec())]);
    assert!(websocket.is_clear() && websocket.reply().is_none());
}

#[test]
fn a_close_is_answered_and_is_the_end() {
    let mut websocket = open();
    let mut bytes = frame(BINARY, b"last");
    bytes.extend(frame(CLOSE, &[3, 232]));
    bytes.extend(frame(BINARY, b"behind"));
    let count = websocket.unwrap(&mut bytes).unwrap();
    assert_eq!(&bytes[..count], b"last");
    assert!(websocket.is_closed());
    assert_eq!(unmask(websocket.reply().unwrap()), [(CLOSE, vec![3, 232])]);
}

#[test]
fn what_mqtt_does_not_use_is_refused() {
    let masked = [0x82, 0x81, 0, 0, 0, 0, 1];
    for mut bytes in [frame(1, b"text"), frame(PING, &[0; 126]), frame(3, b""), masked.to_vec()] {
        assert!(open().unwrap(&mut bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn an_answer_that_is_no_websocket_is_refused() {
    for (from, to, why) in [
        ("101 Switching Protocols", "404 Not Found", "404"),
        ("Sec-WebSocket-ACCEPT: ", "Sec-WebSocket-ACCEPT: x", "Accept"),
        ("Sec-WebSocket-Protocol: mqtt", "X: y", "subprotocol"),
    ] {
        let (mut websocket, answer) = asked();
        let error = websocket.unwrap(&mut answer.replace(from, to).into_bytes()).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    let (mut websocket, _) = asked();
    assert!(websocket.unwrap(&mut vec![b'x'; 20_000]).is_err());
}
