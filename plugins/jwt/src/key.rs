//! One key, and what it vouches for.

use crate::algorithm::{Algorithm, Family};
use hmac::{Hmac, Mac, digest::KeyInit};
use p256::ecdsa::signature::Verifier;
use rsa::{
    BigUint, Pkcs1v15Sign, Pss, RsaPublicKey, errors,
    pkcs1::{self, ALGORITHM_OID},
    pkcs8::{AssociatedOid, DecodePublicKey, Document, SubjectPublicKeyInfoRef},
    traits::PublicKeyParts,
};
use sha2::{
    Digest, Sha256, Sha384, Sha512,
    digest::{DynDigest, FixedOutputReset},
};

/// The shortest RSA key (RFC 7518, section 3.3).
const RSA_BITS: usize = 2048;
/// The longest. Asking one takes sixteen times as long as the shortest.
const MOST_RSA_BITS: usize = 8192;

/// A key for one family of algorithms.
pub(crate) struct Key {
    /// `kid` of a JWKS.
    pub(crate) id: Option<String>,
    /// Set: for this algorithm only.
    pub(crate) algorithm: Option<Algorithm>,
    material: Material,
}

enum Material {
    Secret(Vec<u8>),
    Rsa(RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
}

impl Key {
    /// For every algorithm whose hash is no longer than the secret.
    pub(crate) fn secret(secret: Vec<u8>) -> Self {
        Material::Secret(secret).into()
    }

    /// `-----BEGIN PUBLIC KEY-----`, or that of RSA's own format.
    ///
    /// # Errors
    /// Why it is no key for us.
    pub(crate) fn pem(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_pem(text) {
            return Ok(Material::P256(key).into());
        }
        if let Ok(key) = p384::ecdsa::VerifyingKey::from_public_key_pem(text) {
            return Ok(Material::P384(key).into());
        }
        let (modulus, exponent) = rsa_of_pem(text).ok_or(
            "expected the PEM of a public key, RSA, P-256 or P-384 (that of a certificate: openssl x509 -noout -pubkey)",
        )?;
        Self::rsa(&modulus, &exponent)
    }

    /// From modulus and exponent, the highest byte first.
    ///
    /// # Errors
    /// Why it is no key for us.
    pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, &'static str> {
        let (modulus, exponent) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent));
        match RsaPublicKey::new_with_max_size(modulus, exponent, MOST_RSA_BITS) {
            Ok(key) if key.n().bits() < RSA_BITS => Err("an RSA key needs 2048 bits (RFC 7518, section 3.3)"),
            Ok(key) => Ok(Material::Rsa(key).into()),
            Err(errors::Error::ModulusTooLarge) => Err("an RSA key has 8192 bits at most here"),
            Err(_) => Err("modulus and exponent make no RSA key"),
        }
    }

    /// From a point on P-256. None if it is not there.
    pub(crate) fn p256(x: &[u8], y: &[u8]) -> Option<Self> {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point(x, y, 32)?).ok()?;
        Some(Material::P256(key).into())
    }

    /// From a point on P-384. None if it is not there.
    pub(crate) fn p384(x: &[u8], y: &[u8]) -> Option<Self> {
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&point(x, y, 48)?).ok()?;
        Some(Material::P384(key).into())
    }

    /// Whether it may be asked about tokens of that algorithm.
    pub(crate) fn is_for(&self, algorithm: Algorithm) -> bool {
        let family = match &self.material {
            Material::Secret(secret) if secret.len() < algorithm.hash_bytes() => return false,
            Material::Secret(_) => Family::Hmac,
            Material::Rsa(_) => Family::Rsa,
            Material::P256(_) => Family::P256,
            Material::P384(_) => Family::P384,
        };
        family == algorithm.family() && self.algorithm.is_none_or(|only| only == algorithm)
    }

    /// Whether `signature` is this key's under `text`, by that algorithm.
    pub(crate) fn signed(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        if !self.is_for(algorithm) {
            return false;
        }
        match (&self.material, algorithm) {
            (Material::Secret(secret), Algorithm::Hs256) => mac::<Hmac<Sha256>>(secret, text, signature),
            (Material::Secret(secret), Algorithm::Hs384) => mac::<Hmac<Sha384>>(secret, text, signature),
            (Material::Secret(secret), Algorithm::Hs512) => mac::<Hmac<Sha512>>(secret, text, signature),
            (Material::Rsa(key), Algorithm::Rs256) => pkcs1::<Sha256>(key, text, signature),
            (Material::Rsa(key), Algorithm::Rs384) => pkcs1::<Sha384>(key, text, signature),
            (Material::Rsa(key), Algorithm::Rs512) => pkcs1::<Sha512>(key, text, signature),
            (Material::Rsa(key), Algorithm::Ps256) => pss::<Sha256>(key, text, signature),
            (Material::Rsa(key), Algorithm::Ps384) => pss::<Sha384>(key, text, signature),
            (Material::Rsa(key), Algorithm::Ps512) => pss::<Sha512>(key, text, signature),
            (Material::P256(key), Algorithm::Es256) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(text, &signature).is_ok()),
            (Material::P384(key), Algorithm::Es384) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(text, &signature).is_ok()),
            _ => false,
        }
    }
}

impl From<Material> for Key {
    fn from(material: Material) -> Self {
        Self { id: None, algorithm: None, material }
    }
}

/// Modulus and exponent. The crate's own way takes no key of more than 4096 bits.
fn rsa_of_pem(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (label, document) = Document::from_pem(text).ok()?;
    let key = match label {
        "RSA PUBLIC KEY" => document.as_bytes(),
        "PUBLIC KEY" => {
            let info = SubjectPublicKeyInfoRef::try_from(document.as_bytes()).ok()?;
            info.algorithm.assert_algorithm_oid(ALGORITHM_OID).ok()?;
            info.subject_public_key.as_bytes()?
        }
        _ => return None,
    };
    let key = pkcs1::RsaPublicKey::try_from(key).ok()?;
    Some((key.modulus.as_bytes().into(), key.public_exponent.as_bytes().into()))
}

/// An uncompressed point (SEC 1). None if a coordinate has not all its bytes (RFC 7518, section 6.2.1.2).
fn point(x: &[u8], y: &[u8], bytes: usize) -> Option<Vec<u8>> {
    (x.len() == bytes && y.len() == bytes).then(|| [&[4], x, y].concat())
}

/// Compares in constant time.
fn mac<M: Mac + KeyInit>(secret: &[u8], text: &[u8], signature: &[u8]) -> bool {
    <M as Mac>::new_from_slice(secret).is_ok_and(|mac| mac.chain_update(text).verify_slice(signature).is_ok())
}

fn pkcs1<D: Digest + AssociatedOid>(key: &RsaPublicKey, text: &[u8], signature: &[u8]) -> bool {
    key.verify(Pkcs1v15Sign::new::<D>(), &D::digest(text), signature).is_ok()
}

/// The salt is as long as the hash (RFC 7518, section 3.5).
fn pss<D>(key: &RsaPublicKey, text: &[u8], signature: &[u8]) -> bool
where
    D: Digest + DynDigest + FixedOutputReset + Send + Sync + 'static,
{
    key.verify(Pss::new::<D>(), &<D as Digest>::digest(text), signature).is_ok()
}
