//! Random bytes that nobody can guess. Granted to all.

use crate::host;

/// So many of them.
///
/// ```
/// assert_ne!(tidegate_plugin::random::bytes(16), tidegate_plugin::random::bytes(16));
/// ```
pub fn bytes(count: usize) -> Vec<u8> {
    host::random_bytes(count)
}

/// As many as there is room for.
pub fn array<const N: usize>() -> [u8; N] {
    let mut array = [0; N];
    array.iter_mut().zip(bytes(N)).for_each(|(place, byte)| *place = byte);
    array
}
