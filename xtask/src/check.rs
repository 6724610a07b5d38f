//! `test` and `ci`.

use crate::{
    clients,
    command::{cargo, run, say},
    conformance, counts, packages, plugins,
};
use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// No test is silent for so long.
const SILENCE: Duration = Duration::from_secs(600);

/// Programs that tests start.
const TEST_PACKAGES: [&str; 3] = ["mosquitto-clients", "redis-server", "valgrind"];

#[derive(clap::Args)]
pub(crate) struct TestOptions {
    /// For `cargo test`, after `--`
    #[arg(last = true)]
    cargo_args: Vec<String>,
}

/// Broker, plugins, then every test of the workspace, all in the release profile: the tree is built once.
///
/// # Errors
/// If something does not build or a test fails.
pub(crate) fn test(options: &TestOptions) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    steps.step("programs to build with", packages::ensure_to_build);
    test_steps(&mut steps, &options.cargo_args);
    steps.finish()
}

/// What CI runs. Goes on after a failure, so that one run tells all.
///
/// # Errors
/// If a step fails.
pub(crate) fn ci() -> anyhow::Result<()> {
    let mut steps = Steps::default();
    steps.step("programs to build with", packages::ensure_to_build);
    steps.step("format", || run(&mut cargo(["fmt", "--all", "--check"])));
    steps.step("conformance", || conformance::check(&conformance::Options::default()));
    steps.step("lints", || {
        run(&mut cargo(["clippy", "--workspace", "--release", "--all-targets", "--", "-D", "warnings"]))
    });
    steps.step("licences, bans, sources", deny);
    steps.step("docs", || {
        let mut doc = cargo(["doc", "--workspace", "--release", "--no-deps"]);
        run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    });
    test_steps(&mut steps, &[]);
    steps.step("instruction counts", || counts::count_and_compare(&counts::Options::default()));
    steps.finish()
}

fn test_steps(steps: &mut Steps, cargo_args: &[String]) {
    let mut counts = Counts::default();
    steps.step("programs that tests start", || packages::ensure(&TEST_PACKAGES, "testing"));
    steps.step("clients that tests start", clients::ensure);
    steps.step("plugins and guests", || {
        plugins::build(&plugins::Options { guests: true, ..Default::default() })
    });
    // All at once: features are unified over what is built together, and the tree would be built twice otherwise.
    steps
        .step("broker and tests", || run(&mut cargo(["build", "--release", "--workspace", "--all-targets"])));
    steps.step("tests", || {
        let mut test = cargo(["test", "--workspace", "--release", "--no-fail-fast"]);
        run_tests(test.args(cargo_args), &mut counts)
    });
    steps.counts = Some(counts);
}

/// Advisories are left out: they need a database from the network.
fn deny() -> anyhow::Result<()> {
    let there = cargo(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        say("cargo-deny is missing: installing it, which takes some minutes once");
        run(&mut cargo(["install", "--locked", "cargo-deny"]))?;
    }
    say("advisories are not checked: their database comes from the network (`cargo deny check advisories`)");
    run(&mut cargo(["deny", "--workspace", "check", "licenses", "bans", "sources"]))
}

/// Runs `cargo test`, shows what it says, and counts. Silent for too long, it is ended: a test that hangs fails.
#[allow(clippy::print_stdout, reason = "what the tests say is the output")]
fn run_tests(test: &mut Command, counts: &mut Counts) -> anyhow::Result<()> {
    say("$ cargo test --workspace --release --no-fail-fast");
    let mut child =
        test.stdout(Stdio::piped()).process_group(0).spawn().context("cannot start cargo test")?;
    let (sender, lines) = mpsc::channel();
    let stdout = child.stdout.take().map(BufReader::new);
    thread::spawn(move || {
        stdout
            .into_iter()
            .flat_map(BufRead::lines)
            .map_while(Result::ok)
            .all(|line| sender.send(line).is_ok())
    });
    loop {
        match lines.recv_timeout(SILENCE) {
            Ok(line) => {
                counts.add(&line);
                println!("{line}");
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                kill_process_group(Pid::from_child(&child), Signal::KILL)?;
                child.wait()?;
                bail!("cargo test: nothing said for {} minutes: a test hangs", SILENCE.as_secs() / 60);
            }
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "cargo test: {status}");
    Ok(())
}

#[derive(Debug, Default, Eq, PartialEq)]
struct Counts {
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Counts {
    /// Reads `test result: ok. 9 passed; 0 failed; 0 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        for part in result.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse::<u32>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// Named steps, each timed.
#[derive(Default)]
struct Steps {
    done: Vec<(&'static str, f32, bool)>,
    /// Of the tests, once they have run.
    counts: Option<Counts>,
}

impl Steps {
    fn step(&mut self, name: &'static str, work: impl FnOnce() -> anyhow::Result<()>) {
        say(format_args!("== {name}"));
        let began = Instant::now();
        let result = work();
        if let Err(error) = &result {
            say(format_args!("{name}: {error:#}"));
        }
        self.done.push((name, began.elapsed().as_secs_f32(), result.is_ok()));
    }

    #[allow(clippy::print_stdout, reason = "the last line is for whoever reads the tests' output")]
    fn finish(self) -> anyhow::Result<()> {
        say("== summary");
        for (name, seconds, good) in &self.done {
            say(format_args!("{} {seconds:>7.1} s  {name}", if *good { "ok    " } else { "FAILED" }));
        }
        if let Some(Counts { passed, failed, ignored, .. }) = self.counts {
            println!("{passed} passed, {failed} failed, {ignored} skipped");
        }
        let failed: Vec<&str> = self.done.iter().filter(|(.., good)| !good).map(|(name, ..)| *name).collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_results_are_counted() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test result: ok. 9 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.15s",
            "test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            counts.add(line);
        }
        assert_eq!(counts, Counts { passed: 11, failed: 3, ignored: 1 });
    }
}
