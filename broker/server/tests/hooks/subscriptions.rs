//! What becomes of subscriptions: `on_subscribe`.

use crate::{
    embedded::Embedded,
    scripted::{Answer, Scripted, fault},
};
use std::sync::Arc;
use tidegate::hooks::{
    AclRequest, AclVerdict, Action, Span, SubscribeChange, SubscribeRequest, SubscribeVerdict,
};
use tidegate_mqtt::{QoS, ReasonCode, SubscriptionFilter, TopicFilter, Version};

fn subscribe(
    verdict: impl Fn(&SubscribeRequest<'_>) -> Answer<SubscribeVerdict> + Send + Sync + 'static,
) -> Scripted {
    let each = move |requests: &[SubscribeRequest<'_>]| requests.iter().map(&verdict).collect();
    Scripted { subscribe: Some(Box::new(each)), ..Scripted::default() }
}

fn edit(filter: Option<&str>, qos: Option<QoS>) -> SubscribeVerdict {
    let filter = filter.map(|text| SubscriptionFilter::new(text).unwrap());
    SubscribeVerdict::Edit(SubscribeChange { filter, qos })
}

#[test]
fn every_verdict_in_every_version() {
    let embedded = Embedded::open();
    embedded.install(
        "s",
        Arc::new(subscribe(|request| match request.filter {
            "next" => Ok(SubscribeVerdict::Next),
            "accept" => Ok(SubscribeVerdict::Accept),
            "less" => Ok(edit(None, Some(QoS::AtMostOnce))),
            "refuse" => Ok(SubscribeVerdict::Refuse(ReasonCode::QuotaExceeded)),
            _ => Err(fault()),
        })),
    );
    for version in [Version::V3_1, Version::V3_1_1, Version::V5] {
        let mut client = embedded.client(version, "c");
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let granted = ReasonCode::try_from(qos as u8).unwrap();
            let refused = |code| if version == Version::V5 { code } else { ReasonCode::UnspecifiedError };
            assert_eq!(client.subscribe("next", qos), granted);
            assert_eq!(client.subscribe("accept", qos), granted);
            assert_eq!(client.subscribe("less", qos), ReasonCode::Success);
            assert_eq!(client.subscribe("refuse", qos), refused(ReasonCode::QuotaExceeded));
            // One whole call fails: the test asks one filter at a time.
            assert_eq!(client.subscribe("fault", qos), refused(ReasonCode::ImplementationSpecificError));
        }
    }
}

#[test]
fn the_acl_sees_what_was_made_of_the_filter_and_unsubscribe_ends_it() {
    let embedded = Embedded::open();
    embedded.install(
        "s",
        Arc::new(subscribe(|request| Ok(edit(Some(&format!("tenant/{}", request.filter)), None)))),
    );
    let acl = |request: &AclRequest<'_>| {
        let span =
            |topic: &str| Span { filter: TopicFilter::new(topic).unwrap(), ttl: std::time::Duration::ZERO };
        Ok(match (request.action, request.topic.starts_with("tenant/")) {
            (Action::Subscribe, false) => AclVerdict::Deny(span(request.topic)),
            _ => AclVerdict::Allow(span(request.topic)),
        })
    };
    embedded.install("z", Arc::new(Scripted { acl: Some(Box::new(acl)), ..Scripted::default() }));
    let mut client = embedded.client(Version::V5, "c");
    assert_eq!(client.subscribe("a", QoS::AtLeastOnce), ReasonCode::GrantedQos1);
    client.publish("tenant/a", "mine", QoS::AtLeastOnce);
    assert_eq!(client.accept().payload, "mine");
    assert_eq!(client.unsubscribe(&["a"]), [ReasonCode::Success]);
    client.publish("tenant/a", "gone", QoS::AtLeastOnce);
    client.expect_nothing();
}
