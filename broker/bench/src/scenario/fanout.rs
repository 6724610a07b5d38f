//! Few publish, each of many gets all of it.

use crate::{
    failure::Failure,
    options::Exchange,
    report::Report,
    traffic::{self, Plan, Subscription},
};
use std::process::ExitCode;

pub(super) fn run(options: &Exchange) -> Result<ExitCode, Failure> {
    let publishers = options.load.publishers.unwrap_or(1);
    let subscribers = options.load.subscribers.unwrap_or(200);
    let team = super::assemble(&options.connection, &options.output, subscribers as usize)?;
    let prefix = format!("{}/fanout", options.connection.topic);
    let topics = (0..publishers).map(|number| format!("{prefix}/{number}")).collect();
    let filter = if publishers == 1 { format!("{prefix}/0") } else { format!("{prefix}/+") };
    let subscription = |_| Subscription { filter: filter.clone(), sources: 0..publishers };
    let subscriptions = (0..subscribers).map(subscription).collect();
    let plan = Plan::new(options, team.threads(), topics, subscriptions, subscribers);
    let tally = traffic::run(&plan, &team)?;
    super::tell(&Report::of_traffic("fanout", options, &plan, &team, tally), &options.output)
}
