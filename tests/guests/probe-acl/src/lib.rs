//! Allows everything, each time anew unless `ttl_ms` says otherwise: what a check costs.

use std::time::Duration;
use tidegate_plugin::{Acl, AclRequest, Decision, Plugin, Span, Start};

/// What the guest says.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// For how long its answers hold, in milliseconds.
    ttl_ms: u64,
}

/// The guest.
pub struct Probe(Config);

impl Plugin for Probe {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        Ok(Self(config))
    }
}

impl Acl for Probe {
    fn check(&mut self, request: AclRequest) -> Decision {
        Decision::Allow(Span::new(&request.topic, Duration::from_millis(self.0.ttl_ms)))
    }
}

tidegate_plugin::export!(Probe: acl);
