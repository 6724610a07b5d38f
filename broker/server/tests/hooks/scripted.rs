//! A member that answers as the test says, and remembers what it was asked and told.

use std::sync::{Arc, Mutex};
use tidegate::hooks::{
    AclRequest, AclVerdict, AuthVerdict, Choice, ConnectRequest, DeliverRequest, DeliverVerdict, Event,
    EventKind, EventKinds, FaultKind, HookFailed, HookKinds, Hooks, PacketClient, PickRequest,
    PublishRequest, PublishVerdict, Reply, SelectRequest, Selection, SubscribeRequest, SubscribeVerdict,
};
use tidegate_mqtt::{Packet, PacketType};

pub(crate) type Answer<T> = Result<T, HookFailed>;
type Script<F> = Option<Box<F>>;

/// What is None is not among its hooks.
#[derive(Default)]
pub(crate) struct Scripted {
    pub(crate) authenticate: Script<dyn Fn(&ConnectRequest<'_>) -> Answer<AuthVerdict> + Send + Sync>,
    pub(crate) acl: Script<dyn Fn(&AclRequest<'_>) -> Answer<AclVerdict> + Send + Sync>,
    pub(crate) publish: Script<dyn Fn(&PublishRequest<'_>) -> Answer<PublishVerdict> + Send + Sync>,
    /// Beside `publish`.
    pub(crate) batch: Script<dyn Fn(&[PublishRequest<'_>]) -> Answer<Vec<PublishVerdict>> + Send + Sync>,
    pub(crate) subscribe:
        Script<dyn Fn(&[SubscribeRequest<'_>]) -> Answer<Vec<SubscribeVerdict>> + Send + Sync>,
    pub(crate) select: Script<dyn Fn(&SelectRequest<'_>) -> Answer<Selection> + Send + Sync>,
    pub(crate) pick: Script<dyn Fn(&PickRequest<'_>) -> Answer<Option<u32>> + Send + Sync>,
    pub(crate) deliver: Script<dyn Fn(&DeliverRequest<'_>) -> Answer<DeliverVerdict> + Send + Sync>,
    pub(crate) events: EventKinds,
    pub(crate) packets: bool,
    /// Packets that it saw, in order.
    pub(crate) seen: Mutex<Vec<String>>,
    pub(crate) told: Mutex<Vec<Event>>,
}

/// The fault of a member.
pub(crate) fn fault() -> HookFailed {
    HookFailed { plugin: "scripted".into(), kind: FaultKind::Deadline }
}

impl Scripted {
    /// Listens to everything.
    pub(crate) fn listener() -> Arc<Self> {
        Arc::new(Self { events: EventKind::ALL.iter().copied().collect(), ..Self::default() })
    }

    /// Waits for an event that fits.
    pub(crate) fn wait_for(&self, kind: EventKind, fits: impl Fn(&Event) -> bool) -> Event {
        let mut found = None;
        crate::embedded::until(&format!("event {}", kind.name()), || {
            found = self.told.lock().unwrap().iter().find(|event| event.kind == kind && fits(event)).cloned();
            found.is_some()
        });
        found.unwrap()
    }

    /// Kinds that were told of one client, in order.
    pub(crate) fn told_of(&self, client_id: &str) -> Vec<EventKind> {
        let told = self.told.lock().unwrap();
        told.iter().filter(|event| &*event.client_id == client_id).map(|event| event.kind).collect()
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn saw(&self, line: String) {
        self.seen.lock().unwrap().push(line);
    }
}

/// The value of a detail.
pub(crate) fn detail<'a>(event: &'a Event, name: &str) -> &'a str {
    event.detail.iter().find_map(|(key, value)| (*key == name).then_some(&**value)).unwrap_or_default()
}

impl Hooks for Scripted {
    fn kinds(&self) -> HookKinds {
        HookKinds {
            authenticate: self.authenticate.is_some(),
            acl: self.acl.is_some(),
            publish: self.publish.is_some() || self.batch.is_some(),
            publish_batch: self.batch.is_some(),
            subscribe: self.subscribe.is_some(),
            subscribers: self.select.is_some() || self.pick.is_some(),
            deliver: self.deliver.is_some(),
            events: self.events,
            packets: self.packets,
            ..HookKinds::default()
        }
    }

    fn authenticate<'a>(&'a self, request: &'a ConnectRequest<'a>) -> Reply<'a, Answer<AuthVerdict>> {
        Reply::Now(self.authenticate.as_ref().unwrap()(request))
    }

    fn check<'a>(&'a self, request: &'a AclRequest<'a>) -> Reply<'a, Answer<AclVerdict>> {
        Reply::Now(self.acl.as_ref().unwrap()(request))
    }

    fn on_publish<'a>(&'a self, request: &'a PublishRequest<'a>) -> Reply<'a, Answer<PublishVerdict>> {
        Reply::Now(match (&self.publish, &self.batch) {
            (Some(publish), _) => publish(request),
            (None, Some(batch)) => {
                batch(std::slice::from_ref(request)).map(|mut verdicts| verdicts.remove(0))
            }
            (None, None) => unreachable!(),
        })
    }

    fn on_publish_batch<'a>(
        &'a self,
        requests: &'a [PublishRequest<'a>],
    ) -> Reply<'a, Answer<Vec<PublishVerdict>>> {
        Reply::Now(self.batch.as_ref().unwrap()(requests))
    }

    fn on_subscribe<'a>(
        &'a self,
        requests: &'a [SubscribeRequest<'a>],
    ) -> Reply<'a, Answer<Vec<SubscribeVerdict>>> {
        Reply::Now(self.subscribe.as_ref().unwrap()(requests))
    }

    fn select<'a>(&'a self, request: &'a SelectRequest<'a>) -> Reply<'a, Answer<Selection>> {
        let all = Selection { choice: Choice::All, cache: std::time::Duration::ZERO };
        Reply::Now(self.select.as_ref().map_or(Ok(all), |select| select(request)))
    }

    fn pick<'a>(&'a self, request: &'a PickRequest<'a>) -> Reply<'a, Answer<Option<u32>>> {
        Reply::Now(self.pick.as_ref().map_or(Ok(None), |pick| pick(request)))
    }

    fn on_deliver<'a>(&'a self, request: &'a DeliverRequest<'a>) -> Reply<'a, Answer<DeliverVerdict>> {
        Reply::Now(self.deliver.as_ref().unwrap()(request))
    }

    fn on_events<'a>(&'a self, batch: &'a [Event], _: u64) -> Reply<'a, Answer<()>> {
        self.told.lock().unwrap().extend_from_slice(batch);
        Reply::Now(Ok(()))
    }

    fn packet_received(&self, client: &PacketClient<'_>, packet: &Packet<'_>) {
        let kind = format!("{packet:?}");
        let kind = kind.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        self.saw(format!("{} received {kind}", client.client_id));
    }

    fn packet_processed(&self, client: &PacketClient<'_>, kind: PacketType) {
        self.saw(format!("{} processed {kind:?}", client.client_id));
    }

    fn packet_sent(&self, client: &PacketClient<'_>, packet: &[u8]) {
        self.saw(format!("{} sent {}", client.client_id, packet[0] >> 4));
    }
}
