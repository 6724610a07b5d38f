//! A PUBLISH that is made once, and again by copying.

use crate::stamp::Stamp;
use tidegate_mqtt::{EncodeError, Packet, PacketId, Publish, QoS, Version};

/// All messages of a publisher differ from it by packet identifier, sequence number and time alone.
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where the packet identifier is, above QoS 0.
    packet_id: Option<usize>,
    /// Where the payload begins.
    payload: usize,
}

impl Template {
    /// `size`: bytes of the payload, at least [`Stamp::LEN`].
    pub(crate) fn new(
        version: Version,
        topic: &str,
        qos: QoS,
        retain: bool,
        size: usize,
        stamp: Stamp,
    ) -> Result<Self, EncodeError> {
        let mut payload = vec![b'.'; size.max(Stamp::LEN)];
        payload[..Stamp::LEN].copy_from_slice(&stamp.to_bytes());
        let packet_id = (qos > QoS::AtMostOnce).then_some(PacketId::MIN);
        let publish =
            Publish { dup: false, qos, retain, topic, packet_id, properties: None, payload: &payload };
        let mut bytes = Vec::new();
        Packet::Publish(publish).encode(version, &mut bytes)?;
        let payload = bytes.len() - payload.len();
        // Behind it stand, in MQTT 5, the length of no properties, and the payload.
        let properties = usize::from(version == Version::V5);
        let packet_id = packet_id.map(|_| payload - properties - 2);
        Ok(Self { bytes, packet_id, payload })
    }

    /// `packet_id` is ignored at QoS 0.
    pub(crate) fn append(&self, out: &mut Vec<u8>, packet_id: u16, sequence: u64, due: u64) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let frame = &mut out[start..];
        if let Some(at) = self.packet_id {
            frame[at..at + 2].copy_from_slice(&packet_id.to_be_bytes());
        }
        let stamp = &mut frame[self.payload..self.payload + Stamp::LEN];
        stamp[Stamp::SEQUENCE..Stamp::DUE].copy_from_slice(&sequence.to_le_bytes());
        stamp[Stamp::DUE..].copy_from_slice(&due.to_le_bytes());
    }

    /// Bytes of the whole packet.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}
