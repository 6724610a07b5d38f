//! A client over whatever carries bytes.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
};
use tidegate_mqtt::{
    ConnAck, Connect, Packet, QoS, ReasonCode, Subscribe, SubscribeProperties, SubscriptionFilter,
    SubscriptionOptions, Version, next_frame,
};
use tidegate_tests::{PATIENCE, connect, publish};
use tungstenite::{Message, WebSocket, client::IntoClientRequest, error::ProtocolError, http::Request};

/// Carries bytes both ways.
pub(super) trait Carrier: Read + Write {}
impl<T: Read + Write> Carrier for T {}

/// An MQTT client over a carrier.
pub(super) struct Talk {
    carrier: Box<dyn Carrier>,
    version: Version,
    tail: Vec<u8>,
}

impl Talk {
    pub(super) fn new(carrier: impl Carrier + 'static, version: Version) -> Self {
        Self { carrier: Box::new(carrier), version, tail: Vec::new() }
    }

    pub(super) fn send(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap();
        self.carrier.write_all(&bytes)?;
        self.carrier.flush()
    }

    /// Waits for the next packet and looks at it.
    fn receive<T>(&mut self, look: impl FnOnce(Packet<'_>) -> T) -> io::Result<T> {
        loop {
            if let Some(frame) = next_frame(&self.tail, u32::MAX).unwrap() {
                let len = frame.len();
                let seen = look(frame.decode(self.version).unwrap());
                self.tail.drain(..len);
                return Ok(seen);
            }
            let mut chunk = [0; 4096];
            match self.carrier.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.tail.extend_from_slice(&chunk[..n]),
            }
        }
    }

    pub(super) fn try_connect(&mut self, connect: Connect) -> io::Result<ConnAck> {
        self.send(&Packet::Connect(Box::new(connect)))?;
        self.receive(|packet| match packet {
            Packet::ConnAck(connack) => *connack,
            other => panic!("not CONNACK: {other:?}"),
        })
    }

    pub(super) fn connect_with(&mut self, connect: Connect) -> ConnAck {
        let connack = self.try_connect(connect).unwrap();
        assert_eq!(connack.reason, ReasonCode::Success, "{connack:?}");
        connack
    }

    pub(super) fn connect(&mut self, client_id: &str) -> ConnAck {
        self.connect_with(connect(self.version, client_id))
    }

    pub(super) fn subscribe(&mut self, filter: &str) {
        let filter = SubscriptionFilter::new(filter).unwrap();
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: std::num::NonZeroU16::MIN,
            subscriptions: vec![(filter, SubscriptionOptions::default())],
            properties: SubscribeProperties::default(),
        }))
        .unwrap();
        self.receive(|packet| assert!(matches!(packet, Packet::SubAck(_)), "{packet:?}")).unwrap();
    }

    pub(super) fn publish(&mut self, topic: &str, payload: &str) {
        self.send(&Packet::Publish(publish(topic, payload, QoS::AtMostOnce))).unwrap();
    }

    /// Payload of the next message.
    pub(super) fn message(&mut self) -> String {
        self.receive(|packet| match packet {
            Packet::Publish(publish) => String::from_utf8(publish.payload.to_vec()).unwrap(),
            other => panic!("not PUBLISH: {other:?}"),
        })
        .unwrap()
    }

    /// Sends a message to itself, there and back.
    pub(super) fn round_trip(&mut self, topic: &str) {
        self.subscribe(topic);
        self.publish(topic, "there and back");
        assert_eq!(self.message(), "there and back");
    }

    pub(super) fn expect_closed(&mut self) {
        let error = self.receive(|packet| panic!("not the end: {packet:?}")).unwrap_err();
        let ends = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
        assert!(ends.contains(&error.kind()), "{error}");
    }
}

pub(super) fn tcp(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub(super) fn unix(path: &Path) -> UnixStream {
    let socket = UnixStream::connect(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub(super) type TlsStream = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

pub(super) fn tls(address: SocketAddr, config: &Arc<rustls::ClientConfig>) -> TlsStream {
    let name = "localhost".try_into().unwrap();
    rustls::StreamOwned::new(rustls::ClientConnection::new(config.clone(), name).unwrap(), tcp(address))
}

/// A request for `/mqtt` with the subprotocol `mqtt`.
pub(super) fn request(address: SocketAddr) -> Request<()> {
    let mut request = format!("ws://{address}/mqtt").into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
    request
}

/// A WebSocket as bytes, a binary frame a write.
pub(super) struct Frames<S> {
    socket: WebSocket<S>,
    tail: Vec<u8>,
}

impl<S: Read + Write> Frames<S> {
    pub(super) fn new(address: SocketAddr, below: S) -> Self {
        let (socket, response) = tungstenite::client(request(address), below)
            .unwrap_or_else(|_| panic!("the broker refuses the handshake"));
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt");
        Self { socket, tail: Vec::new() }
    }
}

impl<S: Read + Write> Read for Frames<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.tail.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(data)) => self.tail.extend_from_slice(&data),
                Ok(Message::Close(_)) => {}
                Ok(other) => panic!("not a binary frame: {other:?}"),
                Err(
                    tungstenite::Error::ConnectionClosed
                    | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
                ) => return Ok(0),
                Err(tungstenite::Error::Io(error)) => return Err(error),
                Err(error) => panic!("{error}"),
            }
        }
        let n = buffer.len().min(self.tail.len());
        buffer[..n].copy_from_slice(&self.tail[..n]);
        self.tail.drain(..n);
        Ok(n)
    }
}

impl<S: Read + Write> Write for Frames<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(Message::binary(bytes.to_vec())).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(io::Error::other)
    }
}
