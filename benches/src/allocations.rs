//! How often the broker asks its allocator for memory, for each message: a broker whose allocator counts, under the load generator.

use crate::{generator, peer::Peer};
use std::{env, fs, process::Command};
use tidegate_tests::PATIENCE;

/// Seconds of two runs. What their difference in messages cost is what messages cost: connections cost both the same.
const SPANS: [u32; 2] = [1, 4];

/// Name, options of the load generator, and how many get each message.
type Load = (&'static str, &'static str, u32);

const LOADS: [Load; 11] = [
    (P2P, "p2p --qos 0", 1),
    ("p2p 20:20, QoS 1", "p2p --qos 1", 1),
    ("p2p 20:20, QoS 2", "p2p --qos 2", 1),
    ("p2p 20:20, QoS 0, one worker", "p2p --qos 0", 1),
    ("p2p 20:20, QoS 0, 4,000/s", "p2p --qos 0 --rate 4000", 1),
    ("p2p 5:5, QoS 0, 16 KiB", "p2p --publishers 5 --size 16384", 1),
    ("fan-in 100:1, QoS 0", "fanin --qos 0", 1),
    (ONE, "fanout --subscribers 1", 1),
    ("fan-out 1:10, QoS 0", "fanout --subscribers 10", 10),
    (HUNDRED, "fanout --subscribers 100", 100),
    ("fan-out 1:100, QoS 1", "fanout --subscribers 100 --qos 1", 100),
];
const P2P: &str = "p2p 20:20, QoS 0";
const ONE: &str = "fan-out 1:1, QoS 0";
const HUNDRED: &str = "fan-out 1:100, QoS 0";

/// Prints allocations of each message that is published. `TIDEGATE_ALLOCATIONS_FROM=1000` tells where one in a thousand came from.
pub(crate) fn bench() {
    let every = env::var("TIDEGATE_ALLOCATIONS_FROM").unwrap_or_else(|_| "0".to_owned());
    println!(
        "Allocations of the broker, reallocations too, for each message that is published; 64 B, two workers"
    );
    println!("{:<32} {:>12} {:>14} {:>14}", "", "messages", "of a message", "of a delivery");
    let counts: Vec<f64> = LOADS.iter().map(|load| row(load, &every)).collect();
    let of = |name: &str| counts[LOADS.iter().position(|load| load.0 == name).unwrap()];
    let (one, more) = (of(P2P), (of(HUNDRED) - of(ONE)) / 99.0);
    let met = |seen: f64, bar: f64| if seen <= bar { "met" } else { "missed" };
    println!("QoS 0: {one:.3} a message, at most 1: {}", met(one, 1.005));
    println!("fan-out: {more:.4} for each further subscriber, none: {}", met(more, 0.005));
}

fn row((name, options, receivers): &Load, every: &str) -> f64 {
    let workers = if name.contains("one worker") { 1 } else { 2 };
    let peer = Peer::start(|folder, address| {
        fs::create_dir(folder.join("plugins")).unwrap();
        let config = folder.join("tidegate.toml");
        let text = format!(
            "workers = {workers}\nallow_anonymous = true\nsys_interval = 0\n[store]\nengine = \"memory\"\n\
             [limits]\nmax_queued_messages = 1000000\n[[listener]]\naddress = \"{address}\"\n"
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(env::current_exe().unwrap().with_file_name("tidegate-counting"));
        command.arg(config).arg(every);
        command
    });
    let peer = peer.unwrap();
    let [short, long] = SPANS.map(|seconds| {
        let before = allocations(&peer).0;
        let load = format!("{options} --duration {seconds}s --warmup 0s");
        let told = generator::load(&load, peer.address(), peer.pid());
        let (after, origins) = allocations(&peer);
        (after - before, told.figure("/checks/sent"), origins)
    });
    let messages = long.1 - short.1;
    let of_a_message = (long.0 - short.0) / messages;
    let of_a_delivery = of_a_message / f64::from(*receivers);
    println!("{name:<32} {messages:>12.0} {of_a_message:>14.3} {of_a_delivery:>14.4}");
    for origin in long.2 {
        println!("    {origin}");
    }
    of_a_message
}

/// How many so far, and where those came from that were looked into since the last time.
fn allocations(peer: &Peer) -> (f64, Vec<String>) {
    let said = peer.process().stdout();
    let seen = said.len();
    peer.process().hang_up();
    let line = said.wait_for_after(seen, "", PATIENCE);
    let mut parts = line.split("; ").map(str::to_owned);
    let count = parts.next().unwrap().trim().parse().unwrap();
    (count, parts.collect())
}
