//! Connections to the origins that the operator grants, by TCP or TLS. A plugin with that grant may wait in its hooks.
//!
//! ```
//! use std::time::Duration;
//! use tidegate_plugin::tcp::{Connection, Error};
//! # let host = tidegate_plugin::testing::Host::new();
//! # host.tcp(|_| Ok(Box::new(std::io::Cursor::new(b"PING\r\n+PONG\r\n".to_vec()))));
//!
//! fn ping() -> Result<Vec<u8>, Error> {
//!     let mut redis = Connection::open("tcp://127.0.0.1:6379")?.timeout(Duration::from_secs(1));
//!     redis.write(b"PING\r\n")?;
//!     redis.read(64)
//! }
//! # assert_eq!(ping().unwrap(), b"+PONG\r\n");
//! ```

use crate::host;
use std::{fmt, time::Duration};

/// An open connection; closed when it is dropped.
pub struct Connection {
    inner: host::TcpConnection,
    timeout: Option<Duration>,
}

/// Why it was not done. The connection is of no use any more.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The operator has not granted this origin.
    #[error("the plugin is not granted this origin")]
    Denied,
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// The plugin has as many connections as the operator allows.
    #[error("too many connections at once")]
    TooMany,
    /// The connection failed.
    #[error("{0}")]
    Failed(String),
}

impl Connection {
    /// Connects to `origin`: `tcp://HOST:PORT` or `tls://HOST:PORT`, as it was granted.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(origin: &str) -> Result<Self, Error> {
        Ok(Self { inner: host::tcp_open(origin, None)?, timeout: None })
    }

    /// The longest that one `read` or `write` may take from now on, if the operator allows that long.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// See [`Error`]. Some of it may have been written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        host::tcp_write(&mut self.inner, bytes, self.timeout)
    }

    /// What has come, or comes first, no more than `most` bytes. Empty: the other side has closed.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(&mut self, most: u32) -> Result<Vec<u8>, Error> {
        host::tcp_read(&mut self.inner, most, self.timeout)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
