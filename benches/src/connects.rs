//! A thousand clients at once against a backend that takes its time, while others exchange messages.

use crate::{load::Load, measure::percentiles};
use std::{
    thread,
    time::{Duration, Instant},
};
use tidegate_mqtt::{Packet, ReasonCode, Version};
use tidegate_tests::{Backend, Broker, Client, Folder, connect, guest};

const CROWD: usize = 1000;
/// How long the backend takes for each.
const LATENCY: Duration = Duration::from_millis(200);

/// Prints how long they took, and what it meant for the messages.
pub(crate) fn bench() {
    let backend = Backend::start();
    let broker = broker(&backend.origin());
    let load = Load::start(&broker);
    thread::sleep(Duration::from_secs(3));
    let began = Instant::now();
    let answering = thread::spawn(move || {
        for _ in 0..CROWD {
            let question = backend.asked();
            thread::sleep((question.since() + LATENCY).saturating_duration_since(Instant::now()));
            assert!(question.answer(200));
        }
    });
    let mut crowd: Vec<Client> = (0..CROWD)
        .map(|number| {
            let mut client = Client::open(broker.address(), Version::V5);
            client.send(&Packet::Connect(Box::new(connect(Version::V5, &format!("c{number}")))));
            client
        })
        .collect();
    for client in &mut crowd {
        assert_eq!(client.expect_connack().reason, ReasonCode::Success);
    }
    let done = Instant::now();
    answering.join().unwrap();
    let seen = load.finish();
    println!(
        "{CROWD} connects at once, each asks an HTTP server that takes {LATENCY:?}: all in after {:.2?}",
        done - began
    );
    println!("{} messages a second meanwhile, from due to arrived", crate::load::RATE);
    println!("  before: {}", percentiles(seen.between(began - Duration::from_secs(2), began)));
    println!("  during: {}", percentiles(seen.between(began, done)));
}

/// The plugin asks about everybody but the two that exchange messages.
fn broker(origin: &str) -> Broker {
    let folder = Folder::new(&format!(
        r##"
        [plugin.every-hook]
        grants.http = ["{origin}"]
        limits = {{ memory = "16MiB", concurrent = 1000, waiting = 1000, http_concurrent = 1000 }}
        [plugin.every-hook.config]
        authenticate = [
            {{ client = "load-", verdict = "grant" }},
            {{ if_backend = "{origin}", verdict = "grant" }},
            {{ verdict = "refuse", code = 0x86 }},
        ]
        acl = [{{ topic = "#", verdict = "allow", filter = "#", ttl_ms = 600000 }}]
        "##
    ));
    folder.install_plugin("every-hook", &guest("every-hook"));
    folder.start()
}
