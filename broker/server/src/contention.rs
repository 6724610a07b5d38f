//! What threads cost each other that do, all at once, what a worker does for a message: the real structures, without sockets. Prints, and
//! judges nothing; `ARCHITECTURE.md` says what is shared, `benches/README.md` how to run this.

use crate::{
    clients::{Subscriber, TakenUp},
    clock,
    publish::{Draft, Publisher, ShortWay, publish, publish_at_once},
    shared::Shared,
    spare::List,
    traffic::Moved,
};
use rustix::time::{ClockId, clock_gettime};
use std::{
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tidegate_hooks::Permissions;
use tidegate_mqtt::{
    ClientId, HomeId, Outgoing, Payload, QoS, SubscriptionFilter, SubscriptionOptions, TopicName, Version,
};
use tidegate_routing::Subscription;
use tidegate_session::{Session, SessionState, Terms};
use tidegate_store::Durability;
use tokio::{runtime::Runtime, sync::mpsc};

const MESSAGES: usize = 200_000;
/// Messages of a turn.
const TURN: usize = 32;
const ROUNDS: usize = 40;
/// Of its time a thread must have run, or others had its core, and it met nobody.
const SHARE: f64 = 0.95;
const PAYLOAD: [u8; 64] = [b'x'; 64];

/// What no broker has: one counter and one lock that all messages touch. To see that it would show.
#[derive(Default)]
struct InTheWay {
    counter: AtomicU64,
    lock: Mutex<u64>,
}

/// A message's QoS, and what is done for it besides.
type Variant = (&'static str, QoS, fn(&Shared, &Worker, &InTheWay));

const VARIANTS: [Variant; 5] = [
    ("QoS 0", QoS::AtMostOnce, |_, _, _| {}),
    ("QoS 1", QoS::AtLeastOnce, |_, _, _| {}),
    ("QoS 0, matched anew", QoS::AtMostOnce, |broker, worker, _| {
        drop(broker.routes.matching(&worker.topic, None));
    }),
    ("QoS 0, and one counter for all", QoS::AtMostOnce, |_, _, touched| {
        touched.counter.fetch_add(1, Ordering::Relaxed);
    }),
    ("QoS 0, and one lock for all", QoS::AtMostOnce, |_, _, touched| *touched.lock.lock().unwrap() += 1),
];

#[test]
#[ignore = "measures for half a minute"]
fn threads_do_not_meet() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut counts = vec![1, 2, thread::available_parallelism().map_or(2, usize::from)];
    counts.dedup();
    println!(
        "CPU of a message in each thread, and how many times that of one alone; medians of those of {ROUNDS} rounds in which each had a core"
    );
    for variant in VARIANTS {
        let mut costs = vec![Vec::new(); counts.len()];
        for _ in 0..ROUNDS {
            for (threads, costs) in counts.iter().zip(&mut costs) {
                costs.extend(run(&runtime, *threads, variant));
            }
        }
        let medians: Vec<f64> = costs.iter_mut().map(|costs| median(costs)).collect();
        let told = counts.iter().zip(&medians).zip(&costs).map(|((threads, cost), rounds)| {
            format!("{threads}: {cost:>4.0} ns ({:.2}, {} rounds)", cost / medians[0], rounds.len())
        });
        println!("{:<32} {}", variant.0, told.collect::<Vec<_>>().join("   "));
    }
}

fn median(costs: &mut [f64]) -> f64 {
    costs.sort_by(f64::total_cmp);
    costs.get(costs.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Nanoseconds of CPU for each message; None if others had a core meanwhile.
fn run(runtime: &Runtime, threads: usize, (_, qos, besides): Variant) -> Option<f64> {
    let broker = Shared::of_nobody(mpsc::channel(1).0);
    // So that there is something to look into where filters are that begin with a wildcard.
    Worker::new(runtime, &broker, "elsewhere", "+/none/of/these", qos);
    let name = |number: usize| format!("device/{number}/state");
    let mut workers: Vec<_> =
        (0..threads).map(|number| Worker::new(runtime, &broker, &name(number), &name(number), qos)).collect();
    // Nobody subscribes any more.
    for worker in &mut workers {
        runtime.block_on(worker.make_known(&broker, qos));
    }
    let (start, touched) = (Barrier::new(threads), InTheWay::default());
    let work = |mut worker: Worker| {
        start.wait();
        let (began, before) = (Instant::now(), own_cpu());
        for _ in 0..MESSAGES / TURN {
            worker.turn(&broker, qos, besides, &touched);
        }
        let spent = (own_cpu() - before).as_secs_f64();
        (spent >= SHARE * began.elapsed().as_secs_f64()).then(|| spent * 1e9 / MESSAGES as f64)
    };
    let costs: Vec<Option<f64>> = thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = workers.into_iter().map(|worker| scope.spawn(move || work(worker))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    Some(costs.into_iter().sum::<Option<f64>>()? / threads as f64)
}

/// How long this thread has run.
fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A publisher and its receiver.
struct Worker {
    publisher: Publisher,
    topic: TopicName,
    receiver: Arc<Subscriber>,
    session: Session,
    out: Outgoing,
}

impl Worker {
    fn new(runtime: &Runtime, broker: &Shared, name: &str, filter: &str, maximum_qos: QoS) -> Self {
        let (client_id, id) = (ClientId::new(name), broker.clients.next_session());
        let taken_up = runtime.block_on(broker.clients.take_up(&client_id, id, true));
        let TakenUp::New(receiver) = taken_up else { panic!("there is a session already") };
        let options = SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() };
        let subscription = Subscription { options, identifier: None };
        let filter = SubscriptionFilter::new(filter).unwrap();
        broker.routes.subscribe(HomeId::LOCAL, id, &receiver, &filter, subscription);
        let terms = Terms {
            version: Version::V5,
            receive_maximum: u16::MAX,
            client_receive_maximum: u16::MAX,
            client_maximum_packet_size: u32::MAX,
            topic_alias_maximum: 0,
            outgoing_topic_aliases: 0,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            max_user_properties: 0,
            max_session_expiry: 0,
            problem_information: true,
        };
        let session = Session::new(terms, SessionState::new(id, client_id.clone(), 0));
        let publisher = broker.clients.next_session();
        let publisher = Publisher::new(
            publisher,
            client_id,
            Arc::default(),
            Permissions::default(),
            None,
            Durability::Os,
        );
        let topic = TopicName::new(name).unwrap();
        Self { publisher, topic, receiver, session, out: Outgoing::new() }
    }

    /// The first message on a topic goes the long way.
    async fn make_known(&mut self, broker: &Arc<Shared>, qos: QoS) {
        let draft = Draft {
            topic: self.topic.clone(),
            payload: Payload::copied(&PAYLOAD),
            qos,
            retain: false,
            properties: None,
            origin: None,
            received: None,
            will_of: None,
        };
        publish(broker, &mut self.publisher, draft, false).await.unwrap();
        self.deliver(broker);
    }

    /// What a connection does for messages that came together, and what that of their receiver does.
    fn turn(
        &mut self,
        broker: &Arc<Shared>,
        qos: QoS,
        besides: fn(&Shared, &Self, &InTheWay),
        touched: &InTheWay,
    ) {
        let (now, chain) = (clock::now(), broker.hooks.chain().generation());
        for _ in 0..TURN {
            let way = self.publisher.short_way(broker, self.topic.as_bytes(), qos, chain);
            assert!(matches!(way, Some(ShortWay::Unasked)));
            publish_at_once(broker, &mut self.publisher, qos, &PAYLOAD, None, now).unwrap();
            besides(broker, self, touched);
        }
        let came = TURN as u32;
        broker.traffic.add(Moved { publishes_received: came, messages_received: came, ..Moved::default() });
        self.deliver(broker);
    }

    fn deliver(&mut self, broker: &Shared) {
        let now = clock::now();
        let mut deliveries = List::take();
        self.receiver.mailbox.collect(TURN, usize::from(u16::MAX), &mut deliveries);
        let gone = deliveries.len() as u32;
        for delivery in deliveries.drain(..) {
            let packet_id = self.session.deliver(delivery, now, &mut self.out).unwrap();
            if let Some(finished) = packet_id.and_then(|packet_id| self.session.puback(packet_id)) {
                broker.done(self.session.id(), finished.id, finished.stored);
            }
        }
        self.out.consume(self.out.len());
        self.out.release();
        broker.traffic.add(Moved { publishes_sent: gone, messages_sent: gone, ..Moved::default() });
    }
}
