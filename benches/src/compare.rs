//! Tidegate beside other brokers, and beside a floor that only relays: each broker bears each load, one after the other, round by round.
//!
//! `benches/compare`, which also gets the other brokers.

mod bars;
mod brokers;
mod machine;
mod plugins;
mod results;
mod rows;
mod table;

use crate::{generator, peer::Peer};
use brokers::{Broker, Contender};
use clap::Parser;
use results::{Fault, Results, Run};
use rows::{Amount, Load, ROWS, Row};
use serde_json::{Value, json};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Tidegate beside other brokers: CPU and memory of each under the same loads, and what their clients feel
#[derive(Debug, Parser)]
#[command(name = "benches/compare")]
pub(crate) struct Options {
    /// How often everything is measured; brokers take turns in being first [default: 3, 1 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// How long each load is measured [default: 5s, 1s with --quick]
    #[arg(long, value_name = "TIME")]
    duration: Option<String>,
    /// Only these rows of the table, by number
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=11))]
    rows: Vec<u8>,
    /// Only these brokers
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    brokers: Vec<Broker>,
    /// Ours alone, without plugins and with each of some, instead of brokers
    #[arg(long, conflicts_with = "brokers")]
    plugins: bool,
    /// One short round: whether it works, not what it costs
    #[arg(long)]
    quick: bool,
    /// The floor's source
    #[arg(long, value_name = "FOLDER", env = "TIDEGATE_FLOOR", default_value = "../shared/floor")]
    floor: PathBuf,
    /// Write what the load generator said of every run
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What takes part: a broker, or ours with a plugin.
trait Entrant {
    fn name(&self) -> &'static str;

    fn version(&self) -> &str;

    /// Whether it knows enough for this load.
    fn bears(&self, load: &Load) -> bool;

    /// # Errors
    /// Why it does not listen.
    fn start(&self, load: &Load) -> Result<Peer, String>;

    /// More options of the load generator.
    fn options(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What is measured, how often, and how much of it.
struct Comparison<'a> {
    rows: Vec<&'static Row>,
    rounds: u32,
    amount: Amount,
    /// Where everything goes that was told.
    json: Option<&'a Path>,
}

/// Measures and prints.
pub(crate) fn bench(options: &Options) {
    let comparison = Comparison::new(options);
    if options.plugins {
        plugins::bench(&comparison);
    } else {
        let contenders = contenders(options);
        let results = comparison.results(&contenders);
        table::print(&results, &comparison.rows, &contenders, &comparison.measured());
    }
}

impl<'a> Comparison<'a> {
    fn new(options: &'a Options) -> Self {
        let wanted = |row: &&Row| options.rows.is_empty() || options.rows.contains(&row.number);
        let (duration, warmup, clients, idle) =
            if options.quick { ("1s", "300ms", 500, "1s") } else { ("5s", "1s", 5_000, "3s") };
        let amount = Amount {
            duration: options.duration.clone().unwrap_or_else(|| duration.to_owned()),
            warmup: warmup.to_owned(),
            clients,
            idle: idle.to_owned(),
        };
        Self {
            rows: ROWS.iter().filter(wanted).collect(),
            rounds: options.rounds.unwrap_or(if options.quick { 1 } else { 3 }),
            amount,
            json: options.json.as_deref(),
        }
    }

    /// In words.
    fn measured(&self) -> String {
        let plural = if self.rounds == 1 { "" } else { "s" };
        format!("Medians of {} round{plural}, {} each", self.rounds, self.amount.duration)
    }

    /// Each load is borne by all, one after the other; another one is first in every round.
    fn results(&self, all: &[impl Entrant]) -> Results {
        let mut results = Results::default();
        for round in 1..=self.rounds {
            // What is there so far, and at once, so that a file that cannot be written is no surprise at the end.
            self.save(&results, all);
            for load in loads(&self.rows) {
                let first = (round as usize - 1) % all.len().max(1);
                let (later, sooner) = all.split_at(first);
                for entrant in sooner.iter().chain(later).filter(|entrant| entrant.bears(load)) {
                    let outcome = run(entrant, load, &self.amount);
                    eprintln!(
                        "round {round} of {}, {}, {}: {}",
                        self.rounds,
                        load.name,
                        entrant.name(),
                        in_short(&self.rows, load, &outcome)
                    );
                    results.0.push(Run { round, load: load.name, by: entrant.name(), outcome });
                }
            }
        }
        self.save(&results, all);
        results
    }

