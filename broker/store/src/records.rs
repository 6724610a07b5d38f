//! How records are written down. Integers are big-endian, so that keys sort by number; a message is its own MQTT 5 PUBLISH.

use crate::{
    backend::Table,
    store::{StoredSession, StoredWill},
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::{num::NonZeroU32, sync::Arc};
use tidegate_mqtt::{
    ClientId, Heads, HomeId, Message, MessageId, Origin, Packet, PacketId, Payload, Publish, QoS,
    RetainHandling, SessionId, SubscriptionFilter, SubscriptionOptions, Timestamp, TopicName, Version, Will,
    WillProperties, next_frame,
};
use tidegate_session::{Delivery, Stored, Subscribed};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

pub(crate) fn message_key(id: MessageId) -> Bytes {
    let mut key = BytesMut::with_capacity(12);
    key.put_u32(id.home.0);
    key.put_u64(id.sequence);
    key.freeze()
}

pub(crate) fn read_message_key(mut key: &[u8]) -> Option<MessageId> {
    let home = HomeId(key.try_get_u32().ok()?);
    let sequence = key.try_get_u64().ok()?;
    key.is_empty().then_some(MessageId { home, sequence })
}

pub(crate) fn session_key(session: SessionId) -> Bytes {
    Bytes::copy_from_slice(&session.0.to_be_bytes())
}

pub(crate) fn queue_key(session: SessionId, position: u64) -> Bytes {
    let mut key = BytesMut::with_capacity(16);
    key.put_u64(session.0);
    key.put_u64(position);
    key.freeze()
}

/// Session and position.
pub(crate) fn read_queue_key(mut key: &[u8]) -> Option<(SessionId, u64)> {
    let session = SessionId(key.try_get_u64().ok()?);
    let position = key.try_get_u64().ok()?;
    key.is_empty().then_some((session, position))
}

pub(crate) fn received_key(session: SessionId, packet_id: PacketId) -> Bytes {
    let mut key = BytesMut::with_capacity(10);
    key.put_u64(session.0);
    key.put_u16(packet_id.get());
    key.freeze()
}

pub(crate) fn read_received_key(mut key: &[u8]) -> Option<(SessionId, PacketId)> {
    let session = SessionId(key.try_get_u64().ok()?);
    let packet_id = PacketId::new(key.try_get_u16().ok()?)?;
    key.is_empty().then_some((session, packet_id))
}

/// Filters may be longer than keys; the value says which it is.
pub(crate) fn subscription_key(session: SessionId, filter: &SubscriptionFilter) -> Bytes {
    let mut key = BytesMut::from(&session.0.to_be_bytes()[..]);
    key.put_u128(xxh3_128(filter.to_string().as_bytes()));
    key.freeze()
}

/// Bytes of a topic that are its own key.
const TOPIC: usize = 1024;

/// Topics may be longer than keys; the value says which it is.
pub(crate) fn retained_key(topic: &str) -> Bytes {
    match topic.as_bytes().split_at_checked(TOPIC) {
        None => Bytes::copy_from_slice(topic.as_bytes()),
        Some((beginning, _)) => {
            let mut key = BytesMut::from(beginning);
            key.put_u128(xxh3_128(topic.as_bytes()));
            key.freeze()
        }
    }
}

pub(crate) fn read_session_key(key: &[u8]) -> Option<SessionId> {
    Some(SessionId(u64::from_be_bytes(key.try_into().ok()?)))
}

/// What a value carries in front: a checksum of its place and itself, so that nothing is served that was not written so.
const SEAL: usize = 8;

/// Value as it is stored.
pub(crate) fn seal(table: Table, key: &[u8], value: &[u8]) -> Bytes {
    let mut sealed = BytesMut::with_capacity(SEAL + value.len());
    sealed.put_u64(checksum(table, key, value));
    sealed.put_slice(value);
    sealed.freeze()
}

/// Value as it was before [`seal`]; None if it is not what was written there.
pub(crate) fn unseal(table: Table, key: &[u8], mut sealed: Bytes) -> Option<Bytes> {
    let expected = sealed.try_get_u64().ok()?;
    (expected == checksum(table, key, &sealed)).then_some(sealed)
}

fn checksum(table: Table, key: &[u8], value: &[u8]) -> u64 {
    let mut hash = Xxh3Default::new();
    hash.update(&[table as u8]);
    hash.update(&(key.len() as u64).to_be_bytes());
    hash.update(key);
    hash.update(value);
    hash.digest()
}

/// id, publisher (0: the broker), time of acceptance, length and name of the plugin that published it with its hops, PUBLISH.
pub(crate) fn message(message: &Message) -> Bytes {
    let mut record = Vec::with_capacity(64 + message.topic.len() + message.payload.len());
    record.put_u32(message.id.home.0);
    record.put_u64(message.id.sequence);
    record.put_u64(message.publisher.map_or(0, |session| session.0));
    record.put_u64(message.accepted_at.0);
    // Names of plugins are short; one that is not would only be shown its own message.
    let origin = message.origin.as_deref().filter(|origin| origin.plugin.len() <= usize::from(u8::MAX));
    match origin {
        None => record.put_u8(0),
        Some(origin) => {
            record.put_u8(origin.plugin.len() as u8);
            record.put_slice(origin.plugin.as_bytes());
            record.put_u8(origin.hops);
        }
    }
    let publish = Publish {
        dup: false,
        qos: message.qos,
        retain: message.retain,
        topic: &message.topic,
        packet_id: (message.qos > QoS::AtMostOnce).then_some(PacketId::MIN),
        properties: message.properties.clone(),
        payload: &message.payload,
    };
    // Cannot fail: a message that came in fits a packet that goes out, and one that was edited was checked.
    let _ = publish.encode(Version::V5, &mut record);
    record.into()
}

pub(crate) fn read_message(mut record: &[u8]) -> Option<Message> {
    if record.len() < 29 {
        return None;
    }
    let id = MessageId { home: HomeId(record.get_u32()), sequence: record.get_u64() };
    let publisher = Some(SessionId(record.get_u64())).filter(|session| session.0 != 0);
    let accepted_at = Timestamp(record.get_u64());
    let origin = match usize::from(record.get_u8()) {
        0 => None,
        length => {
            let (name, rest) = record.split_at_checked(length)?;
            let (hops, rest) = rest.split_first()?;
            record = rest;
            Some(Box::new(Origin { plugin: std::str::from_utf8(name).ok()?.into(), hops: *hops }))
        }
    };
    let frame = next_frame(record, u32::MAX).ok()??;
    let Packet::Publish(publish) = frame.decode(Version::V5).ok()? else { return None };
    Some(Message {
        id,
        topic: TopicName::new(publish.topic).ok()?,
        payload: Payload::copied(publish.payload),
        qos: publish.qos,
        retain: publish.retain,
        properties: publish.properties,
        publisher,
        origin,
        accepted_at,
        heads: Heads::default(),
    })
}

/// How far a queued message has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    /// It waits.
    Queued,
    /// PUBLISH may be out with this packet identifier.
    Sent(PacketId),
    /// PUBREL may be out with this packet identifier.
    Released(PacketId),
}

