//! Salts for names that are no users, so that nobody learns who is one: the same for a name whenever it is asked about (RFC 5802, section
//! 5.1), and like those of the users.

use crate::{
    method::Method,
    verifier::{ITERATIONS, Verifier},
};
use std::collections::BTreeMap;

/// Bytes of a salt where there is nobody to be like.
const SALT: usize = 16;

/// From which decoys are made.
pub(crate) struct Decoys {
    key: Vec<u8>,
    /// Iterations and bytes of salts of all users, by method.
    looks: BTreeMap<&'static str, Vec<(u32, usize)>>,
}

impl Decoys {
    /// `secret`: what no stranger knows. None: that is taken from the users' keys.
    pub(crate) fn new<'a>(secret: Option<&str>, users: impl Iterator<Item = &'a Verifier> + Clone) -> Self {
        let mut looks = BTreeMap::<_, Vec<_>>::new();
        for user in users.clone() {
            looks.entry(user.method.name()).or_default().push((user.iterations, user.salt.len()));
        }
        let key = match secret {
            Some(secret) => Method::Sha512.hash(secret.as_bytes()),
            None => {
                Method::Sha512.hash(&users.flat_map(Verifier::keys).flatten().copied().collect::<Vec<u8>>())
            }
        };
        Self { key, looks }
    }

    /// One by which nobody can prove anything.
    pub(crate) fn verifier(&self, method: Method, name: &str) -> Verifier {
        let drawn = |what: &str| {
            Method::Sha512.hmac(&self.key, format!("{what} {} {name}", method.name()).as_bytes())
        };
        let looks = self.looks.get(method.name()).map_or(&[(ITERATIONS, SALT)][..], Vec::as_slice);
        let at = drawn("look").iter().fold(0, |at, &byte| (at * 256 + usize::from(byte)) % looks.len());
        let (iterations, salt_bytes) = looks[at];
        let part = |what: &str, bytes: usize| {
            let mut part = drawn(what);
            part.truncate(bytes);
            part
        };
        let keys = [part("stored key", method.bytes()), part("server key", method.bytes())];
        Verifier::new(method, iterations, part("salt", salt_bytes), keys)
    }
}
