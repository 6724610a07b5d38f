use super::{
    super::{
        bindings::wasi::{
            http::{
                outgoing_handler::Host,
                types::{
                    HeaderError, HostFields, HostFutureIncomingResponse, HostFutureTrailers,
                    HostIncomingBody, HostIncomingResponse, HostOutgoingBody, HostOutgoingRequest,
                    HostRequestOptions, Method, Scheme,
                },
            },
            io::streams::{HostInputStream, HostOutputStream, StreamError},
        },
        streams::InputStream,
    },
    exchange::Answer,
    *,
};
use crate::{
    config::PluginConfig,
    imports::{
        environment,
        http::tests::{self, Server},
    },
};
use ::http::{HeaderMap, StatusCode};
use std::sync::Arc;

fn wasi() -> Wasi {
    Wasi::new(&Arc::new(environment(&PluginConfig::default(), true)))
}

/// For a plugin that may ask `server`.
fn granted(server: &Server, more: &str) -> Wasi {
    Wasi::new(&Arc::new(tests::granted(server, "127.0.0.1", more)))
}

/// A request to `server`.
fn to(wasi: &mut Wasi, server: &Server, path: &str, lines: &[(&str, &str)]) -> Resource<OutgoingRequest> {
    let request = request(wasi, lines);
    wasi.set_scheme(same(&request), Some(Scheme::Http)).unwrap().unwrap();
    wasi.set_authority(same(&request), Some(server.address.to_string())).unwrap().unwrap();
    wasi.set_path_with_query(same(&request), Some(path.into())).unwrap().unwrap();
    request
}

fn fields(wasi: &mut Wasi, lines: &[(&str, &str)]) -> Resource<Fields> {
    let lines = lines.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    wasi.from_list(lines.collect()).unwrap().unwrap()
}

/// The same handle again, where the trait takes it.
fn same<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_own(resource.rep())
}

fn request(wasi: &mut Wasi, lines: &[(&str, &str)]) -> Resource<OutgoingRequest> {
    let headers = fields(wasi, lines);
    let request = HostOutgoingRequest::new(wasi, headers).unwrap();
    wasi.set_authority(same(&request), Some("localhost:1".into())).unwrap().unwrap();
    request
}

/// What became of it.
async fn outcome(
    wasi: &mut Wasi,
    future: &Resource<FutureResponse>,
) -> Result<Resource<IncomingResponse>, ErrorCode> {
    let exchange = wasi.resources.get(future).unwrap().exchange().clone();
    exchange.answered().await;
    let outcome = HostFutureIncomingResponse::get(wasi, same(future)).unwrap().unwrap().unwrap();
    assert!(HostFutureIncomingResponse::get(wasi, same(future)).unwrap().unwrap().is_err(), "given already");
    outcome
}

fn write(wasi: &mut Wasi, body: &Resource<OutgoingBody>, bytes: &[u8]) {
    let stream = HostOutgoingBody::write(wasi, same(body)).unwrap().unwrap();
    assert!(HostOutgoingBody::write(wasi, same(body)).unwrap().is_err(), "one stream");
    wasi.blocking_write_and_flush(same(&stream), bytes.to_vec()).unwrap().unwrap();
    HostOutputStream::drop(wasi, stream).unwrap();
}

#[tokio::test]
async fn headers_are_kept_by_name_and_those_of_the_connection_refused() {
    let wasi = &mut wasi();
    let headers = fields(wasi, &[("Accept", "a"), ("x", "1"), ("accept", "b")]);
    assert_eq!(HostFields::get(wasi, same(&headers), "ACCEPT".into()).unwrap(), [b"a", b"b"]);
    assert!(wasi.has(same(&headers), "x".into()).unwrap());
    wasi.set(same(&headers), "accept".into(), vec![b"c".to_vec()]).unwrap().unwrap();
    HostFields::delete(wasi, same(&headers), "x".into()).unwrap().unwrap();
    assert_eq!(wasi.entries(same(&headers)).unwrap(), [("accept".to_owned(), b"c".to_vec())]);
    let append = |wasi: &mut Wasi, name: &str, value: &[u8]| {
        wasi.append(same(&headers), name.into(), value.to_vec()).unwrap()
    };
    for name in ["Host", "connection", "transfer-encoding", "proxy-authorization", "keep-alive"] {
        assert!(matches!(append(wasi, name, b"x"), Err(HeaderError::Forbidden)), "{name}");
    }
    assert!(matches!(append(wasi, "a b", b"x"), Err(HeaderError::InvalidSyntax)));
    assert!(matches!(append(wasi, "a", b"x\r\nhost: y"), Err(HeaderError::InvalidSyntax)));
    let copy = HostFields::clone(wasi, same(&headers)).unwrap();
    append(wasi, "only-here", b"x").unwrap();
    assert!(!wasi.has(copy, "only-here".into()).unwrap());
    assert!((0..300).any(|_| append(wasi, "many", b"x").is_err()), "bounded");
}

