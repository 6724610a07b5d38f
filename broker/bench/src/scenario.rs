//! What the clients do: one file for each scenario.

use crate::{
    failure::Failure,
    options::{Connection, Exchange, Options, Output, Scenario},
    process::{Broker, allow_sockets},
    progress::Progress,
    report::Report,
    target::Target,
    team::Team,
    traffic::{self, PaceOfAll, Plan},
};
use std::{io, process::ExitCode, sync::Arc, thread};

mod arrivals;
mod churn;
mod connect;
mod fanin;
mod fanout;
mod offline;
mod p2p;
mod retained;
mod shared;
mod storm;

/// Does what was asked for and tells what came of it.
///
/// The code is 0 if all is well, 1 if there are no figures, 2 for options that contradict each other, 3 if messages were lost,
/// came twice though they must not, or out of order, and 130 if the user interrupted it.
pub fn run(options: &Options) -> ExitCode {
    match play(&options.scenario) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("tidegate bench: {failure}");
            match failure {
                Failure::Usage(_) => ExitCode::from(2),
                Failure::Stopped => ExitCode::from(INTERRUPTED),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn play(scenario: &Scenario) -> Result<ExitCode, Failure> {
    if let Some(payload) = scenario.payload() {
        payload.check()?;
    }
    match scenario {
        Scenario::P2p(options) => p2p::run(options),
        Scenario::Fanout(options) => fanout::run(options),
        Scenario::Fanin(options) => fanin::run(options),
        Scenario::Shared(options) => shared::run(options),
        Scenario::Connect(options) => connect::run(options),
        Scenario::Retained(options) => retained::run(options),
        Scenario::Churn(options) => churn::run(options),
        Scenario::Offline(options) => offline::run(options),
        Scenario::Storm(options) => storm::run(options),
    }
}

/// As shells tell it.
const INTERRUPTED: u8 = 130;

/// All that a scenario begins with. `clients` need a socket each; more than `most_threads` would be idle, but for bystanders there is
/// one more. `progress`: what is counted.
fn assemble(
    connection: &Connection,
    output: &Output,
    clients: usize,
    most_threads: u32,
    has_bystanders: bool,
    progress: &[&'static str],
) -> Result<Arc<Team>, Failure> {
    allow_sockets(clients)?;
    output.check()?;
    let cores = thread::available_parallelism().map_or(1, Into::into);
    let threads = connection.threads.unwrap_or(cores / 2).clamp(1, most_threads.max(1) as usize);
    let threads = threads + usize::from(has_bystanders);
    let run =
        getrandom::u32().map_err(|error| Failure::System("get a random number", io::Error::other(error)))?;
    let (target, broker) = (Target::new(connection)?, Broker::new(&output.pids)?);
    Ok(Team::new(target, threads, run, broker, Progress::new(output, progress)))
}

/// Runs a plan of publishers and subscribers, and tells what came of it.
fn exchange(
    name: &'static str,
    options: &Exchange,
    clients: (u32, u32),
    most_threads: u32,
    plan: impl FnOnce(&Team, PaceOfAll) -> Plan,
) -> Result<ExitCode, Failure> {
    let all = clients.0 as usize + clients.1 as usize;
    let team =
        assemble(&options.connection, &options.output, all, most_threads, false, &["sent", "received"])?;
    let mut used = options.clone();
    (used.sides.publishers, used.sides.subscribers) = (Some(clients.0), Some(clients.1));
    let pace = PaceOfAll::new(options.pacing, options.messages.qos);
    if let PaceOfAll::Window(window) = pace {
        used.pacing.window = Some(window);
    }
    let plan = plan(&team, pace);
    let mut tally = traffic::run(&plan, &team)?;
    let members = std::mem::take(&mut tally.members);
    let mut report = Report::new(name, &team, &used);
    report.what = format!("{}, {:.1} s", plan.words(), tally.seconds);
    report.may_repeat = options.messages.qos == tidegate_mqtt::QoS::AtLeastOnce;
    report.exchange(tally);
    if plan.group.is_some() {
        shared::spread_over(&members, &mut report);
    }
    tell(&report, &options.output)
}

/// Tells what came of a scenario.
fn tell(report: &Report<'_>, output: &Output) -> Result<ExitCode, Failure> {
    report.write(output)?;
    Ok(if report.team.meeting.is_interrupted() {
        ExitCode::from(INTERRUPTED)
    } else if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    })
}
