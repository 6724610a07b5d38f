//! Users with argon2id password hashes, and what they may do, from the broker's config.
//!
//! Reading order: `config`: what the operator writes; `password`: hashes; here: what follows from both.

mod config;
mod password;

use config::Config;
use password::PasswordHash;
use std::collections::BTreeMap;
use tidegate_plugin::{Authenticate, Connect, Grant, Outcome, Plugin, ReasonCode, Rule, Start, debug, info};

/// Every user, with the rules that hold for it.
pub struct Passwd {
    users: BTreeMap<String, User>,
    /// Verified for users that do not exist, so that both take the same time.
    decoy: Option<PasswordHash>,
}

struct User {
    password: PasswordHash,
    rules: Vec<Rule>,
}

impl Plugin for Passwd {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        config.acl.check_users(|user| config.users.contains_key(user))?;
        let decoy = config.users.values().max_by_key(|password| password.cost()).cloned();
        let user = |(name, password): (&String, &PasswordHash)| {
            (name.clone(), User { password: password.clone(), rules: config.acl.rules_for(name) })
        };
        let users: BTreeMap<String, User> = config.users.iter().map(user).collect();
        debug!("loaded", users = users.len(), acl = config.acl.len());
        Ok(Self { users, decoy })
    }
}

impl Authenticate for Passwd {
    fn authenticate(&mut self, client: Connect) -> Outcome {
        let Some(username) = &client.username else { return Outcome::Next };
        let password = client.password.unwrap_or_default();
        let user = self.users.get(username);
        // A certificate is worth more than a password; who may come in is said by the list all the same.
        let verified = client.tls_username
            || user
                .map(|user| &user.password)
                .or(self.decoy.as_ref())
                .is_some_and(|hash| hash.verifies(&password));
        match user {
            Some(user) if verified => Grant::new().rules(user.rules.iter().cloned()).into(),
            _ => {
                info!("wrong user name or password", client = client.client_id, peer = client.peer);
                Outcome::refuse(ReasonCode::BadUserNameOrPassword)
            }
        }
    }
}

tidegate_plugin::export!(Passwd: authenticate);

#[cfg(test)]
mod tests;
