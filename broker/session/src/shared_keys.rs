//! How tables of sessions hash.

use ahash::{AHasher, RandomState};
use std::{hash::BuildHasher, sync::LazyLock};

/// Hashes with keys drawn once for the process: a table with keys of its own holds 32 bytes of them, and each client has three tables.
#[derive(Clone, Copy, Debug, Default)]
pub struct SharedKeys;

static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl BuildHasher for SharedKeys {
    type Hasher = AHasher;

    #[inline]
    fn build_hasher(&self) -> AHasher {
        KEYS.build_hasher()
    }
}
