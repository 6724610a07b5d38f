//! WebSocket (RFC 6455): bytes of MQTT in binary frames, whose borders mean nothing [MQTT-6.0.0-2].

pub(crate) mod frames;
pub(crate) mod upgrade;

use crate::{
    raw::Raw,
    tls::Tls,
    websocket::{
        frames::{Decoder, End, GOING_AWAY, NORMAL, Opcode, frame_head},
        upgrade::{HEAD_BOUND, Refusal, Upgrade},
    },
};
use std::{
    future::poll_fn,
    io::{self, IoSlice},
    task::{Context, Poll},
};

/// Bytes in one frame from us, which is what may wait for the socket.
const FRAME_BOUND: usize = 64 * 1024;

/// What a WebSocket stands on.
#[derive(Debug)]
pub(crate) enum Below {
    Raw(Raw),
    Tls(Box<Tls>),
}

impl Below {
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Raw(raw) => raw.poll_readable(context),
            Self::Tls(tls) => tls.poll_readable(context),
        }
    }

    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Raw(raw) => raw.poll_writable(context),
            Self::Tls(tls) => tls.poll_writable(context),
        }
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_readable(context)).await
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_writable(context)).await
    }

    pub(crate) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Raw(raw) => raw.try_read(buffer),
            Self::Tls(tls) => tls.try_read(buffer),
        }
    }

    pub(crate) fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Raw(raw) => raw.try_write_vectored(slices),
            Self::Tls(tls) => tls.try_write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Raw(_) => Ok(true),
            Self::Tls(tls) => tls.flush(),
        }
    }

    fn has_pending_write(&self) -> bool {
        match self {
            Self::Raw(_) => false,
            Self::Tls(tls) => tls.has_pending_write(),
        }
    }

    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Raw(raw) => raw.shutdown().await,
            Self::Tls(tls) => tls.shutdown().await,
        }
    }
}

/// A WebSocket whose handshake is over.
#[derive(Debug)]
pub(crate) struct WebSocket {
    below: Below,
    decoder: Decoder,
    /// What came behind the handshake and is not decoded yet.
    ahead: Vec<u8>,
    /// Whole frames that are on their way to the socket, and how much of them is gone.
    out: Vec<u8>,
    sent: usize,
    /// A Close from us is out or in `out`: nothing follows it.
    closing: bool,
    going_away: bool,
}

