//! `examples/quickstart`: its config, its plugins, ordinary clients.

use std::{fs, path::Path};
use tidegate_tests::{Broker, Folder, PATIENCE, mosquitto_pub, mosquitto_sub, plugin};

/// The quickstart as it lies in the repository, on a free port.
fn quickstart() -> Folder {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart/tidegate.toml");
    let config = fs::read_to_string(path).unwrap();
    let config = config.replace("127.0.0.1:1883", "127.0.0.1:0");
    let folder = Folder::new(&format!("allow_anonymous = false\n{config}"));
    for name in ["passwd", "acl-log", "stamp"] {
        folder.install_plugin(name, &plugin(name));
    }
    folder
}

const ALICE: [&str; 4] = ["-u", "alice", "-P", "alice-secret"];
const BOB: [&str; 4] = ["-u", "bob", "-P", "bob-secret"];
const VERSIONS: [&str; 2] = ["mqttv311", "mqttv5"];

fn publishes(broker: &Broker, who: [&str; 4], arguments: &[&str]) -> tidegate_tests::Finished {
    mosquitto_pub(broker, &[&who, arguments].concat())
}

#[test]
fn messages_flow_at_every_qos_and_are_stamped() {
    let broker = quickstart().start();
    for name in ["passwd", "acl-log", "stamp"] {
        assert!(broker.log_contains(&format!("plugin {name}: generation 1")), "{name}");
    }
    for version in VERSIONS {
        for qos in ["0", "1", "2"] {
            let arguments = [&ALICE[..], &["-V", version, "-q", qos, "-t", "sensors/#", "-C", "1"]].concat();
            let sub = mosquitto_sub(&broker, &arguments);
            let arguments = ["-V", version, "-q", qos, "-t", "sensors/kitchen", "-m", r#"{"celsius":21}"#];
            assert_eq!(publishes(&broker, BOB, &arguments).code, Some(0));
            let messages = sub.messages();
            let beginning = format!(r#"sensors/kitchen {qos} 0 {{"celsius":21,"stamp":{{"generation":1"#);
            assert!(messages[0].starts_with(&beginning), "{version} {qos}: {messages:?}");
        }
    }
    broker.stop();
}

#[test]
fn a_wrong_password_is_refused() {
    let broker = quickstart().start();
    let wrong = ["-u", "bob", "-P", "guess"];
    let old = publishes(&broker, wrong, &["-V", "mqttv311", "-t", "sensors/a", "-m", "x"]);
    assert_ne!(old.code, Some(0));
    assert!(old.stderr.join("\n").contains("bad user name or password"), "{old:?}");
    let new = publishes(&broker, wrong, &["-V", "mqttv5", "-t", "sensors/a", "-m", "x"]);
    assert_ne!(new.code, Some(0));
    assert!(new.stderr.join("\n").contains("Bad User Name or Password"), "{new:?}");
    assert!(!broker.log_contains("guess"), "a password is in the log");
}

#[test]
fn forbidden_topics_are_refused_by_rule_and_by_plugin() {
    let broker = quickstart().start();
    let refused = |topic: &str| {
        let done = publishes(&broker, BOB, &["-V", "mqttv5", "-q", "1", "-d", "-t", topic, "-m", "x"]);
        // 0x87
        done.stdout.iter().any(|line| line.contains("PUBACK") && line.contains("RC:135"))
    };
    assert!(refused("sensors/secret/x"), "by acl-log");
    broker.wait_for_log("denied", PATIENCE);
    assert!(refused("elsewhere"), "by passwd's rules");
    assert!(!refused("sensors/kitchen"));
    let sub = mosquitto_sub_refused(&broker, "elsewhere/#");
    assert!(sub.contains("All subscription requests were denied"), "{sub}");
}

fn mosquitto_sub_refused(broker: &Broker, filter: &str) -> String {
    let arguments = [&ALICE[..], &["-V", "mqttv5", "-t", filter]].concat();
    let sub = mosquitto_sub(broker, &arguments);
    sub.process().stderr().wait_for("denied", PATIENCE)
}

#[test]
fn without_the_auth_plugin_nobody_comes_in_until_it_is_back() {
    let broker = quickstart().start();
    let tries = || publishes(&broker, BOB, &["-V", "mqttv5", "-t", "sensors/a", "-m", "x"]).code;
    assert_eq!(tries(), Some(0));
    broker.folder().remove_plugin("passwd");
    broker.wait_for_log("plugin passwd: removed", PATIENCE);
    assert_ne!(tries(), Some(0));
    let anonymous = mosquitto_pub(&broker, &["-V", "mqttv5", "-t", "sensors/a", "-m", "x"]);
    assert_ne!(anonymous.code, Some(0));
    broker.folder().install_plugin("passwd", &plugin("passwd"));
    broker.wait_for_log("plugin passwd: generation 2", PATIENCE);
    assert_eq!(tries(), Some(0));
}

#[test]
fn check_says_what_a_start_would_say() {
    let folder = quickstart();
    let good = folder.run(&["check", "-c", "tidegate.toml"]);
    assert_eq!(good.code, Some(0), "{good:?}");
    fs::write(folder.plugin_file("stamp"), "not wasm").unwrap();
    let bad = folder.run(&["check", "-c", "tidegate.toml"]);
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(bad.stderr.iter().any(|line| line.contains("stamp") && line.contains("refused")), "{bad:?}");
    folder.remove_plugin("passwd");
    let missing = folder.run(&["check", "-c", "tidegate.toml"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    let start = folder.run(&["-c", "tidegate.toml"]);
    assert_eq!(start.code, Some(1), "a required plugin is missing: {start:?}");
}

#[test]
fn what_the_broker_says_of_itself_is_read_by_those_who_may() {
    let folder = quickstart();
    let config = fs::read_to_string(folder.config()).unwrap();
    let rule =
        "\n[[plugin.passwd.config.acl]]\nuser = \"admin\"\nallow = \"subscribe\"\ntopic = \"$SYS/#\"\n";
    folder.write_config(&format!("{config}{rule}"));
    let broker = folder.start();
    let sub = mosquitto_sub_refused(&broker, "$SYS/#");
    assert!(sub.contains("All subscription requests were denied"), "{sub}");
    let admin = ["-u", "admin", "-P", "admin-secret", "-V", "mqttv5", "-t", "$SYS/broker/version", "-C", "1"];
    let messages = mosquitto_sub(&broker, &admin).messages();
    assert!(messages[0].starts_with("$SYS/broker/version 0 1 tidegate version"), "{messages:?}");
}
