//! `tidegate:plugin/current`: the payload of the running hook, for those who rarely want it.

use crate::instance::Guest;
use scoped_tls_hkt::scoped_thread_local;
use wasmtime::{StoreContextMut, component::LinkerInstance};

// A hot hook runs from begin to end on the caller's thread, so that the payload can be lent without a copy.
scoped_thread_local!(static PAYLOAD: for<'a> &'a [u8]);

/// Lends `payload` to the guest that `call` runs.
pub(crate) fn with_payload<R>(payload: &[u8], call: impl FnOnce() -> R) -> R {
    PAYLOAD.set(payload, call)
}

pub(super) fn link(interface: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    interface.func_wrap("read", |_: StoreContextMut<'_, Guest>, (offset, len): (u32, u32)| {
        if !PAYLOAD.is_set() {
            return Ok((Vec::new(),));
        }
        Ok((PAYLOAD.with(|payload| part(payload, offset, len).to_vec()),))
    })
}

/// How many plugins' publishes led to the message which the running hook is about.
pub(super) fn hops(_: &StoreContextMut<'_, Guest>) -> u8 {
    0
}

/// What there is of the part asked for.
fn part(payload: &[u8], offset: u32, len: u32) -> &[u8] {
    let (offset, len) = (offset as usize, len as usize);
    let rest = payload.get(offset..).unwrap_or_default();
    rest.get(..len).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn a_part_ends_where_the_payload_ends() {
        assert_eq!(part(b"hello", 0, 5), b"hello");
        assert_eq!(part(b"hello", 1, 2), b"el");
        assert_eq!(part(b"hello", 3, 100), b"lo");
        assert_eq!(part(b"hello", 5, 1), b"");
        assert_eq!(part(b"hello", u32::MAX, u32::MAX), b"");
    }
}
