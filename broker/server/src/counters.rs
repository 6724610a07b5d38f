//! What went wrong or was dropped, by reason. Nothing here is touched by a message that simply passes.

use std::sync::atomic::{AtomicU64, Ordering};

/// Rises only.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($(#[doc = $help:literal] $name:ident => $topic:literal,)*) => {
        /// The broker's counters, published below `$SYS/broker/`.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(#[doc = $help] pub(crate) $name: Counter,)* }

        impl Counters {
            /// Each counter with its topic below `$SYS/broker/`, and what it counts.
            pub(crate) fn rows(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$(($topic, $help, self.$name.value()),)*]
            }
        }
    };
}

counters! {
    /// Connections taken in.
    connections => "connections/accepted",
    /// Connections ended before their CONNACK with success.
    connections_refused => "connections/refused",
    /// Connections ended because the client broke the protocol.
    protocol_errors => "connections/protocol_errors",
    /// Connections ended by the broker for a reason of its own: keep alive, takeover, a full queue, a grant that expired.
    told_to_leave => "connections/told_to_leave",
    /// Filters in SUBSCRIBE that were refused.
    subscriptions_refused => "subscriptions/refused",
    /// Sessions that expired.
    clients_expired => "clients/expired",
    /// Messages a rule or plugin refused.
    publishes_refused => "publish/messages/refused",
    /// Messages refused because a plugin failed.
    plugin_faults => "publish/messages/refused_by_fault",
    /// QoS 0 messages dropped because a queue was full.
    dropped_queue_full_qos0 => "publish/messages/dropped/queue_full_qos0",
    /// QoS 1 and 2 messages dropped because a queue was full.
    dropped_queue_full => "publish/messages/dropped/queue_full",
    /// Messages larger than the client's Maximum Packet Size.
    dropped_too_large => "publish/messages/dropped/too_large",
    /// Messages whose expiry passed in a queue.
    dropped_expired => "publish/messages/dropped/expired",
    /// Messages that a plugin dropped for one recipient.
    dropped_by_plugin => "publish/messages/dropped/by_plugin",
    /// Messages of plugins that were not taken because too many waited.
    plugin_messages_refused => "plugins/messages_refused",
    /// Subscriptions taken away because they are not allowed any more.
    subscriptions_revoked => "subscriptions/revoked",
    /// Events that a plugin was not told of, because they came faster than it took them.
    events_lost => "plugins/events_lost",
    /// Times a client was read more slowly because it sent faster than its quota.
    throttled => "clients/throttled",
    /// Connections that ended in a panic of ours.
    panics => "panics",
}
