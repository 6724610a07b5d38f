//! What a backend has said, and what it means.

mod terms;

use crate::config::{Config, NotFound};
use std::time::Duration;
use tidegate_plugin::{Connect, Grant, ReasonCode, http::Response};

/// A response, whenever it came. What it means is found anew each time, so that its end comes when it was said to come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    /// Since 1970.
    pub(crate) at: Duration,
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// What becomes of a client.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Allow(Grant),
    Deny(ReasonCode),
    Ignore,
}

impl Answer {
    pub(crate) fn new(response: Response, at: Duration) -> Self {
        Self { at, status: response.status, body: response.body }
    }

    /// Whether the same request may bring something else at once.
    pub(crate) fn is_failure(&self) -> bool {
        self.status >= 500
    }

    /// How old it is.
    pub(crate) fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.at)
    }

    /// # Errors
    /// Why it is no verdict.
    pub(crate) fn verdict(
        &self,
        config: &Config,
        client: &Connect,
        now: Duration,
    ) -> Result<Verdict, String> {
        match (self.status, config.not_found) {
            (204, _) => terms::plain(config, client),
            (200, _) if self.body.trim_ascii().is_empty() => terms::plain(config, client),
            (200, _) => terms::read(self, config, client, now),
            (401, _) | (404, NotFound::Deny) => Ok(Verdict::Deny(ReasonCode::BadUserNameOrPassword)),
            (403, _) => Ok(Verdict::Deny(ReasonCode::NotAuthorized)),
            (404, NotFound::Ignore) => Ok(Verdict::Ignore),
            (status, _) => Err(format!("status {status}")),
        }
    }
}
