//! CPU of the broker for each message, with and without plugins, in turns.

use crate::{
    grants,
    measure::{cpu, median},
};
use std::{io::Read, path::PathBuf, thread, time::Instant};
use tidegate_mqtt::{QoS, Version};
use tidegate_tests::{Broker, Client, Folder, connect, guest, plugin, publish};

/// Messages a measurement, if nobody is subscribed.
const MESSAGES: usize = 200_000;
/// Messages between two PINGREQs, which wait for the broker to have handled them all.
const BATCH: usize = 2_000;
/// Measurements of each variant, taken in turns.
const ROUNDS: usize = 9;
/// Bytes of a payload.
const PAYLOAD: usize = 64;
/// The same of JSON.
const JSON_PAYLOAD: usize = 128;

/// What is measured.
struct Plan {
    name: &'static str,
    /// What it is compared with, by name.
    over: &'static str,
    topic: &'static str,
    payload: String,
    plugins: Vec<(&'static str, PathBuf)>,
    config: String,
    /// On the topic.
    subscribers: usize,
    /// How much slower than a call of Rust: fewer messages are enough.
    slower: usize,
}

impl Plan {
    fn new(name: &'static str, plugins: &[&'static str]) -> Self {
        let plugins = plugins.iter().map(|plugin| (*plugin, guest(plugin))).collect();
        let config = String::new();
        let payload = "x".repeat(PAYLOAD);
        Self { name, over: NONE, topic: "probe/a", payload, plugins, config, subscribers: 0, slower: 1 }
    }

    /// A JSON object, which the guests for it change.
    fn json(name: &'static str, plugins: &[&'static str]) -> Self {
        let start =
            r#"{"run":2915741093,"publisher":0,"sequence":48211,"due":3004172913,"celsius":21.5,"padding":""#;
        let padding = ".".repeat(JSON_PAYLOAD - start.len() - 2);
        let payload = format!("{start}{padding}\"}}");
        Self { over: NO_JSON, topic: "json/a", payload, ..Self::new(name, plugins) }
    }

    fn config(self, config: &str) -> Self {
        Self { config: config.to_owned(), ..self }
    }
}

const NONE: &str = "no plugin";
const TEN: &str = "ten subscribers, no plugin";
const NO_JSON: &str = "no plugin, JSON";

fn plans() -> Vec<Plan> {
    let rules = format!("allow_anonymous = false\n{}", grants::CONFIG);
    let mut plans = vec![
        Plan::new(NONE, &[]),
        Plan::new("no plugin, again", &[]),
        Plan {
            plugins: vec![("passwd", plugin("passwd"))],
            ..Plan::new("authorize from grants", &[]).config(&rules)
        },
        Plan::new("acl.check, remembered", &["probe-acl"])
            .config("[plugin.probe-acl.config]\nttl_ms = 3600000\n"),
        Plan::new("acl.check, uncached", &["probe-acl"]),
        Plan { topic: "other/a", ..Plan::new("on-publish, out of scope", &["probe-publish"]) },
        Plan::new("on-publish, no-op", &["probe-publish"]),
        Plan::new("on-publish, 64 B in and out", &["probe-publish"])
            .config("[plugin.probe-publish.config]\ncopy = true\n"),
        Plan { subscribers: 10, slower: 4, ..Plan::new(TEN, &[]) },
        Plan {
            over: TEN,
            subscribers: 10,
            slower: 4,
            ..Plan::new("select, ten candidates", &["probe-select"])
        },
    ];
    plans.extend(languages());
    let javascript = "[plugin.in-quickjs]\nlimits.deadline = \"200ms\"\n";
    plans.extend([
        Plan::json(NO_JSON, &[]),
        Plan::json("JSON in Rust", &["probe-json"]),
        Plan { slower: 20, ..Plan::json("JSON in JavaScript (QuickJS)", &["in-quickjs"]).config(javascript) },
    ]);
    plans
}

/// The same in other languages: accepted without the payload, and with the payload copied in and out.
fn languages() -> Vec<Plan> {
    let guests = [
        ("in-c", "C, no-op", "C, 64 B in and out", 1),
        ("in-quickjs", "JavaScript (QuickJS), no-op", "JavaScript (QuickJS), 64 B in and out", 10),
        ("in-python", "Python, no-op", "Python, 64 B in and out", 10),
        ("in-starlingmonkey", "JavaScript (StarlingMonkey), no-op", "JavaScript (StarlingMonkey), 64 B", 20),
    ];
    let plans = guests.into_iter().flat_map(|(name, accepts, copies, slower)| {
        let config = format!("[plugin.{name}]\nlimits.deadline = \"200ms\"\n");
        let without = format!("{config}[plugin.{name}.config]\npayload = false\n");
        [
            Plan { slower, ..Plan::new(accepts, &[name]).config(&without) },
            Plan { slower, topic: "copy/a", ..Plan::new(copies, &[name]).config(&config) },
        ]
    });
    plans.collect()
}

