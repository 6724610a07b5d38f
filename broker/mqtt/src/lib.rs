//! MQTT 3.1, 3.1.1 and 5.0: bytes to packets and back. No I/O, no clock, no tokio.
//!
//! Reading order:
//! - `packet`: the one model, in MQTT 5 terms; `names`, `properties`, `reason`: what it is made of
//! - `message`: a message as the broker keeps it
//! - `version`: what 3.1 and 3.1.1 call by other names and codes
//! - `decode`: bytes to packets; `reader`: bytes to fields
//! - `encode`: packets to bytes; `writer`: fields to bytes
//! - `properties/wire`: which property stands in which packet, for both directions
//! - `error`: whose fault it was, and the reason code for it
//! - `outgoing`: bytes that wait for one socket

#[cfg(test)]
mod arbitrary;
mod decode;
mod encode;
mod error;
mod message;
mod names;
mod outgoing;
mod packet;
mod properties;
mod reader;
mod reason;
mod version;
mod writer;

pub use decode::{Frame, PlainPublish, next_frame};
pub use encode::{PublishFrame, encode_short_ack};
pub use error::{DecodeError, EncodeError, Malformed, ProtocolViolation};
pub use message::{Heads, HomeId, Message, MessageId, Origin, Payload, SessionId, Timestamp};
pub use names::{ClientId, NameError, ShareName, SubscriptionFilter, TopicFilter, TopicName};
pub use outgoing::Outgoing;
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, PacketType, Publish, QoS, RetainHandling,
    SubAck, Subscribe, SubscriptionOptions, UnsubAck, Unsubscribe, Version, Will,
};
pub use properties::{
    AckProperties, AuthProperties, ConnAckProperties, ConnectProperties, DisconnectProperties,
    PublishProperties, SubscribeProperties, SubscriptionIds, UserProperties, WillProperties,
};
pub use reason::ReasonCode;
