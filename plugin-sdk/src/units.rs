//! Durations and sizes as they are written in a config, as everywhere in the broker's own: `"10ms"`, `"5s"`, `"2m"`, `"1h"`; `65536`,
//! `"64KiB"`, `"1MB"`.
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
use std::{fmt, time::Duration};

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
    let (number, unit) = apart(text).ok_or_else(error)?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs).ok_or_else(error);
    match unit {
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

/// A number of bytes: an integer, or text with a unit.
///
/// ```
/// use tidegate_plugin::{config, units::ByteSize};
///
/// assert_eq!(config::parse::<ByteSize>("\"64KiB\"")?, ByteSize(65_536));
/// assert_eq!(config::parse::<ByteSize>("1000")?, ByteSize(1000));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ByteSize(pub u64);

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Sizes)
    }
}

struct Sizes;

impl de::Visitor<'_> for Sizes {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size in bytes, or text such as \"64KiB\"")
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
        let example = "65536, \"64KiB\" or \"64MiB\"";
        let error = || E::custom(format_args!("{text:?} is not a size; write for example {example}"));
        parse_size(text).map(ByteSize).ok_or_else(error)
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = apart(text)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// `12MiB` is (12, `MiB`).
fn apart(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    Some((number.parse().ok()?, unit.trim()))
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
    #[test]
    fn sizes_are_whole_numbers_with_or_without_a_unit() {
        let size = |written: &str| config::parse::<ByteSize>(written).map(|size| size.0);
        for (written, bytes) in [
            ("65536", 65_536),
            (r#""7""#, 7),
            (r#""64KiB""#, 65_536),
            (r#"" 2 GB ""#, 2_000_000_000),
            (r#""0B""#, 0),
        ] {
            assert_eq!(size(written), Ok(bytes), "{written}");
        }
        for text in ["", "MiB", "1.5MiB", "1 foot", "99999999999GiB"] {
            let example = "write for example 65536, \"64KiB\" or \"64MiB\"";
            let complaint = format!("config: {text:?} is not a size; {example}");
            assert_eq!(size(&format!("{text:?}")), Err(complaint));
        }
        assert!(size("-1").unwrap_err().contains("expected a size in bytes"));
    }
}
