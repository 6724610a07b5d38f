//! Many publish, few get all of it, by a wildcard.

use crate::{
    failure::Failure,
    options::Exchange,
    traffic::{Plan, Subscription},
};
use std::process::ExitCode;

pub(super) fn run(options: &Exchange) -> Result<ExitCode, Failure> {
    let publishers = options.sides.publishers.unwrap_or(100);
    let subscribers = options.sides.subscribers.unwrap_or(1);
    let prefix = format!("{}/fanin", options.connection.topic);
    super::exchange("fanin", options, (publishers, subscribers), publishers, |team, pace| {
        let topics = (0..publishers).map(|number| format!("{prefix}/{number}")).collect();
        let subscription = |_| Subscription { filter: format!("{prefix}/+"), sources: 0..publishers };
        let subscriptions = (0..subscribers).map(subscription).collect();
        Plan::new(options.messages, options.span, pace, team.threads(), topics, subscriptions, subscribers)
    })
}
