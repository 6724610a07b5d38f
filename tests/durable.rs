//! What survives the broker, each item alone: over `kill -9` and over a stop, in both versions. `crash.rs` tries all of it at once.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{fs, num::NonZeroU32, process::Command};
use tidegate_mqtt::{
    Connect, ConnectProperties, Packet, Publish, PublishProperties, QoS, ReasonCode, SubscribeProperties,
    SubscriptionOptions, TopicName, Version, Will, WillProperties,
};
use tidegate_tests::{
    BOTH, Broker, Client, Folder, Message, PATIENCE, Received, StoreKind, Stores, ack, connect, guest,
    plugin, publish,
};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V3_1_1, V5};

/// How a broker ends before it starts again.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Killed,
    Stopped,
}

const ENDS: [End; 2] = [End::Killed, End::Stopped];

fn again(broker: Broker, end: End) -> Broker {
    match end {
        End::Killed => broker.kill().start(),
        End::Stopped => broker.stop().start(),
    }
}

/// On the built-in engine, and on each store that is a plugin.
fn on_each_store(test: impl Fn(&Stores)) {
    for kind in [StoreKind::Disk, StoreKind::Crypt, StoreKind::Redis] {
        println!("{kind:?}");
        test(&Stores::new(kind));
    }
}

/// On each store in both versions, over both ends.
fn all(test: impl Fn(&Stores, Version, End)) {
    on_each_store(|stores| {
        for version in BOTH {
            ENDS.into_iter().for_each(|end| test(stores, version, end));
        }
    });
}

fn session(broker: &Broker, version: Version, client_id: &str) -> (Client, bool) {
    Client::connect_session(broker, version, client_id, false)
}

/// A session that is subscribed and whose client is away.
fn away(broker: &Broker, version: Version, client_id: &str, filter: &str) {
    let (mut client, _) = session(broker, version, client_id);
    client.subscribe(filter, ExactlyOnce);
    client.disconnect();
}

fn expiring(broker: &Broker, client_id: &str, expiry: u32) -> (Client, bool) {
    let properties =
        ConnectProperties { session_expiry_interval: Some(expiry), ..ConnectProperties::default() };
    let connect = Connect { clean_start: false, properties, ..connect(V5, client_id) };
    let (client, connack) = Client::connect_with(broker, connect);
    (client, connack.session_present)
}

const TELLS_EXPIRY: &str = "[log]\nformat = \"json\"\nlevel = \"info,tidegate=debug\"\n";

#[test]
fn v5_4_1_0_1_and_v311_4_1_0_1_messages_wait_over_a_restart_in_their_order() {
    all(|stores, version, end| {
        let broker = stores.folder("").start();
        away(&broker, version, "c", "a/#");
        let mut publisher = Client::connect(&broker, version, "p");
        for n in 0..20 {
            let qos = if n % 2 == 0 { AtLeastOnce } else { ExactlyOnce };
            publisher.publish(&format!("a/{}", n % 3), &n.to_string(), qos);
        }
        publisher.publish("a/0", "lost", AtMostOnce);
        let broker = again(broker, end);
        let (mut client, present) = session(&broker, version, "c");
        assert!(present);
        for n in 0..20 {
            let message = client.accept();
            assert_eq!((message.payload, message.dup), (n.to_string(), false), "{version:?} {end:?}");
        }
        client.expect_nothing();
        client.disconnect();
        // And once only.
        until_written(&broker);
        let broker = again(broker, end);
        session(&broker, version, "c").0.expect_nothing();
    });
}

