//! Numbers of the plugin's own, beside those of the broker.
//!
//! ```
//! use tidegate_plugin::metrics;
//! # let host = tidegate_plugin::testing::Host::new();
//!
//! metrics::count("orders", 1, &[("shop", "berlin")]);
//! metrics::gauge("backlog", 17.0, &[]);
//! metrics::observe("order_value", 9.90, &[]);
//! # assert_eq!(host.counted("orders", &[("shop", "berlin")]), 1);
//! # assert_eq!((host.gauge("backlog", &[]), host.observed("order_value", &[])), (Some(17.0), vec![9.90]));
//! ```

use crate::host;

/// Adds to a counter.
pub fn count(name: &str, delta: u64, labels: &[(&str, &str)]) {
    host::metrics_count(name, delta, labels);
}

/// Sets a gauge.
pub fn gauge(name: &str, value: f64, labels: &[(&str, &str)]) {
    host::metrics_gauge(name, value, labels);
}

/// Adds one value to a histogram.
pub fn observe(name: &str, value: f64, labels: &[(&str, &str)]) {
    host::metrics_observe(name, value, labels);
}
