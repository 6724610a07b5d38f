use super::{Outcome, client, dial, dribble, echo_server, files::Files, noise};
use crate::{AcceptError, Acceptor, Alpn, ClientCert, TlsSettings, Upgrade};
use rustls::{ClientConnection, StreamOwned, version::TLS13};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};
use tungstenite::{
    Bytes, Error, Message, WebSocket,
    client::IntoClientRequest,
    http::{Request, StatusCode},
    protocol::{
        CloseFrame, Role,
        frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

fn ws() -> Acceptor {
    let origins = Some(vec!["https://example.org".to_owned()]);
    Acceptor { websocket: Some(Upgrade { path: "/mqtt".into(), origins }), ..Acceptor::default() }
}

fn request(address: SocketAddr, path: &str, subprotocol: &str) -> Request<()> {
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    if !subprotocol.is_empty() {
        request.headers_mut().insert("Sec-WebSocket-Protocol", subprotocol.parse().unwrap());
    }
    request
}

fn dial_ws(address: SocketAddr) -> WebSocket<TcpStream> {
    let (socket, response) = tungstenite::client(request(address, "/mqtt", "mqtt"), dial(address)).unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt");
    socket
}

/// What binary frames bring, until there is so much.
fn collect<S: Read + Write>(socket: &mut WebSocket<S>, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < len {
        match socket.read().unwrap() {
            Message::Binary(data) => bytes.extend_from_slice(&data),
            other => panic!("not binary: {other:?}"),
        }
    }
    bytes
}

/// The code of the broker's Close, and that it closes then.
fn close_code<S: Read + Write>(socket: &mut WebSocket<S>) -> Option<u16> {
    let code = match socket.read().unwrap() {
        Message::Close(frame) => frame.map(|frame| frame.code.into()),
        other => panic!("not Close: {other:?}"),
    };
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    code
}

/// Serves one client, which does this.
async fn with_client<T: Send + 'static>(
    run: impl FnOnce(WebSocket<TcpStream>) -> T + Send + 'static,
) -> (T, Outcome) {
    let (address, served) = echo_server(ws()).await;
    let told = client(move || run(dial_ws(address))).await;
    (told, served.await.unwrap().unwrap())
}

fn piece(opcode: Data, last: bool, bytes: &[u8]) -> Message {
    Message::Frame(Frame::message(Bytes::copy_from_slice(bytes), OpCode::Data(opcode), last))
}

#[tokio::test]
async fn a_mebibyte_goes_there_and_back_with_and_without_tls() {
    let (_, outcome) = with_client(|mut socket| {
        let sent = noise(1 << 20);
        socket.send(Message::binary(sent.clone())).unwrap();
        assert!(collect(&mut socket, sent.len()) == sent, "other bytes came back");
        socket.close(None).unwrap();
        assert!(matches!(socket.read(), Ok(Message::Close(None))));
    })
    .await;
    outcome.end.unwrap();

    let files = Files::new("ca");
    let settings = TlsSettings::read(files.of(ClientCert::None), Alpn::Http).unwrap();
    let (address, served) = echo_server(Acceptor { tls: Some(Arc::new(settings)), ..ws() }).await;
    let config = files.authority.client(None, &[&TLS13]);
    client(move || {
        let connection = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
        let tls = StreamOwned::new(connection, dial(address));
        let (mut socket, _) = tungstenite::client(request(address, "/mqtt", "mqtt"), tls).unwrap();
        let sent = noise(1 << 20);
        socket.send(Message::binary(sent.clone())).unwrap();
        assert!(collect(&mut socket, sent.len()) == sent, "other bytes came back");
        socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).unwrap();
        assert_eq!(close_code(&mut socket), Some(1000));
    })
    .await;
    let Outcome { peer, end } = served.await.unwrap().unwrap();
    end.unwrap();
    assert_eq!(peer.tls.unwrap().version, Some("TLSv1_3"));
}

#[tokio::test]
async fn v5_6_0_0_2_and_v311_6_0_0_2_borders_of_frames_mean_nothing() {
    let (_, outcome) = with_client(|mut socket| {
        // One message in three frames with a ping between, then many messages at once, then an empty one.
        socket.write(piece(Data::Binary, false, b"one")).unwrap();
        socket.write(Message::Ping("p".into())).unwrap();
        socket.write(piece(Data::Continue, false, b"")).unwrap();
        socket.write(piece(Data::Continue, true, b"two")).unwrap();
        for text in ["", "three", "four"] {
            socket.write(Message::binary(text)).unwrap();
        }
        socket.flush().unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong("p".into()));
        assert_eq!(collect(&mut socket, 15), b"onetwothreefour");
    })
    .await;
    outcome.end.unwrap();
}