#[test]
fn v5_4_4_0_1_and_v311_4_4_0_1_what_was_out_comes_again_with_dup_and_its_packet_identifier() {
    all(|stores, version, end| {
        let broker = stores.folder("").start();
        let (mut client, _) = session(&broker, version, "c");
        client.subscribe("a", ExactlyOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        for (payload, qos) in [("1", AtLeastOnce), ("2", ExactlyOnce), ("3", AtLeastOnce), ("4", ExactlyOnce)]
        {
            publisher.publish("a", payload, qos);
        }
        let out: Vec<Message> = (0..4).map(|_| client.message()).collect();
        // The second is done, the last the client's but for PUBCOMP.
        client.acknowledge(&out[1]);
        client.send(&Packet::PubRec(ack(out[3].id())));
        client.expect_packet(&Packet::PubRel(ack(out[3].id())));
        client.ping();
        let broker = again(broker, end);
        let (mut client, _) = session(&broker, version, "c");
        for before in [&out[0], &out[2]] {
            let now = client.message();
            assert_eq!(
                (now.payload.as_str(), now.dup),
                (before.payload.as_str(), true),
                "{version:?} {end:?}"
            );
            assert_eq!(now.packet_id, before.packet_id);
            client.acknowledge(&now);
        }
        client.expect_packet(&Packet::PubRel(ack(out[3].id())));
        client.send(&Packet::PubComp(ack(out[3].id())));
        client.expect_nothing();
        until_written(&broker);
        let broker = again(broker, end);
        session(&broker, version, "c").0.expect_nothing();
    });
}

#[test]
fn v5_4_6_0_1_and_v311_4_6_0_1_the_window_comes_again_in_its_order_and_what_waited_follows() {
    all(|stores, version, end| {
        let broker = stores.folder("[limits]\nmax_inflight = 3\n").start();
        let (mut client, _) = session(&broker, version, "c");
        client.subscribe("a", ExactlyOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        for n in 1..=6 {
            publisher.publish("a", &n.to_string(), ExactlyOnce);
        }
        let out: Vec<Message> = (0..3).map(|_| client.message()).collect();
        client.expect_nothing();
        let broker = again(broker, end);
        let (mut client, _) = session(&broker, version, "c");
        for before in &out {
            let now = client.accept();
            assert_eq!(
                (&now.payload, now.packet_id),
                (&before.payload, before.packet_id),
                "{version:?} {end:?}"
            );
            assert!(now.dup);
        }
        for n in 4..=6 {
            let now = client.accept();
            assert_eq!((now.payload, now.dup), (n.to_string(), false));
        }
        client.expect_nothing();
    });
}

#[test]
fn v5_4_3_3_10_and_v311_4_3_3_2_a_repeat_after_a_restart_is_no_new_message() {
    all(|stores, version, end| {
        let broker = stores.folder("").start();
        away(&broker, version, "c", "a");
        let (mut publisher, _) = session(&broker, version, "p");
        let packet_id = publisher.packet_id();
        let once = Publish { packet_id: Some(packet_id), ..publish("a", "once", ExactlyOnce) };
        publisher.send(&Packet::Publish(once.clone()));
        publisher
            .find("PUBREC", |received| matches!(received, Received::Packet(Packet::PubRec(_))).then_some(()));
        let broker = again(broker, end);
        let (mut publisher, present) = session(&broker, version, "p");
        assert!(present);
        publisher.send(&Packet::Publish(Publish { dup: true, ..once }));
        publisher
            .find("PUBREC", |received| matches!(received, Received::Packet(Packet::PubRec(_))).then_some(()));
        publisher.send(&Packet::PubRel(ack(packet_id)));
        publisher.expect_packet(&Packet::PubComp(ack(packet_id)));
        // From PUBCOMP on the identifier is free: the next message with it is another.
        let broker = again(broker, end);
        let (mut publisher, _) = session(&broker, version, "p");
        let other = Publish { packet_id: Some(packet_id), ..publish("a", "other", ExactlyOnce) };
        publisher.publish_with(other);
        let (mut client, _) = session(&broker, version, "c");
        assert_eq!(
            [client.accept().payload, client.accept().payload],
            ["once", "other"],
            "{version:?} {end:?}"
        );
        client.expect_nothing();
    });
}

#[test]
fn v5_3_3_1_5_and_v311_3_3_1_5_retained_messages_survive_and_so_does_their_removal() {
    all(|stores, version, end| {
        let broker = stores.folder("").start();
        let mut client = Client::connect(&broker, version, "p");
        for (topic, payload, qos) in [
            ("r/0", "zero", AtMostOnce),
            ("r/1", "old", AtLeastOnce),
            ("r/1", "new", ExactlyOnce),
            ("r/2", "gone", AtLeastOnce),
        ] {
            client.publish_retained(topic, payload, qos);
        }
        client.publish_retained("r/2", "", AtLeastOnce);
        let broker = again(broker, end);
        let mut client = Client::connect(&broker, version, "s");
        client.subscribe("r/#", ExactlyOnce);
        let mut found: Vec<_> =
            client.drain().into_iter().map(|one| (one.topic, one.payload, one.retain)).collect();
        found.sort();
        let kept = |topic: &str, payload: &str| (topic.to_owned(), payload.to_owned(), true);
        assert_eq!(found, [kept("r/0", "zero"), kept("r/1", "new")], "{version:?} {end:?}");
    });
}

#[test]
fn v5_3_8_4_3_and_v311_3_8_4_3_subscriptions_survive_with_options_and_identifiers() {
    all(|stores, version, end| {
        let broker = stores.folder("").start();
        let (mut client, _) = session(&broker, version, "c");
        let options = SubscriptionOptions {
            maximum_qos: AtLeastOnce,
            no_local: true,
            retain_as_published: true,
            ..SubscriptionOptions::default()
        };
        let identifier = (version == V5).then(|| NonZeroU32::new(7).unwrap());
        let properties =
            SubscribeProperties { subscription_identifier: identifier, ..SubscribeProperties::default() };
        client.subscribe_with(&[("a/+", options)], properties);
        client.subscribe("b", ExactlyOnce);
        client.subscribe("c", ExactlyOnce);
        client.unsubscribe(&["c"]);
        client.disconnect();
        let broker = again(broker, end);
        let (mut client, _) = session(&broker, version, "c");
        let mut publisher = Client::connect(&broker, version, "p");
        publisher.publish_retained("a/x", "1", ExactlyOnce);
        publisher.publish("c", "2", ExactlyOnce);
        publisher.publish("b", "3", ExactlyOnce);
        client.publish("a/x", "4", AtLeastOnce);
        let first = client.accept();
        assert_eq!((first.payload.as_str(), first.qos), ("1", AtLeastOnce), "{version:?} {end:?}");
        if version == V5 {
            assert_eq!((first.retain, first.identifiers()), (true, vec![7]));
        } else {
            assert_eq!(
                client.find("own message", |received| match received {
                    Received::Message(one) if one.payload == "4" => Some(one.qos),
                    _ => None,
                }),
                AtLeastOnce
            );
        }
        assert_eq!(client.accept().payload, "3");
    });
}

#[test]
fn v5_3_1_2_23_session_expiry_counts_the_time_the_broker_was_down() {
    on_each_store(|stores| {
        for end in ENDS {
            let broker = stores.folder(TELLS_EXPIRY).start();
            let (mut client, _) = expiring(&broker, "short", 1);
            client.subscribe("a", AtLeastOnce);
            client.disconnect();
            expiring(&broker, "long", 600).0.disconnect();
            // The other's connection breaks with the broker.
            let (live, _) = expiring(&broker, "live", 1);
            Client::connect(&broker, V5, "p").publish("a", "kept", AtLeastOnce);
            let broker = again(broker, end);
            drop(live);
            for _ in 0..2 {
                broker.wait_for_log("session expired", PATIENCE);
            }
            let seen = broker.log().len();
            if !broker.log().text().contains("\"client_id\":\"live\"") {
                broker.log().wait_for_after(seen, "session expired", PATIENCE);
            }
            assert!(!expiring(&broker, "short", 600).1, "{end:?}");
            assert!(expiring(&broker, "long", 600).1, "{end:?}");
        }
    });
}

#[test]
fn v5_3_3_2_5_message_expiry_counts_the_time_the_broker_was_down() {
    on_each_store(|stores| {
        for end in ENDS {
            let broker = stores.folder(TELLS_EXPIRY).start();
            away(&broker, V5, "c", "a");
            let mut publisher = Client::connect(&broker, V5, "p");
            let expiry = |seconds| PublishProperties {
                message_expiry_interval: Some(seconds),
                ..PublishProperties::default()
            };
            publisher.publish_properties("a", "short", AtLeastOnce, expiry(1));
            publisher.publish_properties("a", "long", AtLeastOnce, expiry(600));
            let broker = again(broker, end);
            // A second, by the broker's own clock.
            expiring(&broker, "clock", 1).0.disconnect();
            broker.wait_for_log("session expired", PATIENCE);
            let (mut client, _) = session(&broker, V5, "c");
            let message = client.accept();
            assert_eq!(message.payload, "long", "{end:?}");
            let left = message.properties.message_expiry_interval.unwrap();
            assert!(left < 600, "{left}");
            client.expect_nothing();
        }
    });
}

#[test]
fn v5_3_1_2_8_and_v311_3_1_2_8_the_will_of_a_client_that_lost_its_broker_is_published_once() {
    on_each_store(|stores| {
        for version in BOTH {
            let broker = stores.folder("").start();
            away(&broker, version, "watcher", "wills/#");
            let with_will = |client_id: &str, delay: u32| {
                let properties = WillProperties {
                    will_delay_interval: (delay > 0 && version == V5).then_some(delay),
                    ..WillProperties::default()
                };
                let will = Will {
                    topic: TopicName::new(&format!("wills/{client_id}")).unwrap(),
                    payload: client_id.to_owned().into(),
                    qos: ExactlyOnce,
                    retain: false,
                    properties,
                };
                let expiry = (version == V5).then_some(600);
                let properties =
                    ConnectProperties { session_expiry_interval: expiry, ..ConnectProperties::default() };
                let connect = Connect {
                    clean_start: false,
                    will: Some(will),
                    properties,
                    ..connect(version, client_id)
                };
                Client::connect_with(&broker, connect).0
            };
            let _live = with_will("live", 0);
            let _delayed = with_will("delayed", 1);
            // Before MQTT 5 there is no delay.
            let _never = (version == V5).then(|| with_will("never", 600));
            with_will("polite", 0).disconnect();
            let broker = again(broker, End::Killed);
            // Back in time: its will is not published.
            let back = (version == V5).then(|| session(&broker, version, "never"));
            assert!(back.is_none_or(|(_, present)| present));
            let (mut watcher, _) = session(&broker, version, "watcher");
            let mut wills = vec![watcher.accept().payload, watcher.accept().payload];
            wills.sort();
            assert_eq!(wills, ["delayed", "live"]);
            watcher.expect_nothing();
            watcher.disconnect();
            until_written(&broker);
            let broker = again(broker, End::Killed);
            session(&broker, version, "watcher").0.expect_nothing();
        }
    });
}

#[test]
fn a_session_that_was_replaced_or_ended_does_not_come_back() {
    all(|stores, version, end| {
        let broker = stores.folder("").start();
        away(&broker, version, "c", "a");
        Client::connect(&broker, version, "p").publish("a", "old", AtLeastOnce);
        let (client, present) = Client::connect_session(&broker, version, "c", true);
        assert!(!present);
        drop(client);
        away(&broker, version, "d", "a");
        drop(Client::connect(&broker, version, "d"));
        let broker = again(broker, end);
        let (mut client, present) = session(&broker, version, "c");
        // Before MQTT 5 a session that begins clean ends with its connection.
        assert_eq!(present, version == V5, "{end:?}");
        client.expect_nothing();
        let (mut other, _) = session(&broker, version, "d");
        Client::connect(&broker, version, "p").publish("a", "new", AtLeastOnce);
        client.expect_nothing();
        other.expect_nothing();
    });
}

#[test]
fn a_message_of_a_group_waits_for_one_member_over_a_restart() {
    all(|stores, version, end| {
        let broker = stores.folder("").start();
        for member in ["one", "two", "three"] {
            away(&broker, version, member, "$share/g/a");
        }
        let mut publisher = Client::connect(&broker, version, "p");
        for n in 0..9 {
            publisher.publish("a", &n.to_string(), ExactlyOnce);
        }
        let broker = again(broker, end);
        let mut got = Vec::new();
        for member in ["one", "two", "three"] {
            let (mut client, _) = session(&broker, version, member);
            loop {
                client.send(&Packet::PingReq);
                let next = client.find("message or PINGRESP", |received| match received {
                    Received::Message(message) => Some(Some(message.clone())),
                    Received::Packet(Packet::PingResp) => Some(None),
                    Received::Packet(_) => None,
                });
                let Some(message) = next else { break };
                client.acknowledge(&message);
                got.push(message.payload);
            }
        }
        got.sort();
        assert_eq!(got, (0..9).map(|n| n.to_string()).collect::<Vec<_>>(), "{version:?} {end:?}");
    });
}

#[test]
fn neither_qos_0_nor_clean_sessions_touch_the_disk() {
    on_each_store(|stores| {
        let broker = stores.folder("").start();
        for version in BOTH {
            let mut client = Client::connect(&broker, version, "c");
            client.subscribe("a", ExactlyOnce);
            away(&broker, version, "there", "b");
            let commits = commits(&broker);
            for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
                client.publish("a", "x", qos);
                client.accept();
            }
            client.publish("b", "x", AtMostOnce);
            client.ping();
            client.disconnect();
            assert_eq!(self::commits(&broker), commits, "{version:?}");
        }
    });
}

/// What the broker was told before is in the hands of the operating system: acknowledgements of clients are written, but not waited for.
fn until_written(broker: &Broker) {
    Client::connect(broker, V5, "writer").publish_retained("written", "yes", AtLeastOnce);
}

/// What was written to the store for clients.
fn commits(broker: &Broker) -> u64 {
    let metrics = broker.folder().run(&["-c", "tidegate.toml", "metrics"]).stdout;
    let of = |name: &str| {
        let line = metrics.iter().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    of("tidegate_store_commits_total ")
}

#[test]
fn nothing_survives_in_memory() {
    for end in ENDS {
        let broker = Broker::start("[store]\nengine = \"memory\"\n");
        away(&broker, V5, "c", "a");
        assert!(session(&broker, V5, "c").1);
        let broker = again(broker, end);
        assert!(!session(&broker, V5, "c").1);
    }
}

#[test]
fn a_listener_may_have_a_durability_of_its_own_and_a_wrong_one_is_refused() {
    let broker = Broker::start(
        "durability = \"none\"\n[[listener]]\naddress = \"127.0.0.1:0\"\ndurability = \"sync\"\n",
    );
    away(&broker, V5, "c", "a");
    assert_eq!(Client::connect(&broker, V5, "p").publish("a", "x", AtLeastOnce), ReasonCode::Success);
    let broker = again(broker, End::Killed);
    assert_eq!(session(&broker, V5, "c").0.accept().payload, "x");
    let refused = Folder::new("durability = \"perhaps\"\n").run(&["-c", "tidegate.toml"]);
    assert_eq!(refused.code, Some(1));
    let said = refused.stderr.join("\n");
    assert!(said.contains("unknown value \"perhaps\"; known here: none, os, sync"), "{said}");
}

#[test]
fn a_folder_of_something_else_or_of_a_newer_broker_is_refused_and_not_touched() {
    let folder = Folder::new("");
    let store = folder.data_dir().join("store");
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join("mosquitto.db"), "something else").unwrap();
    let refused = folder.run(&["-c", "tidegate.toml"]);
    let said = refused.stderr.join("\n");
    assert_eq!(refused.code, Some(1), "{said}");
    assert!(said.contains("not written by this broker"), "{said}");
    assert_eq!(fs::read_dir(&store).unwrap().count(), 1);
}

/// A folder whose broker has stored something of each kind, and has stopped.
fn stored() -> Folder {
    let broker = Broker::start("");
    away(&broker, V5, "one", "a");
    away(&broker, V5, "two", "a");
    let mut publisher = Client::connect(&broker, V5, "p");
    for n in 0..3 {
        publisher.publish("a", &n.to_string(), ExactlyOnce);
    }
    publisher.publish_retained("r", "kept", AtLeastOnce);
    broker.stop()
}

fn command(folder: &Folder, arguments: &[&str]) -> (Option<i32>, String) {
    let ended = folder.run(&[&["-c", "tidegate.toml", "store"], arguments].concat());
    (ended.code, [ended.stdout, ended.stderr].concat().join("\n"))
}

#[test]
fn what_is_stored_can_be_checked_counted_and_moved() {
    let folder = stored();
    assert_eq!(command(&folder, &["check"]), (Some(0), "ok".to_owned()));
    let (code, stats) = command(&folder, &["stats"]);
    assert_eq!(code, Some(0));
    let records = |table: &str| {
        let line = stats.lines().find(|line| line.starts_with(table)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let counted =
        ["messages", "queues", "references", "retained", "sessions", "subscriptions", "wills"].map(records);
    assert_eq!(counted, [3, 6, 3, 1, 2, 2, 0], "{stats}");
    let (code, said) = command(&folder, &["export", "copy.jsonl"]);
    assert!(code == Some(0) && said.contains("records written"), "{said}");
    let (code, said) = command(&folder, &["export", "copy.jsonl"]);
    assert!(code == Some(1) && said.contains("copy.jsonl"), "nothing is written over: {said}");
    let (code, said) = command(&folder, &["import", "copy.jsonl"]);
    assert!(code == Some(1) && said.contains("not empty"), "{said}");

    let other = Folder::new("");
    let copy = fs::read_to_string(folder.path().join("copy.jsonl")).unwrap();
    let damaged = copy.replacen("\"value\":\"", "\"value\":\"00", 1);
    fs::write(other.path().join("damaged.jsonl"), damaged).unwrap();
    let (code, said) = command(&other, &["import", "damaged.jsonl"]);
    assert!(code == Some(1) && said.contains("line 1: the record is damaged"), "{said}");
    fs::write(other.path().join("copy.jsonl"), copy).unwrap();
    assert_eq!(command(&other, &["import", "copy.jsonl"]).0, Some(0));
    let broker = other.start();
    for name in ["one", "two"] {
        let (mut client, present) = session(&broker, V5, name);
        assert!(present);
        let payloads: Vec<_> = (0..3).map(|_| client.accept().payload).collect();
        assert_eq!(payloads, ["0", "1", "2"]);
    }
    let mut client = Client::connect(&broker, V5, "r");
    client.subscribe("r", AtMostOnce);
    assert_eq!(client.accept().payload, "kept");
    let (code, said) = command(broker.folder(), &["check"]);
    assert!(code == Some(1) && said.contains("used by another broker"), "{said}");
}

#[test]
fn what_is_stored_moves_from_one_engine_to_another_and_back() {
    let folder = stored();
    assert_eq!(command(&folder, &["export", "copy.jsonl"]).0, Some(0));
    let copy = fs::read(folder.path().join("copy.jsonl")).unwrap();
    for kind in [StoreKind::Crypt, StoreKind::Redis] {
        let stores = Stores::new(kind);
        let folder = stores.folder("");
        fs::write(folder.path().join("copy.jsonl"), &copy).unwrap();
        let (code, said) = command(&folder, &["import", "copy.jsonl"]);
        assert!(code == Some(0) && said.contains("records read"), "{kind:?}: {said}");
        let (code, said) = command(&folder, &["check"]);
        assert_eq!((code, said.lines().next()), (Some(0), Some("ok")), "{kind:?}: {said}");
        let broker = folder.start();
        let (mut client, present) = session(&broker, V5, "one");
        assert!(present);
        assert_eq!(client.payloads(3), ["0", "1", "2"]);
        let (code, said) = command(broker.folder(), &["stats"]);
        assert!(code == Some(1) && said.contains("another broker"), "{kind:?}: {said}");
        let folder = broker.stop();
        assert_eq!(command(&folder, &["export", "back.jsonl"]).0, Some(0), "{kind:?}");
        let other = Folder::new("");
        fs::copy(folder.path().join("back.jsonl"), other.path().join("back.jsonl")).unwrap();
        assert_eq!(command(&other, &["import", "back.jsonl"]).0, Some(0), "{kind:?}");
        let broker = other.start();
        let (mut client, present) = session(&broker, V5, "two");
        assert!(present);
        assert_eq!(client.payloads(3), ["0", "1", "2"]);
    }
    let nothing = Folder::new("[store]\nengine = \"memory\"\n");
    let (code, said) = command(&nothing, &["check"]);
    assert!(code == Some(1) && said.contains("keeps nothing"), "{said}");
}

#[test]
fn a_damaged_record_is_named_set_aside_and_the_rest_is_served() {
    let folder = stored();
    command(&folder, &["export", "copy.jsonl"]);
    // One body is not what was written: as in a copy, which is text, so in a file of the store.
    let copy = fs::read_to_string(folder.path().join("copy.jsonl")).unwrap();
    let body = copy.lines().find(|line| line.contains("\"messages\"")).unwrap();
    let hex = body.rsplit('"').nth(1).unwrap();
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let tail = &bytes[bytes.len() - 24..];
    let mut flipped = 0;
    let mut folders = vec![folder.data_dir().join("store")];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let mut content = fs::read(entry.path()).unwrap();
            while let Some(at) = content.windows(tail.len()).position(|window| window == tail) {
                content[at + tail.len() - 1] ^= 1;
                flipped += 1;
            }
            fs::write(entry.path(), content).unwrap();
        }
    }
    assert!(flipped > 0);
    let (code, said) = command(&folder, &["check"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not ok"), "{said}");
    let broker = folder.start();
    assert!(broker.log_contains("damaged"), "{}", broker.log().text());
    let mut publisher = Client::connect(&broker, V5, "p");
    publisher.publish("a", "after", AtLeastOnce);
    for name in ["one", "two"] {
        let (mut client, present) = session(&broker, V5, name);
        assert!(present);
        let payloads: Vec<_> = client.drain().into_iter().map(|message| message.payload).collect();
        assert!(payloads.iter().all(|payload| ["0", "1", "2", "after"].contains(&payload.as_str())));
        assert!(payloads.contains(&"after".to_owned()) && payloads.len() < 4, "{payloads:?}");
    }
}

#[test]
fn a_plugin_may_keep_it_and_be_swapped_meanwhile() {
    let folder = Folder::new(
        "[store]\nengine = \"plugin\"\nplugin = \"store-memory\"\n[plugin.store-memory.limits]\nconcurrent = 1\n",
    );
    let refused = folder.run(&["-c", "tidegate.toml"]);
    assert_eq!(refused.code, Some(1));
    let said = refused.stderr.join("\n");
    assert!(said.contains("no plugin \"store-memory\" runs that keeps records"), "{said}");
    folder.install_plugin("store-memory", &guest("store-memory"));
    let broker = folder.start();
    for version in BOTH {
        away(&broker, version, "c", "a");
        let mut publisher = Client::connect(&broker, version, "p");
        for n in 0..10 {
            publisher.publish("a", &n.to_string(), if n % 2 == 0 { AtLeastOnce } else { ExactlyOnce });
        }
        let (mut client, present) = session(&broker, version, "c");
        assert!(present);
        for n in 0..5 {
            assert_eq!(client.accept().payload, n.to_string());
        }
        client.break_off();
        // What waits is in the plugin only: it hands it to the generation after it.
        let swapped = broker.folder().run(&["-c", "tidegate.toml", "plugin", "reload", "store-memory"]);
        assert_eq!(swapped.code, Some(0), "{swapped:?}");
        let (mut client, _) = session(&broker, version, "c");
        for n in 5..10 {
            assert_eq!(client.accept().payload, n.to_string(), "{version:?}");
        }
        client.expect_nothing();
        client.disconnect();
        Client::connect_session(&broker, version, "c", true).0.disconnect();
    }
    broker.stop();
}

#[test]
fn v5_3_4_2_1_a_full_disk_refuses_what_needs_it_and_everything_else_goes_on() {
    let folder = Folder::new("");
    let broker = folder.start();
    for version in BOTH {
        away(&broker, version, &format!("{version:?}"), "a");
    }
    Client::connect(&broker, V5, "p").publish("a", "before", ExactlyOnce);
    let folder = broker.stop();
    // Less is free than messages must leave, and more than what makes room may take.
    let free =
        Command::new("df").args(["--block-size=1", "--output=avail"]).arg(folder.path()).output().unwrap();
    let free = String::from_utf8(free.stdout).unwrap();
    let free: u64 = free.lines().last().unwrap().trim().parse().unwrap();
    folder.write_config(&format!("[store]\nreserve = {}\n", free * 2));
    let broker = folder.start();
    let mut live = Client::connect(&broker, V5, "live");
    live.subscribe("#", ExactlyOnce);
    let mut publisher = Client::connect(&broker, V5, "p");
    for qos in [AtLeastOnce, ExactlyOnce] {
        assert_eq!(publisher.publish("a", "refused", qos), ReasonCode::QuotaExceeded);
        assert_eq!(publisher.publish_retained("r", "refused", qos), ReasonCode::QuotaExceeded);
        // Nobody has to keep this one.
        assert_eq!(publisher.publish("b", "taken", qos), ReasonCode::Success);
        assert_eq!(live.accept().payload, "taken");
    }
    publisher.publish("a", "taken", AtMostOnce);
    assert_eq!(live.accept().payload, "taken");
    // Before MQTT 5 there is no word for it: it is not acknowledged.
    let mut older = Client::connect(&broker, V3_1_1, "older");
    let packet_id = older.packet_id();
    older.send(&Packet::Publish(Publish { packet_id: Some(packet_id), ..publish("a", "x", AtLeastOnce) }));
    older.expect_closed();
    // What is there is delivered, and goes.
    for version in BOTH {
        let (mut client, present) = session(&broker, version, &format!("{version:?}"));
        assert!(present);
        assert_eq!(client.accept().payload, "before");
        client.expect_nothing();
    }
    broker.wait_for_log("the store refuses messages", PATIENCE);
    let folder = broker.stop();
    folder.write_config("");
    let broker = folder.start();
    assert_eq!(Client::connect(&broker, V5, "p").publish("a", "again", AtLeastOnce), ReasonCode::Success);
    for version in BOTH {
        let (mut client, _) = session(&broker, version, &format!("{version:?}"));
        assert_eq!(client.accept().payload, "again");
        client.expect_nothing();
    }
}

#[test]
fn a_will_that_its_client_may_not_publish_is_not_published_after_a_restart_either() {
    for version in BOTH {
        let folder = Folder::new(
            "[plugin.acl-log.config]\nacl = [{ deny = \"publish\", topic = \"wills/no\" }, { allow = \"all\", topic = \"#\" }]\n",
        );
        folder.install_plugin("acl-log", &plugin("acl-log"));
        let broker = folder.start();
        away(&broker, version, "watcher", "wills/#");
        let clients: Vec<_> = ["no", "yes"]
            .iter()
            .map(|name| {
                let will = Will {
                    topic: TopicName::new(&format!("wills/{name}")).unwrap(),
                    payload: (*name).into(),
                    qos: AtLeastOnce,
                    retain: false,
                    properties: WillProperties::default(),
                };
                let expiry = (version == V5).then_some(600);
                let properties =
                    ConnectProperties { session_expiry_interval: expiry, ..ConnectProperties::default() };
                let connect =
                    Connect { clean_start: false, will: Some(will), properties, ..connect(version, name) };
                Client::connect_with(&broker, connect).0
            })
            .collect();
        let broker = again(broker, End::Killed);
        drop(clients);
        let (mut watcher, _) = session(&broker, version, "watcher");
        assert_eq!(watcher.accept().payload, "yes");
        watcher.expect_nothing();
    }
}

#[test]
fn a_client_whose_queue_cannot_be_read_now_is_served_with_everything_else() {
    let stores = Stores::new(StoreKind::Redis);
    for version in BOTH {
        let broker = stores.folder("[limits]\nmax_inflight = 10\n").start();
        let (mut client, _) = session(&broker, version, "c");
        client.subscribe("a", AtLeastOnce);
        client.subscribe("b", AtMostOnce);
        let mut publisher = Client::connect(&broker, version, "p");
        // More than is kept in memory for a client.
        let payload = "x".repeat(8 << 10);
        for n in 0..100 {
            publisher.publish("a", &format!("{n} {payload}"), AtLeastOnce);
        }
        stores.freeze();
        let number = |message: &Message| message.payload.split(' ').next().unwrap().parse::<u32>().unwrap();
        // What is in memory comes, and then nothing but answers.
        let (mut got, mut quiet) = (0, 0);
        client.send(&Packet::PingReq);
        while quiet < 3 {
            match client.receive() {
                Received::Message(message) => {
                    assert_eq!(number(&message), got);
                    client.acknowledge(&message);
                    got += 1;
                    quiet = 0;
                }
                Received::Packet(Packet::PingResp) => {
                    client.send(&Packet::PingReq);
                    quiet += 1;
                }
                Received::Packet(_) => {}
            }
        }
        assert!((10..100).contains(&got), "{got}");
        publisher.publish("b", "meanwhile", AtMostOnce);
        let meanwhile = client.message().payload;
        assert_eq!(meanwhile.chars().take(20).collect::<String>(), "meanwhile");
        stores.thaw();
        for n in got..100 {
            assert_eq!(number(&client.accept()), n, "{version:?}");
        }
        broker.stop();
    }
}
