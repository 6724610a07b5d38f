//! What a plugin may reach outside its box. Nothing, unless the operator says so.

use crate::units::ByteSize;
use serde::Deserialize;
use std::fmt;

/// `[plugin.NAME.grants]`
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Bytes the plugin may keep in `kv`, keys and bookkeeping included. Default: none, every call answers `denied`.
    pub kv: Option<ByteSize>,
}

impl Grants {
    /// For reports: `kv 1MiB`.
    pub(crate) fn names(&self) -> Vec<String> {
        self.kv.iter().map(|size| format!("kv {size}")).collect()
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.names()[..] {
            [] => f.write_str("none"),
            names => f.write_str(&names.join(", ")),
        }
    }
}
