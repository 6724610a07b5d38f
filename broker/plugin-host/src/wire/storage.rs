//! Records of `storage`.

use wasmtime::component::{ComponentType, Lift, Lower};

/// `storage.entry`
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Entry<'a> {
    pub(crate) table: u8,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    #[component(name = "expires-ms")]
    pub(crate) expires_ms: Option<u64>,
}

/// `storage.op`
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum Op<'a> {
    #[component(name = "put")]
    Put(Entry<'a>),
    #[component(name = "delete")]
    Delete((u8, &'a [u8])),
}

/// `storage.row`
#[derive(Clone, ComponentType, Debug, Eq, Lift, PartialEq)]
#[component(record)]
pub(crate) struct Row {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// `storage.error`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(variant)]
pub(crate) enum StorageError {
    #[component(name = "retry")]
    Retry(String),
    #[component(name = "fatal")]
    Fatal(String),
}
