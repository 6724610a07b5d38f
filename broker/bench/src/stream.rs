//! A client's socket: never waits, and keeps what could not be written yet.

use mio::{Interest, Registry, Token, net::TcpStream};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
};

/// Bytes of MQTT in both directions.
pub(crate) struct Stream {
    socket: TcpStream,
    /// What the socket did not take; the first `written` bytes of it are gone already.
    pending: Vec<u8>,
    written: usize,
    /// Whether the connection is there, as far as TCP goes.
    is_open: bool,
}

/// How many bytes a socket had.
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
    pub(crate) fn open(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { socket, pending: Vec::new(), written: 0, is_open: false })
    }

    /// Something has happened to the socket. True if it is connected and everything is written.
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        if !self.is_open {
            if let Some(error) = self.socket.take_error()? {
                return Err(error);
            }
            match self.socket.peer_addr() {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
                Err(error) => return Err(error),
            }
            self.socket.set_nodelay(true)?;
            self.is_open = true;
        }
        self.flush()?;
        Ok(self.is_clear())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether everything is with the system.
    pub(crate) fn is_clear(&self) -> bool {
        self.pending.is_empty()
    }

    /// Writes what it can, and keeps the rest.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while self.is_open && self.is_clear() && !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.pending.len() {
            match self.socket.write(&self.pending[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // An idle client holds no memory.
        (self.pending, self.written) = (Vec::new(), 0);
        Ok(())
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Ok(Got::End),
                // The socket tells again when more comes after a short read.
                Ok(count) if count < buffer.len() => return Ok(Got::Last(count)),
                Ok(count) => return Ok(Got::Some(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Got::Last(0)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
