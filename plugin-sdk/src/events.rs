//! What has happened. The kinds of events by name, as [`Scope::events`](crate::Scope::events) takes them.

use crate::bindings::events::exports::tidegate::plugin::events;
use std::time::{Duration, SystemTime};
use tidegate_mqtt::ReasonCode;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal;)*) => {
        $($(#[$doc])* pub const $kind: &str = $name;)*

        /// All kinds that this crate knows; a newer broker may have more.
        pub const KINDS: &[&str] = &[$($kind),*];
    };
}

kinds! {
    /// The broker has started; its listeners are open.
    STARTED = "started";
    /// The broker stops; nobody is let in any more.
    STOPPING = "stopping";
    /// The broker has looked at its own numbers; they are the detail.
    SYS_TICK = "sys-tick";
    /// A client was let in; its session is not taken up yet.
    AUTHENTICATED = "authenticated";
    /// A client was refused at CONNECT.
    REFUSED = "refused";
    /// A client has its session, CONNACK is on its way.
    CONNECTED = "connected";
    /// A connection is over.
    DISCONNECTED = "disconnected";
    /// A session's time is over.
    SESSION_EXPIRED = "session-expired";
    /// A subscription was taken.
    SUBSCRIBED = "subscribed";
    /// A subscription ended: by UNSUBSCRIBE, or because it is not allowed any more.
    UNSUBSCRIBED = "unsubscribed";
    /// A message was accepted. Per message: only for those who ask for it.
    PUBLISHED = "published";
    /// A message was refused.
    PUBLISH_REFUSED = "publish-refused";
    /// A message was accepted, but does not reach one recipient; the detail `why` says why.
    DROPPED = "dropped";
    /// A message goes out to a recipient. Per message: only for those who ask for it.
    DELIVERED = "delivered";
    /// A recipient has acknowledged a QoS 1 or 2 message. Per message: only for those who ask for it.
    ACKNOWLEDGED = "acknowledged";
    /// A message became the retained one of its topic, or removed it (detail `removed`).
    RETAINED = "retained";
    /// A retained message goes out to a new subscription. Per message: only for those who ask for it.
    RETAINED_DELIVERED = "retained-delivered";
    /// A retained message's time is over.
    RETAINED_EXPIRED = "retained-expired";
    /// A recipient has as many QoS 1 and 2 messages under way as it may; the next ones wait.
    WINDOW_FULL = "window-full";
    /// A will was published.
    WILL_SENT = "will-sent";
    /// A plugin has another generation, or was refused; the detail says which.
    PLUGIN_CHANGED = "plugin-changed";
}

/// The hook for what has happened. It can slow nobody and change nothing.
///
/// ```
/// use tidegate_plugin::{Event, NoConfig, OnEvents, Plugin, Scope, Start, events, metrics, warn};
///
/// /// Counts who comes and who goes.
/// struct Turnstile;
///
/// impl Plugin for Turnstile {
///     type Config = NoConfig;
///     fn new(_: Start, _: NoConfig) -> Result<Self, String> {
///         Ok(Self)
///     }
///     fn scopes(&self) -> Vec<Scope> {
///         vec![Scope::events([events::CONNECTED, events::DISCONNECTED])]
///     }
/// }
///
/// impl OnEvents for Turnstile {
///     fn on_events(&mut self, batch: Vec<Event>, lost: u64) {
///         for event in batch {
///             metrics::count("turnstile", 1, &[("kind", &event.kind)]);
///         }
///         if lost > 0 {
///             warn!("too slow", lost);
///         }
///     }
/// }
///
/// tidegate_plugin::export!(Turnstile: on_events);
///
/// use tidegate_plugin::testing::{self, Host};
///
/// let host = Host::new();
/// let mut plugin: Turnstile = host.start()?;
/// plugin.on_events(vec![testing::event(events::CONNECTED, "c1")], 0);
/// assert_eq!(host.counted("turnstile", &[("kind", "connected")]), 1);
/// # Ok::<(), String>(())
/// ```
pub trait OnEvents {
    /// These events, oldest first. `lost`: events dropped since the last call, because they came faster than they were taken.
    fn on_events(&mut self, batch: Vec<Event>, lost: u64);
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// What: one of the constants of [`events`](crate::events), or one that is newer than this crate.
    pub kind: String,
    /// Whose doing, or whose session; 0 if no client's.
    pub session: u64,
    /// Its client id; empty if no client's.
    pub client_id: String,
    /// When.
    pub at: SystemTime,
    /// Why; [`ReasonCode::Success`] where there is nothing to say.
    pub reason: ReasonCode,
    /// Topic or filter, where it is about one.
    pub topic: Option<String>,
    /// Whatever else there is to say, by name.
    pub detail: Vec<(String, String)>,
}

impl Event {
    /// What the detail of that name says.
    pub fn detail(&self, name: &str) -> Option<&str> {
        self.detail.iter().find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    pub(crate) fn new(kind: &str, session: u64, client_id: &str) -> Self {
        Self {
            kind: kind.into(),
            session,
            client_id: client_id.into(),
            at: SystemTime::UNIX_EPOCH,
            reason: ReasonCode::Success,
            topic: None,
            detail: Vec::new(),
        }
    }
}

impl From<events::Event> for Event {
    fn from(event: events::Event) -> Self {
        Self {
            at: time(event.at_ms),
            reason: ReasonCode::try_from(event.reason).unwrap_or(ReasonCode::UnspecifiedError),
            topic: event.topic,
            detail: event.detail,
            ..Self::new(&event.kind, event.session, &event.client_id)
        }
    }
}

/// From milliseconds since 1970. What lies beyond the clock's end is its beginning.
pub(crate) fn time(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_taken_over() {
        let event = Event::from(events::Event {
            kind: "dropped".into(),
            session: 7,
            client_id: "c1".into(),
            at_ms: 1500,
            reason: 0x97,
            topic: Some("a/b".into()),
            detail: vec![("why".into(), "queue full".into())],
        });
        assert_eq!((event.kind.as_str(), event.session, event.client_id.as_str()), (DROPPED, 7, "c1"));
        assert_eq!(event.at, SystemTime::UNIX_EPOCH + Duration::from_millis(1500));
        assert_eq!((event.reason, event.topic.as_deref()), (ReasonCode::QuotaExceeded, Some("a/b")));
        assert_eq!((event.detail("why"), event.detail("how")), (Some("queue full"), None));
    }
}
