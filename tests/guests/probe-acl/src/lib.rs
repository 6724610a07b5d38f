//! Allows everything, each time anew: what a check costs when nothing is remembered.

use tidegate_plugin::{Acl, AclRequest, Decision, NoConfig, Plugin, Span, Start};

/// The guest.
pub struct Probe;

impl Plugin for Probe {
    type Config = NoConfig;

    fn new(_: Start, _: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Acl for Probe {
    fn check(&mut self, request: AclRequest) -> Decision {
        Decision::Allow(Span::once(&request))
    }
}

tidegate_plugin::export!(Probe: acl);
