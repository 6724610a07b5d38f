//! TLS over TCP.

use super::{Got, nonsense, socket::Socket};
use crate::target::TlsTarget;
use rustls::ClientConnection;
use std::io::{self, ErrorKind, Read, Write};

pub(super) struct Tls {
    socket: Socket,
    session: ClientConnection,
    is_over: bool,
}

impl Tls {
    /// What is sent before the handshake is done waits for it.
    pub(super) fn new(socket: Socket, target: &TlsTarget) -> io::Result<Self> {
        let session = ClientConnection::new(target.config.clone(), target.server.clone());
        let mut session = session.map_err(|error| nonsense(format!("TLS: {error}")))?;
        // Who sends bounds what waits.
        session.set_buffer_limit(None);
        Ok(Self { socket, session, is_over: false })
    }

    pub(super) fn advance(&mut self) -> io::Result<()> {
        self.socket.advance()?;
        self.write()
    }

    pub(super) fn is_open(&self) -> bool {
        self.socket.is_open()
    }

    pub(super) fn is_clear(&self) -> bool {
        !self.session.is_handshaking() && !self.session.wants_write()
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.session.writer().write_all(bytes)?;
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        while self.socket.is_open() && self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills the buffer if there is enough.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        let mut count = 0;
        loop {
            match self.session.reader().read(&mut buffer[count..]) {
                Ok(0) if count == buffer.len() => return Ok(Got::Some(count)),
                Ok(0) => self.is_over = true,
                Ok(more) => {
                    count += more;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if self.is_over {
                // What came before is handed out first.
                return Ok(if count > 0 { Got::Some(count) } else { Got::End });
            }
            match self.session.read_tls(&mut self.socket) {
                // The reader tells the end, and whether it was in order.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Got::Last(count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let processed = self.session.process_new_packets();
            // The handshake's next message, or an alert that says what is wrong.
            self.write()?;
            processed.map_err(|error| nonsense(format!("TLS: {error}")))?;
        }
    }
}