/// There will be no WebSocket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl WebSocket {
    /// Answers the request to become a WebSocket. If it is refused the client is told, and what is below comes back to be closed.
    pub(crate) async fn accept(mut below: Below, upgrade: &Upgrade) -> Result<Self, (Below, UpgradeError)> {
        match shake_hands(&mut below, upgrade).await {
            Ok(ahead) => Ok(Self {
                below,
                decoder: Decoder::default(),
                ahead,
                out: Vec::new(),
                sent: 0,
                closing: false,
                going_away: false,
            }),
            Err(error) => Err((below, error)),
        }
    }

    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() || self.decoder.end().is_some_and(|end| !matches!(end, End::Told)) {
            return Poll::Ready(Ok(()));
        }
        self.below.poll_readable(context)
    }

    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below.poll_writable(context)
    }

    /// What is in binary frames. Pings are answered on the way.
    pub(crate) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.decoder.end().is_none() {
            let read = self.read_below(buffer)?;
            if read == 0 {
                return Ok(0);
            }
            let decoded = self.decoder.decode(&mut buffer[..read]);
            self.answer()?;
            if decoded > 0 {
                return Ok(decoded);
            }
        }
        match self.decoder.end() {
            // Nothing but heads and control frames; others may have their turn first.
            None => Err(io::ErrorKind::WouldBlock.into()),
            Some(End::Closed { .. }) => Ok(0),
            Some(End::Violation { what, .. }) => {
                let error = io::Error::new(io::ErrorKind::InvalidData, *what);
                self.decoder.violation_told();
                Err(error)
            }
            // Whatever comes now is only waited for so that our Close arrives.
            Some(End::Told) => match self.below.try_read(buffer)? {
                0 => Ok(0),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            },
        }
    }

    fn read_below(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            return self.below.try_read(buffer);
        }
        let n = buffer.len().min(self.ahead.len());
        buffer[..n].copy_from_slice(&self.ahead[..n]);
        self.ahead.drain(..n);
        if self.ahead.is_empty() {
            self.ahead = Vec::new();
        }
        Ok(n)
    }

    /// Answers a ping with a pong, and the end with a Close.
    fn answer(&mut self) -> io::Result<()> {
        let code = match self.decoder.end() {
            None => return if self.decoder.has_pong() { self.flush().map(drop) } else { Ok(()) },
            Some(End::Closed { code }) => *code,
            Some(End::Violation { code, .. }) => Some(*code),
            Some(End::Told) => return Ok(()),
        };
        self.close(code);
        // If the socket is gone, what was decoded still counts.
        let _ = self.flush();
        Ok(())
    }

    fn close(&mut self, code: Option<u16>) {
        if !std::mem::replace(&mut self.closing, true) {
            let reason = code.map(u16::to_be_bytes);
            self.queue(Opcode::Close, reason.as_ref().map_or(&[], |bytes| bytes));
        }
    }

    /// One binary frame holds what is taken.
    pub(crate) fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.closing {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let total = slices.iter().map(|slice| slice.len()).sum::<usize>().min(FRAME_BOUND);
        if total == 0 {
            return Ok(0);
        }
        self.out.reserve_exact(total + 10);
        frame_head(Opcode::Binary, total, &mut self.out);
        let mut left = total;
        for slice in slices {
            let n = slice.len().min(left);
            self.out.extend_from_slice(&slice[..n]);
            left -= n;
        }
        self.flush()?;
        Ok(total)
    }

    fn queue(&mut self, opcode: Opcode, payload: &[u8]) {
        frame_head(opcode, payload.len(), &mut self.out);
        self.out.extend_from_slice(payload);
    }

    /// Sends what is kept; true if nothing is any more.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        loop {
            while self.sent < self.out.len() {
                match self.below.try_write_vectored(&[IoSlice::new(&self.out[self.sent..])]) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => self.sent += n,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            (self.out, self.sent) = (Vec::new(), 0);
            // Only the newest ping is answered: whoever does not read gets no more of them [RFC 6455, 5.5.3].
            match self.decoder.take_pong() {
                Some(payload) if !self.closing => self.queue(Opcode::Pong, &payload),
                _ => return self.below.flush(),
            }
        }
    }

    pub(crate) fn has_pending_write(&self) -> bool {
        !self.out.is_empty() || self.decoder.has_pong() || self.below.has_pending_write()
    }

    /// The Close at the end says that the broker goes away, not that all is done.
    pub(crate) fn going_away(&mut self) {
        self.going_away = true;
    }

    /// Says goodbye. The socket below is closed if the client has said so too, else it is the client's turn.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        self.close(Some(if self.going_away { GOING_AWAY } else { NORMAL }));
        while !self.flush()? {
            self.below.writable().await?;
        }
        if self.decoder.end().is_some() { self.below.shutdown().await } else { Ok(()) }
    }
}

/// Reads the request and answers it. Returns what came behind it.
async fn shake_hands(below: &mut Below, upgrade: &Upgrade) -> Result<Vec<u8>, UpgradeError> {
    let mut bytes = Vec::new();
    loop {
        match upgrade.answer(&bytes) {
            Ok(Some((len, response))) => {
                write_all(below, &response).await?;
                return Ok(bytes.split_off(len));
            }
            Ok(None) => read_more(below, &mut bytes).await?,
            Err(refusal) => {
                write_all(below, &refusal.response()).await?;
                return Err(refusal.into());
            }
        }
    }
}

async fn read_more(below: &mut Below, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 1024];
    let room = chunk.len().min((HEAD_BOUND + 1).saturating_sub(bytes.len()));
    loop {
        below.readable().await?;
        match below.try_read(&mut chunk[..room]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                bytes.extend_from_slice(&chunk[..n]);
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn write_all(below: &mut Below, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match below.try_write_vectored(&[IoSlice::new(bytes)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => below.writable().await?,
            Err(error) => return Err(error),
        }
    }
    while !below.flush()? {
        below.writable().await?;
    }
    Ok(())
}
