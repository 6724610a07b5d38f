//! What a [`crate::Client`] hears.

use tidegate_mqtt::{Packet, PacketId, Publish, PublishProperties, QoS, Version, next_frame};

/// A packet from the broker.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// PUBLISH, which owns its bytes.
    Message(Message),
    /// Any other.
    Packet(Packet<'static>),
}

/// A PUBLISH from the broker.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Sent before, perhaps.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// Topic name.
    pub topic: String,
    /// There exactly when QoS is above 0.
    pub packet_id: Option<PacketId>,
    /// Empty before MQTT 5.
    pub properties: PublishProperties,
    /// As text, which is what tests send.
    pub payload: String,
}

impl Message {
    fn of(publish: Publish<'_>) -> Self {
        let Publish { dup, qos, retain, topic, packet_id, properties, payload } = publish;
        let payload = String::from_utf8_lossy(payload).into_owned();
        let properties = properties.map(|properties| *properties).unwrap_or_default();
        Self { dup, qos, retain, topic: topic.to_owned(), packet_id, properties, payload }
    }

    /// Its packet identifier.
    ///
    /// # Panics
    /// At QoS 0.
    pub fn id(&self) -> PacketId {
        self.packet_id.unwrap_or_else(|| panic!("QoS 0 has no packet identifier: {self:?}"))
    }

    /// Its subscription identifiers, sorted.
    pub fn identifiers(&self) -> Vec<u32> {
        let mut identifiers: Vec<u32> =
            self.properties.subscription_identifiers.iter().map(|identifier| identifier.get()).collect();
        identifiers.sort_unstable();
        identifiers
    }
}

impl Received {
    /// Takes a whole packet from the beginning of `bytes`, if there is one.
    ///
    /// # Panics
    /// If the broker sent what is no packet.
    pub(crate) fn take(bytes: &mut Vec<u8>, version: Version) -> Option<Self> {
        let frame = next_frame(bytes, u32::MAX).unwrap_or_else(|error| panic!("{error}: {bytes:02X?}"))?;
        let len = frame.len();
        let received = match frame.decode(version) {
            Ok(Packet::Publish(publish)) => Self::Message(Message::of(publish)),
            Ok(other) => Self::Packet(owned(other)),
            Err(error) => panic!("{error}: {:02X?}", &bytes[..len]),
        };
        bytes.drain(..len);
        Some(received)
    }
}

/// Only PUBLISH borrows, but the type does not say so.
fn owned(packet: Packet<'_>) -> Packet<'static> {
    match packet {
        Packet::Publish(_) => unreachable!("a PUBLISH becomes a Message"),
        Packet::Connect(packet) => Packet::Connect(packet),
        Packet::ConnAck(packet) => Packet::ConnAck(packet),
        Packet::PubAck(packet) => Packet::PubAck(packet),
        Packet::PubRec(packet) => Packet::PubRec(packet),
        Packet::PubRel(packet) => Packet::PubRel(packet),
        Packet::PubComp(packet) => Packet::PubComp(packet),
        Packet::Subscribe(packet) => Packet::Subscribe(packet),
        Packet::SubAck(packet) => Packet::SubAck(packet),
        Packet::Unsubscribe(packet) => Packet::Unsubscribe(packet),
        Packet::UnsubAck(packet) => Packet::UnsubAck(packet),
        Packet::PingReq => Packet::PingReq,
        Packet::PingResp => Packet::PingResp,
        Packet::Disconnect(packet) => Packet::Disconnect(packet),
        Packet::Auth(packet) => Packet::Auth(packet),
    }
}
