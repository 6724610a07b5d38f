use super::*;
use crate::imports::{environment, try_environment};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A server, and the environment of a plugin that may reach it; `more`: further lines of its table.
async fn scene(more: &str) -> (TcpListener, Environment, String) {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("tcp://{}", server.local_addr().unwrap());
    let config = toml::from_str(&format!("grants.tcp = ['{origin}']\n{more}")).unwrap();
    (server, environment(&config, true), origin)
}

async fn open(server: &TcpListener, environment: &Environment, origin: &str) -> (Connection, TcpStream) {
    let (ours, theirs) = tokio::join!(environment.connect(origin, 0), server.accept());
    (ours.unwrap(), theirs.unwrap().0)
}

#[tokio::test]
async fn what_is_written_comes_and_what_comes_is_read() {
    let (server, environment, origin) = scene("").await;
    let (ours, mut theirs) = open(&server, &environment, &origin).await;
    ours.write(b"question", None).await.unwrap();
    let mut question = [0; 8];
    theirs.read_exact(&mut question).await.unwrap();
    assert_eq!(&question, b"question");
    theirs.write_all(b"answer").await.unwrap();
    assert_eq!(ours.read(3, None).await.unwrap(), b"ans");
    assert_eq!(ours.read(100, None).await.unwrap(), b"wer");
    drop(theirs);
    assert_eq!(ours.read(100, None).await.unwrap(), b"", "closed");
}

#[tokio::test]
async fn only_what_was_granted_is_reached() {
    let (server, environment, origin) = scene("").await;
    let port = server.local_addr().unwrap().port();
    for other in [
        format!("tls://127.0.0.1:{port}"),
        format!("tcp://localhost:{port}"),
        format!("tcp://127.0.0.1:{}", port.wrapping_add(1)),
        format!("{origin}/"),
        "nonsense".to_owned(),
    ] {
        assert_eq!(environment.connect(&other, 0).await.err(), Some(Error::Denied), "{other}");
    }
    let nothing = super::super::environment(&toml::from_str("").unwrap(), true);
    assert_eq!(nothing.connect(&origin, 0).await.err(), Some(Error::Denied));
    // A name leads nowhere but to public addresses, unless they are named.
    let table = "grants.tcp = ['tcp://ip6-localhost:1']";
    let named = super::super::environment(&toml::from_str(table).unwrap(), true);
    let refused = named.connect("tcp://ip6-localhost:1", 0).await.err();
    assert!(matches!(refused, Some(Error::Denied | Error::Other(_))), "{refused:?}");
}

#[tokio::test]
async fn connections_are_counted_while_they_are_open() {
    let (server, environment, origin) = scene("limits.tcp_connections = 1").await;
    let (first, _theirs) = open(&server, &environment, &origin).await;
    assert_eq!(environment.connect(&origin, 0).await.err(), Some(Error::TooMany));
    drop(first);
    open(&server, &environment, &origin).await;
}

#[tokio::test]
async fn nobody_waits_for_longer_than_was_asked_or_granted() {
    let (server, environment, origin) = scene("limits.tcp_timeout = '50ms'").await;
    let (ours, _theirs) = open(&server, &environment, &origin).await;
    for asked in [None, Some(Duration::from_millis(1)), Some(Duration::from_secs(3600))] {
        assert!(matches!(ours.read(1, asked).await, Err(TcpError::Timeout)), "{asked:?}");
    }
    // More than the system buffers for somebody who does not read.
    let much = vec![0; 64 << 20];
    assert!(matches!(ours.write(&much, None).await, Err(TcpError::Timeout)));
}

#[tokio::test]
async fn tls_is_checked() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, key.cert.pem()).unwrap();
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("tls://localhost:{}", server.local_addr().unwrap().port());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = server.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            stream.write_all(b"hello").await.unwrap();
            stream.flush().await.unwrap();
        }
    });
    let table = |ca: &str| {
        toml::from_str(&format!(
            "grants.tcp = {{ origins = ['{origin}'], private = ['127.0.0.1', '::1'] {ca} }}"
        ))
    };
    let trusting = table(&format!(", ca = '{}'", ca.display())).unwrap();
    let ours = environment(&trusting, true).connect(&origin, 0).await.unwrap();
    assert_eq!(ours.read(100, None).await.unwrap(), b"hello");
    let wary = environment(&table("").unwrap(), true).connect(&origin, 0).await;
    assert!(matches!(wary.err(), Some(Error::Other(why)) if why.contains("certificate")));
    let missing = try_environment(&table(", ca = '/no/such/file'").unwrap(), true).err().unwrap();
    assert!(missing.to_string().starts_with("`grants.tcp.ca`"), "{missing}");
}
