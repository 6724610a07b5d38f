//! Fifty clients, each publishing to the next at QoS 1, while the plugin that stamps every message is swapped under them. Every message is
//! counted: none lost, none doubled, none out of order, and generations never go back.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use rumqttc::{Client, Event, MqttOptions, Packet, QoS, RecvTimeoutError};
use serde_json::Value;
use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};
use tidegate_tests::{Broker, Folder, PATIENCE, guest, plugin};

const CLIENTS: usize = 50;
/// Messages of a client that are not acknowledged yet.
const WINDOW: u64 = 10;
/// Messages that each client must have got under each generation.
const ENOUGH: u64 = 50;

/// What one client has seen of the one before it.
#[derive(Default)]
struct Ring {
    /// Messages received under the newest generation seen.
    newest: AtomicU64,
    /// That generation.
    generation: AtomicU64,
    /// Messages received in all.
    received: AtomicU64,
    /// Messages sent and acknowledged.
    acknowledged: AtomicU64,
    /// Whether all that will ever be sent is acknowledged.
    finished: AtomicBool,
}

struct Swarm {
    clients: Vec<Ring>,
    /// Nobody publishes before everybody listens.
    subscribed: AtomicUsize,
    stop: AtomicBool,
}

impl Swarm {
    /// Waits until every client has got enough messages stamped by this generation.
    fn wait_for_generation(&self, generation: u64) {
        let enough =
            |ring: &Ring| ring.generation.load(SeqCst) == generation && ring.newest.load(SeqCst) >= ENOUGH;
        self.wait_until(&format!("messages of generation {generation}"), || self.clients.iter().all(enough));
    }

    /// Waits until every client has got that many more messages, whoever stamped them.
    fn wait_for_traffic(&self) {
        let before: Vec<u64> = self.clients.iter().map(|ring| ring.received.load(SeqCst)).collect();
        let more = || {
            self.clients
                .iter()
                .zip(&before)
                .all(|(ring, before)| ring.received.load(SeqCst) >= before + ENOUGH)
        };
        self.wait_until("more messages", more);
    }

    fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE * 6;
        while !condition() {
            assert!(Instant::now() < deadline, "no {what} in time");
            thread::yield_now();
        }
    }
}

fn message(number: u64) -> Vec<u8> {
    format!("{{\"number\":{number}}}").into_bytes()
}

/// Publishes to its own topic as acknowledgements come, and checks what the client before it publishes.
fn run(swarm: &Swarm, broker: &Broker, me: usize) {
    let mut options = MqttOptions::new(format!("client-{me}"), "127.0.0.1", broker.address().port());
    options.set_keep_alive(Duration::from_secs(60)).set_clean_session(true).set_inflight(100);
    let (client, mut connection) = Client::new(options, 1000);
    let from = (me + CLIENTS - 1) % CLIENTS;
    let own = format!("ring/{me}");
    client.subscribe(format!("ring/{from}"), QoS::AtLeastOnce).unwrap();
    let mine = &swarm.clients[me];
    let (mut sent, mut expected, mut generation) = (0, 0, 0);
    loop {
        let event = match connection.recv_timeout(Duration::from_millis(50)) {
            Ok(event) => {
                Some(event.unwrap_or_else(|error| panic!("client {me} lost its connection: {error}")))
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("client {me} has no event loop any more"),
        };
        match event {
            Some(Event::Incoming(Packet::SubAck(_))) => {
                swarm.subscribed.fetch_add(1, SeqCst);
            }
            Some(Event::Incoming(Packet::PubAck(_))) => {
                let acknowledged = mine.acknowledged.fetch_add(1, SeqCst) + 1;
                if !swarm.stop.load(SeqCst) {
                    client.try_publish(&own, QoS::AtLeastOnce, false, message(sent)).unwrap();
                    sent += 1;
                } else if acknowledged == sent {
                    mine.finished.store(true, SeqCst);
                }
            }
            Some(Event::Incoming(Packet::Publish(publish))) => {
                let payload: Value = serde_json::from_slice(&publish.payload).unwrap();
                assert_eq!(payload["number"], expected, "client {me}: lost, doubled or out of order");
                expected += 1;
                let stamped = payload["stamp"]["generation"].as_u64().expect("every message is stamped");
                assert!(stamped >= generation, "client {me}: generation {stamped} after {generation}");
                if stamped > generation {
                    generation = stamped;
                    mine.newest.store(0, SeqCst);
                    mine.generation.store(stamped, SeqCst);
                }
                mine.newest.fetch_add(1, SeqCst);
                mine.received.store(expected, SeqCst);
            }
            Some(Event::Incoming(Packet::ConnAck(_)) | Event::Outgoing(_)) | None => {}
            Some(Event::Incoming(other)) => assert_eq!(other, Packet::PingResp, "client {me}"),
        }
        if sent == 0 && swarm.subscribed.load(SeqCst) == CLIENTS {
            for _ in 0..WINDOW {
                client.try_publish(&own, QoS::AtLeastOnce, false, message(sent)).unwrap();
                sent += 1;
            }
        }
        let before = &swarm.clients[from];
        if mine.finished.load(SeqCst)
            && before.finished.load(SeqCst)
            && expected == before.acknowledged.load(SeqCst)
        {
            return;
        }
    }
}

#[test]
fn fifty_clients_see_no_swap_but_in_the_stamp() {
    let folder = Folder::new("[plugin.stamp.config]\ntopics = [\"ring/#\"]\n");
    folder.install_plugin("stamp", &plugin("stamp"));
    let broker = folder.start();
    let swarm = Swarm {
        clients: (0..CLIENTS).map(|_| Ring::default()).collect(),
        subscribed: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        for me in 0..CLIENTS {
            let (swarm, broker) = (&swarm, &broker);
            scope.spawn(move || run(swarm, broker, me));
        }
        swarm.wait_for_generation(1);

        // Written over in place.
        folder.install_plugin("stamp", &guest("stamp-two"));
        broker.wait_for_log("plugin stamp: generation 2", PATIENCE);
        swarm.wait_for_generation(2);

        // Truncated, then random: said, and nothing else.
        let whole = fs::read(plugin("stamp")).unwrap();
        let seen = broker.log().len();
        fs::write(folder.plugin_file("stamp"), &whole[..whole.len() / 2]).unwrap();
        let said = broker.log().wait_for_after(seen, "stamp.wasm", PATIENCE);
        assert!(said.contains("generation 2"), "names the generation kept: {said}");
        swarm.wait_for_traffic();
        let random: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let seen = broker.log().len();
        fs::write(folder.plugin_file("stamp"), random).unwrap();
        broker.log().wait_for_after(seen, "stamp.wasm", PATIENCE);
        swarm.wait_for_traffic();
        assert!(!broker.log_contains("plugin stamp: generation 3"));

        // Renamed over, three times.
        for (generation, from) in (3..).zip([plugin("stamp"), guest("stamp-two"), plugin("stamp")]) {
            folder.rename_plugin("stamp", &from);
            broker.wait_for_log(&format!("plugin stamp: generation {generation}"), PATIENCE);
            swarm.wait_for_generation(generation);
        }
        swarm.stop.store(true, SeqCst);
    });
    let total: u64 = swarm.clients.iter().map(|ring| ring.received.load(SeqCst)).sum();
    println!(
        "{total} messages, {CLIENTS} clients, 4 swaps, 2 bad files: none lost, doubled or reordered, nobody disconnected"
    );
    broker.stop();
}
