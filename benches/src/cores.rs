//! One worker thread and two, in turns: whether throughput grows with them, and what a message then costs.

use crate::{
    generator,
    measure::{cpu, median, own_cpu},
    wire::Wire,
};
use std::{thread, time::Instant};
use tidegate_mqtt::QoS;
use tidegate_tests::Broker;

const ROUNDS: usize = 3;
/// How much more a message may cost with two workers.
const BAR: f64 = 1.15;
const LOADS: [(&str, Load); 9] = [
    ("p2p 20:20, QoS 0", Load::Generator("p2p --qos 0")),
    ("p2p 20:20, QoS 1", Load::Generator("p2p --qos 1")),
    ("p2p 20:20, QoS 2", Load::Generator("p2p --qos 2")),
    ("p2p 5:5, QoS 0, 16 KiB", Load::Generator("p2p --publishers 5 --size 16384")),
    ("p2p 200:200, QoS 1, window 1", Load::Generator("p2p --publishers 200 --qos 1 --window 1")),
    ("fan-out 1:200, QoS 0", Load::Generator("fanout --qos 0")),
    ("fan-in 100:1, QoS 0", Load::Generator("fanin --qos 0")),
    ("4:0, a topic each", Load::Flood { topics: 1, times: 2_000 }),
    ("4:0, 2,000 topics each", Load::Flood { topics: BATCH, times: 500 }),
];

enum Load {
    /// Options of `tidegate bench`.
    Generator(&'static str),
    /// Publishers send bytes that are made beforehand, and nobody gets the messages: it takes little of the machine beside the broker.
    Flood { topics: usize, times: usize },
}

/// Messages that are made.
const BATCH: usize = 2_000;
const FLOODING: usize = 4;

/// What a load has shown of a broker.
#[derive(Clone, Copy)]
struct Seen {
    messages_per_second: f64,
    /// Microseconds of CPU for each message received.
    cost: f64,
    generator_cost: f64,
}

impl Seen {
    /// Of one core, so that 1 is all of it.
    fn share(&self) -> f64 {
        self.messages_per_second * self.cost / 1e6
    }
}

/// Prints a row for each load.
pub(crate) fn bench() {
    println!(
        "One worker and two, {ROUNDS} rounds in turns; the load generator, one thread, shares the same cores"
    );
    println!(
        "{:<30} {:>20} {:>22} {:>20} {:>10} {:>7} {:>12}",
        "", "messages/s", "CPU of each, us", "broker, cores", "load, cores", "cost", "at most 1.15"
    );
    let mut most: f64 = 0.0;
    for (name, load) in &LOADS {
        let rounds: Vec<[Seen; 2]> = (0..ROUNDS)
            .map(|round| {
                // Each is first in its turn.
                let first = run(load, 1 + round % 2);
                let second = run(load, 2 - round % 2);
                if round % 2 == 0 { [first, second] } else { [second, first] }
            })
            .collect();
        let of = |workers: usize, figure: fn(&Seen) -> f64| {
            median(rounds.iter().map(|round| figure(&round[workers - 1])))
        };
        let both = |figure: fn(&Seen) -> f64, digits: usize| {
            format!("{:.digits$} -> {:.digits$}", of(1, figure), of(2, figure))
        };
        let ratio = median(rounds.iter().map(|[one, two]| two.cost / one.cost));
        let generator = of(2, |seen| seen.messages_per_second * seen.generator_cost / 1e6);
        let met = if ratio <= BAR { "met" } else { "missed" };
        println!(
            "{name:<30} {:>20} {:>22} {:>20} {generator:>10.2} {ratio:>7.2} {met:>12}",
            both(|seen| seen.messages_per_second, 0),
            both(|seen| seen.cost, 2),
            both(Seen::share, 2),
        );
        most = most.max(of(2, Seen::share));
    }
    let passed = if most > 1.0 { "passes" } else { "does not pass" };
    println!("with two workers the broker {passed} one core: {most:.2} at most");
}

fn run(load: &Load, workers: usize) -> Seen {
    let broker = Broker::start(&format!(
        "workers = {workers}\nsys_interval = 0\n[store]\nengine = \"memory\"\n[limits]\nmax_queued_messages = 1000000\n"
    ));
    let options = match load {
        Load::Generator(options) => options,
        Load::Flood { topics, times } => return flood(&broker, *topics, *times),
    };
    let load = format!("{options} --threads 1 --duration 3s --warmup 1s");
    let told = generator::load(&load, broker.address(), broker.pid());
    Seen {
        messages_per_second: told.figure("/rates/received/per_second"),
        cost: told.figure("/broker/cpu_us_per/message_received"),
        generator_cost: told.figure("/generator/cpu_us_per/message_received"),
    }
}

fn flood(broker: &Broker, topics: usize, times: usize) -> Seen {
    let mut wires: Vec<Wire> = (0..FLOODING)
        .map(|number| {
            let mut wire = Wire::connect(broker.address(), &format!("flood-{number}"), false);
            for message in 0..BATCH {
                let topic = format!("flood/{number}/{}", message % topics);
                wire.publish(&topic, &"x".repeat(64), 0, false, QoS::AtMostOnce);
            }
            wire
        })
        .collect();
    let (before, began) = (cpu(broker.pid()), Instant::now());
    let own: u64 = thread::scope(|scope| {
        let send = |wire: &mut Wire| {
            wire.flush_times(times);
            // Acknowledged when all before it is done.
            wire.publish("flood", "", 0, false, QoS::AtLeastOnce);
            wire.flush();
            wire.hear();
            own_cpu()
        };
        let threads: Vec<_> = wires.iter_mut().map(|wire| scope.spawn(move || send(wire))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let messages = (FLOODING * BATCH * times) as f64;
    Seen {
        messages_per_second: messages / began.elapsed().as_secs_f64(),
        cost: (cpu(broker.pid()) - before) as f64 / 1000.0 / messages,
        generator_cost: own as f64 / 1000.0 / messages,
    }
}
