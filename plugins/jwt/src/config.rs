//! `[plugin.jwt.config]`

use crate::{
    algorithm::{Algorithm, Family},
    claims::Expected,
    jwks,
    key::Key,
    keys::Keys,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use std::time::Duration;
use tidegate_plugin::{AccessList, Connect, config};

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where clients bring their token.
    pub(crate) from: Source,
    /// Whether a client without a token is refused; else the next plugin is asked.
    pub(crate) required: bool,
    /// Those that tokens may be signed by.
    pub(crate) algorithms: Vec<Algorithm>,
    /// Name of the secret with which tokens are signed.
    pub(crate) secret: Option<String>,
    /// Whether that secret is written in base64.
    pub(crate) secret_base64: bool,
    /// PEM of a public key, or the name of a secret that is one.
    pub(crate) public_key: Option<String>,
    /// Name of a secret that is a JWKS.
    pub(crate) jwks: Option<String>,
    /// By how much clocks may differ.
    pub(crate) leeway_seconds: u32,
    /// Who may have issued a token; empty: anybody.
    pub(crate) iss: Vec<String>,
    /// For whom a token may be; empty: one that names nobody.
    pub(crate) aud: Vec<String>,
    /// Claims that a token must have.
    pub(crate) required_claims: Vec<String>,
    /// The claim that names the user; empty: none.
    pub(crate) username_claim: String,
    /// Whether a user name in CONNECT must be that of the token.
    pub(crate) match_username: bool,
    /// The claim that must be the client id.
    pub(crate) client_id_claim: Option<String>,
    /// Claims that become attributes.
    pub(crate) attributes: Vec<String>,
    /// The claim with rules.
    pub(crate) acl_claim: String,
    /// For those whose token has none.
    pub(crate) acl: AccessList,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            from: Source::Password,
            required: false,
            algorithms: Vec::new(),
            secret: None,
            secret_base64: false,
            public_key: None,
            jwks: None,
            leeway_seconds: 5,
            iss: Vec::new(),
            aud: Vec::new(),
            required_claims: vec!["exp".into()],
            username_claim: "sub".into(),
            match_username: true,
            client_id_claim: None,
            attributes: Vec::new(),
            acl_claim: "acl".into(),
            acl: AccessList::default(),
        }
    }
}

/// A field of CONNECT.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Password,
    Username,
}

impl Source {
    pub(crate) fn of(self, client: &Connect) -> Option<&[u8]> {
        match self {
            Self::Password => client.password.as_deref(),
            Self::Username => client.username.as_deref().map(str::as_bytes),
        }
    }
}

impl Config {
    /// The keys there are, each algorithm with one.
    ///
    /// # Errors
    /// A sentence that names the key of the config.
    pub(crate) fn keys(&self) -> Result<Keys, String> {
        let mut keys = Vec::new();
        if let Some(name) = &self.secret {
            keys.push(self.hmac_key(name)?);
        }
        if let Some(text) = &self.public_key {
            let pem = if text.contains("-----BEGIN") {
                text.clone()
            } else {
                config::secret_of("public_key", text)?
            };
            keys.push(Key::pem(&pem).map_err(|why| format!("config key `public_key`: {why}"))?);
        }
        if let Some(name) = &self.jwks {
            let set = jwks::keys(&config::secret_of("jwks", name)?);
            keys.extend(set.map_err(|why| format!("config key `jwks`: the secret {name:?}: {why}"))?);
        }
        let keys = Keys::new(keys);
        if self.algorithms.is_empty() {
            return Err(
                r#"config key `algorithms`: name those that tokens may be signed by, such as ["ES256"]"#
                    .into(),
            );
        }
        match self.algorithms.iter().position(|&algorithm| !keys.serve(algorithm)) {
            None => Ok(keys),
            Some(index) => Err(format!(
                "config key `algorithms[{index}]`: there is no key for {}; give one by `secret` (HS), `public_key` or `jwks`",
                self.algorithms[index]
            )),
        }
    }

    fn hmac_key(&self, name: &str) -> Result<Key, String> {
        let secret = config::secret_of("secret", name)?;
        let secret = match self.secret_base64 {
            false => secret.into_bytes(),
            true => STANDARD
                .decode(secret.trim())
                .map_err(|_| format!("config key `secret_base64`: the secret {name:?} is not base64"))?,
        };
        let bytes = secret.len();
        let of_hmac = self.algorithms.iter().filter(|algorithm| algorithm.family() == Family::Hmac);
        match of_hmac.max_by_key(|algorithm| algorithm.hash_bytes()) {
            Some(algorithm) if algorithm.hash_bytes() > bytes => Err(format!(
                "config key `secret`: the secret {name:?} has {bytes} bytes, and {algorithm} needs {} (RFC 7518, section 3.2); make one with openssl rand -hex {0}",
                algorithm.hash_bytes()
            )),
            _ => Ok(Key::secret(secret)),
        }
    }

    /// What every token is measured by.
    pub(crate) fn expected(&self) -> Expected {
        Expected {
            leeway: Duration::from_secs(self.leeway_seconds.into()),
            issuers: self.iss.clone(),
            audiences: self.aud.clone(),
            required: self.required_claims.clone(),
        }
    }

    /// The claim that names the user, if any does.
    ///
    /// # Errors
    /// If a token would stay the user name, or rules go by a name that nobody vouches for.
    pub(crate) fn username_claim(&self) -> Result<Option<String>, String> {
        match (self.username_claim.as_str(), self.from) {
            ("", Source::Username) => Err(
                "config key `username_claim`: with `from = \"username\"` a claim must name the user, or the token would be its name"
                    .into(),
            ),
            ("", Source::Password) => match self.acl.by_user() {
                None => Ok(None),
                Some(index) => Err(format!(
                    "config key `acl[{index}]`: with `username_claim = \"\"` a user name is what the client says, so no rule can go by it (`user`, %u); name a claim, or have the rule go by %c with `client_id_claim`, or by an attribute"
                )),
            },
            (claim, _) => Ok(Some(claim.into())),
        }
    }
}
