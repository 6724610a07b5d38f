//! {{name}}: below `devices/` each client has a topic of its own, `devices/CLIENT-ID/…`.

use serde::Deserialize;
use std::time::Duration;
use tidegate_plugin::{Acl, AclRequest, Decision, Plugin, Scope, Span, Start};

/// `[plugin.{{name}}.config]` in the broker's config.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// For how long the broker may remember what a client may do.
    ttl_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { ttl_seconds: 60 }
    }
}

pub struct OwnTopics {
    ttl: Duration,
}

impl Plugin for OwnTopics {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        Ok(Self {
            ttl: Duration::from_secs(config.ttl_seconds),
        })
    }

    /// Other topics are for others to decide about.
    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::acl(["devices/#"])]
    }
}

impl Acl for OwnTopics {
    fn check(&mut self, request: AclRequest) -> Decision {
        let own = format!("devices/{}/", request.client_id);
        // A client id may hold anything, but reaches no further than its level.
        let is_level =
            !request.client_id.is_empty() && !request.client_id.contains(['/', '+', '#']);
        if is_level && request.topic.starts_with(&own) {
            Decision::Allow(Span::new(own + "#", self.ttl))
        } else {
            Decision::Deny(Span::once(&request))
        }
    }
}

tidegate_plugin::export!(OwnTopics: acl);

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_plugin::{
        Action,
        testing::{Host, request},
    };

    #[test]
    fn only_ones_own_topics_are_allowed() {
        let mut plugin: OwnTopics = Host::new().start().unwrap();
        let mut check = |topic| plugin.check(request(None, Action::Publish, topic));
        let own = Span::new("devices/c1/#", Duration::from_secs(60));
        assert_eq!(check("devices/c1/state"), Decision::Allow(own));
        let other = Span::new("devices/c2/state", Duration::ZERO);
        assert_eq!(check("devices/c2/state"), Decision::Deny(other));
    }
}
