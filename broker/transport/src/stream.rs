//! What a connection reads from and writes to, whatever lies below.

use crate::{raw::Raw, tls::Tls, websocket::WebSocket};
use std::{
    future::poll_fn,
    io::{self, IoSlice},
    task::{Context, Poll},
};
use tokio::net::{TcpStream, UnixStream};

/// Bytes of MQTT to and from a client. A plain one is as small as its socket.
#[derive(Debug)]
pub struct Stream(pub(crate) Layers);

#[derive(Debug)]
pub(crate) enum Layers {
    Plain(Raw),
    Tls(Box<Tls>),
    WebSocket(Box<WebSocket>),
}

impl From<Raw> for Stream {
    fn from(raw: Raw) -> Self {
        Self(Layers::Plain(raw))
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Raw::from(stream).into()
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Raw::from(stream).into()
    }
}

impl Stream {
    /// Ready when [`Stream::try_read`] is worth a try.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Layers::Plain(raw) => raw.poll_readable(context),
            Layers::Tls(tls) => tls.poll_readable(context),
            Layers::WebSocket(websocket) => websocket.poll_readable(context),
        }
    }

    /// Ready when [`Stream::try_write_vectored`] or [`Stream::flush`] is worth a try.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Layers::Plain(raw) => raw.poll_writable(context),
            Layers::Tls(tls) => tls.poll_writable(context),
            Layers::WebSocket(websocket) => websocket.poll_writable(context),
        }
    }

    /// Waits until [`Stream::poll_readable`] is ready.
    ///
    /// # Errors
    /// The socket is gone.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_readable(context)).await
    }

    /// Waits until [`Stream::poll_writable`] is ready.
    ///
    /// # Errors
    /// The socket is gone.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_writable(context)).await
    }

    /// Reads what is there. 0: the client will send no more.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there; `InvalidData` if it breaks the rules of TLS or WebSocket, of which it is told; or as the socket says.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Layers::Plain(raw) => raw.try_read(buffer),
            Layers::Tls(tls) => tls.try_read(buffer),
            Layers::WebSocket(websocket) => websocket.try_read(buffer),
        }
    }

    /// Writes as much as can be taken: sent, or kept to be sent (see [`Stream::has_pending_write`]).
    ///
    /// # Errors
    /// `WouldBlock` if nothing can be taken, or as the socket says.
    pub fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.0 {
            Layers::Plain(raw) => raw.try_write_vectored(slices),
            Layers::Tls(tls) => tls.try_write_vectored(slices),
            Layers::WebSocket(websocket) => websocket.try_write_vectored(slices),
        }
    }

    /// Whether bytes are kept that the socket has not taken yet: whoever waits must wait for [`Stream::writable`] too, and then
    /// [`Stream::flush`].
    pub fn has_pending_write(&self) -> bool {
        match &self.0 {
            Layers::Plain(_) => false,
            Layers::Tls(tls) => tls.has_pending_write(),
            Layers::WebSocket(websocket) => websocket.has_pending_write(),
        }
    }

    /// Sends what is kept, as far as the socket takes it.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Layers::Plain(_) => Ok(()),
            Layers::Tls(tls) => tls.flush().map(drop),
            Layers::WebSocket(websocket) => websocket.flush().map(drop),
        }
    }

    /// The broker stops, which is what a WebSocket client is told at the end: 1001 in place of 1000.
    pub fn going_away(&mut self) {
        if let Layers::WebSocket(websocket) = &mut self.0 {
            websocket.going_away();
        }
    }

    /// Says that nothing more will come, when all that is kept is sent. Reading goes on until the client says the same.
    ///
    /// # Errors
    /// The socket is gone.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Layers::Plain(raw) => raw.shutdown().await,
            Layers::Tls(tls) => tls.shutdown().await,
            Layers::WebSocket(websocket) => websocket.shutdown().await,
        }
    }
}
