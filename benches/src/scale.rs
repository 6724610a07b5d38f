//! What a message costs with few and with a million subscriptions in the table, how fast those come, and what many live connections take.

use crate::{
    generator,
    measure::{cpu, own_cpu},
    wire::{Heard, Wire},
};
use std::{fs, sync::Arc, time::Instant};
use tidegate_mqtt::{HomeId, QoS, SessionId, SubscriptionFilter, TopicName};
use tidegate_routing::{Routes, Subscription};
use tidegate_tests::Broker;

const SIZES: [usize; 4] = [10, 1_000, 100_000, 1_000_000];
/// Clients that hold the subscriptions.
const HOLDERS: usize = 10;
/// Filters in a SUBSCRIBE.
const AT_ONCE: usize = 1_000;
/// Topics of a publisher that comes to none again before the broker has forgotten it: each message is matched anew.
const TOPICS: usize = 2_000;
const MATCHED: usize = 200_000;

/// Live connections, half of which publish.
const CONNECTIONS: u64 = 15_000;

/// Prints all of it.
pub(crate) fn bench() {
    table();
    println!();
    subscribing();
    println!();
    live();
}

/// One of those that are in the table and match nothing of the load, though most are as near to its topics as can be.
fn filter(number: usize) -> String {
    match number % 4 {
        0 => format!("bench/p2p/x{number}"),
        1 => format!("bench/p2p/y{number}/+"),
        2 => format!("bench/+/z{number}/#"),
        _ => format!("+/p2p/w{number}/#"),
    }
}

/// All of these match each topic of the load.
const MATCHING: [&str; 10] = [
    "bench/p2p/+",
    "bench/p2p/#",
    "bench/+/+",
    "bench/+/#",
    "bench/#",
    "+/p2p/+",
    "+/p2p/#",
    "+/+/+",
    "+/#",
    "#",
];

fn table() {
    println!(
        "Subscriptions in the table that do not match: exact ones, with +, with #, beside the load's topics"
    );
    println!(
        "CPU of a message in us: p2p, QoS 0; and on topics that were not used before. Routes alone: ns of a match"
    );
    println!(
        "{:>9} {:>17} {:>8} {:>11} {:>20} {:>21}",
        "", "memory, MiB more", "p2p", "new topics", "alone, none matches", "alone, ten match"
    );
    let rows = SIZES.map(row);
    let [first, .., last] = rows;
    let ratios: Vec<String> =
        last.iter().zip(first).map(|(last, first)| format!("{:.2}", last / first)).collect();
    println!("a million over ten: {}", ratios.join(", "));
}

/// With so many subscriptions: the last four figures.
fn row(size: usize) -> [f64; 4] {
    let broker = Broker::start(
        "sys_interval = 0\n[store]\nengine = \"memory\"\n[limits]\nmax_subscriptions = 1000000\nmax_queued_messages = 1000000\n",
    );
    let before = broker.resident();
    let (holders, ..) = subscribe(&broker, size, AT_ONCE);
    let memory = (broker.resident().saturating_sub(before)) as f64 / f64::from(1 << 20);
    let told = generator::load("p2p --duration 3s --warmup 1s", broker.address(), broker.pid());
    let known = told.figure("/broker/cpu_us_per/message_received");
    let anew = matched_anew(&broker);
    let [nobody, ten] = [&[][..], &MATCHING].map(|matching| routes_alone(size, matching));
    println!("{size:>9} {memory:>17.1} {known:>8.2} {anew:>11.2} {nobody:>20.0} {ten:>21.0}");
    drop(holders);
    [known, anew, nobody, ten]
}

