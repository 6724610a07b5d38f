//! `conformance`: the tables of `tests/conformance` against the names of the tests, and the page for users that follows from both.
//!
//! Reading order: `tables` (rows and waivers), `test_names` (which row a test shows), `page` (`docs/conformance.md`).

mod page;
mod tables;
mod test_names;

use crate::{command::say, root};
use anyhow::{Context, ensure};
use std::{collections::BTreeMap, fs};
use tables::{Row, RowId, Tables, Testable, Version};
use test_names::{Kind, Named};

/// What `--docs` writes.
const PAGE: &str = "docs/conformance.md";

#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Write docs/conformance.md
    #[arg(long)]
    docs: bool,
}

/// Says which rows have no test, which tests name no row and which waivers are stale.
///
/// # Errors
/// If there is any of these, or if `docs/conformance.md` is not what would be written.
pub(crate) fn check(options: &Options) -> anyhow::Result<()> {
    let tables = Tables::read(&root().join("tests/conformance"))?;
    let named = test_names::find(&root())?;
    let findings = Findings::new(&tables, &named);
    findings.print();
    let page = page::write(&tables, &findings.shown);
    let path = root().join(PAGE);
    if options.docs {
        fs::write(&path, &page).with_context(|| format!("cannot write {}", path.display()))?;
        say(format_args!("{PAGE} written"));
    }
    let problems = findings.problems();
    ensure!(problems == 0, "{problems} rows, tests or waivers are not in order");
    let is_current = fs::read_to_string(&path).is_ok_and(|there| there == page);
    ensure!(is_current, "{PAGE} is out of date: run `cargo xtask conformance --docs`");
    Ok(())
}

/// The tests of one row.
#[derive(Debug, Default, Eq, PartialEq)]
struct Shown {
    black_box: usize,
    unit: usize,
}

impl Shown {
    /// A test over a socket is good for a row about the codec too, but not the other way round.
    fn is_enough_for(&self, testable: Testable) -> bool {
        match testable {
            Testable::BlackBox => self.black_box > 0,
            Testable::Unit => self.black_box + self.unit > 0,
            Testable::Not => true,
        }
    }

    fn tests(&self) -> usize {
        self.black_box + self.unit
    }
}

