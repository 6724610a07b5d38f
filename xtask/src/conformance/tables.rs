//! The rows and waivers of `tests/conformance`.

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt, fs, path::Path};

/// Which standard a row is of. 3.1 has no numbered requirements and follows 3.1.1.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "lowercase")]
pub(super) enum Version {
    V5,
    V311,
}

impl Version {
    /// As the standards write it.
    pub(super) fn number(self) -> &'static str {
        match self {
            Self::V5 => "5.0",
            Self::V311 => "3.1.1",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V5 => "v5",
            Self::V311 => "v311",
        })
    }
}

/// A requirement: `v5 MQTT-3.1.2-22`. Ordered by version, then by number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct RowId {
    pub(super) version: Version,
    pub(super) numbers: [u16; 4],
}

impl RowId {
    /// Reads `MQTT-3.1.2-22`.
    fn parse(version: Version, text: &str) -> anyhow::Result<Self> {
        let numbers = text
            .strip_prefix("MQTT-")
            .and_then(|rest| rest.rsplit_once('-'))
            .and_then(|(section, number)| {
                section.split('.').chain([number]).map(|n| n.parse().ok()).collect::<Option<Vec<u16>>>()
            })
            .and_then(|numbers| numbers.try_into().ok());
        let numbers = numbers.with_context(|| format!("{text} is no id like MQTT-3.1.2-22"))?;
        Ok(Self { version, numbers })
    }

    /// The id without the version.
    pub(super) fn id(&self) -> String {
        let [a, b, c, n] = self.numbers;
        format!("MQTT-{a}.{b}.{c}-{n}")
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.version, self.id())
    }
}

/// How a row can be tested.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub(super) enum Testable {
    /// Over a socket.
    #[serde(rename = "black-box")]
    BlackBox,
    /// Beside the code.
    #[serde(rename = "unit")]
    Unit,
    /// Not at all: a broker can neither break it nor see it broken.
    #[serde(rename = "n/a")]
    Not,
}

/// Who has to obey a row.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Duty {
    Client,
    Server,
    Both,
}

/// A numbered requirement.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: RowId,
    /// Number and name, as `3.1.2.10 Keep Alive`.
    pub(super) section: String,
    pub(super) duty: Duty,
    pub(super) requirement: String,
    pub(super) testable: Testable,
}

/// The columns that are used here.
#[derive(Deserialize)]
struct Line {
    id: String,
    section: String,
    applies_to: Duty,
    requirement: String,
    testable: Testable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reasons {
    #[serde(default)]
    waived: Vec<Reason>,
    #[serde(default)]
    limited: Vec<Reason>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    version: Version,
    id: String,
    reason: String,
}

/// Both tables, and what is said about some of their rows.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) rows: BTreeMap<RowId, Row>,
    /// Why the broker has nothing that the row is about.
    pub(super) waived: BTreeMap<RowId, String>,
    /// How far the broker obeys, for users. Such a row needs its test all the same.
    pub(super) limited: BTreeMap<RowId, String>,
}

impl Tables {
    /// Reads the files of `folder`.
    ///
    /// # Errors
    /// If one is missing or not as its README says.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        Self::parse(&text("mqtt5.csv")?, &text("mqtt311.csv")?, &text("waivers.toml")?)
    }

    pub(super) fn parse(mqtt5: &str, mqtt311: &str, waivers: &str) -> anyhow::Result<Self> {
        let mut rows = BTreeMap::new();
        for (version, name, text) in
            [(Version::V5, "mqtt5.csv", mqtt5), (Version::V311, "mqtt311.csv", mqtt311)]
        {
            read_rows(version, text, &mut rows).context(name)?;
        }
        let reasons: Reasons = toml::from_str(waivers).context("waivers.toml")?;
        let by_id = |reasons: Vec<Reason>| -> anyhow::Result<BTreeMap<RowId, String>> {
            let mut by_id = BTreeMap::new();
            for Reason { version, id, reason } in reasons {
                let id = RowId::parse(version, &id)?;
                ensure!(!reason.trim().is_empty(), "{id} has no reason");
                ensure!(by_id.insert(id, reason).is_none(), "{id} is there twice");
            }
            Ok(by_id)
        };
        let waived = by_id(reasons.waived).context("waivers.toml")?;
        let limited = by_id(reasons.limited).context("waivers.toml")?;
        Ok(Self { rows, waived, limited })
    }

    /// The rows of a version, in their order.
    pub(super) fn of(&self, version: Version) -> impl Iterator<Item = &Row> {
        self.rows.values().filter(move |row| row.id.version == version)
    }
}

