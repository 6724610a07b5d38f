//! What the test said; then random enough for tests.

use super::with;
use std::hash::{BuildHasher, RandomState};

pub(crate) fn random_bytes(count: usize) -> Vec<u8> {
    let said: Vec<u8> = with(|fake| fake.random.drain(..count.min(fake.random.len())).collect());
    let others = (0_u64..).flat_map(|at| RandomState::new().hash_one(at).to_le_bytes());
    said.into_iter().chain(others).take(count).collect()
}

#[cfg(test)]
mod tests {
    use crate::{random, testing::Host};

    #[test]
    fn what_the_test_said_comes_first() {
        let _host = Host::new().random(*b"abc");
        assert_eq!(random::bytes(2), b"ab");
        let bytes: [u8; 20] = random::array();
        assert_eq!(bytes[0], b'c');
        assert_ne!(bytes[1..], [0; 19]);
    }
}
