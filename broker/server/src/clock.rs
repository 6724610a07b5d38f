//! The broker's one clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidegate_mqtt::Timestamp;

/// Now. Everything below the server gets it as an argument.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// The tokio instant of a moment to come.
pub(crate) fn instant(at: Timestamp) -> tokio::time::Instant {
    // A day at most: whoever sleeps looks again anyway.
    let wait = at.since(now()).min(Duration::from_secs(86_400));
    tokio::time::Instant::now() + wait
}
