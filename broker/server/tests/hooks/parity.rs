//! Each event of the Go broker Mochi that `docs/hooks.md` maps to an event or a native method of ours, seen here; those that are a question
//! of ours have their tests in the other files of this folder.

use crate::{
    embedded::{Embedded, until},
    scripted::{Scripted, detail},
};
use std::sync::Arc;
use tidegate::hooks::{EventKind, EventKinds, HookRegistry, Member};
use tidegate_mqtt::{
    Connect, ConnectProperties, PublishProperties, QoS, ReasonCode, TopicFilter, TopicName, Version, Will,
};
use tidegate_tests::connect;

fn listening() -> (Embedded, Arc<Scripted>) {
    let embedded = Embedded::open();
    let listener = Scripted::listener();
    embedded.install("listener", listener.clone());
    (embedded, listener)
}

fn of<'a>(client_id: &'a str) -> impl Fn(&tidegate::hooks::Event) -> bool + 'a {
    move |event| &*event.client_id == client_id
}

#[test]
fn on_stopped_and_on_sys_info_tick() {
    let (mut embedded, listener) = listening();
    let tick = listener.wait_for(EventKind::SysTick, |_| true);
    assert_eq!(detail(&tick, "clients"), "0");
    embedded.stop();
    listener.wait_for(EventKind::Stopping, |_| true);
}

#[test]
fn clients_that_are_there_when_the_broker_stops_are_told_of_as_gone() {
    let (mut embedded, listener) = listening();
    let names: Vec<String> = (0..20).map(|number| format!("c{number}")).collect();
    let clients: Vec<_> = names.iter().map(|name| embedded.client(Version::V5, name)).collect();
    embedded.stop();
    for name in &names {
        let gone = listener.wait_for(EventKind::Disconnected, of(name));
        assert_eq!(gone.reason, ReasonCode::ServerShuttingDown);
    }
    drop(clients);
}

#[test]
fn on_connect_on_session_establish_on_session_established_and_on_disconnect_in_this_order() {
    let (embedded, listener) = listening();
    embedded.client(Version::V3_1_1, "c").disconnect();
    let left = listener.wait_for(EventKind::Disconnected, of("c"));
    assert_eq!((left.reason, detail(&left, "by")), (ReasonCode::Success, "client"));
    let connected = listener.wait_for(EventKind::Connected, of("c"));
    assert_eq!((detail(&connected, "version"), detail(&connected, "session-present")), ("3.1.1", "false"));
    let kinds = listener.told_of("c");
    assert_eq!(kinds, [EventKind::Authenticated, EventKind::Connected, EventKind::Disconnected]);
    embedded.client(Version::V5, "lost").break_off();
    let lost = listener.wait_for(EventKind::Disconnected, of("lost"));
    assert_ne!(lost.reason, ReasonCode::Success);
}

#[test]
fn on_subscribed_on_unsubscribe_and_on_unsubscribed() {
    let (embedded, listener) = listening();
    let mut client = embedded.client(Version::V5, "c");
    client.subscribe("a/+", QoS::AtLeastOnce);
    let subscribed = listener.wait_for(EventKind::Subscribed, of("c"));
    assert_eq!((subscribed.topic.as_deref(), detail(&subscribed, "qos")), (Some("a/+"), "1"));
    client.unsubscribe(&["a/+"]);
    let ended = listener.wait_for(EventKind::Unsubscribed, of("c"));
    assert_eq!((ended.topic.as_deref(), ended.reason), (Some("a/+"), ReasonCode::Success));
}

#[test]
fn on_published_on_qos_publish_and_on_qos_complete() {
    let (embedded, listener) = listening();
    let mut client = embedded.client(Version::V5, "c");
    client.subscribe("a", QoS::ExactlyOnce);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        client.publish("a", "hello", qos);
        client.accept();
        let number = (qos as u8).to_string();
        let published =
            listener.wait_for(EventKind::Published, |event| of("c")(event) && detail(event, "qos") == number);
        assert_eq!((detail(&published, "bytes"), detail(&published, "receivers")), ("5", "1"));
        listener.wait_for(EventKind::Delivered, |event| of("c")(event) && detail(event, "qos") == number);
    }
    until("two acknowledgements", || {
        listener.told_of("c").iter().filter(|kind| **kind == EventKind::Acknowledged).count() == 2
    });
}

