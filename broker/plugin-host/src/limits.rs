//! What a plugin may use up. All bounds hold for one plugin; none is shared with others.

use crate::{
    tally::Hook,
    units::{ByteSize, duration},
};
use serde::Deserialize;
use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

/// Calls at once that may take their time.
const CONCURRENT: usize = 4;
/// The same of a plugin that waits for others: it costs little meanwhile.
const CONCURRENT_WAITING: usize = 256;

/// `[plugin.NAME.limits]`
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Instances that answer hot hooks: acl, publish, subscribe, subscribers, deliver. Default: one per worker thread, so that none waits
    /// for another. 1: a single one that keeps its own state; calls then wait for each other.
    pub instances: Option<NonZeroUsize>,
    /// Linear memory of one instance. Default `"64MiB"`.
    pub memory: ByteSize,
    /// Table elements of one instance. Default 100,000.
    pub table_elements: usize,
    /// Longest time for one call of a hot hook, in steps of 1 ms. The caller's thread does nothing else meanwhile. Time in
    /// which an overloaded machine did not run the thread is not counted after the first half. Default `"10ms"`.
    #[serde(deserialize_with = "duration")]
    pub deadline: Duration,
    /// Calls at once of hooks that may take their time, each with an instance of its own: auth, events, timers, storage; of a plugin that
    /// was granted `http`, `tcp` or `engine`, all. Default 4, for such a plugin 256.
    pub concurrent: Option<NonZeroUsize>,
    /// Calls that may wait for one of those; what comes on top is a fault at once. Default 1024.
    pub waiting: usize,
    /// Calls of all hooks in a second; what comes on top is a fault at once, but not the plugin's. Default: any number.
    pub calls_per_second: Option<NonZeroU32>,
    /// Longest time for one `authenticate` or `proceed`, waiting included. Default `"5s"`.
    #[serde(deserialize_with = "duration")]
    pub auth_timeout: Duration,
    /// Longest time for one `on-events`, waiting included. Default `"5s"`.
    #[serde(deserialize_with = "duration")]
    pub event_timeout: Duration,
    /// Longest time for one `on-timer`, waiting included. Default `"5s"`.
    #[serde(deserialize_with = "duration")]
    pub timer_timeout: Duration,
    /// Longest time for one call of `storage`, waiting included. Default `"10s"`.
    #[serde(deserialize_with = "duration")]
    pub storage_timeout: Duration,
    /// Longest time for one call of a hot hook of a plugin that was granted `http`, `tcp` or `engine`, waiting
    /// included. Default `"5s"`.
    #[serde(deserialize_with = "duration")]
    pub wait_timeout: Duration,
    /// Longest time for `init`. Default `"10s"`.
    #[serde(deserialize_with = "duration")]
    pub init_timeout: Duration,
    /// Lines a second in the broker's log; further ones are counted and dropped. Default 100.
    pub log_lines: u32,
    /// Metrics of its own, each combination of labels counted; further ones are ignored and counted. Default 1,000.
    pub metric_series: usize,
    /// Timers at once; further ones are not set. Default 1,000.
    pub timers: usize,
    /// Body of an HTTP response. Default `"1MiB"`.
    pub http_response: ByteSize,
    /// Longest time for an HTTP request, from finding the address to the last byte of the answer. Default `"5s"`.
    #[serde(deserialize_with = "duration")]
    pub http_timeout: Duration,
    /// HTTP requests at once; further ones fail. Default 64.
    pub http_concurrent: NonZeroUsize,
    /// Connections by `tcp` at once, those of all instances together; further ones are not opened. Default 64.
    pub tcp_connections: NonZeroUsize,
    /// Longest time for opening a connection by `tcp`, and for each `read` and `write`. Default `"5s"`.
    #[serde(deserialize_with = "duration")]
    pub tcp_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            instances: None,
            memory: ByteSize::mib(64),
            table_elements: 100_000,
            deadline: Duration::from_millis(10),
            concurrent: None,
            waiting: 1024,
            calls_per_second: None,
            auth_timeout: Duration::from_secs(5),
            event_timeout: Duration::from_secs(5),
            timer_timeout: Duration::from_secs(5),
            storage_timeout: Duration::from_secs(10),
            wait_timeout: Duration::from_secs(5),
            init_timeout: Duration::from_secs(10),
            log_lines: 100,
            metric_series: 1000,
            timers: 1000,
            http_response: ByteSize::mib(1),
            http_timeout: Duration::from_secs(5),
            http_concurrent: NonZeroUsize::MIN.saturating_add(63),
            tcp_connections: NonZeroUsize::MIN.saturating_add(63),
            tcp_timeout: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Calls at once that may take their time.
    pub(crate) fn concurrent(&self, waits: bool) -> usize {
        self.concurrent.map_or(if waits { CONCURRENT_WAITING } else { CONCURRENT }, usize::from)
    }

    /// Longest time for one call of a hook that may take its time.
    pub(crate) fn timeout(&self, hook: Hook) -> Duration {
        match hook {
            Hook::Auth | Hook::EnhancedAuth => self.auth_timeout,
            Hook::Events => self.event_timeout,
            Hook::TimerHandler => self.timer_timeout,
            Hook::Storage => self.storage_timeout,
            Hook::Acl
            | Hook::Publish
            | Hook::PublishBatch
            | Hook::Subscribe
            | Hook::Subscribers
            | Hook::Deliver => self.wait_timeout,
        }
    }
}
