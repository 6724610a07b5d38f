//! A connection's socket, and what was read of a packet whose end is not there yet.

use crate::{mailbox::Budget, scratch::Scratch, shared::Shared};
use std::{
    io::{self, IoSlice},
    sync::Arc,
};
use tidegate_mqtt::{DecodeError, Outgoing, Packet, Version, next_frame};
use tidegate_transport::Stream;

/// A socket and the beginning of a packet whose end is not there yet. While idle it holds no buffer.
pub(crate) struct Socket {
    pub(super) stream: Stream,
    pub(super) tail: Vec<u8>,
    pub(super) held: Held,
}

impl Socket {
    /// Waits for bytes and appends them to the tail.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        loop {
            self.stream.readable().await?;
            let mut scratch = Scratch::take();
            match self.stream.try_read(&mut scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.tail.extend_from_slice(&scratch[..n]);
                    return if self.held.hold(self.tail.capacity()) {
                        Ok(())
                    } else {
                        Err(io::Error::other("too many bytes of half-sent packets"))
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a packet from before CONNACK out of the tail. Others than CONNECT, AUTH and DISCONNECT have no place there and look alike.
    pub(crate) fn first_packet(
        &mut self,
        max_packet_size: u32,
    ) -> Result<Option<Packet<'static>>, DecodeError> {
        let Some(frame) = next_frame(&self.tail, max_packet_size)? else { return Ok(None) };
        let len = frame.len();
        let packet = match frame.decode_from_client(Version::V5)? {
            Packet::Connect(connect) => Packet::Connect(connect),
            Packet::Auth(auth) => Packet::Auth(auth),
            Packet::Disconnect(disconnect) => Packet::Disconnect(disconnect),
            _ => Packet::PingReq,
        };
        self.tail.drain(..len);
        Ok(Some(packet))
    }

    /// Writes as much as the socket takes now.
    pub(super) fn write(&mut self, out: &mut Outgoing) -> io::Result<()> {
        while !out.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = out.fill_slices(&mut slices);
            match self.stream.try_write_vectored(&slices[..used]) {
                Ok(n) => out.consume(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        out.release();
        self.stream.flush()
    }

    /// Writes everything.
    pub(crate) async fn flush(&mut self, out: &mut Outgoing) -> io::Result<()> {
        loop {
            self.write(out)?;
            if out.is_empty() && !self.stream.has_pending_write() {
                return Ok(());
            }
            self.stream.writable().await?;
        }
    }

    /// The last words, if the client takes them at once or nearly so.
    pub(super) async fn say_goodbye(&mut self, broker: &Shared, out: &mut Outgoing) {
        if *broker.stopping.borrow() {
            self.stream.going_away();
        }
        let last_words = async {
            if self.flush(out).await.is_err() {
                return;
            }
            // Closing with unread bytes would reset the connection, and the client might never see the last words.
            let _ = self.stream.shutdown().await;
            while matches!(self.fill().await, Ok(())) {
                self.tail.clear();
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
    }
}

/// How long a client may take for the last words.
pub(super) const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(500);

/// Slices in one vectored write.
pub(super) const SLICES: usize = 32;

/// What the beginning of a packet takes from the bytes that all half-sent packets together may.
pub(super) struct Held {
    pub(super) bytes: usize,
    pub(super) of: Arc<Budget>,
}

/// Each connection may keep this much without asking.
pub(super) const FREE_BYTES: usize = 16 * 1024;

/// What is taken at once.
pub(super) const PIECE_BYTES: usize = 64 * 1024;

impl Held {
    pub(super) fn new(of: Arc<Budget>) -> Self {
        Self { bytes: 0, of }
    }

    /// Holds as much as `bytes` ask for; false if that is too much.
    pub(super) fn hold(&mut self, bytes: usize) -> bool {
        let wanted = bytes.saturating_sub(FREE_BYTES).div_ceil(PIECE_BYTES) * PIECE_BYTES;
        if wanted > self.bytes {
            if !self.of.take(wanted - self.bytes) {
                return false;
            }
        } else {
            self.of.give_back(self.bytes - wanted);
        }
        self.bytes = wanted;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.give_back(self.bytes);
    }
}

/// Bytes to take packets from.
pub(super) enum Buffer {
    /// This thread's read buffer, and how much of it was read.
    Scratch(Scratch, usize),
    /// The beginning of a packet from before, and what followed.
    Tail(Vec<u8>),
}

impl Buffer {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Scratch(scratch, n) => &scratch[..*n],
            Self::Tail(tail) => tail,
        }
    }

    /// What was not handled.
    pub(super) fn into_rest(self, at: usize) -> Vec<u8> {
        match self {
            Self::Scratch(scratch, n) => scratch[at..n].to_vec(),
            Self::Tail(tail) if at == tail.len() => Vec::new(),
            Self::Tail(mut tail) => {
                tail.drain(..at);
                tail
            }
        }
    }
}
