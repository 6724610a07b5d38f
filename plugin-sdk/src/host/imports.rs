//! The real thing: imports of the component.

use super::milliseconds;
use crate::{
    Level,
    bindings::lifecycle::tidegate::plugin::{config, current, kv, logging},
    kv::Error,
};
use std::time::Duration;

pub(crate) fn log_enabled(level: Level) -> bool {
    logging::enabled(level.into())
}

pub(crate) fn log(level: Level, text: &str, fields: &[(String, String)]) {
    logging::log(level.into(), text, fields);
}

pub(crate) fn config_get(key: &str) -> Option<String> {
    config::get(key)
}

pub(crate) fn config_document() -> String {
    config::document()
}

pub(crate) fn current_read(offset: u32, len: u32) -> Vec<u8> {
    current::read(offset, len)
}

pub(crate) fn kv_get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    Ok(kv::get(key)?)
}

pub(crate) fn kv_set(key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), Error> {
    Ok(kv::set(key, value, ttl.map(milliseconds))?)
}

pub(crate) fn kv_delete(key: &str) -> Result<(), Error> {
    Ok(kv::delete(key)?)
}

pub(crate) fn kv_add(key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, Error> {
    Ok(kv::add(key, delta, ttl.map(milliseconds))?)
}

pub(crate) fn kv_swap(key: &str, old: Option<&[u8]>, new: &[u8]) -> Result<bool, Error> {
    Ok(kv::swap(key, old, new)?)
}

pub(crate) fn kv_keys(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
    Ok(kv::keys(prefix, after, limit)?)
}

impl From<Level> for logging::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

impl From<kv::Error> for Error {
    fn from(error: kv::Error) -> Self {
        match error {
            kv::Error::Denied => Self::Denied,
            kv::Error::Full => Self::Full,
            kv::Error::Other(why) => Self::Failed(why),
        }
    }
}
