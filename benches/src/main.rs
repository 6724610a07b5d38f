//! What hooks cost: CPU of the broker for each message, with and without plugins, side by side in one run. Prints; asserts nothing about time.
//!
//! `cargo xtask bench`, or see `benches/README.md`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures and stops where it cannot go on"
)]

use std::{fs, time::Instant};
use tidegate_mqtt::{QoS, Version};
use tidegate_tests::{Broker, Client, Folder, guest, publish};

/// Messages a measurement.
const MESSAGES: usize = 400_000;
/// Messages between two PINGREQs, which wait for the broker to have handled them all.
const BATCH: usize = 2_000;
/// Measurements of each variant, taken in turns.
const ROUNDS: usize = 9;
/// Bytes of a payload.
const PAYLOAD: usize = 64;

/// A broker, and a topic to publish to.
struct Variant {
    name: &'static str,
    topic: &'static str,
    broker: Broker,
    client: Client,
    /// Nanoseconds of CPU a message, one a round.
    costs: Vec<f64>,
}

fn main() {
    let mut variants = [
        ("no plugin", "probe/a", &[][..]),
        ("no plugin, again", "probe/a", &[][..]),
        ("on-publish, out of scope", "other/a", &["probe-publish"][..]),
        ("on-publish, no-op", "probe/a", &["probe-publish"][..]),
        ("acl.check, uncached", "probe/a", &["probe-acl"][..]),
    ]
    .map(|(name, topic, plugins)| Variant::new(name, topic, plugins));
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
        "CPU of the broker a message: QoS 0, {PAYLOAD} B, no subscriber, one publisher, {MESSAGES} messages, {ROUNDS} rounds"
    );
    println!("{:<28} {:>9} {:>9} {:>14} {:>8}", "", "median ns", "best ns", "over none, ns", "ratio");
    let none = variants[0].costs.clone();
    for variant in &variants {
        // Rounds are compared with each other: what disturbs one disturbs its neighbours.
        let over = median(variant.costs.iter().zip(&none).map(|(cost, none)| cost - none));
        let ratio = median(variant.costs.iter().zip(&none).map(|(cost, none)| cost / none));
        let best = variant.costs.iter().copied().fold(f64::INFINITY, f64::min);
        let median = median(variant.costs.iter().copied());
        println!("{:<28} {median:>9.0} {best:>9.0} {over:>14.0} {ratio:>8.3}", variant.name);
    }
    println!();
    after_a_trap();
}

impl Variant {
    fn new(name: &'static str, topic: &'static str, plugins: &[&str]) -> Self {
        // One worker: the figures are of one core.
        let folder = Folder::new("workers = 1\nsys_interval = 0\n");
        for plugin in plugins {
            folder.install_plugin(plugin, &guest(plugin));
        }
        let broker = folder.start();
        let client = Client::connect(&broker, Version::V5, "bench");
        Self { name, topic, broker, client, costs: Vec::new() }
    }

    fn measure(&mut self) -> f64 {
        let payload = "x".repeat(PAYLOAD);
        let mut batch = Vec::new();
        for _ in 0..BATCH {
            publish(self.topic, &payload, QoS::AtMostOnce).encode(Version::V5, &mut batch).unwrap();
        }
        let before = cpu(self.broker.pid());
        for _ in 0..MESSAGES / BATCH {
            self.client.send_bytes(&batch);
            self.client.ping();
        }
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let nanoseconds = (cpu(self.broker.pid()) - before) as f64;
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let messages = MESSAGES as f64;
        nanoseconds / messages
    }
}

/// Nanoseconds that all threads of a process have run.
fn cpu(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let schedstat = tasks.filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
    schedstat.filter_map(|line| line.split(' ').next()?.parse::<u64>().ok()).sum()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How long a client waits for the answer that follows a trap, over a socket.
fn after_a_trap() {
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
