//! Each hook by a component, over a socket. What every verdict means at each QoS and in each version is shown by native hooks in
//! `broker/server/tests/hooks`; here, that a component's answers arrive as they were meant.

use serde_json::Value;
use tidegate_mqtt::{Auth, AuthProperties, Connect, ConnectProperties, Packet, QoS, ReasonCode, Version};
use tidegate_tests::{BOTH, Broker, Client, Folder, Received, connect, guest};

/// A broker with the guest `every-hook`, which lets everybody in and allows everything, but for what `config` says before.
pub(crate) fn broker(config: &str) -> Broker {
    folder(config).start()
}

pub(crate) fn folder(config: &str) -> Folder {
    let folder = Folder::new(&format!(
        "sys_interval = 1\n[plugin.every-hook]\nrequired = true\ngrants.publish = [\"#\"]\n{config}\n\
         [[plugin.every-hook.config.authenticate]]\nverdict = \"grant\"\n\
         [[plugin.every-hook.config.acl]]\ntopic = \"#\"\nverdict = \"allow\"\nttl_ms = 60000\n"
    ));
    folder.install_plugin("every-hook", &guest("every-hook"));
    folder
}

/// The JSON of the next message on a topic.
pub(crate) fn told(client: &mut Client, topic: &str) -> Value {
    let message = client.find(topic, |packet| match packet {
        Received::Message(message) if message.topic == topic => Some(message.clone()),
        _ => None,
    });
    serde_json::from_str(&message.payload).unwrap()
}

#[test]
fn authenticate_grants_names_rules_attributes_and_quotas_or_refuses() {
    let broker = broker(
        r##"
        [[plugin.every-hook.config.authenticate]]
        client = "tenant"
        verdict = "grant"
        client_id = "renamed"
        username = "bob"
        attributes = { team = "blue" }
        rules = [{ allow = "all", filter = "teams/%{team}/%u/#" }, { deny = "all", filter = "#" }]
        quotas = { subscriptions = 1, inflight = 2 }
        [[plugin.every-hook.config.authenticate]]
        client = "stranger"
        verdict = "refuse"
        code = 0x8C
        text = "not today"
        "##,
    );
    let (mut client, connack) = Client::connect_with(&broker, connect(Version::V5, "tenant-1"));
    assert_eq!(connack.properties.receive_maximum.map(u16::from), Some(2));
    assert_eq!(client.subscribe("teams/red/#", QoS::AtLeastOnce), ReasonCode::NotAuthorized);
    assert_eq!(client.subscribe("teams/blue/bob/#", QoS::AtLeastOnce), ReasonCode::GrantedQos1);
    assert_eq!(client.subscribe("teams/blue/bob/x", QoS::AtLeastOnce), ReasonCode::QuotaExceeded);
    client.publish("teams/blue/bob/x", "hello", QoS::AtLeastOnce);
    assert_eq!(client.accept().payload, "hello");
    let mut stranger = Client::open(broker.address(), Version::V5);
    stranger.send(&Packet::Connect(Box::new(connect(Version::V5, "stranger"))));
    let refused = stranger.expect_connack();
    assert_eq!(refused.reason, ReasonCode::BadAuthenticationMethod);
    assert_eq!(refused.properties.reason_string.as_deref(), Some("not today"));
}

fn auth(reason: ReasonCode, data: &str) -> Packet<'static> {
    let properties = AuthProperties {
        authentication_method: Some("STEPS".into()),
        authentication_data: Some(data.to_owned().into()),
        ..AuthProperties::default()
    };
    Packet::Auth(Auth { reason, properties })
}

fn challenged(client: &mut Client) -> String {
    let Received::Packet(Packet::Auth(auth)) = client.receive() else { panic!("no AUTH") };
    String::from_utf8_lossy(&auth.properties.authentication_data.unwrap_or_default()).into_owned()
}