/// What the tables and the names of the tests say about each other.
struct Findings<'a> {
    tables: &'a Tables,
    shown: BTreeMap<RowId, Shown>,
    /// Rows that need a test and have none, waived ones left out.
    open: Vec<&'a Row>,
    /// Tests that name what is no row, and why.
    astray: Vec<(&'a Named, String)>,
    /// Waivers and limits that say nothing any more, and why.
    stale: Vec<(RowId, &'static str)>,
}

impl<'a> Findings<'a> {
    fn new(tables: &'a Tables, named: &'a [Named]) -> Self {
        let mut shown: BTreeMap<RowId, Shown> = BTreeMap::new();
        let mut astray = Vec::new();
        for test in named {
            match test_names::rows(&test.name) {
                Ok(rows) => {
                    for id in rows {
                        if tables.rows.contains_key(&id) {
                            let shown = shown.entry(id).or_default();
                            match test.kind {
                                Kind::BlackBox => shown.black_box += 1,
                                Kind::Unit => shown.unit += 1,
                            }
                        } else {
                            astray.push((test, format!("there is no {id}")));
                        }
                    }
                }
                Err(unclear) => astray.push((test, unclear)),
            }
        }
        let none = Shown::default();
        let has_test = |row: &Row| shown.get(&row.id).unwrap_or(&none).is_enough_for(row.testable);
        let is_waived = |row: &Row| tables.waived.contains_key(&row.id);
        let open = tables.rows.values().filter(|row| !has_test(row) && !is_waived(row)).collect();
        let waived = tables.waived.keys().filter_map(|id| match tables.rows.get(id) {
            None => Some((*id, "there is no such row")),
            Some(row) if has_test(row) => Some((*id, "the row needs no waiver")),
            Some(_) => None,
        });
        let limited = tables.limited.keys().filter_map(|id| match tables.rows.get(id) {
            None => Some((*id, "there is no such row")),
            Some(_) if tables.waived.contains_key(id) => Some((*id, "the row is waived as a whole")),
            Some(_) => None,
        });
        let stale = waived.chain(limited).collect();
        Self { tables, shown, open, astray, stale }
    }

    fn problems(&self) -> usize {
        self.open.len() + self.astray.len() + self.stale.len()
    }

    #[allow(clippy::print_stdout, reason = "the findings are the output")]
    fn print(&self) {
        for (testable, title) in [
            (Testable::BlackBox, "black-box rows without a test over a socket"),
            (Testable::Unit, "unit rows without a test"),
        ] {
            let open: Vec<_> = self.open.iter().filter(|row| row.testable == testable).collect();
            println!("{title}: {}", open.len());
            for row in open {
                println!("  {} {}", row.id, row.requirement);
            }
        }
        println!("tests that name no row: {}", self.astray.len());
        for (test, why) in &self.astray {
            println!("  {}: {}: {why}", test.file, test.name);
        }
        println!("stale waivers: {}", self.stale.len());
        for (id, why) in &self.stale {
            println!("  {id}: {why}");
        }
        println!("waived: {}", self.tables.waived.len());
        for (id, reason) in &self.tables.waived {
            println!("  {id}: {reason}");
        }
        for version in [Version::V5, Version::V311] {
            let rows = || self.tables.of(version);
            let clients = rows().filter(|row| row.testable == Testable::Not).count();
            let waived = self.tables.waived.keys().filter(|id| id.version == version).count();
            let open = self.open.iter().filter(|row| row.id.version == version).count();
            let all = rows().count();
            let shown = all.saturating_sub(clients + waived + open);
            println!(
                "{version}: {all} rows: {shown} with a test, {open} without, {waived} waived, {clients} only for clients"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V5: &str = "id,section,applies_to,requirement,reaction,testable,confirmed
MQTT-1.5.5-1,1.5.5 Variable Byte Integer,both,short,close,black-box,yes
MQTT-3.1.2-20,3.1.2.10 Keep Alive,client,ping,n/a,n/a,yes
MQTT-3.2.2-8,3.2.2.2 Reason Code,server,\"codes, listed\",n/a,unit,yes
";
    const V311: &str = "id,section,applies_to,requirement,reaction,testable,confirmed
MQTT-1.5.5-1,1.5.5 Other,both,another,close,black-box,yes
MQTT-7.0.0-1,7 Conformance,server,bridge,n/a,black-box,yes
";
    const WAIVERS: &str = r#"
        [[waived]]
        version = "v311"
        id = "MQTT-7.0.0-1"
        reason = "there is no bridge"
    "#;

    fn named(kind: Kind, name: &str) -> Named {
        Named { kind, file: "f.rs".into(), name: name.into() }
    }

    fn ids(rows: &[&Row]) -> Vec<String> {
        rows.iter().map(|row| row.id.to_string()).collect()
    }

    #[test]
    fn a_row_needs_a_test_of_its_kind_and_version() {
        let tables = Tables::parse(V5, V311, WAIVERS).unwrap();
        let nothing = Findings::new(&tables, &[]);
        assert_eq!(ids(&nothing.open), ["v5 MQTT-1.5.5-1", "v5 MQTT-3.2.2-8", "v311 MQTT-1.5.5-1"]);
        // Beside the code is not enough for a black-box row; the version counts.
        let tests = [
            named(Kind::Unit, "v5_1_5_5_1_short"),
            named(Kind::Unit, "v5_3_2_2_8_codes"),
            named(Kind::BlackBox, "v311_1_5_5_1_another"),
        ];
        let findings = Findings::new(&tables, &tests);
        assert_eq!(ids(&findings.open), ["v5 MQTT-1.5.5-1"]);
        let tests = [named(Kind::BlackBox, "v5_1_5_5_1_and_v311_1_5_5_1_and_v5_3_2_2_8_all")];
        let findings = Findings::new(&tables, &tests);
        assert_eq!((findings.open.len(), findings.problems()), (0, 0));
    }

    #[test]
    fn tests_of_unknown_rows_are_told() {
        let tables = Tables::parse(V5, V311, WAIVERS).unwrap();
        let tests = [
            named(Kind::Unit, "v5_3_2_2_9_a_typo"),
            named(Kind::Unit, "v311_3_2_2_8_another_version"),
            named(Kind::BlackBox, "v5_1_5_5_1_2_too_many"),
            named(Kind::BlackBox, "v5_1_5_a_section"),
        ];
        let findings = Findings::new(&tables, &tests);
        let names: Vec<&str> = findings.astray.iter().map(|(test, _)| test.name.as_str()).collect();
        assert_eq!(names, ["v5_3_2_2_9_a_typo", "v311_3_2_2_8_another_version", "v5_1_5_5_1_2_too_many"]);
    }

    #[test]
    fn a_waiver_is_stale_once_its_row_is_gone_or_shown() {
        let waive = |version: &str, id: &str| {
            format!("[[waived]]\nversion = \"{version}\"\nid = \"{id}\"\nreason = \"r\"\n")
        };
        let stale = |waivers: &str, tests: &[Named]| -> Vec<String> {
            let tables = Tables::parse(V5, V311, waivers).unwrap();
            Findings::new(&tables, tests).stale.iter().map(|(id, _)| id.to_string()).collect()
        };
        assert!(stale(WAIVERS, &[]).is_empty());
        let test = [named(Kind::BlackBox, "v311_7_0_0_1_a_bridge")];
        assert_eq!(stale(WAIVERS, &test), ["v311 MQTT-7.0.0-1"]);
        // A test of the other kind does not show the row.
        assert!(stale(WAIVERS, &[named(Kind::Unit, "v311_7_0_0_1_a_bridge")]).is_empty());
        assert_eq!(stale(&waive("v5", "MQTT-7.0.0-1"), &[]), ["v5 MQTT-7.0.0-1"]);
        // What only clients can break needs none.
        assert_eq!(stale(&waive("v5", "MQTT-3.1.2-20"), &[]), ["v5 MQTT-3.1.2-20"]);
        let limited = waive("v5", "MQTT-9.9.9-9").replace("waived", "limited");
        assert_eq!(stale(&limited, &[]), ["v5 MQTT-9.9.9-9"]);
    }
}
