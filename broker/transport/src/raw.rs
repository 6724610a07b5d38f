//! A socket as the system gives it.

use socket2::SockRef;
use std::{
    future::poll_fn,
    io::{self, IoSlice, Read, Write},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncWrite, Interest},
    net::{TcpStream, UnixStream},
};

/// A socket as the system gives it.
#[derive(Debug)]
pub enum Raw {
    /// From a TCP listener.
    Tcp(TcpStream),
    /// From a Unix listener.
    Unix(UnixStream),
}

impl From<TcpStream> for Raw {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Raw {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl Raw {
    /// One task waits for a socket: it needs no place in a list, as with tokio's `readable()`.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(context),
            Self::Unix(stream) => stream.poll_read_ready(context),
        }
    }

    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(context),
            Self::Unix(stream) => stream.poll_write_ready(context),
        }
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_readable(context)).await
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_writable(context)).await
    }

    /// Reads what is there. If that is less than the buffer takes there is no more, and nothing is tried in vain before the next comes.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut all = None;
        let mut read = |socket: SockRef<'_>| match (&*socket).read(buffer) {
            Ok(n) if (1..buffer.len()).contains(&n) => {
                all = Some(n);
                // Said to tokio, which waits for the next readiness then.
                Err(io::ErrorKind::WouldBlock.into())
            }
            read => read,
        };
        let read = match self {
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, || read(SockRef::from(stream))),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, || read(SockRef::from(stream))),
        };
        all.map_or(read, Ok)
    }

    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            // The shorter way through the system.
            (Self::Tcp(stream), [slice]) => stream.try_write(slice),
            (Self::Unix(stream), [slice]) => stream.try_write(slice),
            (Self::Tcp(stream), slices) => stream.try_write_vectored(slices),
            (Self::Unix(stream), slices) => stream.try_write_vectored(slices),
        }
    }

    /// Says that nothing more will come from us.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|context| match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        })
        .await
    }

    /// Fills the whole buffer.
    pub(crate) async fn read_exact(&self, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            self.readable().await?;
            match self.try_read(&mut buffer[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A socket for code that reads and writes, and stops where it would block.
pub(crate) struct Trying<'a>(pub(crate) &'a Raw);

impl Read for Trying<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Trying<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
