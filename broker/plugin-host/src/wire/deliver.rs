//! Records of `deliver`.

use super::Patch;
use wasmtime::component::{ComponentType, Lift};

/// `deliver.verdict`
#[derive(Clone, ComponentType, Debug, Lift)]
#[component(variant)]
pub(crate) enum DeliverVerdict {
    #[component(name = "next")]
    Next,
    #[component(name = "edit")]
    Edit(Patch),
    #[component(name = "drop")]
    Drop,
}
