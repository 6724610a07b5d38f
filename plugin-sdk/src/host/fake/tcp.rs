//! Connections as the test makes them. Without any, no origin is granted.

use super::with;
use crate::{tcp::Error, testing::Duplex};
use std::time::Duration;

/// What the test answers.
pub(crate) type Opening = Box<dyn FnMut(&str) -> Result<TcpConnection, Error>>;

/// Whatever reads and writes.
pub(crate) type TcpConnection = Box<dyn Duplex>;

pub(crate) fn tcp_open(origin: &str, _: Option<Duration>) -> Result<TcpConnection, Error> {
    // Lent for the call, so that it may look at its host.
    let Some(mut opening) = with(|fake| fake.tcp.take()) else { return Err(Error::Denied) };
    let connection = opening(origin);
    with(|fake| {
        fake.tcp.get_or_insert(opening);
    });
    connection
}

pub(crate) fn tcp_write(
    connection: &mut TcpConnection,
    bytes: &[u8],
    _: Option<Duration>,
) -> Result<(), Error> {
    connection.write_all(bytes).map_err(|error| Error::Failed(error.to_string()))
}

pub(crate) fn tcp_read(
    connection: &mut TcpConnection,
    most: u32,
    _: Option<Duration>,
) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; (most as usize).min(64 << 10)];
    let read = connection.read(&mut bytes).map_err(|error| Error::Failed(error.to_string()))?;
    bytes.truncate(read);
    Ok(bytes)
}
