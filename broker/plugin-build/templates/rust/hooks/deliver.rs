//! {{name}}: guests get nothing of what is internal, whatever they subscribe to.

use serde::Deserialize;
use tidegate_plugin::{DeliverVerdict, Message, OnDeliver, Plugin, Recipient, Scope, Start};

/// `[plugin.{{name}}.config]` in the broker's config.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    topics: Vec<String>,
    /// How the client ids of guests begin.
    guests: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            topics: vec!["internal/#".into()],
            guests: "guest-".into(),
        }
    }
}

pub struct Internal(Config);

impl Plugin for Internal {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        Ok(Self(config))
    }

    /// Asked once a recipient: topics must be named.
    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::deliver(&self.0.topics)]
    }
}

impl OnDeliver for Internal {
    fn on_deliver(&mut self, _: Message, recipient: Recipient) -> DeliverVerdict {
        if recipient.client_id.starts_with(&self.0.guests) {
            DeliverVerdict::Drop
        } else {
            DeliverVerdict::Next
        }
    }
}

tidegate_plugin::export!(Internal: on_deliver);

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_plugin::testing::{Host, message, recipient};

    #[test]
    fn guests_get_nothing() {
        let mut plugin: Internal = Host::new().start().unwrap();
        let mut deliver =
            |client_id| plugin.on_deliver(message("internal/plan", "x"), recipient(client_id));
        assert_eq!(deliver("guest-7"), DeliverVerdict::Drop);
        assert_eq!(deliver("alice"), DeliverVerdict::Next);
    }
}
