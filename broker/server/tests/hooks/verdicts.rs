//! Every verdict, in every version, at every QoS.

use crate::{
    embedded::Embedded,
    scripted::{Answer, Scripted, fault},
};
use std::sync::Arc;
use tidegate::hooks::{
    AclVerdict, Action, AuthVerdict, Grant, Member, OnFault, Patch, PublishVerdict, Refusal, Rule, Span,
};
use tidegate_mqtt::{Connect, Packet, QoS, ReasonCode, TopicFilter, TopicName, Version};
use tidegate_tests::{Client, connect, publish};

const VERSIONS: [Version; 3] = [Version::V3_1, Version::V3_1_1, Version::V5];
const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// What the publisher and the subscriber see.
enum Expected {
    /// Delivered with this payload and topic; acknowledged with success.
    Delivered(&'static str, &'static str),
    /// Nobody gets it; the publisher is told this in MQTT 5, and acknowledged all the same before.
    Refused(ReasonCode),
    /// Nobody gets it; acknowledged as if nobody was there.
    Swallowed,
    /// Nobody gets it; MQTT 5 is told 0x83, older clients are disconnected without an acknowledgement.
    Failed,
}

/// Publishes at each QoS in each version, through a chain made of `member`.
fn each(member: impl Fn() -> Member, expected: &Expected) {
    let embedded = Embedded::open();
    embedded.install_member(&member());
    let mut watcher = embedded.client(Version::V5, "watcher");
    for topic in ["a", "b"] {
        watcher.subscribe(topic, QoS::ExactlyOnce);
    }
    for version in VERSIONS {
        for qos in LEVELS {
            let mut publisher = embedded.client(version, "publisher");
            let what = format!("{version:?} {qos:?}");
            match expected {
                Expected::Delivered(topic, payload) => {
                    assert_eq!(publisher.publish("a", "in", qos), ReasonCode::Success, "{what}");
                    let message = watcher.accept();
                    assert_eq!((&*message.topic, &*message.payload), (*topic, *payload), "{what}");
                }
                Expected::Swallowed => {
                    let reason = publisher.publish("a", "in", qos);
                    let told = version == Version::V5 && qos > QoS::AtMostOnce;
                    let nobody = if told { ReasonCode::NoMatchingSubscribers } else { ReasonCode::Success };
                    assert_eq!(reason, nobody, "{what}");
                }
                Expected::Refused(code) => {
                    let reason = publisher.publish("a", "in", qos);
                    let told = version == Version::V5 && qos > QoS::AtMostOnce;
                    assert_eq!(reason, if told { *code } else { ReasonCode::Success }, "{what}");
                }
                Expected::Failed if version == Version::V5 => {
                    let reason = publisher.publish("a", "in", qos);
                    let told = qos > QoS::AtMostOnce;
                    let failed =
                        if told { ReasonCode::ImplementationSpecificError } else { ReasonCode::Success };
                    assert_eq!(reason, failed, "{what}");
                }
                Expected::Failed => {
                    let packet_id = (qos > QoS::AtMostOnce).then(|| publisher.packet_id());
                    publisher.send(&Packet::Publish(tidegate_mqtt::Publish {
                        packet_id,
                        ..publish("a", "in", qos)
                    }));
                    publisher.expect_closed();
                }
            }
            if !matches!(expected, Expected::Delivered(..)) {
                watcher.expect_nothing();
            }
        }
    }
}

fn transform(verdict: fn() -> Answer<PublishVerdict>) -> Member {
    Member::new(
        "a",
        Arc::new(Scripted { publish: Some(Box::new(move |_| verdict())), ..Scripted::default() }),
    )
}

fn edit(patch: Patch) -> Answer<PublishVerdict> {
    Ok(PublishVerdict::Edit(Box::new(patch)))
}

