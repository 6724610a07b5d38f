//! What plugins cost, as a table for the docs: `tidegate plugin bench` of each, asked what their scenarios ask.

use crate::{
    command::{output, say},
    plugins, projects, target_dir,
};
use anyhow::Context;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long to ask each question
    #[arg(long, default_value = "600ms")]
    duration: String,
    /// Only these; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// A component, and its scenarios.
struct Measured {
    name: String,
    component: PathBuf,
    scenarios: PathBuf,
}

/// Prints the table. Needs the binary of the release profile, and the plugins, both built.
///
/// # Errors
/// If one of them is not there, or a scenario makes no sense.
#[allow(clippy::print_stdout, reason = "the table is the output")]
pub(crate) fn print(options: &Options) -> anyhow::Result<()> {
    let binary = target_dir().join("release/tidegate");
    println!("| plugin | hook | CPU of a call | memory of an instance | load, new | load, cached | file |");
    println!("|---|---|---|---|---|---|---|");
    for measured in all()? {
        if !options.only.is_empty() && !options.only.contains(&measured.name) {
            continue;
        }
        say(format_args!("measuring {}", measured.name));
        let mut bench = Command::new(&binary);
        bench.args(["plugin", "bench", "--json", "--duration", &options.duration]).arg(&measured.component);
        bench.args(scenario_files(&measured.scenarios)?);
        let said = output(&mut bench).with_context(|| measured.name.clone())?;
        let said: Value = serde_json::from_str(&said)?;
        for row in rows(&measured.name, &said) {
            println!("{row}");
        }
    }
    Ok(())
}

/// What is shipped, and the examples in all languages.
fn all() -> anyhow::Result<Vec<Measured>> {
    let root = crate::root();
    let mut all = Vec::new();
    for place in plugins::folders(&root.join("plugins"))? {
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let component = target_dir().join("plugins").join(&name).with_extension("wasm");
        all.push(Measured { name, component, scenarios: place.join("scenarios") });
    }
    for place in projects::examples()? {
        let name = place.strip_prefix(root.join("examples/plugins"))?.to_string_lossy().into_owned();
        all.push(Measured {
            name,
            component: projects::component(&place),
            scenarios: place.join("scenarios"),
        });
    }
    all.retain(|measured| measured.scenarios.is_dir());
    Ok(all)
}

fn scenario_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

/// A row for each hook.
fn rows(name: &str, said: &Value) -> Vec<String> {
    let mut costs: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let (mut memory, mut cold, mut cached) = (0.0_f64, f64::MAX, f64::MAX);
    let number = |value: &Value, key: &str| value[key].as_f64().unwrap_or_default();
    for scenario in said["scenarios"].as_array().into_iter().flatten() {
        memory = memory.max(number(scenario, "instance_memory"));
        cold = cold.min(number(scenario, "cold_load_ms"));
        cached = cached.min(number(scenario, "cached_load_ms"));
        for question in scenario["questions"].as_array().into_iter().flatten() {
            let hook = question["hook"].as_str().unwrap_or_default();
            costs.entry(hook).or_default().push(number(question, "cpu_ns"));
        }
    }
    let mib = |bytes: f64| format!("{:.1} MiB", bytes / 1_048_576.0);
    let row = |(hook, mut costs): (&str, Vec<f64>)| {
        costs.sort_by(f64::total_cmp);
        let (least, most) =
            (costs.first().copied().unwrap_or_default(), costs.last().copied().unwrap_or_default());
        format!(
            "| `{name}` | {hook} | {} | {} | {cold:.0} ms | {cached:.0} ms | {} |",
            range(least, most),
            mib(memory),
            mib(number(said, "bytes")),
        )
    };
    costs.into_iter().map(row).collect()
}

/// `1.2 – 3.4 µs`
fn range(least: f64, most: f64) -> String {
    let one = |ns: f64| match ns {
        ns if ns < 1e4 => format!("{:.1} µs", ns / 1e3),
        ns if ns < 1e6 => format!("{:.0} µs", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    };
    let (least, most) = (one(least), one(most));
    if least == most { least } else { format!("{least} – {most}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_hook_has_a_row_with_its_least_and_its_most() {
        let question = |hook: &str, ns: f64| json!({"hook": hook, "cpu_ns": ns});
        let said = json!({"bytes": 1_048_576, "scenarios": [
            {"instance_memory": 1_153_434, "cold_load_ms": 40.2, "cached_load_ms": 3.0,
             "questions": [question("publish", 1234.0), question("publish", 870.0), question("auth", 2.5e7)]},
        ]});
        assert_eq!(
            rows("x", &said),
            [
                "| `x` | auth | 25.0 ms | 1.1 MiB | 40 ms | 3 ms | 1.0 MiB |",
                "| `x` | publish | 0.9 µs – 1.2 µs | 1.1 MiB | 40 ms | 3 ms | 1.0 MiB |",
            ]
        );
    }
}
