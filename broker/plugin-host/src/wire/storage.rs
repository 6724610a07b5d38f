//! Records of `records`, for `storage` and `engine`.

use wasmtime::component::{ComponentType, Lift, Lower};

/// `records.entry`
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Entry<'a> {
    pub(crate) table: u8,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    #[component(name = "expires-ms")]
    pub(crate) expires_ms: Option<u64>,
}

/// `records.op`
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum Op<'a> {
    #[component(name = "put")]
    Put(Entry<'a>),
    #[component(name = "delete")]
    Delete((u8, &'a [u8])),
}

/// `records.row`
#[derive(Clone, ComponentType, Debug, Eq, Lift, Lower, PartialEq)]
#[component(record)]
pub(crate) struct Row {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// `records.op`, as a guest says it.
#[derive(Clone, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum OwnedOp {
    #[component(name = "put")]
    Put(OwnedEntry),
    #[component(name = "delete")]
    Delete((u8, Vec<u8>)),
}

/// `records.entry`, as a guest says it.
#[derive(Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct OwnedEntry {
    pub(crate) table: u8,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    #[allow(dead_code, reason = "the engine keeps no times of expiry")]
    #[component(name = "expires-ms")]
    pub(crate) expires_ms: Option<u64>,
}

/// `records.opened`
#[derive(Clone, Copy, ComponentType, Debug, Lift, Lower)]
#[component(record)]
pub(crate) struct Opened {
    pub(crate) sequence: u64,
    pub(crate) term: u64,
}

/// `records.error`
#[derive(Clone, ComponentType, Debug, Lift, Lower)]
#[component(variant)]
pub(crate) enum StorageError {
    #[component(name = "retry")]
    Retry(String),
    #[component(name = "fatal")]
    Fatal(String),
    #[component(name = "unknown")]
    Unknown(String),
}
