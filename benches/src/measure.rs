//! What is measured, and how figures are put together.

use std::{collections::HashMap, fs, time::Duration};
use tidegate_tests::Broker;

/// Nanoseconds that all threads of a process have run.
pub(crate) fn cpu(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let schedstat = tasks.filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
    schedstat.filter_map(|line| line.split(' ').next()?.parse::<u64>().ok()).sum()
}

/// Nanoseconds that this thread has run.
pub(crate) fn own_cpu() -> u64 {
    let line = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}

/// Metrics of the broker without labels, by name.
pub(crate) fn metrics(broker: &Broker) -> HashMap<String, f64> {
    let told = broker.folder().run(&["-c", "tidegate.toml", "metrics"]).stdout;
    let number = |line: &String| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    told.iter().filter_map(number).collect()
}

/// The middle one, or what is between the two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}

/// How times are spread, in words.
pub(crate) fn percentiles(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let at = |permille: usize| took[(took.len() - 1) * permille / 1000];
    format!("p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}, most {:.1?}", at(500), at(990), at(999), at(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_number_is_one_of_them() {
        assert_eq!(median([9.0, 1.0, 4.0].into_iter()), 4.0);
    }

    #[test]
    fn the_median_of_an_even_number_is_between_two_of_them() {
        assert_eq!(median([9.0, 1.0, 4.0, 5.0].into_iter()), 4.5);
    }
}
