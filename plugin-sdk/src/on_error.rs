//! The words for what becomes of a message that the plugin could not judge: `on_error = "refuse"`.

use crate::Verdict;
use serde::Deserialize;
use tidegate_mqtt::ReasonCode;

/// What becomes of a message when what the plugin needs for its answer fails, such as [`kv`](crate::kv) that is full. Nothing that a plugin
/// guards should pass because the plugin fails, so the default is to refuse it.
///
/// ```
/// use tidegate_plugin::{OnError, ReasonCode, Verdict};
///
/// assert_eq!(OnError::default().verdict(), Verdict::Refuse(ReasonCode::ImplementationSpecificError));
/// assert_eq!(OnError::Pass.verdict(), Verdict::Next);
/// ```
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Reason code 0x83; before MQTT 5 acknowledged and dropped.
    #[default]
    Refuse,
    /// As if the plugin had not been asked.
    Pass,
}

impl OnError {
    /// The answer.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Refuse => Verdict::Refuse(ReasonCode::ImplementationSpecificError),
            Self::Pass => Verdict::Next,
        }
    }
}
