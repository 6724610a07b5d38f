//! `tidegate:plugin/kv`: a small store for each plugin, shared by its instances and kept across generations and restarts.

mod saver;
mod space;
mod store;

pub(crate) use space::KvSpace;
pub(crate) use store::KvStore;

use crate::{imports::now, instance::Guest, units::ByteSize, wire::KvError};
use std::sync::Arc;
use wasmtime::{StoreContextMut, component::LinkerInstance};

type Answer<T> = Result<T, KvError>;
type Cx<'a> = StoreContextMut<'a, Guest>;
/// What `swap` takes.
type Swap = (String, Option<Vec<u8>>, Option<Vec<u8>>, Option<u64>);

pub(super) fn link(interface: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    interface.func_wrap("get", |cx: Cx<'_>, (key,): (String,)| {
        Ok((granted(&cx).map(|(space, _)| space.get(&key, now())),))
    })?;
    interface.func_wrap("set", |cx: Cx<'_>, (key, value, ttl): (String, Vec<u8>, Option<u64>)| {
        Ok((granted(&cx).and_then(|(space, limit)| space.set(key, value, ttl, limit, now())),))
    })?;
    interface.func_wrap("delete", |cx: Cx<'_>, (key,): (String,)| {
        Ok((granted(&cx).map(|(space, _)| space.delete(&key, now())),))
    })?;
    interface.func_wrap("add", |cx: Cx<'_>, (key, delta, ttl): (String, i64, Option<u64>)| {
        Ok((granted(&cx).and_then(|(space, limit)| space.add(key, delta, ttl, limit, now())),))
    })?;
    interface.func_wrap("swap", |cx: Cx<'_>, (key, old, new, ttl): Swap| {
        let swapped =
            granted(&cx).and_then(|(space, limit)| space.swap(key, old.as_deref(), new, ttl, limit, now()));
        Ok((swapped,))
    })?;
    interface.func_wrap("keys", |cx: Cx<'_>, (prefix, after, limit): (String, Option<String>, u32)| {
        Ok((granted(&cx).map(|(space, _)| space.keys(&prefix, after.as_deref(), limit, now())),))
    })
}

fn granted<'a>(cx: &'a Cx<'_>) -> Answer<(&'a Arc<KvSpace>, ByteSize)> {
    cx.data().environment.kv.as_ref().map(|(space, limit)| (space, *limit)).ok_or(KvError::Denied)
}
