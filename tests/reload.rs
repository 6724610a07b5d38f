//! Fifty clients exchange messages while the plugin that stamps every message is swapped under them, forward and back: they see it in the
//! stamps only, and each generation takes over as a whole.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "reload/swarm.rs"]
mod swarm;

use std::fs;
use swarm::{CLIENTS, Swarm};
use tidegate_tests::{Broker, Folder, PATIENCE, guest, plugin};

fn stamped() -> Broker {
    let folder = Folder::new("[plugin.stamp.config]\ntopics = [\"ring/#\"]\n");
    folder.install_plugin("stamp", &plugin("stamp"));
    folder.start()
}

#[test]
fn fifty_clients_see_no_swap_but_in_the_stamp() {
    let broker = stamped();
    let folder = broker.folder();
    let seen = Swarm::run(&broker, |swarm| {
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
    });
    assert_eq!(seen.generations, vec![vec![1, 2, 3, 4, 5]; CLIENTS]);
    println!("{} messages, {CLIENTS} clients: none lost, doubled or reordered", seen.messages);
    broker.stop();
}

/// What `tidegate plugin …` said, having done what it was told.
fn done(broker: &Broker, arguments: &[&str]) -> String {
    let told = broker.folder().run(&[&["-c", "tidegate.toml", "plugin"], arguments].concat());
    assert_eq!(told.code, Some(0), "{arguments:?}: {told:?}");
    told.stdout.join("\n")
}

#[test]
fn fifty_clients_see_no_way_back_and_forth_but_in_the_stamp() {
    let broker = stamped();
    let seen = Swarm::run(&broker, |swarm| {
        swarm.wait_for_generation(1);
        assert_eq!(done(&broker, &["reload", "stamp"]), "plugin stamp: generation 2 answers");
        swarm.wait_for_generation(2);
        // Back to the generation before; forward to a new one, for numbers are not given twice.
        for (newest, next) in [(2, 3), (3, 4), (4, 5)] {
            let back = format!("plugin stamp: generation 1 answers again instead of {newest}");
            assert_eq!(done(&broker, &["rollback", "stamp"]), back);
            swarm.wait_for_generation(1);
            let forward = format!("plugin stamp: generation {next} answers");
            assert_eq!(done(&broker, &["reload", "stamp"]), forward);
            swarm.wait_for_generation(next);
        }
        // A candidate that runs beside, and takes over; then there and back again.
        let two = guest("stamp-two");
        done(&broker, &["shadow", "stamp", two.to_str().unwrap()]);
        swarm.wait_for_traffic();
        let promoted = done(&broker, &["promote", "stamp"]);
        assert!(promoted.starts_with("plugin stamp: generation 7 answers; "), "{promoted}");
        swarm.wait_for_generation(7);
        for (from, to) in [(7, 5), (5, 7)] {
            let back = done(&broker, &["rollback", "stamp"]);
            let said = format!("plugin stamp: generation {to} answers again instead of {from}");
            assert!(back.starts_with(&said), "{back}");
            swarm.wait_for_generation(to);
        }
    });
    assert_eq!(seen.generations, vec![vec![1, 2, 1, 3, 1, 4, 1, 5, 7, 5, 7]; CLIENTS]);
    println!("{} messages, {CLIENTS} clients: none lost, doubled or reordered", seen.messages);
    broker.stop();
}
