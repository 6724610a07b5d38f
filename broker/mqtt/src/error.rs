//! What can be wrong with bytes from a peer ([`DecodeError`], the peer's fault) and with a packet of ours ([`EncodeError`],
//! ours). The texts are short enough for a Reason String.

use crate::{
    names::NameError,
    packet::{PacketType, Version},
    reason::ReasonCode,
};

/// Why bytes are not a packet. Always the peer's fault; the connection ends [MQTT-4.13.1-1], [MQTT-4.8.0-1] (3.1.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes do not follow the layout of their packet: 0x81.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The layout holds, the content is forbidden: 0x82.
    #[error(transparent)]
    Protocol(#[from] ProtocolViolation),
    /// [MQTT-3.3.2-8]: 0x94.
    #[error("topic alias is 0")]
    TopicAliasZero,
    /// Known from the fixed header alone, before the body is there: 0x95 [MQTT-3.2.2-15].
    #[error("packet of {size} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Of the whole packet, fixed header included.
        size: u32,
        /// What the caller allowed.
        limit: u32,
    },
    /// A CONNECT of something else than MQTT: close without an answer [MQTT-3.1.2-1].
    #[error("protocol name is not MQTT")]
    ProtocolName,
    /// A CONNECT at a level that is not served [MQTT-3.1.2-2].
    #[error("protocol level {level} is not served")]
    ProtocolLevel {
        /// As sent.
        level: u8,
        /// How to encode the CONNACK that says so: 0x84 in MQTT 5, return code 1 in 3.1.1.
        answer_as: Version,
    },
}

/// How bytes miss the layout of their packet: reason code 0x81.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// A field needs more bytes than its packet or property set has.
    #[error("a field ends behind its packet")]
    Truncated,
    /// Bytes are left behind the last field.
    #[error("bytes are left behind the last field")]
    Trailing,
    /// [MQTT-1.5.5-1]: longer than four bytes, or longer than needed.
    #[error("variable byte integer is not in its shortest form")]
    VarInt,
    /// Packet type 0.
    #[error("packet type 0 is reserved")]
    PacketType,
    /// [MQTT-2.1.3-1], [MQTT-2.2.2-1] (3.1.1).
    #[error("reserved flags of the fixed header are wrong")]
    Flags,
    /// [MQTT-3.3.1-4]
    #[error("QoS 3")]
    QoS,
    /// [MQTT-3.3.1-2]
    #[error("DUP at QoS 0")]
    DupAtQos0,
    /// [MQTT-1.5.4-1], [MQTT-1.5.3-1] (3.1.1).
    #[error("text is not UTF-8")]
    Utf8,
    /// [MQTT-1.5.4-2], [MQTT-1.5.3-2] (3.1.1).
    #[error("text contains U+0000")]
    Nul,
    /// Not a topic name or filter.
    #[error("topic name or filter: {0}")]
    Name(NameError),
    /// [MQTT-3.1.2-3], [MQTT-3.2.2-1].
    #[error("reserved connect flag is set")]
    ConnectFlags,
    /// [MQTT-3.1.2-11], [MQTT-3.1.2-13]
    #[error("will QoS or will retain without a will")]
    WillFlags,
    /// [MQTT-3.1.2-22] (3.1.1); MQTT 5 allows it.
    #[error("password without user name")]
    PasswordWithoutUserName,
    /// [MQTT-3.8.3-5], [MQTT-3.8.3-4] (3.1.1).
    #[error("reserved subscription option is set")]
    SubscriptionOptions,
    /// Unknown, or not for this packet (section 2.2.2.2).
    #[error("property 0x{0:02X} is unknown or not for this packet")]
    Property(u8),
    /// A CONNACK or SUBACK code that 3.1.1 does not have.
    #[error("return code {0} does not exist")]
    ReturnCode(u8),
    /// AUTH came with MQTT 5.
    #[error("AUTH before MQTT 5")]
    AuthBeforeV5,
}

