//! Lines in the broker's log, marked with the plugin's name and generation: `info!("refused", username, tries = 3, why = ?error)`.
//!
//! A field is a name of a variable, `key = value` shown by `Display`, or `key = ?value` shown by `Debug`. The text may capture
//! variables as `format!` does. Nothing is evaluated for a level that is off. Never log payloads or passwords.

use crate::host;
use std::fmt;

/// How much a line matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Every step.
    Trace,
    /// For who hunts a fault.
    Debug,
    /// What an operator may want to know.
    Info,
    /// What an operator should look at.
    Warn,
    /// Something is broken.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        })
    }
}

/// Whether the broker logs lines of that level.
pub fn enabled(level: Level) -> bool {
    host::log_enabled(level)
}

/// Logs one line. The macros look whether the level is on first.
pub fn log(level: Level, text: &str, fields: &[(String, String)]) {
    host::log(level, text, fields);
}

/// Logs a line of the given [`Level`](crate::Level); see [`logging`](crate::logging).
#[macro_export]
macro_rules! log {
    ($level:expr, $text:literal $(, $($fields:tt)*)?) => {{
        let level = $level;
        if $crate::logging::enabled(level) {
            #[allow(unused_mut, reason = "there may be no field")]
            let mut fields = ::std::vec::Vec::<(::std::string::String, ::std::string::String)>::new();
            $crate::__log_fields!(fields; $($($fields)*)?);
            $crate::logging::log(level, &::std::format!($text), &fields);
        }
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log_fields {
    ($fields:ident;) => {};
    ($fields:ident; $key:ident = ?$value:expr $(, $($rest:tt)*)?) => {
        $fields.push((::std::stringify!($key).into(), ::std::format!("{:?}", $value)));
        $crate::__log_fields!($fields; $($($rest)*)?);
    };
    ($fields:ident; $key:ident = $value:expr $(, $($rest:tt)*)?) => {
        $fields.push((::std::stringify!($key).into(), ::std::format!("{}", $value)));
        $crate::__log_fields!($fields; $($($rest)*)?);
    };
    ($fields:ident; $key:ident $(, $($rest:tt)*)?) => {
        $fields.push((::std::stringify!($key).into(), ::std::format!("{}", $key)));
        $crate::__log_fields!($fields; $($($rest)*)?);
    };
}

/// Logs for those who follow every step; see [`logging`](crate::logging).
#[macro_export]
macro_rules! trace {
    ($($line:tt)*) => { $crate::log!($crate::Level::Trace, $($line)*) };
}

/// Logs for those who hunt a fault; see [`logging`](crate::logging).
#[macro_export]
macro_rules! debug {
    ($($line:tt)*) => { $crate::log!($crate::Level::Debug, $($line)*) };
}

/// Logs what an operator may want to know; see [`logging`](crate::logging).
#[macro_export]
macro_rules! info {
    ($($line:tt)*) => { $crate::log!($crate::Level::Info, $($line)*) };
}

/// Logs what an operator should look at; see [`logging`](crate::logging).
#[macro_export]
macro_rules! warn {
    ($($line:tt)*) => { $crate::log!($crate::Level::Warn, $($line)*) };
}

/// Logs that something is broken; see [`logging`](crate::logging).
#[macro_export]
macro_rules! error {
    ($($line:tt)*) => { $crate::log!($crate::Level::Error, $($line)*) };
}

#[cfg(test)]
mod tests {
    use crate::{Level, testing::Host};

    #[test]
    fn lines_have_fields_in_order() {
        let host = Host::new();
        let (client, tries) = ("c1", 3);
        crate::info!("client {client} refused", tries, by = "rule", why = ?Some(1), half = 1.0 / 2.0,);
        crate::warn!("plain");
        let lines: Vec<String> = host.logged().iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["INFO client c1 refused tries=3 by=rule why=Some(1) half=0.5", "WARN plain"]);
    }

    #[test]
    fn a_level_that_is_off_costs_no_formatting() {
        struct Never;
        impl std::fmt::Display for Never {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("formatted")
            }
        }
        let host = Host::new().log_level(Level::Info);
        crate::debug!("text", value = Never);
        assert!(host.logged().is_empty());
    }
}
