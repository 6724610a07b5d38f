//! The words for actions in a config: `allow = "subscribe"`, `deny = "all"`.

use crate::Action;
use serde::Deserialize;

/// One or more actions, as operators write them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Publishing, wills too.
    Publish,
    /// Subscribing, and receiving what was subscribed to.
    Subscribe,
    /// Receiving only: a subscription may stand, but these messages do not come through it. Asked only where the broker is told to.
    Receive,
    /// All of it.
    #[serde(alias = "readwrite")]
    All,
}

impl Access {
    /// The actions meant.
    pub fn actions(self) -> &'static [Action] {
        match self {
            Self::Publish => &[Action::Publish],
            Self::Subscribe => &[Action::Subscribe, Action::Receive],
            Self::Receive => &[Action::Receive],
            Self::All => &[Action::Publish, Action::Subscribe, Action::Receive],
        }
    }

    /// A config table has either `allow` or `deny`: whether it allows, and what.
    ///
    /// # Errors
    /// A sentence, if it has none or both.
    pub fn either(allow: Option<Self>, deny: Option<Self>) -> Result<(bool, Self), &'static str> {
        match (allow, deny) {
            (Some(access), None) => Ok((true, access)),
            (None, Some(access)) => Ok((false, access)),
            (None, None) => Err("it needs `allow` or `deny`"),
            (Some(_), Some(_)) => Err("it has both `allow` and `deny`; one rule does one of them"),
        }
    }
}
