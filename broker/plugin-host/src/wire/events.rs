//! Records of `events`.

use wasmtime::component::{ComponentType, Lower};

/// `events.event`
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Event<'a> {
    pub(crate) kind: &'a str,
    pub(crate) session: u64,
    #[component(name = "client-id")]
    pub(crate) client_id: &'a str,
    #[component(name = "at-ms")]
    pub(crate) at_ms: u64,
    pub(crate) reason: u8,
    pub(crate) topic: Option<&'a str>,
    pub(crate) detail: &'a [(&'a str, Box<str>)],
}
