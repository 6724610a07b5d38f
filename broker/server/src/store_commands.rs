//! `tidegate store …`: what is stored, while no broker uses it.

use anyhow::{Context, ensure};
use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};
use tidegate::Config;
use tidegate_store::{Backend, Fjall, FjallOptions, upkeep};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum StoreCommand {
    /// Read everything, and say what should not be so. Exit code 1 if there is anything.
    Check,
    /// Print how many records and bytes each table has.
    Stats,
    /// Write every record as a line of JSON: a backup, or the way to another engine.
    Export {
        /// The file; `-` for standard output
        file: PathBuf,
    },
    /// Read what `export` wrote into a store that is empty.
    Import {
        /// The file; `-` for standard input
        file: PathBuf,
    },
}

pub(crate) fn run(command: &StoreCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let folder = config.data_dir.join("store");
    if !matches!(command, StoreCommand::Import { .. }) {
        ensure!(folder.is_dir(), "store {}: there is none; see data_dir in the config", folder.display());
    }
    let named = || format!("store {}", folder.display());
    let store = Fjall::open(&folder, FjallOptions::default()).with_context(named)?;
    match command {
        StoreCommand::Check => check(&store).with_context(named),
        StoreCommand::Stats => stats(&store).with_context(named).map(|()| ExitCode::SUCCESS),
        StoreCommand::Export { file } => {
            let written = match is_standard(file) {
                true => upkeep::export(&store, &mut BufWriter::new(io::stdout().lock())),
                false => {
                    let to = File::create_new(file).with_context(|| file.display().to_string())?;
                    upkeep::export(&store, &mut BufWriter::new(to))
                }
            };
            eprintln!("{} records written", written.with_context(|| file.display().to_string())?);
            Ok(ExitCode::SUCCESS)
        }
        StoreCommand::Import { file } => {
            let read = match is_standard(file) {
                true => upkeep::import(&store, &mut BufReader::new(io::stdin())),
                false => {
                    let from = File::open(file).with_context(|| file.display().to_string())?;
                    upkeep::import(&store, &mut BufReader::new(from))
                }
            };
            eprintln!("{} records read", read.with_context(|| file.display().to_string())?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn is_standard(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn check(store: &dyn Backend) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let damage = store.damage();
    for damage in &damage {
        writeln!(out, "{damage}")?;
    }
    let findings = upkeep::check(store)?;
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    let good = damage.is_empty() && findings.is_empty();
    writeln!(out, "{}", if good { "ok" } else { "not ok" })?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn stats(store: &dyn Backend) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{:<14}{:>12}{:>16}", "TABLE", "RECORDS", "BYTES")?;
    for (table, stats) in upkeep::stats(store)? {
        writeln!(out, "{table:<14}{:>12}{:>16}", stats.records, stats.bytes)?;
    }
    if let Some(disk) = store.disk_bytes() {
        writeln!(out, "{:<14}{:>12}{disk:>16}", "on disk", "")?;
    }
    Ok(())
}
