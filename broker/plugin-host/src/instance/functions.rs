//! The functions that guests export: `lifecycle`, and the hooks of `wit/plugin.wit`.

use super::Guest;
use crate::{refusal::VERSION, tally::Hook, wire};
use wasmtime::{
    Store,
    component::{
        Component, ComponentExportIndex, ComponentNamedList, Instance as WasmInstance, Lift, Lower, TypedFunc,
    },
};

macro_rules! hooks {
    ($($name:ident = $hook:ident $function:literal: ($($param:ty),*) => ($($result:ty)?);)*) => {
        /// Which functions a component exports, looked up once.
        #[derive(Clone)]
        pub(crate) struct Exports {
            init: ComponentExportIndex,
            drain: ComponentExportIndex,
            $($name: Option<ComponentExportIndex>,)*
        }

        /// The functions of one instance, types checked. None: not exported.
        pub(crate) struct Functions {
            pub(super) init: TypedFunc<(wire::Start<'static>,), (Result<Vec<wire::Scope>, String>,)>,
            pub(super) drain: TypedFunc<(), (Option<Vec<u8>>,)>,
            $(pub(crate) $name: Option<TypedFunc<($($param,)*), ($($result,)?)>>,)*
        }

        impl Exports {
            /// None without `lifecycle`.
            pub(crate) fn of(component: &Component) -> Option<Self> {
                Some(Self {
                    init: function(component, "lifecycle", "init")?,
                    drain: function(component, "lifecycle", "drain")?,
                    $($name: function(component, Hook::$hook.name(), $function),)*
                })
            }

            /// Whether all functions of that hook are there.
            pub(crate) fn serves(&self, hook: Hook) -> bool {
                let functions = [$((Hook::$hook, self.$name.is_some())),*];
                functions.into_iter().filter(|(of, _)| *of == hook).all(|(_, exported)| exported)
            }

            /// # Errors
            /// If their types are not those of the interface.
            pub(super) fn functions(
                &self,
                store: &mut Store<Guest>,
                instance: &WasmInstance,
            ) -> wasmtime::Result<Functions> {
                Ok(Functions {
                    init: instance.get_typed_func(&mut *store, self.init)?,
                    drain: instance.get_typed_func(&mut *store, self.drain)?,
                    $($name: typed(store, instance, self.$name)?,)*
                })
            }
        }
    };
}

hooks! {
    authenticate = Auth "authenticate": (wire::Connect<'static>) => (wire::Outcome);
    proceed = EnhancedAuth "proceed":
        (wire::Connect<'static>, &'static [u8], Option<&'static [u8]>, bool) => (wire::Outcome);
    check = Acl "check": (wire::AclRequest<'static>) => (wire::Decision);
    on_publish = Publish "on-publish": (wire::Message<'static>) => (wire::Verdict);
    on_publish_batch = PublishBatch "on-publish": (&'static [wire::Message<'static>]) => (Vec<wire::Verdict>);
    on_subscribe = Subscribe "on-subscribe":
        (&'static [wire::SubscribeRequest<'static>]) => (Vec<wire::SubscribeVerdict>);
    select = Subscribers "select":
        (wire::Message<'static>, &'static [wire::Candidate<'static>]) => (wire::Selection);
    pick = Subscribers "pick":
        (wire::Message<'static>, &'static str, &'static [wire::Candidate<'static>]) => (Option<u32>);
    on_deliver = Deliver "on-deliver": (wire::Message<'static>, u64, &'static str) => (wire::DeliverVerdict);
    on_events = Events "on-events": (&'static [wire::Event<'static>], u64) => ();
    on_timer = TimerHandler "on-timer": (u64) => ();
    open = Storage "open": (u32, Option<u64>) => (Result<wire::Opened, wire::StorageError>);
    commit = Storage "commit": (&'static [wire::Op<'static>], bool) => (Result<u64, wire::StorageError>);
    get = Storage "get": (u8, &'static [u8]) => (Result<Option<Vec<u8>>, wire::StorageError>);
    scan = Storage "scan":
        (u8, &'static [u8], Option<&'static [u8]>, u32) => (Result<Vec<wire::Row>, wire::StorageError>);
}

impl Exports {
    pub(crate) fn hooks(&self) -> Vec<Hook> {
        Hook::ALL.into_iter().filter(|hook| self.serves(*hook)).collect()
    }
}

fn function(component: &Component, interface: &str, name: &str) -> Option<ComponentExportIndex> {
    let interface = component.get_export_index(None, format!("tidegate:plugin/{interface}@{VERSION}"))?;
    component.get_export_index(Some(&interface), name)
}

fn typed<P, R>(
    store: &mut Store<Guest>,
    instance: &WasmInstance,
    index: Option<ComponentExportIndex>,
) -> wasmtime::Result<Option<TypedFunc<P, R>>>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    index.map(|index| instance.get_typed_func(store, index)).transpose()
}
