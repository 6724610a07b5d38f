//! `fuzz`: hostile bytes for a while. Says which input broke what, and where it lies.

use crate::{
    command::{output, run, say},
    root, target_dir,
};
use anyhow::{Context, bail, ensure};
use std::{
    fs,
    process::{Command, Stdio},
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which target; all, one after the other, if none is named
    target: Option<String>,
    /// How long each runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Runs fuzz targets. What they find on their way is kept below the target folder; the corpus of the checkout stays as it is.
///
/// # Errors
/// If a tool cannot be had, a target does not build, or an input breaks something.
pub(crate) fn run_targets(options: &Options) -> anyhow::Result<()> {
    let targets = targets()?;
    let chosen = match &options.target {
        None => targets,
        Some(target) if targets.contains(target) => vec![target.clone()],
        Some(target) => bail!("no fuzz target {target}; there are: {}", targets.join(", ")),
    };
    ensure_tools()?;
    for target in &chosen {
        let found = target_dir().join("fuzz-corpus").join(target);
        fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let mut fuzz = nightly(["fuzz", "run", "--fuzz-dir", "fuzz", "--target-dir"]);
        fuzz.arg(target_dir().join("fuzz")).arg(target).arg(found).arg(format!("fuzz/corpus/{target}"));
        fuzz.arg("--").arg(format!("-max_total_time={}", options.seconds)).arg("-print_final_stats=1");
        run(&mut fuzz)?;
    }
    Ok(())
}

/// The files of `fuzz/fuzz_targets`.
fn targets() -> anyhow::Result<Vec<String>> {
    let folder = root().join("fuzz/fuzz_targets");
    let files = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut targets = Vec::new();
    for file in files {
        let path = file?.path();
        targets.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

/// A nightly compiler and cargo-fuzz. Only the latter is installed unasked.
fn ensure_tools() -> anyhow::Result<()> {
    let toolchains = output(Command::new("rustup").args(["toolchain", "list"]))?;
    ensure!(
        toolchains.lines().any(|line| line.starts_with("nightly")),
        "fuzzing needs a nightly compiler:\n\n    rustup toolchain install nightly --profile minimal\n"
    );
    let there = nightly(["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        say("cargo-fuzz is missing: installing it, which takes some minutes once");
        run(&mut crate::command::cargo(["install", "--locked", "cargo-fuzz"]))?;
    }
    Ok(())
}

/// Cargo of the nightly toolchain, in the root of the checkout.
fn nightly<const N: usize>(args: [&str; N]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).args(args).current_dir(root());
    // Ours is that of the compiler that runs us.
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_corpus_and_an_entry() {
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
        for target in targets().unwrap() {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
            let corpus = fs::read_dir(root().join("fuzz/corpus").join(&target)).unwrap();
            assert!((1..=60).contains(&corpus.count()), "{target}");
        }
    }
}
