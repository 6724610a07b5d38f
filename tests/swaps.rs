//! A hundred swaps while 10,000 QoS 1 messages a second pass an `acl` plugin and the plugin that stamps them. Every message is counted: none
//! lost, none doubled, none out of order, each stamped by exactly one generation, generations never go back, nobody is disconnected. How long
//! messages took, before and during the swaps, is printed.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use rumqttc::{Client, Event, MqttOptions, NetworkOptions, Packet, QoS, RecvTimeoutError};
use serde_json::Value;
use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};
use tidegate_tests::{Broker, Folder, PATIENCE, guest, plugin};

/// Each publishes to the next.
const CLIENTS: usize = 4;
/// Messages a second, of all clients.
const RATE: u32 = 10_000;
/// Messages that a client publishes at once, then it waits until the next ones are due.
const AT_ONCE: u32 = 5;
/// Messages of a client that the broker has not acknowledged: a machine that is too slow for the rate gets fewer, not a growing backlog.
const MOST_OPEN: u64 = 1_000;
const SWAPS: u64 = 100;
/// Messages of each client before the first swap: what comes without swaps.
const STEADY: u64 = 10_000;

struct Run {
    began: Instant,
    stop: AtomicBool,
    failed: AtomicBool,
    /// Nobody publishes before everybody listens.
    subscribed: AtomicUsize,
    clients: [Seen; CLIENTS],
    /// From when a message was due until it had arrived: before the first swap, and after it.
    took: [Mutex<Vec<Duration>>; 2],
    swapping: AtomicBool,
}

/// What one client has done and seen.
#[derive(Default)]
struct Seen {
    sent: AtomicU64,
    /// Nothing more is sent.
    is_out: AtomicBool,
    acknowledged: AtomicU64,
    received: AtomicU64,
    generation: AtomicU64,
}

#[test]
fn a_hundred_swaps_at_ten_thousand_messages_a_second() {
    let folder = Folder::new("");
    settings(&folder, 0);
    folder.install_plugin("stamp", &plugin("stamp"));
    // Asked about every message, as it allows each one alone.
    folder.install_plugin("probe-acl", &guest("probe-acl"));
    let broker = folder.start();
    // Compiled before the load begins: how long that takes with all cores full is not what is counted here.
    swap(&folder, 2);
    broker.wait_for_log("plugin stamp: generation 2\"", PATIENCE);
    let run = Run {
        began: Instant::now(),
        stop: AtomicBool::new(false),
        failed: AtomicBool::new(false),
        subscribed: AtomicUsize::new(0),
        clients: Default::default(),
        took: Default::default(),
        swapping: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        let _alarm = Alarm(&run.failed);
        for me in 0..CLIENTS {
            let (run, broker) = (&run, &broker);
            scope.spawn(move || run.client(broker, me));
        }
        run.wait_for("messages before the swaps", |seen| seen.received.load(SeqCst) >= STEADY);
        run.swapping.store(true, SeqCst);
        for generation in 3..SWAPS + 3 {
            swap(&folder, generation);
            broker.wait_for_log(&format!("plugin stamp: generation {generation}\""), PATIENCE);
            run.wait_for("messages of the new generation", |seen| seen.generation.load(SeqCst) == generation);
        }
        run.stop.store(true, SeqCst);
    });
    let seconds = run.began.elapsed().as_secs_f64();
    let total: u64 = run.clients.iter().map(|seen| seen.received.load(SeqCst)).sum();
    let [steady, swapping] = run.took.map(|took| percentiles(took.into_inner().unwrap()));
    println!(
        "{total} messages in {seconds:.1} s ({:.0}/s), {SWAPS} swaps: none lost, doubled or reordered, nobody disconnected",
        total as f64 / seconds
    );
    println!("from due to arrived, without swaps: {steady}");
    println!("                      while swapping: {swapping}");
    broker.stop();
}

/// Every way in which a generation comes: the file renamed over, written over in place, its settings changed.
fn swap(folder: &Folder, generation: u64) {
    let other =
        if (generation - generation / 5).is_multiple_of(2) { guest("stamp-two") } else { plugin("stamp") };
    match generation % 5 {
        0 => settings(folder, generation),
        1 => drop(folder.install_plugin("stamp", &other)),
        _ => drop(folder.rename_plugin("stamp", &other)),
    }
}

/// As an operator's tools write it: whole, then renamed.
fn settings(folder: &Folder, number: u64) {
    let partial = folder.plugin_dir().join("stamp.toml.partial");
    fs::write(&partial, format!("[config]\ntopics = [\"ring/#\", \"unused/{number}\"]\n")).unwrap();
    fs::rename(partial, folder.plugin_dir().join("stamp.toml")).unwrap();
}

