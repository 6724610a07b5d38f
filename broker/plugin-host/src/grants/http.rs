//! `grants.http`: where a plugin may send HTTP requests to, and which addresses that may lead to.

use super::list;
use http::{Uri, uri::Scheme};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

/// A list of origins, or a table with more to say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpGrant {
    /// At least one.
    pub origins: Vec<HttpOrigin>,
    /// Networks that names may lead to although they are not public.
    pub private: Vec<IpNet>,
    /// A PEM file of certificate authorities to trust beside the public ones.
    pub ca: Option<PathBuf>,
}

impl HttpGrant {
    /// Whether a request to `uri` may be sent.
    pub(crate) fn holds(&self, uri: &Uri) -> bool {
        HttpOrigin::of(uri).is_ok_and(|origin| self.origins.contains(&origin))
    }

    /// Whether a name that was granted may lead to `address`. Addresses that were granted as such are not asked about.
    pub(crate) fn leads_to(&self, name: &str, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let named = name.eq_ignore_ascii_case("localhost") && address.is_loopback();
        named || is_public(address) || self.private.iter().any(|network| network.contains(&address))
    }
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, &self.origins)?;
        if !self.private.is_empty() {
            f.write_str(" in ")?;
            list(f, &self.private)?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for HttpGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            origins: Vec<HttpOrigin>,
            #[serde(default, deserialize_with = "networks")]
            private: Vec<IpNet>,
            #[serde(default)]
            ca: Option<PathBuf>,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = HttpGrant;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of origins, or a table with the keys origins, private and ca")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<HttpGrant, A::Error> {
                let origins = Vec::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
                Ok(HttpGrant { origins, private: Vec::new(), ca: None })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<HttpGrant, A::Error> {
                let Table { origins, private, ca } =
                    Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(HttpGrant { origins, private, ca })
            }
        }
        let grant = deserializer.deserialize_any(Visitor)?;
        match grant.origins.is_empty() {
            true => Err(de::Error::custom("no origin grants nothing; name some, or remove the key")),
            false => Ok(grant),
        }
    }
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: &String| {
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        network.ok_or_else(|| {
            de::Error::custom(format!("{text:?} is not a network; write for example \"10.0.0.0/8\""))
        })
    };
    Vec::<String>::deserialize(deserializer)?.iter().map(network).collect()
}

/// `https://auth.example:8443`: scheme, host and port, nothing else. The port is always shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpOrigin {
    scheme: Scheme,
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Host {
    /// In lower case.
    Name(Box<str>),
    Address(IpAddr),
}

/// Why a text names no origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum OriginError {
    #[error("it is not a URL")]
    NotUrl,
    #[error("its scheme is neither http nor https")]
    Scheme,
    #[error("it names a user")]
    User,
    #[error("it has a path")]
    Path,
}

impl HttpOrigin {
    /// Of a URL.
    pub(crate) fn of(uri: &Uri) -> Result<Self, OriginError> {
        let scheme = uri.scheme().ok_or(OriginError::NotUrl)?.clone();
        let default_port = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return Err(OriginError::Scheme),
        };
        let authority = uri.authority().ok_or(OriginError::NotUrl)?;
        if authority.as_str().contains('@') {
            return Err(OriginError::User);
        }
        let host = authority.host();
        // A port that is not one would otherwise count as none.
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => default_port,
            Some(port) => {
                port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or(OriginError::NotUrl)?
            }
            None => return Err(OriginError::NotUrl),
        };
        Ok(Self { scheme, host: Host::new(host)?, port })
    }

    /// Of a text that is nothing else.
    fn parse(text: &str) -> Result<Self, OriginError> {
        let uri: Uri = text.parse().map_err(|_| OriginError::NotUrl)?;
        let origin = Self::of(&uri)?;
        match uri.authority().is_some_and(|authority| text.ends_with(authority.as_str())) {
            true => Ok(origin),
            false => Err(OriginError::Path),
        }
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

impl fmt::Display for HttpOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        match host {
            Host::Name(name) => write!(f, "{scheme}://{name}:{port}"),
            Host::Address(IpAddr::V4(address)) => write!(f, "{scheme}://{address}:{port}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "{scheme}://[{address}]:{port}"),
        }
    }
}

impl<'de> Deserialize<'de> for HttpOrigin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|why| {
            de::Error::custom(format!(
                "{text:?} is not an origin: {why}; write for example \"https://auth.example:8443\""
            ))
        })
    }
}

/// Whether everybody on the internet may be there. `address` is no IPv4 address in IPv6 clothes, see [`IpAddr::to_canonical`].
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// By the IANA registry of special-purpose addresses.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        // Carrier-grade NAT.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        // Benchmarks.
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !special
}