#[test]
fn on_publish_dropped_and_on_qos_dropped() {
    let embedded = Embedded::with("allow_anonymous = true\n[limits]\nmax_queued_messages = 1");
    let listener = Scripted::listener();
    embedded.install("listener", listener.clone());
    let properties = ConnectProperties { session_expiry_interval: Some(600), ..ConnectProperties::default() };
    let away =
        || Connect { clean_start: false, properties: properties.clone(), ..connect(Version::V5, "away") };
    let (mut client, _) = embedded.connect(away());
    client.subscribe("a", QoS::AtLeastOnce);
    client.disconnect();
    let mut publisher = embedded.client(Version::V5, "p");
    let short = PublishProperties { message_expiry_interval: Some(1), ..PublishProperties::default() };
    publisher.publish_properties("a", "expires", QoS::AtLeastOnce, short);
    publisher.publish("a", "too many", QoS::AtLeastOnce);
    let dropped = listener.wait_for(EventKind::Dropped, of("away"));
    assert_eq!((dropped.topic.as_deref(), detail(&dropped, "why")), (Some("a"), "queue-full"));
    // A second of message expiry, by the broker's clock and not by a sleep of ours.
    let start = std::time::SystemTime::now();
    until("a second has passed", || start.elapsed().unwrap() > std::time::Duration::from_millis(1100));
    let (_client, _) = embedded.connect(away());
    listener.wait_for(EventKind::Dropped, |event| of("away")(event) && detail(event, "why") == "expired");
}

#[test]
fn on_retain_message_on_retain_published_and_on_retained_expired() {
    let (embedded, listener) = listening();
    let mut client = embedded.client(Version::V5, "c");
    client.publish_retained("kept", "x", QoS::AtLeastOnce);
    listener.wait_for(EventKind::Retained, |event| event.topic.as_deref() == Some("kept"));
    client.subscribe("kept", QoS::AtLeastOnce);
    client.accept();
    listener.wait_for(EventKind::RetainedDelivered, of("c"));
    client.publish_retained("kept", "", QoS::AtLeastOnce);
    listener.wait_for(EventKind::Retained, |event| detail(event, "removed") == "true");
    let short = PublishProperties { message_expiry_interval: Some(1), ..PublishProperties::default() };
    client.publish_with(tidegate_mqtt::Publish {
        retain: true,
        properties: Some(Box::new(short)),
        ..tidegate_tests::publish("short", "x", QoS::AtLeastOnce)
    });
    listener.wait_for(EventKind::RetainedExpired, |event| event.topic.as_deref() == Some("short"));
}

#[test]
fn on_started() {
    let hooks = HookRegistry::new();
    let listener = Scripted::listener();
    hooks.install(&Member::new("listener", listener.clone()));
    let _embedded = Embedded::with_hooks("", hooks);
    let started = listener.wait_for(EventKind::Started, |_| true);
    assert_eq!(detail(&started, "version"), env!("CARGO_PKG_VERSION"));
}

#[test]
fn on_will_and_on_will_sent() {
    let (embedded, listener) = listening();
    let edits = |_: &tidegate::hooks::PublishRequest<'_>| {
        let patch = tidegate::hooks::Patch { payload: Some("edited".into()), ..Default::default() };
        Ok(tidegate::hooks::PublishVerdict::Edit(Box::new(patch)))
    };
    embedded.install("edits", Arc::new(Scripted { publish: Some(Box::new(edits)), ..Scripted::default() }));
    let mut watcher = embedded.client(Version::V5, "w");
    watcher.subscribe("gone", QoS::AtLeastOnce);
    let will = Will {
        topic: TopicName::new("gone").unwrap(),
        payload: "bye".into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Default::default(),
    };
    let (client, _) = embedded.connect(Connect { will: Some(will), ..connect(Version::V5, "c") });
    client.break_off();
    assert_eq!(watcher.accept().payload, "edited");
    let sent = listener.wait_for(EventKind::WillSent, of("c"));
    assert_eq!(sent.topic.as_deref(), Some("gone"));
}

