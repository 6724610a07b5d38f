//! `tidegate:plugin/broker`: the broker, as far as it was granted.

use super::{Environment, current};
use crate::{
    access::{self, BrokerAccess, PluginMessage},
    exports::to_publish,
    grants::Topics,
    instance::Guest,
    wire::NewProperty,
};
use std::{fmt, sync::Arc};
use tidegate_hooks::FaultKind;
use tidegate_mqtt::{Origin, PacketType, PublishProperties, QoS, ReasonCode, SessionId, TopicName};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance, Lower},
};

/// A message that so many plugins' publishes led to leads to no other.
const MOST_HOPS: u8 = 8;
/// Clients told at once.
const MOST_CLIENTS: usize = 1000;
/// Topics that the broker alone publishes to.
const SYS: &str = "$SYS";

/// `broker.outgoing`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(record)]
struct Outgoing {
    topic: String,
    payload: Vec<u8>,
    qos: u8,
    retain: bool,
    properties: Vec<NewProperty>,
}

/// `broker.client-info`
#[derive(Clone, ComponentType, Debug, Eq, Lower, PartialEq)]
#[component(record)]
struct ClientInfo {
    session: u64,
    #[component(name = "client-id")]
    client_id: Box<str>,
    username: Option<Box<str>>,
    peer: Box<str>,
    listener: Arc<str>,
    #[component(name = "since-ms")]
    since_ms: u64,
}

/// `broker.error`
#[derive(Clone, ComponentType, Debug, Eq, Lower, PartialEq)]
#[component(variant)]
enum Error {
    #[component(name = "denied")]
    Denied,
    #[component(name = "busy")]
    Busy,
    #[component(name = "not-found")]
    NotFound,
    #[component(name = "too-many-hops")]
    TooManyHops,
    #[component(name = "invalid")]
    Invalid(String),
}

type Answer<T> = Result<T, Error>;
type Cx<'a> = StoreContextMut<'a, Guest>;

pub(super) fn link(interface: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    interface.func_wrap("publish", |cx: Cx<'_>, (message,): (Outgoing,)| {
        Ok((cx.data().environment.publish(message, current::hops(&cx)),))
    })?;
    interface.func_wrap("disconnect", |cx: Cx<'_>, (session, code): (u64, u8)| {
        Ok((cx.data().environment.disconnect(SessionId(session), code),))
    })?;
    interface.func_wrap("client", |cx: Cx<'_>, (session,): (u64,)| {
        Ok((cx.data().environment.client(SessionId(session)),))
    })?;
    interface.func_wrap("find", |cx: Cx<'_>, (client_id,): (String,)| {
        Ok((cx.data().environment.find(&client_id),))
    })?;
    interface.func_wrap("subscribers", |cx: Cx<'_>, (topic, limit): (String, u32)| {
        Ok((cx.data().environment.subscribers(&topic, limit),))
    })?;
    interface.func_wrap("forget", |cx: Cx<'_>, (client_id,): (Option<String>,)| {
        Ok((cx.data().environment.forget(client_id.as_deref()),))
    })?;
    interface.func_wrap("retained", |cx: Cx<'_>, (topic,): (String,)| {
        Ok((cx.data().environment.retained(&topic),))
    })
}

impl Environment {
    /// `hops`: of the message that the running hook is about.
    fn publish(&self, message: Outgoing, hops: u8) -> Answer<()> {
        let topics = self.grants.publish.as_ref().ok_or(Error::Denied)?;
        let topic = granted(topics, &message.topic)?;
        if topic.as_str().split('/').next() == Some(SYS) {
            return Err(invalid("topic", format_args!("{SYS} is the broker's own")));
        }
        let qos = QoS::try_from(message.qos)
            .map_err(|number| invalid("qos", format_args!("{number} is not 0, 1 or 2")))?;
        let properties = properties(message.properties)?;
        if hops >= MOST_HOPS {
            return Err(Error::TooManyHops);
        }
        if !self.acting {
            return Ok(());
        }
        let origin = Origin { plugin: self.plugin.clone(), hops: hops + 1 };
        let (payload, retain) = (message.payload.into(), message.retain);
        let message = PluginMessage { origin, topic, payload, qos, retain, properties };
        self.broker()?.publish(message).map_err(|access::Busy| Error::Busy)
    }

