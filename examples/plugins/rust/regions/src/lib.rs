//! regions: what is about a region, `weather/REGION/…`, goes to those who are there: whose client ids begin with `REGION-` or `all-`.

use serde::Deserialize;
use std::time::Duration;
use tidegate_plugin::{Candidate, Message, Plugin, Scope, Selection, Start, Subscribers};

/// `[plugin.regions.config]` in the broker's config.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    topics: Vec<String>,
    /// A region that is everywhere.
    everywhere: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            topics: vec!["weather/#".into()],
            everywhere: "all".into(),
        }
    }
}

pub struct Regions(Config);

impl Plugin for Regions {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        Ok(Self(config))
    }

    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::subscribers(&self.0.topics)]
    }
}

impl Regions {
    fn is_in(&self, region: &str, candidate: &Candidate) -> bool {
        [region, &self.0.everywhere].iter().any(|theirs| {
            let rest = candidate.client_id.strip_prefix(theirs);
            rest.is_some_and(|rest| rest.starts_with('-'))
        })
    }
}

impl Subscribers for Regions {
    fn select(&mut self, message: Message, candidates: Vec<Candidate>) -> Selection {
        let selection = match message.topic.split('/').nth(1) {
            Some(region) => Selection::of(&candidates, |candidate| self.is_in(region, candidate)),
            None => Selection::all(),
        };
        // The broker asks again when subscriptions have changed.
        selection.cached(Duration::from_secs(60))
    }

    fn pick(&mut self, message: Message, _group: &str, members: Vec<Candidate>) -> Option<usize> {
        let region = message.topic.split('/').nth(1)?;
        members.iter().position(|member| self.is_in(region, member))
    }
}

tidegate_plugin::export!(Regions: subscribers);
