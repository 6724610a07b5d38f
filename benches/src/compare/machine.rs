//! What it ran on.

use std::{fs, process::Command, thread};

/// Cores, model and date.
pub(crate) fn described() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let plural = if cores == 1 { "" } else { "s" };
    format!("{}, {cores} core{plural} of {}", date(), model().unwrap_or_else(|| "an unknown CPU".to_owned()))
}

/// Today's.
fn date() -> String {
    let said = Command::new("date").arg("+%F").output().unwrap();
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}

fn model() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
