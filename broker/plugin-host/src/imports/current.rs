//! `tidegate:plugin/current`: what the running hook is about, for those who rarely want it.

use crate::instance::Guest;
use scoped_tls_hkt::scoped_thread_local;
use std::sync::Arc;
use tidegate_hooks::{Attributes, NO_ATTRIBUTES};
use tidegate_mqtt::Origin;
use wasmtime::{StoreContextMut, component::LinkerInstance};

// A hot hook runs from begin to end on the caller's thread, so that nothing of this need be copied.
scoped_thread_local!(static CURRENT: for<'a> Current<'a>);

/// What a hook is about.
#[derive(Clone, Copy)]
pub(crate) struct Current<'a> {
    /// Of the message; empty where there is none, and for a batch.
    pub(crate) payload: &'a [u8],
    /// Of the client; in `deliver` of the recipient.
    pub(crate) attributes: &'a Attributes,
    /// None for what a client does.
    pub(crate) origin: Option<&'a Origin>,
}

impl Current<'static> {
    /// Of a hook that is about no message and no client.
    pub(crate) const NOTHING: Self = Self { payload: &[], attributes: &NO_ATTRIBUTES, origin: None };
}

/// A copy of it, for a hook that runs for longer than it is lent.
#[derive(Debug)]
pub(crate) struct OwnedCurrent {
    payload: Box<[u8]>,
    attributes: Attributes,
    origin: Option<Origin>,
}

impl Current<'_> {
    /// `payload`: whether it may be read.
    pub(crate) fn to_owned(self, payload: bool) -> OwnedCurrent {
        OwnedCurrent {
            payload: if payload { self.payload.into() } else { Box::default() },
            attributes: self.attributes.clone(),
            origin: self.origin.cloned(),
        }
    }
}

/// Lends `current` to the guest that `call` runs.
pub(crate) fn lend<R>(current: Current<'_>, call: impl FnOnce() -> R) -> R {
    CURRENT.set(current, call)
}

/// Of a hook that may wait it lies in the store, of one that may not on the thread's stack.
fn current<R>(cx: &StoreContextMut<'_, Guest>, look: impl FnOnce(Current<'_>) -> R) -> R {
    match &cx.data().current {
        Some(OwnedCurrent { payload, attributes, origin }) => {
            look(Current { payload, attributes, origin: origin.as_ref() })
        }
        None if CURRENT.is_set() => CURRENT.with(look),
        None => look(Current::NOTHING),
    }
}

/// The plugin that published the message which the running hook is about.
pub(crate) fn origin(cx: &StoreContextMut<'_, Guest>) -> Option<Arc<str>> {
    current(cx, |current| current.origin.map(|origin| origin.plugin.clone()))
}

/// How many plugins' publishes led to the message which the running hook is about.
pub(crate) fn hops(cx: &StoreContextMut<'_, Guest>) -> u8 {
    current(cx, |current| current.origin.map_or(0, |origin| origin.hops))
}

pub(super) fn link(interface: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    type Cx<'a> = StoreContextMut<'a, Guest>;
    interface.func_wrap("read", |cx: Cx<'_>, (offset, len): (u32, u32)| {
        Ok((current(&cx, |current| part(current.payload, offset, len).to_vec()),))
    })?;
    interface.func_wrap("attribute", |cx: Cx<'_>, (name,): (String,)| {
        Ok((current(&cx, |current| current.attributes.get(&name).map(str::to_owned)),))
    })?;
    interface.func_wrap("attributes", |cx: Cx<'_>, (): ()| {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok((current(&cx, |current| current.attributes.iter().map(owned).collect::<Vec<_>>()),))
    })?;
    interface
        .func_wrap("origin", |cx: Cx<'_>, (): ()| Ok((origin(&cx).map(|plugin| String::from(&*plugin)),)))?;
    interface.func_wrap("hops", |cx: Cx<'_>, (): ()| Ok((hops(&cx),)))
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
