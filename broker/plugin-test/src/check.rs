//! `tidegate plugin check`: what a component is and needs, and whether it starts.

use crate::{
    play::{self, say},
    trial::{Cache, Table, Trial, TrialError},
};
use serde_json::{Map, Value, json};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};
use tidegate_plugin_host::{Examined, ScopeReport, examine};

/// `tidegate plugin check`
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The component
    file: PathBuf,
    /// The plugin's table, as plugins/NAME.toml
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Only read it: do not start it
    #[arg(long)]
    no_start: bool,
}

/// Exit code 1: it is no plugin, or does not start; why was said.
pub fn run(options: &Options) -> ExitCode {
    let checked = check(options);
    let said = match &checked {
        Ok(_) => Ok(()),
        // There is nobody else to tell.
        Err(why) => writeln!(io::stderr(), "tidegate: {}: {why}", options.file.display()),
    };
    match (checked, said) {
        (Ok(()), Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn check(options: &Options) -> Result<(), String> {
    let bytes = fs::read(&options.file).map_err(|why| why.to_string())?;
    let examined = examine(&bytes)?;
    let grants = grants(&examined);
    if !options.json {
        say(&what_it_is(&bytes, &examined, &grants))?;
    }
    if let Some(why) = examined.other_version() {
        return Err(why);
    }
    let started = if options.no_start { None } else { Some(start(options)?) };
    if options.json {
        let imports: Map<String, Value> =
            examined.imports.iter().map(|(name, functions)| (name.clone(), json!(functions))).collect();
        let started =
            started.map(|started| json!({"load_ms": started.load_ms, "instance_memory": started.memory}));
        return say(&json!({
            "file": options.file, "bytes": bytes.len(), "interface": examined.interface, "hooks": examined.hooks,
            "imports": imports, "wasi": examined.other_imports, "grants": grants.iter().map(|(key, _)| key).collect::<Vec<_>>(),
            "started": started,
        })
        .to_string());
    }
    match started {
        Some(started) => say(&started.in_words()),
        None => Ok(()),
    }
}

/// Keys of the plugin's table that it may need, and why.
fn grants(examined: &Examined) -> Vec<(&'static str, String)> {
    const NEEDED: &[(&str, &str, &[&str])] = &[
        ("grants.kv", "kv", &[]),
        ("grants.publish", "broker", &["publish"]),
        ("grants.disconnect", "broker", &["disconnect"]),
        ("grants.clients", "broker", &["client", "find", "subscribers", "forget"]),
        ("grants.retained", "broker", &["retained"]),
        ("grants.http", "http", &[]),
        ("grants.tcp", "tcp", &[]),
        ("grants.engine", "engine", &[]),
        ("secrets", "config", &["secret"]),
    ];
    let mut needed: Vec<(&'static str, String)> = Vec::new();
    for (key, interface, of_these) in NEEDED {
        let functions =
            examined.imports.iter().find(|(name, _)| name == interface).map(|(_, functions)| functions);
        let used: Vec<&str> = functions
            .into_iter()
            .flatten()
            .map(|function| function.rsplit(']').next().unwrap_or(function))
            .filter(|function| of_these.is_empty() || of_these.contains(function))
            .collect();
        if functions.is_some() && (of_these.is_empty() || !used.is_empty()) {
            needed.push((key, format!("{interface}: {}", used.join(", "))));
        }
    }
    if examined.other_imports.iter().any(|name| name.starts_with("wasi:http/outgoing-handler"))
        && !needed.iter().any(|(key, _)| *key == "grants.http")
    {
        needed.push(("grants.http", "wasi:http/outgoing-handler".to_owned()));
    }
    needed
}

fn what_it_is(bytes: &[u8], examined: &Examined, grants: &[(&str, String)]) -> String {
    let Examined { interface, hooks, imports, other_imports } = examined;
    let none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    let names: Vec<&str> = imports.iter().map(|(name, _)| name.as_str()).collect();
    let mut said = format!(
        "size        {}\ninterface   {}\nhooks       {}\nimports     {}\n",
        play::bytes(bytes.len() as u64),
        interface.as_deref().map_or_else(
            || "none of tidegate:plugin".to_owned(),
            |version| format!("tidegate:plugin {version}")
        ),
        none(hooks.join(", ")),
        none(names.join(", ")),
    );
    if !other_imports.is_empty() {
        // `wasi:clocks/wall-clock@0.2.9` and its kin, by package.
        let mut packages: Vec<&str> =
            other_imports.iter().map(|name| name.split('/').next().unwrap_or(name)).collect();
        packages.dedup();
        said.push_str(&format!("others      {}\n", packages.join(", ")));
    }
    match grants {
        [] => said.push_str("may need    nothing"),
        grants => {
            let lines: Vec<String> = grants.iter().map(|(key, why)| format!("{key:<18} for {why}")).collect();
            said.push_str(&format!("may need    {}", lines.join("\n            ")));
        }
    }
    said
}

/// It has started.
struct Started {
    load_ms: f64,
    memory: u64,
    scopes: Vec<ScopeReport>,
}

impl Started {
    fn in_words(&self) -> String {
        let mut said = String::new();
        for ScopeReport { hook, filters, wants } in &self.scopes {
            let topics =
                filters.as_ref().map_or_else(|| "every topic".to_owned(), |filters| filters.join(", "));
            let wants =
                if wants.is_empty() { String::new() } else { format!(", wants {}", wants.join(", ")) };
            said.push_str(&format!("scope       {hook}: {topics}{wants}\n"));
        }
        let Self { load_ms, memory, .. } = self;
        said.push_str(&format!("starts      in {load_ms:.1} ms, {} an instance\nok", play::bytes(*memory)));
        said
    }
}

fn start(options: &Options) -> Result<Started, String> {
    let table = options.table.clone().map_or_else(|| Table::Given(Map::new()), Table::File);
    let runtime = play::runtime()?;
    let hint = |why: String| match options.table {
        // Without a table nothing is configured.
        None if why.contains("init failed") => {
            format!("{why} (--table names the plugin's table, --no-start only reads the file)")
        }
        _ => why,
    };
    runtime.block_on(async {
        let started = Trial::start(&options.file, &table, Path::new("."), Cache::Shared).await;
        let (trial, took) = started.map_err(|why| match why {
            TrialError::Refused { reason } => {
                let file = format!("{}: ", options.file.display());
                hint(reason.strip_prefix(&file).unwrap_or(&reason).to_owned())
            }
            other => other.to_string(),
        })?;
        let report = trial.report();
        let memory = trial.memory_of_an_instance();
        trial.stop().await;
        let scopes = report.map(|report| report.scopes).unwrap_or_default();
        Ok(Started { load_ms: took.as_secs_f64() * 1e3, memory, scopes })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_tell_which_grants_may_be_needed() {
        let import = |name: &str, functions: &[&str]| {
            (name.to_owned(), functions.iter().map(|function| (*function).to_owned()).collect())
        };
        let examined = Examined {
            imports: vec![
                import("kv", &["add"]),
                import("broker", &["publish", "find"]),
                import("config", &["document"]),
            ],
            other_imports: vec!["wasi:http/outgoing-handler@0.2.6".to_owned()],
            ..Examined::default()
        };
        let keys: Vec<&str> = grants(&examined).iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["grants.kv", "grants.publish", "grants.clients", "grants.http"]);
        assert_eq!(grants(&Examined::default()), []);
    }
}
