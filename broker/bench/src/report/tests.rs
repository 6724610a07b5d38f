use super::{Cost, Figure, Rate, Report};
use crate::{
    options::{Options, Scenario},
    process::{Broker, Cpu},
    progress::Progress,
    tally::{Checks, Spread, Tally},
    target::Target,
    team::Team,
};
use clap::{Args, Command, FromArgMatches};
use serde_json::Value;
use std::sync::Arc;

fn options() -> crate::options::Exchange {
    let command = Options::augment_args(Command::new("bench"));
    let matches = command.get_matches_from(["bench", "p2p", "--user", "alice"]);
    match Options::from_arg_matches(&matches).unwrap().scenario {
        Scenario::P2p(options) => options,
        other => panic!("{other:?}"),
    }
}

fn team() -> Arc<Team> {
    let options = options();
    let target = Target::new(&options.connection).unwrap();
    Team::new(target, 2, 1, Broker::default(), Progress::new(&options.output, &["sent"]))
}

fn report(team: &Team) -> Report<'_> {
    let mut tally = Tally::new();
    (tally.sent, tally.received, tally.seconds) = (1000, 900, 2.0);
    (1..=1000).for_each(|us| tally.delivery.record(us * 1000));
    tally.cpu = Cpu { broker: 1_800_000, own: 900_000 };
    tally.checks = Checks { sent: 1000, expected: 1000, received: 1000, ..Checks::default() };
    let mut report = Report::new("p2p", team, &options());
    report.what = "a test".to_owned();
    report.exchange(tally);
    report
}

#[test]
fn figures_are_the_same_for_people_and_programs() {
    let team = team();
    let mut report = report(&team);
    report.figures.push(Figure { name: "some_number", value: 2.5, text: "some number of something" });
    let json: Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!((&json["good"], &json["interrupted"]), (&Value::from(true), &Value::from(false)));
    assert_eq!(json["rates"]["sent"]["per_second"], 500.0);
    assert_eq!(json["rates"]["received"]["count"], 900);
    assert_eq!(json["latency_us"]["delivery"]["count"], 1000);
    let p99 = json["latency_us"]["delivery"]["p99"].as_f64().unwrap();
    assert!((989.0..992.0).contains(&p99), "{p99}");
    assert_eq!(json["latency_us"]["acknowledgement"], Value::Null);
    assert_eq!(json["figures"]["some_number"], 2.5);
    assert_eq!(json["generator"]["cpu_us_per"]["message_received"], 1.0);
    assert_eq!(json["broker"], Value::Null, "nobody knows");
    assert_eq!(json["options"]["connection"]["threads"], 2);
    assert_eq!(json["options"]["connection"]["user"], "alice");
    assert_eq!(json["options"]["duration"], 10.0);

    let table = report.table();
    for text in ["p2p: a test", "500", "450", "delivery", "some number of something: 2.50", "good."] {
        assert!(table.contains(text), "{text} is not in\n{table}");
    }
    assert!(!table.contains("acknowledgement") && !table.contains("the broker"), "{table}");
}

#[test]
fn each_fault_makes_it_bad() {
    let team = team();
    let bad = |change: fn(&mut Checks), may_repeat| {
        let mut report = report(&team);
        report.may_repeat = may_repeat;
        change(&mut report.checks);
        assert_eq!(report.is_good(), !report.table().contains("NOT GOOD"));
        !report.is_good()
    };
    assert!(bad(|checks| checks.lost = 1, true));
    assert!(bad(|checks| checks.out_of_order = 1, true));
    assert!(bad(|checks| checks.wrong = 1, true));
    assert!(bad(|checks| checks.unsent = 1, true));
    assert!(bad(|checks| checks.unacknowledged = 1, true));
    assert!(bad(|checks| checks.duplicates = 1, false));
    assert!(!bad(|checks| checks.duplicates = 1, true));
    assert!(!bad(|checks| checks.foreign = 1, false));
    assert!(!bad(|_| (), false));
}

#[test]
fn nothing_is_divided_by_nothing() {
    let rate = Rate { name: "x", count: 0, seconds: 0.0 };
    assert_eq!(rate.per_second(), 0.0);
    let cost = Cost { name: "x", count: 0, cpu: Cpu::default() };
    assert_eq!(cost.each(), (0.0, 0.0));
}

#[test]
fn an_interrupted_run_says_so() {
    let team = team();
    team.meeting.interrupt();
    let report = report(&team);
    assert!(report.table().contains("interrupted"));
    assert!(report.json().contains("\"interrupted\": true"));
}

#[test]
fn spreads_of_threads_add_up() {
    let (mut one, mut two) = (Spread::new(), Spread::new());
    one.record(5);
    two.record(7);
    two.record(u64::MAX);
    let all = Spread::sum([&one, &two].into_iter());
    assert_eq!((all.count(), all.least()), (3, 5));
    assert!(all.most() >= 3_600_000_000_000, "an hour is the most that is told");
}
