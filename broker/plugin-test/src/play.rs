//! What the commands have in common: which component with which scenarios.

use crate::{
    scenario::Scenario,
    trial::{Cache, Table, Trial, TrialError},
};
use serde_json::Map;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::runtime::{Builder, Runtime};

/// A component, and what it is to be asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Chosen {
    /// The component
    pub(crate) file: PathBuf,
    /// Scenarios, or recordings to replay [default: scenarios/*.jsonl beside the component, in the folder above, or here]
    scenarios: Vec<PathBuf>,
    /// The plugin's table, as plugins/NAME.toml, for files that do not begin with a `plugin` line
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
}

impl Chosen {
    /// All of them, read: a mistake in the last is said before the first has run.
    ///
    /// # Errors
    /// File, line and remedy.
    pub(crate) fn scenarios(&self) -> Result<Vec<Scenario>, String> {
        if let Err(why) = fs::File::open(&self.file) {
            return Err(format!("{}: {why}; `tidegate plugin build` makes it", self.file.display()));
        }
        let files = match self.scenarios.is_empty() {
            true => found_beside(&self.file)?,
            false => self.scenarios.clone(),
        };
        files.iter().map(|file| Scenario::read(file).map_err(|why| why.to_string())).collect()
    }

    /// The plugin with the table that the scenario wants, and how long its start took.
    ///
    /// # Errors
    /// As a sentence.
    pub(crate) async fn start(&self, scenario: &Scenario, cache: Cache) -> Result<(Trial, Duration), String> {
        self.try_start(scenario, cache).await.map_err(|why| match scenario.table() {
            Some(_) => {
                let line = scenario.lines.first().map_or(1, |line| line.number);
                format!("{}:{line}: {why}", scenario.file.display())
            }
            None => why.to_string(),
        })
    }

    /// The same, for those who expect that it is refused.
    ///
    /// # Errors
    /// [`TrialError`]
    pub(crate) async fn try_start(
        &self,
        scenario: &Scenario,
        cache: Cache,
    ) -> Result<(Trial, Duration), TrialError> {
        let file = std::path::absolute(&scenario.file)?;
        let beside = file.parent().unwrap_or(Path::new("/"));
        let table = match (scenario.table(), &self.table) {
            (Some(table), _) => Table::Given(table.clone()),
            (None, Some(file)) => Table::File(file.clone()),
            (None, None) => Table::Given(Map::new()),
        };
        Trial::start(&self.file, &table, beside, cache).await
    }
}

/// The scenarios of a component, if none are named.
fn found_beside(file: &Path) -> Result<Vec<PathBuf>, String> {
    let whole = std::path::absolute(file).map_err(|why| format!("{}: {why}", file.display()))?;
    let (beside, here) = (whole.parent(), Path::new(""));
    for folder in [beside, beside.and_then(Path::parent), Some(here)].into_iter().flatten() {
        let Ok(entries) = fs::read_dir(folder.join("scenarios")) else { continue };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut found: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
        if !found.is_empty() {
            found.sort();
            return Ok(found);
        }
    }
    Err(format!(
        "{}: there is no scenarios/*.jsonl beside it, above it or here; name a file of steps such as {{\"publish\": {{\"topic\": \"a\"}}, \"expect\": \"pass\"}}",
        file.display()
    ))
}

/// Where plugins are asked: on this thread, as a broker's worker does.
///
/// # Errors
/// The machine has no room.
pub(crate) fn runtime() -> Result<Runtime, String> {
    Builder::new_current_thread().enable_all().build().map_err(|why| format!("cannot start: {why}"))
}

/// A line of output.
///
/// # Errors
/// Nobody listens.
pub(crate) fn say(text: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{text}").map_err(|why| format!("cannot write to stdout: {why}"))
}

/// `1.5 MiB`
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
