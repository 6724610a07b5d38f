//! MQTT 5 properties (section 2.2.2), one struct per packet, so that a property cannot stand where it may not.

use crate::{
    names::{ClientId, TopicName},
    packet::QoS,
};
use bytes::Bytes;
use smallvec::SmallVec;
use std::num::{NonZeroU16, NonZeroU32};

mod wire;
pub(crate) use wire::{PropertySet, properties_len, read_properties, write_properties};

/// User Property pairs (0x26), in order, repeats kept [MQTT-3.3.2-18].
pub type UserProperties = Vec<(Box<str>, Box<str>)>;

/// Subscription identifiers, 1 to 268,435,455.
pub type SubscriptionIds = SmallVec<[NonZeroU32; 2]>;

/// Of CONNECT (section 3.1.2.11).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectProperties {
    /// Seconds after the connection ends; 0xFFFF_FFFF never.
    pub session_expiry_interval: Option<u32>,
    /// QoS 1 and 2 messages the client takes at once.
    pub receive_maximum: Option<NonZeroU16>,
    /// Bytes of the largest packet the client takes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// Aliases the client accepts from the broker.
    pub topic_alias_maximum: Option<u16>,
    /// Whether the client asks for Response Information.
    pub request_response_information: Option<bool>,
    /// False: reason strings and user properties only where they must be.
    pub request_problem_information: Option<bool>,
    /// Free pairs.
    pub user_properties: UserProperties,
    /// Enhanced authentication, by name.
    pub authentication_method: Option<Box<str>>,
    /// Its first data.
    pub authentication_data: Option<Bytes>,
}

/// Of a will (section 3.1.3.2).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WillProperties {
    /// Seconds from the end of the connection to the will.
    pub will_delay_interval: Option<u32>,
    /// What the will's PUBLISH carries. Its topic alias and subscription identifiers are empty.
    pub publish: PublishProperties,
}

/// Of CONNACK (section 3.2.2.3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnAckProperties {
    /// Seconds, if not what the client asked for.
    pub session_expiry_interval: Option<u32>,
    /// QoS 1 and 2 messages the broker takes at once.
    pub receive_maximum: Option<NonZeroU16>,
    /// 0 or 1; absent means 2.
    pub maximum_qos: Option<QoS>,
    /// Absent means yes.
    pub retain_available: Option<bool>,
    /// Bytes of the largest packet the broker takes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// For a client that sent an empty one.
    pub assigned_client_identifier: Option<ClientId>,
    /// Aliases the broker accepts.
    pub topic_alias_maximum: Option<u16>,
    /// For people.
    pub reason_string: Option<Box<str>>,
    /// Free pairs.
    pub user_properties: UserProperties,
    /// Absent means yes.
    pub wildcard_subscription_available: Option<bool>,
    /// Absent means yes.
    pub subscription_identifiers_available: Option<bool>,
    /// Absent means yes.
    pub shared_subscription_available: Option<bool>,
    /// Seconds, instead of what the client asked for.
    pub server_keep_alive: Option<u16>,
    /// Basis of response topics.
    pub response_information: Option<Box<str>>,
    /// Another server.
    pub server_reference: Option<Box<str>>,
    /// Enhanced authentication, by name.
    pub authentication_method: Option<Box<str>>,
    /// Its last data.
    pub authentication_data: Option<Bytes>,
}

/// Of PUBLISH (section 3.3.2.3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublishProperties {
    /// 0 bytes, 1 UTF-8 text.
    pub payload_format_indicator: Option<bool>,
    /// Seconds.
    pub message_expiry_interval: Option<u32>,
    /// Stands for the topic on this connection only; never part of a stored message.
    pub topic_alias: Option<NonZeroU16>,
    /// Where to answer.
    pub response_topic: Option<TopicName>,
    /// What to answer to.
    pub correlation_data: Option<Bytes>,
    /// Free pairs.
    pub user_properties: UserProperties,
    /// From the broker to the client only.
    pub subscription_identifiers: SubscriptionIds,
    /// MIME type or the like.
    pub content_type: Option<Box<str>>,
}

/// Of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AckProperties {
    /// For people.
    pub reason_string: Option<Box<str>>,
    /// Free pairs.
    pub user_properties: UserProperties,
}

/// Of SUBSCRIBE (section 3.8.2.1).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubscribeProperties {
    /// Returned with every message the subscription brings.
    pub subscription_identifier: Option<NonZeroU32>,
    /// Free pairs.
    pub user_properties: UserProperties,
}

/// Of DISCONNECT (section 3.14.2.2).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DisconnectProperties {
    /// Seconds; replaces CONNECT's.
    pub session_expiry_interval: Option<u32>,
    /// For people.
    pub reason_string: Option<Box<str>>,
    /// Free pairs.
    pub user_properties: UserProperties,
    /// Another server.
    pub server_reference: Option<Box<str>>,
}

/// Of AUTH (section 3.15.2.2).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthProperties {
    /// Enhanced authentication, by name.
    pub authentication_method: Option<Box<str>>,
    /// This step's data.
    pub authentication_data: Option<Bytes>,
    /// For people.
    pub reason_string: Option<Box<str>>,
    /// Free pairs.
    pub user_properties: UserProperties,
}
