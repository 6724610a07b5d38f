//! The one packet model, in MQTT 5 terms. 3.1 and 3.1.1 are mapped where bytes are read and written (`version.rs`).

use crate::{
    names::{ClientId, SubscriptionFilter, TopicName},
    properties::{
        AckProperties, AuthProperties, ConnAckProperties, ConnectProperties, DisconnectProperties,
        PublishProperties, SubscribeProperties, UserProperties, WillProperties,
    },
    reason::ReasonCode,
};
use bytes::Bytes;
use std::num::NonZeroU16;

/// Which of the three protocol versions a connection speaks.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Version {
    /// `MQIsdp`, level 3.
    V3_1 = 3,
    /// `MQTT`, level 4.
    V3_1_1 = 4,
    /// `MQTT`, level 5.
    V5 = 5,
}

/// Quality of service (section 4.3).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum QoS {
    /// 0
    #[default]
    AtMostOnce = 0,
    /// 1
    AtLeastOnce = 1,
    /// 2
    ExactlyOnce = 2,
}

impl TryFrom<u8> for QoS {
    type Error = u8;
    /// # Errors
    /// The number itself, above 2.
    fn try_from(value: u8) -> Result<Self, u8> {
        match value {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            other => Err(other),
        }
    }
}

/// A packet identifier, 1 to 65,535 [MQTT-2.2.1-3].
pub type PacketId = NonZeroU16;

/// The four bits that begin a packet (section 2.1.2).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    /// The low four bits of the first byte, except for PUBLISH (section 2.1.3).
    pub(crate) fn reserved_flags(self) -> u8 {
        match self {
            // [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1]
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }
}

impl TryFrom<u8> for PacketType {
    type Error = u8;
    /// # Errors
    /// The number itself: 0, or above 15.
    fn try_from(value: u8) -> Result<Self, u8> {
        Ok(match value {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            other => return Err(other),
        })
    }
}

/// Any of the 15 packet types. Only PUBLISH borrows from the bytes it was read from: what is kept of it is copied once, later.
#[derive(Clone, Debug, PartialEq)]
pub enum Packet<'a> {
    /// Section 3.1
    Connect(Box<Connect>),
    /// Section 3.2
    ConnAck(Box<ConnAck>),
    /// Section 3.3
    Publish(Publish<'a>),
    /// Section 3.4
    PubAck(Ack),
    /// Section 3.5
    PubRec(Ack),
    /// Section 3.6
    PubRel(Ack),
    /// Section 3.7
    PubComp(Ack),
    /// Section 3.8
    Subscribe(Subscribe),
    /// Section 3.9
    SubAck(SubAck),
    /// Section 3.10
    Unsubscribe(Unsubscribe),
    /// Section 3.11
    UnsubAck(UnsubAck),
    /// Section 3.12
    PingReq,
    /// Section 3.13
    PingResp,
    /// Section 3.14
    Disconnect(Disconnect),
    /// Section 3.15
    Auth(Auth),
}

impl Packet<'_> {
    /// Which of the 15 it is.
    pub fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// How many User Properties it carries; a CONNECT's will counts too.
    pub fn user_properties(&self) -> usize {
        match self {
            Self::Connect(packet) => {
                let will =
                    packet.will.as_ref().map_or(0, |will| will.properties.publish.user_properties.len());
                packet.properties.user_properties.len() + will
            }
            Self::ConnAck(packet) => packet.properties.user_properties.len(),
            Self::Publish(packet) => packet.properties.as_ref().map_or(0, |p| p.user_properties.len()),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.properties.as_ref().map_or(0, |p| p.user_properties.len())
            }
            Self::Subscribe(packet) => packet.properties.user_properties.len(),
            Self::Unsubscribe(packet) => packet.properties.len(),
            Self::SubAck(SubAck { properties, .. }) | Self::UnsubAck(UnsubAck { properties, .. }) => {
                properties.user_properties.len()
            }
            Self::PingReq | Self::PingResp => 0,
            Self::Disconnect(packet) => packet.properties.user_properties.len(),
            Self::Auth(packet) => packet.properties.user_properties.len(),
        }
    }
}

/// CONNECT: the first packet of a client [MQTT-3.1.0-1].
#[derive(Clone, PartialEq)]
pub struct Connect {
    /// From protocol name and level.
    pub version: Version,
    /// `clean session` before MQTT 5.
    pub clean_start: bool,
    /// Seconds; 0 switches keep alive off.
    pub keep_alive: u16,
    /// May be empty: the broker then assigns one.
    pub client_id: ClientId,
    /// Empty for 3.1 and 3.1.1.
    pub properties: ConnectProperties,
    /// Published by the broker when the client goes without a word.
    pub will: Option<Will>,
    /// UTF-8, may be empty.
    pub username: Option<Box<str>>,
    /// Any bytes. Never logged.
    pub password: Option<Bytes>,
}

