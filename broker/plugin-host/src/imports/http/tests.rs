//! Requests to servers on this machine.

use super::*;
use crate::imports::environment;
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
    sync::mpsc,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

/// Answers by the path of the request; tells of each that came.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, told: mpsc::UnboundedSender<String>) {
    let mut request = Vec::new();
    loop {
        let mut part = [0; 4096];
        let Ok(read @ 1..) = stream.read(&mut part).await else { return };
        request.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() < length.map_or(0, |length| length.parse().unwrap()) {
            continue;
        }
        request.clear();
        told.send(text.clone()).unwrap();
        let answer = |head: &str, body: &str| format!("HTTP/1.1 {head}\r\n\r\n{body}");
        let answer = match head.split(' ').nth(1).unwrap() {
            "/moved" => answer("302 Found\r\nlocation: /echo\r\ncontent-length: 0", ""),
            "/announced" => answer("200 OK\r\ncontent-length: 1025", &"x".repeat(1025)),
            "/fits" => answer("200 OK\r\ncontent-length: 1024", &"x".repeat(1024)),
            "/endless" => {
                let head = answer("200 OK\r\ntransfer-encoding: chunked", "");
                stream.write_all(head.as_bytes()).await.unwrap();
                // Until nobody reads any more.
                while stream.write_all(b"100\r\n").await.is_ok()
                    && stream.write_all(&[b'x'; 256]).await.is_ok()
                    && stream.write_all(b"\r\n").await.is_ok()
                {}
                return;
            }
            "/head" => answer(&format!("200 OK\r\nx: {}", "x".repeat(128 << 10)), ""),
            "/never" => continue,
            "/stalls" => answer("200 OK\r\ncontent-length: 10", "12345"),
            "/nonsense" => "nonsense\r\n\r\n".into(),
            _ => answer(&format!("200 OK\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: {}", text.len()), &text),
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

pub(in crate::imports) struct Server {
    pub(in crate::imports) address: SocketAddr,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Server {
    pub(in crate::imports) async fn start() -> Self {
        Self::with(None).await
    }

    async fn with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, told) = (tls.clone(), told.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, told).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            serve(stream, told).await;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.address.port())
    }

    /// Requests that reached it so far.
    pub(in crate::imports) fn heard(&mut self) -> usize {
        std::iter::from_fn(|| self.requests.try_recv().ok()).count()
    }
}

/// With a grant for `host` at the server, and more of the table.
pub(in crate::imports) fn granted(server: &Server, host: &str, more: &str) -> Environment {
    let origin = server.url(host, "");
    let text = format!("limits.http_response = '1KiB'\n{more}\ngrants.http.origins = ['{origin}']");
    environment(&toml::from_str(&text).unwrap(), true)
}