#[test]
fn on_client_expired() {
    let (embedded, listener) = listening();
    let properties = ConnectProperties { session_expiry_interval: Some(1), ..ConnectProperties::default() };
    let (client, _) = embedded.connect(Connect { properties, ..connect(Version::V5, "c") });
    client.disconnect();
    listener.wait_for(EventKind::SessionExpired, of("c"));
}

#[test]
fn on_packet_read_on_packet_processed_on_packet_encode_and_on_packet_sent() {
    let embedded = Embedded::open();
    let watcher = Arc::new(Scripted { packets: true, ..Scripted::default() });
    embedded.install("watcher", watcher.clone());
    let mut client = embedded.client(Version::V5, "c");
    client.subscribe("a", QoS::AtLeastOnce);
    client.publish("a", &"x".repeat(10_000), QoS::AtLeastOnce);
    client.accept();
    client.ping();
    client.disconnect();
    let expected = [
        "c received Subscribe",
        "c processed Subscribe",
        "c received Publish",
        "c processed Publish",
        "c received PubAck",
        "c processed PubAck",
        "c received PingReq",
        "c processed PingReq",
        "c sent 2",
        "c sent 9",
        "c sent 4",
        "c sent 3",
        "c sent 13",
    ];
    until("all packets were seen", || {
        let seen = watcher.seen();
        expected.iter().all(|line| seen.iter().any(|other| other == line))
    });
    let seen = watcher.seen();
    let at = |line: &str| seen.iter().position(|other| other == line).unwrap();
    assert!(at("c received Publish") < at("c processed Publish"));
    assert_eq!(seen.iter().filter(|line| line.contains(" sent ")).count(), 5, "each once: {seen:?}");
}

#[test]
fn who_wants_little_is_told_little() {
    let embedded = Embedded::open();
    let some: EventKinds = [EventKind::Published, EventKind::Connected].into_iter().collect();
    let listener = Arc::new(Scripted { events: some, ..Scripted::default() });
    let mut member = Member::new("listener", listener.clone());
    member.scopes.events = Some(vec![TopicFilter::new("wanted/#").unwrap()]);
    embedded.install_member(&member);
    let mut client = embedded.client(Version::V5, "c");
    client.publish("other", "x", QoS::AtLeastOnce);
    client.publish("wanted/x", "x", QoS::AtLeastOnce);
    listener.wait_for(EventKind::Published, |event| event.topic.as_deref() == Some("wanted/x"));
    assert_eq!(listener.told_of("c"), [EventKind::Connected, EventKind::Published]);
}

#[test]
fn the_page_names_every_event_and_every_test_it_names_is_there() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(here.join("../../docs/hooks.md")).unwrap();
    for kind in EventKind::ALL {
        assert!(
            page.contains(&format!("| `{}` |", kind.name())),
            "docs/hooks.md says nothing of {}",
            kind.name()
        );
    }
    let mut sources = String::new();
    for folder in ["tests", "tests/hooks", "../plugin-host/tests/host"] {
        for entry in std::fs::read_dir(here.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let (_, parity) = page.split_once("## If you come from Mochi").unwrap();
    let rows: Vec<&str> = parity.lines().filter(|line| line.starts_with("| `")).collect();
    let names: usize = rows.iter().map(|row| row.split(" | ").next().unwrap().matches('`').count() / 2).sum();
    assert_eq!(names, 37);
    for row in rows {
        let shown_by = row.split(" | ").nth(2).unwrap();
        if !shown_by.starts_with("the same") {
            let test = shown_by.split('`').nth(1).unwrap();
            assert!(sources.contains(&format!("fn {test}()")), "no test is called {test}");
        }
    }
}
