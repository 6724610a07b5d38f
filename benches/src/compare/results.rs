//! What came of all runs, and what is read from that. Brokers are compared round by round: what disturbs one disturbs its neighbours.

use super::{
    brokers::Broker,
    rows::{Load, Row},
};
use crate::measure::median;
use serde_json::Value;
use std::fmt;

/// One load, borne by one, in one round.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) round: u32,
    pub(crate) load: &'static str,
    /// The name of who bore it.
    pub(crate) by: &'static str,
    pub(crate) outcome: Result<Value, Fault>,
}

/// Why there is no figure.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    /// For a cell of the table.
    pub(crate) word: String,
    /// For the list below it.
    pub(crate) sentence: String,
}

/// Why a cell has no figure.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Missing {
    /// The broker has not borne this load.
    NotRun,
    /// A round went wrong: the word for it.
    Failed(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotRun => "–",
            Self::Failed(word) => word,
        })
    }
}

/// All runs.
#[derive(Debug, Default)]
pub(crate) struct Results(pub(crate) Vec<Run>);

impl Results {
    /// What was seen of one, a value each round, in the order of the rounds.
    ///
    /// # Errors
    /// If a round failed or there was none.
    pub(crate) fn values(&self, load: &Load, by: &str, figure: &str) -> Result<Vec<f64>, Missing> {
        let mut runs: Vec<&Run> = self.0.iter().filter(|run| run.load == load.name && run.by == by).collect();
        runs.sort_by_key(|run| run.round);
        if runs.is_empty() {
            return Err(Missing::NotRun);
        }
        let value = |run: &Run| match &run.outcome {
            Ok(told) => told
                .pointer(figure)
                .and_then(Value::as_f64)
                .ok_or_else(|| Missing::Failed("tells none".to_owned())),
            Err(fault) => Err(Missing::Failed(fault.word.clone())),
        };
        runs.into_iter().map(value).collect()
    }

    /// The median of one's over another's of the same round.
    ///
    /// # Errors
    /// If one of them has no value.
    pub(crate) fn ratio(&self, load: &Load, figure: &str, of: &str, to: &str) -> Result<f64, Missing> {
        self.by_round(load, figure, [of, to], |of, to| of / to)
    }

    /// The median of what one has more than another in the same round.
    ///
    /// # Errors
    /// If one of them has no value.
    pub(crate) fn more(&self, load: &Load, figure: &str, of: &str, than: &str) -> Result<f64, Missing> {
        self.by_round(load, figure, [of, than], |of, than| of - than)
    }

    fn by_round(
        &self,
        load: &Load,
        figure: &str,
        [of, to]: [&str; 2],
        compared: impl Fn(f64, f64) -> f64,
    ) -> Result<f64, Missing> {
        let (of, to) = (self.values(load, of, figure)?, self.values(load, to, figure)?);
        Ok(median(of.into_iter().zip(to).map(|(of, to)| compared(of, to))))
    }

    /// The median of ours over a broker's of the same round.
    ///
    /// # Errors
    /// If one of them has no value.
    pub(crate) fn ours_to(&self, load: &Load, figure: &str, broker: Broker) -> Result<f64, Missing> {
        self.ratio(load, figure, Broker::Tidegate.name(), broker.name())
    }

    /// The peer that comes closest to us, or is farthest ahead, and the ratio of ours to its. None if no peer has a value.
    ///
    /// # Errors
    /// If we have none.
    pub(crate) fn best_peer(
        &self,
        load: &Load,
        figure: &str,
        more_is_better: bool,
    ) -> Result<Option<(Broker, f64)>, Missing> {
        self.values(load, Broker::Tidegate.name(), figure)?;
        let peers = Broker::ALL.into_iter().filter(|broker| broker.is_peer());
        let ratios = peers.filter_map(|peer| Some((peer, self.ours_to(load, figure, peer).ok()?)));
        let by_ratio = |left: &(Broker, f64), right: &(Broker, f64)| left.1.total_cmp(&right.1);
        Ok(if more_is_better { ratios.min_by(by_ratio) } else { ratios.max_by(by_ratio) })
    }

