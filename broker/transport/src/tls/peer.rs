//! What TLS says about a client.

use rustls::{ServerConnection, pki_types::CertificateDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

/// What TLS says about a client.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TlsPeer {
    /// Its certificate, if it has shown a good one.
    pub certificate: Option<Box<Certificate>>,
    /// `TLSv1_3` or `TLSv1_2`; None if a proxy took TLS off.
    pub version: Option<&'static str>,
    /// The name that the client wanted to reach.
    pub sni: Option<String>,
}

/// A client's certificate, which was verified.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Certificate {
    /// Its subject as RFC 4514 writes it: `CN=sensor-7,OU=hall,O=Example`.
    pub subject: String,
    /// The common name in it.
    pub common_name: Option<String>,
    /// The other names in it, in its order: DNS names, addresses, e-mail addresses, URIs.
    pub sans: Vec<String>,
}

impl TlsPeer {
    pub(crate) fn of(connection: &ServerConnection) -> Self {
        let certificate = connection.peer_certificates().and_then(|chain| chain.first());
        // One that only rustls can read has no names, which is another thing than no certificate.
        let certificate = certificate.map(|der| Box::new(Certificate::of(der).unwrap_or_default()));
        let version = connection.protocol_version().and_then(|version| version.as_str());
        Self { certificate, version, sni: connection.server_name().map(str::to_owned) }
    }

    /// As a proxy tells it.
    pub(crate) fn proxied(common_name: String) -> Self {
        let subject = format!("CN={}", escaped(&common_name));
        let certificate = Certificate { subject, common_name: Some(common_name), sans: Vec::new() };
        Self { certificate: Some(Box::new(certificate)), version: None, sni: None }
    }
}

impl Certificate {
    fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let subject = certificate.subject();
        let sans = certificate.subject_alternative_name().ok().flatten();
        Some(Self {
            subject: rfc4514(subject),
            common_name: subject
                .iter_common_name()
                .next()
                .and_then(|name| name.as_str().ok())
                .map(str::to_owned),
            sans: sans.map_or_else(Vec::new, |sans| {
                sans.value.general_names.iter().filter_map(alternative_name).collect()
            }),
        })
    }
}

fn alternative_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        GeneralName::DirectoryName(name) => Some(rfc4514(name)),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// The last part first, parts parted by commas.
fn rfc4514(name: &X509Name<'_>) -> String {
    let parts: Vec<&_> = name.iter().collect();
    let one = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        let oid = attribute.attr_type();
        let kind = KINDS.iter().find(|(known, _)| *known == oid.to_id_string());
        let kind = kind.map_or_else(|| oid.to_id_string(), |(_, kind)| (*kind).to_owned());
        match attribute.as_str() {
            Ok(value) => format!("{kind}={}", escaped(value)),
            Err(_) => {
                let hex: String = attribute.as_slice().iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{kind}=#{hex}")
            }
        }
    };
    let all: Vec<String> =
        parts.iter().rev().map(|part| part.iter().map(one).collect::<Vec<_>>().join("+")).collect();
    all.join(",")
}

/// The kinds RFC 4514 has short names for, and what everybody else adds to them.
const KINDS: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// Section 2.4: so that no value can look like another part.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        let at_the_edge =
            (index == 0 && matches!(character, ' ' | '#')) || (index == last && character == ' ');
        match character {
            '\0' => text.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => text.extend(['\\', character]),
            _ if at_the_edge => text.extend(['\\', character]),
            _ => text.push(character),
        }
    }
    text
}