    fn disconnect(&self, session: SessionId, code: u8) -> Answer<()> {
        permitted(self.grants.disconnect)?;
        let reason = ReasonCode::try_from(code)
            .ok()
            .filter(|reason| reason.is_allowed_in(PacketType::Disconnect) && code != CLIENTS_ONLY)
            .ok_or_else(|| {
                invalid("code", format_args!("0x{code:02X} is no reason code of a server's DISCONNECT"))
            })?;
        if !self.acting {
            return Ok(());
        }
        self.broker()?.disconnect(session, reason).then_some(()).ok_or(Error::NotFound)
    }

    fn client(&self, session: SessionId) -> Answer<Option<ClientInfo>> {
        permitted(self.grants.clients)?;
        Ok(self.broker()?.client(session).map(ClientInfo::from))
    }

    fn find(&self, client_id: &str) -> Answer<Option<u64>> {
        permitted(self.grants.clients)?;
        Ok(self.broker()?.find(client_id).map(|session| session.0))
    }

    fn subscribers(&self, topic: &str, limit: u32) -> Answer<Vec<ClientInfo>> {
        permitted(self.grants.clients)?;
        let (topic, limit) = (checked(topic)?, MOST_CLIENTS.min(limit as usize));
        let mut clients = self.broker()?.subscribers(&topic, limit);
        clients.truncate(limit);
        Ok(clients.into_iter().map(ClientInfo::from).collect())
    }

    fn forget(&self, client_id: Option<&str>) -> Answer<()> {
        permitted(self.grants.clients)?;
        if self.acting {
            self.broker()?.forget(client_id);
        }
        Ok(())
    }

    fn retained(&self, topic: &str) -> Answer<Option<Vec<u8>>> {
        let topics = self.grants.retained.as_ref().ok_or(Error::Denied)?;
        let topic = granted(topics, topic)?;
        Ok(self.broker()?.retained(&topic).map(|payload| payload.to_vec()))
    }

    /// While the broker starts or stops it is there for nobody.
    fn broker(&self) -> Answer<Arc<dyn BrokerAccess>> {
        self.access.broker().ok_or(Error::Busy)
    }
}

/// Disconnect with will message (section 3.14.2.1).
const CLIENTS_ONLY: u8 = 0x04;

fn permitted(granted: bool) -> Answer<()> {
    granted.then_some(()).ok_or(Error::Denied)
}

fn granted(topics: &Topics, topic: &str) -> Answer<TopicName> {
    let topic = checked(topic)?;
    topics.hold(&topic).then_some(topic).ok_or(Error::Denied)
}

fn checked(topic: &str) -> Answer<TopicName> {
    TopicName::new(topic).map_err(|why| invalid("topic", why))
}

fn properties(list: Vec<NewProperty>) -> Answer<Option<Box<PublishProperties>>> {
    if list.is_empty() {
        return Ok(None);
    }
    to_publish(list).map(|properties| Some(Box::new(properties))).map_err(|fault| match fault {
        // The same check as for edits, which names the field of an edit.
        FaultKind::Contract(text) => Error::Invalid(text.strip_prefix("edit.").unwrap_or(&text).into()),
        fault => Error::Invalid(fault.to_string()),
    })
}

fn invalid(field: &str, why: impl fmt::Display) -> Error {
    Error::Invalid(format!("{field}: {why}"))
}

