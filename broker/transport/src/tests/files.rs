//! Certificates in files.

use crate::{Alpn, ClientCert, TlsFiles, TlsSettings};
use std::{fs, path::PathBuf, sync::Arc};
use tempfile::TempDir;
use tidegate_tests::{Authority, Pair};

/// An authority, and a folder for what it signs.
pub(super) struct Files {
    pub(super) authority: Authority,
    pub(super) dir: TempDir,
}

impl Files {
    pub(super) fn new(name: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("tidegate-transport-").tempdir().unwrap();
        Self { authority: Authority::new(name), dir }
    }

    pub(super) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Of a server; the authority signs for its clients too.
    pub(super) fn of(&self, client_cert: ClientCert) -> TlsFiles {
        let Pair { cert, key } = self.authority.sign("server", 1);
        let asks = client_cert != ClientCert::None;
        TlsFiles {
            cert: self.write("cert.pem", &cert),
            key: self.write("key.pem", &key),
            client_cert,
            client_ca: asks.then(|| self.write("ca.pem", self.authority.pem())),
            crl: None,
        }
    }

    pub(super) fn settings(&self, client_cert: ClientCert) -> Arc<TlsSettings> {
        Arc::new(TlsSettings::read(self.of(client_cert), Alpn::Mqtt).unwrap())
    }
}
