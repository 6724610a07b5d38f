//! `tidegate:plugin/config`: the plugin's own table, and the secrets it was granted.

use crate::instance::Guest;
use wasmtime::{StoreContextMut, component::LinkerInstance};

type Cx<'a> = StoreContextMut<'a, Guest>;

pub(super) fn link(interface: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    interface.func_wrap("get", |cx: Cx<'_>, (key,): (String,)| {
        Ok((cx.data().environment.config.key(&key).map(str::to_owned),))
    })?;
    interface.func_wrap("document", |cx: Cx<'_>, (): ()| {
        Ok((cx.data().environment.config.document().to_owned(),))
    })?;
    interface.func_wrap("secret", |cx: Cx<'_>, (name,): (String,)| {
        Ok((cx.data().environment.secrets.value(&name).map(str::to_owned),))
    })
}
