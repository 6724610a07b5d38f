//! What is kept of a password: `SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY`, as PostgreSQL writes it. It proves a password, and cannot
//! be used as one.

use crate::method::Method;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use std::fmt;
use subtle::ConstantTimeEq;

/// The fewest iterations (RFC 7677, section 4).
pub(crate) const ITERATIONS: u32 = 4096;
/// Bytes of the longest salt: as many as a decoy can have.
const LONGEST_SALT: usize = 64;

/// By which a proof is known to be one. `Debug` leaves the keys out.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Verifier {
    pub(crate) method: Method,
    pub(crate) iterations: u32,
    pub(crate) salt: Vec<u8>,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl Verifier {
    /// With keys of the right length.
    pub(crate) fn new(
        method: Method,
        iterations: u32,
        salt: Vec<u8>,
        [stored_key, server_key]: [Vec<u8>; 2],
    ) -> Self {
        Self { method, iterations, salt, stored_key, server_key }
    }

    /// Whether who made the proof knows the password (RFC 5802, section 3). Takes as long for a wrong one.
    pub(crate) fn accepts(&self, proof: &[u8], auth_message: &[u8]) -> bool {
        let client_signature = self.method.hmac(&self.stored_key, auth_message);
        if proof.len() != client_signature.len() {
            return false;
        }
        let client_key: Vec<u8> = proof.iter().zip(client_signature).map(|(a, b)| a ^ b).collect();
        self.method.hash(&client_key).ct_eq(&self.stored_key).into()
    }

    /// By which the client knows that we know its password's keys.
    pub(crate) fn signature(&self, auth_message: &[u8]) -> Vec<u8> {
        self.method.hmac(&self.server_key, auth_message)
    }

    /// What no stranger knows.
    pub(crate) fn keys(&self) -> [&[u8]; 2] {
        [&self.stored_key, &self.server_key]
    }
}

impl TryFrom<String> for Verifier {
    type Error = String;

    fn try_from(line: String) -> Result<Self, String> {
        // The line itself is not repeated: it may be a password.
        const EXPECTED: &str = "expected a line such as `cargo xtask hash --scram` prints, `SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY`";
        let verifier = parsed(&line).ok_or(EXPECTED)?;
        let Self { method, iterations, salt, .. } = &verifier;
        if *iterations < ITERATIONS {
            return Err(format!(
                "{iterations} iterations are too few, {ITERATIONS} are the least (RFC 7677)"
            ));
        }
        if !(1..=LONGEST_SALT).contains(&salt.len()) {
            return Err(format!("{EXPECTED}: the salt has {} bytes, not 1 to {LONGEST_SALT}", salt.len()));
        }
        if verifier.keys().iter().any(|key| key.len() != method.bytes()) {
            return Err(format!("{EXPECTED}: keys of {} have {} bytes", method.name(), method.bytes()));
        }
        Ok(verifier)
    }
}

/// Its parts, whatever they hold.
fn parsed(line: &str) -> Option<Verifier> {
    let (method, rest) = line.split_once('$')?;
    let (cost, keys) = rest.split_once('$')?;
    let (iterations, salt) = cost.split_once(':')?;
    let (stored_key, server_key) = keys.split_once(':')?;
    let bytes = |text: &str| STANDARD.decode(text).ok();
    let keys = [bytes(stored_key)?, bytes(server_key)?];
    Some(Verifier::new(Method::named(method)?, iterations.parse().ok()?, bytes(salt)?, keys))
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("method", &self.method)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}