#[test]
fn v5_4_12_0_2_proceed_challenges_step_by_step_in_and_again() {
    let broker = broker(
        r##"
        [[plugin.every-hook.config.authenticate]]
        if_method = "STEPS"
        verdict = "challenge"
        data = "one?"
        state = "asked one"
        [[plugin.every-hook.config.proceed]]
        if_again = true
        if_state = ""
        verdict = "challenge"
        data = "one?"
        state = "asked one"
        [[plugin.every-hook.config.proceed]]
        if_state = "asked one"
        if_data = "one"
        verdict = "challenge"
        data = "two?"
        state = "asked two"
        [[plugin.every-hook.config.proceed]]
        if_state = "asked two"
        if_data = "two"
        verdict = "grant"
        data = "welcome"
        [[plugin.every-hook.config.proceed]]
        verdict = "refuse"
        code = 0x87
        "##,
    );
    let properties =
        ConnectProperties { authentication_method: Some("STEPS".into()), ..ConnectProperties::default() };
    let hello =
        || Packet::Connect(Box::new(Connect { properties: properties.clone(), ..connect(Version::V5, "c") }));
    let mut client = Client::open(broker.address(), Version::V5);
    client.send(&hello());
    assert_eq!(challenged(&mut client), "one?");
    client.send(&auth(ReasonCode::ContinueAuthentication, "one"));
    assert_eq!(challenged(&mut client), "two?");
    client.send(&auth(ReasonCode::ContinueAuthentication, "two"));
    let connack = client.expect_connack();
    assert_eq!(connack.reason, ReasonCode::Success);
    assert_eq!(connack.properties.authentication_data.as_deref(), Some(&b"welcome"[..]));
    client.send(&auth(ReasonCode::ReAuthenticate, "again"));
    assert_eq!(challenged(&mut client), "one?");
    client.send(&auth(ReasonCode::ContinueAuthentication, "wrong"));
    client.expect_disconnect(ReasonCode::NotAuthorized);
    let mut other = Client::open(broker.address(), Version::V5);
    other.send(&hello());
    assert_eq!(challenged(&mut other), "one?");
    other.send(&auth(ReasonCode::ContinueAuthentication, "wrong"));
    other.expect_refused(ReasonCode::NotAuthorized);
}

#[test]
fn acl_decisions_reach_as_far_as_they_say() {
    let broker = broker(
        r##"
        config.report = ["acl"]
        [[plugin.every-hook.config.acl]]
        topic = "secret/#"
        verdict = "deny"
        filter = "secret/#"
        ttl_ms = 60000
        "##,
    );
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        let denied = |code| if version == Version::V5 { code } else { ReasonCode::UnspecifiedError };
        assert_eq!(client.subscribe("secret/a", QoS::AtLeastOnce), denied(ReasonCode::NotAuthorized));
        assert_eq!(client.subscribe("open/#", QoS::AtLeastOnce), ReasonCode::GrantedQos1);
        client.publish("open/a", "x", QoS::AtLeastOnce);
        assert_eq!(client.accept().payload, "x");
    }
}

#[test]
fn on_publish_edits_refuses_and_swallows() {
    let broker = broker(
        r##"
        config.publish = [
            { topic = "edit/#", verdict = "edit", edit = { topic = "edited", append = "!", retain = true, user_properties = { by = "guest" } } },
            { topic = "refuse", verdict = "refuse", code = 0x97 },
            { topic = "swallow", verdict = "swallow" },
        ]
        "##,
    );
    let mut watcher = Client::connect(&broker, Version::V5, "w");
    watcher.subscribe("#", QoS::ExactlyOnce);
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let told = version == Version::V5 && qos > QoS::AtMostOnce;
            let answer = |code| if told { code } else { ReasonCode::Success };
            assert_eq!(client.publish("edit/me", "in", qos), ReasonCode::Success);
            let message = watcher.accept();
            assert_eq!((&*message.topic, &*message.payload, message.qos), ("edited", "in!", qos));
            assert_eq!(&*message.properties.user_properties, [("by".into(), "guest".into())]);
            assert_eq!(client.publish("refuse", "in", qos), answer(ReasonCode::QuotaExceeded));
            assert_eq!(client.publish("swallow", "in", qos), answer(ReasonCode::NoMatchingSubscribers));
            watcher.expect_nothing();
        }
    }
}

