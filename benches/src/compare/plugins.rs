//! Ours without plugins, and with each of some: what they add to the same loads.

use super::{
    Comparison, Entrant,
    bars::{Bar, Verdict, judged},
    brokers::{Broker, Contender},
    machine,
    results::{Missing, Results},
    rows::{Kind, Load, MESSAGE, Row},
    table::{digits, faults, header, line, verdicts},
};
use crate::{grants, measure::median, peer::Peer};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;
use tidegate_tests::{guest, plugin};

/// Ours, with a plugin or without.
struct Variant {
    name: &'static str,
    /// What it is compared with.
    over: Option<&'static str>,
    /// Its name, and who knows where it is.
    plugin: Option<(&'static str, Place)>,
    /// What its section of the config begins with.
    config: &'static str,
    /// Of the load generator.
    options: &'static str,
    bar: Option<Limit>,
}

type Place = fn(&str) -> PathBuf;

/// What a plugin may cost.
#[derive(Clone, Copy)]
enum Limit {
    /// Times what a message costs without it.
    Times(f64),
    /// More microseconds for each message that is published, whoever receives it.
    More(f64),
}

const NONE: Variant =
    Variant { name: "no plugin", over: None, plugin: None, config: "", options: "--topic probe", bar: None };
const JSON: Variant = Variant { name: "no plugin, JSON", options: "--topic json --payload json", ..NONE };

const VARIANTS: [Variant; 8] = [
    NONE,
    Variant { name: "no plugin, again", over: Some(NONE.name), ..NONE },
    Variant {
        name: "grants only",
        over: Some(NONE.name),
        plugin: Some(("passwd", plugin)),
        config: grants::CONFIG,
        bar: Some(Limit::Times(1.03)),
        ..NONE
    },
    Variant {
        name: "`acl.check`, uncached",
        over: Some(NONE.name),
        plugin: Some(("probe-acl", guest)),
        bar: Some(Limit::More(1.0)),
        ..NONE
    },
    Variant {
        name: "`on-publish`, no-op",
        over: Some(NONE.name),
        plugin: Some(("probe-publish", guest)),
        bar: Some(Limit::More(0.5)),
        ..NONE
    },
    JSON,
    Variant { name: "JSON in Rust", over: Some(JSON.name), plugin: Some(("probe-json", guest)), ..JSON },
    Variant {
        name: "JSON in JavaScript (QuickJS)",
        over: Some(JSON.name),
        plugin: Some(("in-quickjs", guest)),
        config: "limits.deadline = \"200ms\"\n",
        ..JSON
    },
];

/// A variant that is there to be started.
struct Scripted<'a> {
    variant: &'static Variant,
    tidegate: &'a Contender,
    /// What logs in.
    password: &'a Path,
}

impl Entrant for Scripted<'_> {
    fn name(&self) -> &'static str {
        self.variant.name
    }

    fn version(&self) -> &str {
        &self.tidegate.version
    }

    /// Those who only connect publish no JSON.
    fn bears(&self, load: &Load) -> bool {
        load.kind != Kind::Connect || self.variant.options == NONE.options
    }

    fn start(&self, _: &Load) -> Result<Peer, String> {
        Peer::start(|folder, address| {
            let Some((name, component)) = self.variant.plugin else {
                return self.tidegate.tidegate(folder, address, "");
            };
            let section = format!("[plugin.{name}]\nrequired = true\n{}", self.variant.config);
            let command = self.tidegate.tidegate(folder, address, &section);
            fs::copy(component(name), folder.join("plugins").join(name).with_extension("wasm")).unwrap();
            command
        })
    }

    fn options(&self) -> Vec<String> {
        let mut options = self.variant.options.to_owned();
        if self.variant.config == grants::CONFIG {
            options += &format!(" --user {} --password-file {}", grants::USER, self.password.display());
        }
        options.split(' ').map(str::to_owned).collect()
    }
}

/// Measures and prints.
pub(super) fn bench(comparison: &Comparison<'_>) {
    let tidegate = Broker::Tidegate.find(Path::new("")).unwrap();
    let password = NamedTempFile::new().unwrap();
    fs::write(password.path(), grants::PASSWORD).unwrap();
    let scripted =
        |variant: &'static Variant| Scripted { variant, tidegate: &tidegate, password: password.path() };
    let results = comparison.results(&VARIANTS.each_ref().map(scripted));
    println!("{}. {}. {}.\n", machine::described(), tidegate.version, comparison.measured());
    costs(&results, &comparison.rows);
    verdicts(comparison.rows.iter().flat_map(|row| bars(&results, row)).collect());
    faults(&results);
}

/// What each costs; of those that are compared with another, how much more, and the ratio.
fn costs(results: &Results, rows: &[&Row]) {
    let names = VARIANTS.iter().map(|variant| variant.name);
    header(["", "load", "lower is better"].into_iter().chain(names).map(str::to_owned).collect());
    for row in rows {
        let mut cells = vec![row.number.to_string(), row.load.name.to_owned(), row.what.to_owned()];
        cells.extend(
            VARIANTS
                .iter()
                .map(|variant| cell(results, row, variant).unwrap_or_else(|missing| missing.to_string())),
        );
        line(&cells);
    }
    println!();
}

