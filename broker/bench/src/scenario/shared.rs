//! Many publish, a group shares the work.

use crate::{
    failure::Failure,
    options::Exchange,
    report::{Figure, Report},
    traffic::{Plan, Subscription},
};
use std::process::ExitCode;

pub(super) fn run(options: &Exchange) -> Result<ExitCode, Failure> {
    let publishers = options.sides.publishers.unwrap_or(20);
    let members = options.sides.subscribers.unwrap_or(20);
    let prefix = format!("{}/shared", options.connection.topic);
    super::exchange("shared", options, (publishers, members), publishers.max(members), |team, pace| {
        let topics = (0..publishers).map(|number| format!("{prefix}/{number}")).collect();
        let filter = format!("$share/bench/{prefix}/+");
        let subscription = |_| Subscription { filter: filter.clone(), sources: 0..publishers };
        let subscriptions = (0..members).map(subscription).collect();
        Plan::new(options.messages, options.span, pace, team.threads(), topics, subscriptions, 1).shared()
    })
}

/// How the messages were spread over the members of the group.
pub(super) fn spread_over(members: &[u64], report: &mut Report<'_>) {
    let mean = members.iter().sum::<u64>() as f64 / members.len().max(1) as f64;
    let (least, most) = (members.iter().min().copied(), members.iter().max().copied());
    report.figures.extend([
        Figure {
            name: "least_of_a_member",
            value: least.unwrap_or(0) as f64,
            text: "messages of the member that got the fewest",
        },
        Figure { name: "mean_of_a_member", value: mean, text: "messages of a member, on average" },
        Figure {
            name: "most_of_a_member",
            value: most.unwrap_or(0) as f64,
            text: "messages of the member that got the most",
        },
    ]);
}
