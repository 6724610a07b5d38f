//! Reads what a component exports and imports, before anything of it runs.

use crate::{
    examine::apart,
    grants::Grants,
    imports,
    instance::Exports,
    refusal::{Refusal, VERSION},
    tally::Hook,
};
use wasmtime::{Engine, component::Component};

/// A component that may become a plugin.
#[derive(Clone)]
pub(crate) struct Inspected {
    pub(crate) component: Component,
    pub(crate) exports: Exports,
    /// What it exports, in the order of the interface.
    pub(crate) hooks: Vec<Hook>,
    /// Whether it reads payloads through `current`.
    pub(crate) reads_current: bool,
    /// Whether it imports a way to send HTTP requests, ours or WASI's.
    pub(super) imports_http: bool,
    pub(super) imports_tcp: bool,
    pub(super) imports_engine: bool,
}

impl Inspected {
    /// Whether its hooks may wait for answers from outside.
    pub(crate) fn waits(&self, grants: &Grants) -> bool {
        self.imports_http && grants.http.is_some()
            || self.imports_tcp && grants.tcp.is_some()
            || self.imports_engine && grants.engine
    }
}

/// Checks names and versions of exports and imports.
pub(crate) fn inspect(engine: &Engine, component: Component) -> Result<Inspected, Refusal> {
    let ty = component.component_type();
    let exported: Vec<&str> = ty.exports(engine).map(|(name, _)| name).collect();
    let mut named = Vec::new();
    for name in &exported {
        let Some((interface, version)) = apart(name) else { continue };
        if version != VERSION {
            return Err(Refusal::OtherVersion(version.into()));
        }
        match Hook::from_name(interface) {
            Some(hook) => named.push((hook, *name)),
            None if ["lifecycle", "types"].contains(&interface) => {}
            None => return Err(Refusal::UnknownExport((*name).into())),
        }
    }
    let (mut reads_current, mut imports_http) = (false, false);
    let (mut imports_tcp, mut imports_engine) = (false, false);
    for (name, _) in ty.imports(engine) {
        match apart(name) {
            Some((interface, VERSION)) if imports::INTERFACES.contains(&interface) => {
                reads_current |= interface == "current";
                imports_http |= interface == "http";
                imports_tcp |= interface == "tcp";
                imports_engine |= interface == "engine";
            }
            _ if imports::is_wasi(name) => imports_http |= name.starts_with("wasi:http/outgoing-handler@"),
            _ if name.starts_with("wasi:") => return Err(Refusal::Wasi(name.into())),
            _ => return Err(Refusal::UnknownImport(name.into())),
        }
    }
    let exports = Exports::of(&component).ok_or(Refusal::NoLifecycle)?;
    if let Some((_, name)) = named.iter().find(|(hook, _)| !exports.serves(*hook)) {
        return Err(Refusal::Interface(format!("{name} lacks a function").into()));
    }
    let hooks = exports.hooks();
    if hooks.is_empty() {
        return Err(Refusal::NoHook);
    }
    if hooks.contains(&Hook::Publish) && hooks.contains(&Hook::PublishBatch) {
        return Err(Refusal::PublishTwice);
    }
    if hooks.contains(&Hook::EnhancedAuth) && !hooks.contains(&Hook::Auth) {
        return Err(Refusal::EnhancedAuthAlone);
    }
    Ok(Inspected { component, exports, hooks, reads_current, imports_http, imports_tcp, imports_engine })
}
