//! Counts messages, and leaves the count to the next generation. For one instance (`limits.instances = 1`): each has a count of its own.

use tidegate_plugin::{Edit, Message, OnPublish, Plugin, Scope, Start, Verdict};

/// What the operator writes.
#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Topics that are counted, all together.
    topics: Vec<String>,
    /// Whether the count is kept to itself at the end.
    forget: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { topics: vec!["keeper/#".to_owned()], forget: false }
    }
}

/// The guest.
pub struct Keeper {
    config: Config,
    generation: u64,
    count: u64,
}

impl Plugin for Keeper {
    type Config = Config;

    fn new(start: Start, config: Config) -> Result<Self, String> {
        let text = start.state.map_or_else(|| Ok("0".to_owned()), String::from_utf8);
        let count = text.ok().and_then(|text| text.parse().ok());
        let count = count.ok_or("what the generation before left is no count")?;
        Ok(Self { config, generation: start.generation, count })
    }

    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::publish(&self.config.topics)]
    }

    fn drain(&mut self) -> Option<Vec<u8>> {
        (!self.config.forget).then(|| self.count.to_string().into_bytes())
    }
}

impl OnPublish for Keeper {
    /// The payload becomes `GENERATION COUNT`.
    fn on_publish(&mut self, _: Message) -> Verdict {
        self.count += 1;
        Edit::new().payload(format!("{} {}", self.generation, self.count)).into()
    }
}

tidegate_plugin::export!(Keeper: on_publish);
