//! The broker, as far as the operator grants it: publishing, looking up clients, disconnecting them.

use crate::{Property, host};
use std::time::SystemTime;
use tidegate_mqtt::{QoS, ReasonCode};

/// Why the broker did not do it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The operator has not granted it.
    #[error("the plugin is not granted this")]
    Denied,
    /// Too much of it is under way; try again later.
    #[error("the broker is busy")]
    Busy,
    /// There is no such client.
    #[error("there is no such client")]
    NotFound,
    /// Plugins answer each other in a circle.
    #[error("too many plugins have answered each other")]
    TooManyHops,
    /// What was asked for makes no sense, such as a topic with wildcards.
    #[error("{0}")]
    Invalid(String),
}

/// A message that a plugin publishes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outgoing {
    /// A topic name.
    pub topic: String,
    /// Any bytes.
    pub payload: Vec<u8>,
    /// Towards the subscribers.
    pub qos: QoS,
    /// Whether it becomes the topic's retained message.
    pub retain: bool,
    /// Properties of the PUBLISH.
    pub properties: Vec<Property>,
}

impl Outgoing {
    /// A message at QoS 0, not retained.
    pub fn new(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self { topic: topic.into(), payload: payload.into(), ..Self::default() }
    }

    /// Its quality of service towards the subscribers.
    #[must_use]
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// It becomes the topic's retained message.
    #[must_use]
    pub fn retained(mut self) -> Self {
        self.retain = true;
        self
    }

    /// One more property.
    #[must_use]
    pub fn property(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }
}

/// A client that is connected.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Client {
    /// Its session, unique in the life of the broker.
    pub session: u64,
    /// As authenticated.
    pub client_id: String,
    /// As authenticated.
    pub username: Option<String>,
    /// Its address, `IP:PORT`.
    pub peer: String,
    /// Name of the listener it came through.
    pub listener: String,
    /// When it connected.
    pub since: SystemTime,
}

/// Publishes a message, after the running hook has returned. Other plugins' hooks see it, this plugin's do not. Needs the grant `publish`.
///
/// ```
/// use tidegate_plugin::{QoS, broker::{self, Outgoing}};
/// # let host = tidegate_plugin::testing::Host::new();
///
/// broker::publish(Outgoing::new("alarms/door", "open").qos(QoS::AtLeastOnce).retained())?;
/// # assert_eq!(host.published()[0].topic, "alarms/door");
/// # Ok::<(), broker::Error>(())
/// ```
///
/// # Errors
/// See [`Error`].
pub fn publish(message: Outgoing) -> Result<(), Error> {
    host::broker_publish(message)
}

/// Closes a client's connection; an MQTT 5 client is told the reason. Needs the grant `disconnect`.
///
/// # Errors
/// See [`Error`].
pub fn disconnect(session: u64, code: ReasonCode) -> Result<(), Error> {
    host::broker_disconnect(session, code)
}

/// The client of a session, if it is connected. Needs the grant `clients`.
///
/// # Errors
/// See [`Error`].
pub fn client(session: u64) -> Result<Option<Client>, Error> {
    host::broker_client(session)
}

/// The session of a client, if it is connected. Needs the grant `clients`.
///
/// # Errors
/// See [`Error`].
pub fn find(client_id: &str) -> Result<Option<u64>, Error> {
    host::broker_find(client_id)
}

/// Connected clients whose subscriptions match a topic, `limit` at most. Needs the grant `clients`.
///
/// # Errors
/// See [`Error`].
pub fn subscribers(topic: &str, limit: u32) -> Result<Vec<Client>, Error> {
    host::broker_subscribers(topic, limit)
}

/// Drops what plugins have answered about one client, or about all: they are asked again. Needs the grant `clients`.
///
/// # Errors
/// See [`Error`].
pub fn forget(client_id: Option<&str>) -> Result<(), Error> {
    host::broker_forget(client_id)
}

/// The payload of a topic's retained message. Needs the grant `retained`.
///
/// # Errors
/// See [`Error`].
pub fn retained(topic: &str) -> Result<Option<Vec<u8>>, Error> {
    host::broker_retained(topic)
}
