//! A hundred clients stop reading under load, and ten thousand return at once: what others feel of it, and what it takes.

use crate::{
    generator::{self, Told},
    measure::{median, metrics},
    mosquitto,
    wire::{Heard, Wire},
};
use std::{
    env,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tidegate_mqtt::QoS;
use tidegate_tests::{Broker, PATIENCE};

/// Half of them at QoS 0, half at QoS 1.
const READERS: usize = 100;
const PAYLOAD: usize = 4096;
/// To each of them.
const PER_SECOND: u32 = 50;
/// How often it is looked at others while nobody reads.
const WINDOWS: u32 = 10;
/// Before that.
const WINDOWS_BEFORE: u32 = 2;
/// What one session may hold, what all may, and what of one may be on its way.
const QUEUED: u64 = 1 << 20;
const QUEUED_TOTAL: u64 = 64 << 20;
const INFLIGHT: u64 = 64;
/// What `docs/config.md` grants beside that: of a mailbox, and of what is to be written to a socket.
const FREE: u64 = 16 << 10;
const OUTGOING: u64 = 256 << 10;

/// The clients that stop reading.
struct Readers {
    are_stopped: Arc<AtomicBool>,
    /// Of QoS 0 and of QoS 1.
    received: Arc<[AtomicU64; 2]>,
    ends: Vec<Wire>,
    threads: Vec<JoinHandle<()>>,
}

/// Who publishes to them.
struct Publisher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<[u64; 2]>,
}

/// Prints what others feel, the memory, and what became of the messages. `TIDEGATE_SLOW_SECONDS`: for how long nobody reads, instead of
/// ten minutes.
pub(crate) fn bench() {
    let seconds = env::var("TIDEGATE_SLOW_SECONDS").map_or(600, |seconds| seconds.parse().unwrap());
    let window = (seconds / WINDOWS).max(2);
    let broker = Broker::start(&format!(
        "sys_interval = 0\n[store]\nengine = \"memory\"\n[limits]\nmax_queued_messages = 1000000\n\
         max_queued_bytes = {QUEUED}\nmax_queued_bytes_total = {QUEUED_TOTAL}\nmax_inflight = {INFLIGHT}\n"
    ));
    let readers = Readers::start(broker.address());
    let publisher = Publisher::start(broker.address());
    println!(
        "{READERS} clients get {PER_SECOND} messages a second of {PAYLOAD} B each, half of them at QoS 1, and stop reading for {} s",
        window * WINDOWS
    );
    println!(
        "{:>10} {:>14} {:>14} {:>10} {:>16} {:>16}",
        "", "others p50, ms", "others p99, ms", "RSS, MiB", "dropped, QoS 0", "dropped, QoS 1"
    );
    let row = |name: &str| {
        let told = others(&broker, window);
        let (resident, [qos_0, qos_1]) = (broker.resident() >> 20, dropped(&broker));
        let [p50, p99] = ["p50", "p99"].map(|at| told.figure(&format!("/latency_us/delivery/{at}")) / 1000.0);
        println!("{name:>10} {p50:>14.2} {p99:>14.2} {resident:>10} {qos_0:>16} {qos_1:>16}");
        (p99, broker.resident())
    };
    let before: Vec<_> = (0..WINDOWS_BEFORE).map(|_| row("reading")).collect();
    readers.stop(true);
    let during: Vec<_> = (1..=WINDOWS).map(|number| row(&format!("{} s", number * window))).collect();
    readers.stop(false);
    row("again");
    let sent = publisher.finish();
    let deadline = Instant::now() + PATIENCE;
    let missing = |of: usize| {
        let received = readers.received[of].load(Relaxed);
        i128::from(sent[of]) - i128::from(received) - i128::from(dropped(&broker)[of])
    };
    while missing(0) + missing(1) > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(100));
    }
    for of in [0, 1] {
        let (received, dropped) = (readers.received[of].load(Relaxed), dropped(&broker)[of]);
        println!(
            "QoS {of}: {} sent = {received} received + {dropped} dropped (queue full) + {} not accounted for",
            sent[of],
            missing(of)
        );
    }
    let bound =
        QUEUED_TOTAL + READERS as u64 * (FREE + OUTGOING) + READERS as u64 / 2 * INFLIGHT * PAYLOAD as u64;
    let resident = |rows: &[(f64, u64)]| rows.iter().map(|row| row.1).max().unwrap();
    let more = resident(&during).saturating_sub(resident(&before));
    println!(
        "memory: {} MiB more; max_queued_bytes_total {} MiB, with free parts, buffers and windows {} MiB: {}",
        more >> 20,
        QUEUED_TOTAL >> 20,
        bound >> 20,
        if more <= bound { "met" } else { "missed" }
    );
    let p99 = |rows: &[(f64, u64)]| median(rows.iter().map(|row| row.0));
    println!("others' p99: {:.2} times what it was while all read; flat is 1", p99(&during) / p99(&before));
    readers.finish();
}

