//! Asks an HTTP service who may come in, once a connection, and keeps its verdicts for a while.
//!
//! Reading order: `config`: what the operator writes; `question`: the request about a client; `answer`: what the response means, `answer/terms`
//! its JSON; `memory`: answers that were given before; here: which of them decides.

mod answer;
mod config;
mod memory;
mod question;

use answer::{Answer, Verdict};
use config::{Config, OnError};
use memory::{Memory, Place};
use question::Unaskable;
use std::time::{Duration, SystemTime};
use tidegate_plugin::{
    Authenticate, Connect, Outcome, Plugin, ReasonCode, Start, clock,
    http::{self, Request},
    info, metrics, warn,
};

/// The backend, and what it has said.
pub struct HttpAuth {
    config: Config,
    /// None: nothing is kept.
    memory: Option<Memory>,
}

impl Plugin for HttpAuth {
    type Config = Config;

    fn new(start: Start, config: Config) -> Result<Self, String> {
        let memory = config.keeps().then(|| Memory::open(start.generation)).transpose()?;
        Ok(Self { config, memory })
    }
}

impl Authenticate for HttpAuth {
    fn authenticate(&mut self, client: Connect) -> Outcome {
        let request = match self.config.question.about(&client) {
            Ok(request) => request.timeout(self.config.timeout),
            Err(Unaskable::Url) => return Outcome::Next,
            Err(Unaskable::Password) => return Outcome::refuse(ReasonCode::BadUserNameOrPassword),
        };
        let place = self.memory.as_ref().map(|memory| memory.place(&request));
        let known = self.recall(place.as_ref(), &client);
        match known {
            Some((answer, verdict)) if self.is_fresh(&answer, &verdict) => {
                metrics::count("http_auth_hits", 1, &[]);
                told(verdict, &client)
            }
            known => match self.ask(&request, &client) {
                Ok((answer, verdict)) => {
                    self.keep(place.as_ref(), &answer, &verdict);
                    told(verdict, &client)
                }
                Err(why) => self.without_verdict(&why, known, &client),
            },
        }
    }
}

impl HttpAuth {
    /// The backend's verdict, after as many tries as there may be.
    fn ask(&self, request: &Request, client: &Connect) -> Result<(Answer, Verdict), String> {
        let mut asked = self.ask_once(request, client);
        for _ in 0..self.config.retries {
            match asked {
                Err(Trouble { passes: true, .. }) => asked = self.ask_once(request, client),
                _ => break,
            }
        }
        asked.map_err(|trouble| trouble.why)
    }

    fn ask_once(&self, request: &Request, client: &Connect) -> Result<(Answer, Verdict), Trouble> {
        metrics::count("http_auth_calls", 1, &[]);
        let answer = Answer::new(request.clone().send()?, now());
        match answer.verdict(&self.config, client, answer.at) {
            Ok(verdict) => Ok((answer, verdict)),
            Err(why) => Err(Trouble { why, passes: answer.is_failure() }),
        }
    }

    fn recall(&self, place: Option<&Place>, client: &Connect) -> Option<(Answer, Verdict)> {
        let answer = self.memory.as_ref()?.recall(place?)?;
        let verdict = answer.verdict(&self.config, client, now()).ok()?;
        Some((answer, verdict))
    }

    fn keep(&self, place: Option<&Place>, answer: &Answer, verdict: &Verdict) {
        let (Some(memory), Some(place)) = (&self.memory, place) else { return };
        let time = match verdict {
            Verdict::Allow(grant) => {
                let keeps = self.config.keeps_allowed();
                grant.expires.map_or(keeps, |expires| keeps.min(expires))
            }
            Verdict::Deny(_) | Verdict::Ignore => self.config.cache_denied,
        };
        memory.keep(place, answer, time);
    }

    /// Whether the backend need not be asked.
    fn is_fresh(&self, answer: &Answer, verdict: &Verdict) -> bool {
        let holds = match verdict {
            Verdict::Allow(_) => self.config.cache,
            Verdict::Deny(_) | Verdict::Ignore => self.config.cache_denied,
        };
        answer.age(now()) < holds
    }

    /// The backend is down, or says what nobody understands.
    fn without_verdict(&self, why: &str, known: Option<(Answer, Verdict)>, client: &Connect) -> Outcome {
        metrics::count("http_auth_errors", 1, &[]);
        let (client_id, peer) = (&client.client_id, &client.peer);
        match (self.config.on_error, known) {
            (OnError::LastGood, Some((answer, Verdict::Allow(grant))))
                if answer.age(now()) < self.config.last_good_for =>
            {
                let seconds = answer.age(now()).as_secs();
                warn!("no verdict, an earlier one lets in", client = client_id, peer, seconds, why);
                grant.into()
            }
            _ => {
                warn!("no verdict, refused", client = client_id, peer, why);
                Outcome::refuse(ReasonCode::ServerUnavailable)
            }
        }
    }
}

/// No verdict.
struct Trouble {
    why: String,
    /// The same request may bring one.
    passes: bool,
}

impl From<http::Error> for Trouble {
    fn from(error: http::Error) -> Self {
        match error {
            http::Error::Denied => {
                let why = "the origin of `url` is not granted; add it to `grants.http`".into();
                Self { why, passes: false }
            }
            http::Error::TooLarge => Self { why: error.to_string(), passes: false },
            http::Error::Timeout | http::Error::TooMany | http::Error::Failed(_) => {
                Self { why: error.to_string(), passes: true }
            }
        }
    }
}

fn told(verdict: Verdict, client: &Connect) -> Outcome {
    match verdict {
        Verdict::Allow(grant) => grant.into(),
        Verdict::Ignore => Outcome::Next,
        Verdict::Deny(code) => {
            info!("refused", client = client.client_id, peer = client.peer, why = code.text());
            Outcome::refuse(code)
        }
    }
}

/// Since 1970.
fn now() -> Duration {
    clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

tidegate_plugin::export!(HttpAuth: authenticate);

#[cfg(test)]
mod tests;
