//! What a grant gives and takes: attributes, quotas, an end.

use crate::{
    embedded::Embedded,
    scripted::{Scripted, detail},
};
use std::{sync::Arc, time::Duration};
use tidegate::hooks::{
    Action, AuthVerdict, EventKind, Grant, Patch, PublishRequest, PublishVerdict, Quotas, Rule,
};
use tidegate_mqtt::{Connect, Packet, Publish, QoS, ReasonCode, TopicName, Version, Will};
use tidegate_tests::{connect, publish};

fn grants(grant: impl Fn() -> Grant + Send + Sync + 'static) -> Arc<Scripted> {
    let authenticate =
        move |_: &tidegate::hooks::ConnectRequest<'_>| Ok(AuthVerdict::Grant(Box::new(grant())));
    Arc::new(Scripted { authenticate: Some(Box::new(authenticate)), ..Scripted::default() })
}

#[test]
fn attributes_fill_rules_and_are_seen_by_later_hooks() {
    let embedded = Embedded::start();
    embedded.install(
        "auth",
        grants(|| Grant {
            attributes: [("team".into(), "blue".into())].into_iter().collect(),
            rules: [Action::Publish, Action::Subscribe]
                .map(|action| Rule {
                    allow: true,
                    action,
                    filter: "teams/%{team}/#".into(),
                    max_qos: QoS::ExactlyOnce,
                })
                .into(),
            ..Grant::default()
        }),
    );
    let publish = |request: &PublishRequest<'_>| {
        let payload = format!("{} team", request.attributes.get("team").unwrap_or("no"));
        Ok(PublishVerdict::Edit(Box::new(Patch { payload: Some(payload.into()), ..Patch::default() })))
    };
    embedded.install("p", Arc::new(Scripted { publish: Some(Box::new(publish)), ..Scripted::default() }));
    let mut client = embedded.client(Version::V5, "c");
    assert_eq!(client.subscribe("teams/red/#", QoS::AtLeastOnce), ReasonCode::NotAuthorized);
    assert_eq!(client.subscribe("teams/blue/#", QoS::AtLeastOnce), ReasonCode::GrantedQos1);
    client.publish("teams/blue/x", "?", QoS::AtLeastOnce);
    assert_eq!(client.accept().payload, "blue team");
}

#[test]
fn when_the_grant_ends_the_client_goes_and_its_will_is_sent() {
    let embedded = Embedded::open();
    let watcher = |embedded: &Embedded| {
        let mut watcher = embedded.client(Version::V5, "w");
        watcher.subscribe("will", QoS::AtLeastOnce);
        watcher
    };
    let mut watcher = watcher(&embedded);
    embedded
        .install("auth", grants(|| Grant { expires: Some(Duration::from_millis(50)), ..Grant::default() }));
    let will = Will {
        topic: TopicName::new("will").unwrap(),
        payload: "over".into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Default::default(),
    };
    let (mut client, _) = embedded.connect(Connect { will: Some(will), ..connect(Version::V5, "c") });
    client.expect_disconnect(ReasonCode::MaximumConnectTime);
    assert_eq!(watcher.accept().payload, "over");
}

#[test]
fn quotas_bound_subscriptions_and_windows() {
    let embedded = Embedded::start();
    let quotas = Quotas { subscriptions: Some(1), inflight: Some(2), ..Quotas::default() };
    embedded.install("auth", grants(move || Grant { quotas, ..Grant::default() }));
    let (mut client, connack) = embedded.connect(connect(Version::V5, "c"));
    assert_eq!(connack.properties.receive_maximum.map(u16::from), Some(2));
    assert_eq!(client.subscribe("a", QoS::AtLeastOnce), ReasonCode::GrantedQos1);
    assert_eq!(client.subscribe("b", QoS::AtLeastOnce), ReasonCode::QuotaExceeded);
    assert_eq!(client.subscribe("a", QoS::AtLeastOnce), ReasonCode::GrantedQos1, "it is there already");
    let mut publisher = embedded.client(Version::V5, "p");
    let listener = Scripted::listener();
    embedded.install("listener", listener.clone());
    for payload in ["1", "2", "3"] {
        publisher.publish("a", payload, QoS::AtLeastOnce);
    }
    let messages = [client.message(), client.message()];
    let full = listener.wait_for(EventKind::WindowFull, |event| &*event.client_id == "c");
    assert_eq!(detail(&full, "inflight"), "2");
    client.expect_nothing();
    client.acknowledge(&messages[0]);
    assert_eq!(client.message().payload, "3");
}

#[test]
fn who_sends_faster_than_its_quota_is_read_more_slowly_and_loses_nothing() {
    let embedded = Embedded::open();
    let mut watcher = embedded.client(Version::V5, "w");
    watcher.subscribe("a", QoS::AtMostOnce);
    watcher.subscribe("$SYS/broker/clients/throttled", QoS::AtMostOnce);
    let quotas = Quotas { messages_per_second: Some(20), ..Quotas::default() };
    embedded.install("auth", grants(move || Grant { quotas, ..Grant::default() }));
    let mut fast = embedded.client(Version::V5, "fast");
    let mut bytes = Vec::new();
    for n in 0..50 {
        let payload = n.to_string();
        let packet = Packet::Publish(Publish { ..publish("a", &payload, QoS::AtMostOnce) });
        packet.encode(Version::V5, &mut bytes).unwrap();
    }
    fast.send_bytes(&bytes);
    fast.ping();
    let mut expected = 0;
    let mut throttled = false;
    while expected < 50 || !throttled {
        let message = watcher.message();
        if message.topic == "a" {
            assert_eq!(message.payload, expected.to_string());
            expected += 1;
        } else {
            throttled |= message.payload != "0";
        }
    }
}
