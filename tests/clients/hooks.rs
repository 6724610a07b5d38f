//! What plugins do to mosquitto's clients and to paho: every kind of answer, as a client sees it that nobody here wrote.

use super::{
    scripts::{installed, run, script},
    site::Site,
};
use std::process::Command;
use tidegate_mqtt::Version;
use tidegate_tests::{Finished, Folder, PATIENCE, guest, mosquitto_pub, mosquitto_sub};

fn site(version: Version) -> Site {
    let folder = Folder::new(
        r##"
        [plugin.every-hook]
        required = true
        [plugin.every-hook.config]
        authenticate = [{ client = "stranger", verdict = "refuse", code = 0x87 }, { verdict = "grant" }]
        acl = [
            { topic = "secret/#", action = "publish", verdict = "deny" },
            { topic = "hidden/#", action = "subscribe", verdict = "deny" },
            { topic = "#", verdict = "allow" },
        ]
        publish = [
            { topic = "edit", verdict = "edit", edit = { topic = "edited", append = "!" } },
            { topic = "refuse", verdict = "refuse", code = 0x97 },
        ]
        subscribe = [
            { filter = "rewrite", verdict = "edit", edit = { filter = "rewritten" } },
            { filter = "closed/#", verdict = "refuse", code = 0x87 },
        ]
        select = [{ topic = "chosen", choice = "except", clients = "without" }]
        deliver = [{ topic = "dropped", client = "without", verdict = "drop" }]
        "##,
    );
    folder.install_plugin("every-hook", &guest("every-hook"));
    Site::on(&folder, version)
}

#[test]
fn paho_in_3_1_1() {
    paho(Version::V3_1_1);
}

#[test]
fn paho_in_5() {
    paho(Version::V5);
}

fn paho(version: Version) {
    let mut python = Command::new(installed("paho/bin/python"));
    // What it compiles would lie beside the sources.
    run(python.arg("-B").arg(script("paho/hooks.py")), &site(version), "unix");
}

#[test]
fn mosquitto_in_3_1_1() {
    mosquitto(Version::V3_1_1);
}

#[test]
fn mosquitto_in_5() {
    mosquitto(Version::V5);
}

/// Mosquitto's clients in one version.
struct Clients {
    site: Site,
    version: &'static str,
}

impl Clients {
    fn publish(&self, arguments: &[&str]) -> Finished {
        mosquitto_pub(self.site.broker(), &[&["-V", self.version, "-q", "1", "-d"], arguments].concat())
    }

    /// MQTT 5 is told; in 3.1.1 the message is acknowledged and dropped.
    fn refused(&self, topic: &str, reason: u8) {
        let Finished { stdout, stderr, code } = self.publish(&["-t", topic, "-m", "x"]);
        let said = [stdout, stderr].concat().join("\n");
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("PUBACK (Mid: 1"), "{said}");
        assert_eq!(said.contains(&format!("RC:{reason})")), self.site.is_v5(), "{said}");
    }

    fn subscribe(&self, id: &str, arguments: &[&str]) -> tidegate_tests::MosquittoSub {
        let common = ["-V", self.version, "-q", "2", "-i", id];
        mosquitto_sub(self.site.broker(), &[&common, arguments].concat())
    }

    fn denied(&self, filter: &str) {
        let sub = self.subscribe("curious", &["-t", filter]);
        sub.process().stderr().wait_for("All subscription requests were denied", PATIENCE);
    }

    /// Brings the last message that anybody waits for.
    fn end(&self) {
        assert_eq!(self.publish(&["-t", "edit", "-m", "end"]).code, Some(0));
    }
}

const END: &str = "edited 1 0 end!";

fn mosquitto(version: Version) {
    let name = if version == Version::V5 { "mqttv5" } else { "mqttv311" };
    let clients = Clients { site: site(version), version: name };

    // on-publish and acl, for messages.
    let all = clients.subscribe("all", &["-t", "#", "-C", "2"]);
    assert_eq!(clients.publish(&["-t", "edit", "-m", "x"]).code, Some(0));
    clients.refused("refuse", 0x97);
    clients.refused("secret/x", 0x87);
    clients.end();
    assert_eq!(all.messages(), ["edited 1 0 x!", END]);

    // acl and on-subscribe, for subscriptions.
    clients.denied("hidden/#");
    clients.denied("closed/#");
    let rewritten = clients.subscribe("rewritten", &["-t", "rewrite", "-t", "edited", "-C", "2"]);
    for topic in ["rewrite", "rewritten"] {
        assert_eq!(clients.publish(&["-t", topic, "-m", topic]).code, Some(0));
    }
    clients.end();
    assert_eq!(rewritten.messages(), ["rewritten 1 0 rewritten", END]);

    // authenticate
    let refused = clients.publish(&["-i", "stranger", "-t", "granted", "-m", "x"]);
    assert_ne!(refused.code, Some(0));
    let said = [refused.stdout, refused.stderr].concat().join("\n").to_lowercase();
    assert!(said.contains("not authori"), "{said}");
    let granted = clients.publish(&["-i", "anybody", "-t", "granted", "-m", "x"]);
    assert_eq!(granted.code, Some(0));

    // on-deliver and select: some get it, others do not.
    for topic in ["dropped", "chosen"] {
        let with = clients.subscribe("with", &["-t", topic, "-t", "edited", "-C", "2"]);
        let without = clients.subscribe("without", &["-t", topic, "-t", "edited", "-C", "1"]);
        assert_eq!(clients.publish(&["-t", topic, "-m", topic]).code, Some(0));
        clients.end();
        assert_eq!(with.messages(), [format!("{topic} 1 0 {topic}"), END.to_owned()]);
        assert_eq!(without.messages(), [END]);
    }
}
