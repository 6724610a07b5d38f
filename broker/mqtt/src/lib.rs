//! MQTT 3.1, 3.1.1 and 5.0: bytes to packets and back.
//!
//! No I/O, no clock, no tokio. Reading order: `packet` (the one model, in MQTT 5 terms), `names`, `properties`, `reason`,
//! `message`, then `version`, `decode`, `encode`, `outgoing`.

mod message;
mod names;
mod packet;
mod properties;
mod reason;

pub use message::{HomeId, Message, MessageId, SessionId, Timestamp};
pub use names::{ClientId, NameError, ShareName, SubscriptionFilter, TopicFilter, TopicName};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, Publish, QoS, RetainHandling, SubAck,
    Subscribe, SubscriptionOptions, UnsubAck, Unsubscribe, Version, Will,
};
pub use properties::{
    AckProperties, AuthProperties, ConnAckProperties, ConnectProperties, DisconnectProperties,
    PublishProperties, SubscribeProperties, SubscriptionIds, UserProperties, WillProperties,
};
pub use reason::ReasonCode;
