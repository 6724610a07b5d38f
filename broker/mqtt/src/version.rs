//! What differs between 3.1, 3.1.1 and 5 besides the layout of packets: names, levels and codes.
//!
//! 3.1 is 3.1.1 under another protocol name and level. Neither has properties; their acknowledgements are just the packet
//! identifier.

use crate::{
    error::{DecodeError, EncodeError, Malformed, ProtocolViolation},
    packet::{PacketType, Version},
    reason::ReasonCode,
};

impl Version {
    /// What a CONNECT names (sections 3.1.2.1 and 3.1.2.2).
    ///
    /// # Errors
    /// [`DecodeError::ProtocolName`] and [`DecodeError::ProtocolLevel`], which say how to answer.
    pub fn from_protocol(name: &[u8], level: u8) -> Result<Self, DecodeError> {
        match (name, level) {
            (b"MQIsdp", 3) => Ok(Self::V3_1),
            (b"MQTT", 4) => Ok(Self::V3_1_1),
            (b"MQTT", 5) => Ok(Self::V5),
            // The high bit is a bridge's private mark, not a version: mosquitto tries again without it when it gets code 1.
            (b"MQTT", _) if level & 0x7F >= 5 => {
                Err(DecodeError::ProtocolLevel { level, answer_as: Self::V5 })
            }
            (b"MQTT" | b"MQIsdp", _) => Err(DecodeError::ProtocolLevel { level, answer_as: Self::V3_1_1 }),
            _ => Err(DecodeError::ProtocolName),
        }
    }

    /// The protocol name in CONNECT [MQTT-3.1.2-1].
    pub fn protocol_name(self) -> &'static str {
        match self {
            Self::V3_1 => "MQIsdp",
            Self::V3_1_1 | Self::V5 => "MQTT",
        }
    }

    /// The protocol level in CONNECT [MQTT-3.1.2-2].
    pub fn level(self) -> u8 {
        self as u8
    }

    /// The byte that says `reason` in a packet. A refusal that MQTT 5 has no code for in this packet becomes 0x80
    /// [MQTT-3.2.2-8], [MQTT-3.9.3-2], [MQTT-3.11.3-2].
    pub(crate) fn reason_to_wire(self, packet: PacketType, reason: ReasonCode) -> Result<u8, EncodeError> {
        match (self, packet) {
            (Self::V5, _) if reason.is_allowed_in(packet) => Ok(reason as u8),
            (Self::V5, _) if reason.is_error() && ReasonCode::UnspecifiedError.is_allowed_in(packet) => {
                Ok(ReasonCode::UnspecifiedError as u8)
            }
            (Self::V5, _) => Err(EncodeError::ReasonCode(reason)),
            (_, PacketType::ConnAck) => connect_return_code(reason),
            (_, PacketType::SubAck) => subscribe_return_code(reason),
            (_, other) => Err(EncodeError::NotInThisVersion(other)),
        }
    }

    /// What `byte` says in a packet.
    pub(crate) fn reason_from_wire(self, packet: PacketType, byte: u8) -> Result<ReasonCode, DecodeError> {
        if self == Self::V5 {
            return ReasonCode::try_from(byte)
                .ok()
                .filter(|reason| reason.is_allowed_in(packet))
                .ok_or(ProtocolViolation::ReasonCode(byte).into());
        }
        match (packet, byte) {
            (PacketType::ConnAck | PacketType::SubAck, 0) => Ok(ReasonCode::Success),
            (PacketType::ConnAck, 1) => Ok(ReasonCode::UnsupportedProtocolVersion),
            (PacketType::ConnAck, 2) => Ok(ReasonCode::ClientIdentifierNotValid),
            (PacketType::ConnAck, 3) => Ok(ReasonCode::ServerUnavailable),
            (PacketType::ConnAck, 4) => Ok(ReasonCode::BadUserNameOrPassword),
            (PacketType::ConnAck, 5) => Ok(ReasonCode::NotAuthorized),
            (PacketType::SubAck, 1) => Ok(ReasonCode::GrantedQos1),
            (PacketType::SubAck, 2) => Ok(ReasonCode::GrantedQos2),
            (PacketType::SubAck, 0x80) => Ok(ReasonCode::UnspecifiedError),
            _ => Err(Malformed::ReturnCode(byte).into()),
        }
    }
}

/// Section 3.2.2.3 of 3.1.1. A CONNECT that breaks the standard gets no CONNACK there [MQTT-3.1.4-1], [MQTT-3.2.2-6].
fn connect_return_code(reason: ReasonCode) -> Result<u8, EncodeError> {
    match reason {
        ReasonCode::Success => Ok(0),
        ReasonCode::UnsupportedProtocolVersion => Ok(1),
        ReasonCode::ClientIdentifierNotValid => Ok(2),
        ReasonCode::BadUserNameOrPassword => Ok(4),
        ReasonCode::NotAuthorized | ReasonCode::Banned | ReasonCode::BadAuthenticationMethod => Ok(5),
        ReasonCode::MalformedPacket
        | ReasonCode::ProtocolError
        | ReasonCode::PacketTooLarge
        | ReasonCode::TopicNameInvalid
        | ReasonCode::QosNotSupported
        | ReasonCode::RetainNotSupported => Err(EncodeError::NotInThisVersion(PacketType::ConnAck)),
        other if other.is_error() => Ok(3),
        other => Err(EncodeError::ReasonCode(other)),
    }
}

/// Section 3.9.3 of 3.1.1 [MQTT-3.9.3-2].
fn subscribe_return_code(reason: ReasonCode) -> Result<u8, EncodeError> {
    match reason {
        ReasonCode::Success | ReasonCode::GrantedQos1 | ReasonCode::GrantedQos2 => Ok(reason as u8),
        other if other.is_error() => Ok(0x80),
        other => Err(EncodeError::ReasonCode(other)),
    }
}

#[cfg(test)]
mod tests;
