//! What hooks are asked. Every question borrows: a hook that wants to keep something copies it.

use tidegate_mqtt::{ConnectProperties, PublishProperties, QoS, SessionId, Version};

/// May this client come in, and as whom? Asked at CONNECT.
#[derive(Clone, Copy)]
pub struct ConnectRequest<'a> {
    /// The session the connection would get.
    pub session: SessionId,
    /// As sent, or as assigned by the broker if it was empty.
    pub client_id: &'a str,
    /// As sent.
    pub username: Option<&'a str>,
    /// As sent. Never logged; `Debug` leaves it out.
    pub password: Option<&'a [u8]>,
    /// Protocol version.
    pub version: Version,
    /// Whether the client wants a new session.
    pub clean_start: bool,
    /// Seconds; 0 is off.
    pub keep_alive: u16,
    /// Name of the listener the client came through.
    pub listener: &'a str,
    /// Address of the client, `IP:PORT`.
    pub peer: &'a str,
    /// Whether a client that nobody vouches for may come in there.
    pub allow_anonymous: bool,
    /// Subject of the client's certificate, if it showed one.
    pub tls_subject: Option<&'a str>,
    /// Properties of the CONNECT, empty before MQTT 5.
    pub properties: &'a ConnectProperties,
}

impl std::fmt::Debug for ConnectRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("session", &self.session)
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("listener", &self.listener)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// A step of enhanced authentication (section 4.12). The method stands in the properties of the CONNECT.
#[derive(Clone, Copy)]
pub struct AuthStep<'a> {
    /// As the last challenge left it; empty if this begins a re-authentication.
    pub state: &'a [u8],
    /// What the client sent. Never logged.
    pub data: Option<&'a [u8]>,
    /// Whether the client is in already.
    pub again: bool,
}

/// What a client wants to do with a topic.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// Publish to a topic; asked for wills too.
    Publish,
    /// Subscribe with a filter.
    Subscribe,
    /// Receive a message. Asked only where a rule or plugin wants it.
    Receive,
}

impl Action {
    /// The word for logs and rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Receive => "receive",
        }
    }
}

/// May this client do this?
#[derive(Clone, Copy, Debug)]
pub struct AclRequest<'a> {
    /// Who asks.
    pub session: SessionId,
    /// Who asks.
    pub client_id: &'a str,
    /// Who asks, as authenticated.
    pub username: Option<&'a str>,
    /// What for.
    pub action: Action,
    /// A topic name, or for [`Action::Subscribe`] a topic filter without `$share/NAME/`.
    pub topic: &'a str,
    /// Of the PUBLISH, or wanted by the subscription.
    pub qos: QoS,
    /// Of the PUBLISH.
    pub retain: bool,
}

/// What becomes of this message? Asked after it was authorized, before it is stored and routed.
#[derive(Clone, Copy, Debug)]
pub struct PublishRequest<'a> {
    /// Who published.
    pub session: SessionId,
    /// Who published.
    pub client_id: &'a str,
    /// Who published, as authenticated.
    pub username: Option<&'a str>,
    /// Topic name, as left by the hooks before.
    pub topic: &'a str,
    /// As left by the hooks before.
    pub qos: QoS,
    /// As left by the hooks before.
    pub retain: bool,
    /// As left by the hooks before.
    pub payload: &'a [u8],
    /// As left by the hooks before.
    pub properties: Option<&'a PublishProperties>,
}
