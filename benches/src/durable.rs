//! What durability costs: many publishers, sessions that outlive their connections, and beside it a loop that only appends and syncs as many
//! bytes, and Mosquitto with its persistence.

use crate::{
    measure::{cpu, metrics, percentiles},
    mosquitto,
    wire::{Heard, Wire},
};
use std::{
    collections::VecDeque,
    fs::File,
    io::Write,
    net::SocketAddr,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};
use tidegate_mqtt::QoS;
use tidegate_tests::{Broker, StoreKind, Stores};

const PUBLISHERS: usize = 100;
const SUBSCRIBERS: usize = 10;
/// Messages of each publisher that are not acknowledged, in the closed loop.
const WINDOW: usize = 20;
const MESSAGES: usize = 4_000;
const PAYLOAD: usize = 256;
/// How long an open loop takes.
const SECONDS: usize = 5;

/// What a load has seen.
struct Seen {
    took: Duration,
    acknowledged: Vec<Duration>,
}

/// Prints rates, CPU of the broker, how long acknowledgements took, and how many messages shared a sync.
pub(crate) fn bench() {
    println!(
        "{PUBLISHERS} publishers, QoS 1, {PAYLOAD} B, {SUBSCRIBERS} subscribers whose sessions are stored"
    );
    println!("closed: {WINDOW} open each; at a rate: PUBACK counted from when a message was due");
    let disk = Stores::new(StoreKind::Disk);
    let (crypt, redis) = (Stores::new(StoreKind::Crypt), Stores::new(StoreKind::Redis));
    for (name, config, stores) in [
        ("memory", "[store]\nengine = \"memory\"\n", &disk),
        ("none", "durability = \"none\"\n", &disk),
        ("os", "durability = \"os\"\n", &disk),
        ("sync", "", &disk),
        ("store-crypt", "", &crypt),
        ("store-redis", "", &redis),
    ] {
        let broker = stores.folder(&format!("{config}[limits]\nmax_queued_messages = 1000000\n")).start();
        for (kind, load) in LOADS {
            let before = figures(&broker);
            print_load(name, kind, broker.pid(), broker.address(), load);
            let after = figures(&broker);
            let (batches, commits) = (after.0 - before.0, after.1 - before.1);
            if batches > 0.0 {
                println!("{:>23} {batches} batches, {:.1} commits in each", "", commits / batches);
            }
            if name == "sync" && kind == "closed" {
                // Each message is a commit when it comes and one when it has gone.
                let messages = (PUBLISHERS * MESSAGES) as f64 / batches;
                let (syncs, sync) = bare(messages * PAYLOAD as f64);
                println!(
                    "{:>23} {:>8.0} messages/s, {syncs:.0} times append and sync as many bytes, {sync:.2?} each",
                    "bare loop",
                    syncs * messages
                );
            }
        }
        broker.stop();
    }
    if let Some(mosquitto) =
        mosquitto::start("persistence true\nmax_queued_messages 0\nmax_inflight_messages 0\n")
    {
        for (kind, load) in LOADS {
            print_load("Mosquitto", kind, mosquitto.pid(), mosquitto.address(), load);
        }
    }
}

/// What a publisher does: to which topic, and its number.
type Load = fn(Wire, &str, usize) -> Vec<Duration>;

const LOADS: [(&str, Load); 3] = [
    ("closed", closed),
    ("at 5,000/s", |wire, topic, me| open(wire, topic, me, 5_000)),
    ("at 20,000/s", |wire, topic, me| open(wire, topic, me, 20_000)),
];

fn print_load(name: &str, kind: &str, pid: u32, address: SocketAddr, load: Load) {
    let before = cpu(pid);
    let Seen { took, acknowledged } = run(address, kind, load);
    let messages = acknowledged.len() as f64;
    let each = (cpu(pid) - before) as f64 / messages / 1000.0;
    let rate = messages / took.as_secs_f64();
    println!(
        "{:>23} {rate:>8.0} messages/s, {each:.1} us of CPU each; PUBACK {}",
        format!("{name} {kind}"),
        percentiles(acknowledged)
    );
}

