//! The HTTP server of a scenario: on loopback, at a port that stays the same, answering as the scenario says.

use super::broker::Happened;
use crate::scenario::{Http, step::HttpAnswer};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tidegate_plugin_host::parse_duration;
use tokio::{net::TcpListener, task::JoinSet};

/// See the module.
pub(crate) struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Ends with its connections when it is dropped. None: down.
    serving: Option<JoinSet<()>>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<Vec<Answer>>,
    requested: Happened,
}

struct Answer {
    says: HttpAnswer,
    delay: Duration,
    left: Option<u32>,
}

impl Backend {
    /// # Errors
    /// There is no port to be had.
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut backend = Self { address: listener.local_addr()?, shared: Arc::default(), serving: None };
        backend.serve(listener);
        Ok(backend)
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked of it.
    pub(crate) fn requested(&self) -> &Happened {
        &self.shared.requested
    }

    /// From now on it answers like that.
    ///
    /// # Errors
    /// A field makes no sense, or its port is taken by somebody else meanwhile.
    pub(crate) async fn answer(&mut self, http: &Http) -> Result<(), String> {
        let Http::Answers(answers) = http else {
            if let Some(mut serving) = self.serving.take() {
                serving.shutdown().await;
            }
            return Ok(());
        };
        let answer = |says: &HttpAnswer| {
            headers(says)?;
            let delay =
                says.delay.as_deref().map(parse_duration).transpose().map_err(|why| why.to_string())?;
            Ok(Answer { says: says.clone(), delay: delay.unwrap_or_default(), left: says.times })
        };
        *self.shared.answers.lock() = answers.iter().map(answer).collect::<Result<_, String>>()?;
        if self.serving.is_none() {
            let listener = TcpListener::bind(self.address).await;
            self.serve(listener.map_err(|why| format!("cannot listen at {} again: {why}", self.address))?);
        }
        Ok(())
    }

    fn serve(&mut self, listener: TcpListener) {
        let shared = self.shared.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                let service = service_fn(move |request| shared.clone().respond(request));
                connections.spawn(async move {
                    // A connection that is cut is cut on purpose, or by the plugin.
                    _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        self.serving = Some(serving);
    }
}

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("cut")]
struct Cut;

impl Shared {
    async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        let answer = self.take(head.method.as_str(), head.uri.path());
        self.requested.push(|| {
            let headers = head.headers.iter();
            let headers: Map<String, Value> = headers
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
                .collect();
            let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
            let mut said = Map::new();
            said.insert("method".to_owned(), head.method.as_str().into());
            said.insert("path".to_owned(), path.into());
            said.insert("headers".to_owned(), headers.into());
            said.insert("body".to_owned(), String::from_utf8_lossy(&body).into());
            said
        });
        let Some((says, delay)) = answer else {
            return Ok(response(404, "the scenario says nothing about this request\n"));
        };
        tokio::time::sleep(delay).await;
        if says.close {
            return Err(Cut);
        }
        let text = says.json.as_ref().map(Value::to_string).or_else(|| says.body.clone()).unwrap_or_default();
        let mut answer = response(says.status, text);
        if says.json.is_some() {
            answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        }
        // They were good when the scenario gave them.
        answer.headers_mut().extend(headers(&says).unwrap_or_default());
        Ok(answer)
    }

    fn take(&self, method: &str, path: &str) -> Option<(HttpAnswer, Duration)> {
        let mut answers = self.answers.lock();
        let answer =
            answers.iter_mut().find(|answer| answer.left != Some(0) && answer.says.fits(method, path))?;
        answer.left = answer.left.map(|left| left - 1);
        Some((answer.says.clone(), answer.delay))
    }
}

/// # Errors
/// One of them is none.
fn headers(says: &HttpAnswer) -> Result<http::HeaderMap, String> {
    let headers = says.headers.iter().map(|(name, value)| {
        let wrong = |why: &dyn std::fmt::Display| format!("`headers`: {name:?}: {value:?}: {why}");
        let known = http::HeaderName::try_from(name).map_err(|why| wrong(&why))?;
        Ok((known, http::HeaderValue::try_from(value).map_err(|why| wrong(&why))?))
    });
    headers.collect()
}

impl HttpAnswer {
    fn fits(&self, method: &str, path: &str) -> bool {
        let fits = |wanted: &String| match wanted.strip_suffix('*') {
            Some(beginning) => path.starts_with(beginning),
            None => path == wanted,
        };
        self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.path.as_ref().is_none_or(fits)
    }
}

fn response(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response
}
