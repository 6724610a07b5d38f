//! From the moment at which a file is replaced to the first message that the new generation has stamped.

use crate::measure::percentiles;
use std::time::{Duration, Instant};
use tidegate_mqtt::{QoS, Version};
use tidegate_tests::{Client, Folder, guest, plugin};

const SWAPS: usize = 41;

/// Swaps two builds of `stamp`, whose compiled code is in the cache, back and forth.
pub(crate) fn bench() {
    let folder = Folder::new("[plugin.stamp.config]\ntopics = [\"a\"]\n");
    folder.install_plugin("stamp", &plugin("stamp"));
    let broker = folder.start();
    let mut client = Client::connect(&broker, Version::V5, "bench");
    client.subscribe("a", QoS::AtMostOnce);
    let mut took = Vec::new();
    for swap in 0..SWAPS {
        let to = if swap % 2 == 0 { guest("stamp-two") } else { plugin("stamp") };
        let stamp = format!("\"generation\":{},", swap + 2);
        folder.rename_plugin("stamp", &to);
        let began = Instant::now();
        loop {
            client.publish("a", "{}", QoS::AtMostOnce);
            if client.message().payload.contains(&stamp) {
                break;
            }
        }
        // The first one compiles.
        if swap > 1 {
            took.push(began.elapsed());
        }
        // What the broker's file watcher has seen of this swap is no part of the next.
        std::thread::sleep(Duration::from_millis(300));
    }
    println!(
        "a cached swap, from the file's rename to the first message of the new generation: {}",
        percentiles(took)
    );
}
