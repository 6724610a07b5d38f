//! What a message carries.

use bytes::Bytes;
use std::{fmt, ops::Deref};

/// Any bytes, of no meaning to the broker. Cheap to clone: short ones lie in the message itself, so that it takes one allocation in all, longer
/// ones are shared.
#[derive(Clone)]
pub struct Payload(Place);

/// Bytes of the longest payload that lies in its message. With it a message fills a size class of the allocator, 192 bytes.
pub(crate) const INLINE: usize = 78;

#[derive(Clone)]
enum Place {
    Inline { len: u8, bytes: [u8; INLINE] },
    Shared(Bytes),
}

impl Payload {
    /// Copies `bytes`.
    pub fn copied(bytes: &[u8]) -> Self {
        match Place::inline(bytes) {
            Some(place) => Self(place),
            None => Self(Place::Shared(Bytes::copy_from_slice(bytes))),
        }
    }

    /// As [`Bytes`]: shared if the payload is, else copied.
    pub fn to_bytes(&self) -> Bytes {
        match &self.0 {
            Place::Shared(bytes) => bytes.clone(),
            Place::Inline { .. } => Bytes::copy_from_slice(self),
        }
    }
}

impl Place {
    fn inline(from: &[u8]) -> Option<Self> {
        let mut bytes = [0; INLINE];
        bytes.get_mut(..from.len())?.copy_from_slice(from);
        // No longer than INLINE, so it fits.
        Some(Self::Inline { len: from.len() as u8, bytes })
    }
}

impl Deref for Payload {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Place::Shared(bytes) => bytes,
        }
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self(Place::Inline { len: 0, bytes: [0; INLINE] })
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(Place::inline(&bytes).unwrap_or(Place::Shared(bytes)))
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_or_long_it_is_the_same_bytes() {
        for len in [0, 1, INLINE - 1, INLINE, INLINE + 1, 300] {
            let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let payload = Payload::copied(&bytes);
            assert_eq!(*payload, bytes);
            assert_eq!(payload, Payload::from(bytes.clone()));
            assert_eq!(payload.to_bytes(), bytes);
            assert_eq!(payload.clone(), payload);
        }
        assert_eq!(*Payload::default(), []);
    }

    #[test]
    fn a_message_with_a_short_payload_takes_192_bytes() {
        // Strong and weak count stand before it.
        assert_eq!(size_of::<crate::Message>() + 16, 192);
    }

    #[test]
    fn it_is_not_printed() {
        assert_eq!(format!("{:?}", Payload::copied(b"secret")), "Payload(6 bytes)");
    }
}
