//! `tidegate store …`: what is stored, while no broker uses it; and a copy of it while one runs.

use crate::running::Running;
use anyhow::{Context, anyhow, bail, ensure};
use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, ErrorKind, Write},
    os::unix::{fs::OpenOptionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::ExitCode,
};
use tidegate::{AdminAnswer, AdminCommand, Config, Engine, OfflineStore, admin_socket};
use tidegate_store::{
    Backend,
    upkeep::{self, CopyLine},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum StoreCommand {
    /// Read everything, and say what should not be so. Exit code 1 if there is anything.
    Check,
    /// Print how many records and bytes each table has.
    Stats,
    /// Write every record as a line of JSON: the way to another engine, or a copy of a store that no broker uses.
    Export {
        /// The file; `-` for standard output
        file: PathBuf,
    },
    /// Have the running broker write what `export` would: all that it had stored at one moment, while it goes on.
    Backup {
        /// The file; `-` for standard output
        file: PathBuf,
    },
    /// Read what `export` or `backup` wrote into a store that is empty.
    Import {
        /// The file; `-` for standard input
        file: PathBuf,
    },
}

pub(crate) fn run(command: &StoreCommand, config: &Config) -> anyhow::Result<ExitCode> {
    if config.store.engine == Engine::Disk && !matches!(command, StoreCommand::Import { .. }) {
        let folder = config.data_dir.join("store");
        ensure!(folder.is_dir(), "store {}: there is none; see data_dir in the config", folder.display());
    }
    if matches!(command, StoreCommand::Export { .. })
        && UnixStream::connect(admin_socket(&config.data_dir)).is_ok()
    {
        bail!("a broker uses it; `tidegate store backup` copies it meanwhile, if it is not kept by a plugin");
    }
    let opened = OfflineStore::open(config)?;
    let (store, named) = (opened.backend(), || format!("store {}", opened.place()));
    match command {
        StoreCommand::Check => check(store).with_context(named),
        StoreCommand::Stats => stats(store).with_context(named).map(|()| ExitCode::SUCCESS),
        StoreCommand::Export { file } => {
            write_copy(file, |to| Ok(upkeep::export(store, to)?))?;
            Ok(ExitCode::SUCCESS)
        }
        // It needs no store of its own.
        StoreCommand::Backup { .. } => Ok(ExitCode::SUCCESS),
        StoreCommand::Import { file } => {
            let read = match is_standard(file) {
                true => upkeep::import(store, &mut BufReader::new(io::stdin())),
                false => {
                    let from = File::open(file).with_context(|| file.display().to_string())?;
                    upkeep::import(store, &mut BufReader::new(from))
                }
            };
            eprintln!("{} records read", read.with_context(|| file.display().to_string())?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Records between two words about how far it is.
const PROGRESS: u64 = 100_000;

/// Has the running broker make a copy.
///
/// # Errors
/// With what to do about it.
pub(crate) fn backup(file: &Path, config: Option<&Path>) -> anyhow::Result<()> {
    let otherwise =
        "start it, name its config with -c, or copy a store that no broker uses with `tidegate store export`";
    let mut broker = Running::find(config, otherwise)?;
    write_copy(file, |to| {
        if let Some(error) = broker.ask(AdminCommand::StoreBackup)?.error {
            bail!(error);
        }
        let (mut line, mut records) = (Vec::new(), 0);
        while broker.line(&mut line)? {
            match CopyLine::of(&line) {
                Some(CopyLine::Record) => records += 1,
                Some(CopyLine::End(counted)) if counted == records && line.ends_with(b"\n") => {
                    to.write_all(&line)?;
                    return Ok(records);
                }
                Some(CopyLine::End(_)) | None => {
                    let answer = serde_json::from_slice::<AdminAnswer>(&line).ok();
                    match answer.and_then(|answer| answer.error) {
                        Some(error) => bail!("the broker broke it off: {error}; try again"),
                        None => break,
                    }
                }
            }
            to.write_all(&line)?;
            if records.is_multiple_of(PROGRESS) {
                eprintln!("{records} records so far");
            }
        }
        bail!("it is not whole: the broker ended, or broke it off (its log says why); try again")
    })
}

/// Writes a copy to a file, which is there when it is whole, or to standard output.
fn write_copy(file: &Path, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<u64>) -> anyhow::Result<()> {
    let written = match is_standard(file) {
        true => {
            let mut to = BufWriter::new(io::stdout().lock());
            write(&mut to).and_then(|records| {
                to.flush()?;
                Ok(records)
            })
        }
        false => write_file(file, write),
    };
    eprintln!("{} records written", written.with_context(|| file.display().to_string())?);
    Ok(())
}

fn write_file(file: &Path, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<u64>) -> anyhow::Result<u64> {
    ensure!(!file.try_exists()?, "is there already; remove it, or name another");
    let partial = file.with_added_extension("partial");
    // It holds messages.
    let opened = File::options().write(true).create_new(true).mode(0o600).open(&partial);
    let opened = opened.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => anyhow!(
            "{} is there: another copy is being made, or one was broken off; remove it",
            partial.display()
        ),
        _ => error.into(),
    })?;
    let written = write_whole(opened, write).and_then(|records| {
        fs::rename(&partial, file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(records)
    });
    if written.is_err() {
        // Its loss is what the error says already.
        let _ = fs::remove_file(&partial);
    }
    written
}

fn write_whole(file: File, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<u64>) -> anyhow::Result<u64> {
    let mut to = BufWriter::new(file);
    let records = write(&mut to)?;
    to.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(records)
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
