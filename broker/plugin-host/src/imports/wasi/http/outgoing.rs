//! Requests: `outgoing-request`, its options and its body.

use super::{
    ErrorCode, Exchange, Fields, Wasi, Weight,
    types::{self, Method, Scheme},
};
use crate::imports::{Environment, wasi::streams::OutputStream};
use http::{
    Request, header,
    uri::{Authority, PathAndQuery, Uri},
};
use parking_lot::Mutex;
use std::{mem, sync::Arc, time::Duration};
use wasmtime::component::Resource;

/// Bytes of a method, a path or an authority.
const LONGEST_PART: usize = 8 << 10;

/// A request that is being made.
pub struct OutgoingRequest {
    method: Method,
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    path: Option<PathAndQuery>,
    headers: Fields,
    body: Option<Arc<BodyParts>>,
}

/// How long to wait for what, in nanoseconds.
#[derive(Default)]
pub struct RequestOptions {
    connect: Option<u64>,
    first_byte: Option<u64>,
    between_bytes: Option<u64>,
}

impl RequestOptions {
    /// The body comes along with the first byte, so one time covers all.
    fn timeout(&self) -> Option<Duration> {
        let nanoseconds = self.first_byte?.saturating_add(self.connect.unwrap_or_default());
        Some(Duration::from_nanos(nanoseconds))
    }
}

/// The body of a request, as its owner sees it.
pub struct OutgoingBody {
    parts: Arc<BodyParts>,
    /// The stream was taken.
    written: bool,
}

/// The body of a request, shared by the request, the owner and the stream.
pub struct BodyParts(Mutex<Parts>);

struct Parts {
    bytes: Vec<u8>,
    weight: Weight,
    stage: Stage,
}

#[allow(clippy::large_enum_variant, reason = "one for each request under way")]
enum Stage {
    /// Being written. A request that was sent before waits for it here.
    Open(Option<Departure>),
    Whole,
    Lost,
}

/// A request that lacks its body only.
struct Departure {
    head: Request<()>,
    timeout: Option<Duration>,
    /// What its headers say.
    length: Option<u64>,
    exchange: Arc<Exchange>,
}

impl Departure {
    fn leave(self, body: Vec<u8>, weight: Weight, environment: &Arc<Environment>) -> Result<(), ErrorCode> {
        let length = body.len() as u64;
        if self.length.is_some_and(|announced| announced != length) {
            let code = ErrorCode::HttpRequestBodySize(Some(length));
            self.exchange.end(Err(code.clone()));
            return Err(code);
        }
        let request = self.head.map(|()| body.into());
        self.exchange.begin(request, self.timeout, weight, environment);
        Ok(())
    }
}

impl BodyParts {
    /// Adds to the body; or says why not.
    pub(in super::super) fn write(&self, contents: &[u8]) -> Result<(), &'static str> {
        let mut parts = self.0.lock();
        if !matches!(parts.stage, Stage::Open(_)) {
            return Err("the body is finished");
        }
        if !parts.weight.add(contents.len()) {
            return Err("the requests and answers of this instance hold too much");
        }
        parts.bytes.extend_from_slice(contents);
        Ok(())
    }

    /// Nothing more comes.
    fn finish(&self, environment: &Arc<Environment>) -> Result<(), ErrorCode> {
        let mut parts = self.0.lock();
        match mem::replace(&mut parts.stage, Stage::Whole) {
            Stage::Open(Some(departure)) => parts.leave(departure, environment),
            _ => Ok(()),
        }
    }

    /// It was dropped before it was whole.
    fn lose(&self) {
        let mut parts = self.0.lock();
        (parts.bytes, parts.weight) = (Vec::new(), parts.weight.anew());
        if let Stage::Open(Some(departure)) = mem::replace(&mut parts.stage, Stage::Lost) {
            departure.exchange.end(Err(lost()));
        }
    }
}

impl Parts {
    fn leave(&mut self, departure: Departure, environment: &Arc<Environment>) -> Result<(), ErrorCode> {
        departure.leave(mem::take(&mut self.bytes), self.weight.take(), environment)
    }
}

fn lost() -> ErrorCode {
    ErrorCode::InternalError(Some("the body was dropped before it was finished".into()))
}

