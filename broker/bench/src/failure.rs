//! Why a run has no figures.

use std::{fmt, io};
use tidegate_mqtt::{DecodeError, PacketType, ReasonCode};

/// What ended a run before its time. Each is a sentence for the user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The options contradict each other: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A file of the options cannot be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// As given.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// No connection came about.
    #[error("cannot reach {address}: {source}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// TLS or WebSocket did not come about, or broke.
    #[error("cannot talk to {address}: {source}")]
    Transport {
        /// Host and port.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The broker said no.
    #[error("the broker refused the {packet} of client {client}: {reason}")]
    Refused {
        /// What was refused.
        packet: Asked,
        /// Client identifier.
        client: String,
        /// As MQTT 5 calls it, whatever the version.
        reason: ReasonCode,
    },
    /// The broker gave less than was asked for.
    #[error("the broker grants QoS {granted} to client {client}, not QoS {asked}")]
    LessQos {
        /// Client identifier.
        client: String,
        /// By SUBACK or CONNACK.
        granted: u8,
        /// By `--qos`.
        asked: u8,
    },
    /// The broker cannot do what the scenario is about.
    #[error("the broker says that it has no {0}")]
    NotOffered(&'static str),
    /// By CONNACK.
    #[error("the broker takes packets of {limit} bytes, and these have {size}")]
    TooLarge {
        /// Bytes of a PUBLISH.
        size: usize,
        /// Bytes.
        limit: usize,
    },
    /// The broker said goodbye.
    #[error("the broker disconnected client {client}: {reason}")]
    Disconnected {
        /// Client identifier.
        client: String,
        /// From its DISCONNECT.
        reason: ReasonCode,
    },
    /// A connection ended without a word.
    #[error("the broker dropped the connection of client {client} {when}{}", because(.source))]
    Dropped {
        /// Client identifier.
        client: String,
        /// In words.
        when: &'static str,
        /// None: closed in order.
        source: Option<io::Error>,
    },
    /// What came is not MQTT.
    #[error("what the broker sent to client {client} is no packet: {source}")]
    NotMqtt {
        /// Client identifier.
        client: String,
        /// What is wrong.
        source: DecodeError,
    },
    /// MQTT, but not now.
    #[error("the broker sent a {packet:?} to client {client} that makes no sense here: {why}")]
    Unexpected {
        /// What came.
        packet: PacketType,
        /// Client identifier.
        client: String,
        /// In words.
        why: &'static str,
    },
    /// This machine has not enough of something.
    #[error("{0}")]
    Here(String),
    /// Too much time went by.
    #[error("the broker did not answer within {seconds} s: {what}")]
    NoAnswer {
        /// How long it was waited for.
        seconds: u64,
        /// In words.
        what: String,
    },
    /// The system refused something that has nothing to do with the broker.
    #[error("cannot {0}: {1}")]
    System(&'static str, io::Error),
    /// Another thread has failed, or the user has had enough.
    #[error("interrupted before there was anything to tell")]
    Stopped,
}

/// What a broker can refuse.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    Connect,
    Subscribe,
    Unsubscribe,
    Publish,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "CONNECT",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Publish => "PUBLISH",
        })
    }
}

fn because(source: &Option<io::Error>) -> String {
    source.as_ref().map(|error| format!(": {error}")).unwrap_or_default()
}
