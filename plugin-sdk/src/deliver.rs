//! What one recipient gets of a message.

use crate::{Edit, Message, bindings::deliver::exports::tidegate::plugin::deliver};

/// The hook for messages that leave a recipient's queue.
///
/// It is asked once a recipient: a fan-out to a thousand is a thousand calls. So name topics in the scope.
///
/// ```
/// use tidegate_plugin::{
///     DeliverVerdict, Edit, Message, NoConfig, OnDeliver, Plugin, Recipient, Scope, Start, current,
/// };
///
/// /// Positions are for those who were granted them.
/// struct Positions;
///
/// impl Plugin for Positions {
///     type Config = NoConfig;
///     fn new(_: Start, _: NoConfig) -> Result<Self, String> {
///         Ok(Self)
///     }
///     fn scopes(&self) -> Vec<Scope> {
///         vec![Scope::deliver(["vehicles/+/position"])]
///     }
/// }
///
/// impl OnDeliver for Positions {
///     fn on_deliver(&mut self, _: Message, recipient: Recipient) -> DeliverVerdict {
///         match current::attribute("role").as_deref() {
///             Some("dispatcher") => DeliverVerdict::Next,
///             Some("driver") => Edit::new().payload("on its way").into(),
///             _ => DeliverVerdict::Drop,
///         }
///     }
/// }
///
/// tidegate_plugin::export!(Positions: on_deliver);
///
/// use tidegate_plugin::testing::{self, Host};
///
/// let mut plugin: Positions = Host::new().attribute("role", "driver").start()?;
/// let message = testing::message("vehicles/7/position", "52.5,13.4");
/// assert_eq!(plugin.on_deliver(message, testing::recipient("c1")), Edit::new().payload("on its way").into());
/// # Ok::<(), String>(())
/// ```
pub trait OnDeliver {
    /// What does this recipient get of this message? Must answer at once. The message's session is who published it; its QoS and RETAIN
    /// flag are the recipient's.
    fn on_deliver(&mut self, message: Message, recipient: Recipient) -> DeliverVerdict;
}

/// Who gets a message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Recipient {
    /// Its session, unique in the life of the broker.
    pub session: u64,
    /// Its client id.
    pub client_id: String,
}

impl Recipient {
    pub(crate) fn new(session: u64, client_id: String) -> Self {
        Self { session, client_id }
    }
}

/// Answer to the question what a recipient gets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DeliverVerdict {
    /// Nothing to say; ask the next plugin.
    Next,
    /// Change it for this recipient, then ask the next plugin. QoS and RETAIN stay: an edit that names them breaks the contract.
    Edit(Edit),
    /// This recipient does not get it.
    Drop,
}

impl From<Edit> for DeliverVerdict {
    fn from(edit: Edit) -> Self {
        Self::Edit(edit)
    }
}

impl From<DeliverVerdict> for deliver::Verdict {
    fn from(verdict: DeliverVerdict) -> Self {
        match verdict {
            DeliverVerdict::Next => Self::Next,
            DeliverVerdict::Edit(edit) => Self::Edit(edit.into()),
            DeliverVerdict::Drop => Self::Drop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict_is_one_of_the_interface() {
        assert!(matches!(DeliverVerdict::Next.into(), deliver::Verdict::Next));
        assert!(matches!(DeliverVerdict::Drop.into(), deliver::Verdict::Drop));
        let edit = DeliverVerdict::from(Edit::new().topic("b"));
        let deliver::Verdict::Edit(patch) = edit.into() else { panic!("no edit") };
        assert_eq!((patch.topic.as_deref(), patch.payload), (Some("b"), None));
    }
}