#[test]
fn on_subscribe_rewrites_lowers_and_refuses() {
    let broker = broker(
        r##"
        config.subscribe = [
            { filter = "mine/#", verdict = "edit", edit = { filter = "tenants/7/#" } },
            { filter = "less", verdict = "edit", edit = { qos = 0 } },
            { filter = "refuse", verdict = "refuse", code = 0x97 },
        ]
        "##,
    );
    for version in BOTH {
        let mut client = Client::connect(&broker, version, "c");
        let refused = |code| if version == Version::V5 { code } else { ReasonCode::UnspecifiedError };
        assert_eq!(client.subscribe("refuse", QoS::AtLeastOnce), refused(ReasonCode::QuotaExceeded));
        assert_eq!(client.subscribe("less", QoS::ExactlyOnce), ReasonCode::Success);
        assert_eq!(client.subscribe("mine/#", QoS::AtLeastOnce), ReasonCode::GrantedQos1);
        client.publish("tenants/7/x", "mine", QoS::AtLeastOnce);
        assert_eq!(client.accept().payload, "mine");
        client.unsubscribe(&["mine/#"]);
        client.publish("tenants/7/x", "gone", QoS::AtLeastOnce);
        client.expect_nothing();
    }
}

#[test]
fn subscribers_are_selected_and_picked() {
    let broker = broker(
        r##"
        config.select = [{ topic = "blue", choice = "only", clients = "blue" }, { topic = "rest", choice = "except", clients = "blue" }]
        config.pick = [{ topic = "last", by = "last" }]
        "##,
    );
    let mut crowd = ["blue-1", "blue-2", "red-1"].map(|name| {
        let mut client = Client::connect(&broker, Version::V5, name);
        for filter in ["blue", "rest", "other", "$share/g/last"] {
            client.subscribe(filter, QoS::AtLeastOnce);
        }
        client
    });
    let mut publisher = Client::connect(&broker, Version::V5, "p");
    for topic in ["blue", "rest", "other", "last", "last"] {
        publisher.publish(topic, topic, QoS::AtLeastOnce);
    }
    let mut got = crowd.iter_mut().map(|client| {
        let mut topics: Vec<String> = client.drain().into_iter().map(|message| message.topic).collect();
        topics.sort();
        topics.join(" ")
    });
    let got: Vec<String> = got.by_ref().collect();
    assert_eq!(got, ["blue other", "blue other", "last last other rest"]);
}

#[test]
fn each_recipient_gets_what_on_deliver_makes_of_it() {
    let broker = broker(
        r##"
        config.deliver = [
            { topic = "asked/#", client = "one", verdict = "edit", edit = { append = " for one" } },
            { topic = "asked/#", client = "deaf", verdict = "drop" },
        ]
        "##,
    );
    let mut clients = ["one", "deaf", "other"].map(|name| {
        let mut client = Client::connect(&broker, Version::V5, name);
        client.subscribe("#", QoS::AtLeastOnce);
        client
    });
    let mut publisher = Client::connect(&broker, Version::V5, "p");
    publisher.publish("asked/x", "hello", QoS::AtLeastOnce);
    publisher.publish("end", "end", QoS::AtLeastOnce);
    let expected: [&[&str]; 3] = [&["hello for one", "end"], &["end"], &["hello", "end"]];
    for (client, expected) in clients.iter_mut().zip(expected) {
        assert_eq!(client.payloads(expected.len()), expected);
    }
}

#[test]
fn events_are_told_in_order_with_what_there_is_to_say() {
    let broker = broker(
        "config.events = { kinds = [\"connected\", \"subscribed\", \"published\", \"disconnected\"] }",
    );
    let mut watcher = Client::connect(&broker, Version::V5, "w");
    watcher.subscribe("events/#", QoS::AtLeastOnce);
    let mut client = Client::connect(&broker, Version::V3_1_1, "c");
    client.subscribe("a/+", QoS::AtLeastOnce);
    client.publish("a/b", "x", QoS::AtLeastOnce);
    client.accept();
    client.disconnect();
    let mut kinds = Vec::new();
    while kinds.last().map(String::as_str) != Some("disconnected") {
        let event: Value = serde_json::from_str(&watcher.accept().payload).unwrap();
        if event["client_id"] == "c" {
            kinds.push(event["kind"].as_str().unwrap().to_owned());
            if event["kind"] == "connected" {
                assert_eq!(event["detail"]["version"], "3.1.1");
            }
        }
    }
    assert_eq!(kinds, ["connected", "subscribed", "published", "disconnected"]);
}

