//! Durations as they are written in a config: `"10ms"`, `"5s"`, `"2m"`, `"1h"`, as everywhere in the broker's own.
//!
//! ```
//! use std::time::Duration;
//! use tidegate_plugin::{config, units};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Config {
//!     #[serde(deserialize_with = "units::duration")]
//!     timeout: Duration,
//!     /// Zero: never.
//!     #[serde(deserialize_with = "units::duration_or_zero")]
//!     cache: Duration,
//! }
//! # impl Default for Config {
//! #     fn default() -> Self {
//! #         Self { timeout: Duration::from_secs(1), cache: Duration::from_secs(60) }
//! #     }
//! # }
//!
//! let config: Config = config::parse(r#"{"timeout": "250ms", "cache": "0s"}"#)?;
//! assert_eq!((config.timeout, config.cache), (Duration::from_millis(250), Duration::ZERO));
//! # Ok::<(), String>(())
//! ```

use serde::{Deserialize, Deserializer, de};
use std::time::Duration;

/// The text is not a duration; says what one looks like.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a duration; write for example \"10ms\", \"5s\", \"2m\" or \"1h\"")]
pub struct DurationError(String);

/// Reads a whole number and its unit: `ms`, `s`, `m` or `h`.
///
/// # Errors
/// [`DurationError`] for anything else, a number without a unit included.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let error = || DurationError(text.into());
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| error())?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs).ok_or_else(error);
    match unit.trim() {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        _ => Err(error()),
    }
}

/// For `#[serde(deserialize_with)]`: a duration that is not zero.
///
/// # Errors
/// If the text is no duration, or nothing.
pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    match duration_or_zero(deserializer)? {
        Duration::ZERO => Err(de::Error::custom("it must be more than nothing")),
        duration => Ok(duration),
    }
}

/// For `#[serde(deserialize_with)]`: a duration, or `"0s"` where that means something.
///
/// # Errors
/// If the text is no duration.
pub fn duration_or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn durations_are_whole_numbers_with_a_unit() {
        for (text, milliseconds) in
            [("10ms", 10), ("5s", 5000), (" 2 m ", 120_000), ("1h", 3_600_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1.5s", "1d", "18446744073709551615h", "5 sec"] {
            assert_eq!(parse_duration(text), Err(DurationError(text.into())), "{text}");
        }
    }

    #[derive(Debug, Deserialize)]
    struct Config {
        #[serde(deserialize_with = "duration")]
        #[expect(dead_code, reason = "read, and looked at only when it is refused")]
        wait: Duration,
    }

    #[test]
    fn errors_name_the_key_and_say_what_to_write() {
        let error = |document| config::parse::<Config>(document).unwrap_err();
        assert_eq!(
            error(r#"{"wait": "10"}"#),
            r#"config key `wait`: "10" is not a duration; write for example "10ms", "5s", "2m" or "1h""#
        );
        assert_eq!(error(r#"{"wait": "0s"}"#), "config key `wait`: it must be more than nothing");
        assert!(error(r#"{"wait": 10}"#).starts_with("config key `wait`: invalid type: integer `10`"));
    }
}
