//! Pairs: each publisher has a topic and a subscriber of its own.

use crate::{failure::Failure, options::Exchange, traffic::Plan};
use std::process::ExitCode;

pub(super) fn run(options: &Exchange) -> Result<ExitCode, Failure> {
    let pairs = match (options.sides.publishers, options.sides.subscribers) {
        (Some(publishers), Some(subscribers)) if publishers != subscribers => {
            let why =
                format!("p2p needs a subscriber for each publisher, not {subscribers} for {publishers}");
            return Err(Failure::Usage(why));
        }
        (publishers, subscribers) => publishers.or(subscribers).unwrap_or(20),
    };
    let prefix = format!("{}/p2p", options.connection.topic);
    super::exchange("p2p", options, (pairs, pairs), pairs, |team, pace| {
        Plan::pairs(options.messages, options.span, pace, team.threads(), &prefix, pairs)
    })
}
