//! What is measured, and how figures are put together.

use std::{fs, time::Duration};

/// Nanoseconds that all threads of a process have run.
pub(crate) fn cpu(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let schedstat = tasks.filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
    schedstat.filter_map(|line| line.split(' ').next()?.parse::<u64>().ok()).sum()
}

/// The middle one.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How times are spread, in words.
pub(crate) fn percentiles(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let at = |permille: usize| took[(took.len() - 1) * permille / 1000];
    format!("p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}, most {:.1?}", at(500), at(990), at(999), at(1000))
}
