//! Users who prove that they know their password without sending it: SCRAM (RFC 5802, RFC 7677) over AUTH.
//!
//! Reading order: `config`: what the operator writes; `verifier`: what is kept of a password, `method`: by which hash; `message`: what clients
//! send; `exchange`: from the first of it to the last; `decoys`: for those who are
//! no users; `failure`: what may go wrong; here: who comes in.

mod config;
mod decoys;
mod exchange;
mod failure;
mod message;
mod method;
mod verifier;

use config::Config;
use decoys::Decoys;
use exchange::Exchange;
use failure::Failure;
use message::{ClientFirst, prepared};
use method::Method;
use std::{borrow::Cow, collections::BTreeMap};
use tidegate_plugin::{
    AuthStep, Authenticate, Connect, Grant, Outcome, Plugin, Proceed, Refusal, Rule, Start, debug, info,
};
use verifier::Verifier;

/// Every user, with the rules that hold for it.
pub struct Scram {
    users: BTreeMap<String, User>,
    decoys: Decoys,
}

struct User {
    verifier: Verifier,
    rules: Vec<Rule>,
}

impl Plugin for Scram {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        config.check()?;
        let decoys = config.decoys()?;
        let user = |(name, verifier): (String, Verifier)| {
            let rules = config.acl.rules_for(&name);
            (name, User { verifier, rules })
        };
        let users: BTreeMap<String, User> = config.users.into_iter().map(user).collect();
        debug!("loaded", users = users.len(), acl = config.acl.len());
        Ok(Self { users, decoys })
    }
}

impl Authenticate for Scram {
    fn authenticate(&mut self, client: Connect) -> Outcome {
        let Some(method) = method_of(&client) else { return Outcome::Next };
        let first = client.authentication_data();
        answered(&client, false, self.begin(&client, method, first, false))
    }
}

impl Proceed for Scram {
    fn proceed(&mut self, client: Connect, step: AuthStep) -> Outcome {
        let Some(method) = method_of(&client) else { return Outcome::Next };
        let data = step.data.as_deref();
        let answer = if step.again && step.state.is_empty() {
            self.begin(&client, method, data, true)
        } else {
            self.finish(&client, method, &step.state, data)
        };
        answered(&client, step.again, answer)
    }
}

impl Scram {
    /// The client has said who it is.
    fn begin(
        &self,
        client: &Connect,
        method: Method,
        first: Option<&[u8]>,
        again: bool,
    ) -> Result<Outcome, Failure> {
        let first = ClientFirst::parse(first.ok_or(Failure::Malformed)?)?;
        if let Some(name) = name_of(client, again)?
            && prepared(&name)? != first.user
        {
            return Err(Failure::SomebodyElse);
        }
        let verifier = self.verifier(method, &first.user);
        Ok(Exchange::begin(client, &first, &verifier).challenge()?.into())
    }

    /// The client has shown that it knows the password, or not.
    fn finish(
        &self,
        client: &Connect,
        method: Method,
        state: &[u8],
        last: Option<&[u8]>,
    ) -> Result<Outcome, Failure> {
        let exchange = Exchange::resume(client, method, state)?;
        let verifier = self.verifier(method, &exchange.user);
        let last = exchange.finish(last.ok_or(Failure::Malformed)?, &verifier)?;
        let user = self.user(method, &exchange.user).ok_or(Failure::Proof)?;
        Ok(Grant::new().username(exchange.user).rules(user.rules.iter().cloned()).data(last).into())
    }

    /// That of the user, or one that looks like it: who is no user, or none of that method, goes the same way and fails at its end.
    fn verifier(&self, method: Method, name: &str) -> Cow<'_, Verifier> {
        // Made in any case, so that it takes no time that tells.
        let decoy = self.decoys.verifier(method, name);
        self.user(method, name).map_or(Cow::Owned(decoy), |user| Cow::Borrowed(&user.verifier))
    }

    fn user(&self, method: Method, name: &str) -> Option<&User> {
        self.users.get(name).filter(|user| user.verifier.method == method)
    }
}

fn method_of(client: &Connect) -> Option<Method> {
    Method::named(client.authentication_method()?)
}

/// As whom the client must prove itself: as it has said in CONNECT, or as its certificate does; again, as who it is. None: as anybody.
fn name_of(client: &Connect, again: bool) -> Result<Option<String>, Failure> {
    match (&client.username, again) {
        // It came in without a name, by another plugin then.
        (None, true) => Err(Failure::SomebodyElse),
        (name, _) => Ok(name.clone()),
    }
}

fn answered(client: &Connect, again: bool, answer: Result<Outcome, Failure>) -> Outcome {
    answer.unwrap_or_else(|failure| {
        info!("not authenticated", why = failure.why(), client = client.client_id, peer = client.peer, again);
        Outcome::Refuse(Refusal { code: failure.reason_code(again), text: Some(failure.to_string()) })
    })
}

tidegate_plugin::export!(Scram: authenticate, proceed);

#[cfg(test)]
mod tests;