#[test]
fn on_publish_every_verdict() {
    each(|| transform(|| Ok(PublishVerdict::Next)), &Expected::Delivered("a", "in"));
    each(|| transform(|| Ok(PublishVerdict::Accept)), &Expected::Delivered("a", "in"));
    let payload = || edit(Patch { payload: Some("out".into()), ..Patch::default() });
    each(move || transform(payload), &Expected::Delivered("a", "out"));
    let topic = || edit(Patch { topic: TopicName::new("b").ok(), ..Patch::default() });
    each(move || transform(topic), &Expected::Delivered("b", "in"));
    each(|| transform(|| Ok(PublishVerdict::Swallow)), &Expected::Swallowed);
    let refuse = || Ok(PublishVerdict::Refuse(ReasonCode::QuotaExceeded));
    each(move || transform(refuse), &Expected::Refused(ReasonCode::QuotaExceeded));
    each(|| transform(|| Err(fault())), &Expected::Failed);
    let passed_over = || Member { on_fault: OnFault::Next, ..transform(|| Err(fault())) };
    each(passed_over, &Expected::Delivered("a", "in"));
}

#[test]
fn on_publish_may_change_qos_and_retain() {
    let embedded = Embedded::open();
    let patch = || Patch { qos: Some(QoS::AtMostOnce), retain: Some(true), ..Patch::default() };
    embedded.install_member(&transform_with(move || edit(patch())));
    let mut client = embedded.client(Version::V5, "c");
    client.subscribe("a", QoS::ExactlyOnce);
    assert_eq!(client.publish("a", "in", QoS::ExactlyOnce), ReasonCode::Success);
    let message = client.accept();
    assert_eq!(message.qos, QoS::AtMostOnce);
    let mut later = embedded.client(Version::V5, "later");
    later.subscribe("a", QoS::ExactlyOnce);
    assert!(later.message().retain);
}

fn transform_with(verdict: impl Fn() -> Answer<PublishVerdict> + Send + Sync + 'static) -> Member {
    Member::new(
        "a",
        Arc::new(Scripted { publish: Some(Box::new(move |_| verdict())), ..Scripted::default() }),
    )
}

fn guard(verdict: fn() -> Answer<AclVerdict>) -> Member {
    // Whoever watches may do so.
    let acl = move |request: &tidegate::hooks::AclRequest<'_>| {
        if request.action == Action::Publish { verdict() } else { Ok(AclVerdict::Allow(everything())) }
    };
    Member::new("a", Arc::new(Scripted { acl: Some(Box::new(acl)), ..Scripted::default() }))
}

fn everything() -> Span {
    Span { filter: TopicFilter::new("#").unwrap(), ttl: std::time::Duration::ZERO }
}

#[test]
fn acl_check_every_decision_about_messages() {
    each(|| guard(|| Ok(AclVerdict::Allow(everything()))), &Expected::Delivered("a", "in"));
    each(|| guard(|| Ok(AclVerdict::Deny(everything()))), &Expected::Refused(ReasonCode::NotAuthorized));
    // Silence is not "allow".
    each(|| guard(|| Ok(AclVerdict::Next)), &Expected::Refused(ReasonCode::NotAuthorized));
    each(|| guard(|| Err(fault())), &Expected::Failed);
}

#[test]
fn acl_check_every_decision_about_subscriptions() {
    let cases: [(fn() -> Answer<AclVerdict>, ReasonCode); 4] = [
        (|| Ok(AclVerdict::Allow(everything())), ReasonCode::GrantedQos1),
        (|| Ok(AclVerdict::Deny(everything())), ReasonCode::NotAuthorized),
        (|| Ok(AclVerdict::Next), ReasonCode::NotAuthorized),
        (|| Err(fault()), ReasonCode::ImplementationSpecificError),
    ];
    for (decision, expected) in cases {
        let embedded = Embedded::open();
        let acl = Scripted { acl: Some(Box::new(move |_| decision())), ..Scripted::default() };
        embedded.install("a", Arc::new(acl));
        for version in VERSIONS {
            let reason = embedded.client(version, "c").subscribe("a/#", QoS::AtLeastOnce);
            let granted = expected == ReasonCode::GrantedQos1;
            let before_5 = if granted { expected } else { ReasonCode::UnspecifiedError };
            assert_eq!(reason, if version == Version::V5 { expected } else { before_5 }, "{version:?}");
        }
    }
}

