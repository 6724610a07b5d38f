//! `[plugin.sticky-shared.config]`

use serde::Deserialize;
use tidegate_plugin::{MessageKey, config::Topics};

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Messages with the same go to the same member.
    pub(crate) key: MessageKey,
    /// Which messages it is about.
    #[serde(default)]
    pub(crate) topics: Topics,
    /// Which groups it is about; none: all of them.
    #[serde(default)]
    pub(crate) groups: Vec<Group>,
    /// What becomes of messages without such a key.
    #[serde(default)]
    pub(crate) on_missing: OnMissing,
    /// What becomes of messages for a member that is not connected.
    #[serde(default)]
    pub(crate) away: Away,
}

/// A group by its name, or a whole shared subscription.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Group(String);

impl Group {
    /// Whether it is the one of `$share/NAME/FILTER`, or of `$queue/FILTER`.
    pub(crate) fn is(&self, group: &str) -> bool {
        self.0 == group || self.0 == name(group)
    }
}

fn name(group: &str) -> &str {
    let mut levels = group.split('/');
    match levels.next() {
        Some("$share") => levels.next().unwrap_or_default(),
        first => first.unwrap_or_default(),
    }
}

impl TryFrom<String> for Group {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let is_name = !text.is_empty() && !text.contains(['/', '+', '#']);
        let is_whole = ["$share/", "$queue/"].iter().any(|share| text.starts_with(share));
        if is_name || is_whole {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is neither the NAME of $share/NAME/FILTER nor all of that"))
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnMissing {
    /// The member whose turn it is.
    #[default]
    Broker,
    /// The publisher's client id is the key.
    ClientId,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Away {
    /// They wait for it.
    #[default]
    Wait,
    /// The next member gets them.
    Skip,
}
