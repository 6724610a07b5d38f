//! What is told at the end: a table, and JSON.

use crate::{
    failure::Failure,
    options::{Exchange, Output},
    tally::{Checks, Spread, Tally},
    team::Team,
    traffic::{PaceOfAll, Plan},
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::Path,
};
use tidegate_mqtt::QoS;

/// Of a scenario that came to its end.
pub(crate) struct Report<'a> {
    scenario: &'static str,
    options: Value,
    team: &'a Team,
    /// Whether a delivery may come twice.
    may_repeat: bool,
    seconds: f64,
    tally: Tally,
    /// In a line.
    what: String,
}

impl<'a> Report<'a> {
    pub(crate) fn of_traffic(
        scenario: &'static str,
        options: &Exchange,
        plan: &Plan,
        team: &'a Team,
        tally: Tally,
    ) -> Self {
        let load = &plan.load;
        let pace = match plan.pace {
            PaceOfAll::Rate(rate) => format!("{rate} messages/s"),
            PaceOfAll::Window(window) => format!("window {window}"),
        };
        let (publishers, subscribers) = (plan.topics.len(), plan.subscriptions.len());
        let what = format!(
            "{scenario}: {publishers} publishers, {subscribers} subscribers, QoS {}, {} B, {pace}, {} s after {} s",
            load.qos as u8,
            load.size,
            load.duration.as_secs_f64(),
            load.warmup.as_secs_f64(),
        );
        let mut used = json!({ "connection": options.connection, "load": load });
        used["connection"]["threads"] = team.threads().into();
        used["load"]["publishers"] = publishers.into();
        used["load"]["subscribers"] = subscribers.into();
        match plan.pace {
            PaceOfAll::Rate(rate) => used["load"]["rate"] = rate.into(),
            PaceOfAll::Window(window) => used["load"]["window"] = window.into(),
        }
        let may_repeat = load.qos == QoS::AtLeastOnce;
        let seconds = load.duration.as_secs_f64();
        Self { scenario, options: used, team, may_repeat, seconds, tally, what }
    }

    /// Whether everything came as it should.
    pub(crate) fn is_good(&self) -> bool {
        let Checks { lost, duplicates, out_of_order, wrong, .. } = self.tally.checks;
        lost + out_of_order + wrong == 0 && (duplicates == 0 || self.may_repeat)
    }

    /// Writes the table to standard output, and JSON where the options say.
    pub(crate) fn write(&self, output: &Output) -> Result<(), Failure> {
        let text = match output.json.as_deref() {
            Some(path) if path == Path::new("-") => format!("{:#}\n", self.json()),
            Some(path) => {
                let name = || path.display().to_string();
                fs::write(path, format!("{:#}\n", self.json()))
                    .map_err(|source| Failure::File { path: name(), source })?;
                self.table()
            }
            None => self.table(),
        };
        let written = io::stdout().write_all(text.as_bytes());
        written.map_err(|source| Failure::File { path: "standard output".to_owned(), source })
    }

    fn table(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.table_to(&mut out);
        out
    }

