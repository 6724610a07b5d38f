//! `[plugin.acl-log.config]`

use serde::Deserialize;
use tidegate_plugin::{Access, AclRequest, Pattern, TopicFilter};

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Asked in this order; the first that applies decides.
    pub(crate) acl: Vec<Rule>,
    /// For how long the broker may remember an answer for a client; 0: it asks each time.
    #[serde(default = "a_minute")]
    pub(crate) ttl_seconds: u32,
}

fn a_minute() -> u32 {
    60
}

/// What somebody, or everybody, may or may not do.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RuleTable")]
pub(crate) struct Rule {
    user: Option<String>,
    client: Option<String>,
    pub(crate) allow: bool,
    access: Access,
    pub(crate) topic: Pattern,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    user: Option<String>,
    client: Option<String>,
    allow: Option<Access>,
    deny: Option<Access>,
    topic: Pattern,
}

impl TryFrom<RuleTable> for Rule {
    type Error = &'static str;
    fn try_from(table: RuleTable) -> Result<Self, &'static str> {
        let (allow, access) = Access::either(table.allow, table.deny)?;
        Ok(Self { user: table.user, client: table.client, allow, access, topic: table.topic })
    }
}

impl Rule {
    /// Whether the rule speaks of this client and action.
    pub(crate) fn concerns(&self, request: &AclRequest) -> bool {
        self.access.actions().contains(&request.action)
            && self.user.as_ref().is_none_or(|user| request.username.as_ref() == Some(user))
            && self.client.as_ref().is_none_or(|client| request.client_id == *client)
    }

    /// The rule's filter for this client. A name that could reach beyond its level is given nothing, and denied the whole level.
    pub(crate) fn filter_for(&self, request: &AclRequest) -> Option<TopicFilter> {
        let filled = self.topic.fill(&request.client_id, request.username.as_deref());
        filled.or_else(|| (!self.allow).then(|| self.topic.widest().clone()))
    }
}
