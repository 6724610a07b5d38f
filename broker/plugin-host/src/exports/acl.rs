//! `tidegate:plugin/acl`

use super::broken;
use crate::wire;
use std::time::Duration;
use tidegate_hooks::{AclRequest, AclVerdict, Action, FaultKind, Span};
use tidegate_mqtt::TopicFilter;

/// The question, without a copy.
pub(crate) fn question<'a>(request: &AclRequest<'a>) -> wire::AclRequest<'a> {
    wire::AclRequest {
        session: request.session.0,
        client_id: request.client_id,
        username: request.username,
        action: match request.action {
            Action::Publish => wire::Action::Publish,
            Action::Subscribe => wire::Action::Subscribe,
            Action::Receive => wire::Action::Receive,
        },
        topic: request.topic,
        qos: request.qos as u8,
        retain: request.retain,
    }
}

/// The answer, if it is one.
pub(crate) fn answer(decision: wire::Decision, request: &AclRequest<'_>) -> Result<AclVerdict, FaultKind> {
    Ok(match decision {
        wire::Decision::Next => AclVerdict::Next,
        wire::Decision::Allow(asked) => AclVerdict::Allow(span("allow.filter", &asked, request)?),
        wire::Decision::Deny(asked) => AclVerdict::Deny(span("deny.filter", &asked, request)?),
    })
}

fn span(field: &str, span: &wire::Span, request: &AclRequest<'_>) -> Result<Span, FaultKind> {
    let filter = TopicFilter::new(&span.filter).map_err(|why| broken(field, why))?;
    let holds = match request.action {
        Action::Subscribe => filter.covers(request.topic),
        Action::Publish | Action::Receive => filter.matches(request.topic),
    };
    if !holds {
        return Err(broken(
            field,
            format_args!("{filter:?} does not hold {:?}, which was asked about", request.topic),
        ));
    }
    Ok(Span { filter, ttl: Duration::from_millis(span.ttl_ms.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_mqtt::{QoS, SessionId};

    fn request(action: Action, topic: &str) -> AclRequest<'_> {
        let (session, qos) = (SessionId(1), QoS::AtMostOnce);
        AclRequest {
            session,
            client_id: "c",
            username: None,
            action,
            topic,
            qos,
            retain: false,
            attributes: &tidegate_hooks::NO_ATTRIBUTES,
        }
    }

    fn allow(filter: &str, request: &AclRequest<'_>) -> Result<AclVerdict, FaultKind> {
        answer(wire::Decision::Allow(wire::Span { filter: filter.into(), ttl_ms: 5 }), request)
    }

    #[test]
    fn a_span_holds_what_was_asked_about() {
        for (action, topic, filter) in [
            (Action::Publish, "a/b", "a/#"),
            (Action::Publish, "a/b", "a/b"),
            (Action::Subscribe, "a/+/c", "a/#"),
            (Action::Subscribe, "+/#", "+/#"),
            (Action::Receive, "$x/y", "$x/+"),
        ] {
            let verdict = allow(filter, &request(action, topic)).unwrap();
            let AclVerdict::Allow(span) = verdict else { panic!("{verdict:?}") };
            assert_eq!((span.filter.as_str(), span.ttl), (filter, Duration::from_millis(5)));
        }
        for (action, topic, filter) in [
            (Action::Publish, "a/b", "a/c"),
            (Action::Publish, "$SYS/a", "#"),
            (Action::Subscribe, "a/#", "a/b"),
            (Action::Subscribe, "#", "a/#"),
            (Action::Publish, "a", "a#"),
            (Action::Publish, "a", ""),
        ] {
            let fault = allow(filter, &request(action, topic)).unwrap_err().to_string();
            assert!(fault.contains("allow.filter"), "{fault}");
        }
    }
}