fn get(url: String) -> Fetch {
    Fetch { method: "GET".into(), url, headers: Vec::new(), body: None, timeout_ms: 0 }
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

fn failed(answer: Result<Fetched, Error>) -> String {
    match answer {
        Err(Error::Other(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_goes_out_as_it_is_and_its_answer_comes_back() {
    let server = Server::start().await;
    let environment = granted(&server, "127.0.0.1", "");
    let fetch = Fetch {
        method: "POST".into(),
        headers: vec![header("Authorization", "Bearer x"), header("x-b", "1"), header("x-b", "2")],
        body: Some(b"hello".to_vec()),
        ..get(server.url("127.0.0.1", "/echo?a=b#c"))
    };
    let fetched = environment.fetch(fetch).await.unwrap();
    assert_eq!(fetched.status, 200);
    let values: Vec<_> =
        fetched.headers.iter().filter(|(name, _)| name == "x-a").map(|(_, v)| &**v).collect();
    assert_eq!(values, ["1", "2"]);
    let heard = String::from_utf8(fetched.body).unwrap();
    assert!(heard.starts_with("POST /echo?a=b HTTP/1.1\r\n"), "{heard}");
    for line in ["authorization: Bearer x\r\n", "x-b: 1\r\nx-b: 2\r\n", "content-length: 5\r\n"] {
        assert!(heard.contains(line), "{heard}");
    }
    assert!(heard.contains(&format!("host: {}\r\n", server.address)) && heard.ends_with("\r\n\r\nhello"));
}

#[tokio::test]
async fn nothing_goes_where_it_was_not_granted() {
    let (mut server, mut other) = (Server::start().await, Server::start().await);
    let environment = granted(&server, "127.0.0.1", "");
    for url in [
        other.url("127.0.0.1", "/"),
        server.url("localhost", "/"),
        server.url("[::ffff:127.0.0.1]", "/"),
        server.url("me@127.0.0.1", "/"),
        server.url("127.0.0.1", "/").replace("http", "https"),
    ] {
        assert_eq!(environment.fetch(get(url.clone())).await, Err(Error::Denied), "{url}");
    }
    let nothing = crate::imports::environment(&Default::default(), true);
    assert_eq!(nothing.fetch(get(server.url("127.0.0.1", "/"))).await, Err(Error::Denied));
    assert_eq!((server.heard(), other.heard()), (0, 0));
}

#[tokio::test]
async fn a_name_leads_to_this_machine_only_if_that_was_granted() {
    let mut server = Server::start().await;
    // Names for the resolver, which knows them without asking anybody.
    for name in ["127.1", "0x7f.0.0.1", "2130706433", "0"] {
        let environment = granted(&server, name, "");
        assert_eq!(environment.fetch(get(server.url(name, "/"))).await, Err(Error::Denied), "{name}");
    }
    assert_eq!(server.heard(), 0);
    let private = granted(&server, "127.1", "grants.http.private = ['127.0.0.0/8']");
    assert_eq!(private.fetch(get(server.url("127.1", "/"))).await.unwrap().status, 200);
    let localhost = granted(&server, "localhost", "");
    assert_eq!(localhost.fetch(get(server.url("localhost", "/"))).await.unwrap().status, 200);
    assert_eq!(server.heard(), 2);
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let mut server = Server::start().await;
    let environment = granted(&server, "127.0.0.1", "");
    let fetched = environment.fetch(get(server.url("127.0.0.1", "/moved"))).await.unwrap();
    assert_eq!(fetched.status, 302);
    assert!(fetched.headers.contains(&header("location", "/echo")));
    assert_eq!(server.heard(), 1);
}

#[tokio::test]
async fn an_answer_is_cut_at_its_limit() {
    let server = Server::start().await;
    let environment = granted(&server, "127.0.0.1", "");
    let fetch = |path| environment.fetch(get(server.url("127.0.0.1", path)));
    assert_eq!(fetch("/fits").await.unwrap().body.len(), 1024);
    assert_eq!(fetch("/announced").await, Err(Error::TooLarge));
    assert_eq!(fetch("/endless").await, Err(Error::TooLarge));
    assert!(failed(fetch("/head").await).contains("too large"));
}

#[tokio::test]
async fn an_answer_has_a_time() {
    let server = Server::start().await;
    let operator = granted(&server, "127.0.0.1", "limits.http_timeout = '50ms'");
    let guest = granted(&server, "127.0.0.1", "");
    for path in ["/never", "/stalls"] {
        let slow = |timeout_ms| Fetch { timeout_ms, ..get(server.url("127.0.0.1", path)) };
        assert_eq!(operator.fetch(slow(0)).await, Err(Error::Timeout), "{path}");
        assert_eq!(operator.fetch(slow(u32::MAX)).await, Err(Error::Timeout), "{path}");
        assert_eq!(guest.fetch(slow(50)).await, Err(Error::Timeout), "{path}");
    }
}

#[tokio::test]
async fn requests_at_once_are_bounded() {
    let mut server = Server::start().await;
    let environment = Arc::new(granted(&server, "127.0.0.1", "limits.http_concurrent = 1"));
    let (first, url) = (environment.clone(), server.url("127.0.0.1", "/never"));
    let first = tokio::spawn(async move { first.fetch(get(url)).await });
    server.requests.recv().await.unwrap();
    let echo = || environment.fetch(get(server.url("127.0.0.1", "/echo")));
    assert_eq!(echo().await, Err(Error::TooMany));
    first.abort();
    assert!(first.await.is_err());
    assert!(echo().await.is_ok());
}

#[tokio::test]
async fn what_makes_no_request_is_refused() {
    let mut server = Server::start().await;
    let environment = granted(&server, "127.0.0.1", "");
    let base = || get(server.url("127.0.0.1", "/"));
    let with = |name: &str, value: &str| Fetch { headers: vec![header(name, value)], ..base() };
    for (fetch, why) in [
        (Fetch { url: "http://".into(), ..base() }, "the URL is not valid"),
        (Fetch { method: "G T".into(), ..base() }, "the method is not valid"),
        (Fetch { method: "CONNECT".into(), ..base() }, "the method is not valid"),
        (with("Host", "other"), "the header host is not for plugins"),
        (with("Transfer-Encoding", "chunked"), "the header transfer-encoding is not for plugins"),
        (with("Keep-Alive", "1"), "the header keep-alive is not for plugins"),
        (with("a b", "1"), "the header name \"a b\" is not valid"),
        (with("a", "1\r\nb: 2"), "the value of the header a is not valid"),
    ] {
        let said = failed(environment.fetch(fetch).await);
        assert!(said.starts_with(why), "{said}");
    }
    let length = environment.fetch(with("content-length", "99")).await.unwrap();
    assert!(!String::from_utf8(length.body).unwrap().contains("content-length"));
    assert_eq!(server.heard(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_or_talks_nonsense_is_another_error() {
    let server = Server::start().await;
    let environment = granted(&server, "127.0.0.1", "");
    assert!(
        failed(environment.fetch(get(server.url("127.0.0.1", "/nonsense"))).await).contains("invalid HTTP")
    );
    // A port that is taken, but where nobody listens.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let gone = Server { address: closed.local_addr().unwrap(), requests: mpsc::unbounded_channel().1 };
    let environment = granted(&gone, "127.0.0.1", "");
    assert!(failed(environment.fetch(get(gone.url("127.0.0.1", "/"))).await).contains("refused"));
}

#[tokio::test]
async fn certificates_are_checked_and_the_operator_may_name_whom_to_trust() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let server = Server::with(Some(TlsAcceptor::from(Arc::new(config)))).await;
    let place = tempfile::tempdir().unwrap();
    let ca = place.path().join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let url = server.url("localhost", "").replace("http", "https");
    let with = |more: String| {
        environment(&toml::from_str(&format!("grants.http = {{ origins = ['{url}']{more} }}")).unwrap(), true)
    };
    let trusting = with(format!(", ca = '{}'", ca.display()));
    assert_eq!(trusting.fetch(get(url.clone())).await.unwrap().status, 200);
    assert!(failed(with(String::new()).fetch(get(url.clone())).await).contains("UnknownIssuer"));
}
