//! A message on its way, and the changes a hook may make to it.

use crate::{Property, bindings::lifecycle::tidegate::plugin::types, current, property};
use std::borrow::Cow;
use tidegate_mqtt::QoS;

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
    /// The payload. Read from the broker now unless the scope wants [`Field::Payload`](crate::Field::Payload). In a batch there is no one
    /// message to be read: there it is empty unless wanted.
    pub fn payload(&self) -> Cow<'_, [u8]> {
        match &self.payload {
            Some(payload) => Cow::Borrowed(payload),
            None => Cow::Owned(current::read(0, self.payload_len)),
        }
    }

    /// The first user property of that name (section 3.3.2.3.7), if the scope wants
    /// [`Field::Properties`](crate::Field::Properties).
    pub fn user_property(&self, name: &str) -> Option<&str> {
        property::user_property(&self.properties, name)
    }
}

impl From<types::Message> for Message {
    fn from(message: types::Message) -> Self {
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
            this.properties = property::from_list(extra.properties);
            this.payload = Some(extra.payload).filter(|payload| payload.len() == this.payload_len as usize);
        }
        this
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

impl From<Edit> for types::Patch {
    fn from(edit: Edit) -> Self {
        Self {
            topic: edit.topic,
            payload: edit.payload,
            qos: edit.qos.map(|qos| qos as u8),
            retain: edit.retain,
            properties: edit.properties.map(property::to_list),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(extra: Option<types::MessageExtra>) -> Message {
        let topic = "a".into();
        types::Message { session: 7, topic, qos: 1, retain: false, payload_len: 5, extra }.into()
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
