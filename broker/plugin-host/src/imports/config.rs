//! `tidegate:plugin/config`: the plugin's own table.

use crate::instance::Guest;
use wasmtime::{StoreContextMut, component::LinkerInstance};

pub(super) fn link(interface: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    interface.func_wrap("get", |store: StoreContextMut<'_, Guest>, (key,): (String,)| {
        Ok((store.data().environment.config.key(&key).map(str::to_owned),))
    })?;
    interface.func_wrap("document", |store: StoreContextMut<'_, Guest>, (): ()| {
        Ok((store.data().environment.config.document().to_owned(),))
    })
}