    /// To the file that was asked for, if one was.
    fn save(&self, results: &Results, all: &[impl Entrant]) {
        let Some(file) = self.json else { return };
        let brokers = all.iter().map(|one| json!({ "name": one.name(), "version": one.version() }));
        let (brokers, runs): (Value, Value) = (brokers.collect(), results.0.iter().map(told).collect());
        let all = json!({ "machine": machine::described(), "brokers": brokers, "runs": runs });
        fs::write(file, format!("{all:#}\n")).unwrap();
    }
}

/// Those that are wanted and there, in the order of the table.
fn contenders(options: &Options) -> Vec<Contender> {
    let wanted = |broker: &Broker| options.brokers.is_empty() || options.brokers.contains(broker);
    let found = Broker::ALL.into_iter().filter(wanted).map(|broker| (broker, broker.find(&options.floor)));
    found
        .filter_map(|(broker, found)| {
            found.inspect_err(|why| eprintln!("{} is left out: {why}", broker.name())).ok()
        })
        .collect()
}

/// Each once, in the order of the table.
fn loads<'a>(rows: &[&'a Row]) -> Vec<&'a Load> {
    let mut loads: Vec<&Load> = Vec::new();
    for row in rows {
        if loads.iter().all(|load| load.name != row.load.name) {
            loads.push(&row.load);
        }
    }
    loads
}

/// A broker of its own for each run, so that no run has to do with what another has left.
fn run(entrant: &impl Entrant, load: &Load, amount: &Amount) -> Result<Value, Fault> {
    let mut peer =
        entrant.start(load).map_err(|why| Fault { word: "does not start".to_owned(), sentence: why })?;
    let mut arguments = load.arguments(amount);
    arguments.extend(entrant.options());
    let outcome = generate(peer.address(), peer.pid(), arguments);
    if peer.has_ended() {
        let sentence = outcome.err().map_or_else(String::new, |fault| fault.sentence);
        return Err(Fault { word: "ends".to_owned(), sentence: format!("the broker ended. {sentence}") });
    }
    outcome
}

/// In MQTT 3.1.1, which all of them speak, the floor too.
fn generate(address: SocketAddr, pid: u32, mut arguments: Vec<String>) -> Result<Value, Fault> {
    arguments.extend(["--mqtt", "3.1.1"].map(str::to_owned));
    let generator::Ended { code, told, said } = generator::run(&arguments, address, pid);
    match (code, told) {
        (Some(0), Some(told)) => Ok(told),
        (Some(3), Some(told)) => Err(fault(&told["checks"])),
        _ => Err(Fault { word: "fails".to_owned(), sentence: said }),
    }
}

/// Of checks that found something.
fn fault(checks: &Value) -> Fault {
    const WORDS: [(&str, &str); 6] = [
        ("lost", "loses"),
        ("unsent", "does not take"),
        ("unacknowledged", "does not acknowledge"),
        ("wrong", "mistakes"),
        ("out_of_order", "reorders"),
        ("duplicates", "doubles"),
    ];
    let found = WORDS.iter().find_map(|(key, word)| {
        let count = checks[key].as_u64().filter(|count| *count > 0)?;
        Some(format!("{word} {count}"))
    });
    Fault { word: found.unwrap_or_else(|| "fails".to_owned()), sentence: checks.to_string() }
}

/// For the line of a run.
fn in_short(rows: &[&Row], load: &Load, outcome: &Result<Value, Fault>) -> String {
    let figure =
        |told: &Value, row: &&&Row| Some(format!("{} {:.2}", row.what, told.pointer(row.figure)?.as_f64()?));
    let of_load = rows.iter().filter(|row| row.load.name == load.name);
    match outcome {
        Ok(told) => of_load.filter_map(|row| figure(told, &row)).collect::<Vec<_>>().join("; "),
        Err(fault) => format!("{}: {}", fault.word, fault.sentence),
    }
}

fn told(run: &Run) -> Value {
    let (bench, fault) = match &run.outcome {
        Ok(bench) => (Some(bench), None),
        Err(fault) => (None, Some(format!("{}: {}", fault.word, fault.sentence))),
    };
    json!({ "round": run.round, "load": run.load, "broker": run.by, "bench": bench, "fault": fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_read_the_same_run_share_it() {
        let all: Vec<&Row> = ROWS.iter().collect();
        assert_eq!(loads(&all).len(), 9);
    }

    #[test]
    fn what_is_wrong_has_a_word() {
        let lost = fault(&json!({ "lost": 3, "duplicates": 1, "out_of_order": 0 }));
        assert_eq!(lost.word, "loses 3");
        assert_eq!(fault(&json!({ "duplicates": 7 })).word, "doubles 7");
        assert_eq!(fault(&json!({})).word, "fails");
    }
}
