//! An application message as the broker keeps it: accepted once, then shared by every queue, store and socket.

mod heads;
mod payload;

pub use heads::Heads;
pub use payload::Payload;

use crate::{names::TopicName, packet::QoS, properties::PublishProperties};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};

/// Milliseconds since the Unix epoch. Protocol crates get it as an argument and never ask a clock.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This moment and `duration` more; stays at the end of time rather than wrap.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this moment, zero if it is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A session's number, given when it begins, never used again.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId(pub u64);

/// A unit of ownership that one node serves. One home, [`HomeId::LOCAL`], until there is a cluster.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HomeId(pub u32);

impl HomeId {
    /// The only home of a broker that runs alone.
    pub const LOCAL: Self = Self(0);
}

/// Names a message for its whole life: given once when it is accepted, kept through queue, inflight and resend.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageId {
    /// Who accepted it.
    pub home: HomeId,
    /// Rises with every message the home accepts.
    pub sequence: u64,
}

/// The plugin that published a message, if none of the clients did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// Its name. Its own hooks do not see the message.
    pub plugin: Arc<str>,
    /// How many plugins' publishes led to it: 1 if it answers no message of a plugin.
    pub hops: u8,
}

/// An accepted message. Shared as `Arc<Message>`; holds no slice of any read buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its name for life.
    pub id: MessageId,
    /// Where it was published, aliases resolved.
    pub topic: TopicName,
    /// As published, or as a plugin edited it.
    pub payload: Payload,
    /// As published.
    pub qos: QoS,
    /// As published.
    pub retain: bool,
    /// Without topic alias and subscription identifiers, which belong to one connection.
    pub properties: Option<Box<PublishProperties>>,
    /// Whose session published it; None for the broker itself.
    pub publisher: Option<SessionId>,
    /// The plugin that published it, if one did.
    pub origin: Option<Box<Origin>>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Encoded on first use, see [`Message::write_head`].
    pub heads: Heads,
}

impl Message {
    /// The moment from which it may not be delivered any more (section 3.3.2.3.3), if it has one.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let seconds = self.properties.as_ref()?.message_expiry_interval?;
        Some(self.accepted_at.after(Duration::from_secs(seconds.into())))
    }

    /// Bytes that holding the message costs, for queue bounds: body, topic and the record itself.
    pub fn cost(&self) -> usize {
        let properties = self.properties.as_ref().map_or(0, |p| {
            size_of::<PublishProperties>()
                + p.user_properties.iter().map(|(k, v)| k.len() + v.len() + 32).sum::<usize>()
                + p.correlation_data.as_ref().map_or(0, Bytes::len)
                + p.content_type.as_ref().map_or(0, |c| c.len())
        });
        size_of::<Self>() + self.topic.len() + self.payload.len() + properties
    }
}
