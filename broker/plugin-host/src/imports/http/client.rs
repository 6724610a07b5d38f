//! The HTTP client of one generation: what it may reach, how often, for how long, and how much of the answer it gets. No redirects, no
//! proxies, no cookies.

use crate::{grants::HttpGrant, imports::tls, limits::Limits};
use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::{Body as _, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{
            HttpConnector,
            dns::{GaiResolver, Name},
        },
    },
    rt::{TokioExecutor, TokioTimer},
};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
    vec,
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::task::AbortOnDropHandle;
use tower_service::Service;

/// Connections wait so long for the next request.
const IDLE: Duration = Duration::from_secs(30);
/// Bytes of the head of a response.
const LARGEST_HEAD: usize = 64 << 10;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Of a request.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// See the module.
pub(crate) struct Http {
    grant: Arc<HttpGrant>,
    client: Client<HttpsConnector<HttpConnector<Granted>>, Body>,
    permits: Arc<Semaphore>,
    runtime: Handle,
    longest: Duration,
    largest: usize,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("not granted")]
    Denied,
    #[error("it takes too long")]
    Timeout,
    #[error("it is larger than limits.http_response")]
    TooLarge,
    #[error("too many requests at once, see limits.http_concurrent")]
    TooMany,
    #[error("{0}")]
    Failed(String),
}

impl Http {
    /// # Errors
    /// Key, reason and remedy, if the certificate authorities cannot be used.
    pub(crate) fn new(grant: &HttpGrant, limits: &Limits) -> Result<Self, String> {
        let grant = Arc::new(grant.clone());
        let mut tcp = HttpConnector::new_with_resolver(Granted(grant.clone()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client("grants.http.ca", grant.ca.as_deref())?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let at_once = limits.http_concurrent.get();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(at_once)
            .http1_max_buf_size(LARGEST_HEAD)
            .build(connector);
        Ok(Self {
            grant,
            client,
            permits: Arc::new(Semaphore::new(at_once.min(Semaphore::MAX_PERMITS))),
            runtime: Handle::current(),
            longest: limits.http_timeout,
            largest: limits.http_response.bytes(),
        })
    }

    /// Sends a request to an absolute URI. The permit is to be kept until the response is read.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
    ) -> Result<(Response<Incoming>, OwnedSemaphorePermit), HttpError> {
        if !self.grant.holds(request.uri()) {
            return Err(HttpError::Denied);
        }
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| HttpError::TooMany)?;
        // Sockets are looked after there, not by those who serve clients.
        let client = self.client.clone();
        let asked = AbortOnDropHandle::new(self.runtime.spawn(async move { client.request(request).await }));
        let answered = asked.await.map_err(|failed| HttpError::Failed(failed.to_string()))?;
        Ok((answered.map_err(|error| HttpError::of(&error))?, permit))
    }

    /// Runs `work` for as long as was asked for, but no longer than granted.
    pub(crate) async fn within<T>(
        &self,
        asked: Option<Duration>,
        work: impl Future<Output = Result<T, HttpError>>,
    ) -> Result<T, HttpError> {
        let timeout = asked.map_or(self.longest, |asked| asked.min(self.longest));
        tokio::time::timeout(timeout, work).await.unwrap_or(Err(HttpError::Timeout))
    }

    /// The whole body, unless it is too large; then nothing more of it is read.
    pub(crate) async fn whole(&self, mut body: Incoming) -> Result<Vec<u8>, HttpError> {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > self.largest {
            return Err(HttpError::TooLarge);
        }
        let mut whole = Vec::with_capacity(announced);
        while let Some(frame) = body.frame().await {
            let Ok(part) = frame.map_err(|error| HttpError::of(&error))?.into_data() else { continue };
            if part.len() > self.largest - whole.len() {
                return Err(HttpError::TooLarge);
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole)
    }
}

impl HttpError {
    /// By its causes; the text names them all.
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        if causes.clone().any(|cause| cause.is::<NotGranted>()) {
            return Self::Denied;
        }
        let causes: Vec<String> = causes.map(ToString::to_string).collect();
        Self::Failed(causes.join(": "))
    }
}

/// Finds addresses of names, and lets through only those that were granted: what was looked at here is what is connected to.
#[derive(Clone)]
struct Granted(Arc<HttpGrant>);

/// The name leads to addresses that were not granted.
#[derive(Debug, thiserror::Error)]
#[error("{0} leads to addresses that were not granted")]
struct NotGranted(Name);

impl Service<Name> for Granted {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let grant = self.0.clone();
        Box::pin(async move {
            let found = GaiResolver::new().call(name.clone()).await;
            let found = found.map_err(|why| io::Error::new(why.kind(), format!("{name}: {why}")))?;
            let granted = found.filter(|address| grant.leads_to(name.as_str(), address.ip()));
            let granted: Vec<SocketAddr> = granted.collect();
            match granted.is_empty() {
                true => Err(NotGranted(name).into()),
                false => Ok(granted.into_iter()),
            }
        })
    }
}