/// How a well-formed packet breaks the rules: reason code 0x82.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProtocolViolation {
    /// [MQTT-2.2.1-3], [MQTT-2.3.1-1] (3.1.1).
    #[error("packet identifier is 0")]
    PacketIdZero,
    /// Only User Property may repeat, and Subscription Identifier in the broker's PUBLISH.
    #[error("property 0x{0:02X} is there twice")]
    PropertyTwice(u8),
    /// A value outside the property's range: 0 where 0 is forbidden, or a flag above 1.
    #[error("property 0x{0:02X} has a forbidden value")]
    PropertyValue(u8),
    /// Sections 3.1.2.11.10, 3.2.2.3.18 and 3.15.2.2.3.
    #[error("authentication data without a method")]
    AuthenticationDataWithoutMethod,
    /// Section 3.15.2.2.2
    #[error("AUTH without an authentication method")]
    AuthenticationMethodMissing,
    /// [MQTT-4.7.3-1]: nor a topic alias that could stand for it.
    #[error("topic name or filter is empty")]
    EmptyName,
    /// [MQTT-3.3.2-14]
    #[error("response topic has a wildcard")]
    ResponseTopicWildcard,
    /// [MQTT-4.8.2-1], [MQTT-4.8.2-2]
    #[error("{}", NameError::ShareName)]
    ShareName,
    /// [MQTT-3.8.3-4]
    #[error("No Local on a shared subscription")]
    NoLocalOnShared,
    /// Section 3.8.3.1
    #[error("subscription asks for QoS 3")]
    SubscriptionQos,
    /// Section 3.8.3.1
    #[error("retain handling is 3")]
    RetainHandling,
    /// [MQTT-3.8.3-2], [MQTT-3.10.3-2]
    #[error("payload lists nothing")]
    EmptyList,
    /// [MQTT-3.4.2-1] and its like.
    #[error("reason code 0x{0:02X} is not for this packet or sender")]
    ReasonCode(u8),
    /// [MQTT-3.2.2-6]
    #[error("session present with a refusal")]
    SessionPresentWithRefusal,
    /// [MQTT-3.3.4-6]
    #[error("subscription identifier from a client")]
    SubscriptionIdFromClient,
    /// A client sent CONNACK, SUBACK, UNSUBACK, PINGRESP or a Server Reference.
    #[error("only a server may send this")]
    OnlyFromServer,
}

impl DecodeError {
    /// What a DISCONNECT, or a CONNACK if none was sent yet, says about it in MQTT 5. Before MQTT 5 the connection just
    /// closes, except for [`DecodeError::ProtocolLevel`].
    pub fn reason_code(&self) -> ReasonCode {
        match self {
            Self::Malformed(_) => ReasonCode::MalformedPacket,
            Self::Protocol(_) => ReasonCode::ProtocolError,
            Self::TopicAliasZero => ReasonCode::TopicAliasInvalid,
            Self::TooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::ProtocolName | Self::ProtocolLevel { .. } => ReasonCode::UnsupportedProtocolVersion,
        }
    }

    /// The error that a bad topic name or filter makes.
    pub(crate) fn name(error: NameError, version: Version) -> Self {
        match error {
            NameError::Empty if version == Version::V5 => ProtocolViolation::EmptyName.into(),
            NameError::ShareName => ProtocolViolation::ShareName.into(),
            NameError::Nul => Malformed::Nul.into(),
            other => Malformed::Name(other).into(),
        }
    }
}

/// Why a packet cannot be written. Our own fault, or that of the plugin that made it. Nothing was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// The connection's version has no such packet, or no way to say this.
    #[error("{0:?} with this content does not exist in the connection's version")]
    NotInThisVersion(PacketType),
    /// Longer than the two-byte length can say.
    #[error("text or binary field is longer than 65,535 bytes")]
    FieldTooLong,
    /// [MQTT-1.5.4-2]
    #[error("text contains U+0000")]
    Nul,
    /// More than 268,435,455 bytes, or more than the receiver allows [MQTT-3.1.2-24].
    #[error("packet is larger than the receiver allows")]
    TooLarge,
    /// A PUBLISH has a packet identifier exactly when its QoS is above 0 [MQTT-2.2.1-2].
    #[error("packet identifier does not go with the QoS")]
    PacketId,
    /// [MQTT-4.7.3-1]
    #[error("neither topic name nor topic alias")]
    NoTopic,
    /// A code outside the packet's table, and no 0x80 in it to stand for it [MQTT-3.9.3-2].
    #[error("{0} is not for this packet")]
    ReasonCode(ReasonCode),
}

impl EncodeError {
    /// What to tell the peer, if the connection cannot go on.
    pub fn reason_code(&self) -> ReasonCode {
        match self {
            Self::TooLarge => ReasonCode::PacketTooLarge,
            _ => ReasonCode::ImplementationSpecificError,
        }
    }
}
