//! A set of keys as identity providers publish it (RFC 7517).

use crate::{algorithm::Algorithm, key::Key, token::decoded};
use serde::Deserialize;
use tidegate_plugin::{debug, warn};

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

/// Why a key of the set is not used.
enum Unused {
    /// It is for something else, or of a kind that this plugin does not know.
    Foreign(&'static str),
    /// It would be for us.
    Faulty(&'static str),
}

/// The keys that tokens may be signed with. Others are passed over (section 5).
///
/// # Errors
/// Why it is no set of keys, or that none of them is for us.
pub(crate) fn keys(text: &str) -> Result<Vec<Key>, String> {
    let set: Set = serde_json::from_str(text).map_err(|why| format!("it is no JWKS (RFC 7517): {why}"))?;
    let mut keys = Vec::new();
    for (index, jwk) in set.keys.into_iter().enumerate() {
        let kid = jwk.kid.clone().unwrap_or_default();
        match Key::try_from(jwk) {
            Ok(key) => keys.push(key),
            Err(Unused::Foreign(why)) => debug!("key of the JWKS passed over", index, kid, why),
            Err(Unused::Faulty(why)) => warn!("key of the JWKS cannot be used", index, kid, why),
        }
    }
    if keys.is_empty() {
        return Err("none of its keys is for signatures that this plugin knows".into());
    }
    Ok(keys)
}

impl TryFrom<Jwk> for Key {
    type Error = Unused;

    fn try_from(jwk: Jwk) -> Result<Self, Unused> {
        if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return Err(Unused::Foreign("its `use` is not \"sig\""));
        }
        if jwk.key_ops.is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
            return Err(Unused::Foreign("its `key_ops` do not name \"verify\""));
        }
        let unknown = Unused::Foreign("its `alg` is none that this plugin knows");
        let algorithm = jwk.alg.map(|alg| Algorithm::named(&alg).ok_or(unknown)).transpose()?;
        let part = |part: Option<String>| {
            part.as_deref()
                .and_then(decoded)
                .ok_or(Unused::Faulty("a part of it is missing, or is no base64url"))
        };
        let mut key =
            match (jwk.kty.as_str(), jwk.crv.as_deref()) {
                ("oct", _) => Self::secret(part(jwk.k)?),
                ("RSA", _) => Self::rsa(&part(jwk.n)?, &part(jwk.e)?).map_err(Unused::Faulty)?,
                ("EC", Some("P-256")) => Self::p256(&part(jwk.x)?, &part(jwk.y)?)
                    .ok_or(Unused::Faulty("it is no point of P-256"))?,
                ("EC", Some("P-384")) => Self::p384(&part(jwk.x)?, &part(jwk.y)?)
                    .ok_or(Unused::Faulty("it is no point of P-384"))?,
                _ => return Err(Unused::Foreign("its `kty` or `crv` is none that this plugin knows")),
            };
        (key.id, key.algorithm) = (jwk.kid, algorithm);
        Ok(key)
    }
}
