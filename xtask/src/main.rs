//! `cargo xtask`: what a checkout can do, without anything installed but Rust.
//!
//! Reading order:
//! - `plugins`: every folder below `plugins/` becomes a component; `languages`: guests in other languages; `projects`: plugins as their
//!   authors make them. How is a crate of its own:
//!   `tidegate-plugin-build`
//! - `run`: the quickstart, from nothing
//! - `check`: `test` and `ci`; `bench`: what hooks cost; `counts`: instructions of what every message passes
//! - `costs`: what plugins cost, as a table
//! - `conformance`: the requirements of the standards against the tests
//! - `fuzz`: hostile bytes for as long as you like
//! - `clients`: other people's MQTT clients, for tests
//! - `lists`: programs from package registries
//! - `picture`: what a command prints, as a picture for the docs
//! - `walk`: a plugin in each language by the letter of the docs, as a transcript
//! - `hash`: what the plugins `passwd` and `scram` keep of a password
//! - `packages`: Debian packages, installed or named; `command`: other programs, said before they run

mod bench;
mod check;
mod clients;
mod command;
mod conformance;
mod costs;
mod counts;
mod fuzz;
mod hash;
mod languages;
mod lists;
mod packages;
mod picture;
mod plugins;
mod projects;
mod run;
mod walk;

use clap::{Parser, Subcommand};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What a Tidegate checkout can do")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the plugins to WebAssembly components
    Plugins(plugins::Options),
    /// Build all there is and run the broker of examples/quickstart
    Run {
        /// For the broker, after `--`
        #[arg(last = true)]
        broker_args: Vec<String>,
    },
    /// Build all there is and run every test
    Test(check::TestOptions),
    /// Build all there is and print what plugins cost
    Bench(bench::Options),
    /// Count instructions of what every message passes, and compare with what was accepted
    Counts(counts::Options),
    /// What CI runs: format, conformance, lints, licences, docs, tests
    Ci,
    /// Say which requirements of the standards have no test
    Conformance(conformance::Options),
    /// Throw hostile bytes at the codec and the session
    Fuzz(fuzz::Options),
    /// Print what each shipped plugin costs, as a table
    Costs(costs::Options),
    /// Write a plugin in each language by the letter of docs/plugins.md, and keep what was typed and seen
    Walk,
    /// Run a command and keep what it prints as a picture, docs/pictures/NAME.svg
    Picture(picture::Options),
    /// Read a password from stdin and print its argon2id hash for the passwd plugin, or with --scram a line for the scram plugin
    Hash(hash::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Plugins(options) => plugins::build(&options),
        Task::Run { broker_args } => run::quickstart(&broker_args),
        Task::Test(options) => check::test(&options),
        Task::Bench(options) => bench::run_parts(&options),
        Task::Counts(options) => counts::check(&options),
        Task::Ci => check::ci(),
        Task::Conformance(options) => conformance::check(&options),
        Task::Fuzz(options) => fuzz::run_targets(&options),
        Task::Costs(options) => costs::print(&options),
        Task::Walk => walk::all(),
        Task::Picture(options) => picture::take(&options),
        Task::Hash(options) => hash::from_stdin(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            command::say(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The root of the checkout.
fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Where cargo puts what it builds for this machine.
fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}
