//! A million retained messages: how soon the first one comes, and the last; what a slow reader means for others.

use crate::{
    load::Load,
    measure::percentiles,
    wire::{Heard, Wire},
};
use std::{
    thread,
    time::{Duration, Instant},
};
use tidegate_mqtt::QoS;
use tidegate_tests::Broker;

/// `r/A/x/B`: so many of A, and of B.
const OUTER: usize = 1_000;
const INNER: usize = 1_000;
const AT_ONCE: usize = 1_000;

/// Prints how long each filter takes.
pub(crate) fn bench() {
    let all = OUTER * INNER;
    let broker = Broker::start("");
    let empty = broker.resident();
    let began = Instant::now();
    let mut publisher = Wire::connect(broker.address(), "retainer", false);
    for outer in 0..OUTER {
        for inner in 0..INNER {
            publisher.publish(&format!("r/{outer}/x/{inner}"), "0123456789abcdef", 0, true, QoS::AtMostOnce);
        }
        publisher.flush();
    }
    publisher.publish("end", "", 1, false, QoS::AtLeastOnce);
    publisher.flush();
    publisher.hear();
    let took = began.elapsed();
    println!(
        "{all} retained messages of 16 B taken in: {took:.1?}, {:.0} a second; {} MB of memory, {} B each",
        all as f64 / took.as_secs_f64(),
        broker.resident() >> 20,
        (broker.resident() - empty) / all as u64
    );
    for (filter, expected) in [
        ("r/7/x/7", 1),
        ("r/7/x/+", INNER),
        ("r/+/x/7", OUTER),
        ("+/7/x/#", INNER),
        ("+/+/x/+", all),
        ("#", all),
    ] {
        let (first, last) = subscribe(&broker, filter, expected);
        println!(
            "{filter:>10} {expected:>8} messages: the first after {first:.2?}, the last after {last:.1?}"
        );
    }
    // Whoever wants them all and takes its time.
    let load = Load::start(&broker);
    let from = Instant::now();
    thread::sleep(Duration::from_secs(2));
    let alone = Instant::now();
    let mut slow = Wire::connect(broker.address(), "slow", false);
    slow.subscribe("#", QoS::AtMostOnce);
    let began = Instant::now();
    let mut left = all;
    let mut pauses = 0;
    while left > 0 {
        let heard = slow.hear();
        left = left.saturating_sub(heard.iter().filter(|heard| matches!(heard, Heard::Message(..))).count());
        if left * AT_ONCE / all < AT_ONCE - pauses {
            pauses += AT_ONCE / 100;
            thread::sleep(Duration::from_millis(50));
        }
    }
    let until = Instant::now();
    let seen = load.finish();
    println!(
        "a slow reader of # has all after {:.1?}; meanwhile for others, from when a message was due:",
        began.elapsed()
    );
    println!("    before: {}", percentiles(seen.between(from, alone)));
    println!("    while:  {}", percentiles(seen.between(alone, until)));
    println!("memory then: {} MB", broker.resident() >> 20);
    broker.stop();
}

fn subscribe(broker: &Broker, filter: &str, expected: usize) -> (Duration, Duration) {
    let mut wire = Wire::connect(broker.address(), "reader", false);
    let began = Instant::now();
    wire.subscribe(filter, QoS::AtMostOnce);
    let (mut first, mut count) = (None, 0);
    while count < expected {
        count += wire.hear().iter().filter(|heard| matches!(heard, Heard::Message(..))).count();
        if count > 0 {
            first.get_or_insert_with(|| began.elapsed());
        }
    }
    (first.unwrap(), began.elapsed())
}
