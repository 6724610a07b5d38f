//! Which crate may know which. A new arrow is a decision: it goes here and into `ARCHITECTURE.md`, on its own.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// Arrows between crates of the workspace, development dependencies included. What is not listed is forbidden. Plugins and guests (below
/// `plugins` and `tests/guests`) know the SDK, and nothing else.
const ARROWS: &[(&str, &[&str])] = &[
    ("tidegate-mqtt", &[]),
    ("tidegate-session", &["tidegate-mqtt"]),
    ("tidegate-routing", &["tidegate-mqtt"]),
    ("tidegate-store", &["tidegate-mqtt", "tidegate-session"]),
    ("tidegate-hooks", &["tidegate-mqtt"]),
    // For development.
    ("tidegate-transport", &["tidegate-tests"]),
    // The last for development.
    ("tidegate-plugin-host", &["tidegate-hooks", "tidegate-mqtt", "tidegate-tests"]),
    // The last for development.
    ("tidegate-plugin-test", &["tidegate-hooks", "tidegate-mqtt", "tidegate-plugin-host", "tidegate-tests"]),
    (
        "tidegate",
        &[
            "tidegate-hooks",
            "tidegate-mqtt",
            "tidegate-plugin-host",
            "tidegate-plugin-test",
            "tidegate-routing",
            "tidegate-session",
            "tidegate-store",
            "tidegate-transport",
            "tidegate-bench",
            "tidegate-plugin-build",
            // For development.
            "tidegate-tests",
        ],
    ),
    ("tidegate-bench", &["tidegate-mqtt"]),
    ("tidegate-plugin-build", &[]),
    ("tidegate-plugin", &["tidegate-mqtt"]),
    ("tidegate-tests", &["tidegate-mqtt"]),
    ("tidegate-power-cut", &[]),
    (
        "tidegate-benches",
        &[
            "tidegate",
            "tidegate-hooks",
            "tidegate-mqtt",
            "tidegate-plugin-host",
            "tidegate-routing",
            "tidegate-session",
            "tidegate-tests",
        ],
    ),
    ("xtask", &["tidegate-plugin-build"]),
];

/// What must not be found below a crate, however far down.
const ABSENT: &[(&str, &[&str])] = &[
    ("tidegate-mqtt", &["tokio", "wasmtime"]),
    ("tidegate-session", &["tokio", "wasmtime"]),
    ("tidegate-routing", &["tokio", "wasmtime"]),
    ("tidegate-store", &["wasmtime"]),
    ("tidegate-hooks", &["tokio", "wasmtime"]),
    ("tidegate-transport", &["wasmtime"]),
    ("tidegate-bench", &["wasmtime"]),
    ("tidegate-plugin-build", &["tokio", "wasmtime"]),
    ("tidegate-plugin", &["tokio", "wasmtime"]),
];

/// Every package's dependencies by name; those for development apart.
struct Graph {
    members: BTreeSet<String>,
    /// Those of them that become components.
    plugins: BTreeSet<String>,
    normal: BTreeMap<String, BTreeSet<String>>,
    development: BTreeMap<String, BTreeSet<String>>,
}

fn graph() -> Graph {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let metadata = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--manifest-path", manifest])
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeMap<String, String> =
        packages.iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    let members = metadata["workspace_members"].as_array().unwrap();
    let guest = |package: &&Value| {
        let manifest = text(&package["manifest_path"]);
        manifest.contains("/plugins/") || manifest.contains("/tests/guests/")
    };
    let guests = packages.iter().filter(|package| package["source"].is_null()).filter(guest);
    let mut graph = Graph {
        plugins: guests.map(|package| text(&package["name"])).collect(),
        members: members.iter().map(|id| names[&text(id)].clone()).collect(),
        normal: BTreeMap::new(),
        development: BTreeMap::new(),
    };
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let name = &names[&text(&node["id"])];
        for dependency in node["deps"].as_array().unwrap() {
            let to = names[&text(&dependency["pkg"])].clone();
            for kind in dependency["dep_kinds"].as_array().unwrap() {
                let arrows = if kind["kind"] == "dev" { &mut graph.development } else { &mut graph.normal };
                arrows.entry(name.clone()).or_default().insert(to.clone());
            }
        }
    }
    graph
}

#[test]
fn no_arrow_but_those_listed() {
    let graph = graph();
    let listed: BTreeSet<String> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let others: BTreeSet<String> = graph.members.difference(&graph.plugins).cloned().collect();
    assert_eq!(listed, others, "every crate of the workspace that is no plugin is listed, and no other");
    assert!(graph.plugins.contains("passwd") && graph.plugins.contains("every-hook"), "{:?}", graph.plugins);
    let plugins = graph.plugins.iter().map(|name| (name.as_str(), &["tidegate-plugin"][..]));
    for (name, allowed) in ARROWS.iter().copied().chain(plugins) {
        let all =
            [&graph.normal, &graph.development].into_iter().filter_map(|arrows| arrows.get(name)).flatten();
        for to in all.filter(|to| graph.members.contains(*to)) {
            assert!(allowed.contains(&to.as_str()), "{name} must not use {to}");
        }
    }
}

#[test]
fn protocol_crates_know_no_runtime_and_only_the_host_knows_wasmtime() {
    let graph = graph();
    for (name, absent) in ABSENT {
        let mut below = BTreeSet::new();
        let mut ahead = vec![(*name).to_owned()];
        while let Some(next) = ahead.pop() {
            let further = graph.normal.get(&next).into_iter().flatten();
            ahead.extend(further.filter(|to| below.insert((*to).clone())).cloned());
        }
        for gone in *absent {
            assert!(!below.contains(*gone), "{name} must not depend on {gone}, not even through others");
        }
    }
    let users: Vec<&String> = graph
        .members
        .iter()
        .filter(|member| graph.normal.get(*member).is_some_and(|arrows| arrows.contains("wasmtime")))
        .collect();
    assert_eq!(users, ["tidegate-plugin-host"]);
}
