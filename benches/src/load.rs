//! Two clients that mind their own business: one publishes as messages are due, the other measures how late they come.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tidegate_mqtt::{QoS, Version};
use tidegate_tests::{Broker, Client, publish};

/// Messages a second.
pub(crate) const RATE: u32 = 10_000;
/// Messages that go out at once, then the publisher waits until the next ones are due.
const AT_ONCE: u32 = 10;

/// A running load.
pub(crate) struct Load {
    began: Instant,
    stop: Arc<AtomicBool>,
    publisher: JoinHandle<u64>,
    subscriber: JoinHandle<Vec<(Duration, Duration)>>,
}

/// What came of it.
pub(crate) struct Seen {
    began: Instant,
    /// When a message came, and how long after it was due.
    arrived: Vec<(Duration, Duration)>,
}

impl Load {
    /// Messages of 64 B at QoS 0, on `load/a`.
    pub(crate) fn start(broker: &Broker) -> Self {
        let began = Instant::now();
        let stop = Arc::new(AtomicBool::new(false));
        let mut subscriber = Client::connect(broker, Version::V5, "load-subscriber");
        subscriber.subscribe("load/#", QoS::AtMostOnce);
        let client = Client::connect(broker, Version::V5, "load-publisher");
        let publisher = {
            let stop = stop.clone();
            thread::spawn(move || send(client, began, &stop))
        };
        let subscriber = thread::spawn(move || receive(&mut subscriber, began));
        Self { began, stop, publisher, subscriber }
    }

    /// # Panics
    /// If a message was lost.
    pub(crate) fn finish(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.publisher.join().unwrap();
        let arrived = self.subscriber.join().unwrap();
        assert_eq!(arrived.len() as u64, sent, "messages were lost");
        Seen { began: self.began, arrived }
    }
}

impl Seen {
    /// How late messages came that arrived between these moments.
    pub(crate) fn between(&self, from: Instant, until: Instant) -> Vec<Duration> {
        let span = from - self.began..until - self.began;
        self.arrived.iter().filter(|(at, _)| span.contains(at)).map(|(_, took)| *took).collect()
    }
}

fn send(mut client: Client, began: Instant, stop: &AtomicBool) -> u64 {
    let between = Duration::from_secs(1) * AT_ONCE / RATE;
    let mut due = began.elapsed();
    let mut sent = 0;
    let mut batch = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_sub(began.elapsed()));
        batch.clear();
        let payload = format!("{:<64}", due.as_nanos());
        for _ in 0..AT_ONCE {
            publish("load/a", &payload, QoS::AtMostOnce).encode(Version::V5, &mut batch).unwrap();
        }
        client.send_bytes(&batch);
        sent += u64::from(AT_ONCE);
        due += between;
    }
    client.publish("load/end", "end", QoS::AtMostOnce);
    client.ping();
    sent
}

fn receive(client: &mut Client, began: Instant) -> Vec<(Duration, Duration)> {
    let mut arrived = Vec::new();
    loop {
        let message = client.message();
        if message.topic == "load/end" {
            return arrived;
        }
        let (now, due) = (began.elapsed(), Duration::from_nanos(message.payload.trim().parse().unwrap()));
        arrived.push((now, now.saturating_sub(due)));
    }
}
