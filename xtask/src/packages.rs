//! Debian packages that a task needs.

use crate::command::{run, say};
use anyhow::bail;
use std::process::{Command, Stdio};

/// Installs what is missing if that is possible without asking for a password.
///
/// # Errors
/// Names the one command to run if it is not.
pub(crate) fn ensure(packages: &[&str], why: &str) -> anyhow::Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !is_root() || !quiet(Command::new("apt-get").arg("--version")) {
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

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query").args(["--show", "--showformat", "${Status}", package]).output();
    query.is_ok_and(|query| query.stdout.ends_with(b"ok installed"))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

fn quiet(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