#[tokio::test]
async fn bytes_one_by_one_are_bytes_all_the_same() {
    let (address, served) = echo_server(ws()).await;
    client(move || {
        let mut socket = dial(address);
        let head = format!(
            "GET /mqtt?x=y HTTP/1.1\r\nHost: {address}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: chat, mqttv3.1\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        );
        dribble(&mut socket, head.as_bytes());
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            response.push(byte[0]);
        }
        let response = String::from_utf8(response).unwrap().to_ascii_lowercase();
        assert!(response.starts_with("http/1.1 101 "), "{response}");
        assert!(response.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{response}");
        assert!(response.contains("\r\nsec-websocket-protocol: mqtt\r\n"), "{response}");
        dribble(&mut socket, b"\x82\x85\x01\x02\x03\x04");
        dribble(&mut socket, &[b'h' ^ 1, b'e' ^ 2, b'l' ^ 3, b'l' ^ 4, b'o' ^ 1]);
        let mut back = Vec::new();
        let mut socket = WebSocket::from_raw_socket(socket, Role::Client, None);
        back.extend(collect(&mut socket, 5));
        assert_eq!(back, b"hello");
    })
    .await;
    served.await.unwrap().unwrap().end.unwrap();
}

#[tokio::test]
async fn bytes_behind_the_request_are_not_lost() {
    let (address, served) = echo_server(ws()).await;
    client(move || {
        let mut socket = dial(address);
        let mut bytes = format!(
            "GET /mqtt HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        )
        .into_bytes();
        bytes.extend_from_slice(b"\x82\x85\0\0\0\0hello");
        socket.write_all(&bytes).unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n\x82\x05hello") {
            let mut chunk = [0; 1024];
            let n = socket.read(&mut chunk).unwrap();
            assert!(n > 0, "closed after {heard:?}");
            heard.extend_from_slice(&chunk[..n]);
        }
    })
    .await;
    served.await.unwrap().unwrap().end.unwrap();
}

#[tokio::test]
async fn v5_6_0_0_1_and_v311_6_0_0_1_a_text_frame_ends_the_connection_with_1003() {
    let (code, outcome) = with_client(|mut socket| {
        // What came before it counts.
        socket.send(Message::binary("before")).unwrap();
        assert_eq!(collect(&mut socket, 6), b"before");
        socket.send(Message::text("hello")).unwrap();
        close_code(&mut socket)
    })
    .await;
    assert_eq!(code, Some(1003));
    assert!(outcome.end.unwrap_err().to_string().contains("binary frames"));
}

#[tokio::test]
async fn a_broken_rule_ends_the_connection_with_its_code() {
    let cases: [(&str, &[u8], u16); 10] = [
        ("a reserved bit", b"\xc2\x80\0\0\0\0", 1002),
        ("an unknown kind", b"\x83\x80\0\0\0\0", 1002),
        ("no mask", b"\x82\x01x", 1002),
        ("a continuation of nothing", b"\x80\x80\0\0\0\0", 1002),
        ("a beginning within a message", b"\x02\x80\0\0\0\0\x82\x80\0\0\0\0", 1002),
        ("a ping in pieces", b"\x09\x80\0\0\0\0", 1002),
        ("a long ping", b"\x89\xfe\x00\x7e\0\0\0\0", 1002),
        ("a length beyond all", b"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 1002),
        ("a code that may not be sent", b"\x88\x82\0\0\0\0\x03\xed", 1002),
        ("a reason that is no text", b"\x88\x83\0\0\0\0\x03\xe8\xff", 1007),
    ];
    for (what, bytes, expected) in cases {
        let (code, outcome) = with_client(|mut socket| {
            socket.get_mut().write_all(bytes).unwrap();
            close_code(&mut socket)
        })
        .await;
        assert_eq!(code, Some(expected), "{what}");
        assert_eq!(outcome.end.unwrap_err().kind(), std::io::ErrorKind::InvalidData, "{what}");
    }
}

#[tokio::test]
async fn close_is_answered_with_its_code() {
    for sent in [1000, 1001, 3000, 4999] {
        let (code, outcome) = with_client(move |mut socket| {
            socket.close(Some(CloseFrame { code: sent.into(), reason: "bye".into() })).unwrap();
            close_code(&mut socket)
        })
        .await;
        assert_eq!(code, Some(sent));
        outcome.end.unwrap();
    }
}

#[tokio::test]
async fn who_does_not_read_gets_the_newest_pong_only() {
    let (_, outcome) = with_client(|mut socket| {
        // More than the sockets hold: if all were kept, memory would be the client's.
        let pings = 200_000;
        let mut frames = Vec::new();
        for number in 0..pings {
            frames.extend_from_slice(b"\x89\xe4\0\0\0\0");
            frames.extend_from_slice(format!("{number:0100}").as_bytes());
        }
        socket.get_mut().write_all(&frames).unwrap();
        let newest = format!("{:0100}", pings - 1);
        let mut pongs = 0;
        loop {
            match socket.read().unwrap() {
                Message::Pong(payload) => {
                    pongs += 1;
                    if payload == newest.as_bytes() {
                        break;
                    }
                }
                other => panic!("not a pong: {other:?}"),
            }
        }
        assert!(pongs <= pings);
    })
    .await;
    outcome.end.unwrap();
}

/// The status that a request gets, and what the server says of it.
async fn refused(request: impl FnOnce(SocketAddr) -> Request<()> + Send + 'static) -> (StatusCode, String) {
    let (address, served) = echo_server(ws()).await;
    let status = client(move || match tungstenite::client(request(address), dial(address)) {
        Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => response.status(),
        other => panic!("not refused by HTTP: {other:?}"),
    })
    .await;
    match served.await.unwrap() {
        Err(error @ AcceptError::WebSocket(_)) => (status, error.to_string()),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("let in"),
    }
}

#[tokio::test]
async fn who_asks_for_something_else_is_refused_by_http() {
    let (status, why) = refused(|address| request(address, "/", "mqtt")).await;
    assert_eq!(
        (status, &*why),
        (StatusCode::NOT_FOUND, "WebSocket: refused with HTTP 404 Not Found: MQTT is at /mqtt")
    );
    let (status, _) = refused(|address| request(address, "/mqtt", "")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, _) = refused(|address| request(address, "/mqtt", "chat, MQTT")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, _) = refused(|address| {
        let mut request = request(address, "/mqtt", "mqtt");
        request.headers_mut().insert("Origin", "https://example.com".parse().unwrap());
        request
    })
    .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_known_origin_may_come_in() {
    let (address, served) = echo_server(ws()).await;
    client(move || {
        let mut request = request(address, "/mqtt", "mqttv3.1");
        request.headers_mut().insert("Origin", "https://Example.org".parse().unwrap());
        let (_socket, response) = tungstenite::client(request, dial(address)).unwrap();
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqttv3.1");
    })
    .await;
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_no_request_for_a_websocket_is_refused() {
    let head = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                Sec-WebSocket-Protocol: mqtt\r\n";
    let cases = [
        (format!("POST /mqtt HTTP/1.1\r\n{head}Sec-WebSocket-Version: 13\r\n\r\n"), "405 "),
        (format!("GET /mqtt HTTP/1.0\r\n{head}Sec-WebSocket-Version: 13\r\n\r\n"), "505 "),
        (format!("GET /mqtt HTTP/1.1\r\n{head}Sec-WebSocket-Version: 8\r\n\r\n"), "426 "),
        ("GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "426 "),
        ("\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0".to_owned(), "400 "),
        (format!("GET /mqtt HTTP/1.1\r\nCookie: {}", "x".repeat(20_000)), "431 "),
    ];
    for (bytes, status) in cases {
        let (address, served) = echo_server(ws()).await;
        let heard = client(move || {
            let mut socket = dial(address);
            socket.write_all(bytes.as_bytes()).unwrap();
            let mut heard = String::new();
            socket.read_to_string(&mut heard).unwrap();
            heard
        })
        .await;
        assert!(heard.starts_with(&format!("HTTP/1.1 {status}")), "{heard}");
        assert!(matches!(served.await.unwrap(), Err(AcceptError::WebSocket(_))));
    }
}
