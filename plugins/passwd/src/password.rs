//! Hashes as PHC strings: `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`.

use argon2::{Argon2, Params, PasswordVerifier, password_hash};
use serde::Deserialize;
use std::fmt;
use tidegate_plugin::error;

/// An argon2id hash. `Debug` leaves it out.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct PasswordHash {
    hash: argon2::PasswordHash,
    /// Blocks of memory times passes: what a verification takes.
    cost: u64,
}

impl TryFrom<String> for PasswordHash {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        const EXPECTED: &str =
            "expected an argon2id hash such as `cargo xtask hash` prints, `$argon2id$v=19$m=…$SALT$HASH`";
        let hash = argon2::PasswordHash::new(&text).map_err(|why| format!("{EXPECTED}: {why}"))?;
        if hash.algorithm.as_str() != "argon2id" {
            return Err(format!("{EXPECTED}: it is {}", hash.algorithm));
        }
        let params = Params::try_from(&hash).map_err(|why| format!("{EXPECTED}: {why}"))?;
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(format!("{EXPECTED}: salt or hash is missing"));
        }
        let cost = u64::from(params.m_cost()) * u64::from(params.t_cost());
        Ok(Self { hash, cost })
    }
}

impl PasswordHash {
    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }

    /// Takes as long as the hash's parameters say, right or wrong.
    pub(crate) fn verifies(&self, password: &[u8]) -> bool {
        match Argon2::default().verify_password(password, &self.hash) {
            Ok(()) => true,
            Err(password_hash::Error::PasswordInvalid) => false,
            Err(why) => {
                error!("a password could not be verified; is the plugin's memory enough?", why);
                false
            }
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("cost", &self.cost).finish_non_exhaustive()
    }
}
