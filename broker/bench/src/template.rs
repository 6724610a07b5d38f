//! A PUBLISH that is made once, and again by copying.

use crate::{options::Payload, payload::write_digits, stamp::Stamp};
use tidegate_mqtt::{EncodeError, Packet, PacketId, Publish, QoS, Version};

/// All messages of a publisher differ from it by packet identifier, number and time alone, and by the end of the topic.
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where the packet identifier is, above QoS 0.
    packet_id: Option<usize>,
    /// Where the number of the topic is.
    digits: Option<usize>,
    /// Where the payload begins, if it is not empty, and what it is.
    payload: Option<(usize, Payload)>,
    run: u32,
    publisher: u32,
}

/// What a template is made of.
#[derive(Clone, Copy)]
pub(crate) struct Shape<'a> {
    pub(crate) version: Version,
    pub(crate) topic: Topic<'a>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// None: it is empty.
    pub(crate) payload: Option<Payload>,
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
        let Shape { version, qos, retain, run, .. } = *shape;
        let (topic, publisher) = match shape.topic {
            Topic::One(topic, publisher) => (topic.to_owned(), publisher),
            Topic::Numbered(prefix) => (numbered(prefix, 0), 0),
        };
        let stamp = Stamp { run, publisher, sequence: 0, due: 0 };
        let payload = shape.payload.map_or_else(Vec::new, |payload| payload.stamped(stamp));
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
        let start = bytes.len() - payload.len();
        // Between topic and payload: the packet identifier, and in MQTT 5 the length of no properties.
        let properties = usize::from(version == Version::V5);
        let packet_id = packet_id.map(|_| start - properties - 2);
        let topic_end = packet_id.unwrap_or(start - properties);
        let digits = matches!(shape.topic, Topic::Numbered(_)).then(|| topic_end - DIGITS);
        let payload = shape.payload.map(|payload| (start, payload));
        Ok(Self { bytes, packet_id, digits, payload, run, publisher })
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
            write_digits(&mut frame[at..at + DIGITS], topic.into());
        }
        let Some((start, payload)) = self.payload else { return };
        let publisher = if self.digits.is_some() { topic } else { self.publisher };
        payload.format.stamp(&mut frame[start..], Stamp { run: self.run, publisher, sequence, due });
    }

    /// Bytes of the whole packet.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests;