#[tokio::test]
async fn the_headers_of_a_request_that_is_made_stay() {
    let wasi = &mut wasi();
    let request = request(wasi, &[("a", "b")]);
    let headers = HostOutgoingRequest::headers(wasi, request).unwrap();
    assert_eq!(HostFields::get(wasi, same(&headers), "a".into()).unwrap(), [b"b"]);
    assert!(matches!(HostFields::delete(wasi, headers, "a".into()).unwrap(), Err(HeaderError::Immutable)));
}

#[tokio::test]
async fn a_request_is_made_of_what_makes_a_url() {
    let wasi = &mut wasi();
    let request = request(wasi, &[]);
    let request = || same(&request);
    assert!(wasi.set_path_with_query(request(), Some("/a?b=c".into())).unwrap().is_ok());
    assert_eq!(wasi.path_with_query(request()).unwrap().as_deref(), Some("/a?b=c"));
    for path in ["/a b", "/\u{1}", &format!("/{}", "x".repeat(9000))] {
        assert!(wasi.set_path_with_query(request(), Some((*path).into())).unwrap().is_err(), "{path}");
    }
    for authority in ["", "a b", "a/b"] {
        assert!(wasi.set_authority(request(), Some(authority.into())).unwrap().is_err(), "{authority}");
    }
    assert_eq!(wasi.authority(request()).unwrap().as_deref(), Some("localhost:1"));
    assert!(wasi.set_scheme(request(), Some(Scheme::Other("ftp".into()))).unwrap().is_err());
    assert!(wasi.set_scheme(request(), Some(Scheme::Http)).unwrap().is_ok());
    assert!(wasi.set_method(request(), Method::Other("A B".into())).unwrap().is_err());
    assert!(wasi.set_method(request(), Method::Other("PURGE".into())).unwrap().is_ok());
    assert!(matches!(wasi.method(request()).unwrap(), Method::Other(method) if method == "PURGE"));
}

#[tokio::test]
async fn a_request_to_nobody_is_not_sent() {
    let wasi = &mut wasi();
    let headers = HostFields::new(wasi).unwrap();
    let request = HostOutgoingRequest::new(wasi, headers).unwrap();
    assert!(matches!(wasi.handle(request, None).unwrap(), Err(ErrorCode::HttpRequestUriInvalid)));
}

#[tokio::test]
async fn what_was_not_granted_is_denied() {
    let wasi = &mut wasi();
    let options = HostRequestOptions::new(wasi).unwrap();
    wasi.set_first_byte_timeout(same(&options), Some(1_000_000)).unwrap().unwrap();
    let request = request(wasi, &[]);
    let future = wasi.handle(request, Some(options)).unwrap().unwrap();
    assert!(matches!(outcome(wasi, &future).await, Err(ErrorCode::HttpRequestDenied)));
}

