//! What every payload says of its message.

/// By bytes at the start of a payload, little endian, or by fields of an object.
#[derive(Clone, Copy, Debug, serde::Deserialize, Eq, PartialEq)]
pub(crate) struct Stamp {
    /// Tells this run from others.
    pub(crate) run: u32,
    /// Counted over all threads from 0; of numbered topics, the number of the topic.
    pub(crate) publisher: u32,
    /// Counted by the publisher from 0.
    pub(crate) sequence: u64,
    /// When the message was due, in nanoseconds of the run's clock.
    pub(crate) due: u64,
}

impl Stamp {
    /// Bytes.
    pub(crate) const LEN: usize = 24;

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.run.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.publisher.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..].copy_from_slice(&self.due.to_le_bytes());
        bytes
    }

    /// None if the payload is too short.
    pub(crate) fn from_bytes(payload: &[u8]) -> Option<Self> {
        let (run, rest) = payload.split_first_chunk()?;
        let (publisher, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (due, _) = rest.split_first_chunk()?;
        Some(Self {
            run: u32::from_le_bytes(*run),
            publisher: u32::from_le_bytes(*publisher),
            sequence: u64::from_le_bytes(*sequence),
            due: u64::from_le_bytes(*due),
        })
    }
}
