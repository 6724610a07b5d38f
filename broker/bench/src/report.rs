//! What is told at the end: a table, and JSON.

use crate::{
    failure::Failure,
    options::Output,
    process::Cpu,
    tally::{Checks, Spread, Tally},
    team::Team,
};
use serde_json::Value;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

mod json;
mod table;

/// Of a scenario that came to its end. Names are the keys of the JSON; the table writes blanks for underscores.
pub(crate) struct Report<'a> {
    pub(crate) scenario: &'static str,
    /// All that matters, in a line.
    pub(crate) what: String,
    /// As used, defaults filled in.
    pub(crate) options: Value,
    pub(crate) team: &'a Team,
    pub(crate) rates: Vec<Rate>,
    pub(crate) latencies: Vec<(&'static str, Spread)>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) costs: Vec<Cost>,
    pub(crate) checks: Checks,
    /// Whether a delivery may come twice.
    pub(crate) may_repeat: bool,
}

/// How many, in how long.
pub(crate) struct Rate {
    pub(crate) name: &'static str,
    pub(crate) count: u64,
    pub(crate) seconds: f64,
}

/// Any other number.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    /// What it is, for the table.
    pub(crate) text: &'static str,
}

/// What one of something cost.
pub(crate) struct Cost {
    pub(crate) name: &'static str,
    pub(crate) count: u64,
    pub(crate) cpu: Cpu,
}

impl<'a> Report<'a> {
    pub(crate) fn new(scenario: &'static str, team: &'a Team, options: &impl serde::Serialize) -> Self {
        let mut options = serde_json::to_value(options).unwrap_or_default();
        options["connection"]["threads"] = team.threads().into();
        Self {
            scenario,
            what: String::new(),
            options,
            team,
            rates: Vec::new(),
            latencies: Vec::new(),
            figures: Vec::new(),
            costs: Vec::new(),
            checks: Checks::default(),
            may_repeat: false,
        }
    }

    /// What publishers and subscribers have done.
    pub(crate) fn exchange(&mut self, tally: Tally) {
        let Tally { checks, sent, received, seconds, delivery, acknowledgement, sending, cpu, .. } = tally;
        self.rates.push(Rate { name: "sent", count: sent, seconds });
        self.rates.push(Rate { name: "received", count: received, seconds });
        self.latencies.push(("delivery", delivery));
        self.latencies.push(("acknowledgement", acknowledgement));
        self.latencies.push(("sending", sending));
        self.costs.push(Cost { name: "message_received", count: received, cpu });
        self.checks.add(&checks);
    }

    /// Whether everything came as it should.
    pub(crate) fn is_good(&self) -> bool {
        let Checks { unsent, unacknowledged, lost, duplicates, out_of_order, wrong, .. } = self.checks;
        unsent + unacknowledged + lost + out_of_order + wrong == 0 && (duplicates == 0 || self.may_repeat)
    }

    /// Writes the table to standard output, and JSON where the options say.
    pub(crate) fn write(&self, output: &Output) -> Result<(), Failure> {
        let text = match output.json.as_deref() {
            Some(path) if path == Path::new("-") => self.json(),
            Some(path) => {
                fs::write(path, self.json()).map_err(|source| unwritable(path, source))?;
                self.table()
            }
            None => self.table(),
        };
        let written = io::stdout().write_all(text.as_bytes());
        written.map_err(|source| Failure::File { path: "standard output".to_owned(), source })
    }
}

impl Output {
    /// Better now than after ten minutes.
    ///
    /// # Errors
    /// If the file for JSON cannot be written.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.json.as_deref().filter(|path| *path != Path::new("-")) {
            None => Ok(()),
            Some(path) => match OpenOptions::new().create(true).append(true).open(path) {
                Ok(_) => Ok(()),
                Err(source) => Err(unwritable(path, source)),
            },
        }
    }
}

fn unwritable(path: &Path, source: io::Error) -> Failure {
    Failure::File { path: path.display().to_string(), source }
}

impl Rate {
    fn per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.count as f64 / self.seconds } else { 0.0 }
    }
}

impl Cost {
    /// Microseconds that one cost: the broker, and this tool.
    fn each(&self) -> (f64, f64) {
        let each = |cpu: u64| cpu as f64 / 1000.0 / self.count.max(1) as f64;
        (each(self.cpu.broker), each(self.cpu.own))
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests;
