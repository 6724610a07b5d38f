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
    NotMqtt(DecodeError),
    Unexpected(&'static str),
}

impl Wrong {
    pub(crate) fn of(self, client: String, piece: Piece<'_>) -> Failure {
        match self {
            Self::Refused(packet, reason) => Failure::Refused { packet, client, reason },
            Self::LessQos { granted, asked } => Failure::LessQos { client, granted, asked },
            Self::NotMqtt(source) => Failure::NotMqtt { client, source },
            Self::Unexpected(why) => {
                let packet = PacketType::try_from(piece.first >> 4).unwrap_or(PacketType::Auth);
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
