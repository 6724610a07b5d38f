//! `[plugin.rate-limit.config]`

use crate::rate::Rate;
use serde::Deserialize;
use std::{num::NonZeroU32, time::Duration};
use tidegate_plugin::{
    OnError,
    config::Topics,
    units::{self, ByteSize},
};

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A message must be within all that are about it.
    pub(crate) limit: Vec<Limit>,
    /// What becomes of messages that cannot be counted.
    #[serde(default)]
    pub(crate) on_error: OnError,
}

/// How much may come.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "LimitTable")]
pub(crate) struct Limit {
    pub(crate) name: Option<String>,
    pub(crate) per: Per,
    pub(crate) topics: Topics,
    pub(crate) messages: Option<Rate>,
    pub(crate) bytes: Option<Rate>,
    pub(crate) on_excess: OnExcess,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitTable {
    name: Option<String>,
    per: Per,
    #[serde(default)]
    topics: Topics,
    messages: Option<NonZeroU32>,
    bytes: Option<ByteSize>,
    #[serde(default = "a_second", deserialize_with = "units::duration")]
    window: Duration,
    burst: Option<NonZeroU32>,
    burst_bytes: Option<ByteSize>,
    #[serde(default)]
    on_excess: OnExcess,
}

fn a_second() -> Duration {
    Duration::from_secs(1)
}

/// Whose messages are counted together.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Per {
    Client,
    /// Those without a name count as one.
    User,
    /// Each topic name by itself.
    Topic,
    /// Everybody's, on all of the limit's topics.
    All,
}

/// What becomes of a message that is too much.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnExcess {
    /// 0x97.
    #[default]
    Refuse,
    Swallow,
    /// 0x96, and the message is refused.
    Disconnect,
}

impl OnExcess {
    /// As in the config.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Swallow => "swallow",
            Self::Disconnect => "disconnect",
        }
    }
}

impl TryFrom<LimitTable> for Limit {
    type Error = String;
    fn try_from(table: LimitTable) -> Result<Self, String> {
        let LimitTable { name, per, topics, messages, bytes, window, burst, burst_bytes, on_excess } = table;
        let rate =
            |what: &str, number: Option<u64>, burst: Option<u64>, burst_key: &str| match (number, burst) {
                (None, Some(_)) => Err(format!("`{burst_key}` needs `{what}`")),
                (None, None) => Ok(None),
                (Some(number), burst) => Rate::new(number, window, burst.unwrap_or(number))
                    .map(Some)
                    .map_err(|why| format!("`{what}` in `window`, `{burst_key}` at once: {why}")),
            };
        let number = |number: NonZeroU32| u64::from(number.get());
        let messages = rate("messages", messages.map(number), burst.map(number), "burst")?;
        let bytes = rate("bytes", bytes.map(|size| size.0), burst_bytes.map(|size| size.0), "burst_bytes")?;
        if messages.is_none() && bytes.is_none() {
            return Err("it needs `messages`, `bytes` or both".into());
        }
        Ok(Self { name, per, topics, messages, bytes, on_excess })
    }
}
