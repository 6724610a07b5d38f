//! {{name}}: says in the log who comes and goes.

use tidegate_plugin::{Event, NoConfig, OnEvents, Plugin, Scope, Start, events, info};

pub struct Comings;

impl Plugin for Comings {
    type Config = NoConfig;

    fn new(_: Start, _: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::events([events::CONNECTED, events::DISCONNECTED])]
    }
}

impl OnEvents for Comings {
    fn on_events(&mut self, events: Vec<Event>, _lost: u64) {
        for event in events {
            info!("client", client = event.client_id, event = event.kind);
        }
    }
}

tidegate_plugin::export!(Comings: on_events);

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_plugin::testing::{Host, event};

    #[test]
    fn each_is_a_line() {
        let host = Host::new();
        let mut plugin: Comings = host.start().unwrap();
        plugin.on_events(
            vec![event("connected", "c1"), event("disconnected", "c1")],
            0,
        );
        let lines: Vec<String> = host.logged().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "INFO client client=c1 event=connected",
                "INFO client client=c1 event=disconnected"
            ]
        );
    }
}
