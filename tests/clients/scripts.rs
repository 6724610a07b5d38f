//! Scripts that do the scenarios and print a line for each.

use super::{certificates, site};
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use tidegate_tests::Process;

/// What every script does, and those of version 5 do more.
const FEWEST_SCENARIOS: usize = 10;

/// Runs a script on a site. `unix` is the scheme its client has for sockets in the file system.
///
/// # Panics
/// With what the script says, if a scenario fails.
pub(crate) fn run(command: &mut Command, site: &site::Site, unix: &str) {
    let version = if site.is_v5() { "5" } else { "3.1.1" };
    command.args(["--url", &site.url(unix), "--version", version]);
    command.args(["--receive-maximum", &site::RECEIVE_MAXIMUM.to_string()]);
    if site.is_secure() {
        let (certificate, key) = certificates::CLIENT;
        command.args(["--mutual-url", &site.mutual_url()]);
        command.arg("--ca").arg(site.file(certificates::CA));
        command.arg("--cert").arg(site.file(certificate)).arg("--key").arg(site.file(key));
    }
    let finished = Process::start(command).finish();
    let (said, complained) = (finished.stdout.join("\n"), finished.stderr.join("\n"));
    println!("{said}");
    assert_eq!(finished.code, Some(0), "{said}\n{complained}");
    let done = finished.stdout.iter().filter(|line| line.starts_with("ok ")).count();
    assert!(done >= FEWEST_SCENARIOS, "only {done} scenarios:\n{said}");
}

/// A script of this repository.
pub(crate) fn script(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(path)
}

/// What was installed for the tests: in `TIDEGATE_CLIENTS`, or in `target/clients` beside the profile's folder.
///
/// # Panics
/// If it is not there.
pub(crate) fn installed(path: &str) -> PathBuf {
    // target/PROFILE/deps/TEST
    let test = std::env::current_exe().expect("a program knows its own path");
    let beside_profile = || test.ancestors().nth(3).expect("tests lie below target").join("clients");
    let installed =
        std::env::var_os("TIDEGATE_CLIENTS").map_or_else(beside_profile, PathBuf::from).join(path);
    assert!(
        installed.exists(),
        "{} is not there; install the clients (cargo xtask test) or set TIDEGATE_CLIENTS to their folder",
        installed.display()
    );
    installed
}
