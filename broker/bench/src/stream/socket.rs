//! TCP.

use super::Got;
use mio::{Interest, Registry, Token, net::TcpStream};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
};

pub(super) struct Socket {
    tcp: TcpStream,
    /// What the system did not take; the first `written` bytes of it are gone already.
    pending: Vec<u8>,
    written: usize,
    is_open: bool,
}

impl Socket {
    pub(super) fn open(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut tcp = TcpStream::connect(address)?;
        registry.register(&mut tcp, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { tcp, pending: Vec::new(), written: 0, is_open: false })
    }

    /// Notices that the connection is there, and writes what waits.
    pub(super) fn advance(&mut self) -> io::Result<()> {
        if !self.is_open {
            if let Some(error) = self.tcp.take_error()? {
                return Err(error);
            }
            match self.tcp.peer_addr() {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) => return Err(error),
            }
            self.tcp.set_nodelay(true)?;
            self.is_open = true;
        }
        self.flush()
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) fn is_clear(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while self.is_open && self.is_clear() && !rest.is_empty() {
            match self.tcp.write(rest) {
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
            match self.tcp.write(&self.pending[self.written..]) {
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

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        loop {
            match self.tcp.read(buffer) {
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

/// For what writes by itself.
impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.tcp.write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// For what reads by itself.
impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buffer)
    }
}
