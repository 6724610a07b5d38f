//! Reads the primitive types of section 1.5 off a packet's body.

use crate::{
    error::{DecodeError, Malformed, ProtocolViolation},
    packet::PacketId,
};

/// What is left to read. Every method takes from the front or fails.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    /// Fails if anything is left.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed::Trailing) }
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn var_int(&mut self) -> Result<u32, Malformed> {
        let (value, len) = var_int(self.bytes)?.ok_or(Malformed::Truncated)?;
        self.take(len)?;
        Ok(value)
    }

    /// Section 1.5.6
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u16()?;
        self.take(len.into())
    }

    /// UTF-8 without surrogates [MQTT-1.5.4-1]. U+FEFF stays [MQTT-1.5.4-3]. Who calls this looks for U+0000 in the same pass
    /// as for other characters; else use [`Reader::text`].
    pub(crate) fn utf8(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.binary()?).map_err(|_| Malformed::Utf8)
    }

    /// Section 1.5.4
    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        let text = self.utf8()?;
        // [MQTT-1.5.4-2]
        if text.as_bytes().contains(&0) { Err(Malformed::Nul) } else { Ok(text) }
    }

    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.u16()?).ok_or(ProtocolViolation::PacketIdZero.into())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.bytes.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.bytes = rest;
        Ok(*array)
    }
}

/// The variable byte integer at the start of `bytes` and its length, or None if its end has not arrived (section 1.5.5).
pub(crate) fn var_int(bytes: &[u8]) -> Result<Option<(u32, usize)>, Malformed> {
    let mut value = 0;
    for (position, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * position);
        if byte & 0x80 == 0 {
            // [MQTT-1.5.5-1]
            let shortest = byte != 0 || position == 0;
            return if shortest { Ok(Some((value, position + 1))) } else { Err(Malformed::VarInt) };
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(Malformed::VarInt) }
}
