//! `[plugin.http-auth.config]`

use crate::question::{Encoding, Method, Question, Text, Url};
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};
use tidegate_plugin::{AccessList, http::Headers, units};

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Table")]
pub struct Config {
    pub(crate) question: Question,
    /// Of one request.
    pub(crate) timeout: Duration,
    /// Further requests, if one brings nothing.
    pub(crate) retries: u8,
    pub(crate) not_found: NotFound,
    pub(crate) on_error: OnError,
    /// For clients whose answer has no `acl`.
    pub(crate) acl: AccessList,
    /// How long an "allow" holds for the same question; zero: it is asked each time.
    pub(crate) cache: Duration,
    /// The same of every other verdict.
    pub(crate) cache_denied: Duration,
    /// How old an "allow" may be that stands in for a backend that is down.
    pub(crate) last_good_for: Duration,
}

/// What status 404 means.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NotFound {
    Deny,
    Ignore,
    Error,
}

/// What becomes of a client about whom there is no verdict.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnError {
    Refuse,
    LastGood,
}

impl Config {
    /// For how long an "allow" is kept.
    pub(crate) fn keeps_allowed(&self) -> Duration {
        match self.on_error {
            OnError::Refuse => self.cache,
            OnError::LastGood => self.cache.max(self.last_good_for),
        }
    }

    /// Whether there is anything to keep.
    pub(crate) fn keeps(&self) -> bool {
        !self.keeps_allowed().is_zero() || !self.cache_denied.is_zero()
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    url: Option<Url>,
    method: Option<Method>,
    encoding: Encoding,
    fields: BTreeMap<String, Text>,
    headers: Headers,
    #[serde(deserialize_with = "units::duration")]
    timeout: Duration,
    retries: u8,
    not_found: NotFound,
    on_error: OnError,
    acl: AccessList,
    #[serde(deserialize_with = "units::duration_or_zero")]
    cache: Duration,
    #[serde(deserialize_with = "units::duration_or_zero")]
    cache_denied: Duration,
    #[serde(deserialize_with = "units::duration")]
    last_good_for: Duration,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            url: None,
            method: None,
            encoding: Encoding::Json,
            fields: Text::of_every_value(),
            headers: Headers::default(),
            timeout: Duration::from_secs(2),
            retries: 1,
            not_found: NotFound::Deny,
            on_error: OnError::Refuse,
            acl: AccessList::default(),
            cache: Duration::from_secs(60),
            cache_denied: Duration::from_secs(5),
            last_good_for: Duration::from_secs(3600),
        }
    }
}

impl TryFrom<Table> for Config {
    type Error = String;
    fn try_from(table: Table) -> Result<Self, String> {
        let url = table.url.ok_or("missing field `url`, such as \"https://auth.example/mqtt\"")?;
        let method = table.method.unwrap_or(match table.encoding {
            Encoding::Query => Method::Get,
            Encoding::Json | Encoding::Form => Method::Post,
        });
        if method == Method::Get && table.encoding != Encoding::Query {
            return Err("`method`: a GET has no body; write `encoding = \"query\"` beside it".into());
        }
        let (encoding, fields, headers) = (table.encoding, table.fields, table.headers);
        let question = Question { url, method, encoding, fields, headers };
        if let Some(index) = table.acl.by_user().filter(|_| !question.tells("username")) {
            return Err(format!(
                "`acl[{index}]` goes by the user name (`user`, %u), and the service is not told which one the client says; add `username = \"${{username}}\"` to `fields`"
            ));
        }
        Ok(Self {
            question,
            timeout: table.timeout,
            retries: table.retries,
            not_found: table.not_found,
            on_error: table.on_error,
            acl: table.acl,
            cache: table.cache,
            cache_denied: table.cache_denied,
            last_good_for: table.last_good_for,
        })
    }
}
