//! How records are written down. Integers are big-endian, so that keys sort by number; a message is its own MQTT 5 PUBLISH.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};
use tidegate_mqtt::{
    ClientId, Heads, HomeId, Message, MessageId, Origin, Packet, PacketId, Publish, QoS, RetainHandling,
    SessionId, SubscriptionFilter, SubscriptionOptions, Timestamp, TopicName, Version, next_frame,
};
use tidegate_session::{Delivery, SessionState, Subscribed};

pub(crate) fn message_key(id: MessageId) -> Bytes {
    let mut key = BytesMut::with_capacity(12);
    key.put_u32(id.home.0);
    key.put_u64(id.sequence);
    key.freeze()
}

pub(crate) fn session_key(session: SessionId) -> Bytes {
    Bytes::copy_from_slice(&session.0.to_be_bytes())
}

pub(crate) fn queue_key(session: SessionId, id: MessageId) -> Bytes {
    let mut key = BytesMut::with_capacity(20);
    key.put_u64(session.0);
    key.put_u32(id.home.0);
    key.put_u64(id.sequence);
    key.freeze()
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
        payload: Bytes::copy_from_slice(publish.payload),
        qos: publish.qos,
        retain: publish.retain,
        properties: publish.properties,
        publisher,
        origin,
        accepted_at,
        heads: Heads::default(),
    })
}

/// QoS and RETAIN as the session gets it, then its subscription identifiers; the shared subscription that brought it, if one did, before
/// them.
pub(crate) fn queue_entry(delivery: &Delivery) -> Bytes {
    let group = delivery.group.as_ref().map(|group| group.to_string());
    let mut record = BytesMut::with_capacity(1 + 4 * delivery.identifiers.len());
    record.put_u8(delivery.qos as u8 | u8::from(delivery.retain) << 2 | u8::from(group.is_some()) << 3);
    if let Some(group) = group {
        // A filter came in a two-byte length, which with `$share` is all of it.
        record.put_u16(u16::try_from(group.len()).unwrap_or(u16::MAX));
        record.put_slice(group.as_bytes());
    }
    delivery.identifiers.iter().for_each(|identifier| record.put_u32(identifier.get()));
    record.freeze()
}

pub(crate) fn read_queue_entry(mut record: &[u8], message: Message) -> Option<Delivery> {
    if record.is_empty() {
        return None;
    }
    let flags = record.get_u8();
    let mut group = None;
    if flags & 8 != 0 {
        let (len, rest) = record.split_at_checked(2)?;
        let (text, rest) = rest.split_at_checked(u16::from_be_bytes(len.try_into().ok()?).into())?;
        group = Some(Arc::new(SubscriptionFilter::new(std::str::from_utf8(text).ok()?).ok()?));
        record = rest;
    }
    let mut identifiers = tidegate_mqtt::SubscriptionIds::new();
    while record.len() >= 4 {
        identifiers.push(NonZeroU32::new(record.get_u32())?);
    }
    let qos = QoS::try_from(flags & 3).ok()?;
    record.is_empty().then(|| Delivery {
        message: message.into(),
        qos,
        retain: flags & 4 != 0,
        identifiers,
        group,
    })
}

/// Expiry, client id, then filter, options and identifier of each subscription.
pub(crate) fn session(
    client_id: &ClientId,
    expiry: u32,
    subscriptions: &BTreeMap<SubscriptionFilter, Subscribed>,
) -> Bytes {
    let mut record = BytesMut::new();
    record.put_u32(expiry);
    put_text(&mut record, client_id);
    for (filter, subscribed) in subscriptions {
        put_text(&mut record, &filter.to_string());
        let options = subscribed.options;
        record.put_u8(
            options.maximum_qos as u8
                | u8::from(options.no_local) << 2
                | u8::from(options.retain_as_published) << 3
                | (options.retain_handling as u8) << 4,
        );
        record.put_u32(subscribed.identifier.map_or(0, NonZeroU32::get));
    }
    record.freeze()
}

pub(crate) fn read_session(key: &[u8], mut record: &[u8]) -> Option<SessionState> {
    let id = SessionId(u64::from_be_bytes(key.try_into().ok()?));
    let expiry = record.try_get_u32().ok()?;
    let client_id = ClientId::new(text(&mut record)?);
    let mut state = SessionState::new(id, client_id, expiry);
    while !record.is_empty() {
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
        state.subscriptions.insert(filter, Subscribed { options, identifier });
    }
    Some(state)
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
