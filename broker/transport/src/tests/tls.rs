use super::{Outcome, client, dial, dribble, echo_server, files::Files, noise};
use crate::{AcceptError, Acceptor, Alpn, ClientCert, TlsError, TlsFiles, TlsSettings};
use rustls::{
    ClientConfig, ClientConnection, StreamOwned,
    version::{TLS12, TLS13},
};
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};
use tidegate_tests::Pair;

type Client = StreamOwned<ClientConnection, TcpStream>;

fn dial_tls(address: SocketAddr, config: Arc<ClientConfig>) -> Client {
    let name = "localhost".try_into().unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), dial(address))
}

/// Sends bytes, and what comes back until the end of it.
fn round_trip(stream: &mut Client, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(bytes)?;
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back)?;
    Ok(back)
}

fn goodbye(mut stream: Client) {
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    let mut rest = Vec::new();
    // The other end says goodbye too: anything else is an error.
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
}

fn tls(settings: Arc<TlsSettings>) -> Acceptor {
    Acceptor { tls: Some(settings), ..Acceptor::default() }
}

/// Connects once and sends a byte there and back.
async fn try_once(
    settings: &Arc<TlsSettings>,
    config: Arc<ClientConfig>,
) -> (std::io::Result<Vec<u8>>, Result<Outcome, AcceptError>) {
    let (address, served) = echo_server(tls(settings.clone())).await;
    let heard = client(move || round_trip(&mut dial_tls(address, config), b"x")).await;
    (heard, served.await.unwrap())
}

#[tokio::test]
async fn a_mebibyte_goes_there_and_back_in_both_versions() {
    for (version, name) in [(&TLS12, "TLSv1_2"), (&TLS13, "TLSv1_3")] {
        let files = Files::new("ca");
        let config = files.authority.client(None, &[version]);
        let (address, served) = echo_server(tls(files.settings(ClientCert::None))).await;
        client(move || {
            let mut stream = dial_tls(address, config);
            let sent = noise(1 << 20);
            assert!(round_trip(&mut stream, &sent).unwrap() == sent, "other bytes came back");
            goodbye(stream);
        })
        .await;
        let Outcome { peer, end } = served.await.unwrap().unwrap();
        end.unwrap();
        let tls = peer.tls.unwrap();
        assert_eq!((tls.version, tls.sni.as_deref(), tls.certificate), (Some(name), Some("localhost"), None));
    }
}

#[tokio::test]
async fn bytes_one_by_one_are_bytes_all_the_same() {
    let files = Files::new("ca");
    let config = files.authority.client(None, &[&TLS13]);
    let (address, served) = echo_server(tls(files.settings(ClientCert::None))).await;
    client(move || {
        let name = "localhost".try_into().unwrap();
        let mut connection = ClientConnection::new(config, name).unwrap();
        let mut socket = dial(address);
        let mut back = Vec::new();
        connection.writer().write_all(b"hello").unwrap();
        while back.len() < 5 {
            while connection.wants_write() {
                let mut records = Vec::new();
                connection.write_tls(&mut records).unwrap();
                dribble(&mut socket, &records);
            }
            connection.read_tls(&mut socket).unwrap();
            connection.process_new_packets().unwrap();
            let _ = connection.reader().read_to_end(&mut back);
        }
        assert_eq!(back, b"hello");
    })
    .await;
    // Closed without a word: an end like any other.
    served.await.unwrap().unwrap().end.unwrap();
}

