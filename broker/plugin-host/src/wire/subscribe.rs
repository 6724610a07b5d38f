//! Records of `subscribe`.

use super::Property;
use wasmtime::component::{ComponentType, Lift, Lower};

/// `subscribe.request`
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct SubscribeRequest<'a> {
    pub(crate) session: u64,
    #[component(name = "client-id")]
    pub(crate) client_id: &'a str,
    pub(crate) username: Option<&'a str>,
    pub(crate) filter: &'a str,
    pub(crate) qos: u8,
    #[component(name = "no-local")]
    pub(crate) no_local: bool,
    #[component(name = "retain-as-published")]
    pub(crate) retain_as_published: bool,
    #[component(name = "retain-handling")]
    pub(crate) retain_handling: u8,
    pub(crate) properties: &'a [Property<'a>],
}

/// `subscribe.change`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(record)]
pub(crate) struct SubscribeChange {
    pub(crate) filter: Option<String>,
    pub(crate) qos: Option<u8>,
}

/// `subscribe.verdict`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(variant)]
pub(crate) enum SubscribeVerdict {
    #[component(name = "next")]
    Next,
    #[component(name = "accept")]
    Accept,
    #[component(name = "edit")]
    Edit(SubscribeChange),
    #[component(name = "refuse")]
    Refuse(u8),
}
