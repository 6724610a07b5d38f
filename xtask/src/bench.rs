//! What hooks cost.

use crate::{
    command::{cargo, run},
    plugins,
};

/// Builds broker and guests, then measures.
///
/// # Errors
/// If something does not build or run.
pub(crate) fn hooks() -> anyhow::Result<()> {
    plugins::build(&plugins::Options { guests: true, ..Default::default() })?;
    run(&mut cargo(["build", "--release", "--package", "tidegate", "--package", "tidegate-benches"]))?;
    run(&mut cargo(["run", "--release", "--quiet", "--package", "tidegate-benches"]))
}
