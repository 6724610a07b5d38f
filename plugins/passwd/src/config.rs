//! `[plugin.passwd.config]`

use crate::password::PasswordHash;
use serde::Deserialize;
use std::collections::BTreeMap;
use tidegate_plugin::{Access, Action, Pattern, QoS, Rule};

/// What the operator writes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Password hashes by user name.
    pub(crate) users: BTreeMap<String, PasswordHash>,
    /// Asked in this order; the first that applies decides.
    pub(crate) acl: Vec<Acl>,
}

impl Config {
    /// A rule for a user that does not exist is a typing error.
    pub(crate) fn check_users(&self) -> Result<(), String> {
        let stray = |acl: &Acl| acl.user.as_ref().is_some_and(|user| !self.users.contains_key(user));
        match self.acl.iter().enumerate().find(|(_, acl)| stray(acl)) {
            None => Ok(()),
            Some((index, acl)) => {
                let user = acl.user.as_deref().unwrap_or_default();
                Err(format!("config key `acl[{index}].user`: `users` has no user {user:?}"))
            }
        }
    }
}

/// What a user, or every user, may or may not do.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "AclTable")]
pub(crate) struct Acl {
    /// None: every user.
    user: Option<String>,
    allow: bool,
    access: Access,
    topic: Pattern,
    max_qos: QoS,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AclTable {
    user: Option<String>,
    allow: Option<Access>,
    deny: Option<Access>,
    topic: Pattern,
    max_qos: Option<u8>,
}

impl TryFrom<AclTable> for Acl {
    type Error = String;
    fn try_from(table: AclTable) -> Result<Self, String> {
        let (allow, access) = Access::either(table.allow, table.deny)?;
        if !allow && table.max_qos.is_some() {
            return Err("`max_qos` is for `allow`; a `deny` holds for every QoS".into());
        }
        let max_qos = QoS::try_from(table.max_qos.unwrap_or(2))
            .map_err(|qos| format!("`max_qos` is 0, 1 or 2, not {qos}"))?;
        Ok(Self { user: table.user, allow, access, topic: table.topic, max_qos })
    }
}

impl Acl {
    pub(crate) fn applies_to(&self, user: &str) -> bool {
        self.user.as_deref().is_none_or(|only| only == user)
    }

    /// For the broker to evaluate.
    pub(crate) fn rules(&self) -> impl Iterator<Item = Rule> {
        self.access.actions().iter().map(|&action| {
            // Through a subscription at QoS 0 messages of any QoS may come.
            let max_qos = if action == Action::Receive { QoS::ExactlyOnce } else { self.max_qos };
            Rule { allow: self.allow, action, filter: self.topic.to_string(), max_qos }
        })
    }
}
