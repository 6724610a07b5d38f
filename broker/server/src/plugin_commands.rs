//! `tidegate plugin …`: plugins are made, and those of the running broker are seen to, over its admin socket.

use crate::running::Running;
use anyhow::{Context, bail};
use clap::Subcommand;
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};
use tidegate::{AdminAnswer, AdminCommand, AdminPlugin, AdminShadow};

/// What to do with plugins: those of the author (new, build, check, test, bench), and those of the running broker (the others), which is found
/// through `data_dir` of the config (-c), without one in `data`.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Begin a plugin: a folder with a small one that works, in a language of your choice.
    New(tidegate_plugin_build::NewOptions),
    /// Make a component of a plugin's project.
    Build(tidegate_plugin_build::BuildOptions),
    /// Say what a component is: hooks, imports, grants that it may need, size, interface; and whether it starts.
    Check(tidegate_plugin_test::CheckOptions),
    /// Ask a component what scenarios say, on the production host and without a broker, and compare what it answers.
    ///
    /// Exit code 1 if something is not as expected. The form of scenarios stands in docs/scenarios.md.
    Test(tidegate_plugin_test::TestOptions),
    /// Ask a component what scenarios ask, many times, and say what it takes: CPU time a call, memory, time to load.
    Bench(tidegate_plugin_test::BenchOptions),
    /// Say how every plugin stands.
    List {
        /// As JSON, with everything that is known
        #[arg(long)]
        json: bool,
    },
    /// Load file and configuration anew, even if they have not changed; waits until they answer.
    Reload {
        /// Which plugin [default: all]
        name: Option<String>,
    },
    /// Try a component beside the running one: it is asked the same, its answers are compared and not used.
    ///
    /// Without FILE: say what the comparison has shown so far.
    Shadow {
        /// Which plugin
        name: String,
        /// The component to try
        #[arg(conflicts_with = "drop")]
        file: Option<PathBuf>,
        /// How much of what is asked it is asked too, above 0, at most 1
        #[arg(long, default_value_t = 1.0, requires = "file")]
        share: f64,
        /// End it
        #[arg(long)]
        drop: bool,
    },
    /// Let the shadow answer from now on, and write its file to the plugin folder.
    Promote {
        /// Which plugin
        name: String,
    },
    /// Let the generation before answer again, at once. Done twice, all is as it was.
    Rollback {
        /// Which plugin
        name: String,
    },
}

/// Every number of the running broker.
///
/// # Errors
/// With what to do about it.
pub(crate) fn metrics(config: Option<&Path>) -> anyhow::Result<()> {
    let answer = ask(config, AdminCommand::Metrics)?;
    if let Some(error) = answer.error {
        bail!(error);
    }
    say(answer.metrics.unwrap_or_default().trim_end())
}

/// Has the command carried out, and says what came of it.
///
/// # Errors
/// With what to do about it.
pub(crate) fn run(command: &PluginCommand, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    match command {
        PluginCommand::New(options) => Ok(tidegate_plugin_build::new(options).map(|_| ExitCode::SUCCESS)?),
        PluginCommand::Build(options) => {
            Ok(tidegate_plugin_build::build(options).map(|_| ExitCode::SUCCESS)?)
        }
        PluginCommand::Check(options) => Ok(tidegate_plugin_test::check(options)),
        PluginCommand::Test(options) => Ok(tidegate_plugin_test::test(options)),
        PluginCommand::Bench(options) => Ok(tidegate_plugin_test::bench(options)),
        running => tell(running, config).map(|()| ExitCode::SUCCESS),
    }
}

/// The running broker's.
fn tell(command: &PluginCommand, config: Option<&Path>) -> anyhow::Result<()> {
    let plugin = |name: &String| name.clone();
    let command = match command {
        // They need no broker.
        PluginCommand::New(_)
        | PluginCommand::Build(_)
        | PluginCommand::Check(_)
        | PluginCommand::Test(_)
        | PluginCommand::Bench(_) => return Ok(()),
        PluginCommand::List { json } => {
            let plugins = list(config)?;
            return say(&if *json { serde_json::to_string_pretty(&plugins)? } else { table(&plugins) });
        }
        PluginCommand::Shadow { name, file: None, drop: false, .. } => {
            return say(&shown(name, list(config)?)?);
        }
        PluginCommand::Shadow { name, drop: true, .. } => {
            AdminCommand::PluginDropShadow { plugin: plugin(name) }
        }
        PluginCommand::Shadow { name, file: Some(file), share, .. } => {
            // The broker has a folder of its own.
            let file = std::path::absolute(file).with_context(|| format!("{} is no path", file.display()))?;
            AdminCommand::PluginShadow { plugin: plugin(name), file, share: *share }
        }
        PluginCommand::Reload { name } => AdminCommand::PluginReload { plugin: name.clone() },
        PluginCommand::Promote { name } => AdminCommand::PluginPromote { plugin: plugin(name) },
        PluginCommand::Rollback { name } => AdminCommand::PluginRollback { plugin: plugin(name) },
    };
    let answer = ask(config, command)?;
    say(&answer.said.join("\n"))?;
    match answer.error {
        None => Ok(()),
        Some(error) => bail!(error),
    }
}

