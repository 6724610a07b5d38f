//! What has happened, for those who want to know. Telling it slows nobody and changes nothing.

use tidegate_mqtt::{ClientId, Origin, ReasonCode, SessionId, Timestamp, TopicName};

/// Something that has happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// Whose doing, or whose session; `SessionId(0)` if no client's.
    pub session: SessionId,
    /// Its client identifier; empty if no client's.
    pub client_id: ClientId,
    /// When.
    pub at: Timestamp,
    /// Why; [`ReasonCode::Success`] where there is nothing to say.
    pub reason: ReasonCode,
    /// Topic or filter, where it is about one.
    pub topic: Option<Box<str>>,
    /// Whatever else there is to say, by name.
    pub detail: Vec<(&'static str, Box<str>)>,
    /// The plugin whose message it is about, if it is one's: that plugin is not told, and what others publish in answer counts its hops.
    pub origin: Option<Box<Origin>>,
}

impl Event {
    /// An event of the broker's own, now or at `at`; the rest is to be filled in.
    pub fn new(kind: EventKind, at: Timestamp) -> Self {
        Self {
            kind,
            session: SessionId(0),
            client_id: ClientId::new(""),
            at,
            reason: ReasonCode::Success,
            topic: None,
            detail: Vec::new(),
            origin: None,
        }
    }

    /// About this client.
    #[must_use]
    pub fn of(mut self, session: SessionId, client_id: &ClientId) -> Self {
        self.session = session;
        self.client_id = client_id.clone();
        self
    }

    /// For this reason.
    #[must_use]
    pub fn because(mut self, reason: ReasonCode) -> Self {
        self.reason = reason;
        self
    }

    /// About this topic.
    #[must_use]
    pub fn about(mut self, topic: &TopicName) -> Self {
        self.topic = Some((**topic).into());
        self
    }

    /// About this topic or filter.
    #[must_use]
    pub fn about_text(mut self, topic: impl Into<Box<str>>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// A message that came from there.
    #[must_use]
    pub fn from(mut self, origin: Option<&Origin>) -> Self {
        self.origin = origin.cloned().map(Box::new);
        self
    }

    /// And this.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Box<str>>) -> Self {
        self.detail.push((name, value.into()));
        self
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// What can happen.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum EventKind { $($(#[$doc])* $kind,)* }

        impl EventKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The word for plugins and logs.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }
        }
    };
}

kinds! {
    /// The broker has started; its listeners are open.
    Started = "started",
    /// The broker stops; nobody is let in any more.
    Stopping = "stopping",
    /// The broker has looked at its own numbers; they are the detail.
    SysTick = "sys-tick",
    /// A client was let in; its session is not taken up yet.
    Authenticated = "authenticated",
    /// A client was refused at CONNECT.
    Refused = "refused",
    /// A client has its session, CONNACK is on its way.
    Connected = "connected",
    /// A connection is over.
    Disconnected = "disconnected",
    /// A session's time is over.
    SessionExpired = "session-expired",
    /// A subscription was taken.
    Subscribed = "subscribed",
    /// A subscription ended: by UNSUBSCRIBE, or because it is not allowed any more (`NotAuthorized`).
    Unsubscribed = "unsubscribed",
    /// A message was accepted. Per message: only for those who ask for it.
    Published = "published",
    /// A message was refused.
    PublishRefused = "publish-refused",
    /// A message was accepted, but does not reach one recipient; the detail `why` says why.
    Dropped = "dropped",
    /// A message goes out to a recipient. Per message: only for those who ask for it.
    Delivered = "delivered",
    /// A recipient has acknowledged a QoS 1 or 2 message. Per message: only for those who ask for it.
    Acknowledged = "acknowledged",
    /// A message became the retained one of its topic, or removed it (detail `removed`).
    Retained = "retained",
    /// A retained message goes out to a new subscription. Per message: only for those who ask for it.
    RetainedDelivered = "retained-delivered",
    /// A retained message's time is over.
    RetainedExpired = "retained-expired",
    /// A recipient has as many QoS 1 and 2 messages under way as it may; the next ones wait.
    WindowFull = "window-full",
    /// A will was published.
    WillSent = "will-sent",
    /// A plugin has another generation, or was refused; the detail says which.
    PluginChanged = "plugin-changed",
}

impl EventKind {
    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether it happens with every message: only those who ask for it by name are told.
    pub fn is_per_message(self) -> bool {
        matches!(self, Self::Published | Self::Delivered | Self::Acknowledged | Self::RetainedDelivered)
    }
}

/// Some kinds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EventKinds(u32);

impl EventKinds {
    /// None at all.
    pub const NONE: Self = Self(0);

    /// All but those that happen with every message.
    pub fn usual() -> Self {
        EventKind::ALL.iter().copied().filter(|kind| !kind.is_per_message()).collect()
    }

    /// As a number that can be kept in an atomic.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether that number has this kind.
    pub fn bits_have(bits: u32, kind: EventKind) -> bool {
        bits & (1 << kind as u8) != 0
    }

    /// Whether it is among them.
    pub fn has(self, kind: EventKind) -> bool {
        Self::bits_have(self.0, kind)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<EventKind> for EventKinds {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | 1 << kind as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_again_and_kinds_fit_their_bits() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_name(kind.name()), Some(*kind));
        }
        assert!(EventKind::ALL.len() <= 32);
        let some: EventKinds = [EventKind::Started, EventKind::PluginChanged].into_iter().collect();
        assert!(some.has(EventKind::Started) && !some.has(EventKind::Connected));
        assert!(!EventKinds::usual().has(EventKind::Published));
    }
}
