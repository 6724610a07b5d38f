//! `tidegate:plugin/http`: requests to the origins that were granted.

mod client;

pub(crate) use client::{Http, HttpError};

use super::Environment;
use crate::instance::Guest;
use ::http::{
    HeaderName, HeaderValue, Method, Request, Response, Uri,
    header::{
        CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE,
    },
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use std::time::Duration;
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance, Lower},
};

/// Headers that are about the connection, or that say where the request goes.
const OURS: [HeaderName; 8] =
    [CONNECTION, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
/// The same, without a constant.
const OURS_BY_NAME: [&str; 2] = ["keep-alive", "proxy-connection"];

/// `http.request`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(record)]
struct Fetch {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    #[component(name = "timeout-ms")]
    timeout_ms: u32,
}

/// `http.response`
#[derive(Clone, ComponentType, Debug, Eq, Lower, PartialEq)]
#[component(record)]
struct Fetched {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// `http.error`
#[derive(Clone, ComponentType, Debug, Eq, Lower, PartialEq)]
#[component(variant)]
enum Error {
    #[component(name = "denied")]
    Denied,
    #[component(name = "timeout")]
    Timeout,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "too-many")]
    TooMany,
    #[component(name = "other")]
    Other(String),
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied => Self::Denied,
            HttpError::Timeout => Self::Timeout,
            HttpError::TooLarge => Self::TooLarge,
            HttpError::TooMany => Self::TooMany,
            HttpError::Failed(_) => Self::Other(error.to_string()),
        }
    }
}

/// See [`super::link`] about `waits`.
pub(super) fn link(interface: &mut LinkerInstance<'_, Guest>, waits: bool) -> wasmtime::Result<()> {
    type Cx<'a> = StoreContextMut<'a, Guest>;
    if !waits {
        return interface
            .func_wrap("fetch", |_: Cx<'_>, (_,): (Fetch,)| Ok((Err::<Fetched, _>(Error::Denied),)));
    }
    interface.func_wrap_async("fetch", |cx: Cx<'_>, (request,): (Fetch,)| {
        let environment = cx.data().environment.clone();
        Box::new(async move { Ok((environment.fetch(request).await,)) })
    })
}

impl Environment {
    async fn fetch(&self, fetch: Fetch) -> Result<Fetched, Error> {
        let timeout = Duration::from_millis(fetch.timeout_ms.into());
        let response = self.exchange(request(fetch)?, Some(timeout).filter(|time| !time.is_zero())).await?;
        let (head, body) = response.into_parts();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
        Ok(Fetched { status: head.status.as_u16(), headers: headers.collect(), body })
    }

    /// Sends a request to where it was granted, and waits for the whole answer.
    pub(super) async fn exchange(
        &self,
        request: Request<Bytes>,
        timeout: Option<Duration>,
    ) -> Result<Response<Vec<u8>>, HttpError> {
        let http = self.http.as_ref().ok_or(HttpError::Denied)?;
        let request = request.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync());
        let exchange = async {
            let (response, _permit) = http.send(request).await?;
            let (head, body) = response.into_parts();
            Ok(Response::from_parts(head, http.whole(body).await?))
        };
        http.within(timeout, exchange).await
    }
}

/// Whether a header is for the client to set, not for plugins.
pub(super) fn is_ours(header: &HeaderName) -> bool {
    OURS.contains(header) || OURS_BY_NAME.contains(&header.as_str())
}

fn request(fetch: Fetch) -> Result<Request<Bytes>, Error> {
    let invalid = |what: String| Error::Other(what);
    let uri: Uri = fetch.url.parse().map_err(|why| invalid(format!("the URL is not valid: {why}")))?;
    let method = Method::from_bytes(fetch.method.as_bytes())
        .ok()
        .filter(|method| *method != Method::CONNECT)
        .ok_or_else(|| invalid("the method is not valid".into()))?;
    let mut request = Request::new(Bytes::from(fetch.body.unwrap_or_default()));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    for (name, value) in fetch.headers {
        let header = HeaderName::from_bytes(name.as_bytes());
        let header = header.map_err(|_| invalid(format!("the header name {name:?} is not valid")))?;
        if is_ours(&header) {
            return Err(invalid(format!("the header {header} is not for plugins to set")));
        }
        let value = HeaderValue::from_bytes(value.as_bytes());
        let value = value.map_err(|_| invalid(format!("the value of the header {header} is not valid")))?;
        // The body says it, whatever the guest says.
        if header != CONTENT_LENGTH {
            request.headers_mut().append(header, value);
        }
    }
    Ok(request)
}

#[cfg(test)]
pub(super) mod tests;