fn figures(broker: &Broker) -> (f64, f64) {
    let metrics = metrics(broker);
    (metrics["tidegate_store_batches_total"], metrics["tidegate_store_commits_total"])
}

/// `kind`: in the names of sessions and topics, so that no run has to do with what another has left.
fn run(address: SocketAddr, kind: &str, load: Load) -> Seen {
    let subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|number| {
            let mut wire = Wire::connect(address, &format!("{kind}-{number}"), true);
            wire.subscribe(&format!("{kind}/{number}/#"), QoS::AtLeastOnce);
            wire.hear();
            wire
        })
        .collect();
    let publishers: Vec<_> =
        (0..PUBLISHERS).map(|number| Wire::connect(address, &format!("p{number}"), false)).collect();
    let ends: Vec<_> = subscribers.iter().map(Wire::split).collect();
    let (told, received) = mpsc::channel();
    let began = Instant::now();
    thread::scope(|scope| {
        for subscriber in subscribers {
            let told = told.clone();
            scope.spawn(move || receive(subscriber, &told));
        }
        let publishing: Vec<_> = publishers
            .into_iter()
            .enumerate()
            .map(|(number, wire)| {
                let topic = format!("{kind}/{}/{number}", number % SUBSCRIBERS);
                scope.spawn(move || load(wire, &topic, number))
            })
            .collect();
        let acknowledged: Vec<_> = publishing.into_iter().flat_map(|one| one.join().unwrap()).collect();
        let mut missing = acknowledged.len();
        while missing > 0 {
            missing = missing.saturating_sub(received.recv().unwrap());
        }
        let took = began.elapsed();
        ends.iter().for_each(Wire::close);
        Seen { took, acknowledged }
    })
}

/// Until its connection ends.
fn receive(mut wire: Wire, told: &mpsc::Sender<usize>) {
    loop {
        let heard = wire.hear();
        let messages = heard.iter().filter_map(|heard| match heard {
            Heard::Message(packet_id) => *packet_id,
            _ => None,
        });
        let count = messages.map(|packet_id| wire.acknowledge(packet_id)).count();
        wire.flush();
        if heard.is_empty() || told.send(count).is_err() {
            return;
        }
    }
}

fn closed(mut wire: Wire, topic: &str, _: usize) -> Vec<Duration> {
    let payload = "x".repeat(PAYLOAD);
    let mut open: VecDeque<Instant> = VecDeque::new();
    let mut took = Vec::with_capacity(MESSAGES);
    let mut sent = 0;
    while took.len() < MESSAGES {
        while sent < MESSAGES && open.len() < WINDOW {
            open.push_back(Instant::now());
            wire.publish(topic, &payload, sent, false, QoS::AtLeastOnce);
            sent += 1;
        }
        wire.flush();
        for heard in wire.hear() {
            if matches!(heard, Heard::Acked) {
                took.extend(open.pop_front().map(|since| since.elapsed()));
            }
        }
    }
    took
}

/// `rate`: messages a second of all publishers together.
fn open(mut wire: Wire, topic: &str, me: usize, rate: usize) -> Vec<Duration> {
    let payload = "x".repeat(PAYLOAD);
    let between = Duration::from_secs(1) * PUBLISHERS as u32 / rate as u32;
    let messages = rate * SECONDS / PUBLISHERS;
    let mut hearing = wire.split();
    // Not all at the same moment.
    let began = Instant::now() + between * me as u32 / PUBLISHERS as u32;
    let due = move |number: usize| began + between * number as u32;
    thread::scope(|scope| {
        let heard = scope.spawn(move || {
            let mut took = Vec::with_capacity(messages);
            while took.len() < messages {
                for heard in hearing.hear() {
                    if matches!(heard, Heard::Acked) {
                        took.push(due(took.len()).elapsed());
                    }
                }
            }
            took
        });
        for number in 0..messages {
            thread::sleep(due(number).saturating_duration_since(Instant::now()));
            wire.publish(topic, &payload, number, false, QoS::AtLeastOnce);
            wire.flush();
        }
        heard.join().unwrap()
    })
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
