//! What the broker lends to a plugin. Natively a fake takes its place, so that plugins are tested without a broker.

use std::time::Duration;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod fake;
#[cfg(target_arch = "wasm32")]
mod imports;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use fake::*;
#[cfg(target_arch = "wasm32")]
pub(crate) use imports::*;

/// Whole milliseconds, at most what the interface can say.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