/// What is not global unicast is not public; what leads to an IPv4 address is as public as that one.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let v4 = |high: u16, low: u16| is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // NAT64
        [0x64, 0xFF9B, 0, 0, 0, 0, high, low] => v4(high, low),
        // 6to4
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo and other protocols, documentation.
        [0x2001, b, ..] if b < 0x200 || b == 0xDB8 => false,
        [0x3FFF, b, ..] if b < 0x1000 => false,
        [a, ..] => a & 0xE000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Table {
        http: HttpGrant,
    }

    fn grant(text: &str) -> HttpGrant {
        toml::from_str::<Table>(text).unwrap().http
    }

    fn error(text: &str) -> String {
        toml::from_str::<Table>(text).unwrap_err().to_string()
    }

    fn holds(grant: &HttpGrant, uri: &str) -> bool {
        grant.holds(&uri.parse().unwrap())
    }

    #[test]
    fn a_list_or_a_table() {
        let short = grant("http = ['https://Auth.Example:8443', 'http://127.0.0.1:8080', 'http://[::1]']");
        assert_eq!(short.to_string(), "https://auth.example:8443, http://127.0.0.1:8080, http://[::1]:80");
        let long =
            grant("http = { origins = ['https://a'], private = ['10.0.0.0/8', 'fd00::1'], ca = 'ca.pem' }");
        assert_eq!(long.to_string(), "https://a:443 in 10.0.0.0/8, fd00::1/128");
        assert_eq!(long.ca.unwrap().to_str(), Some("ca.pem"));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for (text, why) in [
            ("http = []", "no origin grants nothing"),
            ("http = { origins = [] }", "no origin grants nothing"),
            ("http = {}", "missing field `origins`"),
            ("http = 'https://a'", "a list of origins, or a table"),
            ("http = ['auth.example']", "it is not a URL"),
            ("http = ['ftp://a']", "neither http nor https"),
            ("http = ['https://me@a']", "it names a user"),
            ("http = ['https://a/']", "it has a path"),
            ("http = ['https://a/b']", "it has a path"),
            ("http = ['https://a?b']", "it has a path"),
            ("http = ['https://a:99999']", "it is not a URL"),
            ("http = ['https://a:']", "it is not a URL"),
            ("http = ['https://*.example']", "it is not a URL"),
            ("http = { origins = ['https://a'], private = ['10.0.0.0/33'] }", "is not a network"),
            ("http = { origins = ['https://a'], privat = [] }", "unknown field `privat`"),
        ] {
            assert!(error(text).contains(why), "{text}: {}", error(text));
        }
    }

    #[test]
    fn scheme_host_and_port_must_be_those_granted() {
        let grant = grant("http = ['https://auth.example', 'http://127.0.0.1:8080', 'http://[::1]:80']");
        for url in [
            "https://auth.example/a?b",
            "https://AUTH.example:443",
            "http://127.0.0.1:8080/",
            "http://[0:0::1]/x",
        ] {
            assert!(holds(&grant, url), "{url}");
        }
        for url in [
            "http://auth.example",
            "https://auth.example:8443",
            "https://auth.example.evil",
            "https://auth.example.",
            "https://auth.example@evil",
            "https://evil@auth.example",
            "http://127.0.0.1",
            "http://127.1:8080",
            "http://2130706433:8080",
            "http://[::ffff:127.0.0.1]:8080",
            "/a",
            "auth.example:443",
        ] {
            assert!(!holds(&grant, url), "{url}");
        }
    }

    #[test]
    fn names_lead_to_public_addresses_only() {
        let nobody = grant("http = ['https://a', 'http://localhost']");
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.0.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
        ] {
            assert!(!nobody.leads_to("a", address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "223.0.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::",
        ] {
            assert!(nobody.leads_to("a", address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn private_networks_are_reached_if_named() {
        let grant = grant(
            "http = { origins = ['http://localhost', 'http://a'], private = ['10.0.0.0/8', 'fd00::/8'] }",
        );
        for (name, address, leads) in [
            ("a", "10.1.2.3", true),
            ("a", "::ffff:10.1.2.3", true),
            ("a", "fd00::1", true),
            ("a", "192.168.0.1", false),
            ("a", "127.0.0.1", false),
            ("localhost", "127.0.0.1", true),
            ("LOCALHOST", "::1", true),
            ("localhost", "192.168.0.1", false),
            ("localhost", "0.0.0.0", false),
        ] {
            assert_eq!(grant.leads_to(name, address.parse().unwrap()), leads, "{name} {address}");
        }
    }
}