#[test]
fn what_plugins_tell_of_each_others_messages_ends() {
    // Each tells of every message it hears of, and so of what the other tells.
    let mut config = "allow_anonymous = true\n".to_owned();
    for name in ["first", "second"] {
        config += &format!(
            "[plugin.{name}]\ngrants.publish = [\"#\"]\n[plugin.{name}.config]\n\
             events = {{ kinds = [\"published\", \"acknowledged\"], to = \"{name}\" }}\n\
             acl = [{{ topic = \"#\", verdict = \"allow\" }}]\nauthenticate = [{{ verdict = \"grant\" }}]\n"
        );
    }
    let folder = Folder::new(&config);
    for name in ["first", "second"] {
        folder.install_plugin(name, &guest("every-hook"));
    }
    let broker = folder.start();
    let mut watcher = Client::connect(&broker, Version::V5, "w");
    watcher.subscribe("#", QoS::AtLeastOnce);
    watcher.publish("a", "x", QoS::AtLeastOnce);
    let (mut last, mut most) = (String::new(), 0);
    while most < 7 {
        let Received::Message(message) = watcher.receive() else { continue };
        watcher.acknowledge(&message);
        if message.topic == "a" {
            continue;
        }
        let told: Value = serde_json::from_str(&message.payload).unwrap();
        let hops = told["hops"].as_u64().unwrap();
        if hops > most {
            let (by, about) = (&message.topic[..5], told["topic"].as_str().unwrap_or_default());
            assert!(!about.starts_with(by), "{by} was told of its own: {told}");
            (last, most) = (by.to_owned(), hops);
        }
    }
    assert!(!last.is_empty());
    // The eighth is refused, whatever it is about.
    for message in watcher.drain() {
        watcher.acknowledge(&message);
        assert!(!message.payload.contains("\"hops\":8"), "{message:?}");
    }
}

#[test]
fn timers_come_due() {
    let broker = broker("");
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.subscribe("timers/#", QoS::AtLeastOnce);
    client.publish("do/timers/set", "{\"token\": 7, \"after_ms\": 20}", QoS::AtLeastOnce);
    assert_eq!(told(&mut client, "timers/7")["token"], 7);
    client.publish("do/timers/set", "{\"token\": 8, \"after_ms\": 10, \"every_ms\": 10}", QoS::AtLeastOnce);
    for _ in 0..3 {
        told(&mut client, "timers/8");
    }
    client.publish("do/timers/cancel", "{\"token\": 8}", QoS::AtLeastOnce);
}

#[test]
fn messages_of_one_read_come_to_a_batch_plugin_together() {
    let folder = Folder::new("allow_anonymous = true\n[plugin.batch]\nrequired = true\n");
    folder.install_plugin("batch", &guest("batch"));
    let broker = folder.start();
    let mut watcher = Client::connect(&broker, Version::V5, "w");
    watcher.subscribe("a", QoS::AtLeastOnce);
    let mut publisher = Client::connect(&broker, Version::V5, "p");
    let mut bytes = Vec::new();
    for payload in ["x", "y", "z"] {
        let packet = tidegate_tests::publish("a", payload, QoS::AtMostOnce);
        Packet::Publish(packet).encode(Version::V5, &mut bytes).unwrap();
    }
    publisher.send_bytes(&bytes);
    let payloads = watcher.payloads(3);
    let words: Vec<&str> = payloads.iter().map(|payload| payload.split(' ').next().unwrap()).collect();
    assert_eq!(words, ["x", "y", "z"]);
    assert!(payloads.iter().all(|payload| payload.contains('/')), "{payloads:?}");
}

#[test]
fn state_passes_from_generation_to_generation() {
    let folder =
        Folder::new("allow_anonymous = true\n[plugin.keeper]\nrequired = true\nlimits.instances = 1\n");
    folder.install_plugin("keeper", &guest("keeper"));
    let broker = folder.start();
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.subscribe("keeper/#", QoS::AtLeastOnce);
    let count = |client: &mut Client| {
        client.publish("keeper/x", "?", QoS::AtLeastOnce);
        client.accept().payload
    };
    assert_eq!(count(&mut client), "1 1");
    assert_eq!(count(&mut client), "1 2");
    broker.folder().write_config(
        "allow_anonymous = true\n[plugin.keeper]\nrequired = true\nlimits.instances = 1\nlimits.log_lines = 5\n",
    );
    broker.hang_up();
    broker.wait_for_log("plugin keeper: generation 2", tidegate_tests::PATIENCE);
    assert_eq!(count(&mut client), "2 3");
}