fn read_rows(version: Version, text: &str, rows: &mut BTreeMap<RowId, Row>) -> anyhow::Result<()> {
    for line in csv::Reader::from_reader(text.as_bytes()).deserialize() {
        let Line { id, section, applies_to, requirement, testable } = line?;
        let id = RowId::parse(version, &id)?;
        let row = Row { id, section, duty: applies_to, requirement, testable };
        if rows.insert(id, row).is_some() {
            bail!("{id} is there twice");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "id,section,applies_to,requirement,reaction,testable,confirmed\n";

    fn parse(mqtt5: &str, waivers: &str) -> anyhow::Result<Tables> {
        Tables::parse(&format!("{HEADER}{mqtt5}"), HEADER, waivers)
    }

    #[test]
    fn rows_are_read_and_ordered_by_number() {
        let tables = parse(
            "MQTT-3.1.2-10,3.1.2.5 Will Flag,server,\"kept, then forgotten\",n/a,black-box,yes\n\
             MQTT-3.1.2-9,3.1.2.5 Will Flag,client,there,close,n/a,yes\n",
            "",
        )
        .unwrap();
        let ids: Vec<String> = tables.rows.keys().map(RowId::to_string).collect();
        assert_eq!(ids, ["v5 MQTT-3.1.2-9", "v5 MQTT-3.1.2-10"]);
        let row = tables.of(Version::V5).last().unwrap();
        assert_eq!((row.requirement.as_str(), row.duty), ("kept, then forgotten", Duty::Server));
        assert_eq!(tables.of(Version::V311).count(), 0);
    }

    #[test]
    fn mistakes_in_a_table_are_told() {
        for (line, want) in [
            ("MQTT-3.1.2,s,server,r,n/a,unit,yes\n", "MQTT-3.1.2"),
            ("MQTT-3.1.x-1,s,server,r,n/a,unit,yes\n", "MQTT-3.1.x-1"),
            ("MQTT-3.1.2-1,s,server,r,n/a,perhaps,yes\n", "perhaps"),
            ("MQTT-3.1.2-1,s,nobody,r,n/a,unit,yes\n", "nobody"),
            ("MQTT-3.1.2-1,s,server,a comma, too many,n/a,unit,yes\n", "fields"),
            ("MQTT-3.1.2-1,s,server,r,n/a,unit,yes\nMQTT-3.1.2-1,s,server,r,n/a,unit,yes\n", "twice"),
        ] {
            let error = format!("{:#}", parse(line, "").unwrap_err());
            assert!(error.contains(want) && error.contains("mqtt5.csv"), "{error}");
        }
    }

    #[test]
    fn waivers_need_a_reason_and_known_keys() {
        let waiver = "[[waived]]\nversion = \"v5\"\nid = \"MQTT-3.1.2-1\"\n";
        assert_eq!(parse("", &format!("{waiver}reason = \"r\"")).unwrap().waived.len(), 1);
        for bad in ["", "reason = \" \"", "reason = \"r\"\nbecause = 1"] {
            assert!(parse("", &format!("{waiver}{bad}")).is_err(), "{bad}");
        }
        let twice = format!("{waiver}reason = \"r\"\n").repeat(2);
        assert!(parse("", &twice).is_err());
    }

    #[test]
    fn the_tables_of_this_checkout_are_whole() {
        let tables = Tables::read(&crate::root().join("tests/conformance")).unwrap();
        let counts = [Version::V5, Version::V311].map(|version| tables.of(version).count());
        assert_eq!(counts, [251, 141]);
    }
}