/// What a queue says of a message, without the message.
#[derive(Clone, Debug)]
pub(crate) struct QueueEntry {
    pub(crate) message: MessageId,
    /// What holding the message costs in memory.
    pub(crate) cost: u32,
    pub(crate) progress: Progress,
    pub(crate) shared: bool,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) group: Option<Arc<SubscriptionFilter>>,
    pub(crate) identifiers: tidegate_mqtt::SubscriptionIds,
}

const RETAIN: u8 = 1 << 2;
const GROUP: u8 = 1 << 3;
const SHARED: u8 = 1 << 4;
const SENT: u8 = 1 << 5;
const RELEASED: u8 = 1 << 6;

impl QueueEntry {
    pub(crate) fn of(delivery: &Delivery, shared: bool, progress: Progress) -> Self {
        Self {
            message: delivery.message.id,
            cost: u32::try_from(delivery.message.cost()).unwrap_or(u32::MAX),
            progress,
            shared,
            qos: delivery.qos,
            retain: delivery.retain,
            group: delivery.group.clone(),
            identifiers: delivery.identifiers.clone(),
        }
    }

    /// Flags, message id, cost; packet identifier, group with its length, subscription identifiers: as far as there are any.
    pub(crate) fn write(&self) -> Bytes {
        let group = self.group.as_ref().map(|group| group.to_string());
        let mut record = BytesMut::with_capacity(19 + 4 * self.identifiers.len());
        let (stage, packet_id) = match self.progress {
            Progress::Queued => (0, None),
            Progress::Sent(packet_id) => (SENT, Some(packet_id)),
            Progress::Released(packet_id) => (RELEASED, Some(packet_id)),
        };
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags = self.qos as u8 | stage | flag(self.retain, RETAIN) | flag(group.is_some(), GROUP);
        record.put_u8(flags | flag(self.shared, SHARED));
        record.put_u32(self.message.home.0);
        record.put_u64(self.message.sequence);
        record.put_u32(self.cost);
        if let Some(packet_id) = packet_id {
            record.put_u16(packet_id.get());
        }
        if let Some(group) = group {
            // A filter came in a two-byte length, which with `$share` is all of it.
            record.put_u16(u16::try_from(group.len()).unwrap_or(u16::MAX));
            record.put_slice(group.as_bytes());
        }
        self.identifiers.iter().for_each(|identifier| record.put_u32(identifier.get()));
        record.freeze()
    }

