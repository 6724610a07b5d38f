//! Fifty clients in a ring, each publishing to the next at QoS 1. Every message is counted: none lost, none doubled, none out of order, nobody
//! disconnected; and it is noted who stamped it.

use rumqttc::{Client, Event, MqttOptions, Packet, QoS, RecvTimeoutError};
use serde_json::Value;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};
use tidegate_tests::{Broker, PATIENCE};

pub(crate) const CLIENTS: usize = 50;
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
    /// Who stamped its messages: each generation where its stamps begin.
    generations: Mutex<Vec<u64>>,
}

/// What came of it.
pub(crate) struct Seen {
    /// In all.
    pub(crate) messages: u64,
    /// Whose stamps each client has seen, in the order they came.
    pub(crate) generations: Vec<Vec<u64>>,
}

pub(crate) struct Swarm {
    clients: Vec<Ring>,
    /// Nobody publishes before everybody listens.
    subscribed: AtomicUsize,
    stop: AtomicBool,
    failed: AtomicBool,
}

impl Swarm {
    /// Runs the clients as long as `watch` does, and until every message has come.
    pub(crate) fn run(broker: &Broker, watch: impl FnOnce(&Self)) -> Seen {
        let swarm = Self {
            clients: (0..CLIENTS).map(|_| Ring::default()).collect(),
            subscribed: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        };
        thread::scope(|scope| {
            for me in 0..CLIENTS {
                let swarm = &swarm;
                scope.spawn(move || run(swarm, broker, me));
            }
            let _alarm = Alarm(&swarm);
            watch(&swarm);
            swarm.stop.store(true, SeqCst);
        });
        Seen {
            messages: swarm.clients.iter().map(|ring| ring.received.load(SeqCst)).sum(),
            generations: swarm
                .clients
                .into_iter()
                .map(|ring| ring.generations.into_inner().unwrap())
                .collect(),
        }
    }

    /// Waits until every client has got enough messages stamped by this generation.
    pub(crate) fn wait_for_generation(&self, generation: u64) {
        let enough =
            |ring: &Ring| ring.generation.load(SeqCst) == generation && ring.newest.load(SeqCst) >= ENOUGH;
        self.wait_until(&format!("messages of generation {generation}"), || self.clients.iter().all(enough));
    }

    /// Waits until every client has got that many more messages, whoever stamped them.
    pub(crate) fn wait_for_traffic(&self) {
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
            assert!(!self.failed.load(SeqCst), "a client failed");
            assert!(Instant::now() < deadline, "no {what} in time");
            thread::yield_now();
        }
    }
}

/// If one fails the others end too: they would wait for each other for ever.
struct Alarm<'a>(&'a Swarm);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed.store(true, SeqCst);
        }
    }
}

fn message(number: u64) -> Vec<u8> {
    format!("{{\"number\":{number}}}").into_bytes()
}

/// Publishes to its own topic as acknowledgements come, and checks what the client before it publishes.
fn run(swarm: &Swarm, broker: &Broker, me: usize) {
    let _alarm = Alarm(swarm);
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
                if stamped != generation {
                    generation = stamped;
                    mine.generations.lock().unwrap().push(stamped);
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
            || swarm.failed.load(SeqCst)
        {
            return;
        }
    }
}