/// Returns who holds them, how many came in a second, and the broker's CPU for each, in microseconds.
fn subscribe(broker: &Broker, count: usize, at_once: usize) -> (Vec<Wire>, f64, f64) {
    let mut holders: Vec<Wire> = (0..HOLDERS)
        .map(|number| Wire::connect(broker.address(), &format!("holder-{number}"), false))
        .collect();
    let filters: Vec<String> = (0..count).map(filter).collect();
    // Beforehand, so that making packets is not measured.
    for (number, some) in filters.chunks(at_once).enumerate() {
        holders[number % HOLDERS].subscribe_all(some, number, QoS::AtMostOnce);
    }
    let (spent, began) = (cpu(broker.pid()), Instant::now());
    let mut hearing: Vec<Wire> = holders.iter().map(Wire::split).collect();
    std::thread::scope(|scope| {
        let heard: Vec<_> = hearing
            .iter_mut()
            .enumerate()
            .map(|(place, wire)| {
                let mut wanted: usize =
                    filters.chunks(at_once).skip(place).step_by(HOLDERS).map(<[String]>::len).sum();
                scope.spawn(move || {
                    while wanted > 0 {
                        let heard = wire.hear();
                        let granted = heard
                            .iter()
                            .map(|one| if let Heard::Subscribed(count) = one { *count } else { 0 });
                        wanted -= granted.sum::<usize>();
                    }
                })
            })
            .collect();
        holders.iter_mut().for_each(Wire::flush);
        heard.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let rate = count as f64 / began.elapsed().as_secs_f64();
    (holders, rate, (cpu(broker.pid()) - spent) as f64 / 1000.0 / count as f64)
}

/// Microseconds of CPU for a message whose matches the broker does not know.
fn matched_anew(broker: &Broker) -> f64 {
    let mut wire = Wire::connect(broker.address(), "anew", false);
    let before = cpu(broker.pid());
    for number in 0..MATCHED {
        wire.publish(&format!("bench/p2p/{}", number % TOPICS), "", number, false, QoS::AtMostOnce);
        if number % TOPICS == 0 {
            wire.flush();
        }
    }
    wire.publish("end", "", 0, false, QoS::AtLeastOnce);
    wire.flush();
    wire.hear();
    (cpu(broker.pid()) - before) as f64 / 1000.0 / MATCHED as f64
}

/// Nanoseconds of a match, without a broker around it. Other sessions hold `matching`, each one of them.
fn routes_alone(size: usize, matching: &[&str]) -> f64 {
    let routes = Routes::new();
    let handle = Arc::new(());
    let subscribe = |session: usize, filter: &str| {
        let filter = SubscriptionFilter::new(filter).unwrap();
        routes.subscribe(HomeId::LOCAL, SessionId(session as u64), &handle, &filter, Subscription::default());
    };
    (0..size).for_each(|number| subscribe(number % HOLDERS, &filter(number)));
    matching.iter().enumerate().for_each(|(number, filter)| subscribe(HOLDERS + number, filter));
    let topics: Vec<TopicName> =
        (0..TOPICS).map(|number| TopicName::new(&format!("bench/p2p/{number}")).unwrap()).collect();
    let before = own_cpu();
    let mut found = 0;
    for topic in topics.iter().cycle().take(10 * MATCHED) {
        found += routes.matching(topic, None).direct.len();
    }
    assert_eq!(found, 10 * MATCHED * matching.len());
    (own_cpu() - before) as f64 / (10 * MATCHED) as f64
}

fn subscribing() {
    println!("Subscriptions a second over sockets, {HOLDERS} clients, at least 100000:");
    for (at_once, count) in [(1, 300_000), (10, 500_000), (AT_ONCE, 1_000_000)] {
        let broker = Broker::start("sys_interval = 0\n[limits]\nmax_subscriptions = 1000000\n");
        let (_holders, rate, cost) = subscribe(&broker, count, at_once);
        let met = if rate >= 100_000.0 { "met" } else { "missed" };
        println!(
            "{at_once:>5} filters in a SUBSCRIBE: {rate:>9.0} a second, {cost:.2} us of CPU each: {met}"
        );
    }
    let broker = Broker::start("sys_interval = 0\n");
    let told =
        generator::load("churn --clients 1000 --duration 4s --warmup 1s", broker.address(), broker.pid());
    println!(
        "{:>28}: {:>9.0} a second, {:.2} us of CPU each (SUBSCRIBE and UNSUBSCRIBE in turns, each waits for its answer)",
        "tidegate bench churn",
        told.figure("/rates/operations/per_second"),
        told.figure("/broker/cpu_us_per/operation")
    );
}

fn live() {
    let broker =
        Broker::start("sys_interval = 0\n[store]\nengine = \"memory\"\n[limits]\nmax_connections = 20000\n");
    let files = open_files(&broker);
    if files < CONNECTIONS + 200 {
        println!(
            "{CONNECTIONS} connections are left out: the broker may open {files} files only (ulimit -n)"
        );
        return;
    }
    let pairs = CONNECTIONS / 2;
    let load = format!("p2p --publishers {pairs} --rate {CONNECTIONS} --duration 20s --warmup 5s");
    let told = generator::load(&load, broker.address(), broker.pid());
    let [before, peak] = ["before", "peak"].map(|when| told.figure(&format!("/broker/rss_mib/{when}")));
    let rate = told.figure("/rates/received/per_second");
    let cost = told.figure("/broker/cpu_us_per/message_received");
    println!(
        "{CONNECTIONS} live connections, {pairs} of which publish; a message for each connection a second:"
    );
    println!(
        "{rate:.0} messages a second, {} lost; CPU {cost:.1} us of each, {:.2} of one core (the load's own: {:.2})",
        told.figure("/checks/lost"),
        rate * cost / 1e6,
        rate * told.figure("/generator/cpu_us_per/message_received") / 1e6
    );
    println!(
        "memory {peak:.0} MiB, {before:.0} before: {:.2} KiB of each connection",
        (peak - before) * 1024.0 / CONNECTIONS as f64
    );
    let at = |at: &str| told.figure(&format!("/latency_us/delivery/{at}")) / 1000.0;
    println!(
        "from when a message was due: p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
        at("p50"),
        at("p99"),
        at("p99_9")
    );
}

fn open_files(broker: &Broker) -> u64 {
    let limits = fs::read_to_string(format!("/proc/{}/limits", broker.pid())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(u64::MAX)
}
