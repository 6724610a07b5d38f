use super::{drain, echo};
use crate::{Acceptor, Raw, Source, Stream, parse};
use std::io::{Read, Write};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

#[tokio::test]
async fn a_unix_socket_is_a_stream() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let served = tokio::spawn(async move {
        let mut stream = Stream::from(near);
        echo(&mut stream).await.unwrap();
        stream.shutdown().await.unwrap();
        drain(&mut stream).await;
    });
    far.write_all(b"hello").await.unwrap();
    far.shutdown().await.unwrap();
    let mut back = Vec::new();
    far.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, b"hello");
    served.await.unwrap();
}

#[tokio::test]
async fn nothing_behind_a_proxy_header_is_lost() {
    for header in [&b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 1883\r\n"[..], V2] {
        let (near, far) = UnixStream::pair().unwrap();
        let mut far = far.into_std().unwrap();
        far.set_nonblocking(false).unwrap();
        far.write_all(&[header, b"hello"].concat()).unwrap();
        far.shutdown(std::net::Shutdown::Write).unwrap();
        let acceptor = Acceptor { proxy: true, ..Acceptor::default() };
        let (mut stream, peer) = acceptor.accept(Raw::Unix(near), "unix:".into()).await.unwrap();
        assert_eq!(peer.address, "192.0.2.1:4711");
        echo(&mut stream).await.unwrap();
        drop(stream);
        let mut back = Vec::new();
        far.read_to_end(&mut back).unwrap();
        assert_eq!(back, b"hello");
    }
}

#[tokio::test]
async fn without_a_header_nobody_comes_through_where_a_proxy_is_expected() {
    let (near, mut far) = UnixStream::pair().unwrap();
    far.write_all(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00").await.unwrap();
    let acceptor = Acceptor { proxy: true, ..Acceptor::default() };
    let refused = acceptor.accept(Raw::Unix(near), "unix:".into()).await.err().unwrap();
    assert_eq!(refused.to_string(), "no PROXY header; does the proxy send one?");
}

#[tokio::test]
async fn an_unknown_source_leaves_the_address_of_the_socket() {
    let (near, mut far) = UnixStream::pair().unwrap();
    far.write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
    let acceptor = Acceptor { proxy: true, ..Acceptor::default() };
    let (_stream, peer) = acceptor.accept(Raw::Unix(near), "unix:here".into()).await.unwrap();
    assert_eq!(peer.address, "unix:here");
}

/// TCP over IPv4 from 192.0.2.1:4711.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x12\x67\x07\x5b";

#[test]
fn the_bytes_above_are_what_they_should_be() {
    let (header, len) = parse(V2).unwrap().unwrap();
    assert_eq!((header.source, len), (Source::Address("192.0.2.1:4711".parse().unwrap()), V2.len()));
}

#[test]
fn a_plain_stream_is_as_small_as_its_socket() {
    let room = size_of::<Stream>() - size_of::<tokio::net::TcpStream>();
    assert!(room <= size_of::<usize>(), "{room} bytes more than a socket");
}