    pub(crate) fn read(mut record: &[u8]) -> Option<Self> {
        let flags = record.try_get_u8().ok()?;
        let home = HomeId(record.try_get_u32().ok()?);
        let message = MessageId { home, sequence: record.try_get_u64().ok()? };
        let cost = record.try_get_u32().ok()?;
        let mut packet_id = || PacketId::new(record.try_get_u16().ok()?);
        let progress = match flags & (SENT | RELEASED) {
            0 => Progress::Queued,
            SENT => Progress::Sent(packet_id()?),
            RELEASED => Progress::Released(packet_id()?),
            _ => return None,
        };
        let mut group = None;
        if flags & GROUP != 0 {
            let length = record.try_get_u16().ok()?;
            let (text, rest) = record.split_at_checked(length.into())?;
            group = Some(Arc::new(SubscriptionFilter::new(std::str::from_utf8(text).ok()?).ok()?));
            record = rest;
        }
        let mut identifiers = tidegate_mqtt::SubscriptionIds::new();
        while record.len() >= 4 {
            identifiers.push(NonZeroU32::new(record.get_u32())?);
        }
        let (qos, retain) = (QoS::try_from(flags & 3).ok()?, flags & RETAIN != 0);
        let shared = flags & SHARED != 0;
        record.is_empty().then_some(Self { message, cost, progress, shared, qos, retain, group, identifiers })
    }

    pub(crate) fn delivery(self, position: u64, message: Arc<Message>) -> Delivery {
        Delivery {
            message,
            qos: self.qos,
            retain: self.retain,
            identifiers: self.identifiers,
            group: self.group,
            stored: Some(Stored::new(position, self.shared)),
        }
    }
}

/// Expiry, when the client left (0: it is there), client id.
pub(crate) fn session(session: &StoredSession) -> Bytes {
    let mut record = BytesMut::new();
    record.put_u32(session.expiry);
    record.put_u64(session.left_at.map_or(0, |at| at.0.max(1)));
    put_text(&mut record, &session.client_id);
    record.freeze()
}

pub(crate) fn read_session(mut record: &[u8]) -> Option<StoredSession> {
    let expiry = record.try_get_u32().ok()?;
    let left_at = Some(Timestamp(record.try_get_u64().ok()?)).filter(|at| at.0 != 0);
    let client_id = ClientId::new(text(&mut record)?);
    record.is_empty().then_some(StoredSession { client_id, expiry, left_at })
}

