//! What time it is, by the clock of the machine. Granted to all.

use crate::host;
use std::time::SystemTime;

/// Now. `SystemTime::now` panics in a component.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tidegate_plugin::{clock, testing::Host};
///
/// let host = Host::new().time(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
/// host.advance(Duration::from_secs(5));
/// assert_eq!(clock::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs(), 1_700_000_005);
/// # Ok::<(), std::time::SystemTimeError>(())
/// ```
pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(host::since_1970()).unwrap_or(SystemTime::UNIX_EPOCH)
}
