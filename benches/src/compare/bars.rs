//! What was asked of ours, and whether it was met.

use super::{
    brokers::Broker,
    results::{Missing, Results},
    rows::{FELT, Felt, Kind, MESSAGE, P99, Row},
};
use crate::measure::median;
use std::fmt;

/// What ours should be, and whether it is.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) row: u8,
    /// In words.
    pub(crate) asked: String,
    pub(crate) verdict: Verdict,
}

#[derive(Debug)]
enum Asked {
    TimesTheFloor(f64),
    TimesTheBestPeer(f64),
    AtMost(f64),
    AheadOfEveryPeer(&'static Felt),
    P99OfMosquitto,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// With what was seen.
    Met(String),
    /// With what was seen.
    Missed(String),
    /// With the reason.
    NotMeasured(&'static str),
}

/// All of this row.
pub(crate) fn of_row(results: &Results, row: &Row) -> Vec<Bar> {
    // Who has no figure has not met anything.
    let ours =
        results.values(&row.load, Broker::Tidegate.name(), row.figure).err().map(|missing| match missing {
            Missing::NotRun => Verdict::NotMeasured("Tidegate did not take part"),
            Missing::Failed(word) => Verdict::Missed(word),
        });
    let bar = |asked: Asked| {
        let verdict = ours.clone().unwrap_or_else(|| asked.verdict(results, row));
        Bar { row: row.number, asked: asked.to_string(), verdict }
    };
    asked(row).into_iter().map(bar).collect()
}

fn asked(row: &Row) -> Vec<Asked> {
    let mut asked = Vec::new();
    asked.extend(row.bars.of_floor.map(Asked::TimesTheFloor));
    asked.extend(row.bars.of_best_peer.map(Asked::TimesTheBestPeer));
    asked.extend(row.bars.at_most.map(Asked::AtMost));
    match row.load.kind {
        Kind::Closed if row.figure == MESSAGE => {
            asked.extend(FELT.iter().map(Asked::AheadOfEveryPeer));
        }
        Kind::Open => asked.push(Asked::P99OfMosquitto),
        Kind::Closed | Kind::Connect => {}
    }
    asked
}

impl Asked {
    fn verdict(&self, results: &Results, row: &Row) -> Verdict {
        let to =
            |broker, figure| results.ours_to(&row.load, figure, broker).ok().map(|ratio| (broker, ratio));
        let best = |figure, more| results.best_peer(&row.load, figure, more).ok().flatten();
        match self {
            Self::TimesTheFloor(limit) => times(to(Broker::Floor, row.figure), |ratio| ratio <= *limit),
            Self::TimesTheBestPeer(limit) => times(best(row.figure, false), |ratio| ratio <= *limit),
            Self::P99OfMosquitto => times(to(Broker::Mosquitto, P99.figure), |ratio| ratio <= 1.0),
            Self::AheadOfEveryPeer(felt) => {
                let ahead = |ratio| if felt.more_is_better { ratio > 1.0 } else { ratio < 1.0 };
                times(best(felt.figure, felt.more_is_better), ahead)
            }
            Self::AtMost(limit) => match results.values(&row.load, Broker::Tidegate.name(), row.figure) {
                Ok(values) => {
                    let seen = median(values.into_iter());
                    judged(seen <= *limit, format!("{seen:.1}"))
                }
                Err(_) => Verdict::NotMeasured("no figure"),
            },
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimesTheFloor(limit) => write!(formatter, "at most {limit} times the floor"),
            Self::TimesTheBestPeer(limit) => write!(formatter, "at most {limit} times the best peer"),
            Self::AtMost(limit) => write!(formatter, "at most {limit}"),
            Self::AheadOfEveryPeer(felt) => write!(formatter, "{} ahead of every peer", felt.name),
            Self::P99OfMosquitto => formatter.write_str("p99 no worse than Mosquitto's"),
        }
    }
}

/// `seen`: to whom, and the ratio.
fn times(seen: Option<(Broker, f64)>, met: impl Fn(f64) -> bool) -> Verdict {
    match seen {
        Some((broker, ratio)) => judged(met(ratio), format!("{ratio:.3} times {}", broker.name())),
        None => Verdict::NotMeasured("nobody to compare with"),
    }
}

pub(crate) fn judged(met: bool, seen: String) -> Verdict {
    if met { Verdict::Met(seen) } else { Verdict::Missed(seen) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{
        results::{
            Fault,
            tests::{results, run},
        },
        rows::ROWS,
    };

    fn verdicts(results: &Results) -> Vec<Verdict> {
        of_row(results, &ROWS[0]).into_iter().map(|bar| bar.verdict).collect()
    }

    #[test]
    fn bars_are_met_up_to_the_limit_and_ahead_is_more_than_equal() {
        let equal = [(Broker::Floor, &[2.0][..]), (Broker::Tidegate, &[5.0]), (Broker::Mosquitto, &[5.0])];
        let found = verdicts(&results(&equal));
        assert_eq!(found[0], Verdict::Met("2.500 times floor".to_owned()));
        assert_eq!(found[1], Verdict::Missed("1.000 times Mosquitto".to_owned()));
        for felt in &found[2..] {
            assert_eq!(*felt, Verdict::Missed("1.000 times Mosquitto".to_owned()));
        }
        let ahead = [(Broker::Floor, &[2.0][..]), (Broker::Tidegate, &[6.0]), (Broker::Mochi, &[12.0])];
        let found = verdicts(&results(&ahead));
        assert_eq!(found[0], Verdict::Missed("3.000 times floor".to_owned()));
        assert_eq!(found[1], Verdict::Met("0.500 times Mochi".to_owned()));
        assert_eq!(found[2], Verdict::Met("2.000 times Mochi".to_owned()));
        assert_eq!(found[3], Verdict::Met("0.500 times Mochi".to_owned()));
    }

    #[test]
    fn without_others_nothing_is_measured_and_a_fault_of_ours_misses() {
        let alone = results(&[(Broker::Tidegate, &[1.0])]);
        assert!(verdicts(&alone).iter().all(|verdict| matches!(verdict, Verdict::NotMeasured(_))));
        let fault = Fault { word: "loses 3".to_owned(), sentence: String::new() };
        let mut lost = results(&[(Broker::Floor, &[1.0]), (Broker::Mosquitto, &[2.0])]);
        lost.0.push(run(1, Broker::Tidegate, Err(fault)));
        let missed = Verdict::Missed("loses 3".to_owned());
        assert!(verdicts(&lost).iter().all(|verdict| *verdict == missed));
        let absent = results(&[(Broker::Mosquitto, &[2.0])]);
        assert!(verdicts(&absent).iter().all(|verdict| matches!(verdict, Verdict::NotMeasured(_))));
    }

    #[test]
    fn memory_has_a_limit_in_its_own_unit() {
        let memory = ROWS.iter().find(|row| row.number == 11).unwrap();
        let found = of_row(&results(&[(Broker::Tidegate, &[15.0, 17.0, 16.0])]), memory);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].verdict, Verdict::Met("16.0".to_owned()));
    }
}
