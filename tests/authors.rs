//! What plugin authors use, by the real binary: `tidegate plugin check`, `test` and `bench`, `tidegate record`, and the scenarios of all
//! plugins that are shipped, of new projects, and of the examples.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "authors/check.rs"]
mod check;
#[path = "authors/interface.rs"]
mod interface;
#[path = "authors/projects.rs"]
mod projects;
#[path = "authors/record.rs"]
mod record;
#[path = "authors/scenarios.rs"]
mod scenarios;
#[path = "authors/shipped.rs"]
mod shipped;

use std::{fs, path::Path};
use tidegate_tests::{Finished, Folder};

/// A folder without a broker.
fn folder() -> Folder {
    Folder::new("")
}

/// Runs `tidegate plugin …`.
fn run(folder: &Folder, arguments: &[&str]) -> Finished {
    folder.run(&[&["plugin"], arguments].concat())
}

/// What it printed, having found nothing wrong.
fn good(folder: &Folder, arguments: &[&str]) -> String {
    let Finished { stdout, stderr, code } = run(folder, arguments);
    assert_eq!((code, stderr.len()), (Some(0), 0), "{arguments:?}:\n{}\n{stderr:?}", stdout.join("\n"));
    stdout.join("\n")
}

/// What it printed and complained about, having found something wrong.
fn bad(folder: &Folder, arguments: &[&str]) -> (String, String) {
    let Finished { stdout, stderr, code } = run(folder, arguments);
    assert_eq!(code, Some(1), "{arguments:?}:\n{}\n{stderr:?}", stdout.join("\n"));
    (stdout.join("\n"), stderr.join("\n"))
}

/// A file in the folder.
fn written(folder: &Folder, name: &str, content: impl AsRef<[u8]>) -> String {
    fs::write(folder.path().join(name), content).unwrap();
    name.to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