impl std::fmt::Debug for Connect {
    /// Without what must never be logged: the password, and the data of an authentication.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("has_password", &self.password.is_some())
            .field("has_will", &self.will.is_some())
            .finish_non_exhaustive()
    }
}

/// The will of a CONNECT (section 3.1.2.5).
#[derive(Clone, Debug, PartialEq)]
pub struct Will {
    /// Where it will be published.
    pub topic: TopicName,
    /// What will be published.
    pub payload: Bytes,
    /// With which quality of service.
    pub qos: QoS,
    /// Whether it will be retained.
    pub retain: bool,
    /// Delay and what PUBLISH carries too. Empty for 3.1 and 3.1.1.
    pub properties: WillProperties,
}

/// CONNACK: the broker's answer to CONNECT.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnAck {
    /// Whether a stored session is resumed. False with any error [MQTT-3.2.2-6].
    pub session_present: bool,
    /// Success or why not; mapped to return codes 0 to 5 before MQTT 5.
    pub reason: ReasonCode,
    /// What the broker announces. Not sent before MQTT 5.
    pub properties: ConnAckProperties,
}

/// PUBLISH, in either direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish<'a> {
    /// Sent before, perhaps.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// To be stored, or was stored.
    pub retain: bool,
    /// A valid topic name, or empty if a topic alias stands for it.
    pub topic: &'a str,
    /// There exactly when QoS is above 0.
    pub packet_id: Option<PacketId>,
    /// Boxed because most messages have none.
    pub properties: Option<Box<PublishProperties>>,
    /// Any bytes.
    pub payload: &'a [u8],
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, Debug, PartialEq)]
pub struct Ack {
    /// Of the PUBLISH.
    pub packet_id: PacketId,
    /// Success for 3.1 and 3.1.1, which cannot say.
    pub reason: ReasonCode,
    /// Boxed because most have none.
    pub properties: Option<Box<AckProperties>>,
}

/// SUBSCRIBE.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// Answered by the SUBACK with the same one.
    pub packet_id: PacketId,
    /// Subscription identifier and user properties.
    pub properties: SubscribeProperties,
    /// At least one [MQTT-3.8.3-2].
    pub subscriptions: Vec<(SubscriptionFilter, SubscriptionOptions)>,
}

/// The options byte of a SUBSCRIBE (section 3.8.3.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SubscriptionOptions {
    /// The most the client wants.
    pub maximum_qos: QoS,
    /// Do not send back what this client publishes.
    pub no_local: bool,
    /// Keep the RETAIN flag as published.
    pub retain_as_published: bool,
    /// When to send retained messages.
    pub retain_handling: RetainHandling,
}

/// When a SUBSCRIBE brings retained messages (section 3.8.3.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum RetainHandling {
    /// 0
    #[default]
    SendAlways = 0,
    /// 1
    SendIfNew = 1,
    /// 2
    SendNever = 2,
}

/// SUBACK, one reason a filter, in order [MQTT-3.9.3-1].
#[derive(Clone, Debug, PartialEq)]
pub struct SubAck {
    /// Of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Reason string and user properties.
    pub properties: AckProperties,
    /// Granted QoS or error; all errors become 0x80 before MQTT 5.
    pub reasons: Vec<ReasonCode>,
}

/// UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsubscribe {
    /// Answered by the UNSUBACK with the same one.
    pub packet_id: PacketId,
    /// User properties only.
    pub properties: UserProperties,
    /// At least one [MQTT-3.10.3-2].
    pub filters: Vec<SubscriptionFilter>,
}

/// UNSUBACK, one reason a filter; the reasons are not sent before MQTT 5.
#[derive(Clone, Debug, PartialEq)]
pub struct UnsubAck {
    /// Of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// Reason string and user properties.
    pub properties: AckProperties,
    /// In the order of the UNSUBSCRIBE.
    pub reasons: Vec<ReasonCode>,
}

/// DISCONNECT, from either side in MQTT 5, from the client before.
#[derive(Clone, Debug, PartialEq)]
pub struct Disconnect {
    /// Success means a normal end.
    pub reason: ReasonCode,
    /// Session expiry, reason string, server reference, user properties.
    pub properties: DisconnectProperties,
}

/// AUTH: a step of enhanced authentication (section 4.12). MQTT 5 only.
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    /// Success, continue or re-authenticate.
    pub reason: ReasonCode,
    /// Method and data.
    pub properties: AuthProperties,
}
