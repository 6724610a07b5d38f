//! Filters with `%c` and `%u`, as rules have them.

use serde::Deserialize;
use std::fmt;
use tidegate_mqtt::{NameError, TopicFilter};

/// A topic filter in which `%c` and `%u` stand for client id and username.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct Pattern {
    text: String,
    /// The filter itself if there is nothing to fill; otherwise the widest it can become.
    widest: TopicFilter,
}

impl Pattern {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// Whatever section 4.7 forbids in a topic filter, placeholders filled.
    pub fn new(text: &str) -> Result<Self, NameError> {
        TopicFilter::new(&text.replace("%c", "c").replace("%u", "u"))?;
        let levels: Vec<&str> =
            text.split('/').map(|level| if has_placeholder(level) { "+" } else { level }).collect();
        Ok(Self { text: text.into(), widest: TopicFilter::new(&levels.join("/"))? })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Every level that holds a placeholder as `+`: holds whatever [`Pattern::fill`] can make of it.
    pub fn widest(&self) -> &TopicFilter {
        &self.widest
    }

    /// The filter for one client. None if a value it needs is missing, begins with `$` or holds `/`, `+` or `#`: such a name would
    /// reach beyond its level. Then give nothing where you would allow, and deny [`Pattern::widest`].
    pub fn fill(&self, client_id: &str, username: Option<&str>) -> Option<TopicFilter> {
        if !has_placeholder(&self.text) {
            return Some(self.widest.clone());
        }
        let mut filled = self.text.clone();
        for (placeholder, value) in [("%c", client_id), ("%u", username.unwrap_or_default())] {
            if !self.text.contains(placeholder) {
                continue;
            }
            if value.is_empty() || value.starts_with('$') || value.contains(['/', '+', '#']) {
                return None;
            }
            filled = filled.replace(placeholder, value);
        }
        TopicFilter::new(&filled).ok()
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::new(&text).map_err(|why| format!("{text:?} is not a topic filter: {why}"))
    }
}

fn has_placeholder(text: &str) -> bool {
    text.contains("%c") || text.contains("%u")
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &str, client_id: &str, username: Option<&str>) -> Option<String> {
        Pattern::new(pattern).unwrap().fill(client_id, username).map(|filter| filter.to_string())
    }

    #[test]
    fn placeholders_are_filled() {
        assert_eq!(filled("a/#", "c1", None).as_deref(), Some("a/#"));
        assert_eq!(filled("u/%u/dev-%c/#", "c1", Some("alice")).as_deref(), Some("u/alice/dev-c1/#"));
    }

    #[test]
    fn a_name_that_could_reach_beyond_its_level_fills_nothing() {
        for name in ["", "#", "+", "a/b", "$SYS"] {
            assert_eq!(filled("u/%u", "c1", Some(name)), None, "{name:?}");
            assert_eq!(filled("c/%c", name, None), None, "{name:?}");
        }
        assert_eq!(filled("u/%u", "c1", None), None);
        assert_eq!(filled("c/%c", "c1", Some("#")).as_deref(), Some("c/c1"));
    }

    #[test]
    fn a_name_that_looks_like_a_placeholder_stays_within_its_level() {
        assert_eq!(filled("%c/%u", "%u", Some("alice")).as_deref(), Some("alice/alice"));
    }

    #[test]
    fn the_widest_holds_every_name() {
        assert_eq!(Pattern::new("u/%u/dev-%c/#").unwrap().widest().as_str(), "u/+/+/#");
    }

    #[test]
    fn bad_filters_are_errors() {
        for text in ["", "a/#/b", "a+", "%c#"] {
            assert!(Pattern::new(text).is_err(), "{text:?}");
        }
    }
}