#[tokio::test]
async fn nothing_is_sent_before_the_body_is_whole() {
    let wasi = &mut wasi();
    let request = request(wasi, &[("content-length", "5")]);
    let body = wasi.body(same(&request)).unwrap().unwrap();
    assert!(wasi.body(same(&request)).unwrap().is_err(), "one body");
    let future = wasi.handle(request, None).unwrap().unwrap();
    write(wasi, &body, b"hello");
    tokio::task::yield_now().await;
    assert!(HostFutureIncomingResponse::get(wasi, same(&future)).unwrap().is_none());
    HostOutgoingBody::finish(wasi, body, None).unwrap().unwrap();
    assert!(matches!(outcome(wasi, &future).await, Err(ErrorCode::HttpRequestDenied)));
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_is_not_sent() {
    let wasi = &mut wasi();
    for before in [true, false] {
        let request = request(wasi, &[("content-length", "7")]);
        let body = wasi.body(same(&request)).unwrap().unwrap();
        write(wasi, &body, b"hello");
        if before {
            HostOutgoingBody::finish(wasi, body, None).unwrap().unwrap();
            let code = wasi.handle(request, None).unwrap().err();
            assert!(matches!(code, Some(ErrorCode::HttpRequestBodySize(Some(5)))), "{code:?}");
        } else {
            let future = wasi.handle(request, None).unwrap().unwrap();
            let code = HostOutgoingBody::finish(wasi, body, None).unwrap().err();
            assert!(matches!(code, Some(ErrorCode::HttpRequestBodySize(Some(5)))), "{code:?}");
            assert!(outcome(wasi, &future).await.is_err());
        }
    }
}

#[tokio::test]
async fn a_body_that_is_lost_ends_its_request() {
    let wasi = &mut wasi();
    let lost = |code: Option<ErrorCode>| {
        assert!(
            matches!(&code, Some(ErrorCode::InternalError(Some(why))) if why.contains("dropped")),
            "{code:?}"
        );
    };
    for before in [true, false] {
        let request = request(wasi, &[]);
        let body = wasi.body(same(&request)).unwrap().unwrap();
        if before {
            HostOutgoingBody::drop(wasi, body).unwrap();
            lost(wasi.handle(request, None).unwrap().err());
        } else {
            let future = wasi.handle(request, None).unwrap().unwrap();
            HostOutgoingBody::drop(wasi, body).unwrap();
            lost(outcome(wasi, &future).await.err());
        }
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_body() {
    let wasi = &mut wasi();
    let request = request(wasi, &[]);
    let body = wasi.body(request).unwrap().unwrap();
    let stream = HostOutgoingBody::write(wasi, same(&body)).unwrap().unwrap();
    assert_eq!(wasi.check_write(same(&stream)).unwrap().unwrap(), 4096);
    wasi.write_zeroes(same(&stream), 10).unwrap().unwrap();
    HostOutgoingBody::finish(wasi, body, None).unwrap().unwrap();
    let error = wasi.blocking_write_and_flush(stream, vec![1]).unwrap().unwrap_err();
    assert!(matches!(error, StreamError::LastOperationFailed(_)));
}

#[tokio::test]
async fn what_an_instance_holds_is_bounded() {
    let wasi = &mut wasi();
    let request = request(wasi, &[]);
    let body = wasi.body(request).unwrap().unwrap();
    let stream = HostOutgoingBody::write(wasi, same(&body)).unwrap().unwrap();
    let mut written = 0;
    while let Ok(()) = wasi.blocking_write_and_flush(same(&stream), vec![1; 4096]).unwrap() {
        written += 4096;
    }
    assert!((31 << 20..=32 << 20).contains(&written), "{written}");
    HostOutgoingBody::drop(wasi, body).unwrap();
    HostOutputStream::drop(wasi, stream).unwrap();
    let another = self::request(wasi, &[]);
    let body = wasi.body(another).unwrap().unwrap();
    write(wasi, &body, &[1; 4096]);
}

/// A guest that asked and got this answer.
fn answered(wasi: &mut Wasi, body: &'static [u8]) -> Resource<IncomingResponse> {
    let exchange = Arc::new(Exchange::default());
    let headers = HeaderMap::from_iter([(::http::header::ETAG, ::http::HeaderValue::from_static("e"))]);
    let weight = Arc::new(wasi.scale.nothing());
    exchange.end(Ok(Arc::new(Answer {
        status: StatusCode::IM_A_TEAPOT,
        headers,
        body: body.into(),
        weight,
    })));
    let future = wasi.lend(FutureResponse::new(exchange)).unwrap();
    let response = HostFutureIncomingResponse::get(wasi, same(&future)).unwrap().unwrap().unwrap().unwrap();
    HostFutureIncomingResponse::drop(wasi, future).unwrap();
    response
}

fn rest(wasi: &mut Wasi, stream: &Resource<InputStream>) -> Vec<u8> {
    let mut all = Vec::new();
    while let Ok(part) = wasi.blocking_read(same(stream), 3).unwrap() {
        assert!((1..=3).contains(&part.len()));
        all.extend(part);
    }
    all
}

#[tokio::test]
async fn an_answer_is_read_once() {
    let wasi = &mut wasi();
    let response = answered(wasi, b"hello world");
    assert_eq!(wasi.status(same(&response)).unwrap(), 418);
    let headers = HostIncomingResponse::headers(wasi, same(&response)).unwrap();
    assert_eq!(wasi.entries(same(&headers)).unwrap(), [("etag".to_owned(), b"e".to_vec())]);
    assert!(matches!(HostFields::delete(wasi, headers, "etag".into()).unwrap(), Err(HeaderError::Immutable)));
    let body = wasi.consume(same(&response)).unwrap().unwrap();
    assert!(wasi.consume(same(&response)).unwrap().is_err());
    HostIncomingResponse::drop(wasi, response).unwrap();
    let stream = wasi.stream(same(&body)).unwrap().unwrap();
    assert!(wasi.stream(same(&body)).unwrap().is_err());
    assert_eq!(wasi.skip(same(&stream), 6).unwrap().unwrap(), 6);
    assert_eq!(rest(wasi, &stream), b"world");
    let trailers = HostIncomingBody::finish(wasi, body).unwrap();
    assert!(matches!(HostFutureTrailers::get(wasi, same(&trailers)).unwrap(), Some(Ok(Ok(None)))));
    assert!(matches!(HostFutureTrailers::get(wasi, trailers).unwrap(), Some(Err(()))));
}

#[tokio::test]
async fn an_answer_can_be_passed_on() {
    let wasi = &mut wasi();
    let response = answered(wasi, b"hello");
    let body = wasi.consume(response).unwrap().unwrap();
    let from = wasi.stream(body).unwrap().unwrap();
    let request = request(wasi, &[("content-length", "5")]);
    let body = wasi.body(same(&request)).unwrap().unwrap();
    let to = HostOutgoingBody::write(wasi, same(&body)).unwrap().unwrap();
    assert_eq!(wasi.splice(same(&to), same(&from), 100).unwrap().unwrap(), 5);
    assert!(matches!(wasi.splice(to, from, 1).unwrap(), Err(StreamError::Closed)));
    assert!(HostOutgoingBody::finish(wasi, body, None).unwrap().is_ok());
}

#[tokio::test]
async fn a_request_goes_out_as_it_is_and_its_answer_comes_back() {
    let server = Server::start().await;
    let wasi = &mut granted(&server, "");
    let request = to(wasi, &server, "/echo?a=b", &[("Authorization", "Bearer x"), ("content-length", "5")]);
    wasi.set_method(same(&request), Method::Post).unwrap().unwrap();
    let body = wasi.body(same(&request)).unwrap().unwrap();
    let future = wasi.handle(request, None).unwrap().unwrap();
    write(wasi, &body, b"hello");
    HostOutgoingBody::finish(wasi, body, None).unwrap().unwrap();
    let response = outcome(wasi, &future).await.unwrap();
    assert_eq!(wasi.status(same(&response)).unwrap(), 200);
    let headers = HostIncomingResponse::headers(wasi, same(&response)).unwrap();
    assert_eq!(HostFields::get(wasi, headers, "X-A".into()).unwrap(), [b"1", b"2"]);
    let body = wasi.consume(response).unwrap().unwrap();
    let stream = wasi.stream(body).unwrap().unwrap();
    let heard = String::from_utf8(rest(wasi, &stream)).unwrap();
    assert!(heard.starts_with("POST /echo?a=b HTTP/1.1\r\n") && heard.ends_with("\r\n\r\nhello"), "{heard}");
    assert!(heard.contains("authorization: Bearer x\r\n"), "{heard}");
    assert_eq!(heard.matches("content-length: 5\r\n").count(), 1, "{heard}");
}

#[tokio::test]
async fn an_answer_is_bounded_in_size_time_and_number() {
    let server = Server::start().await;
    let wasi = &mut granted(&server, "limits.http_concurrent = 1");
    let announced = to(wasi, &server, "/announced", &[]);
    let announced = wasi.handle(announced, None).unwrap().unwrap();
    let code = outcome(wasi, &announced).await.err();
    assert!(matches!(code, Some(ErrorCode::HttpResponseBodySize(None))), "{code:?}");

    let options = HostRequestOptions::new(wasi).unwrap();
    wasi.set_first_byte_timeout(same(&options), Some(100_000_000)).unwrap().unwrap();
    let never = to(wasi, &server, "/never", &[]);
    let never = wasi.handle(never, Some(options)).unwrap().unwrap();
    tokio::task::yield_now().await;
    let another = to(wasi, &server, "/", &[]);
    let another = wasi.handle(another, None).unwrap().unwrap();
    let code = outcome(wasi, &another).await.err();
    assert!(matches!(code, Some(ErrorCode::ConnectionLimitReached)), "{code:?}");
    let code = outcome(wasi, &never).await.err();
    assert!(matches!(code, Some(ErrorCode::HttpResponseTimeout)), "{code:?}");
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_given_up() {
    let server = Server::start().await;
    let wasi = &mut granted(&server, "limits.http_concurrent = 1");
    let never = to(wasi, &server, "/never", &[]);
    let never = wasi.handle(never, None).unwrap().unwrap();
    tokio::task::yield_now().await;
    HostFutureIncomingResponse::drop(wasi, never).unwrap();
    tokio::task::yield_now().await;
    let next = to(wasi, &server, "/fits", &[]);
    let next = wasi.handle(next, None).unwrap().unwrap();
    assert!(outcome(wasi, &next).await.is_ok());
}
