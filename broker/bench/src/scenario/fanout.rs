//! Few publish, each of many gets all of it.

use crate::{
    failure::Failure,
    options::Exchange,
    traffic::{Plan, Subscription},
};
use std::process::ExitCode;

pub(super) fn run(options: &Exchange) -> Result<ExitCode, Failure> {
    let publishers = options.sides.publishers.unwrap_or(1);
    let subscribers = options.sides.subscribers.unwrap_or(200);
    let prefix = format!("{}/fanout", options.connection.topic);
    super::exchange("fanout", options, (publishers, subscribers), subscribers, |team, pace| {
        let topics = (0..publishers).map(|number| format!("{prefix}/{number}")).collect();
        let filter = if publishers == 1 { format!("{prefix}/0") } else { format!("{prefix}/+") };
        let subscription = |_| Subscription { filter: filter.clone(), sources: 0..publishers };
        let subscriptions = (0..subscribers).map(subscription).collect();
        Plan::new(options.messages, options.span, pace, team.threads(), topics, subscriptions, subscribers)
    })
}
