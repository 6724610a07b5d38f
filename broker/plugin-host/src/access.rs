//! The broker, as plugins may reach it: what stands behind `tidegate:plugin/broker`. The server implements it; grants are checked on this
//! side.

use bytes::Bytes;
use std::sync::{Arc, OnceLock, Weak};
use tidegate_mqtt::{Origin, PublishProperties, QoS, ReasonCode, SessionId, TopicName};

/// What the broker does for plugins. Called from hooks, on the threads that serve clients: nothing may wait.
pub trait BrokerAccess: Send + Sync {
    /// Publishes after the running hook has returned.
    ///
    /// # Errors
    /// [`Busy`] if too many messages of plugins wait already.
    fn publish(&self, message: PluginMessage) -> Result<(), Busy>;

    /// Tells a connection to end. False: there is none.
    fn disconnect(&self, session: SessionId, reason: ReasonCode) -> bool;

    /// A client that is connected.
    fn client(&self, session: SessionId) -> Option<ClientInfo>;

    /// The session of a client that is connected.
    fn find(&self, client_id: &str) -> Option<SessionId>;

    /// Connected clients whose subscriptions, shared ones too, match `topic`.
    fn subscribers(&self, topic: &TopicName, limit: usize) -> Vec<ClientInfo>;

    /// Payload of the retained message of `topic`.
    fn retained(&self, topic: &TopicName) -> Option<Bytes>;

    /// Drops what plugins have answered about a client, or about all.
    fn forget(&self, client_id: Option<&str>);
}

/// Too much waits already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Busy;

/// What a plugin publishes.
#[derive(Clone, Debug)]
pub struct PluginMessage {
    /// Who, and after how many hops.
    pub origin: Origin,
    /// Where to.
    pub topic: TopicName,
    /// What.
    pub payload: Bytes,
    /// Its quality of service.
    pub qos: QoS,
    /// Its RETAIN flag.
    pub retain: bool,
    /// None if there is none.
    pub properties: Option<Box<PublishProperties>>,
}

/// A client that is connected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientInfo {
    /// Its session.
    pub session: SessionId,
    /// Its client identifier.
    pub client_id: Box<str>,
    /// As authenticated.
    pub username: Option<Box<str>>,
    /// `IP:PORT`
    pub peer: Box<str>,
    /// Name of the listener it came through.
    pub listener: Arc<str>,
    /// Milliseconds since 1970.
    pub since_ms: u64,
}

/// Where the broker will be once it has started. Plugins start before it.
#[derive(Clone, Default)]
pub struct Access(Arc<OnceLock<Weak<dyn BrokerAccess>>>);

impl Access {
    /// From now on plugins reach `broker`, for as long as it lives.
    pub fn open(&self, broker: Weak<dyn BrokerAccess>) {
        // A second broker would be a mistake of ours; the first stays.
        _ = self.0.set(broker);
    }

    /// None before the start and after the end.
    pub(crate) fn broker(&self) -> Option<Arc<dyn BrokerAccess>> {
        self.0.get()?.upgrade()
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("open", &self.0.get().is_some()).finish()
    }
}
