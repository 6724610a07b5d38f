//! What becomes of a message, after it was authorized and before it is stored and routed.

use crate::{Edit, Message, bindings::lifecycle::tidegate::plugin::types};
use tidegate_mqtt::ReasonCode;

/// The hook for messages.
///
/// ```
/// use tidegate_plugin::{Edit, Message, NoConfig, OnPublish, Plugin, Scope, Start, Verdict};
///
/// struct Lower;
///
/// impl Plugin for Lower {
///     type Config = NoConfig;
///     fn new(_: Start, _: NoConfig) -> Result<Self, String> {
///         Ok(Self)
///     }
///     fn scopes(&self) -> Vec<Scope> {
///         vec![Scope::publish(["legacy/#"])]
///     }
/// }
///
/// impl OnPublish for Lower {
///     fn on_publish(&mut self, message: Message) -> Verdict {
///         Edit::new().topic(message.topic.to_lowercase()).into()
///     }
/// }
///
/// tidegate_plugin::export!(Lower: on_publish);
/// # let mut plugin: Lower = tidegate_plugin::testing::Host::new().start().unwrap();
/// # let message = tidegate_plugin::testing::message("legacy/PLC", "");
/// # assert_eq!(plugin.on_publish(message), Edit::new().topic("legacy/plc").into());
/// ```
pub trait OnPublish {
    /// What becomes of this message? Must answer at once, unless the plugin was granted `http`.
    fn on_publish(&mut self, message: Message) -> Verdict;
}

/// The hook for messages, asked once about all that came in one read of a connection. A plugin exports this one or [`OnPublish`].
///
/// ```
/// use tidegate_plugin::{Message, NoConfig, OnPublishBatch, Plugin, ReasonCode, Start, Verdict};
///
/// /// Refuses whatever comes in bursts of more than ten.
/// struct NoBursts;
///
/// impl Plugin for NoBursts {
///     type Config = NoConfig;
///     fn new(_: Start, _: NoConfig) -> Result<Self, String> {
///         Ok(Self)
///     }
/// }
///
/// impl OnPublishBatch for NoBursts {
///     fn on_publish_batch(&mut self, messages: Vec<Message>) -> Vec<Verdict> {
///         let verdict = |index| if index < 10 { Verdict::Next } else { Verdict::Refuse(ReasonCode::QuotaExceeded) };
///         (0..messages.len()).map(verdict).collect()
///     }
/// }
///
/// tidegate_plugin::export!(NoBursts: on_publish_batch);
/// # let mut plugin: NoBursts = tidegate_plugin::testing::Host::new().start().unwrap();
/// # let verdicts = plugin.on_publish_batch(vec![tidegate_plugin::testing::message("a", "b")]);
/// # assert_eq!(verdicts, [Verdict::Next]);
/// ```
pub trait OnPublishBatch {
    /// What becomes of these messages of one client? One verdict each, in order. [`current`](crate::current) is about their publisher; it
    /// reads no payload.
    fn on_publish_batch(&mut self, messages: Vec<Message>) -> Vec<Verdict>;
}

/// Answer to a [`Message`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Nothing to say; ask the next plugin.
    Next,
    /// Good as it is; ask no further plugin.
    Accept,
    /// Change it, then ask the next plugin.
    Edit(Edit),
    /// Refuse it with this reason code, 0x80 or above.
    Refuse(ReasonCode),
    /// Acknowledge it, deliver it to nobody.
    Swallow,
}

impl From<Edit> for Verdict {
    fn from(edit: Edit) -> Self {
        Self::Edit(edit)
    }
}

impl From<Verdict> for types::PublishVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Next => Self::Next,
            Verdict::Accept => Self::Accept,
            Verdict::Edit(edit) => Self::Edit(edit.into()),
            Verdict::Refuse(code) => Self::Refuse(code as u8),
            Verdict::Swallow => Self::Swallow,
        }
    }
}
