//! A guest that does its worst, in each hook: what becomes of that question, that everybody else goes on, that it heals, and that it is told.

use tidegate_mqtt::{Connect, Packet, QoS, ReasonCode, Version};
use tidegate_tests::{BOTH, Broker, Client, Folder, PATIENCE, connect, guest, publish};

/// The guest does what the last level of a topic says, in one hook.
fn abused(hook: &str, more: &str) -> Broker {
    let allow = hook != "authenticate" && hook != "acl";
    let folder = Folder::new(&format!(
        "sys_interval = 1\nallow_anonymous = true\n[plugin.abuse]\nrequired = true\n{more}\n\
         limits.memory = \"16MiB\"\nlimits.auth_timeout = \"200ms\"\ngrants.publish = [\"abuse/#\"]\n\
         grants.kv = \"1MiB\"\nconfig.hook = \"{hook}\"\nconfig.mode = \"asked\"\nconfig.allow = {allow}\n\
         config.times = 100000\n"
    ));
    folder.install_plugin("abuse", &guest("abuse"));
    folder.start()
}

/// Everything that breaks a call, whichever hook it is.
const BREAKS: [&str; 4] = ["loop", "allocate", "recurse", "trap"];

/// Publishes until the guest is asked and behaves again: the breaker may be open for a second or more.
fn until_it_behaves(client: &mut Client, topic: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while client.publish(topic, "x", QoS::AtLeastOnce).is_error() {
        assert!(std::time::Instant::now() < deadline, "it does not heal");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn on_publish_costs_the_message_and_nothing_else() {
    let broker = abused("publish", "");
    let before = broker.resident();
    let mut bystander = Client::connect(&broker, Version::V5, "bystander");
    bystander.subscribe("#", QoS::AtLeastOnce);
    let mut client = Client::connect(&broker, Version::V5, "c");
    let answers = [
        "huge-string",
        "huge-payload",
        "bad-qos",
        "wildcard",
        "nul",
        "empty",
        "bad-reason",
        "unknown-reason",
        "wrong-reason",
        "bad-property",
    ];
    for mode in BREAKS.iter().chain(&answers) {
        let topic = format!("abuse/{mode}");
        let refused = client.publish(&topic, "bad", QoS::AtLeastOnce);
        assert_eq!(refused, ReasonCode::ImplementationSpecificError, "{mode}");
        // Others are not held up; but while the breaker is open nobody knows what they may do, since this plugin is the one to ask.
        bystander.ping();
        until_it_behaves(&mut client, "abuse/none");
        assert_eq!(bystander.accept().payload, "x", "nothing bad was forwarded: {mode}");
    }
    for mode in ["flood-log", "flood-kv", "flood-metrics", "flood-timers"] {
        // Done, or cut off by the deadline; bounded either way.
        client.publish(&format!("abuse/{mode}"), "flood", QoS::AtLeastOnce);
        until_it_behaves(&mut client, "abuse/none");
    }
    let after = broker.resident();
    assert!(after < before + (160 << 20), "{} MiB became {}", before >> 20, after >> 20);
    let mut watcher = Client::connect(&broker, Version::V5, "w");
    watcher.subscribe("$SYS/broker/plugins/abuse/faults", QoS::AtMostOnce);
    while watcher.message().payload.parse::<u64>().unwrap() < 14 {}
}

#[test]
fn a_plugin_that_answers_itself_is_not_asked_again() {
    let broker = abused("publish", "");
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.subscribe("abuse/#", QoS::AtLeastOnce);
    client.publish("abuse/republish", "first", QoS::AtLeastOnce);
    let mut payloads = client.payloads(2);
    payloads.sort();
    assert_eq!(payloads, ["again", "first"]);
    client.expect_nothing();
}

#[test]
fn acl_check_that_fails_is_never_allow() {
    let broker = abused("acl", "");
    // While nobody has failed yet: the breaker is the plugin's, and an open one lets nobody in.
    let mut clients = BOTH.map(|version| Client::connect(&broker, version, &format!("{version:?}")));
    for client in &mut clients {
        for mode in BREAKS.iter().chain(&["bad-span", "wildcard", "huge-string"]) {
            let refused = client.subscribe(&format!("abuse/{mode}"), QoS::AtLeastOnce);
            assert!(refused.is_error(), "{mode}: {refused:?}");
        }
    }
}

#[test]
fn authenticate_that_fails_lets_nobody_in() {
    let broker = abused("authenticate", "");
    for mode in
        BREAKS.iter().chain(&["bad-qos", "wildcard", "bad-placeholder", "huge-string", "empty", "challenge"])
    {
        let mut client = Client::open(broker.address(), Version::V5);
        client.send(&Packet::Connect(Box::new(Connect {
            username: Some("u".into()),
            ..connect(Version::V5, mode)
        })));
        assert!(client.expect_connack().reason.is_error(), "{mode}");
    }
}

#[test]
fn on_subscribe_select_pick_and_deliver_do_what_a_fault_means_there() {
    let broker = abused("subscribe", "");
    let mut client = Client::connect(&broker, Version::V5, "c");
    for mode in BREAKS.iter().chain(&["wildcard", "bad-qos", "raised-qos", "few-verdicts", "many-verdicts"]) {
        let refused = client.subscribe(&format!("abuse/{mode}"), QoS::AtMostOnce);
        assert_eq!(refused, ReasonCode::ImplementationSpecificError, "{mode}");
    }
    for (hook, filter, modes) in [
        ("select", "abuse/#", ["index", "repeated-index"]),
        ("pick", "$share/g/abuse/#", ["index", "trap"]),
        ("deliver", "abuse/#", ["wildcard", "misplaced"]),
    ] {
        let broker = abused(hook, "");
        let mut client = Client::connect(&broker, Version::V5, "c");
        client.subscribe(filter, QoS::AtLeastOnce);
        for mode in BREAKS.iter().chain(&modes) {
            client.publish(&format!("abuse/{mode}"), mode, QoS::AtLeastOnce);
            assert_eq!(client.accept().payload, *mode, "{hook}: delivered as it was matched");
            until_it_behaves(&mut client, "abuse/none");
            assert_eq!(client.accept().payload, "x", "{hook}");
        }
    }
}

#[test]
fn on_deliver_that_fails_drops_if_the_operator_says_so() {
    let broker = abused("deliver", "on_deliver_fault = \"drop\"");
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.subscribe("abuse/#", QoS::AtLeastOnce);
    client.publish("abuse/trap", "bad", QoS::AtLeastOnce);
    client.publish("abuse/none", "good", QoS::AtLeastOnce);
    assert_eq!(client.accept().payload, "good");
}

#[test]
fn one_trap_in_a_hundred_costs_one_message_in_a_hundred_at_most_until_the_breaker_opens() {
    let folder = Folder::new(
        "allow_anonymous = true\n[plugin.abuse]\nrequired = true\nconfig = { hook = \"publish\", mode = \"trap\", one_in = 100, allow = true }\n",
    );
    folder.install_plugin("abuse", &guest("abuse"));
    let broker = folder.start();
    let mut client = Client::connect(&broker, Version::V5, "c");
    let refused = (0..300).filter(|_| client.publish("abuse/x", "x", QoS::AtLeastOnce).is_error()).count();
    assert!((1..=4).contains(&refused), "{refused}");
}

#[test]
fn a_trap_in_init_keeps_the_old_generation() {
    // A machine that is busy elsewhere is no fault of the generation that answers.
    let table = "allow_anonymous = true\n[plugin.abuse]\nrequired = true\nlimits.deadline = \"1s\"\n";
    let folder = Folder::new(&format!("{table}config = {{ allow = true }}\n"));
    folder.install_plugin("abuse", &guest("abuse"));
    let broker = folder.start();
    for mode in ["trap", "loop", "allocate", "recurse", "refuse", "unknown-hook", "unknown-want"] {
        broker.folder().write_config(&format!(
            "{table}limits.init_timeout = \"300ms\"\nconfig = {{ hook = \"init\", mode = \"{mode}\", allow = true }}\n"
        ));
        broker.hang_up();
        broker.wait_for_log("generation 1 stays", PATIENCE);
        let mut client = Client::connect(&broker, Version::V5, "c");
        assert!(!client.publish("abuse/none", "x", QoS::AtLeastOnce).is_error(), "{mode}");
    }
}

#[test]
fn before_mqtt_5_a_fault_is_never_acknowledged() {
    let broker = abused("publish", "");
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut client = Client::connect(&broker, Version::V3_1_1, "c");
        let packet_id = Some(client.packet_id());
        client
            .send(&Packet::Publish(tidegate_mqtt::Publish { packet_id, ..publish("abuse/trap", "x", qos) }));
        client.expect_closed();
    }
}
