//! Topic filters in a config.

use serde::Deserialize;
use std::ops::Deref;
use tidegate_mqtt::TopicFilter;

/// A topic filter in a config. What is none is an error that names the key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct Filter(TopicFilter);

impl TryFrom<String> for Filter {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        TopicFilter::new(&text).map(Self).map_err(|why| format!("{text:?} is not a topic filter: {why}"))
    }
}

impl Deref for Filter {
    type Target = TopicFilter;
    fn deref(&self) -> &TopicFilter {
        &self.0
    }
}

/// The filters of a key `topics`: what a plugin, or a part of its config, is about. None of them: all topics.
///
/// ```
/// use tidegate_plugin::{Scope, config::Topics};
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     #[serde(default)]
///     topics: Topics,
/// }
///
/// let config: Config = tidegate_plugin::config::parse(r#"{"topics": ["a/#", "b"]}"#)?;
/// assert!(config.topics.hold("a/1") && !config.topics.hold("c"));
/// assert_eq!(Scope::publish(config.topics.filters()).filters(), ["a/#", "b"]);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(transparent)]
pub struct Topics(Vec<Filter>);

impl Topics {
    /// Whether a topic is among them.
    pub fn hold(&self, topic: &str) -> bool {
        self.are_all() || self.0.iter().any(|filter| filter.matches(topic))
    }

    /// Whether they are all topics there are.
    pub fn are_all(&self) -> bool {
        self.0.is_empty()
    }

    /// For a scope, in which none stands for all topics too.
    pub fn filters(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|filter| filter.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        #[serde(default)]
        topics: Topics,
    }

    fn topics(document: &str) -> Result<Topics, String> {
        config::parse::<Config>(document).map(|config| config.topics)
    }

    #[test]
    fn no_filter_stands_for_all_topics() {
        let all = topics("{}").unwrap();
        assert!(all.are_all() && all.hold("a") && all.hold("$x/a"));
        let some = topics(r##"{"topics": ["#", "$x/+"]}"##).unwrap();
        assert!(!some.are_all() && some.hold("a") && some.hold("$x/a") && !some.hold("$y"));
        assert_eq!(some.filters().collect::<Vec<_>>(), ["#", "$x/+"]);
    }

    #[test]
    fn what_is_no_filter_names_its_place() {
        assert_eq!(
            topics(r#"{"topics": ["a", "b+"]}"#).unwrap_err(),
            "config key `topics[1]`: \"b+\" is not a topic filter: + must fill its level"
        );
    }
}
