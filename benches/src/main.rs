//! What plugins cost: CPU of the broker for each message with and without them, side by side in one run; how long a swap takes; what slow
//! plugins mean for others; what durability and retained messages cost; allocations, cores, numbers of subscriptions and clients, slow readers;
//! other brokers beside ours. Prints; asserts nothing about time.
//!
//! `cargo xtask bench`, `benches/compare`, or see `benches/README.md`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures and stops where it cannot go on"
)]

mod abuse;
mod allocations;
mod compare;
mod connects;
mod cores;
mod counts;
mod durable;
mod generator;
mod grants;
mod load;
mod measure;
mod messages;
mod mosquitto;
mod peer;
mod retained;
mod scale;
mod slow;
mod swaps;
mod wire;

use clap::Parser as _;
use std::{env, iter, process::ExitCode};

/// A part's name, and what runs it.
type Part = (&'static str, fn());

const PARTS: [Part; 12] = [
    ("messages", messages::bench),
    ("trap", messages::after_a_trap),
    ("swaps", swaps::bench),
    ("abuse", abuse::bench),
    ("connects", connects::bench),
    ("durable", durable::bench),
    ("retained", retained::bench),
    ("allocations", allocations::bench),
    ("cores", cores::bench),
    ("scale", scale::bench),
    ("slow", slow::bench),
    ("storm", slow::storm),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == "counted" => {
            counts::run(
                rest.first().map(String::as_str),
                rest.get(1).map_or(1, |times| times.parse().unwrap()),
            );
            return ExitCode::SUCCESS;
        }
        Some((first, rest)) if first == "compare" => {
            let options = iter::once("benches/compare").chain(rest.iter().map(String::as_str));
            compare::bench(&compare::Options::parse_from(options));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    if let Some(unknown) = wanted.iter().find(|name| PARTS.iter().all(|(part, _)| part != *name)) {
        let parts = PARTS.map(|(name, _)| name).join(", ");
        println!("no part is called {unknown}; there are {parts}");
        return ExitCode::FAILURE;
    }
    for (_, part) in
        PARTS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|one| one == name))
    {
        part();
        println!();
    }
    ExitCode::SUCCESS
}
