//! A PUBLISH that is made once, and again by copying.

use crate::stamp::Stamp;
use tidegate_mqtt::{EncodeError, Packet, PacketId, Publish, QoS, Version};

/// All messages of a publisher differ from it by packet identifier, number and time alone, and by the end of the topic.
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where the packet identifier is, above QoS 0.
    packet_id: Option<usize>,
    /// Where the number of the topic is.
    digits: Option<usize>,
    /// Where the payload begins, if it is not empty.
    payload: Option<usize>,
}

/// What a template is made of.
#[derive(Clone, Copy)]
pub(crate) struct Shape<'a> {
    pub(crate) version: Version,
    pub(crate) topic: Topic<'a>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Bytes of the payload: none, or at least [`Stamp::LEN`].
    pub(crate) size: usize,
    pub(crate) run: u32,
}

/// Where messages go.
#[derive(Clone, Copy)]
pub(crate) enum Topic<'a> {
    /// This one, and so many is its publisher.
    One(&'a str, u32),
    /// What begins so and ends with a number of [`DIGITS`] digits, which is in the payload, too.
    Numbered(&'a str),
}

/// Digits of a numbered topic.
pub(crate) const DIGITS: usize = 10;

/// The topic with this number.
pub(crate) fn numbered(prefix: &str, number: u32) -> String {
    format!("{prefix}{number:0DIGITS$}")
}

impl Template {
    pub(crate) fn new(shape: &Shape<'_>) -> Result<Self, EncodeError> {
        let Shape { version, qos, retain, size, run, .. } = *shape;
        let (topic, publisher) = match shape.topic {
            Topic::One(topic, publisher) => (topic.to_owned(), publisher),
            Topic::Numbered(prefix) => (numbered(prefix, 0), 0),
        };
        let mut payload = vec![b'.'; size];
        if let Some(start) = payload.first_chunk_mut() {
            *start = Stamp { run, publisher, sequence: 0, due: 0 }.to_bytes();
        }
        let packet_id = (qos > QoS::AtMostOnce).then_some(PacketId::MIN);
        let publish = Publish {
            dup: false,
            qos,
            retain,
            topic: &topic,
            packet_id,
            properties: None,
            payload: &payload,
        };
        let mut bytes = Vec::new();
        Packet::Publish(publish).encode(version, &mut bytes)?;
        let start = bytes.len() - size;
        // Between topic and payload: the packet identifier, and in MQTT 5 the length of no properties.
        let properties = usize::from(version == Version::V5);
        let packet_id = packet_id.map(|_| start - properties - 2);
        let topic_end = packet_id.unwrap_or(start - properties);
        let digits = matches!(shape.topic, Topic::Numbered(_)).then(|| topic_end - DIGITS);
        Ok(Self { bytes, packet_id, digits, payload: (size > 0).then_some(start) })
    }

    /// `packet_id` is ignored at QoS 0. `topic`: of a numbered one.
    pub(crate) fn append(&self, out: &mut Vec<u8>, packet_id: u16, topic: u32, sequence: u64, due: u64) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let frame = &mut out[start..];
        if let Some(at) = self.packet_id {
            frame[at..at + 2].copy_from_slice(&packet_id.to_be_bytes());
        }
        if let Some(at) = self.digits {
            let mut rest = topic;
            for digit in frame[at..at + DIGITS].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        let Some(payload) = self.payload else { return };
        let stamp = &mut frame[payload..payload + Stamp::LEN];
        if self.digits.is_some() {
            stamp[Stamp::PUBLISHER..Stamp::SEQUENCE].copy_from_slice(&topic.to_le_bytes());
        }
        stamp[Stamp::SEQUENCE..Stamp::DUE].copy_from_slice(&sequence.to_le_bytes());
        stamp[Stamp::DUE..].copy_from_slice(&due.to_le_bytes());
    }

    /// Bytes of the whole packet.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests;