impl From<access::ClientInfo> for ClientInfo {
    fn from(client: access::ClientInfo) -> Self {
        let access::ClientInfo { session, client_id, username, peer, listener, since_ms } = client;
        Self { session: session.0, client_id, username, peer, listener, since_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access::Busy, config::PluginConfig, imports::environment, wire::NewPropValue};
    use bytes::Bytes;
    use parking_lot::Mutex;

    /// Does what is asked of it, and writes it down.
    #[derive(Default)]
    struct Broker {
        done: Mutex<Vec<String>>,
        published: Mutex<Vec<PluginMessage>>,
        full: bool,
    }

    impl Broker {
        fn did(&self, what: String) {
            self.done.lock().push(what);
        }
    }

    fn alice() -> access::ClientInfo {
        access::ClientInfo {
            session: SessionId(7),
            client_id: "alice".into(),
            username: None,
            peer: "127.0.0.1:1".into(),
            listener: "tcp".into(),
            since_ms: 1,
        }
    }

    impl BrokerAccess for Broker {
        fn publish(&self, message: PluginMessage) -> Result<(), Busy> {
            self.published.lock().push(message);
            if self.full { Err(Busy) } else { Ok(()) }
        }

        fn disconnect(&self, session: SessionId, reason: ReasonCode) -> bool {
            self.did(format!("disconnect {} {reason}", session.0));
            session == SessionId(7)
        }

        fn client(&self, session: SessionId) -> Option<access::ClientInfo> {
            (session == SessionId(7)).then(alice)
        }

        fn find(&self, client_id: &str) -> Option<SessionId> {
            (client_id == "alice").then_some(SessionId(7))
        }

        fn subscribers(&self, topic: &TopicName, limit: usize) -> Vec<access::ClientInfo> {
            self.did(format!("subscribers {topic} {limit}"));
            vec![alice(); 3]
        }

        fn retained(&self, topic: &TopicName) -> Option<Bytes> {
            (topic.as_str() == "a/b").then(|| Bytes::from_static(b"kept"))
        }

        fn forget(&self, client_id: Option<&str>) {
            self.did(format!("forget {client_id:?}"));
        }
    }

    const ALL: &str = "grants = { publish = ['a/#'], retained = ['a/#'], disconnect = true, clients = true }";

    fn config(text: &str) -> PluginConfig {
        toml::from_str(text).unwrap()
    }

    /// A plugin with that configuration, and the broker it reaches.
    fn scene(text: &str, broker: Broker) -> (Environment, Arc<Broker>) {
        let broker = Arc::new(broker);
        let reached: Arc<dyn BrokerAccess> = broker.clone();
        let environment = environment(&config(text), true);
        environment.access.open(Arc::downgrade(&reached));
        (environment, broker)
    }

    fn message(topic: &str) -> Outgoing {
        let (topic, payload) = (topic.into(), b"hello".to_vec());
        Outgoing { topic, payload, qos: 1, retain: true, properties: Vec::new() }
    }

    fn why<T: fmt::Debug>(answer: Answer<T>) -> String {
        match answer {
            Err(Error::Invalid(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_plugin_publishes_where_it_may() {
        let (environment, broker) = scene(ALL, Broker::default());
        let property = |id, value| NewProperty { id, value };
        let content_type = property(0x03, NewPropValue::Text("text/plain".into()));
        let mut sent = message("a/b");
        sent.properties = vec![content_type];
        environment.publish(sent, 2).unwrap();
        let message_of = |topic: &str| Outgoing { properties: Vec::new(), ..message(topic) };
        environment.publish(message_of("a"), 0).unwrap();
        let published = broker.published.lock();
        assert_eq!(published[0].origin, Origin { plugin: "p".into(), hops: 3 });
        assert_eq!((published[0].topic.as_str(), &*published[0].payload), ("a/b", &b"hello"[..]));
        assert_eq!((published[0].qos, published[0].retain), (QoS::AtLeastOnce, true));
        let properties = published[0].properties.as_ref().unwrap();
        assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
        assert_eq!((published[1].origin.hops, &published[1].properties), (1, &None));
    }

    #[tokio::test]
    async fn what_is_published_is_checked() {
        let grants = "grants.publish = ['#', '$SYS/#', '$x/#']";
        let (environment, broker) = scene(grants, Broker::default());
        let publish = |message| environment.publish(message, 0);
        assert!(why(publish(message("a/#"))).starts_with("topic: "));
        assert!(why(publish(message(""))).starts_with("topic: "));
        assert_eq!(why(publish(message("$SYS/broker"))), "topic: $SYS is the broker's own");
        assert_eq!(why(publish(Outgoing { qos: 3, ..message("a") })), "qos: 3 is not 0, 1 or 2");
        let properties = vec![NewProperty { id: 0x23, value: NewPropValue::Number(1) }];
        assert_eq!(
            why(publish(Outgoing { properties, ..message("a") })),
            "properties: 0x23 cannot be set on a PUBLISH"
        );
        assert_eq!(environment.publish(message("a"), 8), Err(Error::TooManyHops));
        assert!(broker.published.lock().is_empty());
        assert_eq!(environment.publish(message("$x/a"), 7), Ok(()));
        assert_eq!(broker.published.lock()[0].origin.hops, 8);
    }

    #[tokio::test]
    async fn nothing_goes_without_its_grant() {
        let (environment, broker) = scene("grants.publish = ['b']", Broker::default());
        assert_eq!(environment.publish(message("a"), 0), Err(Error::Denied));
        let (nothing, _broker) = scene("", Broker::default());
        assert_eq!(nothing.publish(message("a/#"), 0), Err(Error::Denied), "whatever it is");
        assert_eq!(nothing.disconnect(SessionId(7), 0x98), Err(Error::Denied));
        assert_eq!(nothing.client(SessionId(7)), Err(Error::Denied));
        assert_eq!(nothing.find("alice"), Err(Error::Denied));
        assert_eq!(nothing.subscribers("a", 1), Err(Error::Denied));
        assert_eq!(nothing.forget(None), Err(Error::Denied));
        assert_eq!(nothing.retained("a"), Err(Error::Denied));
        assert!(broker.done.lock().is_empty() && broker.published.lock().is_empty());
    }

    #[tokio::test]
    async fn clients_are_looked_up_disconnected_and_forgotten() {
        let (environment, broker) = scene(ALL, Broker::default());
        let client = environment.client(SessionId(7)).unwrap().unwrap();
        assert_eq!((client.session, &*client.client_id, &*client.listener), (7, "alice", "tcp"));
        assert_eq!(environment.client(SessionId(8)), Ok(None));
        assert_eq!(environment.find("alice"), Ok(Some(7)));
        assert_eq!(environment.find("bob"), Ok(None));
        assert_eq!(environment.subscribers("a/b", 2).unwrap().len(), 2);
        assert_eq!(environment.subscribers("a/b", u32::MAX).unwrap().len(), 3);
        assert!(why(environment.subscribers("a/#", 2)).starts_with("topic: "));
        assert_eq!(environment.disconnect(SessionId(7), 0x98), Ok(()));
        assert_eq!(environment.disconnect(SessionId(8), 0x00), Err(Error::NotFound));
        for code in [0x04, 0x18, 0x42, 0x86] {
            assert!(why(environment.disconnect(SessionId(7), code)).starts_with("code: 0x"));
        }
        assert_eq!(environment.forget(Some("alice")), Ok(()));
        assert_eq!(environment.retained("a/b"), Ok(Some(b"kept".to_vec())));
        assert_eq!(environment.retained("a/c"), Ok(None));
        assert_eq!(environment.retained("b"), Err(Error::Denied));
        let done = broker.done.lock();
        assert_eq!(done[0], "subscribers a/b 2");
        assert_eq!(done[1], "subscribers a/b 1000");
        assert_eq!(done[2], "disconnect 7 0x98 administrative action");
        assert_eq!(done[4], "forget Some(\"alice\")");
    }

    #[tokio::test]
    async fn a_broker_that_is_full_or_not_there_is_busy() {
        let (environment, _broker) = scene(ALL, Broker { full: true, ..Broker::default() });
        assert_eq!(environment.publish(message("a"), 0), Err(Error::Busy));
        let alone = environment_of(ALL);
        assert_eq!(alone.publish(message("a"), 0), Err(Error::Busy));
        assert_eq!(alone.find("alice"), Err(Error::Busy));
        let (stopped, broker) = scene(ALL, Broker::default());
        drop(broker);
        assert_eq!(stopped.forget(None), Err(Error::Busy));
    }

    fn environment_of(text: &str) -> Environment {
        environment(&config(text), true)
    }

    #[tokio::test]
    async fn a_shadow_looks_but_does_nothing() {
        let (mut shadow, broker) = scene(ALL, Broker::default());
        shadow.acting = false;
        assert_eq!(shadow.publish(message("a"), 0), Ok(()));
        assert_eq!(shadow.publish(message("b"), 0), Err(Error::Denied));
        assert_eq!(shadow.disconnect(SessionId(7), 0x98), Ok(()));
        assert_eq!(shadow.forget(None), Ok(()));
        assert_eq!(shadow.find("alice"), Ok(Some(7)));
        assert!(broker.done.lock().is_empty() && broker.published.lock().is_empty());
    }
}
