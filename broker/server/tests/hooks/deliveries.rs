//! What one recipient gets: `on_deliver`.

use crate::{
    embedded::Embedded,
    scripted::{Scripted, detail, fault},
};
use std::sync::Arc;
use tidegate::hooks::{DeliverRequest, DeliverVerdict, EventKind, Member, OnDeliverFault, Patch};
use tidegate_mqtt::{QoS, TopicFilter, TopicName, Version};

fn deliver(
    verdict: impl Fn(&DeliverRequest<'_>) -> crate::scripted::Answer<DeliverVerdict> + Send + Sync + 'static,
) -> Member {
    let hooks = Scripted { deliver: Some(Box::new(verdict)), ..Scripted::default() };
    let mut member = Member::new("d", Arc::new(hooks));
    member.scopes.deliver = Some(vec![TopicFilter::new("asked/#").unwrap()]);
    member
}

#[test]
fn each_recipient_gets_its_own_and_others_get_what_was_published() {
    let embedded = Embedded::open();
    embedded.install_member(&deliver(|request| {
        let payload = format!("for {}", request.client_id);
        let topic = TopicName::new(&format!("{}/{}", request.message.topic, request.recipient.0)).ok();
        Ok(match request.client_id {
            "plain" => DeliverVerdict::Next,
            "deaf" => DeliverVerdict::Drop,
            _ => DeliverVerdict::Edit(Box::new(Patch {
                topic,
                payload: Some(payload.into()),
                ..Patch::default()
            })),
        })
    }));
    let mut publisher = embedded.client(Version::V5, "p");
    for version in [Version::V3_1_1, Version::V5] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut clients = ["plain", "deaf", "one", "two"].map(|name| {
                let mut client = embedded.client(version, name);
                client.subscribe("#", QoS::ExactlyOnce);
                client
            });
            publisher.publish("asked/x", "all", qos);
            publisher.publish("other", "all", qos);
            let [plain, deaf, one, two] = &mut clients;
            assert_eq!(plain.payloads(2), ["all", "all"]);
            assert_eq!(deaf.payloads(1), ["all"], "only what is outside the scope");
            for (client, text) in [(one, "for one"), (two, "for two")] {
                let message = client.accept();
                assert_eq!((&*message.payload, message.qos), (text, qos));
                assert!(message.topic.starts_with("asked/x/"));
                assert_eq!(client.accept().payload, "all", "in order");
            }
        }
    }
}

#[test]
fn a_fault_delivers_as_it_is_unless_the_operator_says_otherwise() {
    for (on_deliver_fault, expected) in
        [(OnDeliverFault::Deliver, vec!["x", "end"]), (OnDeliverFault::Drop, vec!["end"])]
    {
        let embedded = Embedded::open();
        embedded.install_member(&Member { on_deliver_fault, ..deliver(|_| Err(fault())) });
        let mut client = embedded.client(Version::V5, "c");
        client.subscribe("#", QoS::AtLeastOnce);
        client.publish("asked/x", "x", QoS::AtLeastOnce);
        client.publish("other", "end", QoS::AtLeastOnce);
        assert_eq!(client.payloads(expected.len()), expected);
    }
}

#[test]
fn retained_messages_are_asked_about_too_and_a_drop_is_told() {
    let embedded = Embedded::open();
    let listener = Scripted::listener();
    embedded.install("listener", listener.clone());
    embedded.client(Version::V5, "p").publish_retained("asked/old", "old", QoS::AtLeastOnce);
    embedded.install_member(&deliver(|request| {
        assert!(request.message.retain);
        Ok(DeliverVerdict::Drop)
    }));
    let mut client = embedded.client(Version::V5, "c");
    client.subscribe("#", QoS::AtLeastOnce);
    let dropped = listener.wait_for(EventKind::Dropped, |event| &*event.client_id == "c");
    assert_eq!((detail(&dropped, "why"), detail(&dropped, "plugin")), ("plugin", "d"));
    client.expect_nothing();
}
