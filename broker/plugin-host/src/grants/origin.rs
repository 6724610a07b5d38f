//! Scheme, host and port.

use http::Uri;
use serde::{Deserialize, Deserializer, de};
use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

/// Of a destination: scheme, host and port, nothing else. The port is always shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Origin {
    pub(super) scheme: &'static str,
    pub(super) host: Host,
    pub(super) port: u16,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Host {
    /// In lower case.
    Name(Box<str>),
    Address(IpAddr),
}

/// The schemes of one kind of origins, and their ports.
pub(super) struct Schemes {
    pub(super) names: [&'static str; 2],
    /// None: it must be named.
    pub(super) ports: [Option<u16>; 2],
    /// For people.
    pub(super) example: &'static str,
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

impl Origin {
    /// Of a URL.
    pub(super) fn of(uri: &Uri, schemes: &Schemes) -> Result<Self, OriginError> {
        let scheme = uri.scheme_str().ok_or(OriginError::NotUrl)?;
        let [first, second] = schemes.names;
        let known = schemes.names.iter().zip(schemes.ports).find(|(name, _)| **name == scheme);
        let (&scheme, default_port) = known.ok_or(OriginError::Scheme(first, second))?;
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
        Ok(Self { scheme, host: Host::new(host)?, port })
    }

    /// Of a text that is nothing else.
    pub(super) fn parse(text: &str, schemes: &Schemes) -> Result<Self, OriginError> {
        let uri: Uri = text.parse().map_err(|_| OriginError::NotUrl)?;
        let origin = Self::of(&uri, schemes)?;
        match uri.authority().is_some_and(|authority| text.ends_with(authority.as_str())) {
            true => Ok(origin),
            false => Err(OriginError::Path),
        }
    }

    /// Of a text in a config.
    pub(super) fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        schemes: &Schemes,
    ) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text, schemes).map_err(|why| {
            let example = schemes.example;
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

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        match host {
            Host::Name(name) => write!(f, "{scheme}://{name}:{port}"),
            Host::Address(IpAddr::V4(address)) => write!(f, "{scheme}://{address}:{port}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "{scheme}://[{address}]:{port}"),
        }
    }
}
