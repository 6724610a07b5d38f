//! {{name}}: an alarm goes to the first on the list who is there, and to nobody else.

use serde::Deserialize;
use tidegate_plugin::{Candidate, Message, Plugin, Scope, Selection, Start, Subscribers};

/// `[plugin.{{name}}.config]` in the broker's config.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    topics: Vec<String>,
    /// Client ids.
    order: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            topics: vec!["alarms/#".into()],
            order: Vec::new(),
        }
    }
}

pub struct OnCall(Config);

impl Plugin for OnCall {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        Ok(Self(config))
    }

    /// Other topics cost nothing.
    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::subscribers(&self.0.topics)]
    }
}

impl OnCall {
    fn first(&self, there: &[Candidate]) -> Option<usize> {
        self.0.order.iter().find_map(|wanted| {
            there
                .iter()
                .position(|candidate| candidate.client_id == *wanted)
        })
    }
}

impl Subscribers for OnCall {
    fn select(&mut self, _: Message, candidates: Vec<Candidate>) -> Selection {
        // If nobody on the list is there, everybody gets it: no alarm is lost.
        self.first(&candidates)
            .map_or_else(Selection::all, |first| Selection::only([first]))
    }

    fn pick(&mut self, _: Message, _group: &str, members: Vec<Candidate>) -> Option<usize> {
        self.first(&members)
    }
}

tidegate_plugin::export!(OnCall: subscribers);

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_plugin::testing::{Host, candidate, message};

    #[test]
    fn the_first_who_is_there_gets_it() {
        let mut plugin: OnCall = Host::new()
            .config("order = ['day', 'night']")
            .start()
            .unwrap();
        let mut select = |there: &[&str]| {
            let candidates = there
                .iter()
                .map(|client_id| candidate(client_id, "alarms/#"));
            plugin.select(message("alarms/fire", "!"), candidates.collect())
        };
        assert_eq!(select(&["log", "night", "day"]), Selection::only([2]));
        assert_eq!(select(&["log", "night"]), Selection::only([1]));
        assert_eq!(select(&["log"]), Selection::all());
    }
}
