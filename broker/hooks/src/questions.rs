//! What hooks are asked. Every question borrows: a hook that wants to keep something copies it.

use std::sync::Arc;
use tidegate_mqtt::{
    ConnectProperties, Origin, PublishProperties, QoS, SessionId, SubscribeProperties, SubscriptionOptions,
    Version,
};

/// What a grant said of a client, for its rules and for later hooks to see. A copy costs nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attributes(Option<Arc<[Attribute]>>);

/// Name and value.
type Attribute = (Box<str>, Box<str>);

impl Attributes {
    /// The first of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// All of them, names and values, in the order of the grant.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|all| all.iter()).map(|(name, value)| (&**name, &**value))
    }
}

/// Of a client about which no grant said anything.
pub static NO_ATTRIBUTES: Attributes = Attributes(None);

impl FromIterator<(Box<str>, Box<str>)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (Box<str>, Box<str>)>>(all: I) -> Self {
        let all: Vec<_> = all.into_iter().collect();
        Self((!all.is_empty()).then(|| all.into()))
    }
}

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
    /// Subject alternative names of that certificate, as text.
    pub tls_sans: &'a [String],
    /// Whether the user name stands in that certificate, and not only in the CONNECT: then TLS vouches for it.
    pub tls_username: bool,
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
    /// Of who asks.
    pub attributes: &'a Attributes,
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
    /// Of who published.
    pub attributes: &'a Attributes,
    /// None for what a client publishes.
    pub origin: Option<&'a Origin>,
}

/// What becomes of a subscription? Asked before the ACL is.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeRequest<'a> {
    /// Who subscribes.
    pub session: SessionId,
    /// Who subscribes.
    pub client_id: &'a str,
    /// Who subscribes, as authenticated.
    pub username: Option<&'a str>,
    /// As left by the hooks before, with `$share/NAME/`.
    pub filter: &'a str,
    /// As left by the hooks before.
    pub qos: QoS,
    /// As asked for; its QoS is the one of the SUBSCRIBE.
    pub options: SubscriptionOptions,
    /// Of the SUBSCRIBE.
    pub properties: &'a SubscribeProperties,
    /// Of who subscribes.
    pub attributes: &'a Attributes,
}

/// One who would get a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Candidate<'a> {
    /// Whose subscription matches.
    pub session: SessionId,
    /// Whose subscription matches.
    pub client_id: &'a str,
    /// Which of its subscriptions.
    pub filter: &'a str,
    /// At which it would get the message.
    pub qos: QoS,
}

/// Who gets this message? Asked about subscriptions that are not shared, once they are matched.
#[derive(Clone, Copy, Debug)]
pub struct SelectRequest<'a> {
    /// As it is about to be delivered.
    pub message: PublishRequest<'a>,
    /// Those whom the hooks before left.
    pub candidates: &'a [Candidate<'a>],
}

/// Which member of a shared subscription gets this message?
#[derive(Clone, Copy, Debug)]
pub struct PickRequest<'a> {
    /// As it is about to be delivered.
    pub message: PublishRequest<'a>,
    /// `$share/NAME/FILTER`
    pub group: &'a str,
    /// In the order of sessions.
    pub members: &'a [Candidate<'a>],
}

/// What does this recipient get of a message? Asked when it leaves the recipient's queue.
#[derive(Clone, Copy, Debug)]
pub struct DeliverRequest<'a> {
    /// As left by the hooks before. QoS and RETAIN are the recipient's; of who published it the session alone is known.
    pub message: PublishRequest<'a>,
    /// Who gets it.
    pub recipient: SessionId,
    /// Who gets it.
    pub client_id: &'a str,
}
