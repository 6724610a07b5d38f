//! Debian packages that a task needs.

use crate::command::{run, say, succeeds};
use anyhow::bail;
use std::process::{Command, Stdio};
use tidegate_plugin_build::tools::debian_has;

/// A program that may have come another way than by its package.
pub(crate) struct Program {
    /// A command that succeeds if it is there.
    pub(crate) check: &'static [&'static str],
    pub(crate) package: &'static str,
}

/// What the broker is built with besides Rust: its allocator comes with a Makefile.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn ensure_to_build() -> anyhow::Result<()> {
    ensure_programs(&[Program { check: &["make", "--version"], package: "make" }], "building the broker")
}

/// Installs what is missing if that is possible without asking for a password.
///
/// # Errors
/// Names the one command to run if it is not.
pub(crate) fn ensure(packages: &[&str], why: &str) -> anyhow::Result<()> {
    install(packages.iter().copied().filter(|package| !debian_has(package)).collect(), why)
}

/// As [`ensure`], for programs that need not be there as packages.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn ensure_programs(programs: &[Program], why: &str) -> anyhow::Result<()> {
    let there = |program: &Program| succeeds(Command::new(program.check[0]).args(&program.check[1..]));
    install(programs.iter().filter(|program| !there(program)).map(|program| program.package).collect(), why)
}

fn install(missing: Vec<&str>, why: &str) -> anyhow::Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !is_root() || !succeeds(Command::new("apt-get").arg("--version")) {
        bail!(
            "{why} needs packages that are not installed. On Debian and its kin:\n\n    sudo apt-get install {names}\n"
        );
    }
    say(format_args!("{why} needs {names}: installing by apt-get"));
    let install = || {
        let mut install = Command::new("apt-get");
        install.args(["install", "--yes", "--no-install-recommends"]).args(&missing);
        install.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        install
    };
    if run(&mut install()).is_err() {
        // The lists may be too old, or not there at all.
        run(Command::new("apt-get").arg("update").stdout(Stdio::null()))?;
        run(&mut install())?;
    }
    Ok(())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}
