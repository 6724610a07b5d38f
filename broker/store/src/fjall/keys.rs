//! Keys as the trees want them: not empty, and at most 65,535 bytes long.
//!
//! An empty key becomes a byte 1, and a key that begins with a byte 0 or 1 gets a byte 1 before it, which keeps their order. So nothing
//! that is stored begins with 0, and [`FIRST`] is before all.

use crate::backend::MAX_KEY;
use std::ops::Bound;

/// In every tree, with an empty value. A merge takes a table of deletions further down only where tables of the next level begin before
/// it, and a queue that is read from its beginning would never have any.
pub(super) const FIRST: &[u8] = b"\0";

/// As it is stored; `None` if it is too long.
pub(super) fn stored(key: &[u8]) -> Option<Vec<u8>> {
    (key.len() <= MAX_KEY).then(|| lower(key))
}

fn lower(key: &[u8]) -> Vec<u8> {
    match key.first() {
        None | Some(0 | 1) => [b"\x01", key].concat(),
        Some(_) => key.to_vec(),
    }
}

/// The key that was stored.
pub(super) fn original(stored: &[u8]) -> &[u8] {
    stored.strip_prefix(b"\x01").unwrap_or(stored)
}

type Range = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// What is stored of the keys that begin with `prefix` and lie behind `after`. `None` if there can be none.
pub(super) fn range(prefix: &[u8], after: Option<&[u8]>) -> Option<Range> {
    let begin = match prefix {
        // Everything but `FIRST`.
        [] => b"\x01".to_vec(),
        prefix => lower(prefix),
    };
    let end = if prefix.is_empty() { None } else { behind(&begin) };
    let from = match after.map(lower).filter(|after| *after >= begin) {
        Some(after) if end.as_ref().is_some_and(|end| after >= *end) => return None,
        Some(after) => Bound::Excluded(after),
        None => Bound::Included(begin),
    };
    Some((from, end.map_or(Bound::Unbounded, Bound::Excluded)))
}

/// The first key behind all that begin with `prefix`.
fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix.get(..=last)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_keys_keep_their_order_and_read_back() {
        let keys: [&[u8]; 9] = [b"", b"\0", b"\0\0", b"\0\x01", b"\0\xff", b"\x01", b"a", b"a\0", b"\xff"];
        let stored: Vec<_> = keys.iter().map(|key| stored(key).unwrap()).collect();
        assert!(stored.is_sorted() && stored.iter().all(|key| &key[..] > FIRST));
        assert!(keys.iter().zip(&stored).all(|(key, stored)| original(stored) == *key));
    }

    #[test]
    fn a_key_that_is_too_long_is_not_cut() {
        assert_eq!(stored(&vec![0; MAX_KEY]).unwrap().len(), MAX_KEY + 1);
        assert_eq!(stored(&vec![b'a'; MAX_KEY + 1]), None);
    }
}
