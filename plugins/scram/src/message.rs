//! The client's two messages (RFC 5802, section 7).

use crate::failure::Failure;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::borrow::Cow;

/// Bytes of the longest message that is looked at.
const LONGEST: usize = 4096;

/// `n,,n=user,r=NONCE`
#[derive(Debug)]
pub(crate) struct ClientFirst<'a> {
    /// `n,,`
    pub(crate) gs2_header: &'a str,
    /// All behind it.
    pub(crate) bare: &'a str,
    pub(crate) user: String,
    pub(crate) nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, Failure> {
        let message = text(message)?;
        let (flag, rest) = message.split_once(',').ok_or(Failure::Malformed)?;
        match flag {
            // It cannot, or it thinks that we cannot: we cannot.
            "n" | "y" => {}
            bound if bound.starts_with("p=") => return Err(Failure::ChannelBinding),
            _ => return Err(Failure::Malformed),
        }
        let (acting_as, bare) = rest.split_once(',').ok_or(Failure::Malformed)?;
        let gs2_header = message.get(..message.len() - bare.len()).ok_or(Failure::Malformed)?;
        let mut parts = bare.split(',');
        let mut part = || parts.next().ok_or(Failure::Malformed);
        let named = part()?;
        if named.starts_with("m=") {
            return Err(Failure::Extension);
        }
        let user = name(value(named, "n=")?)?;
        let nonce = value(part()?, "r=")?;
        let sound = |byte: u8| is_nonce(byte);
        if nonce.is_empty() || !nonce.bytes().all(sound) || !parts.all(is_attribute) {
            return Err(Failure::Malformed);
        }
        if !acting_as.is_empty() && name(value(acting_as, "a=")?)? != user {
            return Err(Failure::SomebodyElse);
        }
        Ok(Self { gs2_header, bare, user, nonce })
    }
}

/// `c=biws,r=NONCE,p=PROOF`
#[derive(Debug)]
pub(crate) struct ClientFinal<'a> {
    /// The header once more.
    pub(crate) gs2_header: Vec<u8>,
    pub(crate) nonce: &'a str,
    pub(crate) without_proof: &'a str,
    pub(crate) proof: Vec<u8>,
}

impl<'a> ClientFinal<'a> {
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, Failure> {
        let message = text(message)?;
        let (without_proof, proof) = message.rsplit_once(',').ok_or(Failure::Malformed)?;
        let mut parts = without_proof.split(',');
        let mut part = || parts.next().ok_or(Failure::Malformed);
        let gs2_header = value(part()?, "c=")?;
        let nonce = value(part()?, "r=")?;
        if !parts.all(is_attribute) {
            return Err(Failure::Malformed);
        }
        let decoded = |text: &str| STANDARD.decode(text).map_err(|_| Failure::Encoding);
        Ok(Self {
            gs2_header: decoded(gs2_header)?,
            nonce,
            without_proof,
            proof: decoded(value(proof, "p=")?)?,
        })
    }
}

/// What may stand in a nonce.
pub(crate) fn is_nonce(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b','
}

/// A name as it is compared: prepared by SASLprep (RFC 4013).
pub(crate) fn prepared(name: &str) -> Result<Cow<'_, str>, Failure> {
    let name = stringprep::saslprep(name).map_err(|_| Failure::Username)?;
    if name.is_empty() { Err(Failure::Username) } else { Ok(name) }
}

fn text(message: &[u8]) -> Result<&str, Failure> {
    if message.len() > LONGEST {
        return Err(Failure::Malformed);
    }
    std::str::from_utf8(message).map_err(|_| Failure::Encoding)
}

fn value<'a>(part: &'a str, name: &str) -> Result<&'a str, Failure> {
    part.strip_prefix(name).ok_or(Failure::Malformed)
}

/// A letter and its value: an extension that may be ignored.
fn is_attribute(part: &str) -> bool {
    let mut characters = part.chars();
    characters.next().is_some_and(|name| name.is_ascii_alphabetic())
        && characters.next() == Some('=')
        && characters.next().is_some()
}

/// `=2C` is a comma and `=3D` an equals sign; no other equals sign may be there.
fn name(escaped: &str) -> Result<String, Failure> {
    let mut name = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('=') {
        name.push_str(before);
        rest = match (after.strip_prefix("2C"), after.strip_prefix("3D")) {
            (Some(rest), _) => {
                name.push(',');
                rest
            }
            (_, Some(rest)) => {
                name.push('=');
                rest
            }
            _ => return Err(Failure::Username),
        };
    }
    name.push_str(rest);
    prepared(&name).map(Cow::into_owned)
}
