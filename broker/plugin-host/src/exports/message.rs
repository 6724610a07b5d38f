//! A message as guests see it, for all hooks that are asked about one, and the changes they make to it.

use super::{broken, properties, qos};
use crate::wire;
use tidegate_hooks::{FaultKind, Patch, PublishRequest};
use tidegate_mqtt::TopicName;

/// Optional fields of a message that a guest asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Wants {
    pub(crate) payload: bool,
    pub(crate) client_id: bool,
    pub(crate) username: bool,
    pub(crate) properties: bool,
    /// Not of the message, but of those who would get it.
    pub(crate) filter: bool,
}

impl Wants {
    /// Adds a field by the name it has in `scope.wants`. False: there is none of that name.
    pub(crate) fn add(&mut self, name: &str) -> bool {
        let field = match name {
            "payload" => &mut self.payload,
            "client-id" => &mut self.client_id,
            "username" => &mut self.username,
            "properties" => &mut self.properties,
            "filter" => &mut self.filter,
            _ => return false,
        };
        *field = true;
        true
    }

    pub(crate) fn names(self) -> Vec<&'static str> {
        let fields = [
            ("payload", self.payload),
            ("client-id", self.client_id),
            ("username", self.username),
            ("properties", self.properties),
            ("filter", self.filter),
        ];
        fields.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect()
    }
}

/// The message: borrowed, and no more than is wanted.
pub(crate) fn message<'a>(
    request: &PublishRequest<'a>,
    wants: Wants,
    properties: &'a [wire::Property<'a>],
) -> wire::Message<'a> {
    wire::Message {
        session: request.session.0,
        topic: request.topic,
        qos: request.qos as u8,
        retain: request.retain,
        payload_len: u32::try_from(request.payload.len()).unwrap_or(u32::MAX),
        extra: (Wants { filter: false, ..wants } != Wants::default()).then(|| wire::MessageExtra {
            payload: if wants.payload { request.payload } else { &[] },
            client_id: if wants.client_id { request.client_id } else { "" },
            username: request.username.filter(|_| wants.username),
            properties,
        }),
    }
}

/// Its properties, if they are wanted.
pub(crate) fn properties_of<'a>(request: &PublishRequest<'a>, wants: Wants) -> Vec<wire::Property<'a>> {
    match request.properties {
        Some(of) if wants.properties => properties::of_publish(of),
        _ => Vec::new(),
    }
}

/// The changes, if they can be made.
pub(super) fn patch(edits: wire::Patch) -> Result<Patch, FaultKind> {
    let topic = |topic: String| TopicName::new(&topic).map_err(|why| broken("edit.topic", why));
    Ok(Patch {
        topic: edits.topic.map(topic).transpose()?,
        payload: edits.payload.map(Into::into),
        qos: edits.qos.map(|number| qos("edit.qos", number)).transpose()?,
        retain: edits.retain,
        properties: edits.properties.map(properties::to_publish).transpose()?.map(Box::new),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_mqtt::{QoS, SessionId};

    #[test]
    fn a_question_holds_what_is_wanted_and_no_more() {
        let request = PublishRequest {
            session: SessionId(7),
            client_id: "c1",
            username: Some("alice"),
            topic: "a",
            qos: QoS::AtLeastOnce,
            retain: false,
            payload: b"hello",
            properties: None,
            attributes: &tidegate_hooks::NO_ATTRIBUTES,
            origin: None,
        };
        let nothing = message(&request, Wants::default(), &[]);
        assert!(nothing.extra.is_none());
        assert_eq!((nothing.topic, nothing.payload_len), ("a", 5));
        let some = Wants { client_id: true, ..Wants::default() };
        let some = message(&request, some, &[]).extra.unwrap();
        assert_eq!((some.client_id, some.username, some.payload), ("c1", None, &b""[..]));
        let wants =
            Wants { payload: true, client_id: true, username: true, properties: false, filter: false };
        let all = message(&request, wants, &[]).extra.unwrap();
        assert_eq!((all.client_id, all.username, all.payload), ("c1", Some("alice"), &b"hello"[..]));
    }
}
