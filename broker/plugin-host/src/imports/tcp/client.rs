//! The connections of one generation: where to, how many, for how long.

use crate::{
    grants::{TcpGrant, TcpOrigin},
    imports::tls,
    limits::Limits,
};
use rustls::pki_types::ServerName;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    runtime::Handle,
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

/// Bytes that one `read` gives at most.
const LARGEST_READ: usize = 256 << 10;

/// See the module.
pub(crate) struct Tcp {
    grant: TcpGrant,
    tls: TlsConnector,
    permits: Arc<Semaphore>,
    /// Whose reactor looks after the sockets.
    runtime: Handle,
    longest: Duration,
}

/// An open one.
pub(super) struct Connection {
    stream: Mutex<Box<dyn Stream>>,
    longest: Duration,
    _permit: OwnedSemaphorePermit,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why it was not done. The connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum TcpError {
    #[error("not granted")]
    Denied,
    #[error("it takes too long")]
    Timeout,
    #[error("too many connections at once, see limits.tcp_connections")]
    TooMany,
    #[error("{0}")]
    Failed(String),
}

impl From<io::Error> for TcpError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Tcp {
    /// # Errors
    /// Key, reason and remedy, if the certificate authorities cannot be used.
    pub(crate) fn new(grant: &TcpGrant, limits: &Limits) -> Result<Self, String> {
        let tls = tls::client("grants.tcp.ca", grant.ca.as_deref())?;
        Ok(Self {
            grant: grant.clone(),
            tls: Arc::new(tls).into(),
            permits: Arc::new(Semaphore::new(limits.tcp_connections.get().min(Semaphore::MAX_PERMITS))),
            runtime: Handle::current(),
            longest: limits.tcp_timeout,
        })
    }

    pub(super) async fn connect(
        &self,
        origin: &str,
        asked: Option<Duration>,
    ) -> Result<Connection, TcpError> {
        let origin = TcpOrigin::parse(origin).ok().filter(|origin| self.grant.origins.contains(origin));
        let origin = origin.ok_or(TcpError::Denied)?;
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| TcpError::TooMany)?;
        let (grant, tls) = (self.grant.clone(), self.tls.clone());
        let opening =
            AbortOnDropHandle::new(self.runtime.spawn(async move { open(&grant, &tls, &origin).await }));
        let opened = within(asked, self.longest, async {
            opening.await.unwrap_or_else(|failed| Err(TcpError::Failed(failed.to_string())))
        });
        Ok(Connection { stream: Mutex::new(opened.await?), longest: self.longest, _permit: permit })
    }
}

impl Connection {
    pub(super) async fn write(&self, bytes: &[u8], asked: Option<Duration>) -> Result<(), TcpError> {
        let mut stream = self.stream.lock().await;
        within(asked, self.longest, async {
            stream.write_all(bytes).await?;
            Ok(stream.flush().await?)
        })
        .await
    }

    /// Empty: the other side has closed.
    pub(super) async fn read(&self, most: usize, asked: Option<Duration>) -> Result<Vec<u8>, TcpError> {
        let mut bytes = Vec::with_capacity(most.min(LARGEST_READ));
        if most == 0 {
            return Err(TcpError::Failed("it reads nothing".to_owned()));
        }
        let mut stream = self.stream.lock().await;
        let mut limited = (&mut *stream).take(bytes.capacity() as u64);
        within(asked, self.longest, async { Ok(limited.read_buf(&mut bytes).await?) }).await?;
        Ok(bytes)
    }
}

async fn open(grant: &TcpGrant, tls: &TlsConnector, origin: &TcpOrigin) -> Result<Box<dyn Stream>, TcpError> {
    let stream = reach(grant, origin).await?;
    stream.set_nodelay(true)?;
    if !origin.is_tls() {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(origin.host());
    let name =
        name.map_err(|_| TcpError::Failed(format!("{} is no name for a certificate", origin.host())))?;
    Ok(Box::new(tls.connect(name, stream).await?))
}

/// The first of its addresses that answers. Those that were not granted are not tried.
async fn reach(grant: &TcpGrant, origin: &TcpOrigin) -> Result<TcpStream, TcpError> {
    if let Some(address) = origin.address() {
        return Ok(TcpStream::connect((address, origin.port())).await?);
    }
    let name = origin.host();
    let found = tokio::net::lookup_host((&*name, origin.port())).await?;
    let granted: Vec<SocketAddr> = found.filter(|found| grant.leads_to(&name, found.ip())).collect();
    match granted.is_empty() {
        true => Err(TcpError::Denied),
        false => Ok(TcpStream::connect(&*granted).await?),
    }
}

/// As long as was asked for, but no longer than granted.
async fn within<T>(
    asked: Option<Duration>,
    longest: Duration,
    work: impl Future<Output = Result<T, TcpError>>,
) -> Result<T, TcpError> {
    let timeout = asked.map_or(longest, |asked| asked.min(longest));
    tokio::time::timeout(timeout, work).await.unwrap_or(Err(TcpError::Timeout))
}
