//! `tidegate:plugin/deliver`

use super::{broken, message::patch};
use crate::wire;
use tidegate_hooks::{DeliverVerdict, FaultKind};

/// The answer, if it is one.
pub(crate) fn answer(verdict: wire::DeliverVerdict) -> Result<DeliverVerdict, FaultKind> {
    Ok(match verdict {
        wire::DeliverVerdict::Next => DeliverVerdict::Next,
        wire::DeliverVerdict::Drop => DeliverVerdict::Drop,
        wire::DeliverVerdict::Edit(edits) => {
            if edits.qos.is_some() {
                return Err(broken("edit.qos", "it is the recipient's and stays"));
            }
            if edits.retain.is_some() {
                return Err(broken("edit.retain", "it is the recipient's and stays"));
            }
            DeliverVerdict::Edit(Box::new(patch(edits)?))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_payload_and_properties_may_be_edited_and_nothing_else() {
        let nothing = wire::Patch { topic: None, payload: None, qos: None, retain: None, properties: None };
        let judged = |patch: wire::Patch| answer(wire::DeliverVerdict::Edit(patch));
        let edited = judged(wire::Patch { payload: Some(b"x".to_vec()), ..nothing.clone() }).unwrap();
        let DeliverVerdict::Edit(patch) = edited else { panic!("{edited:?}") };
        assert_eq!(patch.payload.as_deref(), Some(&b"x"[..]));
        let fault = |patch| judged(patch).unwrap_err().to_string();
        assert!(fault(wire::Patch { qos: Some(1), ..nothing.clone() }).contains("edit.qos"));
        assert!(fault(wire::Patch { retain: Some(true), ..nothing.clone() }).contains("edit.retain"));
        assert!(fault(wire::Patch { topic: Some("a/#".into()), ..nothing }).contains("edit.topic"));
    }
}
