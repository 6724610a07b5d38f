//! Many publish, few get all of it, by a wildcard.

use crate::{
    failure::Failure,
    options::Exchange,
    report::Report,
    traffic::{self, Plan, Subscription},
};
use std::process::ExitCode;

pub(super) fn run(options: &Exchange) -> Result<ExitCode, Failure> {
    let publishers = options.load.publishers.unwrap_or(100);
    let subscribers = options.load.subscribers.unwrap_or(1);
    let team = super::assemble(&options.connection, &options.output, publishers as usize)?;
    let prefix = format!("{}/fanin", options.connection.topic);
    let topics = (0..publishers).map(|number| format!("{prefix}/{number}")).collect();
    let subscription = |_| Subscription { filter: format!("{prefix}/+"), sources: 0..publishers };
    let subscriptions = (0..subscribers).map(subscription).collect();
    let plan = Plan::new(options, team.threads(), topics, subscriptions, subscribers);
    let tally = traffic::run(&plan, &team)?;
    super::tell(&Report::of_traffic("fanin", options, &plan, &team, tally), &options.output)
}
