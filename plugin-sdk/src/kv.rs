//! A small store for each plugin, shared by its instances and kept across generations. Needs the grant `kv`.

use crate::host;
use std::time::Duration;

/// Why the store did not do it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The operator has not granted it.
    #[error("the plugin is not granted kv")]
    Denied,
    /// The granted bytes are used up.
    #[error("the granted kv bytes are used up")]
    Full,
    /// The store failed.
    #[error("kv failed: {0}")]
    Failed(String),
}

/// The value of a key.
///
/// # Errors
/// See [`Error`].
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    host::kv_get(key)
}

/// Sets a key, for a time or for good.
///
/// # Errors
/// See [`Error`].
pub fn set(key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), Error> {
    host::kv_set(key, value, ttl)
}

/// Removes a key; says whether it was there.
///
/// # Errors
/// See [`Error`].
pub fn delete(key: &str) -> Result<bool, Error> {
    host::kv_delete(key)
}

/// Adds to a counter and returns its new value. A counter that is not there begins at 0, and its time runs from then: later calls do not
/// prolong it.
///
/// # Errors
/// See [`Error`].
pub fn add(key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, Error> {
    host::kv_add(key, delta, ttl)
}

/// Sets `new` if the value is still `old`; says whether it was. The key keeps its time.
///
/// # Errors
/// See [`Error`].
pub fn swap(key: &str, old: Option<&[u8]>, new: &[u8]) -> Result<bool, Error> {
    host::kv_swap(key, old, Some(new), None)
}

/// As [`swap`], for that time from now on.
///
/// # Errors
/// See [`Error`].
pub fn swap_for(key: &str, old: Option<&[u8]>, new: &[u8], ttl: Duration) -> Result<bool, Error> {
    host::kv_swap(key, old, Some(new), Some(ttl))
}

/// Removes a key if its value is still `old`; says whether it was. Of several instances that try, one hears yes.
///
/// # Errors
/// See [`Error`].
pub fn delete_if(key: &str, old: &[u8]) -> Result<bool, Error> {
    host::kv_swap(key, Some(old), None, None)
}

/// Up to `limit` keys that begin with `prefix`, in order, from behind `after` on.
///
/// # Errors
/// See [`Error`].
pub fn keys(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
    host::kv_keys(prefix, after, limit)
}

/// For [`Plugin::new`](crate::Plugin::new) of a plugin that can do nothing without: the operator is told before the first message comes.
///
/// # Errors
/// A sentence that names the grant, with `example` for its size, such as `"16MiB"`.
pub fn require(example: &str) -> Result<(), String> {
    match get("") {
        Err(Error::Denied) => {
            Err(format!("it needs the grant `kv`; add `grants.kv = \"{example}\"` to its table"))
        }
        _ => Ok(()),
    }
}
