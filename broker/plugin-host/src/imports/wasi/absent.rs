//! What WASI has and plugins have not: files, sockets, terminals, arguments, requests that come in. A guest that imports it without use
//! runs; one that asks is told that there is nothing, or that it may not, or ends.

use super::linked;
use crate::instance::Guest;
use wasmtime::{
    StoreContextMut,
    component::{
        Component, Linker, Resource, ResourceAny, ResourceType, Type, Val,
        types::{ComponentFunc, ComponentItem},
    },
};

/// How errors of WASI's interfaces say that something is not allowed.
const DENIALS: [&str; 3] = ["access-denied", "access", "not-permitted"];

/// Stands for resources that lead nowhere, such as the network.
struct Nothing;

/// Answers every WASI function that `component` imports.
pub(super) fn link(linker: &mut Linker<Guest>, component: &Component) -> wasmtime::Result<()> {
    let engine = component.engine();
    let ty = component.component_type();
    let mut defined = Vec::new();
    for (name, import) in ty.imports(engine) {
        let Some((interface, _)) = name.split_once('@').filter(|_| super::is_wasi(name)) else { continue };
        let ComponentItem::ComponentInstance(instance) = import.ty else { continue };
        let mut linked = linker.instance(&linked(interface))?;
        for (export, item) in instance.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => {
                    let function = format!("{interface}#{export}");
                    linked.func_new(export, move |store, ty, params, results| {
                        answer(store, &function, &ty, params, results)
                    })?;
                }
                // Under another interface's name it is the same again.
                ComponentItem::Resource(resource) if !defined.contains(&resource) => {
                    linked.resource(export, ResourceType::host::<Nothing>(), |_, _| Ok(()))?;
                    defined.push(resource);
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn answer(
    mut store: StoreContextMut<'_, Guest>,
    function: &str,
    ty: &ComponentFunc,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    for param in params {
        // A borrowed handle must not outlive the call.
        if let Val::Resource(resource) = param
            && resource.ty() == ResourceType::host::<Nothing>()
        {
            resource.try_into_resource::<Nothing>(&mut store)?;
        }
    }
    let nothing = match ty.results().next() {
        Some(Type::Option(_)) => Some(Val::Option(None)),
        Some(Type::List(_)) => Some(Val::List(Vec::new())),
        Some(Type::Own(resource)) if resource == ResourceType::host::<Nothing>() => {
            let resource = Resource::<Nothing>::new_own(0);
            Some(Val::Resource(ResourceAny::try_from_resource(resource, &mut store)?))
        }
        Some(Type::Result(result)) => result.err().as_ref().and_then(denial),
        _ => None,
    };
    match (nothing, results) {
        (Some(nothing), [result]) => {
            *result = nothing;
            Ok(())
        }
        _ => wasmtime::bail!("{function} is not offered to plugins"),
    }
}

/// The error that says no, if the interface has one.
fn denial(error: &Type) -> Option<Val> {
    let Type::Enum(codes) = error else { return None };
    let name = DENIALS.into_iter().find(|denial| codes.names().any(|name| name == *denial))?;
    Some(Val::Result(Err(Some(Box::new(Val::Enum(name.into()))))))
}
