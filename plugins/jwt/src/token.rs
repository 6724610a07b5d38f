//! A token as it comes: three parts in base64url (RFC 7515, section 3.1).

use crate::{algorithm::Algorithm, claims::Claims, keys::Keys, refused::Refused};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

/// A text that says of itself that it is a token. Nothing it says is proved.
pub(crate) struct Token<'a> {
    header: Map<String, Value>,
    text: &'a str,
}

impl<'a> Token<'a> {
    /// None if it is something else, a password say: a token begins with a header that names an algorithm.
    pub(crate) fn recognize(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (header, _) = text.split_once('.')?;
        let header: Map<String, Value> = serde_json::from_slice(&decoded(header)?).ok()?;
        header.contains_key("alg").then_some(Self { header, text })
    }

    /// What it claims, once a key has vouched for it.
    ///
    /// # Errors
    /// [`Refused`]: nothing of it may be believed.
    pub(crate) fn verified(&self, allowed: &[Algorithm], keys: &Keys) -> Result<Claims, Refused> {
        let (signed, signature) = self.text.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (_, claims) = signed.split_once('.').ok_or(Refused::Malformed)?;
        // Extensions that must be understood (RFC 7515, section 4.1.11): this plugin understands none.
        if self.header.contains_key("crit") {
            return Err(Refused::Critical);
        }
        let algorithm = self.header.get("alg").and_then(Value::as_str).and_then(Algorithm::named);
        let algorithm = algorithm.ok_or(Refused::UnknownAlgorithm)?;
        if !allowed.contains(&algorithm) {
            return Err(Refused::Algorithm(algorithm));
        }
        let signature = decoded(signature).ok_or(Refused::Malformed)?;
        keys.verify(algorithm, self.key_id(), signed.as_bytes(), &signature)?;
        let claims = decoded(claims).ok_or(Refused::Malformed)?;
        serde_json::from_slice(&claims).map(Claims::new).map_err(|_| Refused::Malformed)
    }

    fn key_id(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }
}

/// Base64url without padding (RFC 7515, section 2).
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
