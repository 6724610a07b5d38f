//! The PROXY protocol, versions 1 and 2: what a proxy says first about who is behind it.
//! Source: <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>

#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// A line of version 1, its CR LF included, is not longer.
const LINE_BOUND: usize = 107;
/// A header of version 2 that is longer is refused. The addresses take 216 bytes at most, the rest is for what proxies add.
const HEADER_BOUND: usize = 536;
/// Version 2 begins so.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 1 begins so.
const WORD: &[u8] = b"PROXY ";
/// The part of a version 2 header that says how long the rest is.
const FIXED: usize = 16;

/// What a proxy says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// Who is behind it.
    pub source: Source,
    /// Common name of the client's certificate, if the proxy took TLS off and has verified one.
    pub common_name: Option<String>,
}

/// Who is behind a proxy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// A client over TCP.
    Address(SocketAddr),
    /// A client over a Unix socket, with its path.
    Unix(String),
    /// The proxy itself, or it does not know: the address of the socket stands.
    Unknown,
}

/// What came is no header of the PROXY protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProxyError {
    /// Another beginning.
    #[error("no PROXY header; does the proxy send one?")]
    Missing,
    /// It does not end where it should.
    #[error("the PROXY header is too long")]
    TooLong,
    /// Another version, command, family or form.
    #[error("the PROXY header is malformed")]
    Malformed,
}

/// Takes a header from the beginning of `bytes`, and says how long it is. None: more is needed.
///
/// # Errors
/// [`ProxyError`], as soon as it is clear that no more bytes could help.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, ProxyError> {
    if begins(bytes, &SIGNATURE) {
        parse_v2(bytes)
    } else if begins(bytes, WORD) {
        parse_v1(bytes)
    } else {
        Err(ProxyError::Missing)
    }
}

/// How many bytes may be read on, so that nothing behind the header is read. `bytes` has parsed to None.
pub(crate) fn missing(bytes: &[u8]) -> usize {
    // The shortest line is 15 bytes long.
    let wanted = if bytes.len() < SIGNATURE.len() {
        SIGNATURE.len()
    } else if bytes.starts_with(&SIGNATURE) {
        header_len(bytes).unwrap_or(FIXED)
    } else {
        bytes.len() + 1
    };
    wanted.saturating_sub(bytes.len())
}

/// Whether `bytes` begin with this, as far as they go.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    let common = bytes.len().min(with.len());
    bytes[..common] == with[..common]
}

fn parse_v1(bytes: &[u8]) -> Result<Option<(Header, usize)>, ProxyError> {
    let within = &bytes[..bytes.len().min(LINE_BOUND)];
    let Some(end) = within.windows(2).position(|two| two == b"\r\n") else {
        return if bytes.len() < LINE_BOUND { Ok(None) } else { Err(ProxyError::TooLong) };
    };
    let line = within.get(WORD.len()..end).ok_or(ProxyError::Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| ProxyError::Malformed)?;
    let source = if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        Source::Unknown
    } else {
        let fields: Vec<&str> = line.split(' ').collect();
        let [family, source, destination, source_port, destination_port] = fields[..] else {
            return Err(ProxyError::Malformed);
        };
        let address = |text: &str| -> Option<IpAddr> {
            match family {
                "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
                "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
                _ => None,
            }
        };
        let both = (address(source), address(destination), port(source_port), port(destination_port));
        let (Some(ip), Some(_), Some(port), Some(_)) = both else { return Err(ProxyError::Malformed) };
        Source::Address((ip, port).into())
    };
    Ok(Some((Header { source, common_name: None }, end + 2)))
}

fn port(text: &str) -> Option<u16> {
    // `parse` alone would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The whole length of a version 2 header, as it says itself; None before it does.
fn header_len(bytes: &[u8]) -> Option<usize> {
    let len: [u8; 2] = bytes.get(14..FIXED)?.try_into().ok()?;
    Some(FIXED + usize::from(u16::from_be_bytes(len)))
}

fn parse_v2(bytes: &[u8]) -> Result<Option<(Header, usize)>, ProxyError> {
    let local = match bytes.get(12) {
        None => return Ok(None),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(ProxyError::Malformed),
    };
    let Some(len) = header_len(bytes) else { return Ok(None) };
    if len > HEADER_BOUND {
        return Err(ProxyError::TooLong);
    }
    let Some(body) = bytes.get(FIXED..len) else { return Ok(None) };
    if local {
        return Ok(Some((Header { source: Source::Unknown, common_name: None }, len)));
    }
    let (source, rest) = match bytes[13] {
        0x00 => (Source::Unknown, body),
        0x11 => {
            let (addresses, rest) = split::<12>(body)?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *addresses;
            let port = u16::from_be_bytes([high, low]);
            (Source::Address((Ipv4Addr::new(a, b, c, d), port).into()), rest)
        }
        0x21 => {
            let (addresses, rest) = split::<36>(body)?;
            let (ip, ports) = split::<16>(addresses)?;
            let port = u16::from_be_bytes([ports[16], ports[17]]);
            (Source::Address((Ipv6Addr::from(*ip), port).into()), rest)
        }
        0x31 => {
            let (paths, rest) = split::<216>(body)?;
            let path = paths[..108].split(|byte| *byte == 0).next().unwrap_or_default();
            (Source::Unix(String::from_utf8_lossy(path).into_owned()), rest)
        }
        _ => return Err(ProxyError::Malformed),
    };
    Ok(Some((Header { source, common_name: common_name(rest)? }, len)))
}

fn split<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), ProxyError> {
    bytes.split_first_chunk().ok_or(ProxyError::Malformed)
}

/// The common name in the TLVs, if the certificate is one that the proxy has verified (section 2.2.6).
fn common_name(tlvs: &[u8]) -> Result<Option<String>, ProxyError> {
    const SSL: u8 = 0x20;
    const CN: u8 = 0x22;
    /// A certificate on this connection or session.
    const SHOWN: u8 = 0x02 | 0x04;
    let mut name = None;
    for tlv in Tlvs(tlvs) {
        let (SSL, value) = tlv? else { continue };
        let (fixed, inner) = split::<5>(value)?;
        let verified = fixed[0] & SHOWN != 0 && fixed[1..] == [0; 4];
        for tlv in Tlvs(inner) {
            if let (CN, value) = tlv?
                && verified
            {
                name = Some(std::str::from_utf8(value).map_err(|_| ProxyError::Malformed)?.to_owned());
            }
        }
    }
    Ok(name)
}

/// Type, length, value, one behind the other.
struct Tlvs<'a>(&'a [u8]);

impl<'a> Iterator for Tlvs<'a> {
    type Item = Result<(u8, &'a [u8]), ProxyError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.0);
        if rest.is_empty() {
            return None;
        }
        let Some(([kind, high, low], rest)) = rest.split_first_chunk() else {
            return Some(Err(ProxyError::Malformed));
        };
        let Some((value, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))
        else {
            return Some(Err(ProxyError::Malformed));
        };
        self.0 = rest;
        Some(Ok((*kind, value)))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}
