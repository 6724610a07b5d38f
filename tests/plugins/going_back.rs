//! A generation that does badly right after it came gives way to the one before by itself.

use serde_json::Value;
use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};
use tidegate_mqtt::{QoS, ReasonCode, Version};
use tidegate_tests::{Broker, Client, Folder, PATIENCE, guest};

/// The second generation traps on every third message.
fn broker() -> Broker {
    let folder = Folder::new(
        "[plugin.probe]\nrequired = true\nlimits.instances = 1\n\
         config = { trap_every = 3, from_generation = 2 }\n",
    );
    folder.install_plugin("probe", &guest("probe-publish"));
    folder.start()
}

/// Drops in another file: the same code, and a custom section named `a`.
fn drop_in(broker: &Broker) {
    let file = broker.folder().path().join("other.wasm");
    let bytes = fs::read(guest("probe-publish")).unwrap();
    fs::write(&file, [&bytes[..], &[0, 2, 1, b'a']].concat()).unwrap();
    broker.folder().rename_plugin("probe", &file);
    broker.wait_for_log("plugin probe: generation 2\"", PATIENCE);
}

/// The plugin, as `tidegate plugin list --json` has it.
fn listed(broker: &Broker) -> Value {
    let told = broker.folder().run(&["-c", "tidegate.toml", "plugin", "list", "--json"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    serde_json::from_str::<Value>(&told.stdout.join("\n")).unwrap()[0].take()
}

/// Publishes, and somebody listens: what was accepted arrives, once and in order.
struct Flow {
    publisher: Client,
    subscriber: Client,
    sent: u64,
}

impl Flow {
    fn new(broker: &Broker) -> Self {
        let mut subscriber = Client::connect(broker, Version::V5, "subscriber");
        subscriber.subscribe("probe/#", QoS::AtLeastOnce);
        Self { publisher: Client::connect(broker, Version::V5, "publisher"), subscriber, sent: 0 }
    }

    /// Whether the next message was accepted.
    fn next(&mut self) -> bool {
        self.sent += 1;
        let payload = self.sent.to_string();
        match self.publisher.publish("probe/a", &payload, QoS::AtLeastOnce) {
            ReasonCode::Success => {
                assert_eq!(self.subscriber.accept().payload, payload);
                true
            }
            reason => {
                assert_eq!(reason, ReasonCode::ImplementationSpecificError);
                false
            }
        }
    }

    /// Of so many messages, how many were refused.
    fn refused(&mut self, messages: usize) -> usize {
        (0..messages).filter(|_| !self.next()).count()
    }

    fn until_back(&mut self, broker: &Broker) {
        let deadline = Instant::now() + PATIENCE;
        while !broker.log_contains("back to generation 1") {
            assert!(Instant::now() < deadline, "it does not go back");
            self.next();
        }
    }
}

/// The first generation answers, and it is said why.
fn is_back(broker: &Broker, flow: &mut Flow, why: &str) {
    assert_eq!(flow.refused(30), 0, "a generation that is good");
    flow.subscriber.expect_nothing();
    let plugin = listed(broker);
    assert_eq!((&plugin["generation"], &plugin["state"]), (&1.into(), &"running".into()), "{plugin:#}");
    let problem = plugin["problem"].as_str().unwrap();
    assert!(problem.contains(why) && problem.contains("back to generation 1"), "{problem}");
    assert!(!broker.log_contains("plugin probe: generation 3"), "the bad file is not loaded again");
}

#[test]
fn when_more_than_a_fifth_of_its_calls_fail() {
    let broker = broker();
    let mut flow = Flow::new(&broker);
    assert_eq!(flow.refused(30), 0);
    drop_in(&broker);
    // One fault less than opens the breaker, which forgets them after ten seconds.
    assert_eq!(flow.refused(12), 4);
    let last = Instant::now();
    assert_eq!(listed(&broker)["generation"], 2);
    while last.elapsed() < Duration::from_secs(11) {
        flow.publisher.ping();
        sleep(Duration::from_millis(100));
    }
    // The seventh fault is one too many. Not a call more: while the host goes back, two more faults would open the breaker.
    assert_eq!(flow.refused(9), 3);
    let said = broker.wait_for_log("back to generation 1", PATIENCE);
    assert!(said.contains("7 of its first 21 calls failed"), "{said}");
    assert!(!broker.log_contains("breaker open"), "it was not the breaker");
    is_back(&broker, &mut flow, "generation 2 failed (7 of its first 21 calls failed)");
}

#[test]
fn when_its_breaker_opens() {
    let broker = broker();
    let mut flow = Flow::new(&broker);
    assert_eq!(flow.refused(30), 0);
    drop_in(&broker);
    flow.until_back(&broker);
    broker.wait_for_log("breaker open", PATIENCE);
    is_back(&broker, &mut flow, "generation 2 failed (trap: ");

    // A good file under the same name is the next generation.
    let third = broker.folder().path().join("third.wasm");
    fs::copy(guest("keeper"), &third).unwrap();
    broker.folder().write_config("[plugin.probe.config]\ntopics = [\"probe/#\"]\n");
    broker.folder().rename_plugin("probe", &third);
    broker.hang_up();
    broker.wait_for_log("plugin probe: generation 3\"", PATIENCE);
    assert_eq!(flow.publisher.publish("probe/a", "x", QoS::AtLeastOnce), ReasonCode::Success);
    assert_eq!(flow.subscriber.accept().payload, "3 1");
    assert_eq!(listed(&broker)["problem"], Value::Null);
}