/// Filter, options and identifier (0: none), then what the client asked for if a plugin made this one of it.
pub(crate) fn subscription(
    filter: &SubscriptionFilter,
    subscribed: &Subscribed,
    asked: &[&SubscriptionFilter],
) -> Bytes {
    let mut record = BytesMut::new();
    put_text(&mut record, &filter.to_string());
    let options = subscribed.options;
    record.put_u8(
        options.maximum_qos as u8
            | u8::from(options.no_local) << 2
            | u8::from(options.retain_as_published) << 3
            | (options.retain_handling as u8) << 4,
    );
    record.put_u32(subscribed.identifier.map_or(0, NonZeroU32::get));
    for asked in asked {
        put_text(&mut record, &asked.to_string());
    }
    record.freeze()
}

/// Filter, what was agreed, and what the client asked for by other names.
pub(crate) fn read_subscription(
    key: &[u8],
    mut record: &[u8],
) -> Option<(SessionId, SubscriptionFilter, Subscribed, Vec<SubscriptionFilter>)> {
    let session = read_session_key(key.get(..8)?)?;
    let filter = SubscriptionFilter::new(text(&mut record)?).ok()?;
    let flags = record.try_get_u8().ok()?;
    let options = SubscriptionOptions {
        maximum_qos: QoS::try_from(flags & 3).ok()?,
        no_local: flags & 4 != 0,
        retain_as_published: flags & 8 != 0,
        retain_handling: match flags >> 4 {
            0 => RetainHandling::SendAlways,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::SendNever,
            _ => return None,
        },
    };
    let identifier = NonZeroU32::new(record.try_get_u32().ok()?);
    let mut asked = Vec::new();
    while !record.is_empty() {
        asked.push(SubscriptionFilter::new(text(&mut record)?).ok()?);
    }
    Some((session, filter, Subscribed { options, identifier }, asked))
}

/// When it is due (0: when its client is gone), delay in seconds, user name, listener, peer, then the message as it will be published.
pub(crate) fn will(will: &StoredWill) -> Bytes {
    let mut record = BytesMut::new();
    record.put_u64(will.due_at.map_or(0, |at| at.0.max(1)));
    record.put_u32(will.will.properties.will_delay_interval.unwrap_or(0));
    put_text(&mut record, will.username.as_deref().unwrap_or_default());
    record.put_u8(u8::from(will.username.is_some()));
    let Will { topic, payload, qos, retain, properties } = &will.will;
    let publish = Publish {
        dup: false,
        qos: *qos,
        retain: *retain,
        topic,
        packet_id: (*qos > QoS::AtMostOnce).then_some(PacketId::MIN),
        properties: Some(Box::new(properties.publish.clone())),
        payload,
    };
    let mut packet = Vec::new();
    // Cannot fail: what came in a CONNECT fits a PUBLISH.
    let _ = publish.encode(Version::V5, &mut packet);
    record.put_slice(&packet);
    record.freeze()
}

pub(crate) fn read_will(mut record: &[u8]) -> Option<StoredWill> {
    let due_at = Some(Timestamp(record.try_get_u64().ok()?)).filter(|at| at.0 != 0);
    let delay = record.try_get_u32().ok()?;
    let username: Box<str> = text(&mut record)?.into();
    let username = (record.try_get_u8().ok()? != 0).then_some(username);
    let frame = next_frame(record, u32::MAX).ok()??;
    let Packet::Publish(publish) = frame.decode(Version::V5).ok()? else { return None };
    let properties = WillProperties {
        will_delay_interval: (delay > 0).then_some(delay),
        publish: publish.properties.map(|properties| *properties).unwrap_or_default(),
    };
    let will = Will {
        topic: TopicName::new(publish.topic).ok()?,
        payload: Bytes::copy_from_slice(publish.payload),
        qos: publish.qos,
        retain: publish.retain,
        properties,
    };
    Some(StoredWill { will, username, due_at })
}

fn put_text(record: &mut BytesMut, text: &str) {
    // No name is longer than 65,535 bytes, and a shared filter little more.
    record.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    record.put_slice(text.as_bytes());
}

fn text<'a>(record: &mut &'a [u8]) -> Option<&'a str> {
    let len = usize::try_from(record.try_get_u32().ok()?).ok()?;
    let (text, rest) = record.split_at_checked(len)?;
    *record = rest;
    std::str::from_utf8(text).ok()
}