fn list(config: Option<&Path>) -> anyhow::Result<Vec<AdminPlugin>> {
    let answer = ask(config, AdminCommand::PluginList)?;
    if let Some(error) = answer.error {
        bail!(error);
    }
    Ok(answer.plugins.unwrap_or_default())
}

fn ask(config: Option<&Path>, command: AdminCommand) -> anyhow::Result<AdminAnswer> {
    Running::find(config, "start it, or name its config with -c")?.ask(command)
}

fn say(text: &str) -> anyhow::Result<()> {
    match text {
        "" => Ok(()),
        text => writeln!(std::io::stdout(), "{text}").context("cannot write to stdout"),
    }
}

/// A line a plugin, columns aligned.
fn table(plugins: &[AdminPlugin]) -> String {
    let heads =
        ["PLUGIN", "GENERATION", "STATE", "HOOKS", "CALLS", "FAULTS", "P99", "BREAKER", "SHADOW", "PROBLEM"];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(plugins.iter().map(row));
    let widths: Vec<usize> = (0..heads.len())
        .map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &[String; 10]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(plugin: &AdminPlugin) -> [String; 10] {
    let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let sum =
        |count: fn(&tidegate::AdminCalls) -> u64| plugin.calls.iter().map(count).sum::<u64>().to_string();
    let generation = if plugin.generation == 0 { "-".to_owned() } else { plugin.generation.to_string() };
    let loading = if plugin.loading && plugin.state != "starting" { ", loading" } else { "" };
    let shadow = plugin.shadow.as_ref().map_or_else(String::new, |shadow| {
        format!("{}: {} of {} differ", shadow.generation, shadow.differences(), shadow.compared())
    });
    // Of the slowest hook.
    let p99 = plugin.calls.iter().filter_map(|hook| hook.p99_us).max_by(f64::total_cmp);
    [
        plugin.name.clone(),
        generation,
        format!("{}{loading}", plugin.state),
        or_none(plugin.hooks.join(",")),
        sum(|hook| hook.calls),
        sum(|hook| hook.faults),
        or_none(p99.map(time).unwrap_or_default()),
        or_none(plugin.breaker.clone().unwrap_or_default()),
        or_none(shadow),
        or_none(plugin.problem.clone().unwrap_or_default()),
    ]
}

/// Of microseconds.
fn time(us: f64) -> String {
    if us < 1e4 { format!("{us:.1} µs") } else { format!("{:.0} ms", us / 1e3) }
}

/// What a plugin's shadow has shown.
fn shown(name: &str, plugins: Vec<AdminPlugin>) -> anyhow::Result<String> {
    let names: Vec<String> = plugins.iter().map(|plugin| plugin.name.clone()).collect();
    let Some(plugin) = plugins.into_iter().find(|plugin| plugin.name == name) else {
        let there =
            if names.is_empty() { "is none at all".to_owned() } else { format!("are {}", names.join(", ")) };
        bail!("there is no plugin {name}; there {there}");
    };
    let Some(AdminShadow { generation, against, file, share, hooks, left_out, samples }) = plugin.shadow
    else {
        bail!("plugin {name} has no shadow; start one with `tidegate plugin shadow {name} FILE`");
    };
    let file = file.display();
    let mut lines = vec![format!(
        "plugin {name}: generation {generation} ({file}) beside generation {against}, share {share}"
    )];
    for counts in hooks {
        lines.push(format!(
            "{}: {} of {} answers differ, {} faults",
            counts.hook, counts.differences, counts.compared, counts.faults
        ));
    }
    if left_out > 0 {
        lines.push(format!("{left_out} questions left out, since too many waited"));
    }
    for sample in samples {
        let about = sample.topic.map_or_else(String::new, |topic| format!(" {topic:?}"));
        lines.push(format!(
            "{} {:?}{about}: {}, the shadow {}",
            sample.hook, sample.client_id, sample.live, sample.candidate
        ));
    }
    Ok(lines.join("\n"))
}
