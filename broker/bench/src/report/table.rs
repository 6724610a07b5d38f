//! The figures for people.

use super::{Cost, Figure, Rate, Report, mebibytes};
use crate::tally::Spread;
use std::fmt::{Result, Write};

impl Report<'_> {
    pub(super) fn table(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.table_to(&mut out);
        out
    }

    fn table_to(&self, out: &mut String) -> Result {
        writeln!(out, "{}: {}", self.scenario, self.what)?;
        if self.team.meeting.is_interrupted() {
            writeln!(out, "interrupted: this is what was measured so far")?;
        }
        if !self.rates.is_empty() {
            writeln!(out, "\n{:<26}{:>12}{:>14}", "", "count", "a second")?;
        }
        for rate in &self.rates {
            let Rate { name, count, .. } = rate;
            writeln!(out, "{:<26}{count:>12}{:>14.0}", words(name), rate.per_second())?;
        }
        if self.latencies.iter().any(|(_, spread)| spread.count() > 0) {
            writeln!(
                out,
                "\n{:<26}{:>10}{:>10}{:>10}{:>10}{:>10}",
                "time it took", "p50", "p90", "p99", "p99.9", "max"
            )?;
        }
        for (name, spread) in &self.latencies {
            latency(out, name, spread)?;
        }
        if !self.figures.is_empty() {
            writeln!(out)?;
        }
        for Figure { text, value, .. } in &self.figures {
            let digits = if value.fract() == 0.0 { 0 } else { 2 };
            writeln!(out, "{text}: {value:.digits$}")?;
        }
        self.checks_to(out)?;
        for cost in &self.costs {
            self.cost_to(out, cost)?;
        }
        self.memory_to(out)
    }

    fn checks_to(&self, out: &mut String) -> Result {
        let checks = &self.checks;
        if checks.sent == 0 && checks.expected == 0 && checks.wrong == 0 {
            return writeln!(out);
        }
        let verdict = if self.is_good() { "good" } else { "NOT GOOD" };
        let (received, expected) = (checks.received, checks.expected);
        write!(out, "\nchecks, over all that was sent: {verdict}. {received} of {expected} deliveries")?;
        let found = [
            (checks.lost, "lost"),
            (checks.duplicates, "doubled"),
            (checks.out_of_order, "out of order"),
            (checks.wrong, "wrong"),
            (checks.unacknowledged, "not acknowledged"),
            (checks.unsent, "due and not sent"),
            (checks.foreign, "of others"),
        ];
        for (count, what) in found {
            // The first four are worth saying even if there are none.
            if count > 0 || matches!(what, "lost" | "doubled" | "out of order" | "wrong") {
                write!(out, ", {count} {what}")?;
            }
        }
        writeln!(out)
    }

    fn cost_to(&self, out: &mut String, cost: &Cost) -> Result {
        let (broker, own) = cost.each();
        write!(out, "CPU for each {}: ", words(cost.name))?;
        if self.team.broker.is_known() {
            write!(out, "the broker {broker:.3} us, ")?;
        }
        writeln!(out, "this tool {own:.3} us")
    }

    fn memory_to(&self, out: &mut String) -> Result {
        if !self.team.broker.is_known() {
            return Ok(());
        }
        let memory = self.team.broker.memory();
        let [before, peak, after] = [memory.before, memory.peak, memory.after].map(mebibytes);
        writeln!(
            out,
            "the broker's memory: {before:.1} MiB before, {peak:.1} at most, {after:.1} after; {} threads",
            memory.threads
        )
    }
}

fn latency(out: &mut String, name: &str, spread: &Spread) -> Result {
    if spread.count() == 0 {
        return Ok(());
    }
    write!(out, "{:<26}", words(name))?;
    for quantile in [0.5, 0.9, 0.99, 0.999, 1.0] {
        write!(out, "{:>10}", time(spread.at(quantile)))?;
    }
    writeln!(out)
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// Nanoseconds in three digits or so.
fn time(nanoseconds: u64) -> String {
    let microseconds = nanoseconds as f64 / 1e3;
    match microseconds {
        _ if microseconds < 100.0 => format!("{microseconds:.1} us"),
        _ if microseconds < 1e3 => format!("{microseconds:.0} us"),
        _ if microseconds < 1e5 => format!("{:.2} ms", microseconds / 1e3),
        _ if microseconds < 1e6 => format!("{:.0} ms", microseconds / 1e3),
        _ => format!("{:.2} s", microseconds / 1e6),
    }
}