    /// How far apart a broker's rounds were, of its median; that of the broker whose rounds were farthest apart. None without any figure.
    pub(crate) fn spread(&self, row: &Row) -> Option<f64> {
        let of = |broker: Broker| self.values(&row.load, broker.name(), row.figure).ok();
        Broker::ALL.into_iter().filter_map(of).map(|values| spread(&values)).max_by(f64::total_cmp)
    }
}

/// From the least to the most, as a part of the median.
fn spread(values: &[f64]) -> f64 {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (most - least) / median(values.iter().copied())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::compare::rows::ROWS;
    use serde_json::json;

    /// Of the first row: what each broker needs for a message, by round.
    pub(crate) fn results(costs: &[(Broker, &[f64])]) -> Results {
        let mut results = Results::default();
        for (broker, costs) in costs {
            for (round, cost) in (1..).zip(*costs) {
                let told = json!({
                    "broker": { "cpu_us_per": { "message_received": cost }, "rss_mib": { "peak": cost } },
                    "rates": { "received": { "per_second": 1_000_000.0 / cost } },
                    "latency_us": { "delivery": { "p50": cost, "p99": cost, "p99_9": cost } },
                });
                results.0.push(run(round, *broker, Ok(told)));
            }
        }
        results
    }

    /// Of the first row, too.
    pub(crate) fn run(round: u32, broker: Broker, outcome: Result<Value, Fault>) -> Run {
        Run { round, load: ROWS[0].load.name, by: broker.name(), outcome }
    }

    #[test]
    fn what_is_compared_is_of_the_same_round() {
        // The second round was slow for both.
        let results = results(&[(Broker::Tidegate, &[1.0, 10.0, 1.0]), (Broker::Mochi, &[2.0, 20.0, 4.0])]);
        let Row { load, figure, .. } = &ROWS[0];
        assert_eq!(results.ours_to(load, figure, Broker::Mochi), Ok(0.5));
        assert_eq!(results.more(load, figure, Broker::Mochi.name(), Broker::Tidegate.name()), Ok(3.0));
    }

    #[test]
    fn spread_is_a_part_of_the_median() {
        assert_eq!(spread(&[9.0, 10.0, 12.0]), 0.3);
        assert_eq!(spread(&[10.0]), 0.0);
    }

    #[test]
    fn rounds_are_put_in_order() {
        let mut results = results(&[(Broker::Mochi, &[1.0, 2.0, 3.0])]);
        results.0.reverse();
        let row = &ROWS[0];
        assert_eq!(results.values(&row.load, Broker::Mochi.name(), row.figure), Ok(vec![1.0, 2.0, 3.0]));
    }

    #[test]
    fn a_round_that_failed_takes_the_figure() {
        let mut results = results(&[(Broker::Tidegate, &[1.0]), (Broker::Mochi, &[1.0])]);
        let fault = Fault { word: "loses 3".to_owned(), sentence: String::new() };
        results.0.push(run(2, Broker::Mochi, Err(fault)));
        let row = &ROWS[0];
        assert_eq!(
            results.values(&row.load, Broker::Mochi.name(), row.figure),
            Err(Missing::Failed("loses 3".to_owned()))
        );
        assert_eq!(results.best_peer(&row.load, row.figure, false), Ok(None));
    }

    #[test]
    fn the_best_peer_is_the_one_that_is_hardest_to_beat() {
        let results = results(&[
            (Broker::Floor, &[0.5]),
            (Broker::Tidegate, &[2.0]),
            (Broker::Mosquitto, &[4.0]),
            (Broker::Mochi, &[8.0]),
        ]);
        let row = &ROWS[0];
        assert_eq!(results.best_peer(&row.load, row.figure, false), Ok(Some((Broker::Mosquitto, 0.5))));
        let throughput = "/rates/received/per_second";
        assert_eq!(results.best_peer(&row.load, throughput, true), Ok(Some((Broker::Mosquitto, 2.0))));
    }
}
