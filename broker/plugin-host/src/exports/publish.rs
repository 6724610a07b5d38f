//! `tidegate:plugin/publish` and `publish-batch`

use super::{broken, each, message::patch, refusing};
use crate::wire;
use tidegate_hooks::{FaultKind, PublishVerdict};
use tidegate_mqtt::PacketType;

/// The answer, if it is one.
pub(crate) fn answer(verdict: wire::Verdict) -> Result<PublishVerdict, FaultKind> {
    Ok(match verdict {
        wire::Verdict::Next => PublishVerdict::Next,
        wire::Verdict::Accept => PublishVerdict::Accept,
        wire::Verdict::Swallow => PublishVerdict::Swallow,
        wire::Verdict::Refuse(code) => {
            PublishVerdict::Refuse(refusing("refuse", code, &[PacketType::PubAck])?)
        }
        wire::Verdict::Edit(edits) => PublishVerdict::Edit(Box::new(patch(edits)?)),
    })
}

/// The answer to a batch of one message.
pub(crate) fn only_answer(verdicts: Vec<wire::Verdict>) -> Result<PublishVerdict, FaultKind> {
    answers(verdicts, 1)?.pop().ok_or_else(|| broken("verdicts", "none"))
}

/// One answer for each of so many messages.
pub(crate) fn answers(verdicts: Vec<wire::Verdict>, asked: usize) -> Result<Vec<PublishVerdict>, FaultKind> {
    each(verdicts, asked, |_, verdict| answer(verdict))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{NewPropValue as Value, NewProperty, Verdict};

    const NOTHING: wire::Patch =
        wire::Patch { topic: None, payload: None, qos: None, retain: None, properties: None };

    fn fault(verdict: Verdict) -> String {
        answer(verdict).unwrap_err().to_string()
    }

    fn property(id: u8, value: Value) -> Verdict {
        Verdict::Edit(wire::Patch { properties: Some(vec![NewProperty { id, value }]), ..NOTHING })
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
        assert!(fault(Verdict::Refuse(0x8E)).contains("refuse: 0x8E means session taken over, which PUBACK"));
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

    #[test]
    fn a_batch_has_one_verdict_for_each_message() {
        assert_eq!(answers(vec![Verdict::Next, Verdict::Swallow], 2).unwrap().len(), 2);
        let fault = |verdicts, asked| answers(verdicts, asked).unwrap_err().to_string();
        assert!(fault(vec![Verdict::Next], 2).contains("verdicts: 1 for 2 questions"));
        assert!(fault(vec![Verdict::Next, Verdict::Refuse(0)], 2).contains("verdicts[1].refuse: 0x00"));
    }
}