#[tokio::test]
async fn bytes_that_come_with_the_end_of_the_handshake_are_not_lost() {
    let files = Files::new("ca");
    let config = files.authority.client(None, &[&TLS13]);
    let (address, served) = echo_server(tls(files.settings(ClientCert::None))).await;
    client(move || {
        let mut connection = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
        let mut socket = dial(address);
        while connection.is_handshaking() {
            while connection.wants_write() && connection.is_handshaking() {
                connection.write_tls(&mut socket).unwrap();
            }
            if connection.is_handshaking() {
                connection.read_tls(&mut socket).unwrap();
                connection.process_new_packets().unwrap();
            }
        }
        // The last flight and the first bytes in one write.
        connection.writer().write_all(b"at once").unwrap();
        let mut records = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut records).unwrap();
        }
        socket.write_all(&records).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        let mut back = [0; 7];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"at once");
    })
    .await;
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_no_tls_is_told_so() {
    let files = Files::new("ca");
    let (address, served) = echo_server(tls(files.settings(ClientCert::None))).await;
    let heard = client(move || {
        let mut socket = dial(address);
        socket.write_all(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00").unwrap();
        let mut heard = Vec::new();
        socket.read_to_end(&mut heard).unwrap();
        heard
    })
    .await;
    assert_eq!(heard.first(), Some(&0x15), "an alert");
    assert!(matches!(served.await.unwrap(), Err(AcceptError::Tls(_))));
}

#[tokio::test]
async fn a_required_certificate_is_required_and_its_names_are_known() {
    let files = Files::new("ca");
    let settings = files.settings(ClientCert::Required);
    for version in [&TLS12, &TLS13] {
        let (heard, served) = try_once(&settings, files.authority.client(None, &[version])).await;
        heard.unwrap_err();
        assert!(matches!(served, Err(AcceptError::Tls(_))));

        let own = files.authority.sign("sensor-7", 7);
        let (heard, served) = try_once(&settings, files.authority.client(Some(&own), &[version])).await;
        assert_eq!(heard.unwrap(), b"x");
        let certificate = served.unwrap().peer.tls.unwrap().certificate.unwrap();
        assert_eq!(certificate.subject, "CN=sensor-7,O=Example\\, Inc.");
        assert_eq!(certificate.common_name.as_deref(), Some("sensor-7"));
        assert_eq!(certificate.sans, ["localhost", "127.0.0.1"]);
    }
}

#[tokio::test]
async fn an_optional_certificate_may_be_missing_but_not_wrong() {
    let files = Files::new("ca");
    let settings = files.settings(ClientCert::Optional);
    let (heard, served) = try_once(&settings, files.authority.client(None, &[&TLS13])).await;
    assert_eq!(heard.unwrap(), b"x");
    assert_eq!(served.unwrap().peer.tls.unwrap().certificate, None);

    let strange = tidegate_tests::Authority::new("another ca").sign("sensor-7", 7);
    let (heard, served) = try_once(&settings, files.authority.client(Some(&strange), &[&TLS13])).await;
    heard.unwrap_err();
    assert!(matches!(served, Err(AcceptError::Tls(_))));
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_and_others_are_not() {
    let files = Files::new("ca");
    let crl = Some(files.write("crl.pem", &files.authority.revoke(7)));
    let revoking = TlsFiles { crl, ..files.of(ClientCert::Required) };
    let settings = Arc::new(TlsSettings::read(revoking, Alpn::Mqtt).unwrap());
    let revoked = files.authority.sign("sensor-7", 7);
    let (heard, served) = try_once(&settings, files.authority.client(Some(&revoked), &[&TLS13])).await;
    heard.unwrap_err();
    assert!(served.err().unwrap().to_string().contains("Revoked"));
    let good = files.authority.sign("sensor-8", 8);
    let (heard, _) = try_once(&settings, files.authority.client(Some(&good), &[&TLS13])).await;
    assert_eq!(heard.unwrap(), b"x");
}

#[tokio::test]
async fn changed_files_hold_for_new_connections_and_bad_ones_for_none() {
    let files = Files::new("ca");
    let settings = files.settings(ClientCert::None);
    let config = files.authority.client(None, &[&TLS13]);
    let (address, served) = echo_server(tls(settings.clone())).await;
    let mut old = client({
        let config = config.clone();
        move || {
            let mut stream = dial_tls(address, config);
            round_trip(&mut stream, b"x").unwrap();
            stream
        }
    })
    .await;

    let next = Files::new("next ca");
    let other = next.of(ClientCert::None);
    let key = fs::read(files.dir.path().join("key.pem")).unwrap();
    fs::copy(&other.cert, files.dir.path().join("cert.pem")).unwrap();
    let mismatch = settings.reload().unwrap_err();
    assert!(matches!(mismatch, TlsError::Mismatch { .. }), "{mismatch}");
    let (heard, _) = try_once(&settings, config.clone()).await;
    assert_eq!(heard.unwrap(), b"x", "the old pair holds while the new one is half there");

    assert!(fs::read(&other.key).unwrap() != key);
    fs::copy(&other.key, files.dir.path().join("key.pem")).unwrap();
    settings.reload().unwrap();
    let (heard, _) = try_once(&settings, next.authority.client(None, &[&TLS13])).await;
    assert_eq!(heard.unwrap(), b"x");
    let (heard, _) = try_once(&settings, config).await;
    heard.unwrap_err();

    client(move || {
        assert_eq!(round_trip(&mut old, b"still here").unwrap(), b"still here");
        goodbye(old);
    })
    .await;
    served.await.unwrap().unwrap().end.unwrap();
}

#[tokio::test(start_paused = true)]
async fn files_are_looked_at_every_few_seconds() {
    let files = Files::new("ca");
    let settings = files.settings(ClientCert::None);
    let before = settings.config();
    let watched = settings.clone();
    let watching = tokio::spawn(async move { watched.watch().await });
    let Pair { cert, key } = files.authority.sign("next", 2);
    files.write("cert.pem", &cert);
    files.write("key.pem", &key);
    // Time is paused: it moves on whenever everybody waits.
    while Arc::ptr_eq(&before, &settings.config()) {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    watching.abort();
}

#[test]
fn files_that_cannot_be_used_are_named_with_a_remedy() {
    let files = Files::new("ca");
    let good = files.of(ClientCert::Required);
    let refused = |tls: TlsFiles| TlsSettings::read(tls, Alpn::Mqtt).unwrap_err().to_string();
    let missing = refused(TlsFiles { cert: files.dir.path().join("gone.pem"), ..good.clone() });
    assert!(missing.starts_with("cert /") && missing.contains("gone.pem: cannot be read"), "{missing}");
    let no_key = refused(TlsFiles { key: good.cert.clone(), ..good.clone() });
    assert!(no_key.contains("cert.pem: there is no private key"), "{no_key}");
    let locked = files.write(
        "locked.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let locked = refused(TlsFiles { key: locked, ..good.clone() });
    assert!(locked.contains("openssl pkey"), "{locked}");
    let empty = Some(files.write("empty.pem", ""));
    let empty = refused(TlsFiles { client_ca: empty, ..good.clone() });
    assert!(empty.starts_with("client_ca ") && empty.contains("there is no certificate"), "{empty}");
    let other = files.write("other.pem", &files.authority.sign("other", 2).key);
    let mismatch = refused(TlsFiles { key: other, ..good.clone() });
    assert!(mismatch.contains("other.pem: does not belong to the certificate in "), "{mismatch}");
    let crl = refused(TlsFiles { crl: Some(good.cert.clone()), ..good.clone() });
    assert!(crl.starts_with("crl ") && crl.contains("there is no revocation list"), "{crl}");
    let broken = files.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
    let broken = refused(TlsFiles { cert: broken, ..good.clone() });
    assert!(broken.contains("broken.pem: "), "{broken}");
    let nobody = refused(TlsFiles { client_ca: None, ..good });
    assert!(nobody.contains("client_ca"), "{nobody}");
}
