//! Lets clients in by JSON Web Tokens (RFC 7519), under the terms that a token's claims name.
//!
//! Reading order:
//! - `config`: what the operator writes
//! - `token`: the text, and what of it may be believed; `algorithm`, `key`, `jwks`, `keys`: who vouches for it
//! - `claims`: for whom and until when it is good; `acl`: what its bearer may do
//! - `refused`: all that may be wrong with it
//! - here: what follows from all this

mod acl;
mod algorithm;
mod claims;
mod config;
mod jwks;
mod key;
mod keys;
mod refused;
mod token;

use claims::{Claims, Expected};
use config::{Config, Source};
use keys::Keys;
use refused::Refused;
use std::time::{Duration, SystemTime};
use tidegate_plugin::{Authenticate, Connect, Grant, Outcome, Plugin, Start, clock, info};
use token::Token;

/// Keys, and what tokens are measured by.
pub struct Jwt {
    keys: Keys,
    expected: Expected,
    username_claim: Option<String>,
    config: Config,
}

impl Plugin for Jwt {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        Ok(Self {
            keys: config.keys()?,
            expected: config.expected(),
            username_claim: config.username_claim()?,
            config,
        })
    }
}

impl Authenticate for Jwt {
    fn authenticate(&mut self, client: Connect) -> Outcome {
        let admitted = match self.config.from.of(&client).and_then(Token::recognize) {
            Some(token) => self.admit(&client, &token),
            None if self.config.required => Err(Refused::Missing),
            None => return Outcome::Next,
        };
        match admitted {
            Ok(grant) => grant.into(),
            Err(why) => {
                info!("token refused", why, client = client.client_id, peer = client.peer);
                Outcome::refuse(why.reason_code())
            }
        }
    }
}

impl Jwt {
    /// The terms for a client with that token.
    fn admit(&self, client: &Connect, token: &Token<'_>) -> Result<Grant, Refused> {
        let claims = token.verified(&self.config.algorithms, &self.keys)?;
        let now = clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let left = claims.check(&self.expected, now)?;
        let username = self.username(client, &claims)?;
        if let Some(claim) = &self.config.client_id_claim
            && claims.name(claim)? != client.client_id
        {
            return Err(Refused::ClientId(claim.clone()));
        }
        let acl_claim = &self.config.acl_claim;
        let rules = match claims.claim(acl_claim) {
            Some(rules) => {
                acl::rules(rules).map_err(|why| Refused::Rules { claim: acl_claim.clone(), why })?
            }
            None => self.config.acl.rules_for(username.unwrap_or_default()),
        };
        let attributes = self.config.attributes.iter();
        let attributes =
            attributes.filter_map(|name| Some((name.clone(), claims.attribute(name)?))).collect();
        Ok(Grant { username: username.map(Into::into), rules, expires: left, attributes, ..Grant::new() })
    }

    /// Who the client is: as the token says, or, if nothing in it is asked for that, as the client does.
    fn username<'a>(&self, client: &'a Connect, claims: &'a Claims) -> Result<Option<&'a str>, Refused> {
        let Some(claim) = &self.username_claim else { return Ok(client.username.as_deref()) };
        let username = claims.name(claim)?;
        // What a certificate says is proved as well.
        let must_match = match self.config.from {
            _ if client.tls_username => true,
            Source::Password => self.config.match_username,
            Source::Username => false,
        };
        match &client.username {
            Some(sent) if must_match && sent != username => Err(Refused::Username(claim.clone())),
            _ => Ok(Some(username)),
        }
    }
}

tidegate_plugin::export!(Jwt: authenticate);

#[cfg(test)]
mod tests;
