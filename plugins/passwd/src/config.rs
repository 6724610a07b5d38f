//! `[plugin.passwd.config]`

use crate::password::PasswordHash;
use serde::Deserialize;
use std::collections::BTreeMap;
use tidegate_plugin::AccessList;

/// What the operator writes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Password hashes by user name.
    pub(crate) users: BTreeMap<String, PasswordHash>,
    /// Asked in this order; the first that applies decides.
    pub(crate) acl: AccessList,
}