/// A broker, and a client that publishes.
struct Variant {
    plan: Plan,
    broker: Broker,
    client: Client,
    /// Nanoseconds of CPU a message, one a round.
    costs: Vec<f64>,
}

/// Prints what each variant costs.
pub(crate) fn bench() {
    let mut variants: Vec<Variant> = plans().into_iter().map(Variant::new).collect();
    for round in 0..=ROUNDS {
        for variant in &mut variants {
            let cost = variant.measure();
            // The first round warms up.
            if round > 0 {
                variant.costs.push(cost);
            }
        }
    }
    println!(
        "CPU of the broker a message: QoS 0, {PAYLOAD} B, {JSON_PAYLOAD} B of JSON, one publisher, one worker, {MESSAGES} messages, {ROUNDS} rounds"
    );
    println!("{:<38} {:>9} {:>9} {:>9} {:>7}", "", "median ns", "best ns", "more, ns", "ratio");
    for variant in &variants {
        let over = variants.iter().find(|other| other.plan.name == variant.plan.over).unwrap();
        // Rounds are compared with each other: what disturbs one disturbs its neighbours.
        let pairs = || variant.costs.iter().zip(&over.costs);
        let more = median(pairs().map(|(cost, over)| cost - over));
        let ratio = median(pairs().map(|(cost, over)| cost / over));
        let best = variant.costs.iter().copied().fold(f64::INFINITY, f64::min);
        let median = median(variant.costs.iter().copied());
        println!("{:<38} {median:>9.0} {best:>9.0} {more:>9.0} {ratio:>7.3}", variant.plan.name);
    }
}

impl Variant {
    fn new(plan: Plan) -> Self {
        // One worker: the figures are of one core.
        let folder = Folder::new(&format!("workers = 1\nsys_interval = 0\n{}", plan.config));
        for (name, file) in &plan.plugins {
            folder.install_plugin(name, file);
        }
        let broker = folder.start();
        let mut connect = connect(Version::V5, "bench");
        if plan.config.contains("plugin.passwd") {
            connect.username = Some(grants::USER.into());
            connect.password = Some(grants::PASSWORD.into());
        }
        let (client, _) = Client::connect_with(&broker, connect);
        for number in 0..plan.subscribers {
            let mut subscriber = Client::connect(&broker, Version::V5, &format!("subscriber-{number}"));
            subscriber.subscribe(plan.topic, QoS::AtMostOnce);
            thread::spawn(move || drain(subscriber));
        }
        Self { plan, broker, client, costs: Vec::new() }
    }

    fn measure(&mut self) -> f64 {
        let messages = MESSAGES / self.plan.slower;
        let mut batch = Vec::new();
        for _ in 0..BATCH {
            publish(self.plan.topic, &self.plan.payload, QoS::AtMostOnce)
                .encode(Version::V5, &mut batch)
                .unwrap();
        }
        let before = cpu(self.broker.pid());
        for _ in 0..messages / BATCH {
            self.client.send_bytes(&batch);
            self.client.ping();
        }
        (cpu(self.broker.pid()) - before) as f64 / messages as f64
    }
}

/// Reads whatever comes until the broker is gone.
fn drain(client: Client) {
    let mut stream = client.stream();
    let mut buffer = vec![0; 1 << 16];
    stream.set_read_timeout(None).unwrap();
    while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
}

/// How long a client waits for the answer that follows a trap, over a socket.
pub(crate) fn after_a_trap() {
    let folder = Folder::new("workers = 1\n[plugin.probe-publish.config]\nobey = true\n");
    folder.install_plugin("probe-publish", &guest("probe-publish"));
    let broker = folder.start();
    let mut client = Client::connect(&broker, Version::V5, "bench");
    let mut waits = Vec::new();
    // One fewer than open the breaker.
    for _ in 0..4 {
        assert!(client.publish("probe/a", "trap", QoS::AtLeastOnce).is_error());
        let began = Instant::now();
        assert!(!client.publish("probe/a", "fine", QoS::AtLeastOnce).is_error());
        waits.push(began.elapsed());
    }
    println!("publish to PUBACK right after a trap, wall time: {waits:?}");
}
