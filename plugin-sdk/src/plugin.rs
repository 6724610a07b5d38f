//! What every plugin has.

use crate::bindings::lifecycle::exports::tidegate::plugin::lifecycle;
use serde::{Deserialize, de::DeserializeOwned};

/// A plugin: made once an instance, then asked by the hooks it has.
pub trait Plugin: Sized + 'static {
    /// The plugin's `config` table; [`NoConfig`] if it has none. Use `#[serde(deny_unknown_fields)]`, so that a mistyped key is
    /// an error at start and not a setting that never works.
    type Config: DeserializeOwned;

    /// Makes the instance.
    ///
    /// # Errors
    /// A sentence for the operator. The plugin is not loaded; on a reload the generation before stays.
    fn new(start: Start, config: Self::Config) -> Result<Self, String>;

    /// Narrows hooks to some topics, and names the fields they want. A hook without a scope is asked about every topic, and is
    /// given no optional field. Asked once, after [`Plugin::new`].
    fn scopes(&self) -> Vec<Scope> {
        Vec::new()
    }

    /// Another generation is about to take the place of this one: what it gets as [`Start::state`]. Until it is in place, this one goes on answering.
    fn drain(&mut self) -> Option<Vec<u8>> {
        None
    }
}

/// The circumstances of an instance's start.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Start {
    /// The plugin's name: its file name without `.wasm`.
    pub plugin: String,
    /// 1 for the first file of that name, one more for each that follows.
    pub generation: u64,
    /// Of the broker.
    pub broker_version: String,
    /// What the generation before left in [`Plugin::drain`].
    pub state: Option<Vec<u8>>,
}

impl From<lifecycle::Start> for Start {
    fn from(start: lifecycle::Start) -> Self {
        let lifecycle::Start { plugin, generation, broker_version, state } = start;
        Self { plugin, generation, broker_version, state }
    }
}

/// A config table without keys.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// The topics one hook is asked about, and the fields it wants. A hook may have several: they add up.
///
/// ```
/// use tidegate_plugin::{Field, Scope, events};
///
/// let scopes = [
///     Scope::publish(["sensors/#"]).wanting(Field::Payload),
///     Scope::deliver(["alarms/+"]),
///     Scope::events([events::CONNECTED]),
/// ];
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scope {
    pub(crate) hook: &'static str,
    pub(crate) filters: Vec<String>,
    pub(crate) wants: Vec<String>,
}

impl Scope {
    /// [`Acl`](crate::Acl) is asked only about topics that match one of `filters`, and subscriptions that share topics with
    /// one. No filter: everything.
    pub fn acl(filters: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new("acl", filters)
    }

    /// [`OnPublish`](crate::OnPublish) and [`OnPublishBatch`](crate::OnPublishBatch) are asked only about topics that match one of
    /// `filters`. No filter: everything.
    pub fn publish(filters: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new("publish", filters)
    }

    /// [`OnSubscribe`](crate::OnSubscribe) is asked only about subscriptions that share topics with one of `filters`. No filter:
    /// everything.
    pub fn subscribe(filters: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new("subscribe", filters)
    }

    /// [`Subscribers`](crate::Subscribers) is asked only about topics that match one of `filters`. No filter: everything.
    pub fn subscribers(filters: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new("subscribers", filters)
    }

    /// [`OnDeliver`](crate::OnDeliver) is asked only about topics that match one of `filters`. It must name some: it is called once a
    /// recipient.
    pub fn deliver(filters: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new("deliver", filters)
    }

    /// [`OnEvents`](crate::OnEvents) is told only of these `kinds`; see [`events`](crate::events). No kind: all but those that happen with
    /// every message.
    pub fn events(kinds: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let wants = kinds.into_iter().map(Into::into).collect();
        Self { hook: "events", filters: Vec::new(), wants }
    }

    /// Of events about a topic, only those whose topic matches one of `filters`.
    #[must_use]
    pub fn about(mut self, filters: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.filters.extend(filters.into_iter().map(Into::into));
        self
    }

    fn new(hook: &'static str, filters: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { hook, filters: filters.into_iter().map(Into::into).collect(), wants: Vec::new() }
    }

    /// One more field to be filled with every message. What nobody wants is not copied. For hooks with a message only: publish, subscribers
    /// and deliver.
    #[must_use]
    pub fn wanting(mut self, field: Field) -> Self {
        self.wants.push(field.name().into());
        self
    }

    /// The filters, empty for all topics.
    pub fn filters(&self) -> &[String] {
        &self.filters
    }
}

impl From<Scope> for lifecycle::Scope {
    fn from(scope: Scope) -> Self {
        let Scope { hook, filters, wants } = scope;
        Self { hook: hook.into(), filters, wants }
    }
}

/// A field of [`Message`](crate::Message) that is filled only where a scope wants it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Field {
    /// The payload, with the question. Without it [`Message::payload`](crate::Message::payload) fetches it when called.
    Payload,
    /// The publisher's client id. Not known any more when a message is delivered.
    ClientId,
    /// The publisher's username. Not known any more when a message is delivered.
    Username,
    /// MQTT 5 properties.
    Properties,
    /// Of [`Candidate`](crate::Candidate), so for subscribers only: by which subscription a message would come.
    Filter,
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::ClientId => "client-id",
            Self::Username => "username",
            Self::Properties => "properties",
            Self::Filter => "filter",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events;

    #[test]
    fn a_scope_names_hook_filters_and_wants_as_the_interface_does() {
        let scope = lifecycle::Scope::from(Scope::deliver(["a/#"]).wanting(Field::ClientId));
        assert_eq!((scope.hook.as_str(), &scope.filters[..]), ("deliver", &["a/#".to_owned()][..]));
        assert_eq!(scope.wants, ["client-id"]);
        let scope = lifecycle::Scope::from(Scope::events([events::PUBLISHED]).about(["b"]));
        assert_eq!((scope.hook.as_str(), &scope.filters[..]), ("events", &["b".to_owned()][..]));
        assert_eq!(scope.wants, ["published"]);
        let hooks = [Scope::subscribe(["a"]), Scope::subscribers(["a"])].map(|scope| scope.hook);
        assert_eq!(hooks, ["subscribe", "subscribers"]);
    }
}
