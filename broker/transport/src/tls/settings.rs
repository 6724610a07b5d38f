//! Certificates and keys from PEM files, read again when the files change.

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tracing::{info, warn};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Which files, and what is asked of clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// The broker's certificate, and those between it and a root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Whether clients show certificates.
    pub client_cert: ClientCert,
    /// Who signs the certificates of clients. Needed unless nobody is asked for one.
    pub client_ca: Option<PathBuf>,
    /// Which certificates of clients hold no more.
    pub crl: Option<PathBuf>,
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ClientCert {
    /// They are not asked.
    #[default]
    None,
    /// They are asked; one that is shown must be good.
    Optional,
    /// Without a good one nobody comes in.
    Required,
}

/// What is spoken within TLS, as clients may name it in the handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Alpn {
    /// `mqtt`
    Mqtt,
    /// `http/1.1`, for WebSocket.
    Http,
}

/// A file that TLS needs cannot be used. One line that says what to change.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It is not there, or may not be read.
    #[error("{key} {}: cannot be read: {error}; name a PEM file the broker may read", .path.display())]
    Unreadable {
        /// Key of the config.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is something else.
    #[error("{key} {}: there is no {what} in it; name a PEM file with one", .path.display())]
    NothingInIt {
        /// Key of the config.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The key needs a password.
    #[error(
        "key {}: the private key is encrypted; write it without a password (openssl pkey -in OLD -out NEW)", .path.display()
    )]
    Encrypted {
        /// Which file.
        path: PathBuf,
    },
    /// Its content is broken.
    #[error("{key} {}: {error}; make or copy the file anew", .path.display())]
    Broken {
        /// Key of the config.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// Certificate and key are not a pair.
    #[error(
        "key {}: does not belong to the certificate in {}; name the key that the certificate was made for", .key.display(),
        .cert.display()
    )]
    Mismatch {
        /// Which key.
        key: PathBuf,
        /// Which certificate.
        cert: PathBuf,
    },
    /// Clients are asked for certificates that nobody could verify.
    #[error("client_cert: there is no client_ca; name the PEM file of who signs the certificates of clients")]
    NoClientCa,
}

/// What new connections of a listener get. Those that are there keep what they have.
#[derive(Debug)]
pub struct TlsSettings {
    files: TlsFiles,
    alpn: Alpn,
    config: ArcSwap<ServerConfig>,
    /// The files as they were when last read, used or not.
    seen: Mutex<Vec<Option<Stamp>>>,
}

/// What tells one state of a file from the next: time of change, length, and the file itself, which a rename exchanges.
type Stamp = (Option<SystemTime>, u64, u64);

impl TlsSettings {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn read(files: TlsFiles, alpn: Alpn) -> Result<Self, TlsError> {
        let seen = Mutex::new(files.stamps());
        let config = ArcSwap::from_pointee(files.load(alpn)?);
        Ok(Self { files, alpn, config, seen })
    }

    /// What a new connection gets.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// Reads the files again, changed or not. If they cannot be used, what was there stays.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn reload(&self) -> Result<(), TlsError> {
        let stamps = self.files.stamps();
        // Also if they are no good: that is said once a change.
        *self.seen.lock() = stamps;
        self.config.store(Arc::new(self.files.load(self.alpn)?));
        Ok(())
    }

    /// Looks at the files every few seconds for ever, and reads them again when one has changed. What becomes of it is logged.
    pub async fn watch(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.reload_if_changed();
        }
    }

    fn reload_if_changed(&self) {
        if *self.seen.lock() == self.files.stamps() {
            return;
        }
        let cert = self.files.cert.display();
        match self.reload() {
            Ok(()) => info!(%cert, "certificates read again"),
            Err(error) => warn!(%cert, "the certificates stay as they were: {error}"),
        }
    }
}

impl TlsFiles {
    fn stamps(&self) -> Vec<Option<Stamp>> {
        let files = [Some(&self.cert), Some(&self.key), self.client_ca.as_ref(), self.crl.as_ref()];
        files.into_iter().flatten().map(|path| stamp(path)).collect()
    }

    fn load(&self, alpn: Alpn) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(default_provider());
        let cert = self.certificates("cert", &self.cert)?;
        let key = self.private_key()?;
        let broken = |error: rustls::Error| broken("cert", &self.cert, &error);
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(broken)?;
        let builder = match self.client_cert {
            ClientCert::None => builder.with_no_client_auth(),
            asked => builder.with_client_cert_verifier(self.verifier(provider, asked)?),
        };
        let mut config = builder.with_single_cert(cert, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { key: self.key.clone(), cert: self.cert.clone() }
            }
            error => broken(error),
        })?;
        config.alpn_protocols = vec![match alpn {
            Alpn::Mqtt => b"mqtt".to_vec(),
            Alpn::Http => b"http/1.1".to_vec(),
        }];
        Ok(config)
    }

    fn verifier(
        &self,
        provider: Arc<rustls::crypto::CryptoProvider>,
        asked: ClientCert,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let path = self.client_ca.as_ref().ok_or(TlsError::NoClientCa)?;
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates("client_ca", path)? {
            roots.add(certificate).map_err(|error| broken("client_ca", path, &error))?;
        }
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if let Some(crl) = &self.crl {
            builder = builder.with_crls(revocation_lists(crl)?).only_check_end_entity_revocation();
        }
        if asked == ClientCert::Optional {
            builder = builder.allow_unauthenticated();
        }
        builder.build().map_err(|error| {
            let (key, path) = self.crl.as_ref().map_or(("client_ca", path), |crl| ("crl", crl));
            broken(key, path, &error)
        })
    }

    fn certificates(&self, key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        all(key, path, "certificate (-----BEGIN CERTIFICATE-----)")
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let bytes = read("key", &self.key)?;
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
            pem::Error::NoItemsFound if bytes.windows(9).any(|word| word == b"ENCRYPTED") => {
                TlsError::Encrypted { path: self.key.clone() }
            }
            pem::Error::NoItemsFound => TlsError::NothingInIt {
                key: "key",
                path: self.key.clone(),
                what: "private key (-----BEGIN PRIVATE KEY-----)",
            },
            error => broken("key", &self.key, &error),
        })
    }
}

fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    all("crl", path, "revocation list (-----BEGIN X509 CRL-----)")
}

/// Every item of a kind in a PEM file; none is an error.
fn all<T: PemObject>(key: &'static str, path: &Path, what: &'static str) -> Result<Vec<T>, TlsError> {
    let bytes = read(key, path)?;
    let items: Vec<T> =
        T::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(|error| broken(key, path, &error))?;
    if items.is_empty() {
        return Err(TlsError::NothingInIt { key, path: path.into(), what });
    }
    Ok(items)
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Unreadable { key, path: path.into(), error })
}

fn broken(key: &'static str, path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::Broken { key, path: path.into(), error: error.to_string() }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    let file = std::os::unix::fs::MetadataExt::ino(&metadata);
    Some((metadata.modified().ok(), metadata.len(), file))
}
