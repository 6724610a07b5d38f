//! The results as Markdown.

use super::{
    Entrant,
    bars::{self, Bar, Verdict},
    brokers::{Broker, Contender},
    machine,
    results::{Missing, Results},
    rows::{FELT, Felt, MESSAGE, Row},
};
use crate::measure::median;

/// Everything: the machine, the table, what is felt, the bars, and what went wrong. `measured`: how long and how often.
pub(crate) fn print(results: &Results, rows: &[&Row], contenders: &[Contender], measured: &str) {
    let brokers: Vec<Broker> = contenders.iter().map(|contender| contender.broker).collect();
    let versions: Vec<&str> = contenders.iter().map(Entrant::version).collect();
    println!("{}. {}. {measured}.\n", machine::described(), versions.join(", "));
    costs(results, rows, &brokers);
    felt(results, rows, &brokers);
    verdicts(rows.iter().flat_map(|row| bars::of_row(results, row)).collect());
    faults(results);
}

fn costs(results: &Results, rows: &[&Row], brokers: &[Broker]) {
    let names = brokers.iter().map(|broker| broker.name().to_owned());
    let head = ["", "load", "lower is better"].map(str::to_owned).into_iter().chain(names);
    let head = head.chain(["ours / floor", "ours / best peer", "spread"].map(str::to_owned));
    header(head.collect());
    for row in rows {
        let mut cells = vec![row.number.to_string(), row.load.name.to_owned(), row.what.to_owned()];
        cells.extend(brokers.iter().map(|broker| {
            let values = results.values(&row.load, broker.name(), row.figure);
            values.map_or_else(|missing| missing.to_string(), |values| digits(median(values.into_iter())))
        }));
        let to_floor = results.ours_to(&row.load, row.figure, Broker::Floor);
        cells.push(to_floor.map_or_else(|_| "–".to_owned(), |ratio| format!("{ratio:.2}")));
        let best = results.best_peer(&row.load, row.figure, false).ok().flatten();
        let best = best.map(|(peer, ratio)| format!("{ratio:.2} ({})", peer.name()));
        cells.push(best.unwrap_or_else(|| "–".to_owned()));
        let spread = results.spread(row).map(|spread| format!("{:.0} %", 100.0 * spread));
        cells.push(spread.unwrap_or_else(|| "–".to_owned()));
        line(&cells);
    }
    println!();
}

/// A line for each broker that has borne a load.
fn felt(results: &Results, rows: &[&Row], brokers: &[Broker]) {
    let of_messages = |row: &&&Row| row.figure == MESSAGE;
    let rows: Vec<_> = rows.iter().filter(of_messages).collect();
    if rows.is_empty() {
        return;
    }
    header(["", "load", "broker", "messages/s", "p50, ms", "p99, ms", "p99.9, ms"].map(str::to_owned).into());
    for row in rows {
        for broker in brokers {
            let shown = |felt: &Felt| match results.values(&row.load, broker.name(), felt.figure) {
                Ok(values) if felt.more_is_better => format!("{:.0}", median(values.into_iter())),
                Ok(values) => digits(median(values.into_iter()) / 1000.0),
                Err(missing) => missing.to_string(),
            };
            if results.values(&row.load, broker.name(), row.figure) != Err(Missing::NotRun) {
                let names = [row.number.to_string(), row.load.name.to_owned(), broker.name().to_owned()];
                line(&names.into_iter().chain(FELT.iter().map(shown)).collect::<Vec<_>>());
            }
        }
    }
    println!();
}

/// A line for each bar.
pub(crate) fn verdicts(bars: Vec<Bar>) {
    let met = bars.iter().filter(|bar| matches!(bar.verdict, Verdict::Met(_))).count();
    println!("{met} of {} bars met:\n", bars.len());
    for bar in bars {
        let verdict = match bar.verdict {
            Verdict::Met(seen) => format!("met: {seen}"),
            Verdict::Missed(seen) => format!("**missed**: {seen}"),
            Verdict::NotMeasured(why) => format!("not measured: {why}"),
        };
        println!("- row {}, {}: {verdict}", bar.row, bar.asked);
    }
}

/// What went wrong.
pub(crate) fn faults(results: &Results) {
    for run in &results.0 {
        if let Err(fault) = &run.outcome {
            println!("\n{}, {}, round {}: {}", run.load, run.by, run.round, fault.sentence);
        }
    }
}

/// The first two lines of a table.
pub(crate) fn header(cells: Vec<String>) {
    line(&cells);
    line(&vec!["---".to_owned(); cells.len()]);
}

/// Of a table.
pub(crate) fn line(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// Three that count.
pub(crate) fn digits(value: f64) -> String {
    let places = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_count() {
        assert_eq!([0.514, 5.138, 51.38, 513.8].map(digits), ["0.51", "5.14", "51.4", "514"]);
    }
}
