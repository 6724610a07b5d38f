//! Records of `subscribers`.

use wasmtime::component::{ComponentType, Lift, Lower};

/// `subscribers.candidate`
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Candidate<'a> {
    pub(crate) session: u64,
    #[component(name = "client-id")]
    pub(crate) client_id: &'a str,
    pub(crate) filter: Option<&'a str>,
    pub(crate) qos: u8,
}

/// `subscribers.choice`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(variant)]
pub(crate) enum Choice {
    #[component(name = "all")]
    All,
    #[component(name = "only")]
    Only(Vec<u32>),
    #[component(name = "except")]
    Except(Vec<u32>),
}

/// `subscribers.answer`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(record)]
pub(crate) struct Selection {
    pub(crate) choice: Choice,
    #[component(name = "cache-ms")]
    pub(crate) cache_ms: u32,
}
