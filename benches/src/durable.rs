//! What durability costs: many publishers, sessions that outlive their connections, and beside it a loop that only appends and syncs as many
//! bytes.

use crate::measure::percentiles;
use std::{
    collections::VecDeque,
    fs::File,
    io::Write,
    thread,
    time::{Duration, Instant},
};
use tidegate_mqtt::{Packet, PacketId, Publish, QoS, Version};
use tidegate_tests::{Broker, Client, Received, publish};

const PUBLISHERS: usize = 100;
const SUBSCRIBERS: usize = 10;
/// Messages of each publisher that are not acknowledged.
const WINDOW: usize = 20;
const MESSAGES: usize = 2_000;
const PAYLOAD: usize = 256;

/// Prints rates, how long acknowledgements took, and how many messages shared a sync.
pub(crate) fn bench() {
    println!(
        "{PUBLISHERS} publishers, QoS 1, {PAYLOAD} B, {WINDOW} open each, {SUBSCRIBERS} subscribers whose sessions are stored"
    );
    for (name, config) in [
        ("memory", "[store]\nengine = \"memory\"\n"),
        ("none", "durability = \"none\"\n"),
        ("os", "durability = \"os\"\n"),
        ("sync", ""),
    ] {
        let broker = Broker::start(&format!("{config}[limits]\nmax_queued_messages = 1000000\n"));
        let before = figures(&broker);
        let began = Instant::now();
        let took = run(&broker);
        let rate = (PUBLISHERS * MESSAGES) as f64 / began.elapsed().as_secs_f64();
        let after = figures(&broker);
        let (batches, commits) = (after.0 - before.0, after.1 - before.1);
        let messages = (PUBLISHERS * MESSAGES) as f64 / batches;
        println!("{name:>8}: {rate:>8.0} messages/s; PUBACK {}", percentiles(took));
        println!(
            "          {batches} batches, {:.1} commits and {messages:.1} messages in each",
            commits / batches
        );
        if name == "sync" {
            let (syncs, sync) = bare(messages * PAYLOAD as f64);
            println!(
                "    bare: {:>8.0} messages/s, {syncs:.0} times append and sync as many bytes, {sync:.2?} each",
                syncs * messages
            );
        }
        broker.stop();
    }
}

fn figures(broker: &Broker) -> (f64, f64) {
    let said = broker.folder().run(&["-c", "tidegate.toml", "metrics"]).stdout;
    let of = |name: &str| said.iter().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap();
    (of("tidegate_store_batches_total "), of("tidegate_store_commits_total "))
}

fn run(broker: &Broker) -> Vec<Duration> {
    let mut subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|number| {
            let (mut client, _) = Client::connect_session(broker, Version::V5, &format!("s{number}"), false);
            client.subscribe(&format!("d/{number}/#"), QoS::AtLeastOnce);
            client
        })
        .collect();
    let publishers: Vec<_> =
        (0..PUBLISHERS).map(|number| Client::connect(broker, Version::V5, &format!("p{number}"))).collect();
    thread::scope(|scope| {
        for subscriber in &mut subscribers {
            scope.spawn(move || {
                (0..PUBLISHERS / SUBSCRIBERS * MESSAGES).for_each(|_| drop(subscriber.accept()))
            });
        }
        let publishing: Vec<_> = publishers
            .into_iter()
            .enumerate()
            .map(|(number, client)| {
                scope.spawn(move || send(client, &format!("d/{}/{number}", number % SUBSCRIBERS)))
            })
            .collect();
        publishing.into_iter().flat_map(|one| one.join().unwrap()).collect()
    })
}

fn send(mut client: Client, topic: &str) -> Vec<Duration> {
    let payload = "x".repeat(PAYLOAD);
    let mut open: VecDeque<Instant> = VecDeque::new();
    let mut took = Vec::with_capacity(MESSAGES);
    let mut sent = 0;
    while took.len() < MESSAGES {
        while sent < MESSAGES && open.len() < WINDOW {
            sent += 1;
            let packet_id = PacketId::new((sent % 60_000 + 1) as u16);
            open.push_back(Instant::now());
            client
                .send(&Packet::Publish(Publish { packet_id, ..publish(topic, &payload, QoS::AtLeastOnce) }));
        }
        if let Received::Packet(Packet::PubAck(_)) = client.receive() {
            took.extend(open.pop_front().map(|since| since.elapsed()));
        }
    }
    took
}

/// How often in a second so many bytes are appended and synced, and how long that takes.
fn bare(bytes: f64) -> (f64, Duration) {
    let folder = tidegate_tests::Folder::new("");
    let mut file = File::create(folder.path().join("bare")).unwrap();
    let bytes = vec![7; bytes as usize];
    let began = Instant::now();
    let mut syncs = 0_u32;
    while began.elapsed() < Duration::from_secs(3) {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        syncs += 1;
    }
    (f64::from(syncs) / began.elapsed().as_secs_f64(), began.elapsed() / syncs)
}
