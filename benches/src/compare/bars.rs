//! What was asked of ours, and whether it was met.

use super::{
    brokers::Broker,
    results::Results,
    rows::{FELT, Felt, Kind, P99, Row},
};

/// One sentence of what ours should be, and what it is.
#[derive(Debug, PartialEq)]
pub(crate) struct Bar {
    pub(crate) row: u8,
    pub(crate) what: String,
    pub(crate) verdict: Verdict,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// With what was seen.
    Met(String),
    /// With what was seen.
    Missed(String),
    /// With the reason.
    NotMeasured(String),
}

/// Of this row, all of them.
pub(crate) fn of_row(results: &Results, row: &Row) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut add = |what, verdict| bars.push(Bar { row: row.number, what, verdict });
    if let Some(limit) = row.bars.of_floor {
        let seen = results.ratio(&row.load, row.figure, Broker::Floor);
        add(format!("at most {limit} times the floor"), at_most(limit, own(results, row).and(Ok(seen))));
    }
    if let Some(limit) = row.bars.of_best_peer {
        add(format!("at most {limit} times the best peer"), best_peer(results, row, limit));
    }
    if let Some(limit) = row.bars.at_most {
        let seen = results.values(&row.load, Broker::Tidegate, row.figure);
        let seen = seen.map(|values| Ok(crate::measure::median(values.into_iter())));
        add(format!("at most {limit}"), at_most(limit, seen));
    }
    // Rows that share a load share what is felt of it, too: it is told with the first of them.
    if row.bars.of_best_peer.is_some() {
        match row.load.kind {
            Kind::Closed => {
                for felt in &FELT {
                    add(format!("{} ahead of every peer", felt.name), ahead(results, row, felt));
                }
            }
            Kind::Open => {
                let seen = results.ratio(&row.load, P99.figure, Broker::Mosquitto);
                let seen = results.values(&row.load, Broker::Tidegate, P99.figure).and(Ok(seen));
                add("p99 no worse than Mosquitto's".to_owned(), at_most(1.0, seen));
            }
            Kind::Connect => {}
        }
    }
    bars
}

/// Whether we have a figure at all: who has none has missed.
fn own(results: &Results, row: &Row) -> Result<(), String> {
    results.values(&row.load, Broker::Tidegate, row.figure).map(|_| ())
}

fn best_peer(results: &Results, row: &Row, limit: f64) -> Verdict {
    match results.best_peer(&row.load, row.figure, false) {
        Ok(Some((peer, ratio))) => judged(ratio <= limit, format!("{ratio:.2} ({})", peer.name())),
        Ok(None) => Verdict::NotMeasured("no peer has a figure".to_owned()),
        Err(word) => failed(word),
    }
}

fn ahead(results: &Results, row: &Row, felt: &Felt) -> Verdict {
    match results.best_peer(&row.load, felt.figure, felt.more_is_better) {
        Ok(Some((peer, ratio))) => {
            let met = if felt.more_is_better { ratio > 1.0 } else { ratio < 1.0 };
            judged(met, format!("{ratio:.2} times {}'s", peer.name()))
        }
        Ok(None) => Verdict::NotMeasured("no peer has a figure".to_owned()),
        Err(word) => failed(word),
    }
}

/// `seen`: an error of its own if we have no figure, one within if the other has none.
fn at_most(limit: f64, seen: Result<Result<f64, String>, String>) -> Verdict {
    match seen {
        Ok(Ok(seen)) => judged(seen <= limit, format!("{seen:.2}")),
        Ok(Err(_)) => Verdict::NotMeasured("the other has no figure".to_owned()),
        Err(word) => failed(word),
    }
}

fn judged(met: bool, seen: String) -> Verdict {
    if met { Verdict::Met(seen) } else { Verdict::Missed(seen) }
}

fn failed(word: String) -> Verdict {
    if word == "–" {
        Verdict::NotMeasured("Tidegate did not take part".to_owned())
    } else {
        Verdict::Missed(word)
    }
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
        assert_eq!(found[0], Verdict::Met("2.50".to_owned()));
        assert_eq!(found[1], Verdict::Missed("1.00 (Mosquitto)".to_owned()));
        for felt in &found[2..] {
            assert_eq!(*felt, Verdict::Missed("1.00 times Mosquitto's".to_owned()));
        }
        let ahead = [(Broker::Floor, &[2.0][..]), (Broker::Tidegate, &[6.0]), (Broker::Mochi, &[12.0])];
        let found = verdicts(&results(&ahead));
        assert_eq!(found[0], Verdict::Missed("3.00".to_owned()));
        assert_eq!(found[1], Verdict::Met("0.50 (Mochi)".to_owned()));
        assert_eq!(found[2], Verdict::Met("2.00 times Mochi's".to_owned()));
        assert_eq!(found[3], Verdict::Met("0.50 times Mochi's".to_owned()));
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
        assert_eq!(found[0].verdict, Verdict::Met("16.00".to_owned()));
    }
}