fn knock(embedded: &Embedded, version: Version) -> (Client, ReasonCode) {
    let (client, connack) = embedded.connect(Connect {
        username: Some("alice".into()),
        password: Some("secret".into()),
        ..connect(version, "c")
    });
    (client, connack.reason)
}

#[test]
fn authenticate_every_verdict() {
    let refuse = |code| move || Ok(AuthVerdict::Refuse(Refusal { code, text: None }));
    let cases: Vec<(Box<dyn Fn() -> Answer<AuthVerdict> + Send + Sync>, ReasonCode)> = vec![
        (Box::new(|| Ok(AuthVerdict::Grant(Box::default()))), ReasonCode::Success),
        (Box::new(refuse(ReasonCode::NotAuthorized)), ReasonCode::NotAuthorized),
        (Box::new(refuse(ReasonCode::ServerBusy)), ReasonCode::ServerBusy),
        (Box::new(refuse(ReasonCode::BadUserNameOrPassword)), ReasonCode::BadUserNameOrPassword),
        // Silence is not "come in", even where nobody has to be asked.
        (Box::new(|| Ok(AuthVerdict::Next)), ReasonCode::BadUserNameOrPassword),
        (Box::new(|| Err(fault())), ReasonCode::NotAuthorized),
    ];
    for (verdict, expected) in cases {
        let embedded = Embedded::open();
        let hooks = Scripted { authenticate: Some(Box::new(move |_| verdict())), ..Scripted::default() };
        embedded.install("a", Arc::new(hooks));
        for version in VERSIONS {
            let (mut client, reason) = knock(&embedded, version);
            if version == Version::V5 || expected == ReasonCode::Success {
                assert_eq!(reason, expected, "{version:?}");
            } else {
                assert_ne!(reason, ReasonCode::Success, "{version:?} {expected:?}");
            }
            if reason != ReasonCode::Success {
                client.expect_closed();
            }
        }
    }
}

#[test]
fn a_grant_overrides_names_and_its_rules_hold() {
    let embedded = Embedded::start();
    let rule = |allow, action, filter: &str| Rule {
        allow,
        action,
        filter: filter.into(),
        max_qos: QoS::AtLeastOnce,
    };
    let grant = move || Grant {
        client_id: Some(tidegate_mqtt::ClientId::new("renamed")),
        username: Some("bob".into()),
        rules: vec![
            rule(true, Action::Publish, "users/%u/clients/%c"),
            rule(true, Action::Subscribe, "users/%u/#"),
        ],
        ..Grant::default()
    };
    let hooks = Scripted {
        authenticate: Some(Box::new(move |_| Ok(AuthVerdict::Grant(Box::new(grant()))))),
        ..Scripted::default()
    };
    embedded.install("a", Arc::new(hooks));
    let mut client = knock(&embedded, Version::V5).0;
    assert_eq!(client.subscribe("users/bob/#", QoS::AtLeastOnce), ReasonCode::GrantedQos1);
    assert_eq!(client.subscribe("users/bob/#", QoS::ExactlyOnce), ReasonCode::NotAuthorized, "above max_qos");
    assert_eq!(client.subscribe("users/alice/#", QoS::AtLeastOnce), ReasonCode::NotAuthorized);
    assert_eq!(client.publish("users/bob/clients/renamed", "x", QoS::AtLeastOnce), ReasonCode::Success);
    assert_eq!(client.publish("users/bob/clients/c", "x", QoS::AtLeastOnce), ReasonCode::NotAuthorized);
}
