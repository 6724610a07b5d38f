//! What the clients do: one file for each scenario.

use crate::{
    failure::Failure,
    options::{Connection, Options, Output, Scenario},
    process::Broker,
    report::Report,
    target::Target,
    team::Team,
};
use std::{process::ExitCode, sync::Arc, thread};

mod fanin;
mod fanout;
mod p2p;

/// Does what was asked for and tells what came of it.
///
/// The code is 0 if all is well, 1 if there are no figures, 2 for options that contradict each other, 3 if messages were lost,
/// came twice though they must not, or out of order.
pub fn run(options: &Options) -> ExitCode {
    let done = match &options.scenario {
        Scenario::P2p(options) => p2p::run(options),
        Scenario::Fanout(options) => fanout::run(options),
        Scenario::Fanin(options) => fanin::run(options),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("tidegate bench: {failure}");
            match failure {
                Failure::Usage(_) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// All that a scenario begins with.
fn assemble(connection: &Connection, output: &Output, most_threads: usize) -> Result<Arc<Team>, Failure> {
    let cores = thread::available_parallelism().map_or(1, Into::into);
    let threads = connection.threads.unwrap_or(cores / 2).clamp(1, most_threads.max(1));
    let run = getrandom::u32()
        .map_err(|error| Failure::System("get a random number", std::io::Error::other(error)))?;
    Ok(Team::new(Target::new(connection)?, threads, run, Broker::new(&output.pids)?))
}

/// Tells what came of a scenario.
fn tell(report: &Report<'_>, output: &Output) -> Result<ExitCode, Failure> {
    report.write(output)?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
