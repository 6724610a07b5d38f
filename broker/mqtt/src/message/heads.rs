//! The beginning of a PUBLISH, encoded once for all who get the message as it is.

use crate::{
    encode::PublishFrame,
    error::EncodeError,
    message::Message,
    packet::{PacketId, Publish, QoS, Version},
};
use std::sync::OnceLock;

/// Everything before the payload as MQTT 5 writes it, with and without a packet identifier, for messages with properties. Not part of a
/// message's identity: two messages are equal whatever has been encoded.
#[derive(Clone, Debug, Default)]
pub struct Heads(OnceLock<Box<[OnceLock<Option<Head>>; 2]>>);

impl PartialEq for Heads {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[derive(Clone, Debug)]
struct Head {
    bytes: Box<[u8]>,
    frame: PublishFrame,
}

impl Message {
    /// Appends all of a PUBLISH of this message but its payload, with the message's own properties. `packet_id` is there exactly when `qos`
    /// is above 0. Properties are encoded on first use, then copied and patched: DUP, QoS, RETAIN and packet identifier differ from one
    /// receiver to the next, the rest does not.
    ///
    /// # Errors
    /// As [`Publish::encode`]; `out` is then as it was.
    pub fn write_head(
        &self,
        version: Version,
        (dup, qos, retain): (bool, QoS, bool),
        packet_id: Option<PacketId>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if self.properties.is_none() || version < Version::V5 {
            let (flags, names) = ((dup, qos, retain), (&*self.topic, packet_id));
            return Publish::encode_plain_head(version, flags, names, self.payload.len(), out);
        }
        let heads = self.heads.0.get_or_init(Box::default);
        let head = heads[usize::from(packet_id.is_some())].get_or_init(|| self.encode_head(packet_id));
        let Some(Head { bytes, frame }) = head else { return Err(EncodeError::TooLarge) };
        let start = out.len();
        out.extend_from_slice(bytes);
        let flags = u8::from(dup) << 3 | (qos as u8) << 1 | u8::from(retain);
        out[start] = out[start] & 0xF0 | flags;
        if let (Some(at), Some(id)) = (frame.packet_id, packet_id) {
            out[start + at..start + at + 2].copy_from_slice(&id.get().to_be_bytes());
        }
        Ok(())
    }

    /// None if the message cannot be encoded at all.
    fn encode_head(&self, packet_id: Option<PacketId>) -> Option<Head> {
        let mut bytes = Vec::new();
        let publish = Publish {
            dup: false,
            qos: if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce },
            retain: false,
            topic: &self.topic,
            packet_id,
            properties: self.properties.clone(),
            payload: &self.payload,
        };
        let frame = publish.encode_head(Version::V5, &mut bytes).ok()?;
        Some(Head { bytes: bytes.into(), frame })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HomeId, MessageId, PublishProperties, Timestamp, TopicName};

    #[test]
    fn a_shared_head_is_what_each_receiver_would_have_got() {
        let properties =
            PublishProperties { content_type: Some("text/plain".into()), ..PublishProperties::default() };
        for properties in [None, Some(Box::new(properties))] {
            for payload in [0, 300] {
                each_receiver_gets_its_own(&message(properties.clone(), vec![7; payload]));
            }
        }
    }

    fn message(properties: Option<Box<PublishProperties>>, payload: Vec<u8>) -> Message {
        Message {
            id: MessageId { home: HomeId::LOCAL, sequence: 1 },
            topic: TopicName::new("a/b").unwrap(),
            payload: payload.into(),
            qos: QoS::ExactlyOnce,
            retain: true,
            properties,
            publisher: None,
            origin: None,
            accepted_at: Timestamp(0),
            heads: Heads::default(),
        }
    }

    fn each_receiver_gets_its_own(message: &Message) {
        for version in [Version::V3_1_1, Version::V5] {
            for (dup, qos, retain) in [
                (false, QoS::AtMostOnce, false),
                (false, QoS::AtMostOnce, true),
                (false, QoS::AtLeastOnce, false),
                (true, QoS::AtLeastOnce, true),
                (true, QoS::ExactlyOnce, false),
            ] {
                for id in [1, 300] {
                    let packet_id = (qos > QoS::AtMostOnce).then(|| PacketId::new(id).unwrap());
                    let publish = Publish {
                        dup,
                        qos,
                        retain,
                        topic: &message.topic,
                        packet_id,
                        properties: message.properties.clone(),
                        payload: &message.payload,
                    };
                    let mut own = Vec::new();
                    publish.encode_head(version, &mut own).unwrap();
                    let mut shared = vec![9];
                    message.write_head(version, (dup, qos, retain), packet_id, &mut shared).unwrap();
                    assert_eq!(shared[1..], own, "{version:?} {qos:?} {id}");
                }
            }
        }
    }
}