fn cell(results: &Results, row: &Row, variant: &Variant) -> Result<String, Missing> {
    let cost = digits(median(results.values(&row.load, variant.name, row.figure)?.into_iter()));
    let Some(over) = variant.over else { return Ok(cost) };
    let more = results.more(&row.load, row.figure, variant.name, over)?;
    let ratio = results.ratio(&row.load, row.figure, variant.name, over)?;
    let sign = if more < 0.0 { "-" } else { "+" };
    Ok(format!("{cost} ({sign}{}, {})", digits(more.abs()), digits(ratio)))
}

/// Of a row of messages.
fn bars(results: &Results, row: &Row) -> Vec<Bar> {
    let limits = VARIANTS.iter().filter_map(|variant| Some((variant, variant.bar?)));
    let bar = |(variant, limit): (&Variant, Limit)| {
        let what = match limit {
            Limit::Times(limit) => format!("at most {limit:.2} times {}", NONE.name),
            Limit::More(limit) => format!("at most {limit:.1} us more for each published"),
        };
        let asked = format!("{}, {what}", variant.name);
        let verdict = limit.verdict(results, row, variant.name).unwrap_or_else(|missing| match missing {
            Missing::NotRun => Verdict::NotMeasured("it did not take part"),
            Missing::Failed(word) => Verdict::Missed(word),
        });
        Bar { row: row.number, asked, verdict }
    };
    if row.figure == MESSAGE { limits.map(bar).collect() } else { Vec::new() }
}

impl Limit {
    fn verdict(self, results: &Results, row: &Row, name: &str) -> Result<Verdict, Missing> {
        let Row { load, figure, .. } = row;
        Ok(match self {
            Self::Times(limit) => {
                let ratio = results.ratio(load, figure, name, NONE.name)?;
                judged(ratio <= limit, format!("{ratio:.3} times"))
            }
            Self::More(limit) => {
                let received = results.more(load, figure, name, NONE.name)?;
                let published = received * f64::from(load.receivers);
                let mut seen = format!("{published:.2} us");
                if load.receivers > 1 {
                    seen += &format!(" ({received:.3} for each received)");
                }
                judged(published <= limit, seen)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{
        results::{Fault, Run},
        rows::ROWS,
    };
    use serde_json::json;

    /// Of one round: what a message costs.
    fn results(row: &Row, costs: &[(&'static str, f64)]) -> Results {
        let run = |(by, cost): &(&'static str, f64)| {
            let told = json!({ "broker": { "cpu_us_per": { "message_received": cost } } });
            Run { round: 1, load: row.load.name, by, outcome: Ok(told) }
        };
        Results(costs.iter().map(run).collect())
    }

    fn seen(row: &Row, costs: [f64; 3]) -> Vec<Verdict> {
        let names = ["grants only", "`acl.check`, uncached", "`on-publish`, no-op"];
        let costs: Vec<_> = [(NONE.name, 2.0)].into_iter().chain(names.into_iter().zip(costs)).collect();
        bars(&results(row, &costs), row).into_iter().map(|bar| bar.verdict).collect()
    }

    #[test]
    fn who_is_compared_is_compared_with_a_variant_of_the_same_load() {
        for variant in &VARIANTS {
            let over = VARIANTS.iter().find(|other| Some(other.name) == variant.over);
            assert!(over.is_none_or(|over| over.options == variant.options), "{}", variant.name);
            assert!(variant.bar.is_none() || over.is_some_and(|over| over.name == NONE.name));
        }
    }

    #[test]
    fn grants_may_cost_three_per_cent_and_hooks_so_much_for_each_published() {
        let met = |seen: &str| Verdict::Met(seen.to_owned());
        let missed = |seen: &str| Verdict::Missed(seen.to_owned());
        assert_eq!(
            seen(&ROWS[0], [2.06, 3.0, 2.75]),
            [met("1.030 times"), met("1.00 us"), missed("0.75 us")]
        );
        let fan_out = ROWS.iter().find(|row| row.load.receivers == 200).unwrap();
        let found = seen(fan_out, [2.08, 2.004, 2.004]);
        assert_eq!(found[0], missed("1.040 times"));
        assert_eq!(found[1], met("0.80 us (0.004 for each received)"));
        assert_eq!(found[2], missed("0.80 us (0.004 for each received)"));
    }

    #[test]
    fn a_fault_misses_and_rows_without_messages_have_no_bar() {
        let mut results = results(&ROWS[0], &[(NONE.name, 2.0)]);
        let fault = Fault { word: "loses 3".to_owned(), sentence: String::new() };
        let by = "grants only";
        results.0.push(Run { round: 1, load: ROWS[0].load.name, by, outcome: Err(fault) });
        let found = bars(&results, &ROWS[0]);
        assert_eq!(found[0].verdict, Verdict::Missed("loses 3".to_owned()));
        assert!(matches!(found[1].verdict, Verdict::NotMeasured(_)));
        let connect = ROWS.iter().find(|row| row.load.kind == Kind::Connect).unwrap();
        assert!(bars(&results, connect).is_empty());
    }

    #[test]
    fn a_cell_tells_cost_difference_and_ratio() {
        let results = results(&ROWS[0], &[(NONE.name, 2.0), ("grants only", 2.5)]);
        assert_eq!(cell(&results, &ROWS[0], &VARIANTS[0]), Ok("2.00".to_owned()));
        assert_eq!(cell(&results, &ROWS[0], &VARIANTS[2]), Ok("2.50 (+0.50, 1.25)".to_owned()));
        assert_eq!(cell(&results, &ROWS[0], &VARIANTS[3]), Err(Missing::NotRun));
    }
}
