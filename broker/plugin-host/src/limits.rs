//! What a plugin may use up. All bounds hold for one plugin; none is shared with others.

use crate::units::{ByteSize, duration};
use serde::Deserialize;
use std::{num::NonZeroUsize, time::Duration};

/// `[plugin.NAME.limits]`
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Instances that answer acl and publish. Default: one per worker thread, so that none waits for another. 1: a single one that
    /// keeps its own state; calls then wait for each other.
    pub instances: Option<NonZeroUsize>,
    /// Linear memory of one instance. Default `"64MiB"`.
    pub memory: ByteSize,
    /// Table elements of one instance. Default 100,000.
    pub table_elements: usize,
    /// Longest time for one acl or publish call, in steps of 1 ms. The caller's thread does nothing else meanwhile. Time in
    /// which an overloaded machine did not run the thread is not counted after the first half. Default `"10ms"`.
    #[serde(deserialize_with = "duration")]
    pub deadline: Duration,
    /// `authenticate` calls at once, each with an instance of its own. Default 4.
    pub concurrent: NonZeroUsize,
    /// `authenticate` calls that may wait for one of those; what comes on top is refused at once. Default 1024.
    pub waiting: usize,
    /// Longest time for one `authenticate`, waiting included. Default `"5s"`.
    #[serde(deserialize_with = "duration")]
    pub auth_timeout: Duration,
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            instances: None,
            memory: ByteSize::mib(64),
            table_elements: 100_000,
            deadline: Duration::from_millis(10),
            concurrent: NonZeroUsize::MIN.saturating_add(3),
            waiting: 1024,
            auth_timeout: Duration::from_secs(5),
            init_timeout: Duration::from_secs(10),
            log_lines: 100,
            metric_series: 1000,
            timers: 1000,
            http_response: ByteSize::mib(1),
            http_timeout: Duration::from_secs(5),
            http_concurrent: NonZeroUsize::MIN.saturating_add(63),
        }
    }
}
