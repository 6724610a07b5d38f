//! A day's worth of calls, in as short a time as they take: nothing grows.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    thread,
    time::{Duration, Instant},
};
use tidegate_mqtt::{QoS, Version};
use tidegate_tests::{Client, Folder, PATIENCE, Received, guest, publish};

const CALLS: u64 = 10_000_000;
/// Messages between two PINGREQs, which wait for the broker to have handled them all.
const BATCH: u64 = 2_000;
/// More than allocators keep back or one more instance takes, and less than one byte a call.
const NOISE: u64 = 8 << 20;

#[test]
fn ten_million_calls_leak_nothing() {
    let folder = Folder::new("sys_interval = 1\n[plugin.probe-publish.config]\ncopy = true\n");
    folder.install_plugin("probe-publish", &guest("probe-publish"));
    let broker = folder.start();
    let mut watcher = Client::connect(&broker, Version::V5, "watcher");
    let mut client = Client::connect(&broker, Version::V5, "c");
    let mut batch = Vec::new();
    for _ in 0..BATCH {
        publish("probe/a", &"x".repeat(64), QoS::AtMostOnce).encode(Version::V5, &mut batch).unwrap();
    }
    let mut call = |calls: u64| {
        for _ in 0..calls / BATCH {
            client.send_bytes(&batch);
            client.ping();
        }
    };
    call(CALLS / 10);
    let (resident_before, memory_before) = (broker.resident(), told(&mut watcher, "memory"));
    call(CALLS - CALLS / 10);
    let (resident_after, memory_after) = (broker.resident(), told(&mut watcher, "memory"));
    wait_for(&mut watcher, "calls", CALLS);
    assert_eq!(told(&mut watcher, "faults"), 0);
    // Another worker's instance may have come; a byte a call would be more than that.
    assert!(memory_after < memory_before + NOISE, "{memory_before} B of guests became {memory_after} B");
    assert!(resident_after < resident_before + NOISE, "{resident_before} B became {resident_after} B");
    println!("{CALLS} calls: the broker's memory went from {resident_before} to {resident_after} B");
}

/// A number that the broker tells about the plugin.
fn told(watcher: &mut Client, what: &str) -> u64 {
    let topic = format!("$SYS/broker/plugins/probe-publish/{what}");
    watcher.subscribe(&topic, QoS::AtMostOnce);
    let number = watcher.find(&topic, |packet| match packet {
        Received::Message(message) if message.topic == topic => message.payload.parse().ok(),
        _ => None,
    });
    watcher.unsubscribe(&[&topic]);
    number
}

fn wait_for(watcher: &mut Client, what: &str, number: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = told(watcher, what);
        if now == number {
            return;
        }
        assert!(Instant::now() < deadline, "{what} stays at {now}");
        thread::sleep(Duration::from_millis(20));
    }
}
