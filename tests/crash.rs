//! What the broker has acknowledged survives its death: `kill -9` at any moment, hundreds of times, on one data folder.
//!
//! Publishers, subscribers, a shared subscription, retained messages and wills keep a record of their own of what was sent, acknowledged and
//! received. Nothing acknowledged is lost, no QoS 2 message comes twice, nothing finished comes back, order is kept.
//!
//! `CRASH_ROUNDS` and `CRASH_SEED` make a run longer, or repeat it as far as threads allow. `CRASH_WITHOUT="will keeper"` leaves out those
//! whose names begin so.
//!
//! Reading order: `driver` (rounds, and who takes part), `record` (the checks), `publisher`, `subscriber`, `keeper` (retained messages),
//! `mortal` (wills), `guest` (sessions that end), `session` (what a client remembers), `world`, `wire`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod crash {
    pub(crate) mod driver;
    mod guest;
    mod keeper;
    mod mortal;
    mod publisher;
    mod random;
    mod record;
    mod session;
    mod subscriber;
    mod wire;
    mod world;
}

use crash::driver::{End, Plan, run};
use std::time::{SystemTime, UNIX_EPOCH};
use tidegate_tests::{Names, StoreKind};

/// A variable of the environment as a number.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

fn plan(end: End, rounds: u32) -> Plan {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("1970 is over");
    Plan {
        rounds: number("CRASH_ROUNDS").map_or(rounds, |rounds| rounds as u32),
        seed: number("CRASH_SEED").unwrap_or(now.as_nanos() as u64 % 1_000_000_000),
        store: StoreKind::Disk,
        config: "[limits]\nmax_queued_messages = 1000000\n".into(),
        end,
    }
}

fn passes(plan: &Plan) {
    match run(plan) {
        Ok(summary) => println!("{summary}"),
        Err(violation) => panic!("{}", violation.0),
    }
}

#[test]
fn without_a_crash_nothing_is_lost_doubled_or_brought_back() {
    passes(&plan(End::Never, 10));
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    passes(&plan(End::Kill, 60));
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    passes(&plan(End::PowerCut { names: Names::BySyncOfTheFile, lies: false }, 20));
}

/// Journals end, tables are written and merged all the time, so that the power goes in the middle of it.
#[test]
fn what_was_acknowledged_survives_a_power_cut_while_tables_are_written() {
    let plan = plan(End::PowerCut { names: Names::BySyncOfTheFolderOnly, lies: false }, 20);
    passes(&Plan { config: format!("{}[store]\njournal = \"64KiB\"\n", plan.config), ..plan });
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_on_a_disk_that_promises_least() {
    passes(&plan(End::PowerCut { names: Names::BySyncOfTheFolderOnly, lies: false }, 20));
}

#[test]
fn what_was_acknowledged_survives_kill_9_encrypted() {
    passes(&Plan { store: StoreKind::Crypt, ..plan(End::Kill, 15) });
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_encrypted() {
    let end = End::PowerCut { names: Names::BySyncOfTheFolderOnly, lies: false };
    passes(&Plan { store: StoreKind::Crypt, ..plan(end, 10) });
}

#[test]
fn what_was_acknowledged_survives_kill_9_in_redis() {
    passes(&Plan { store: StoreKind::Redis, ..plan(End::Kill, 15) });
}

#[test]
fn what_was_acknowledged_survives_kill_9_of_redis_and_of_the_broker() {
    passes(&Plan { store: StoreKind::Redis, ..plan(End::KillBoth, 15) });
}

/// What must not pass: a broker that is broken, or a disk.
fn is_caught(mut plan: Plan) {
    plan.rounds = 50;
    match run(&plan) {
        Ok(summary) => panic!("not caught: {summary}"),
        Err(violation) => println!("caught: {}", violation.0),
    }
}

#[test]
fn a_broker_that_acknowledges_before_it_writes_is_caught() {
    let plan = plan(End::Kill, 50);
    is_caught(Plan { config: format!("durability = \"none\"\n{}", plan.config), ..plan });
}

#[test]
fn a_disk_that_does_not_sync_is_caught() {
    is_caught(plan(End::PowerCut { names: Names::default(), lies: true }, 50));
}
