//! One value: encrypted with XChaCha20-Poly1305, bound to its table and key.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use tidegate_plugin::random;

/// First byte of a sealed value: how it is made.
const VERSION: u8 = 1;
/// Bytes that tell keys apart.
const ID: usize = 4;
const NONCE: usize = 24;
/// Bytes of the nonce that an instance draws; the others count.
const DRAWN: usize = 16;

/// Key, or keys, and nonces that never come again.
pub(crate) struct Seal {
    current: Key,
    previous: Option<Key>,
    drawn: [u8; DRAWN],
    sealed: u64,
}

struct Key {
    id: [u8; ID],
    cipher: XChaCha20Poly1305,
}

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unreadable {
    /// It was not made by this plugin.
    Foreign,
    /// It was made with a key that is not here.
    Key,
    /// It is not what was written, or not where it was written.
    Damaged,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Foreign => "it is not encrypted by this plugin",
            Self::Key => "it was encrypted with another key",
            Self::Damaged => "it is damaged",
        })
    }
}

impl Key {
    /// `name`: of the secret, for whoever has to mend it. What it says is not told.
    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let wrong =
            || format!("secrets.{name} is not 64 hexadecimal digits; make some with openssl rand -hex 32");
        let text = text.trim();
        let pairs = text.as_bytes().chunks(2).map(|pair| {
            let pair =
                std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
            u8::from_str_radix(pair, 16).ok()
        });
        let bytes: Vec<u8> = pairs.collect::<Option<_>>().ok_or_else(wrong)?;
        if text.len() != 64 {
            return Err(wrong());
        }
        let cipher = XChaCha20Poly1305::new_from_slice(&bytes).map_err(|_| wrong())?;
        // Nothing of the key can be told from it.
        let hash = blake3::derive_key("tidegate store-crypt 2026 key id", &bytes);
        let [a, b, c, d, ..] = hash;
        Ok(Self { id: [a, b, c, d], cipher })
    }
}

impl Seal {
    /// # Errors
    /// Which secret is wrong, and what it should be.
    pub(crate) fn new(key: &str, previous: Option<&str>) -> Result<Self, String> {
        Ok(Self {
            current: Key::parse("key", key)?,
            previous: previous.map(|key| Key::parse("previous_key", key)).transpose()?,
            drawn: random::array(),
            sealed: 0,
        })
    }

    /// Version, key id, nonce, then the encrypted value and its tag: 45 bytes more than the value.
    pub(crate) fn seal(&mut self, table: u8, key: &[u8], value: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut nonce = [0; NONCE];
        let (drawn, count) = nonce.split_at_mut(DRAWN);
        drawn.copy_from_slice(&self.drawn);
        count.copy_from_slice(&self.sealed.to_be_bytes());
        self.sealed += 1;
        let place = place(table, key);
        let payload = Payload { msg: value, aad: &place };
        let encrypted = self.current.cipher.encrypt(&XNonce::from(nonce), payload);
        let encrypted = encrypted.map_err(|_| "the record is too large to be encrypted")?;
        Ok([&[VERSION], &self.current.id[..], &nonce, &encrypted].concat())
    }

    pub(crate) fn open(&self, table: u8, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let (&version, rest) = sealed.split_first().ok_or(Unreadable::Foreign)?;
        let (id, rest) = rest.split_first_chunk::<ID>().ok_or(Unreadable::Foreign)?;
        let (nonce, encrypted) = rest.split_first_chunk::<NONCE>().ok_or(Unreadable::Foreign)?;
        if version != VERSION {
            return Err(Unreadable::Foreign);
        }
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        let with = keys.find(|key| key.id == *id).ok_or(Unreadable::Key)?;
        let place = place(table, key);
        let payload = Payload { msg: encrypted, aad: &place };
        with.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| Unreadable::Damaged)
    }

    /// Whether it was made with the newest key.
    pub(crate) fn is_current(&self, sealed: &[u8]) -> bool {
        sealed.get(1..=ID) == Some(&self.current.id)
    }
}

/// A value cannot be passed off as that of another record.
fn place(table: u8, key: &[u8]) -> Vec<u8> {
    [&[table], key].concat()
}
