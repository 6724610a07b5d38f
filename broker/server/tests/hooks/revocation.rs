//! After those who decide have changed, live subscriptions are asked about again.

use crate::{
    embedded::{Embedded, until},
    scripted::{Scripted, fault},
};
use std::{sync::Arc, time::Duration};
use tidegate::hooks::{AclRequest, AclVerdict, Action, EventKind, Span};
use tidegate_mqtt::{Connect, ConnectProperties, QoS, ReasonCode, TopicFilter, Version};
use tidegate_tests::connect;

/// Lets everybody do everything, but subscribe to what begins with `denied`.
fn denies(denied: &'static str) -> Arc<Scripted> {
    let acl = move |request: &AclRequest<'_>| {
        let span = Span { filter: TopicFilter::new(request.topic).unwrap(), ttl: Duration::from_secs(60) };
        let no = request.action == Action::Subscribe && request.topic.starts_with(denied);
        Ok(if no { AclVerdict::Deny(span) } else { AclVerdict::Allow(span) })
    };
    Arc::new(Scripted { acl: Some(Box::new(acl)), ..Scripted::default() })
}

#[test]
fn what_is_not_allowed_any_more_is_taken_away_and_the_rest_stays() {
    let embedded = Embedded::open();
    embedded.install("acl", denies("nothing"));
    let listener = Scripted::listener();
    embedded.install("listener", listener.clone());
    for version in [Version::V3_1_1, Version::V5] {
        embedded.install("acl", denies("nothing"));
        let name = format!("{version:?}");
        let mut client = embedded.client(version, &name);
        for filter in ["secret/a", "$share/g/secret/b", "open"] {
            assert_eq!(client.subscribe(filter, QoS::AtLeastOnce), ReasonCode::GrantedQos1);
        }
        embedded.install("acl", denies("secret"));
        for filter in ["secret/a", "$share/g/secret/b"] {
            let gone = listener.wait_for(EventKind::Unsubscribed, |event| {
                *event.client_id == *name && event.topic.as_deref() == Some(filter)
            });
            assert_eq!(gone.reason, ReasonCode::NotAuthorized);
        }
        for topic in ["secret/a", "secret/b", "open"] {
            client.publish(topic, topic, QoS::AtLeastOnce);
        }
        assert_eq!(client.accept().payload, "open");
        client.expect_nothing();
        client.disconnect();
    }
}

#[test]
fn by_config_mqtt_5_clients_are_disconnected_instead() {
    let embedded = Embedded::with("allow_anonymous = true\non_revoked = \"disconnect\"");
    embedded.install("acl", denies("nothing"));
    let mut v5 = embedded.client(Version::V5, "five");
    let mut v3 = embedded.client(Version::V3_1_1, "three");
    let mut other = embedded.client(Version::V5, "other");
    for client in [&mut v5, &mut v3] {
        client.subscribe("secret", QoS::AtLeastOnce);
    }
    other.subscribe("open", QoS::AtLeastOnce);
    embedded.install("acl", denies("secret"));
    v5.expect_disconnect(ReasonCode::NotAuthorized);
    v3.publish("open", "still here", QoS::AtLeastOnce);
    assert_eq!(other.accept().payload, "still here");
}

#[test]
fn nobody_knows_is_not_allowed_and_loses_no_subscription() {
    let embedded = Embedded::open();
    embedded.install("acl", denies("nothing"));
    let lives = ConnectProperties { session_expiry_interval: Some(600), ..ConnectProperties::default() };
    let again = || Connect { clean_start: false, properties: lives.clone(), ..connect(Version::V5, "c") };
    let (mut client, _) = embedded.connect(again());
    client.subscribe("a", QoS::AtLeastOnce);
    embedded
        .install("acl", Arc::new(Scripted { acl: Some(Box::new(|_| Err(fault()))), ..Scripted::default() }));
    client.expect_disconnect(ReasonCode::ImplementationSpecificError);
    let (mut client, connack) = embedded.connect(again());
    assert!(connack.session_present);
    client.expect_disconnect(ReasonCode::ImplementationSpecificError);
    embedded.install("acl", denies("nothing"));
    let (mut client, _) = embedded.connect(again());
    client.publish("a", "back", QoS::AtLeastOnce);
    assert_eq!(client.accept().payload, "back");
}

#[test]
fn a_resumed_session_keeps_only_what_is_allowed_now() {
    let embedded = Embedded::open();
    embedded.install("acl", denies("nothing"));
    let lives = ConnectProperties { session_expiry_interval: Some(600), ..ConnectProperties::default() };
    let again = || Connect { clean_start: false, properties: lives.clone(), ..connect(Version::V5, "c") };
    let (mut client, _) = embedded.connect(again());
    client.subscribe("secret", QoS::AtLeastOnce);
    client.subscribe("open", QoS::AtLeastOnce);
    client.disconnect();
    embedded.install("acl", denies("secret"));
    let (mut client, connack) = embedded.connect(again());
    assert!(connack.session_present);
    let mut revoked = false;
    until("the subscription is gone", || {
        client.publish("secret", "no", QoS::AtLeastOnce);
        client.publish("open", "yes", QoS::AtLeastOnce);
        revoked = client.accept().payload == "yes";
        revoked || client.accept().payload != "yes"
    });
    assert!(revoked, "it goes before anything else is sent");
}
