//! Site-wide access rules, asked before those of the users, with a log line for each denial.
//!
//! Reading order: `config`: what the operator writes; here: which rule decides, and how far its answer reaches.

mod config;

use config::{Config, Rule};
use std::time::Duration;
use tidegate_plugin::{Acl, AclRequest, Action, Decision, Plugin, Scope, Span, Start, TopicFilter, info};

/// The rules, and for how long the broker may remember an answer.
pub struct AclLog {
    rules: Vec<Rule>,
    ttl: Duration,
}

impl Plugin for AclLog {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        if config.acl.is_empty() {
            return Err("config key `acl`: there is no rule, so there is nothing to ask this plugin".into());
        }
        Ok(Self { rules: config.acl, ttl: Duration::from_secs(config.ttl_seconds.into()) })
    }

    /// The filters there are rules for: nothing else costs a call.
    fn scopes(&self) -> Vec<Scope> {
        let mut filters: Vec<&str> = self.rules.iter().map(|rule| rule.topic.widest().as_str()).collect();
        filters.sort_unstable();
        filters.dedup();
        vec![Scope::acl(filters)]
    }
}

impl Acl for AclLog {
    fn check(&mut self, request: AclRequest) -> Decision {
        let mut passed_over = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.concerns(&request)) {
            let Some(filter) = rule.filter_for(&request) else { continue };
            if !applies(&filter, rule.allow, &request) {
                passed_over.push(filter);
                continue;
            }
            let span = self.span(&filter, &passed_over, &request);
            if rule.allow {
                return Decision::Allow(span);
            }
            let user = request.username.as_deref().unwrap_or_default();
            info!("denied", client = request.client_id, user, action = request.action, topic = request.topic);
            return Decision::Deny(span);
        }
        Decision::Next
    }
}

impl AclLog {
    /// How far the answer of the rule on `filter` reaches: not to what a rule before it, or only a part of the subscription, would
    /// have answered otherwise.
    fn span(&self, filter: &TopicFilter, passed_over: &[TopicFilter], request: &AclRequest) -> Span {
        let asked = request.topic.as_str();
        let subscribes = request.action == Action::Subscribe;
        let holds_asked = !subscribes || filter.covers(asked);
        if holds_asked && !passed_over.iter().any(|before| before.overlaps(filter)) {
            Span::new(filter.as_str(), self.ttl)
        } else if !subscribes || !asked.contains(['+', '#']) {
            Span::new(asked, self.ttl)
        } else {
            Span::once(request)
        }
    }
}

/// An allowed filter must hold the whole subscription, a denied one stands in its way if it holds any part of it.
fn applies(filter: &TopicFilter, allow: bool, request: &AclRequest) -> bool {
    match (request.action, allow) {
        (Action::Subscribe, true) => filter.covers(&request.topic),
        (Action::Subscribe, false) => filter.overlaps(&request.topic),
        (Action::Publish | Action::Receive, _) => filter.matches(&request.topic),
    }
}

tidegate_plugin::export!(AclLog: acl);

#[cfg(test)]
mod tests;
