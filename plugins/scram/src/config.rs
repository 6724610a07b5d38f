//! `[plugin.scram.config]`

use crate::{decoys::Decoys, message::prepared, verifier::Verifier};
use serde::Deserialize;
use std::collections::BTreeMap;
use tidegate_plugin::{AccessList, config};

/// What the operator writes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What is kept of passwords, by user name.
    pub(crate) users: BTreeMap<String, Verifier>,
    /// Asked in this order; the first that applies decides.
    pub(crate) acl: AccessList,
    /// Name of a secret from which salts for names that are no users are made.
    pub(crate) decoy_secret: Option<String>,
}

impl Config {
    /// Every name is one that a client can say, every rule for a user that is there.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub(crate) fn check(&self) -> Result<(), String> {
        for name in self.users.keys() {
            let key = format!("config key `users.{name}`");
            match prepared(name) {
                Ok(prepared) if prepared == name.as_str() => {}
                Ok(prepared) => {
                    return Err(format!("{key}: clients say {prepared:?} (SASLprep); write it so"));
                }
                Err(_) => return Err(format!("{key}: no client can say that name (SASLprep, RFC 4013)")),
            }
        }
        self.acl.check_users(|user| self.users.contains_key(user))
    }

    /// What salts for names that are no users are made from.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub(crate) fn decoys(&self) -> Result<Decoys, String> {
        let secret =
            self.decoy_secret.as_ref().map(|name| config::secret_of("decoy_secret", name)).transpose()?;
        Ok(Decoys::new(secret.as_deref(), self.users.values()))
    }
}
