//! `[[plugin.every-hook.config.acl]]`

use crate::words::Filter;
use serde::Deserialize;
use std::time::Duration;
use tidegate_plugin::{Access, AclRequest, Action, Decision, Span};

/// What it is about, and what is answered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// Topics that match this, and subscriptions that lie within.
    pub(crate) topic: Filter,
    /// Clients whose identifier begins with this.
    #[serde(default)]
    client: String,
    /// Everything, if not said.
    action: Option<Access>,

    verdict: Word,
    /// How far the answer reaches. The topic that was asked about, if not said. Not checked here.
    filter: Option<String>,
    /// How long it holds.
    #[serde(default)]
    ttl_ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Next,
    Allow,
    Deny,
}

/// What the first case that fits answers.
pub(crate) fn decision(cases: &[Case], request: &AclRequest) -> Decision {
    let Some(case) = cases.iter().find(|case| case.fits(request)) else { return Decision::Next };
    let filter = case.filter.as_ref().unwrap_or(&request.topic);
    let span = Span::new(filter, Duration::from_millis(case.ttl_ms));
    match case.verdict {
        Word::Next => Decision::Next,
        Word::Allow => Decision::Allow(span),
        Word::Deny => Decision::Deny(span),
    }
}

impl Case {
    fn fits(&self, request: &AclRequest) -> bool {
        let topic = match request.action {
            Action::Subscribe => self.topic.0.covers(&request.topic),
            Action::Publish | Action::Receive => self.topic.0.matches(&request.topic),
        };
        topic
            && request.client_id.starts_with(&self.client)
            && self.action.is_none_or(|access| access.actions().contains(&request.action))
    }
}
