//! What becomes of a message, after it was authorized and before it is stored and routed.

use crate::{
    bindings::{lifecycle::tidegate::plugin::types, publish::exports::tidegate::plugin::publish},
    current,
};
use std::borrow::Cow;
use tidegate_mqtt::{QoS, ReasonCode};

/// The hook for messages.
pub trait OnPublish {
    /// What becomes of this message? Must answer at once.
    fn on_publish(&mut self, message: Message) -> Verdict;
}

/// A message being published.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Message {
    /// The publisher's session, unique in the life of the broker.
    pub session: u64,
    /// Its topic, with the edits of plugins before this one.
    pub topic: String,
    /// Its quality of service.
    pub qos: QoS,
    /// Its RETAIN flag.
    pub retain: bool,
    /// Length of the payload in bytes.
    pub payload_len: u32,
    /// If the scope wants [`Field::ClientId`](crate::Field::ClientId).
    pub client_id: Option<String>,
    /// If the scope wants [`Field::Username`](crate::Field::Username) and there is one.
    pub username: Option<String>,
    /// If the scope wants [`Field::Properties`](crate::Field::Properties).
    pub properties: Vec<Property>,
    pub(crate) payload: Option<Vec<u8>>,
}

impl Message {
    /// The payload. Read from the broker now unless the scope wants [`Field::Payload`](crate::Field::Payload).
    pub fn payload(&self) -> Cow<'_, [u8]> {
        match &self.payload {
            Some(payload) => Cow::Borrowed(payload),
            None => Cow::Owned(current::read(0, self.payload_len)),
        }
    }

    /// The first user property of that name (section 3.3.2.3.7), if the scope wants
    /// [`Field::Properties`](crate::Field::Properties).
    pub fn user_property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find_map(|property| match &property.value {
            PropertyValue::Pair(key, value) if key == name => Some(value.as_str()),
            _ => None,
        })
    }
}

impl From<publish::Message> for Message {
    fn from(message: publish::Message) -> Self {
        let mut this = Self {
            session: message.session,
            topic: message.topic,
            qos: QoS::try_from(message.qos).unwrap_or_default(),
            retain: message.retain,
            payload_len: message.payload_len,
            ..Self::default()
        };
        if let Some(extra) = message.extra {
            this.client_id = Some(extra.client_id).filter(|id| !id.is_empty());
            this.username = extra.username;
            this.properties = extra.properties.into_iter().map(Property::from).collect();
            this.payload = Some(extra.payload).filter(|payload| payload.len() == this.payload_len as usize);
        }
        this
    }
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
            Verdict::Edit(edit) => Self::Edit(types::Patch {
                topic: edit.topic,
                payload: edit.payload,
                qos: edit.qos.map(|qos| qos as u8),
                retain: edit.retain,
                properties: edit.properties.map(|all| all.into_iter().map(types::Property::from).collect()),
            }),
            Verdict::Refuse(code) => Self::Refuse(code as u8),
            Verdict::Swallow => Self::Swallow,
        }
    }
}

/// Changes to a message; what is not named stays.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Edit {
    /// New topic; authorized again if it differs.
    pub topic: Option<String>,
    /// New payload.
    pub payload: Option<Vec<u8>>,
    /// New quality of service towards the subscribers.
    pub qos: Option<QoS>,
    /// New RETAIN flag.
    pub retain: Option<bool>,
    /// New properties, all of them.
    pub properties: Option<Vec<Property>>,
}

impl Edit {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new topic; it is authorized again if it differs.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// A new payload.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// A new quality of service towards the subscribers.
    #[must_use]
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = Some(qos);
        self
    }

    /// A new RETAIN flag.
    #[must_use]
    pub fn retain(mut self, retain: bool) -> Self {
        self.retain = Some(retain);
        self
    }

    /// New properties, in place of all there were.
    #[must_use]
    pub fn properties(mut self, properties: impl IntoIterator<Item = Property>) -> Self {
        self.properties = Some(properties.into_iter().collect());
        self
    }
}

/// An MQTT 5 property by its identifier (section 2.2.2.2), such as 0x26 for a user property.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Property {
    /// The identifier.
    pub id: u8,
    /// Its value.
    pub value: PropertyValue,
}

impl Property {
    /// A user property.
    pub fn user(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { id: 0x26, value: PropertyValue::Pair(key.into(), value.into()) }
    }
}

/// The value of a [`Property`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PropertyValue {
    /// Any of the integers.
    Number(u32),
    /// A UTF-8 string.
    Text(String),
    /// Binary data.
    Bytes(Vec<u8>),
    /// A user property.
    Pair(String, String),
}

impl From<Property> for types::Property {
    fn from(Property { id, value }: Property) -> Self {
        let value = match value {
            PropertyValue::Number(number) => types::PropValue::Number(number),
            PropertyValue::Text(text) => types::PropValue::Text(text),
            PropertyValue::Bytes(bytes) => types::PropValue::Bytes(bytes),
            PropertyValue::Pair(key, value) => types::PropValue::Pair((key, value)),
        };
        Self { id, value }
    }
}

impl From<types::Property> for Property {
    fn from(types::Property { id, value }: types::Property) -> Self {
        let value = match value {
            types::PropValue::Number(number) => PropertyValue::Number(number),
            types::PropValue::Text(text) => PropertyValue::Text(text),
            types::PropValue::Bytes(bytes) => PropertyValue::Bytes(bytes),
            types::PropValue::Pair((key, value)) => PropertyValue::Pair(key, value),
        };
        Self { id, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(extra: Option<types::MessageExtra>) -> Message {
        let topic = "a".into();
        publish::Message { session: 7, topic, qos: 1, retain: false, payload_len: 5, extra }.into()
    }

    fn extra(client_id: &str, payload: &[u8]) -> Option<types::MessageExtra> {
        let client_id = client_id.into();
        Some(types::MessageExtra {
            payload: payload.into(),
            client_id,
            username: None,
            properties: Vec::new(),
        })
    }

    #[test]
    fn what_is_not_wanted_is_none() {
        assert_eq!((message(None).client_id, message(None).payload), (None, None));
        let payload_only = message(extra("", b"hello"));
        assert_eq!((payload_only.client_id, payload_only.payload.as_deref()), (None, Some(&b"hello"[..])));
        let client_id_only = message(extra("c1", b""));
        assert_eq!((client_id_only.client_id.as_deref(), client_id_only.payload), (Some("c1"), None));
    }
}
