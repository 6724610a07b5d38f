//! What takes too much of something, whichever hook does it.

use crate::{config::Mode, with_state};
use std::{hint::black_box, time::Duration};
use tidegate_plugin::{
    broker::{self, Outgoing},
    http::Request,
    kv,
    logging::{self, Level},
    metrics, timers,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// Nobody waits for it.
const HOUR: Duration = Duration::from_secs(3600);

/// Does what is wrong in itself; what is wrong with an answer is left to the hook.
pub(crate) fn act(mode: Mode, topic: &str) {
    let (times, bytes) = with_state(|state| (state.config.times, state.config.bytes));
    match mode {
        #[allow(clippy::panic, reason = "that is what it is for")]
        Mode::Trap => panic!("told to trap"),
        Mode::Loop => loop {
            black_box(topic);
        },
        Mode::Allocate => allocate(),
        Mode::Recurse => drop(black_box(recurse(1))),
        Mode::Spin => (0..times).for_each(|round| {
            black_box(round);
        }),
        Mode::Leak => with_state(|state| state.kept.push(vec![1; bytes.unwrap_or(64 * KIB)])),
        Mode::FloodLog => (0..times).for_each(|line| logging::log(Level::Info, &format!("line {line}"), &[])),
        Mode::FloodKv => (0..times).for_each(|key| drop(kv::set(&format!("key {key}"), &[1; KIB], None))),
        Mode::FloodPublish => {
            (0..times)
                .for_each(|payload| drop(broker::publish(Outgoing::new("abuse/flood", payload.to_string()))));
        }
        Mode::FloodMetrics => {
            (0..times).for_each(|name| metrics::count("flood", 1, &[("name", &name.to_string())]));
        }
        Mode::FloodTimers => (0..times).for_each(|token| {
            let _ = timers::after(token, HOUR);
        }),
        Mode::Republish => drop(broker::publish(Outgoing::new(topic, "again"))),
        Mode::Fetch => drop(Request::get(with_state(|state| state.config.url.clone())).send()),
        _ => {}
    }
}

/// As many bytes as the config says, at once.
pub(crate) fn huge_payload() -> Vec<u8> {
    vec![1; with_state(|state| state.config.bytes).unwrap_or(64 * MIB)]
}

fn allocate() {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(vec![1; MIB]);
        black_box(&kept);
    }
}

#[allow(unconditional_recursion, reason = "that is what it is for")]
fn recurse(depth: u64) -> u64 {
    black_box(depth) + recurse(black_box(depth + 1))
}
