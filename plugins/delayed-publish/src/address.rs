//! `$delayed/SECONDS/TOPIC`

use crate::config::Config;
use std::{fmt, time::Duration};

/// Where a message goes, and how much later.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Address<'a> {
    pub(crate) delay: Duration,
    pub(crate) topic: &'a str,
}

/// Why a message goes nowhere.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Misaddressed {
    Malformed,
    TooFar,
    NotThere,
}

impl fmt::Display for Misaddressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is not $delayed/SECONDS/TOPIC",
            Self::TooFar => "it is delayed for longer than `max_delay`",
            Self::NotThere => "`topics` do not hold where it is to go",
        })
    }
}

impl<'a> Address<'a> {
    /// Takes a topic below `$delayed` apart.
    pub(crate) fn new(address: &'a str, config: &Config) -> Result<Self, Misaddressed> {
        let rest = address.strip_prefix("$delayed/").ok_or(Misaddressed::Malformed)?;
        let (seconds, topic) = rest.split_once('/').ok_or(Misaddressed::Malformed)?;
        // `parse` would take a sign.
        if topic.is_empty() || seconds.is_empty() || !seconds.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Misaddressed::Malformed);
        }
        let delay = seconds.parse().map(Duration::from_secs).map_err(|_| Misaddressed::TooFar)?;
        if delay > config.max_delay {
            return Err(Misaddressed::TooFar);
        }
        if is_taken(topic) || !config.topics.iter().any(|filter| filter.matches(topic)) {
            return Err(Misaddressed::NotThere);
        }
        Ok(Self { delay, topic })
    }
}

/// Below these nothing arrives, whatever the config says: the broker's own, and what only this plugin would have understood.
fn is_taken(topic: &str) -> bool {
    matches!(topic.split('/').next(), Some("$SYS" | "$delayed"))
}
