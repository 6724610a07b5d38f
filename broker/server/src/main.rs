//! The binary `tidegate`.

mod plugin_commands;
mod record_command;
mod running;
mod self_signed;
mod store_commands;

use anyhow::Context;
use clap::{Parser, Subcommand};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use store_commands::StoreCommand;
use tidegate::{Broker, Config, LogFormat, PluginState};
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;
use tracing_subscriber::EnvFilter;

/// Gives memory back after a flood of connections, which the system's does not.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// An MQTT broker scripted by WebAssembly components.
///
/// Without a config file it listens on 127.0.0.1:1883 and lets everybody in.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version)]
struct Arguments {
    /// The config file. Folders in it are relative to where it lies.
    #[arg(short, long, value_name = "FILE", env = "TIDEGATE_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what a start would say: read the config, load every plugin, open nothing. Exit code 1 if something is wrong.
    Check,
    /// See to plugins: new, build, check, test, bench; and to those of the running broker: list, reload, shadow, promote, rollback.
    #[command(subcommand)]
    Plugin(plugin_commands::PluginCommand),
    /// Write down what the running broker's plugins are asked, and what they answer, as a scenario that `tidegate plugin test` replays.
    Record(record_command::Options),
    /// Print every number of the running broker and its plugins as OpenMetrics text, for Prometheus and its kin.
    Metrics,
    /// See to what is stored: check, stats, export, import while no broker uses it, backup while one runs.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Put load on this or any other MQTT broker, check that every message comes, and say what it took.
    Bench(Box<tidegate_bench::Options>),
    /// Make certificates to try TLS with: ca.pem, server.pem, server.key. For the world, use those of a real authority.
    SelfSigned(self_signed::Options),
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Some(Command::SelfSigned(options)) => {
            return self_signed::make(options).map(|()| ExitCode::SUCCESS);
        }
        Some(Command::Bench(options)) => return Ok(tidegate_bench::run(options)),
        Some(Command::Plugin(command)) => {
            return plugin_commands::run(command, arguments.config.as_deref());
        }
        Some(Command::Record(options)) => {
            return record_command::run(options, arguments.config.as_deref()).map(|()| ExitCode::SUCCESS);
        }
        Some(Command::Metrics) => {
            return plugin_commands::metrics(arguments.config.as_deref()).map(|()| ExitCode::SUCCESS);
        }
        Some(Command::Store(StoreCommand::Backup { file })) => {
            return store_commands::backup(file, arguments.config.as_deref()).map(|()| ExitCode::SUCCESS);
        }
        Some(Command::Check | Command::Store(_)) | None => {}
    }
    let config = match &arguments.config {
        Some(path) => Config::read(path)?,
        None => Config::without_file(),
    };
    start_log(&config)?;
    if let Some(Command::Store(command)) = &arguments.command {
        return store_commands::run(command, &config);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.workers.get())
        .thread_name("tidegate-worker")
        .enable_all()
        .build()
        .context("cannot start worker threads")?;
    match &arguments.command {
        Some(Command::Check) => runtime.block_on(check(&config)),
        // Those that need no broker of their own are done already.
        Some(
            Command::SelfSigned(_)
            | Command::Bench(_)
            | Command::Plugin(_)
            | Command::Record(_)
            | Command::Metrics
            | Command::Store(_),
        ) => Ok(ExitCode::SUCCESS),
        None => runtime.block_on(serve(config, arguments.config.as_deref())),
    }
}

fn start_log(config: &Config) -> anyhow::Result<()> {
    let level = config.log.level.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_new(level).with_context(|| {
        format!("log level {level:?}; write \"info\", \"debug\" or the like in [log] level")
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            log.with_target(false).with_ansi(colours).init();
        }
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

async fn serve(config: Config, path: Option<&Path>) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let starting = Broker::start(config);
    let broker = tokio::select! {
        broker = starting => broker?,
        _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hang_up.recv() => match path.map(Config::read) {
                Some(Ok(config)) => broker.reconfigure(&config),
                Some(Err(error)) => warn!("the config stays as it was: {error}"),
                None => warn!("there is no config file to read again"),
            },
        }
    }
    tokio::select! {
        () = broker.stop() => Ok(ExitCode::SUCCESS),
        // Asked twice: at once.
        _ = interrupt.recv() => Ok(ExitCode::FAILURE),
    }
}

async fn check(config: &Config) -> anyhow::Result<ExitCode> {
    let mut good = true;
    for report in tidegate::check(config).await? {
        let name = &report.name;
        let line = match &report.state {
            PluginState::Running => format!("plugin {name}: ok, hooks {}", report.hooks.join(" ")),
            PluginState::Starting => {
                good = false;
                format!("plugin {name}: {} is still being written", report.file.display())
            }
            PluginState::Waiting => {
                good &= !report.required;
                format!("plugin {name}: configured, but {} is not there", report.file.display())
            }
            PluginState::Refused { reason } => {
                good = false;
                format!("plugin {name}: refused: {reason}")
            }
        };
        eprintln!("{line}");
    }
    for listener in &config.listeners {
        eprintln!("listener {}: {}", listener.name(), listener.place());
    }
    eprintln!("{}", if good { "ok" } else { "not ok" });
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
