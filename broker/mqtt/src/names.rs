//! Topic names, topic filters, client identifiers: checked once, cheap to clone (section 4.7).

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

/// Why a text is not the name it was meant to be. Section 4.7 and 1.5.4.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameError {
    /// [MQTT-4.7.3-1]
    #[error("it is empty")]
    Empty,
    /// [MQTT-4.7.3-3]: longer than 65,535 bytes.
    #[error("it is longer than 65,535 bytes")]
    TooLong,
    /// [MQTT-1.5.4-2]
    #[error("it contains U+0000")]
    Nul,
    /// [MQTT-3.3.2-2]
    #[error("a topic name cannot contain + or #")]
    WildcardInTopicName,
    /// [MQTT-4.7.1-1]
    #[error("# must be the last level and fill it")]
    MultiLevelWildcard,
    /// [MQTT-4.7.1-2]
    #[error("+ must fill its level")]
    SingleLevelWildcard,
    /// [MQTT-4.8.2-1], [MQTT-4.8.2-2]
    #[error("a shared subscription is $share/NAME/FILTER with a NAME free of / + #, or $queue/FILTER")]
    ShareName,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// A topic name that obeys section 4.7: 1 to 65,535 bytes, no wildcard, no U+0000.
    TopicName
}
name! {
    /// A topic filter that obeys section 4.7. Never holds the `$share/NAME/` prefix; see [`SubscriptionFilter`].
    TopicFilter
}
name! {
    /// A client identifier, 0 to 65,535 bytes. Empty only between CONNECT and the broker's assignment.
    ClientId
}
name! {
    /// The group name of a shared subscription: the NAME in `$share/NAME/FILTER` (section 4.8.2). Empty for `$queue/FILTER`, a group of its
    /// own that no `$share` can name.
    ShareName
}

fn checked_length(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > usize::from(u16::MAX) {
        return Err(NameError::TooLong);
    }
    if text.as_bytes().contains(&0) {
        return Err(NameError::Nul);
    }
    Ok(())
}

impl TopicName {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// Whatever section 4.7 forbids in a topic name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }

    /// Checks without copying, as decoding a PUBLISH does.
    ///
    /// # Errors
    /// As [`TopicName::new`].
    pub fn check(text: &str) -> Result<(), NameError> {
        // One pass without early exit, which compiles to vector instructions; what was wrong is found out only if something is.
        let forbidden = text.bytes().fold(false, |found, b| found | matches!(b, 0 | b'+' | b'#'));
        if !forbidden && (1..=usize::from(u16::MAX)).contains(&text.len()) {
            return Ok(());
        }
        checked_length(text)?;
        Err(NameError::WildcardInTopicName)
    }

    /// Whether the topic is for the server's own use: it begins with `$` (section 4.7.2).
    pub fn is_system(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl TopicFilter {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// Whatever section 4.7 forbids in a topic filter.
    pub fn new(text: &str) -> Result<Self, NameError> {
        checked_length(text)?;
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            if level.contains('#') && (level.len() > 1 || levels.peek().is_some()) {
                return Err(NameError::MultiLevelWildcard);
            }
            if level.contains('+') && level.len() > 1 {
                return Err(NameError::SingleLevelWildcard);
            }
        }
        Ok(Self(text.into()))
    }

    /// Whether the filter has no wildcard, so that it matches one topic only.
    pub fn is_exact(&self) -> bool {
        !self.0.bytes().any(|b| b == b'+' || b == b'#')
    }

    /// Whether `topic` matches, by section 4.7.1 and [MQTT-4.7.2-1] (`$` topics hide from leading wildcards).
    pub fn matches(&self, topic: &str) -> bool {
        if topic.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        // Wildcards stand alone in their level: bytes will do.
        let (mut filter, mut topic) = (self.0.as_bytes(), topic.as_bytes());
        loop {
            match (filter, topic) {
                ([b'#', ..], _) | ([], []) => return true,
                ([b'+', filter_rest @ ..], _) => {
                    let end = topic.iter().position(|byte| *byte == b'/').unwrap_or(topic.len());
                    (filter, topic) = (filter_rest, &topic[end..]);
                }
                ([f, filter_rest @ ..], [t, topic_rest @ ..]) if f == t => {
                    (filter, topic) = (filter_rest, topic_rest);
                }
                // `a/#` is for `a` too (section 4.7.1.2).
                (b"/#", []) => return true,
                _ => return false,
            }
        }
    }

    /// Whether every topic that `other` matches is matched by this filter too. Used by rules: an allowed `a/#` covers a
    /// subscription to `a/+/c`.
    pub fn covers(&self, other: &str) -> bool {
        if other.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let (mut wide, mut narrow) = (self.0.split('/'), other.split('/'));
        loop {
            match (wide.next(), narrow.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(level)) if level != "#" => {}
                (Some(w), Some(n)) if w == n => {}
                _ => return false,
            }
        }
    }