/// Sends a request, as soon as its body is whole.
pub(super) fn send(
    request: OutgoingRequest,
    options: &RequestOptions,
    nothing: Weight,
    environment: &Arc<Environment>,
) -> Result<Arc<Exchange>, ErrorCode> {
    let exchange = Arc::new(Exchange::default());
    let (departure, body) = request.departure(options, exchange.clone())?;
    let Some(body) = body else {
        departure.leave(Vec::new(), nothing, environment)?;
        return Ok(exchange);
    };
    let mut parts = body.0.lock();
    match &mut parts.stage {
        Stage::Open(waiting) => *waiting = Some(departure),
        Stage::Whole => parts.leave(departure, environment)?,
        Stage::Lost => return Err(lost()),
    }
    Ok(exchange)
}

impl OutgoingRequest {
    /// Counts `bytes` more of its text.
    fn holds(&mut self, bytes: usize) -> Result<(), ()> {
        if bytes <= LONGEST_PART && self.headers.weight.add(bytes) { Ok(()) } else { Err(()) }
    }

    /// A part of its URL, if it is one.
    fn part<T: for<'a> TryFrom<&'a str>>(&mut self, text: Option<String>) -> Result<Option<T>, ()> {
        let Some(text) = text else { return Ok(None) };
        self.holds(text.len())?;
        T::try_from(&text).map(Some).map_err(|_| ())
    }

    fn departure(
        mut self,
        options: &RequestOptions,
        exchange: Arc<Exchange>,
    ) -> Result<(Departure, Option<Arc<BodyParts>>), ErrorCode> {
        let uri = Uri::builder()
            .scheme(match &self.scheme {
                Some(Scheme::Http) => "http",
                Some(Scheme::Https) | None => "https",
                Some(Scheme::Other(other)) => other,
            })
            .authority(self.authority.ok_or(ErrorCode::HttpRequestUriInvalid)?)
            .path_and_query(self.path.unwrap_or_else(|| PathAndQuery::from_static("/")))
            .build()
            .map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
        let method = http::Method::from_bytes(method_name(&self.method).as_bytes())
            .map_err(|_| ErrorCode::HttpRequestMethodInvalid)?;
        // The client says it again.
        let length = self.headers.lines.remove(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let mut head = Request::new(());
        *head.method_mut() = method;
        *head.uri_mut() = uri;
        *head.headers_mut() = mem::take(&mut self.headers.lines);
        Ok((Departure { head, timeout: options.timeout(), length, exchange }, self.body))
    }
}

fn method_name(method: &Method) -> &str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(other) => other,
    }
}

/// Whether a setter succeeded.
type Set = wasmtime::Result<Result<(), ()>>;

impl types::HostOutgoingRequest for Wasi {
    fn new(&mut self, headers: Resource<Fields>) -> wasmtime::Result<Resource<OutgoingRequest>> {
        let headers = self.resources.delete(headers)?;
        self.lend(OutgoingRequest {
            method: Method::Get,
            scheme: None,
            authority: None,
            path: None,
            headers,
            body: None,
        })
    }

    fn body(
        &mut self,
        request: Resource<OutgoingRequest>,
    ) -> wasmtime::Result<Result<Resource<OutgoingBody>, ()>> {
        let weight = self.scale.nothing();
        let request = self.resources.get_mut(&request)?;
        if request.body.is_some() {
            return Ok(Err(()));
        }
        let parts = Parts { bytes: Vec::new(), weight, stage: Stage::Open(None) };
        let parts = Arc::new(BodyParts(Mutex::new(parts)));
        request.body = Some(parts.clone());
        Ok(Ok(self.lend(OutgoingBody { parts, written: false })?))
    }

