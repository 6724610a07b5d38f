//! users: who comes in, and what may they do, from a file of JSON.
//!
//! A plugin reads no files: `secrets.users = "file:users.json"` below `[plugin.users]` in the broker's config hands it over.
//! `tidegate plugin reload users` does so again.

use serde::Deserialize;
use std::collections::HashMap;
use tidegate_plugin::{
    Authenticate, Connect, Grant, NoConfig, Outcome, Plugin, ReasonCode, Rule, Start, config, info,
};

/// By user name.
pub struct Users(HashMap<String, User>);

/// `{"token": "…", "publish": ["devices/%c/#"], "subscribe": ["news/#"]}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    /// Its password: long and random, so that nobody guesses it.
    token: String,
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    subscribe: Vec<String>,
}

impl Plugin for Users {
    type Config = NoConfig;

    fn new(_: Start, _: NoConfig) -> Result<Self, String> {
        let users = config::secret("users")
            .ok_or("secret `users`: grant it by `secrets.users = \"file:users.json\"`")?;
        let users: HashMap<String, User> =
            serde_json::from_str(&users).map_err(|why| format!("secret `users`: {why}"))?;
        match users.iter().find(|(_, user)| user.token.is_empty()) {
            Some((name, _)) => Err(format!("secret `users`: {name}: it needs a `token`")),
            None => Ok(Self(users)),
        }
    }
}

impl Authenticate for Users {
    fn authenticate(&mut self, client: Connect) -> Outcome {
        // Whoever has no name is for others to decide about.
        let Some(username) = &client.username else {
            return Outcome::Next;
        };
        let is_right = |user: &&User| {
            let password = client.password.as_deref();
            password.is_some_and(|password| same(user.token.as_bytes(), password))
        };
        let Some(user) = self.0.get(username).filter(is_right) else {
            info!("wrong user name or token", username, peer = client.peer);
            return Outcome::refuse(ReasonCode::BadUserNameOrPassword);
        };
        Grant::new()
            .rules(user.publish.iter().map(Rule::allow_publish))
            .rules(user.subscribe.iter().map(Rule::allow_subscribe))
            .into()
    }
}

/// Takes as long whatever differs, so that nobody can find a token out letter by letter.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    a.len() == b.len() && differences == 0
}

tidegate_plugin::export!(Users: authenticate);
