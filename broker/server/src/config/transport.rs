//! What a listener says about everything below MQTT: which keys go together, and what comes of them.

use super::Listener;
use serde::{Deserialize, Deserializer, de::Error};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use tidegate_transport as transport;

/// What is spoken below MQTT.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum ListenerKind {
    /// Plain TCP.
    #[default]
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket over TCP.
    Ws,
    /// WebSocket over TLS over TCP.
    Wss,
    /// A Unix socket.
    Unix,
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCert {
    /// They are not asked.
    #[default]
    None,
    /// They are asked; one that is shown must be good.
    Optional,
    /// Without a good one nobody comes in.
    Required,
}

/// What of a certificate becomes the user name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum UsernameFrom {
    /// The whole subject, as RFC 4514 writes it.
    Subject,
    /// The common name in it.
    CommonName,
    /// The first of the subject alternative names.
    San,
}

/// Who may do what with a Unix socket: nine bits, as `chmod` takes them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mode(pub u32);

impl Default for Mode {
    /// Owner and group may connect.
    fn default() -> Self {
        Self(0o660)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bits = u32::from_str_radix(&text, 8).ok().filter(|bits| *bits <= 0o777);
        bits.map(Self).ok_or_else(|| {
            D::Error::custom(format!("mode {text:?}; write three octal digits, such as \"660\""))
        })
    }
}

/// A key that is missing or out of place.
pub(super) struct Misplaced {
    /// Where to point; None at the listener as a whole.
    pub(super) key: Option<&'static str>,
    pub(super) what: String,
}

impl ListenerKind {
    /// As the config says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Unix => "unix",
        }
    }

    fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    fn has_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

impl Listener {
    /// Where it listens: `IP:PORT` or a path.
    pub fn place(&self) -> String {
        match (&self.address, &self.path) {
            (Some(address), _) => address.to_string(),
            (None, Some(path)) => path.display().to_string(),
            (None, None) => String::new(),
        }
    }

    /// Whether other machines can reach it.
    pub(crate) fn is_open_to_others(&self) -> bool {
        self.address.is_some_and(|address| !address.ip().is_loopback())
    }

    pub(super) fn check(&self) -> Result<(), Misplaced> {
        let kind = self.kind;
        let missing = |what: &str| Err(Misplaced { key: None, what: format!("{} {what}", kind.name()) });
        let stray = |key, what: &str| Err(Misplaced { key: Some(key), what: format!("{key} {what}") });
        let unix = kind == ListenerKind::Unix;
        if unix && self.path.is_none() {
            return missing("needs the path of its socket: path = \"tidegate.sock\"");
        }
        if !unix && self.address.is_none() {
            return missing("needs an address: address = \"127.0.0.1:1883\"");
        }
        let given: [(&str, bool, bool, &str); 11] = [
            ("address", self.address.is_some(), !unix, "is not for unix, which has a path; leave it out"),
            ("path", self.path.is_some(), unix, "is for kind = \"unix\" only; a WebSocket has a ws_path"),
            ("mode", self.mode.is_some(), unix, "is for kind = \"unix\" only"),
            ("cert", self.cert.is_some(), kind.has_tls(), ONLY_TLS),
            ("key", self.key.is_some(), kind.has_tls(), ONLY_TLS),
            ("client_ca", self.client_ca.is_some(), kind.has_tls(), ONLY_TLS),
            ("client_cert", self.client_cert.is_some(), kind.has_tls(), ONLY_TLS),
            ("crl", self.crl.is_some(), kind.has_tls(), ONLY_TLS),
            ("ws_path", self.ws_path.is_some(), kind.has_websocket(), ONLY_WEBSOCKET),
            ("origins", self.origins.is_some(), kind.has_websocket(), ONLY_WEBSOCKET),
            (
                "username_from",
                self.username_from.is_some(),
                kind.has_tls() || self.proxy_protocol,
                "needs certificates: kind = \"tls\" or \"wss\", or a proxy that tells them",
            ),
        ];
        if let Some((key, _, _, what)) = given.into_iter().find(|(_, given, fits, _)| *given && !fits) {
            return stray(key, what);
        }
        if kind.has_tls() && self.cert.is_none() {
            return missing("needs a certificate: cert = \"cert.pem\"; docs/tls.md says how to make one");
        }
        if kind.has_tls() && self.key.is_none() {
            return missing("needs the private key of its certificate: key = \"key.pem\"");
        }
        let asks = self.client_cert.unwrap_or_default() != ClientCert::None;
        if asks && self.client_ca.is_none() {
            return stray(
                "client_cert",
                "needs who signs the certificates of clients: client_ca = \"ca.pem\"",
            );
        }
        for (key, given) in [("client_ca", self.client_ca.is_some()), ("crl", self.crl.is_some())] {
            if given && !asks {
                return stray(
                    key,
                    "is for certificates of clients: add client_cert = \"required\" or \"optional\"",
                );
            }
        }
        if self.username_from.is_some() && !asks && !self.proxy_protocol {
            return stray("username_from", "needs certificates of clients: add client_cert = \"required\"");
        }
        if self.ws_path.as_ref().is_some_and(|path| !path.starts_with('/')) {
            return stray("ws_path", "begins with a slash: ws_path = \"/mqtt\"");
        }
        Ok(())
    }

