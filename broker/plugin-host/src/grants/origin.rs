//! Scheme, host and port.

use http::Uri;
use serde::{Deserialize, Deserializer, de};
use std::{
    fmt,
    marker::PhantomData,
    net::{IpAddr, Ipv6Addr},
};

/// Of a destination: scheme, host and port, nothing else. The port is always shown.
#[derive(Clone, Debug)]
pub struct Origin<K> {
    pub(super) scheme: &'static str,
    pub(super) host: Host,
    pub(super) port: u16,
    kind: PhantomData<K>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Host {
    /// In lower case.
    Name(Box<str>),
    Address(IpAddr),
}

/// The schemes of one kind of origins, and their ports.
pub trait Kind {
    /// What they are called.
    const SCHEMES: [&'static str; 2];
    /// Of each. None: it must be named.
    const PORTS: [Option<u16>; 2];
    /// For people.
    const EXAMPLE: &'static str;
}

/// Why a text names no origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum OriginError {
    #[error("it is not a URL")]
    NotUrl,
    #[error("its scheme is neither {0} nor {1}")]
    Scheme(&'static str, &'static str),
    #[error("it names a user")]
    User,
    #[error("it has a path")]
    Path,
    #[error("it names no port")]
    Port,
}

impl<K: Kind> Origin<K> {
    /// Of a URL.
    pub(crate) fn of(uri: &Uri) -> Result<Self, OriginError> {
        let scheme = uri.scheme_str().ok_or(OriginError::NotUrl)?;
        let [first, second] = K::SCHEMES;
        let mut known = K::SCHEMES.into_iter().zip(K::PORTS);
        let known = known.find(|(name, _)| *name == scheme);
        let (scheme, default_port) = known.ok_or(OriginError::Scheme(first, second))?;
        let authority = uri.authority().ok_or(OriginError::NotUrl)?;
        if authority.as_str().contains('@') {
            return Err(OriginError::User);
        }
        let host = authority.host();
        // A port that is not one would otherwise count as none.
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => default_port.ok_or(OriginError::Port)?,
            Some(port) => {
                port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or(OriginError::NotUrl)?
            }
            None => return Err(OriginError::NotUrl),
        };
        Ok(Self { scheme, host: Host::new(host)?, port, kind: PhantomData })
    }

    /// Of a text that is nothing else.
    pub(crate) fn parse(text: &str) -> Result<Self, OriginError> {
        let uri: Uri = text.parse().map_err(|_| OriginError::NotUrl)?;
        let origin = Self::of(&uri)?;
        match uri.authority().is_some_and(|authority| text.ends_with(authority.as_str())) {
            true => Ok(origin),
            false => Err(OriginError::Path),
        }
    }
}

impl<K> PartialEq for Origin<K> {
    fn eq(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }
}

impl<K> Eq for Origin<K> {}

impl<'de, K: Kind> Deserialize<'de> for Origin<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|why| {
            let example = K::EXAMPLE;
            de::Error::custom(format!("{text:?} is not an origin: {why}; write for example {example:?}"))
        })
    }
}

impl Host {
    fn new(text: &str) -> Result<Self, OriginError> {
        if let Some(address) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            return address
                .parse()
                .map(|ip: Ipv6Addr| Self::Address(ip.into()))
                .map_err(|_| OriginError::NotUrl);
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if text.is_empty() || !text.bytes().all(plain) {
            return Err(OriginError::NotUrl);
        }
        Ok(match text.parse() {
            Ok(address) => Self::Address(IpAddr::V4(address)),
            Err(_) => Self::Name(text.to_ascii_lowercase().into()),
        })
    }
}

impl<K> fmt::Display for Origin<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port, .. } = self;
        match host {
            Host::Name(name) => write!(f, "{scheme}://{name}:{port}"),
            Host::Address(IpAddr::V4(address)) => write!(f, "{scheme}://{address}:{port}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "{scheme}://[{address}]:{port}"),
        }
    }
}
