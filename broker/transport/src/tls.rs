//! TLS: a rustls connection over a raw socket, driven by readiness.

pub(crate) mod peer;
pub(crate) mod settings;

use crate::raw::{Raw, Trying};
use rustls::{ServerConfig, ServerConnection};
use std::{
    io::{self, IoSlice, Read, Write},
    sync::Arc,
    task::{Context, Poll},
};

/// Encrypted bytes that may wait for the socket.
const OUTGOING_BOUND: usize = 64 * 1024;
/// Reads from the socket in one `try_read`: whoever sends records without content shall not hold a thread.
const ROUNDS: usize = 64;

/// A socket with TLS on it.
#[derive(Debug)]
pub(crate) struct Tls {
    raw: Raw,
    connection: ServerConnection,
    /// There is something to read, whatever the socket says: plaintext, the end, or an error.
    ready: bool,
}

impl Tls {
    /// Shakes hands. If that fails the client is told why, and the socket comes back to be closed.
    pub(crate) async fn accept(
        raw: Raw,
        config: Arc<ServerConfig>,
    ) -> Result<Self, (Raw, TlsHandshakeError)> {
        let mut connection = match ServerConnection::new(config) {
            Ok(connection) => connection,
            Err(error) => return Err((raw, error.into())),
        };
        connection.set_buffer_limit(Some(OUTGOING_BOUND));
        let mut tls = Self { raw, connection, ready: false };
        match tls.shake_hands().await {
            Ok(()) => {
                tls.ready = tls.has_plaintext();
                Ok(tls)
            }
            Err(error) => {
                // The alert.
                let _ = tls.flush();
                Err((tls.raw, error))
            }
        }
    }

    async fn shake_hands(&mut self) -> Result<(), TlsHandshakeError> {
        while self.connection.is_handshaking() {
            while self.connection.wants_write() && !self.flush()? {
                self.raw.writable().await?;
            }
            if !self.connection.is_handshaking() {
                break;
            }
            self.raw.readable().await?;
            match self.connection.read_tls(&mut Trying(&self.raw)) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(_) => self.connection.process_new_packets().map(drop)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        // What is left, such as tickets, goes out with the next write.
        self.flush()?;
        Ok(())
    }

    pub(crate) fn connection(&self) -> &ServerConnection {
        &self.connection
    }

    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ready { Poll::Ready(Ok(())) } else { self.raw.poll_readable(context) }
    }

    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.raw.poll_writable(context)
    }

    /// Plaintext; 0 is the end, with or without a word: MQTT packets say themselves how long they are.
    pub(crate) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        let mut rounds = 0;
        while filled < buffer.len() {
            match self.connection.reader().read(&mut buffer[filled..]) {
                Ok(0) => {
                    self.ready = true;
                    return Ok(filled);
                }
                Ok(n) => {
                    filled += n;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.ready = true;
                    return Ok(filled);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.ready = false;
            rounds += 1;
            let pulled = if rounds > ROUNDS { Err(io::ErrorKind::WouldBlock.into()) } else { self.pull() };
            match pulled {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && filled > 0 => return Ok(filled),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if filled > 0 => {
                    // It comes again at the next try.
                    self.ready = true;
                    return Ok(filled);
                }
                Err(error) => return Err(error),
            }
        }
        self.ready = self.has_plaintext();
        Ok(filled)
    }

    /// Takes records from the socket.
    fn pull(&mut self) -> io::Result<()> {
        self.connection.read_tls(&mut Trying(&self.raw))?;
        let processed = self.connection.process_new_packets();
        // An alert, or the answer to a key update.
        self.flush()?;
        processed.map(drop).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn has_plaintext(&mut self) -> bool {
        self.connection.process_new_packets().map_or(true, |state| state.plaintext_bytes_to_read() > 0)
    }

    /// What is taken is encrypted, and sent or kept to be sent.
    pub(crate) fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush()?;
        let taken = self.connection.writer().write_vectored(slices)?;
        if taken == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.flush()?;
        Ok(taken)
    }

    /// Sends what is kept; true if nothing is any more.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Trying(&self.raw)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    pub(crate) fn has_pending_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Says goodbye, but does not wait until it is sent.
    pub(crate) fn close_notify(&mut self) {
        self.connection.send_close_notify();
        // If it is not sent now it is later, or the socket is gone.
        let _ = self.flush();
    }

    /// Says goodbye.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        self.close_notify();
        while !self.flush()? {
            self.raw.writable().await?;
        }
        self.raw.shutdown().await
    }
}

/// There will be no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsHandshakeError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}