impl Run {
    fn wait_for(&self, what: &str, enough: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + PATIENCE * 6;
        while !self.clients.iter().all(&enough) {
            assert!(!self.failed.load(SeqCst), "a client has failed");
            assert!(Instant::now() < deadline, "no {what} in time");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Listens to the client before it, and publishes to its own topic as messages are due.
    fn client(&self, broker: &Broker, me: usize) {
        let mut options = MqttOptions::new(format!("client-{me}"), "127.0.0.1", broker.address().port());
        options.set_keep_alive(Duration::from_secs(60)).set_clean_session(true).set_inflight(10_000);
        let (client, mut connection) = Client::new(options, 10_000);
        // What is measured is the broker, not Nagle's algorithm.
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        connection.eventloop.set_network_options(network);
        let from = (me + CLIENTS - 1) % CLIENTS;
        client.subscribe(format!("ring/{from}"), QoS::AtLeastOnce).unwrap();
        let (mine, before) = (&self.clients[me], &self.clients[from]);
        let done = || {
            assert!(!self.failed.load(SeqCst), "client {me} stops because another has failed");
            mine.is_out.load(SeqCst)
                && before.is_out.load(SeqCst)
                && mine.acknowledged.load(SeqCst) == mine.sent.load(SeqCst)
                && mine.received.load(SeqCst) == before.sent.load(SeqCst)
        };
        let (mut expected, mut generation) = (0, 0);
        thread::scope(|scope| {
            // Before the scope waits for its thread, which else would wait for this one.
            let _alarm = Alarm(&self.failed);
            scope.spawn(|| {
                self.publish(client, me);
                mine.is_out.store(true, SeqCst);
            });
            loop {
                match connection.recv_timeout(Duration::from_millis(50)) {
                    Ok(Ok(Event::Incoming(Packet::SubAck(_)))) => {
                        self.subscribed.fetch_add(1, SeqCst);
                    }
                    Ok(Ok(Event::Incoming(Packet::PubAck(_)))) => {
                        mine.acknowledged.fetch_add(1, SeqCst);
                    }
                    Ok(Ok(Event::Incoming(Packet::Publish(publish)))) => {
                        let arrived = self.began.elapsed();
                        let payload: Value = serde_json::from_slice(&publish.payload).unwrap();
                        assert_eq!(payload["number"], expected, "client {me}: lost, doubled or out of order");
                        let stamps = payload.as_object().unwrap().keys().filter(|key| **key == "stamp");
                        assert_eq!(stamps.count(), 1, "client {me}: {payload}");
                        let stamped = payload["stamp"]["generation"].as_u64().unwrap();
                        assert!(
                            stamped >= generation,
                            "client {me}: generation {stamped} after {generation}"
                        );
                        generation = stamped;
                        expected += 1;
                        let due = Duration::from_nanos(payload["due"].as_u64().unwrap());
                        let phase = usize::from(self.swapping.load(SeqCst));
                        self.took[phase].lock().unwrap().push(arrived.saturating_sub(due));
                        mine.generation.store(generation, SeqCst);
                        mine.received.store(expected, SeqCst);
                    }
                    Ok(Ok(_)) | Err(RecvTimeoutError::Timeout) => {}
                    Ok(Err(error)) => panic!("client {me} lost its connection: {error}"),
                    Err(RecvTimeoutError::Disconnected) => panic!("client {me} has no event loop any more"),
                }
                if done() {
                    return;
                }
            }
        });
    }

    /// Latency counts from when a message was due, however late it was sent.
    fn publish(&self, client: Client, me: usize) {
        while self.subscribed.load(SeqCst) < CLIENTS && !self.failed.load(SeqCst) {
            thread::sleep(Duration::from_millis(2));
        }
        let topic = format!("ring/{me}");
        let between = Duration::from_secs(1) * CLIENTS as u32 * AT_ONCE / RATE;
        let mut due = self.began.elapsed();
        let mut number = 0;
        let open = || self.clients[me].sent.load(SeqCst) - self.clients[me].acknowledged.load(SeqCst);
        while !self.stop.load(SeqCst) && !self.failed.load(SeqCst) {
            thread::sleep(due.saturating_sub(self.began.elapsed()));
            if open() > MOST_OPEN {
                due = self.began.elapsed() + between;
                continue;
            }
            for _ in 0..AT_ONCE {
                let payload = format!("{{\"number\":{number},\"due\":{}}}", due.as_nanos());
                // Before it is out: nobody shall receive more than was sent.
                self.clients[me].sent.store(number + 1, SeqCst);
                // Not the call that waits: for a client that has failed it would wait for ever.
                while client.try_publish(&topic, QoS::AtLeastOnce, false, payload.clone()).is_err() {
                    if self.failed.load(SeqCst) {
                        return;
                    }
                    thread::sleep(Duration::from_millis(1));
                }
                number += 1;
            }
            due += between;
        }
    }
}

/// A thread that panics takes the others along, rather than leave them waiting.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, SeqCst);
        }
    }
}

fn percentiles(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let at = |permille: usize| took[(took.len() - 1) * permille / 1000];
    format!(
        "p50 {:?}, p99 {:?}, p99.9 {:?}, most {:?}, {} messages",
        at(500),
        at(990),
        at(999),
        at(1000),
        took.len()
    )
}
