//! Plugins as their authors make them, in every language: built by `cargo xtask plugins --guests`.

use crate::folder;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use tidegate_tests::{Finished, new_projects};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins")
}

/// `LANGUAGE/NAME` below a folder, as far as they are projects.
fn projects(below: &Path) -> Vec<PathBuf> {
    let folders = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let languages = folders(below).filter(|path| path.is_dir());
    let projects = languages.flat_map(|language| folders(&language).collect::<Vec<_>>());
    projects.filter(|path| path.join("tidegate-plugin.toml").is_file()).collect()
}

/// Asks the project's component what its scenarios say.
fn passes(project: &Path) {
    let name = project.file_name().unwrap();
    let component = project.join("build").join(name).with_extension("wasm");
    let missing = "build it: cargo xtask plugins --guests";
    assert!(component.is_file(), "{} is not there; {missing}", component.display());
    let Finished { stdout, stderr, code } = folder().run(&["plugin", "test", component.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{}:\n{}\n{stderr:?}", project.display(), stdout.join("\n"));
    assert!(stdout.iter().any(|line| line.contains("first.jsonl")), "{stdout:?}");
}

#[test]
fn every_new_project_passes_its_first_scenario() {
    let projects = projects(&new_projects());
    assert_eq!(projects.len(), 5 * 7, "each language with each hook: {projects:?}");
    projects.iter().for_each(|project| passes(project));
}

#[test]
fn every_example_passes_its_scenarios() {
    let projects = projects(&examples());
    assert_eq!(projects.len(), 4 * 3, "{projects:?}");
    projects.iter().for_each(|project| passes(project));
}

#[test]
fn an_example_is_asked_the_same_in_every_language() {
    let mut asked: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for project in projects(&examples()) {
        let scenarios = fs::read_dir(project.join("scenarios")).unwrap().map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())
        });
        let scenarios: BTreeMap<_, _> = scenarios.collect();
        let name = project.file_name().unwrap().to_string_lossy().into_owned();
        let others = asked.entry(name).or_insert_with(|| scenarios.clone());
        assert_eq!(*others, scenarios, "{}", project.display());
    }
    assert_eq!(asked.keys().collect::<Vec<_>>(), ["frames", "regions", "users"]);
}
