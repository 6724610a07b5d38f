//! Calls later. A token names one timer of the plugin, whichever of its instances set it: setting it again replaces it, but one that goes
//! off with the same period already is left as it is, so that each instance may set it in [`Plugin::new`](crate::Plugin::new). Timers come
//! no sooner and no more often than after 10 ms.

use crate::host;
use std::time::Duration;

/// The hook for timers that have come due. Without it there are no timers.
///
/// ```
/// use std::time::Duration;
/// use tidegate_plugin::{NoConfig, OnTimer, Plugin, Start, broker::{self, Outgoing}, timers};
///
/// const TICK: u64 = 1;
///
/// /// Says every minute that it is there.
/// struct Heartbeat;
///
/// impl Plugin for Heartbeat {
///     type Config = NoConfig;
///     fn new(_: Start, _: NoConfig) -> Result<Self, String> {
///         timers::every(TICK, Duration::from_secs(60)).map_err(|error| error.to_string())?;
///         Ok(Self)
///     }
/// }
///
/// impl OnTimer for Heartbeat {
///     fn on_timer(&mut self, _token: u64) {
///         // Without the grant it beats in silence.
///         let _ = broker::publish(Outgoing::new("heartbeat", "here"));
///     }
/// }
///
/// tidegate_plugin::export!(Heartbeat: on_timer);
///
/// use tidegate_plugin::testing::Host;
///
/// let host = Host::new();
/// let mut plugin: Heartbeat = host.start()?;
/// host.run_timers(&mut plugin, Duration::from_secs(150));
/// assert_eq!(host.published().len(), 2);
/// # Ok::<(), String>(())
/// ```
pub trait OnTimer {
    /// The timer of that token has come due.
    fn on_timer(&mut self, token: u64);
}

/// A timer that the broker did not take.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("too many timers, or the plugin does not export `on_timer`")]
pub struct Refused;

/// Calls [`OnTimer::on_timer`] once, after this long.
///
/// # Errors
/// [`Refused`] if there are too many timers, or the plugin does not export `on_timer`.
pub fn after(token: u64, delay: Duration) -> Result<(), Refused> {
    set(token, delay, None)
}

/// Calls [`OnTimer::on_timer`] again and again, the first time after one period. What comes due while a call runs is not made up for.
///
/// # Errors
/// [`Refused`] if there are too many timers, or the plugin does not export `on_timer`.
pub fn every(token: u64, period: Duration) -> Result<(), Refused> {
    set(token, period, Some(period))
}

/// Calls [`OnTimer::on_timer`] after `delay`, and then every `period` if there is one.
///
/// # Errors
/// [`Refused`] if there are too many timers, or the plugin does not export `on_timer`.
pub fn set(token: u64, delay: Duration, period: Option<Duration>) -> Result<(), Refused> {
    if host::timers_set(delay, period, token) { Ok(()) } else { Err(Refused) }
}

/// Ends a timer, if it is there.
pub fn cancel(token: u64) {
    host::timers_cancel(token);
}
