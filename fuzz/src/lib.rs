//! What the fuzz targets do with their bytes. No fuzzer in here: tests of `tidegate-mqtt` and `tidegate-session` run the same over the
//! corpora.
//!
//! Reading order:
//! - `decode`: bytes from the network
//! - `encode_decode`: packets to bytes and back
//! - `session`: a client, a broker and time, all of them arbitrary
//! - `packets`: a packet from bytes; `input`: bytes as choices

#![forbid(unsafe_code)]

pub mod decode;
pub mod encode_decode;
pub mod input;
pub mod packets;
pub mod session;
