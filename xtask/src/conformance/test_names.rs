//! Tests, and the rows that their names carry: `v5_3_1_2_22_and_v311_3_1_2_24_silence_ends_the_connection`.

use super::tables::{RowId, Version};
use anyhow::Context;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where a test looks from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// From outside, over a socket or the embedding API.
    BlackBox,
    /// Beside the code.
    Unit,
}

/// A test function.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Named {
    pub(super) kind: Kind,
    /// From the root of the checkout.
    pub(super) file: String,
    pub(super) name: String,
}

/// Every test of the broker in a checkout: black-box in `tests` and `broker/*/tests`, unit in `broker/*/src`.
///
/// # Errors
/// If a folder or file cannot be read.
pub(super) fn find(root: &Path) -> anyhow::Result<Vec<Named>> {
    let mut folders = vec![(Kind::BlackBox, root.join("tests"))];
    for krate in sorted(&root.join("broker"))? {
        folders.push((Kind::BlackBox, krate.join("tests")));
        folders.push((Kind::Unit, krate.join("src")));
    }
    let mut all = Vec::new();
    for (kind, folder) in folders.into_iter().filter(|(_, folder)| folder.is_dir()) {
        for path in rust_files(&folder)? {
            let source =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let file = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            all.extend(tests(&source).map(|name| Named { kind, file: file.clone(), name }));
        }
    }
    Ok(all)
}

fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in sorted(folder)? {
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

fn sorted(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// The names of the tests in a file as rustfmt leaves it. One that is ignored shows nothing, so it is left out.
fn tests(source: &str) -> impl Iterator<Item = String> {
    let (mut is_test, mut is_ignored) = (false, false);
    source.lines().filter_map(move |line| {
        let line = line.trim_start();
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        is_ignored |= line.starts_with("#[ignore");
        let name = function(line)?;
        let counts = std::mem::take(&mut is_test) & !std::mem::take(&mut is_ignored);
        counts.then(|| name.to_owned())
    })
}

/// The name of the function that begins in this line.
fn function(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once("fn ")?;
    let begins = before.split_whitespace().all(|word| word == "async" || word.starts_with("pub"));
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    (begins && end > 0).then(|| &rest[..end])
}

/// The rows in the name of a test. Fewer than four numbers behind a version name a section, which is nothing to show.
///
/// # Errors
/// If it is not clear where the id ends.
pub(super) fn rows(name: &str) -> Result<Vec<RowId>, String> {
    let mut rows = Vec::new();
    let mut words = name.split('_').peekable();
    while let Some(word) = words.next() {
        let version = match word {
            "v5" => Version::V5,
            "v311" => Version::V311,
            _ => continue,
        };
        let mut numbers = Vec::new();
        while let Some(number) = words.peek().and_then(|word| word.parse().ok()) {
            numbers.push(number);
            words.next();
        }
        match numbers.try_into() {
            Ok(numbers) => rows.push(RowId { version, numbers }),
            Err(numbers) if numbers.len() < 4 => {}
            Err(numbers) => return Err(format!("{} numbers behind {word}, an id has four", numbers.len())),
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str) -> Vec<String> {
        rows(name).unwrap().iter().map(RowId::to_string).collect()
    }

    #[test]
    fn names_carry_ids_with_their_version() {
        assert_eq!(
            shown("v5_3_1_2_22_and_v311_3_1_2_24_silence"),
            ["v5 MQTT-3.1.2-22", "v311 MQTT-3.1.2-24"]
        );
        assert_eq!(shown("v5_4_8_2_1_and_v5_4_8_2_2_shares"), ["v5 MQTT-4.8.2-1", "v5 MQTT-4.8.2-2"]);
        assert_eq!(shown("v5_3_3_1_9_to_11_retain_handling"), ["v5 MQTT-3.3.1-9"]);
        assert_eq!(shown("what_follows_in_v5_1_5_4_1"), ["v5 MQTT-1.5.4-1"]);
    }

    #[test]
    fn sections_and_other_words_are_no_ids() {
        for name in ["v5_4_8_2_a_section", "v5_properties", "v311", "plain", "v4_3_1_2_22", "xv5_3_1_2_22"] {
            assert!(shown(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn an_id_with_more_numbers_is_unclear() {
        assert!(rows("v5_3_3_2_4_15_16_forwarded").is_err());
        assert!(rows("v311_3_1_2_24_5_seconds").is_err());
    }

    #[test]
    fn tests_are_found_by_their_attribute() {
        let source = "
#[test]
fn one() {}

fn helper() {}

/// About
#[tokio::test(flavor = \"multi_thread\")]
#[allow(
    clippy::unwrap_used,
    reason = \"the fn of a test\"
)]
pub(crate) async fn two() {}

#[test]
#[ignore = \"slow\"]
fn three() {}

#[ignore]
#[test]
fn four() {}

// #[test]
fn five() {}

proptest! {
    #[test]
    fn six(
        a in 0..1,
    ) {}
}
";
        assert_eq!(tests(source).collect::<Vec<_>>(), ["one", "two", "six"]);
    }

    #[test]
    fn a_checkout_has_tests_of_both_kinds() {
        let folder = std::env::temp_dir().join(format!("xtask-conformance-{}", std::process::id()));
        for (file, name) in [
            ("tests/mqtt/a.rs", "a"),
            ("broker/one/tests/b.rs", "b"),
            ("broker/one/src/deep/c.rs", "c"),
            ("broker/one/notes.rs", "d"),
            ("xtask/src/e.rs", "e"),
        ] {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("#[test]\nfn {name}() {{}}\n")).unwrap();
        }
        let found = find(&folder);
        fs::remove_dir_all(&folder).unwrap();
        let found: Vec<_> =
            found.unwrap().into_iter().map(|test| (test.kind, test.file, test.name)).collect();
        let want = [
            (Kind::BlackBox, "tests/mqtt/a.rs", "a"),
            (Kind::BlackBox, "broker/one/tests/b.rs", "b"),
            (Kind::Unit, "broker/one/src/deep/c.rs", "c"),
        ];
        assert_eq!(found, want.map(|(kind, file, name)| (kind, file.to_owned(), name.to_owned())));
    }
}
