//! Filters with `%c`, `%u` and `%{NAME}`, as rules have them.

use serde::Deserialize;
use std::{borrow::Cow, fmt};
use tidegate_mqtt::{NameError, TopicFilter};

/// A topic filter in which `%c`, `%u` and `%{NAME}` stand for client id, username and an attribute, and `%%` for a percent sign.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct Pattern {
    text: String,
    /// The filter itself if there is nothing to fill; otherwise the widest it can become.
    widest: TopicFilter,
}

/// Why a text is no [`Pattern`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatternError {
    /// What section 4.7 forbids in a topic filter.
    #[error("{0}")]
    Filter(#[from] NameError),
    /// A percent sign that begins nothing.
    #[error("after % comes c, u, {{NAME}} or another %")]
    Placeholder,
}

impl Pattern {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// Whatever section 4.7 forbids in a topic filter, placeholders filled; a percent sign that begins nothing.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        // Any value will do: what stands for it cannot break a filter that is sound with this one.
        let sound = filled(text, |_| Some(Cow::Borrowed("x")), None)?;
        TopicFilter::new(&sound.unwrap_or_default())?;
        let widest = filled(text, |_| None, Some("+"))?;
        Ok(Self { text: text.into(), widest: TopicFilter::new(&widest.unwrap_or_default())? })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it has the placeholder `%u`.
    pub(crate) fn names_user(&self) -> bool {
        self.text.replace("%%", "").contains("%u")
    }

    /// Every level that holds a placeholder as `+`: holds whatever [`Pattern::fill`] can make of it.
    pub fn widest(&self) -> &TopicFilter {
        &self.widest
    }

    /// The filter for one client. None if a value it needs is missing, as attributes are here, begins with `$` or holds `/`, `+` or `#`: such
    /// a name would reach beyond its level. Then give nothing where you would allow, and deny [`Pattern::widest`].
    pub fn fill(&self, client_id: &str, username: Option<&str>) -> Option<TopicFilter> {
        self.fill_with(client_id, username, |_| None)
    }

    /// As [`Pattern::fill`], with attributes from wherever they are, such as [`current::attribute`](crate::current::attribute).
    ///
    /// ```
    /// use tidegate_plugin::Pattern;
    ///
    /// let pattern: Pattern = "teams/%{team}/%u".to_owned().try_into()?;
    /// let blue = |name: &str| (name == "team").then(|| "blue".to_owned());
    /// assert_eq!(pattern.fill_with("c1", Some("alice"), blue).as_deref(), Some("teams/blue/alice"));
    /// # Ok::<(), String>(())
    /// ```
    pub fn fill_with(
        &self,
        client_id: &str,
        username: Option<&str>,
        attribute: impl Fn(&str) -> Option<String>,
    ) -> Option<TopicFilter> {
        if !self.text.contains('%') {
            return Some(self.widest.clone());
        }
        let value = |placeholder: &str| match placeholder {
            "c" => Some(Cow::Borrowed(client_id)),
            "u" => username.map(Cow::Borrowed),
            name => attribute(name).map(Cow::Owned),
        };
        TopicFilter::new(&filled(&self.text, value, None).ok()??).ok()
    }
}

/// The text with its placeholders filled. A level whose value cannot be had is `instead`; None: then there is no text.
fn filled<'a>(
    text: &str,
    value: impl Fn(&str) -> Option<Cow<'a, str>>,
    instead: Option<&str>,
) -> Result<Option<String>, PatternError> {
    let mut filled = String::with_capacity(text.len());
    for (index, level) in text.split('/').enumerate() {
        if index > 0 {
            filled.push('/');
        }
        match (filled_level(level, &value)?, instead) {
            (Some(level), _) => filled.push_str(&level),
            (None, Some(instead)) => filled.push_str(instead),
            (None, None) => return Ok(None),
        }
    }
    Ok(Some(filled))
}

/// None if a value is missing or would reach beyond its level.
fn filled_level<'a>(
    level: &str,
    value: impl Fn(&str) -> Option<Cow<'a, str>>,
) -> Result<Option<String>, PatternError> {
    let (mut filled, mut rest, mut usable) = (String::new(), level, true);
    while let Some((before, after)) = rest.split_once('%') {
        filled.push_str(before);
        let (name, after) = match after.as_bytes().first() {
            Some(b'c' | b'u') => after.split_at(1),
            Some(b'{') => after[1..].split_once('}').ok_or(PatternError::Placeholder)?,
            Some(b'%') => {
                filled.push('%');
                rest = &after[1..];
                continue;
            }
            _ => return Err(PatternError::Placeholder),
        };
        match value(name) {
            Some(value) if stays_within_its_level(&value) => filled.push_str(&value),
            _ => usable = false,
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(usable.then_some(filled))
}

fn stays_within_its_level(value: &str) -> bool {
    !value.is_empty() && !value.starts_with('$') && !value.contains(['/', '+', '#', '\0'])
}

impl TryFrom<String> for Pattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::new(&text).map_err(|why| format!("{text:?} is not a topic filter: {why}"))
    }
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
        assert_eq!(filled("100%%/%%c", "c1", None).as_deref(), Some("100%/%c"));
    }

    #[test]
    fn attributes_are_filled_if_there_are_any() {
        let pattern = Pattern::new("t/%{team}-%c").unwrap();
        let team = |team: &'static str| move |name: &str| (name == "team").then(|| team.to_owned());
        assert_eq!(pattern.fill_with("c1", None, team("blue")).as_deref(), Some("t/blue-c1"));
        assert_eq!(pattern.fill_with("c1", None, team("a/b")), None);
        assert_eq!(pattern.fill("c1", None), None);
        assert_eq!(pattern.widest().as_str(), "t/+");
    }

    #[test]
    fn a_name_that_could_reach_beyond_its_level_fills_nothing() {
        for name in ["", "#", "+", "a/b", "$SYS", "a\0"] {
            assert_eq!(filled("u/%u", "c1", Some(name)), None, "{name:?}");
            assert_eq!(filled("c/%c", name, None), None, "{name:?}");
        }
        assert_eq!(filled("u/%u", "c1", None), None);
        assert_eq!(filled("c/%c", "c1", Some("#")).as_deref(), Some("c/c1"));
    }

    #[test]
    fn a_name_that_looks_like_a_placeholder_stays_within_its_level() {
        assert_eq!(filled("%c/%u", "%u", Some("alice")).as_deref(), Some("%u/alice"));
    }

    #[test]
    fn the_widest_holds_every_name() {
        assert_eq!(Pattern::new("u/%u/dev-%c/#").unwrap().widest().as_str(), "u/+/+/#");
        assert_eq!(Pattern::new("50%%/%u").unwrap().widest().as_str(), "50%/+");
    }

    #[test]
    fn a_pattern_knows_whether_it_names_the_user() {
        let names_user = |text: &str| Pattern::new(text).unwrap().names_user();
        assert!(["%u", "a/x-%u/#", "%%%u", "%c%u"].into_iter().all(names_user));
        assert!(!["u", "%%u", "%c/%{u}", "%%%%u", "%c%%u"].into_iter().any(names_user));
    }

    #[test]
    fn bad_filters_are_errors() {
        for text in ["", "a/#/b", "a+", "%c#", "a/%x", "50%", "a/%{team"] {
            assert!(Pattern::new(text).is_err(), "{text:?}");
        }
    }
}