    /// Whether some topic matches both filters. Used by rules: a denied `a/secret` stands in the way of a subscription to `a/#`.
    pub fn overlaps(&self, other: &str) -> bool {
        let leading_wildcard = |f: &str| f.starts_with(['+', '#']);
        if (other.starts_with('$') && leading_wildcard(&self.0))
            || (self.0.starts_with('$') && leading_wildcard(other))
        {
            return false;
        }
        let (mut one, mut two) = (self.0.split('/'), other.split('/'));
        loop {
            match (one.next(), two.next()) {
                (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
                (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
                (Some(a), Some(b)) if a == b => {}
                _ => return false,
            }
        }
    }
}

impl From<&TopicName> for TopicFilter {
    fn from(topic: &TopicName) -> Self {
        Self(topic.0.clone())
    }
}

impl ClientId {
    /// Takes any text that a CONNECT can carry.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }
}

/// What a SUBSCRIBE asks for: a filter, and the group that shares it, if any (section 4.8.2).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SubscriptionFilter {
    /// The group, for `$share/NAME/FILTER`.
    pub share: Option<ShareName>,
    /// The filter that topics are matched against.
    pub filter: TopicFilter,
}

impl SubscriptionFilter {
    /// Takes the text of a SUBSCRIBE or UNSUBSCRIBE apart.
    ///
    /// # Errors
    /// [`NameError::ShareName`] for a malformed `$share/…` [MQTT-4.8.2-1], [MQTT-4.8.2-2]; else as [`TopicFilter::new`].
    pub fn new(text: &str) -> Result<Self, NameError> {
        if let Some(filter) = beyond(text, "$queue") {
            if filter.is_empty() {
                return Err(NameError::ShareName);
            }
            checked_length(text)?;
            return Ok(Self { share: Some(ShareName("".into())), filter: TopicFilter::new(filter)? });
        }
        let shared = beyond(text, "$share");
        let Some(shared) = shared else {
            return Ok(Self { share: None, filter: TopicFilter::new(text)? });
        };
        let (name, filter) = shared.split_once('/').ok_or(NameError::ShareName)?;
        if name.is_empty() || name.contains(['+', '#']) || filter.is_empty() {
            return Err(NameError::ShareName);
        }
        checked_length(text)?;
        Ok(Self { share: Some(ShareName(name.into())), filter: TopicFilter::new(filter)? })
    }
}

/// What follows the first level, if that is `level`.
fn beyond<'a>(text: &'a str, level: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(level)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

impl fmt::Display for SubscriptionFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.share {
            Some(name) if name.is_empty() => write!(f, "$queue/{}", self.filter),
            Some(name) => write!(f, "$share/{name}/{}", self.filter),
            None => f.write_str(&self.filter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::new(text).unwrap()
    }

    #[test]
    fn v5_4_7_1_1_and_v311_4_7_1_2_multi_level_wildcard_is_last_and_alone() {
        for good in ["#", "a/#", "/#", "a/+/#", "+", "+/+", "/+", "a//b", "/"] {
            assert!(TopicFilter::new(good).is_ok(), "{good}");
        }
        for bad in ["a#", "#/a", "a/#/b", "a/b#"] {
            assert_eq!(TopicFilter::new(bad), Err(NameError::MultiLevelWildcard), "{bad}");
        }
    }

    #[test]
    fn v5_4_7_1_2_and_v311_4_7_1_3_single_level_wildcard_fills_its_level() {
        for bad in ["a+", "+a", "a/b+/c"] {
            assert_eq!(TopicFilter::new(bad), Err(NameError::SingleLevelWildcard), "{bad}");
        }
    }

    #[test]
    fn v5_4_7_2_1_and_v311_4_7_2_1_leading_wildcards_do_not_match_dollar_topics() {
        assert!(!filter("#").matches("$SYS/broker"));
        assert!(!filter("+/broker").matches("$SYS/broker"));
        assert!(filter("$SYS/#").matches("$SYS/broker"));
        assert!(!filter("#").covers("$SYS/#"));
        assert!(!filter("#").overlaps("$SYS/#"));
    }

    #[test]
    fn v5_4_7_3_1_and_v311_4_7_3_1_names_have_at_least_one_character() {
        assert_eq!(TopicName::new(""), Err(NameError::Empty));
        assert_eq!(TopicFilter::new(""), Err(NameError::Empty));
    }

