//! Writes the primitive types of section 1.5, or only counts the bytes they take.

use crate::error::EncodeError;

/// The largest variable byte integer, 268,435,455.
const VAR_INT_MAX: usize = 0x0FFF_FFFF;

/// Where encoded bytes go. Each packet has one function for both counting and writing, so that the two cannot differ.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);

    fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    /// Section 2.1, with the length of all that follows.
    fn fixed_header(&mut self, first_byte: u8, remaining: usize) -> Result<(), EncodeError> {
        if remaining > VAR_INT_MAX {
            return Err(EncodeError::TooLarge);
        }
        self.u8(first_byte);
        self.var_int(remaining)
    }

    /// Section 1.5.5, in the shortest form [MQTT-1.5.5-1].
    fn var_int(&mut self, value: usize) -> Result<(), EncodeError> {
        if value > VAR_INT_MAX {
            return Err(EncodeError::TooLarge);
        }
        let mut rest = value;
        while rest > 0x7F {
            self.u8((rest & 0x7F) as u8 | 0x80);
            rest >>= 7;
        }
        self.u8(rest as u8);
        Ok(())
    }

    /// Section 1.5.6
    fn binary(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.u16(u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong)?);
        self.put(bytes);
        Ok(())
    }

    /// Section 1.5.4. Topic names and filters were checked before and go through [`Sink::binary`].
    fn text(&mut self, text: &str) -> Result<(), EncodeError> {
        // [MQTT-1.5.4-2]
        if text.as_bytes().contains(&0) {
            return Err(EncodeError::Nul);
        }
        self.binary(text.as_bytes())
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts what would be written.
#[derive(Default)]
pub(crate) struct Count(pub(crate) usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// A few bytes, put together before they are appended at once: a fixed header and a length, say.
#[derive(Default)]
pub(crate) struct Head {
    bytes: [u8; 8],
    pub(crate) len: usize,
}

impl Head {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Sink for Head {
    /// What finds no room is lost: no caller puts more than seven.
    fn put(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }
}
