//! What is wrong with a packet, whoever got it.

use crate::{
    crew::Piece,
    failure::{Asked, Failure},
};
use tidegate_mqtt::{DecodeError, PacketType, ReasonCode};

/// A [`Failure`] that does not know its client yet.
#[derive(Debug)]
pub(crate) enum Wrong {
    Refused(Asked, ReasonCode),
    LessQos { granted: u8, asked: u8 },
    TooLarge { size: usize, limit: usize },
    NotMqtt(DecodeError),
    Unexpected(&'static str),
}

impl Wrong {
    /// Of a CONNACK that was taken apart.
    pub(crate) fn of_connack(self, client: String) -> Failure {
        self.of_type(client, PacketType::ConnAck as u8)
    }

    pub(crate) fn of(self, client: String, piece: Piece<'_>) -> Failure {
        self.of_type(client, piece.first >> 4)
    }

    fn of_type(self, client: String, packet_type: u8) -> Failure {
        match self {
            Self::Refused(packet, reason) => Failure::Refused { packet, client, reason },
            Self::LessQos { granted, asked } => Failure::LessQos { client, granted, asked },
            Self::TooLarge { size, limit } => Failure::TooLarge { size, limit },
            Self::NotMqtt(source) => Failure::NotMqtt { client, source },
            Self::Unexpected(why) => {
                let packet = PacketType::try_from(packet_type).unwrap_or(PacketType::Auth);
                Failure::Unexpected { packet, client, why }
            }
        }
    }
}

impl From<DecodeError> for Wrong {
    fn from(error: DecodeError) -> Self {
        Self::NotMqtt(error)
    }
}
