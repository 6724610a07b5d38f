//! One line a second while the load runs.

use crate::options::Output;
use parking_lot::Mutex;
use std::{
    io::{IsTerminal, stderr},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Counters that all threads add to.
pub(crate) struct Progress {
    is_told: bool,
    counters: Vec<(&'static str, AtomicU64)>,
    /// As they were told last.
    before: Mutex<Vec<u64>>,
    /// The 99th percentile so far, in nanoseconds, of the thread that has the highest.
    p99: AtomicU64,
}

impl Progress {
    pub(crate) fn new(output: &Output, names: &[&'static str]) -> Self {
        Self {
            is_told: output.progress || !output.quiet && stderr().is_terminal(),
            counters: names.iter().map(|name| (*name, AtomicU64::new(0))).collect(),
            before: Mutex::new(vec![0; names.len()]),
            p99: AtomicU64::new(0),
        }
    }

    /// A name that the scenario does not tell is left out.
    pub(crate) fn add(&self, name: &str, count: u64) {
        if let Some((_, counter)) = self.counters.iter().find(|(known, _)| *known == name) {
            counter.fetch_add(count, Relaxed);
        }
    }

    /// Nanoseconds.
    pub(crate) fn p99(&self, p99: u64) {
        self.p99.fetch_max(p99, Relaxed);
    }

    pub(crate) fn tell(&self, second: u32) {
        if !self.is_told {
            return;
        }
        let mut before = self.before.lock();
        let mut line = format!("{second:>4} s");
        for ((name, counter), before) in self.counters.iter().zip(before.iter_mut()) {
            let now = counter.load(Relaxed);
            line += &format!("  {name} {now} ({} a second)", now - *before);
            *before = now;
        }
        // It may get better: the next second is told anew.
        match self.p99.swap(0, Relaxed) {
            0 => {}
            p99 => line += &format!("  p99 {:.3} ms", p99 as f64 / 1e6),
        }
        eprintln!("{line}");
    }
}
