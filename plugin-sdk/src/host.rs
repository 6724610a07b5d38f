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

/// Whole milliseconds for the interface, where 0 means "as long as allowed".
#[cfg(any(test, target_arch = "wasm32"))]
pub(crate) fn timeout_ms(timeout: Option<Duration>) -> u32 {
    timeout.map_or(0, |timeout| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_that_rounds_to_nothing_is_no_permission_to_wait() {
        assert_eq!(timeout_ms(None), 0);
        assert_eq!(timeout_ms(Some(Duration::ZERO)), 1);
        assert_eq!(timeout_ms(Some(Duration::from_secs(2))), 2000);
        assert_eq!(timeout_ms(Some(Duration::MAX)), u32::MAX);
    }
}
