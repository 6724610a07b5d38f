//! `tidegate:plugin/publish`

use super::{broken, properties, qos, refusing};
use crate::wire;
use tidegate_hooks::{FaultKind, Patch, PublishRequest, PublishVerdict};
use tidegate_mqtt::TopicName;

pub(crate) use super::properties::of_publish as properties;

/// Optional fields of a message that a guest asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Wants {
    pub(crate) payload: bool,
    pub(crate) client_id: bool,
    pub(crate) username: bool,
    pub(crate) properties: bool,
}

impl Wants {
    /// Adds a field by the name it has in `scope.wants`. False: there is none of that name.
    pub(crate) fn add(&mut self, name: &str) -> bool {
        let field = match name {
            "payload" => &mut self.payload,
            "client-id" => &mut self.client_id,
            "username" => &mut self.username,
            "properties" => &mut self.properties,
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
        ];
        fields.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect()
    }
}

/// The question: borrowed, and no more than is wanted.
pub(crate) fn question<'a>(
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
        extra: (wants != Wants::default()).then(|| wire::MessageExtra {
            payload: if wants.payload { request.payload } else { &[] },
            client_id: if wants.client_id { request.client_id } else { "" },
            username: request.username.filter(|_| wants.username),
            properties,
        }),
    }
}

/// The answer, if it is one.
pub(crate) fn answer(verdict: wire::Verdict) -> Result<PublishVerdict, FaultKind> {
    Ok(match verdict {
        wire::Verdict::Next => PublishVerdict::Next,
        wire::Verdict::Accept => PublishVerdict::Accept,
        wire::Verdict::Swallow => PublishVerdict::Swallow,
        wire::Verdict::Refuse(code) => PublishVerdict::Refuse(refusing("refuse", code)?),
        wire::Verdict::Edit(edits) => PublishVerdict::Edit(Box::new(patch(edits)?)),
    })
}

fn patch(edits: wire::Patch) -> Result<Patch, FaultKind> {
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
    use crate::wire::{NewPropValue as Value, NewProperty, Verdict};
    use tidegate_mqtt::{QoS, SessionId};

    const NOTHING: wire::Patch =
        wire::Patch { topic: None, payload: None, qos: None, retain: None, properties: None };

    fn fault(verdict: Verdict) -> String {
        answer(verdict).unwrap_err().to_string()
    }

    fn property(id: u8, value: Value) -> Verdict {
        Verdict::Edit(wire::Patch { properties: Some(vec![NewProperty { id, value }]), ..NOTHING })
    }

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
        let nothing = question(&request, Wants::default(), &[]);
        assert!(nothing.extra.is_none());
        assert_eq!((nothing.topic, nothing.payload_len), ("a", 5));
        let some = Wants { client_id: true, ..Wants::default() };
        let some = question(&request, some, &[]).extra.unwrap();
        assert_eq!((some.client_id, some.username, some.payload), ("c1", None, &b""[..]));
        let wants = Wants { payload: true, client_id: true, username: true, properties: false };
        let all = question(&request, wants, &[]).extra.unwrap();
        assert_eq!((all.client_id, all.username, all.payload), ("c1", Some("alice"), &b"hello"[..]));
    }

    #[test]
    fn an_edit_is_taken_over() {
        let edits = wire::Patch {
            topic: Some("b".into()),
            payload: Some(b"x".to_vec()),
            qos: Some(2),
            retain: Some(true),
            properties: Some(vec![
                NewProperty { id: 0x26, value: Value::Pair(("a".into(), "b".into())) },
                NewProperty { id: 0x26, value: Value::Pair(("a".into(), "c".into())) },
                NewProperty { id: 0x02, value: Value::Number(60) },
                NewProperty { id: 0x08, value: Value::Text("answers".into()) },
                NewProperty { id: 0x09, value: Value::Bytes(vec![1]) },
            ]),
        };
        let PublishVerdict::Edit(patch) = answer(Verdict::Edit(edits)).unwrap() else { panic!() };
        assert_eq!(patch.topic.as_deref(), Some("b"));
        let properties = patch.properties.unwrap();
        assert_eq!(properties.user_properties.len(), 2);
        assert_eq!(properties.message_expiry_interval, Some(60));
        assert_eq!(properties.response_topic.as_deref(), Some("answers"));
    }

    #[test]
    fn nonsense_names_its_field() {
        for topic in ["", "a/#", "a\0", &"x".repeat(65536)] {
            let edit = Verdict::Edit(wire::Patch { topic: Some(topic.into()), ..NOTHING });
            assert!(fault(edit).contains("edit.topic"));
        }
        assert!(fault(Verdict::Edit(wire::Patch { qos: Some(3), ..NOTHING })).contains("edit.qos: 3"));
        assert!(fault(Verdict::Refuse(0x00)).contains("refuse: 0x00"));
        assert!(fault(Verdict::Refuse(0x7F)).contains("not a reason code"));
        assert!(fault(property(0x23, Value::Number(1))).contains("edit.properties: 0x23"));
        assert!(fault(property(0x02, Value::Text("60".into()))).contains("edit.properties: 0x02"));
        assert!(fault(property(0x01, Value::Number(2))).contains("edit.properties: 0x01"));
        assert!(fault(property(0x08, Value::Text("a/#".into()))).contains("edit.properties: 0x08"));
        let twice = vec![NewProperty { id: 0x02, value: Value::Number(1) }; 2];
        assert!(
            fault(Verdict::Edit(wire::Patch { properties: Some(twice), ..NOTHING }))
                .contains("more than once")
        );
    }
}