    /// Makes paths relative to the config file.
    pub(super) fn lies_beside(&mut self, folder: &Path) {
        let paths = [&mut self.path, &mut self.cert, &mut self.key, &mut self.client_ca, &mut self.crl];
        for path in paths.into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }

    /// What stands before MQTT. Reads certificates and keys.
    ///
    /// # Errors
    /// [`transport::TlsError`]
    pub(crate) fn acceptor(&self) -> Result<transport::Acceptor, transport::TlsError> {
        let websocket = self.kind.has_websocket().then(|| transport::Upgrade {
            path: self.ws_path.clone().unwrap_or_else(|| "/mqtt".to_owned()),
            origins: self.origins.clone(),
        });
        let alpn = if websocket.is_some() { transport::Alpn::Http } else { transport::Alpn::Mqtt };
        let tls = match self.tls_files() {
            Some(files) => Some(transport::TlsSettings::read(files, alpn)?.into()),
            None => None,
        };
        Ok(transport::Acceptor { proxy: self.proxy_protocol, tls, websocket })
    }

    fn tls_files(&self) -> Option<transport::TlsFiles> {
        let path = |path: &Option<PathBuf>| path.clone().unwrap_or_default();
        self.kind.has_tls().then(|| transport::TlsFiles {
            cert: path(&self.cert),
            key: path(&self.key),
            client_cert: match self.client_cert.unwrap_or_default() {
                ClientCert::None => transport::ClientCert::None,
                ClientCert::Optional => transport::ClientCert::Optional,
                ClientCert::Required => transport::ClientCert::Required,
            },
            client_ca: self.client_ca.clone(),
            crl: self.crl.clone(),
        })
    }
}

const ONLY_TLS: &str = "is for kind = \"tls\" and \"wss\" only";
const ONLY_WEBSOCKET: &str = "is for kind = \"ws\" and \"wss\" only";

/// Where the keys of listeners stand in the file, for mistakes that are seen when it has been read.
#[derive(Deserialize)]
pub(super) struct Places {
    #[serde(default)]
    listener: Vec<toml::Spanned<BTreeMap<toml::Spanned<String>, serde::de::IgnoredAny>>>,
}

impl Places {
    /// Byte at which a key of a listener stands, or the listener itself.
    pub(super) fn of(text: &str, index: usize, key: Option<&str>) -> usize {
        let places: Self = toml::from_str(text).unwrap_or(Self { listener: Vec::new() });
        let Some(listener) = places.listener.get(index) else { return 0 };
        let key = listener.get_ref().keys().find(|known| Some(known.get_ref().as_str()) == key);
        key.map_or(listener.span().start, |key| key.span().start)
    }
}
