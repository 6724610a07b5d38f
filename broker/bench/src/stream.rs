//! A client's connection: bytes of MQTT over TCP, TLS and WebSocket. It never waits, and keeps what could not be written yet.

use crate::target::Target;
use mio::{Registry, Token};
use std::io;

mod socket;
mod tls;
mod websocket;

use socket::Socket;
use tls::Tls;
use websocket::WebSocket;

/// Layers, from the socket up.
pub(crate) struct Stream {
    bytes: Bytes,
    websocket: Option<Box<WebSocket>>,
}

/// What carries bytes.
enum Bytes {
    Plain(Socket),
    Tls(Box<Tls>),
}

/// How many bytes there were.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Got {
    /// There may be more.
    Some(usize),
    /// For now that was all.
    Last(usize),
    /// The peer has closed.
    End,
}

impl Stream {
    /// Begins to connect.
    pub(crate) fn open(target: &Target, registry: &Registry, token: Token) -> io::Result<Self> {
        let socket = Socket::open(target.address, registry, token)?;
        let mut bytes = match &target.tls {
            None => Bytes::Plain(socket),
            Some(tls) => Bytes::Tls(Box::new(Tls::new(socket, tls)?)),
        };
        let websocket = match &target.websocket {
            None => None,
            Some(path) => {
                let (websocket, request) = WebSocket::ask(&target.name, path);
                bytes.send(request.as_bytes())?;
                Some(Box::new(websocket))
            }
        };
        Ok(Self { bytes, websocket })
    }

    /// Something has happened to the socket: goes on with what waits for it. True if everything is with the system.
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        match &mut self.bytes {
            Bytes::Plain(socket) => socket.advance()?,
            Bytes::Tls(tls) => tls.advance()?,
        }
        Ok(self.is_clear())
    }

    /// Whether the connection is there, as far as TCP goes.
    pub(crate) fn is_open(&self) -> bool {
        match &self.bytes {
            Bytes::Plain(socket) => socket.is_open(),
            Bytes::Tls(tls) => tls.is_open(),
        }
    }

    /// Whether everything is with the system.
    pub(crate) fn is_clear(&self) -> bool {
        let is_clear = match &self.bytes {
            Bytes::Plain(socket) => socket.is_clear(),
            Bytes::Tls(tls) => tls.is_clear(),
        };
        is_clear && self.websocket.as_ref().is_none_or(|websocket| websocket.is_clear())
    }

    /// Writes what it can, and keeps the rest.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.websocket {
            None => self.bytes.send(bytes),
            Some(websocket) => match websocket.wrap(bytes) {
                None => Ok(()),
                Some(frame) => self.bytes.send(frame),
            },
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        let Some(websocket) = &mut self.websocket else { return self.bytes.read(buffer) };
        loop {
            let got = self.bytes.read(buffer)?;
            let (Got::Some(count) | Got::Last(count)) = got else { return Ok(Got::End) };
            let unwrapped = websocket.unwrap(&mut buffer[..count])?;
            if let Some(reply) = websocket.reply() {
                self.bytes.send(reply)?;
            }
            match (got, unwrapped) {
                _ if websocket.is_closed() => return Ok(Got::End),
                (Got::Last(_), count) => return Ok(Got::Last(count)),
                (_, 0) => {}
                (_, count) => return Ok(Got::Some(count)),
            }
        }
    }
}

impl Bytes {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.send(bytes),
            Self::Tls(tls) => tls.send(bytes),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

/// What the peer says is not what its layer asks for.
fn nonsense(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}
