//! `tidegate record`, and what it wrote replayed.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::Command,
    thread,
    time::{Duration, Instant},
};
use tidegate_mqtt::{QoS, RetainHandling, SubscribeProperties, SubscriptionOptions, Version};
use tidegate_tests::{Broker, Client, Finished, Folder, broker_binary, connect, guest, plugin};

/// For what happens at once on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker with the stamp plugin.
fn stamped() -> Broker {
    let folder = Folder::new("[plugin.stamp.config]\ntopics = [\"t/#\"]\n");
    folder.install_plugin("stamp", &plugin("stamp"));
    folder.start()
}

/// Records until there are as many lines, while `traffic` goes on.
fn recorded(broker: &Broker, more: &[&str], mut traffic: impl FnMut()) -> Vec<String> {
    let file = broker.folder().path().join("recording.jsonl");
    let mut command = Command::new(broker_binary());
    command.args(["-c", "tidegate.toml", "record", "recording.jsonl"]).args(more);
    let mut recording = command.current_dir(broker.folder().path()).spawn().unwrap();
    // It begins when the header is there, and ends by itself.
    while fs::read_to_string(&file).map_or(0, |text| text.lines().count()) == 0 {
        assert!(recording.try_wait().unwrap().is_none(), "it ended before it began");
        thread::yield_now();
    }
    traffic();
    let until = Instant::now() + PATIENCE;
    let ended = loop {
        if let Some(ended) = recording.try_wait().unwrap() {
            break ended;
        }
        if Instant::now() > until {
            recording.kill().unwrap();
            panic!("only {:?} was recorded", fs::read_to_string(file));
        }
        thread::yield_now();
    };
    assert!(ended.success());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_recording_is_replayed_on_a_plugin_and_differences_are_said() {
    let broker = stamped();
    let mut client = Client::connect(&broker, Version::V5, "publisher");
    let lines = recorded(&broker, &["--count", "4"], || {
        client.publish("t/1", "{\"a\":1}", QoS::AtLeastOnce);
        client.publish("other", "text", QoS::AtLeastOnce);
        client.subscribe("t/#", QoS::AtMostOnce);
    });
    assert!(lines[0].contains("\"recording\"") && lines[0].contains("\"passwords\":false"), "{lines:?}");
    assert_eq!(lines[1], r#"{"client":{"client":"publisher"}}"#);
    assert!(lines[2].contains("\"topic\":\"t/1\"") && lines[2].contains("\"was\":{\"edit\""), "{lines:?}");
    assert!(lines[3].contains("\"topic\":\"other\"") && lines[3].ends_with("\"was\":\"pass\"}"), "{lines:?}");
    assert!(lines[4].starts_with("{\"subscribe\""), "{lines:?}");
    let folder = broker.folder();
    fs::write(folder.path().join("stamp.toml"), "config.topics = [\"t/#\"]\n").unwrap();
    let replay = |component: &str, more: &[&str]| {
        let arguments =
            [&["plugin", "test", component, "recording.jsonl", "--table", "stamp.toml"], more].concat();
        folder.run(&arguments)
    };
    let stamp = plugin("stamp");
    let Finished { stdout, code, .. } = replay(stamp.to_str().unwrap(), &["--strict"]);
    assert_eq!(code, Some(0), "{stdout:?}");
    assert!(stdout.last().unwrap().contains("3 as expected, 0 wrong"), "{stdout:?}");
    let other = guest("stamp-two");
    let Finished { stdout, code, .. } = replay(other.to_str().unwrap(), &[]);
    assert_eq!(code, Some(0), "{stdout:?}");
    assert!(stdout.last().unwrap().contains("2 as expected, 1 not as recorded, 0 wrong"), "{stdout:?}");
    let Finished { stdout, code, .. } = replay(other.to_str().unwrap(), &["--strict"]);
    assert_eq!(code, Some(1), "{stdout:?}");
}

#[test]
fn passwords_are_recorded_only_if_asked_for() {
    let broker = stamped();
    let join = || {
        let mut packet = connect(Version::V5, "c1");
        packet.username = Some("alice".into());
        packet.password = Some(b"hunter2".to_vec().into());
        // Nobody vouches for the name: it is refused or let in, which is nobody's business here.
        Client::connect_with(&broker, packet);
    };
    let lines = recorded(&broker, &["--count", "1"], join);
    assert_eq!(lines[1], r#"{"client":{"client":"c1","username":"alice"}}"#);
    fs::remove_file(broker.folder().path().join("recording.jsonl")).unwrap();
    let lines = recorded(&broker, &["--count", "1", "--passwords"], join);
    assert!(lines[1].starts_with("{\"connect\"") && lines[1].contains("hunter2"), "{lines:?}");
}

#[test]
fn when_nobody_records_any_more_nobody_looks_on_and_one_records_at_a_time() {
    let broker = stamped();
    let mut client = Client::connect(&broker, Version::V5, "publisher");
    let run =
        |arguments: &[&str]| broker.folder().run(&[&["-c", "tidegate.toml", "record"], arguments].concat());
    recorded(&broker, &["--count", "1", "--topic", "wanted/#"], || {
        let Finished { stderr, code, .. } = run(&["second.jsonl"]);
        assert_eq!(code, Some(1));
        assert!(stderr.join("\n").contains("another recording is being made"), "{stderr:?}");
        client.publish("unwanted", "x", QoS::AtLeastOnce);
        client.publish("wanted/1", "x", QoS::AtLeastOnce);
    });
    assert!(!broker.folder().path().join("second.jsonl").exists());
    let Finished { stderr, code, .. } = run(&["recording.jsonl"]);
    assert_eq!(code, Some(1));
    assert!(stderr.join("\n").contains("name a file that is not there yet"), "{stderr:?}");
    let Finished { stderr, code, .. } = run(&["x.jsonl", "--topic", "a/#/b"]);
    assert_eq!(code, Some(1));
    assert!(stderr.join("\n").contains("\"a/#/b\" is not a topic filter"), "{stderr:?}");
    // It goes on as before.
    client.subscribe("t/#", QoS::AtLeastOnce);
    client.publish("t/1", "{}", QoS::AtLeastOnce);
    assert!(client.accept().payload.contains("stamp"));
}

#[test]
fn subscriptions_are_recorded_as_they_were_asked_for() {
    let config = "[[plugin.topic-rewrite.config.rewrite]]\ntopic = \"old/#\"\nto = \"new/$1\"\n";
    let folder = Folder::new(config);
    folder.install_plugin("topic-rewrite", &plugin("topic-rewrite"));
    let broker = folder.start();
    let mut client = Client::connect(&broker, Version::V5, "subscriber");
    let lines = recorded(&broker, &["--count", "5"], || {
        client.subscribe("$share/group/old/a", QoS::AtLeastOnce);
        let options = SubscriptionOptions {
            maximum_qos: QoS::ExactlyOnce,
            no_local: true,
            retain_handling: RetainHandling::SendNever,
            ..SubscriptionOptions::default()
        };
        client.subscribe_with(&[("as/it/is", options)], SubscribeProperties::default());
        client.publish("old/b", "x", QoS::AtLeastOnce);
        client.subscribe("other", QoS::AtMostOnce);
    });
    assert_eq!(
        lines[1..],
        [
            r#"{"client":{"client":"subscriber"}}"#,
            r#"{"subscribe":{"client":"subscriber","filter":"$share/group/old/a","qos":1},"was":{"edit":{"filter":"$share/group/new/a"}}}"#,
            r#"{"subscribe":{"client":"subscriber","filter":"as/it/is","no_local":true,"qos":2,"retain_handling":2},"was":"pass"}"#,
            r#"{"publish":{"client":"subscriber","payload":"x","qos":1,"topic":"old/b"},"was":{"edit":{"topic":"new/b"}}}"#,
            r#"{"subscribe":{"client":"subscriber","filter":"other","qos":0},"was":"pass"}"#,
        ]
    );
    let folder = broker.folder();
    let table = "[[config.rewrite]]\ntopic = \"old/#\"\nto = \"new/$1\"\n";
    fs::write(folder.path().join("rewrite.toml"), table).unwrap();
    let component = plugin("topic-rewrite");
    let component = component.to_str().unwrap();
    let arguments = ["plugin", "test", component, "recording.jsonl", "--table", "rewrite.toml", "--strict"];
    let Finished { stdout, code, .. } = folder.run(&arguments);
    assert_eq!(code, Some(0), "{stdout:?}");
    assert!(stdout.last().unwrap().contains("4 as expected, 0 wrong"), "{stdout:?}");
}

#[test]
fn what_is_not_asked_for_is_left_out_of_a_recording() {
    let broker = stamped();
    let mut loud = Client::connect(&broker, Version::V5, "loud");
    let mut quiet = Client::connect(&broker, Version::V5, "quiet");
    let lines = recorded(&broker, &["--count", "2", "--client", "quiet", "--no-payloads"], || {
        loud.publish("t/1", "{\"loud\":1}", QoS::AtLeastOnce);
        quiet.publish("t/1", "{\"quiet\":1}", QoS::AtLeastOnce);
    });
    assert_eq!(
        lines[1..],
        [
            r#"{"client":{"client":"quiet"}}"#,
            r#"{"publish":{"client":"quiet","qos":1,"topic":"t/1"},"was":"edit"}"#
        ]
    );
}
