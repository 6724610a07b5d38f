//! The message of the running hook, for those who do not want its payload copied every time.

use crate::host;

/// Up to `len` bytes of the payload from `offset` on; fewer where it ends. [`Message::payload`](crate::Message::payload) reads
/// all of it.
pub fn read(offset: u32, len: u32) -> Vec<u8> {
    host::current_read(offset, len)
}
