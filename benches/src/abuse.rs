//! Guests that do their worst, while two other clients exchange messages: what became of the message, of the others, of the memory.

use crate::{load::Load, measure::percentiles};
use std::{
    thread,
    time::{Duration, Instant},
};
use tidegate_mqtt::{QoS, Version};
use tidegate_tests::{Client, Folder, guest};

/// How long each guest goes on.
const SPAN: Duration = Duration::from_secs(10);
const MODES: [&str; 13] = [
    "none",
    "loop",
    "allocate",
    "recurse",
    "trap",
    "huge-string",
    "huge-payload",
    "bad-qos",
    "wildcard",
    "bad-reason",
    "flood-log",
    "flood-kv",
    "republish",
];

/// Prints a row for each kind of abuse.
pub(crate) fn bench() {
    println!(
        "A guest misbehaves in on-publish, {SPAN:?} each; two others exchange {} messages a second",
        crate::load::RATE
    );
    println!(
        "{:<14} {:>7} {:>7} {:>8} {:>7} {:>6}  others, from due to arrived",
        "", "calls", "faults", "breaker", "RSS MiB", "after"
    );
    for mode in MODES {
        row(mode);
    }
}

fn row(mode: &str) {
    let folder = Folder::new(
        "sys_interval = 1\n[plugin.probe-acl]\norder = -1\n[plugin.probe-acl.config]\nttl_ms = 1000\n\
         [plugin.abuse]\nlimits.memory = \"16MiB\"\ngrants.publish = [\"abuse/#\"]\ngrants.kv = \"1MiB\"\n\
         scopes = { publish = [\"abuse/#\"] }\nconfig = { hook = \"publish\", mode = \"asked\", allow = true, times = 100000 }\n",
    );
    folder.install_plugin("probe-acl", &guest("probe-acl"));
    folder.install_plugin("abuse", &guest("abuse"));
    let broker = folder.start();
    let mut client = Client::connect(&broker, Version::V5, "abuser");
    let mut watcher = Client::connect(&broker, Version::V5, "watcher");
    let load = Load::start(&broker);
    thread::sleep(Duration::from_secs(1));
    let before = broker.resident();
    let (began, mut most, mut opened) = (Instant::now(), before, 0);
    let (mut calls, mut faults) = (0, 0);
    let topic = format!("abuse/{mode}");
    while began.elapsed() < SPAN {
        let refused = client.publish(&topic, "bad", QoS::AtLeastOnce);
        calls += 1;
        faults += u32::from(refused.is_error());
        most = most.max(broker.resident());
        thread::sleep(Duration::from_millis(1));
    }
    let until = Instant::now();
    opened += broker.log().text().matches("breaker open").count();
    drop(client);
    thread::sleep(Duration::from_secs(1));
    let after = broker.resident();
    let seen = load.finish();
    watcher.ping();
    println!(
        "{mode:<14} {calls:>7} {faults:>7} {opened:>8} {:>7} {:>6}  {}",
        (most.saturating_sub(before)) >> 20,
        (after.saturating_sub(before)) >> 20,
        percentiles(seen.between(began, until))
    );
}