/// Pairs that mind their own business.
fn others(broker: &Broker, seconds: u32) -> Told {
    let load = format!("p2p --rate 1000 --duration {seconds}s --warmup 500ms");
    generator::load(&load, broker.address(), broker.pid())
}

/// Because a queue was full, by QoS.
fn dropped(broker: &Broker) -> [u64; 2] {
    let metrics = metrics(broker);
    ["_qos0", ""].map(|of| metrics[&format!("tidegate_publish_messages_dropped_queue_full{of}_total")] as u64)
}

fn qos(number: usize) -> QoS {
    if number.is_multiple_of(2) { QoS::AtMostOnce } else { QoS::AtLeastOnce }
}

impl Readers {
    fn start(address: SocketAddr) -> Self {
        let are_stopped = Arc::new(AtomicBool::new(false));
        let received: Arc<[AtomicU64; 2]> = Arc::default();
        let (mut ends, mut threads) = (Vec::new(), Vec::new());
        for number in 0..READERS {
            let mut wire = Wire::connect(address, &format!("slow-{number}"), false);
            wire.subscribe(&format!("slow/{number}"), qos(number));
            wire.hear();
            ends.push(wire.split());
            let (are_stopped, received) = (are_stopped.clone(), received.clone());
            threads.push(thread::spawn(move || read(wire, &are_stopped, &received[number % 2])));
        }
        Self { are_stopped, received, ends, threads }
    }

    fn stop(&self, stop: bool) {
        self.are_stopped.store(stop, Relaxed);
    }

    fn finish(self) {
        self.ends.iter().for_each(Wire::close);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn read(mut wire: Wire, is_stopped: &AtomicBool, received: &AtomicU64) {
    loop {
        while is_stopped.load(Relaxed) {
            thread::sleep(Duration::from_millis(50));
        }
        let heard = wire.hear();
        for one in &heard {
            if let Heard::Message(packet_id) = one {
                received.fetch_add(1, Relaxed);
                packet_id.iter().for_each(|packet_id| wire.acknowledge(*packet_id));
            }
        }
        if heard.is_empty() {
            return;
        }
        wire.flush();
    }
}

impl Publisher {
    fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let wire = Wire::connect(address, "publisher", false);
        let thread = thread::spawn({
            let stop = stop.clone();
            move || publish(wire, &stop)
        });
        Self { stop, thread }
    }

    /// How many it has sent, all acknowledged that are to be.
    fn finish(self) -> [u64; 2] {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

fn publish(mut wire: Wire, stop: &AtomicBool) -> [u64; 2] {
    let payload = "x".repeat(PAYLOAD);
    let topics: Vec<String> = (0..READERS).map(|number| format!("slow/{number}")).collect();
    let mut due = Instant::now();
    let mut sent = [0; 2];
    while !stop.load(Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due += Duration::from_secs(1) / PER_SECOND;
        for (number, topic) in topics.iter().enumerate() {
            wire.publish(topic, &payload, number, false, qos(number));
            sent[number % 2] += 1;
        }
        wire.flush();
        let mut open = READERS / 2;
        while open > 0 {
            open -= wire.hear().iter().filter(|heard| matches!(heard, Heard::Acked)).count();
        }
    }
    sent
}

/// How often the storm comes.
const STORMS: usize = 3;

/// Prints what the return of ten thousand clients to their sessions means for others, and what it means where Mosquitto runs.
pub(crate) fn storm() {
    println!(
        "10000 clients are cut off and return to their sessions, all at once; 10 pairs exchange 1000 messages a second"
    );
    println!(
        "{:<12} {:>12} {:>6} {:>24} {:>24} {:>8} {:>10}",
        "",
        "all back, s",
        "lost",
        "p99 before, during, ms",
        "load's own share, p99, ms",
        "ratio",
        "at most 2"
    );
    let broker = Broker::start("sys_interval = 0\n[store]\nengine = \"memory\"\n");
    let mosquitto = mosquitto::start("max_queued_messages 0\nset_tcp_nodelay true\nlog_type none\n");
    for _ in 0..STORMS {
        blow("Tidegate", broker.address(), broker.pid());
        if let Some(peer) = &mosquitto {
            blow("Mosquitto", peer.address(), peer.pid());
        }
    }
}

fn blow(name: &str, address: SocketAddr, pid: u32) {
    let told = generator::load(
        "storm --clients 10000 --bystanders 10 --bystander-rate 1000 --duration 5s",
        address,
        pid,
    );
    let [before, during, sending] = ["delivery_before", "delivery_during", "sending"]
        .map(|of| told.figure(&format!("/latency_us/{of}/p99")) / 1000.0);
    let back = told.figure("/latency_us/until_back/max") / 1e6;
    let lost = told.figure("/figures/sessions_lost");
    let (ratio, spread) = (during / before, format!("{before:.1}, {during:.1}"));
    let met = if ratio <= 2.0 { "met" } else { "missed" };
    println!("{name:<12} {back:>12.2} {lost:>6} {spread:>24} {sending:>24.1} {ratio:>8.1} {met:>10}");
}
