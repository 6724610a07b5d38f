//! Pairs: each publisher has a topic and a subscriber of its own.

use crate::{
    failure::Failure,
    options::Exchange,
    report::Report,
    traffic::{self, Plan, Subscription},
};
use std::process::ExitCode;

pub(super) fn run(options: &Exchange) -> Result<ExitCode, Failure> {
    let load = &options.load;
    let pairs = match (load.publishers, load.subscribers) {
        (Some(publishers), Some(subscribers)) if publishers != subscribers => {
            let why =
                format!("p2p needs a subscriber for each publisher, not {subscribers} for {publishers}");
            return Err(Failure::Usage(why));
        }
        (publishers, subscribers) => publishers.or(subscribers).unwrap_or(20),
    };
    let team = super::assemble(&options.connection, &options.output, pairs as usize)?;
    let topics: Vec<String> =
        (0..pairs).map(|number| format!("{}/p2p/{number}", options.connection.topic)).collect();
    let subscription = |(filter, number): (&String, u32)| {
        let sources = number..number + 1;
        Subscription { filter: filter.clone(), sources }
    };
    let subscriptions = topics.iter().zip(0..).map(subscription).collect();
    let plan = Plan::new(options, team.threads(), topics, subscriptions, 1);
    let tally = traffic::run(&plan, &team)?;
    super::tell(&Report::of_traffic("p2p", options, &plan, &team, tally), &options.output)
}
