//! What a rule fits.

use crate::template::Template;
use regex_lite::Regex;
use serde::Deserialize;
use tidegate_plugin::{TopicFilter, config::Filter};

/// Which topics become which.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RuleTable")]
pub(crate) struct Rule {
    pub(crate) action: Action,
    pub(crate) topic: TopicFilter,
    regex: Option<Regex>,
    pub(crate) to: Template,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    #[serde(default)]
    action: Action,
    topic: Option<Filter>,
    regex: Option<Expression>,
    to: Template,
}

/// What is rewritten.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Publish,
    Subscribe,
    #[default]
    All,
}

impl Action {
    pub(crate) fn publishes(self) -> bool {
        self != Self::Subscribe
    }

    pub(crate) fn subscribes(self) -> bool {
        self != Self::Publish
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Expression(Regex);

impl TryFrom<String> for Expression {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Regex::new(&text).map(Self).map_err(|why| format!("{text:?} is not a regular expression: {why}"))
    }
}

impl TryFrom<RuleTable> for Rule {
    type Error = String;
    fn try_from(table: RuleTable) -> Result<Self, String> {
        let RuleTable { action, topic, regex, to } = table;
        let regex = regex.map(|Expression(regex)| regex);
        let topic = match (topic, &regex) {
            (Some(topic), _) => (*topic).clone(),
            // As for a filter: topics that begin with `$` are meant only by those who say so.
            (None, Some(_)) => TopicFilter::new("#").map_err(|why| why.to_string())?,
            (None, None) => return Err("it needs `topic`, `regex` or both".into()),
        };
        let (captured, by) = match &regex {
            Some(regex) => (regex.captures_len() - 1, "groups in `regex`"),
            None => (topic.chars().filter(|c| matches!(c, '+' | '#')).count(), "wildcards in `topic`"),
        };
        if to.captures() > captured {
            return Err(format!("`to` has ${}, but the {by} are {captured}", to.captures()));
        }
        to.check(action.publishes()).map_err(|why| format!("`to`: {why}"))?;
        Ok(Self { action, topic, regex, to })
    }
}

impl Rule {
    /// What `$1`, `$2` and so on stand for, if the rule fits a topic, or all of a filter. None among them: took no part.
    pub(crate) fn captures<'t>(&self, text: &'t str) -> Option<Vec<Option<&'t str>>> {
        if !self.topic.covers(text) {
            return None;
        }
        match &self.regex {
            Some(regex) => {
                let captures = regex.captures(text)?;
                Some(captures.iter().skip(1).map(|group| group.map(|group| group.as_str())).collect())
            }
            None => Some(wildcards(&self.topic, text)),
        }
    }
}

/// What the wildcards of `filter` stand for in `text`, which it covers.
fn wildcards<'t>(filter: &str, text: &'t str) -> Vec<Option<&'t str>> {
    let (mut captures, mut rest) = (Vec::new(), Some(text));
    for level in filter.split('/') {
        if level == "#" {
            captures.push(rest);
            break;
        }
        let (first, behind) = match rest.map(|rest| rest.split_once('/').ok_or(rest)) {
            Some(Ok((first, behind))) => (Some(first), Some(behind)),
            Some(Err(last)) => (Some(last), None),
            None => (None, None),
        };
        if level == "+" {
            captures.push(first);
        }
        rest = behind;
    }
    captures
}