    fn table_to(&self, out: &mut String) -> std::fmt::Result {
        let Tally { checks, sent, received, delivery, acknowledgement, sending } = &self.tally;
        writeln!(out, "{}\n", self.what)?;
        writeln!(out, "{:<24}{:>12}{:>14}", "", "messages", "a second")?;
        writeln!(out, "{:<24}{sent:>12}{:>14.0}", "sent", *sent as f64 / self.seconds)?;
        writeln!(out, "{:<24}{received:>12}{:>14.0}\n", "received", *received as f64 / self.seconds)?;
        writeln!(
            out,
            "{:<24}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "latency", "p50", "p90", "p99", "p99.9", "max"
        )?;
        row(out, "delivery", delivery)?;
        row(out, "acknowledgement", acknowledgement)?;
        if sending.at(0.99) > 1_000_000 {
            row(out, "of it here, unsent", sending)?;
        }
        writeln!(
            out,
            "\nchecks, warm-up included: {} of {} deliveries, {} lost, {} duplicates, {} out of order, {} wrong, {} foreign",
            checks.received,
            checks.expected,
            checks.lost,
            checks.duplicates,
            checks.out_of_order,
            checks.wrong,
            checks.foreign
        )?;
        let seen = self.team.broker.seen();
        let each = |cpu: u64| cpu as f64 / 1000.0 / (*received).max(1) as f64;
        write!(out, "CPU a message received: this tool {:.3} us", each(seen.own_cpu))?;
        if self.team.broker.is_known() {
            writeln!(out, ", the broker {:.3} us", each(seen.cpu))?;
            writeln!(
                out,
                "the broker's memory: {:.1} MiB before, {:.1} at most, {:.1} after; {} threads",
                mebibytes(seen.before),
                mebibytes(seen.peak),
                mebibytes(seen.after),
                seen.threads
            )?;
        } else {
            writeln!(out)?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let Tally { checks, sent, received, delivery, acknowledgement, sending } = &self.tally;
        let seen = self.team.broker.seen();
        let each = |cpu: u64| cpu as f64 / 1000.0 / (*received).max(1) as f64;
        let broker = self.team.broker.is_known().then(|| {
            json!({
                "cpu_us_per_message": each(seen.cpu),
                "cpu_seconds": seen.cpu as f64 / 1e9,
                "rss_mib": {
                    "before": mebibytes(seen.before),
                    "peak": mebibytes(seen.peak),
                    "after": mebibytes(seen.after),
                },
                "threads": seen.threads,
            })
        });
        json!({
            "schema": 1,
            "version": env!("CARGO_PKG_VERSION"),
            "scenario": self.scenario,
            "good": self.is_good(),
            "options": self.options,
            "measured": {
                "seconds": self.seconds,
                "sent": sent,
                "received": received,
                "sent_per_second": *sent as f64 / self.seconds,
                "received_per_second": *received as f64 / self.seconds,
            },
            "latency_us": {
                "delivery": spread(delivery),
                "acknowledgement": spread(acknowledgement),
                "sending": spread(sending),
            },
            "checks": {
                "sent": checks.sent,
                "expected": checks.expected,
                "received": checks.received,
                "lost": checks.lost,
                "duplicates": checks.duplicates,
                "out_of_order": checks.out_of_order,
                "wrong": checks.wrong,
                "foreign": checks.foreign,
            },
            "broker": broker,
            "generator": { "cpu_us_per_message": each(seen.own_cpu), "cpu_seconds": seen.own_cpu as f64 / 1e9 },
        })
    }
}

fn row(out: &mut String, name: &str, spread: &Spread) -> std::fmt::Result {
    if spread.count() == 0 {
        return Ok(());
    }
    write!(out, "{name:<24}")?;
    for quantile in [0.5, 0.9, 0.99, 0.999, 1.0] {
        write!(out, "{:>10}", time(spread.at(quantile)))?;
    }
    writeln!(out)
}

/// Nanoseconds in three digits or so.
fn time(nanoseconds: u64) -> String {
    let microseconds = nanoseconds as f64 / 1000.0;
    match microseconds {
        _ if microseconds < 100.0 => format!("{microseconds:.1} us"),
        _ if microseconds < 1000.0 => format!("{microseconds:.0} us"),
        _ if microseconds < 100_000.0 => format!("{:.2} ms", microseconds / 1e3),
        _ => format!("{:.2} s", microseconds / 1e6),
    }
}

/// In microseconds. Null if there is nothing.
fn spread(spread: &Spread) -> Value {
    if spread.count() == 0 {
        return Value::Null;
    }
    let us = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
    json!({
        "count": spread.count(),
        "min": us(spread.least()),
        "mean": spread.mean() / 1000.0,
        "p50": us(spread.at(0.5)),
        "p75": us(spread.at(0.75)),
        "p90": us(spread.at(0.9)),
        "p95": us(spread.at(0.95)),
        "p99": us(spread.at(0.99)),
        "p99_9": us(spread.at(0.999)),
        "p99_99": us(spread.at(0.9999)),
        "max": us(spread.most()),
    })
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
