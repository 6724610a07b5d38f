//! What hooks cost.

use crate::{
    command::{cargo, run},
    plugins, target_dir,
};
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these: messages, trap, swaps, abuse, connects, durable, retained, allocations, cores, scale, slow, storm
    parts: Vec<String>,
}

/// Builds broker and guests, then measures.
///
/// # Errors
/// If something does not build or run.
pub(crate) fn run_parts(options: &Options) -> anyhow::Result<()> {
    plugins::build(&plugins::Options { guests: true, ..Default::default() })?;
    // As for the tests: with other packages chosen, features differ and wasmtime would be built once more.
    run(&mut cargo(["build", "--release", "--workspace", "--all-targets"]))?;
    run(Command::new(target_dir().join("release/tidegate-benches")).args(&options.parts))
}