    #[test]
    fn v5_4_7_3_2_names_have_no_nul() {
        assert_eq!(TopicName::new("a\0"), Err(NameError::Nul));
    }

    #[test]
    fn v5_4_7_3_3_and_v311_4_7_3_3_names_fit_in_65535_bytes() {
        let longest = "a".repeat(65_535);
        assert!(TopicName::new(&longest).is_ok() && SubscriptionFilter::new(&longest).is_ok());
        // Bytes count, not characters.
        for long in [format!("{longest}a"), format!("ä{}", &longest[1..])] {
            assert_eq!(TopicName::new(&long), Err(NameError::TooLong));
            assert_eq!(TopicFilter::new(&long), Err(NameError::TooLong));
            assert_eq!(SubscriptionFilter::new(&long), Err(NameError::TooLong));
        }
        // The whole text of a shared filter counts, as it stands in the packet.
        let shared = |len: usize| SubscriptionFilter::new(&format!("$share/g/{}", &longest[..len - 9]));
        assert!(shared(65_535).is_ok());
        assert_eq!(SubscriptionFilter::new(&format!("$share/g/{}", &longest[8..])), Err(NameError::TooLong));
    }

    #[test]
    fn v5_4_8_2_1_share_names_are_filled_and_free_of_wildcards() {
        for bad in ["$share", "$share/", "$share/g", "$share/g/", "$share//a", "$share/g+/a", "$share/#/a"] {
            assert_eq!(SubscriptionFilter::new(bad), Err(NameError::ShareName), "{bad}");
        }
        let shared = SubscriptionFilter::new("$share/g/a/#").unwrap();
        assert_eq!(shared.share.as_deref(), Some("g"));
        assert_eq!(shared.to_string(), "$share/g/a/#");
    }

    #[test]
    fn the_queue_is_a_group_that_no_share_can_name() {
        let queue = SubscriptionFilter::new("$queue/a/#").unwrap();
        assert_eq!(queue.share.as_deref(), Some(""));
        assert_eq!(queue.filter.as_str(), "a/#");
        assert_eq!(queue.to_string(), "$queue/a/#");
        for bad in ["$queue", "$queue/"] {
            assert_eq!(SubscriptionFilter::new(bad), Err(NameError::ShareName), "{bad}");
        }
        assert_eq!(SubscriptionFilter::new("$queues/a").unwrap().share, None);
    }

    #[test]
    fn filters_match_as_section_4_7_1_shows() {
        for (f, t, want) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/+", "sport/", true),
            ("sport/+", "sport", false),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("a/b", "a/b/c", false),
            ("ACCOUNTS", "Accounts", false),
        ] {
            assert_eq!(filter(f).matches(t), want, "{f} {t}");
        }
    }

    #[test]
    fn covering_and_overlapping_filters() {
        for (wide, narrow, covers, overlaps) in [
            ("a/#", "a/+/c", true, true),
            ("a/+", "a/#", false, true),
            ("a/+/c", "a/b/+", false, true),
            ("a/b", "a/#", false, true),
            ("#", "#", true, true),
            ("a/#", "a", true, true),
            ("a", "a/#", false, true),
            ("a/b", "a/c", false, false),
            ("+", "a/b", false, false),
        ] {
            assert_eq!(filter(wide).covers(narrow), covers, "{wide} covers {narrow}");
            assert_eq!(filter(wide).overlaps(narrow), overlaps, "{wide} overlaps {narrow}");
            assert_eq!(filter(narrow).overlaps(wide), overlaps, "{narrow} overlaps {wide}");
        }
    }

    /// Level by level, as section 4.7.1 tells it.
    fn matches_by_levels(filter: &str, topic: &str) -> bool {
        if topic.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
        loop {
            match (filter.next(), topic.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(_)) => {}
                (Some(f), Some(t)) if f == t => {}
                _ => return false,
            }
        }
    }

    proptest! {
        #[test]
        fn v5_4_7_1_1_byte_by_byte_is_level_by_level(
            levels in proptest::collection::vec("[a+]|\\$?a?b?", 1..5),
            open in any::<bool>(),
            topic in proptest::collection::vec("\\$?a?b?", 1..5),
        ) {
            let mut text = levels.join("/");
            if open {
                text.push_str("/#");
            }
            let topic = topic.join("/");
            if let Ok(filter) = TopicFilter::new(&text) {
                prop_assert_eq!(filter.matches(&topic), matches_by_levels(&text, &topic), "{} {}", text, topic);
            }
        }
    }
}
