//! Random enough for tests.

use std::hash::{BuildHasher, RandomState};

pub(crate) fn random_bytes(count: usize) -> Vec<u8> {
    (0_u64..).flat_map(|at| RandomState::new().hash_one(at).to_le_bytes()).take(count).collect()
}
