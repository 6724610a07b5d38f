//! Instructions of what every message passes, against what was accepted.

use crate::{
    command::{cargo, run, say},
    packages, plugins, root, target_dir,
};
use anyhow::{Context, bail, ensure};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[derive(Default, clap::Args)]
pub(crate) struct Options {
    /// Write what was counted to benches/counts.toml: it is the new measure
    #[arg(long)]
    accept: bool,
}

/// More than this much above what was accepted fails.
const TOLERANCE: f64 = 0.03;
/// How often the work is done; what was done before it does not count.
const TIMES: [u32; 2] = [500, 5_500];

/// Counts all, and compares.
///
/// # Errors
/// If something takes more instructions than was accepted.
pub(crate) fn check(options: &Options) -> anyhow::Result<()> {
    packages::ensure(&["valgrind"], "counting instructions")?;
    plugins::build(&plugins::Options { guests: true, ..Default::default() })?;
    run(&mut cargo(["build", "--release", "--workspace", "--all-targets"]))?;
    count_and_compare(options)
}

/// As [`check`], when all is built.
///
/// # Errors
/// As [`check`].
pub(crate) fn count_and_compare(options: &Options) -> anyhow::Result<()> {
    let benches = target_dir().join("release/tidegate-benches");
    let names = Command::new(&benches).arg("counted").output()?.stdout;
    let names = String::from_utf8(names)?;
    let mut counted = BTreeMap::new();
    for name in names.lines() {
        let count = count(&benches, name)?;
        say(format_args!("{count:>7} instructions  {name}"));
        counted.insert(name.to_owned(), count);
    }
    ensure!(!counted.is_empty(), "nothing to count");
    let file = file();
    if options.accept {
        let mut text = String::from(
            "# Instructions that were accepted, by `cargo xtask counts --accept`. CI fails on three per cent more.\n",
        );
        for (name, count) in &counted {
            writeln!(text, "{name} = {count}")?;
        }
        return fs::write(&file, text).with_context(|| file.display().to_string());
    }
    let accepted = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let problems = compare(&counted, &parse(&accepted)?);
    if problems.is_empty() {
        return Ok(());
    }
    bail!(
        "{}\nIf it is worth that, accept it: `cargo xtask counts --accept`, and say why in the commit.",
        problems.join("\n")
    )
}

fn file() -> PathBuf {
    root().join("benches/counts.toml")
}

/// Instructions of doing it once.
fn count(benches: &Path, name: &str) -> anyhow::Result<u64> {
    // What is kept for the next time, such as compiled plugins, is made here.
    count_times(benches, name, 1)?;
    let [few, many] = TIMES;
    let more = count_times(benches, name, many)?.saturating_sub(count_times(benches, name, few)?);
    Ok(more / u64::from(many - few))
}

/// Instructions of the whole process, in which it is done so many times.
fn count_times(benches: &Path, name: &str, times: u32) -> anyhow::Result<u64> {
    let mut callgrind = Command::new("valgrind");
    callgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let output = callgrind.arg(benches).args(["counted", name, &times.to_string()]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {said}");
    collected(&said).with_context(|| format!("{name}: callgrind counts nothing: {said}"))
}

/// Reads `==1== Collected : 123`.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

/// Reads `name = 123`.
fn parse(text: &str) -> anyhow::Result<BTreeMap<String, u64>> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, count) = line.split_once(" = ").with_context(|| format!("counts.toml: {line}"))?;
            Ok((name.to_owned(), count.parse().with_context(|| format!("counts.toml: {line}"))?))
        })
        .collect()
}

fn compare(counted: &BTreeMap<String, u64>, accepted: &BTreeMap<String, u64>) -> Vec<String> {
    let counted = counted.iter().filter_map(|(name, count)| match accepted.get(name) {
        None => Some(format!("{name}: {count} instructions, and nothing was accepted yet")),
        Some(accepted) if *count as f64 > *accepted as f64 * (1.0 + TOLERANCE) => {
            let more = (*count as f64 / *accepted as f64 - 1.0) * 100.0;
            Some(format!(
                "{name}: {count} instructions, {more:.1} % more than the {accepted} that were accepted"
            ))
        }
        Some(_) => None,
    });
    counted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_per_cent_more_is_too_much() {
        let accepted = parse("# Why\n\na = 1000\nb = 10\n").unwrap();
        let counted = |a: u64| BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), 1)]);
        assert!(compare(&counted(1030), &accepted).is_empty());
        assert_eq!(
            compare(&counted(1031), &accepted),
            ["a: 1031 instructions, 3.1 % more than the 1000 that were accepted"]
        );
        let problems = compare(&BTreeMap::from([("c".to_owned(), 1)]), &accepted);
        assert_eq!(problems, ["c: 1 instructions, and nothing was accepted yet"]);
        assert!(parse("a: 3").is_err());
    }

    #[test]
    fn what_callgrind_says_is_read() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 2305\n==7==\n"), Some(2305));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }
}
