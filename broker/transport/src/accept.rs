//! What stands between a socket that was taken in and the first byte of MQTT.

use crate::{
    proxy::{Header, ProxyError, Source, missing, parse},
    raw::Raw,
    stream::{Layers, Stream},
    tls::{
        Tls, TlsHandshakeError,
        peer::{Certificate, TlsPeer},
        settings::TlsSettings,
    },
    websocket::{
        Below, UpgradeError, WebSocket,
        upgrade::{Refusal, Upgrade},
    },
};
use std::{io, sync::Arc, time::Duration};

/// How long a client that stays out may take to hear why.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What a listener asks for before MQTT begins. Nothing, by default.
#[derive(Clone, Debug, Default)]
pub struct Acceptor {
    /// Whether a proxy says first who is behind it.
    pub proxy: bool,
    /// Keys and certificates, if TLS is spoken.
    pub tls: Option<Arc<TlsSettings>>,
    /// Path and origins, if WebSocket is spoken.
    pub websocket: Option<Upgrade>,
}

/// Who is at the other end.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Peer {
    /// The client's, even behind a proxy: `IP:PORT`, or `unix:…`.
    pub address: String,
    /// What TLS says about it.
    pub tls: Option<Box<TlsPeer>>,
}

impl Peer {
    /// The certificate, if a good one was shown.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.tls.as_ref()?.certificate.as_deref()
    }
}

/// A client that did not come as far as MQTT. It was told why, where there are words for it.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The socket broke, or the client closed.
    #[error("closed while shaking hands: {0}")]
    Io(#[from] io::Error),
    /// No proxy, or one that we do not understand.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// No TLS, or none that we can agree on.
    #[error("TLS: {0}")]
    Tls(#[source] rustls::Error),
    /// No WebSocket, or not here.
    #[error("WebSocket: {0}")]
    WebSocket(#[source] Refusal),
}

impl Acceptor {
    /// Whether nothing stands before MQTT: then a [`Raw`] is a [`Stream`] already.
    pub fn is_plain(&self) -> bool {
        !self.proxy && self.tls.is_none() && self.websocket.is_none()
    }

    /// Shakes hands. `address` is that of the socket. Whoever calls this puts a deadline around it.
    ///
    /// # Errors
    /// [`AcceptError`]; the socket is closed.
    pub async fn accept(&self, raw: Raw, address: String) -> Result<(Stream, Peer), AcceptError> {
        let mut peer = Peer { address, tls: None };
        if self.proxy {
            let Header { source, common_name } = read_header(&raw).await?;
            if source != Source::Unknown {
                peer.address = source.to_string();
            }
            peer.tls = common_name.map(TlsPeer::proxied).map(Box::new);
        }
        let below = match &self.tls {
            None => Below::Raw(raw),
            Some(settings) => match Tls::accept(raw, settings.config()).await {
                Ok(tls) => {
                    peer.tls = Some(Box::new(TlsPeer::of(tls.connection())));
                    Below::Tls(Box::new(tls))
                }
                Err((raw, error)) => {
                    if matches!(error, TlsHandshakeError::Tls(_)) {
                        part(Below::Raw(raw)).await;
                    }
                    return Err(error.into());
                }
            },
        };
        let layers = match (&self.websocket, below) {
            (Some(upgrade), below) => match WebSocket::accept(below, upgrade).await {
                Ok(websocket) => Layers::WebSocket(Box::new(websocket)),
                Err((below, error)) => {
                    if matches!(error, UpgradeError::Refused(_)) {
                        part(below).await;
                    }
                    return Err(error.into());
                }
            },
            (None, Below::Tls(tls)) => Layers::Tls(tls),
            (None, Below::Raw(raw)) => return Ok((raw.into(), peer)),
        };
        Ok((Stream(layers), peer))
    }
}

/// Reads a PROXY header, and nothing behind it.
async fn read_header(raw: &Raw) -> Result<Header, AcceptError> {
    let mut bytes = Vec::new();
    loop {
        if let Some((header, _)) = parse(&bytes)? {
            return Ok(header);
        }
        let begun = bytes.len();
        bytes.resize(begun + missing(&bytes), 0);
        raw.read_exact(&mut bytes[begun..]).await?;
    }
}

/// Closing with unread bytes would reset the connection, and the client might never see why it stays out.
async fn part(mut below: Below) {
    let last_words = async {
        below.shutdown().await?;
        let mut ignored = [0; 1024];
        loop {
            below.readable().await?;
            match below.try_read(&mut ignored) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    };
    // Whatever comes of it, the connection is over.
    let _: Result<io::Result<()>, _> = tokio::time::timeout(LAST_WORDS, last_words).await;
}

impl From<TlsHandshakeError> for AcceptError {
    fn from(error: TlsHandshakeError) -> Self {
        match error {
            TlsHandshakeError::Io(error) => Self::Io(error),
            TlsHandshakeError::Tls(error) => Self::Tls(error),
        }
    }
}

impl From<UpgradeError> for AcceptError {
    fn from(error: UpgradeError) -> Self {
        match error {
            UpgradeError::Io(error) => Self::Io(error),
            UpgradeError::Refused(refusal) => Self::WebSocket(refusal),
        }
    }
}