    fn method(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Method> {
        Ok(self.resources.get(&request)?.method.clone())
    }

    fn set_method(&mut self, request: Resource<OutgoingRequest>, method: Method) -> Set {
        let request = self.resources.get_mut(&request)?;
        if http::Method::from_bytes(method_name(&method).as_bytes()).is_err() {
            return Ok(Err(()));
        }
        Ok(request.holds(method_name(&method).len()).map(|()| request.method = method))
    }

    fn path_with_query(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Option<String>> {
        Ok(self.resources.get(&request)?.path.as_ref().map(ToString::to_string))
    }

    fn set_path_with_query(&mut self, request: Resource<OutgoingRequest>, path: Option<String>) -> Set {
        let request = self.resources.get_mut(&request)?;
        Ok(request.part(path).map(|path| request.path = path))
    }

    fn scheme(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Option<Scheme>> {
        Ok(self.resources.get(&request)?.scheme.clone())
    }

    fn set_scheme(&mut self, request: Resource<OutgoingRequest>, scheme: Option<Scheme>) -> Set {
        let request = self.resources.get_mut(&request)?;
        if matches!(scheme, Some(Scheme::Other(_))) {
            return Ok(Err(()));
        }
        request.scheme = scheme;
        Ok(Ok(()))
    }

    fn authority(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Option<String>> {
        Ok(self.resources.get(&request)?.authority.as_ref().map(ToString::to_string))
    }

    fn set_authority(&mut self, request: Resource<OutgoingRequest>, authority: Option<String>) -> Set {
        let request = self.resources.get_mut(&request)?;
        Ok(request.part(authority).map(|authority| request.authority = authority))
    }

    fn headers(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Resource<Fields>> {
        let headers = Fields::of(&self.resources.get(&request)?.headers.lines, self.scale.nothing())?;
        self.lend(headers)
    }

    fn drop(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<()> {
        self.resources.delete(request)?;
        Ok(())
    }
}

impl types::HostRequestOptions for Wasi {
    fn new(&mut self) -> wasmtime::Result<Resource<RequestOptions>> {
        self.lend(RequestOptions::default())
    }

    fn connect_timeout(&mut self, options: Resource<RequestOptions>) -> wasmtime::Result<Option<u64>> {
        Ok(self.resources.get(&options)?.connect)
    }

    fn set_connect_timeout(&mut self, options: Resource<RequestOptions>, time: Option<u64>) -> Set {
        self.resources.get_mut(&options)?.connect = time;
        Ok(Ok(()))
    }

    fn first_byte_timeout(&mut self, options: Resource<RequestOptions>) -> wasmtime::Result<Option<u64>> {
        Ok(self.resources.get(&options)?.first_byte)
    }

    fn set_first_byte_timeout(&mut self, options: Resource<RequestOptions>, time: Option<u64>) -> Set {
        self.resources.get_mut(&options)?.first_byte = time;
        Ok(Ok(()))
    }

    fn between_bytes_timeout(&mut self, options: Resource<RequestOptions>) -> wasmtime::Result<Option<u64>> {
        Ok(self.resources.get(&options)?.between_bytes)
    }

    fn set_between_bytes_timeout(&mut self, options: Resource<RequestOptions>, time: Option<u64>) -> Set {
        self.resources.get_mut(&options)?.between_bytes = time;
        Ok(Ok(()))
    }

    fn drop(&mut self, options: Resource<RequestOptions>) -> wasmtime::Result<()> {
        self.resources.delete(options)?;
        Ok(())
    }
}

impl types::HostOutgoingBody for Wasi {
    fn write(
        &mut self,
        body: Resource<OutgoingBody>,
    ) -> wasmtime::Result<Result<Resource<OutputStream>, ()>> {
        let body = self.resources.get_mut(&body)?;
        if mem::replace(&mut body.written, true) {
            return Ok(Err(()));
        }
        let stream = OutputStream::Body(body.parts.clone());
        Ok(Ok(self.lend(stream)?))
    }

    fn finish(
        &mut self,
        body: Resource<OutgoingBody>,
        trailers: Option<Resource<Fields>>,
    ) -> wasmtime::Result<Result<(), ErrorCode>> {
        let body = self.resources.delete(body)?;
        if let Some(trailers) = trailers {
            self.resources.delete(trailers)?;
            body.parts.lose();
            return Ok(Err(ErrorCode::InternalError(Some("trailers are not sent".into()))));
        }
        Ok(body.parts.finish(&self.environment))
    }

    fn drop(&mut self, body: Resource<OutgoingBody>) -> wasmtime::Result<()> {
        self.resources.delete(body)?.parts.lose();
        Ok(())
    }
}
