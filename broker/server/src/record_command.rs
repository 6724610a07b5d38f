//! `tidegate record`: what the running broker's plugins are asked, as a scenario that can be replayed.

use crate::running::Running;
use anyhow::{Context, anyhow, bail};
use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tidegate::AdminCommand;
use tokio::sync::mpsc;

/// `tidegate record`
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to write it; `-` for stdout
    file: PathBuf,
    /// Only what is about topics under this filter; may be repeated
    #[arg(long, value_name = "FILTER")]
    topic: Vec<String>,
    /// Only what this client does; may be repeated
    #[arg(long, value_name = "CLIENT-ID")]
    client: Vec<String>,
    /// How long, such as 30s [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = tidegate_plugin_host::parse_duration)]
    time: Option<Duration>,
    /// How many lines
    #[arg(long, value_name = "LINES")]
    count: Option<u64>,
    /// CONNECT as it was, with passwords; without, only who came in
    #[arg(long)]
    passwords: bool,
    /// Leave payloads out
    #[arg(long)]
    no_payloads: bool,
}

/// Writes what comes, until told to stop.
///
/// # Errors
/// With what to do about it.
pub(crate) fn run(options: &Options, config: Option<&Path>) -> anyhow::Result<()> {
    let mut out = match options.file.as_os_str() == "-" {
        true => Out::Stdout,
        false => Out::File { file: created(&options.file)?, whole: 0 },
    };
    let recorded = record(options, config, &mut out);
    if recorded.is_err() && matches!(out, Out::File { whole: 0, .. }) {
        // Nothing came of it.
        _ = std::fs::remove_file(&options.file);
    }
    let lines = recorded?;
    if options.passwords {
        eprintln!("the recording has passwords in it: keep it to yourself");
    }
    match out {
        Out::Stdout => eprintln!("{lines} lines recorded"),
        Out::File { .. } => eprintln!(
            "{lines} lines recorded; `tidegate plugin test PLUGIN.wasm {}` replays them",
            options.file.display()
        ),
    }
    Ok(())
}

/// It may hold what clients say to nobody else.
fn created(path: &Path) -> anyhow::Result<File> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    created.map_err(|why| match why.kind() {
        ErrorKind::AlreadyExists => {
            anyhow!("{}: is there already: name a file that is not there yet", path.display())
        }
        _ => anyhow!("{}: {why}", path.display()),
    })
}

/// Where lines go.
enum Out {
    Stdout,
    /// `whole`: bytes up to the end of the last line that is there as a whole.
    File {
        file: File,
        whole: u64,
    },
}

impl Out {
    /// A line with its end, or nothing of it.
    fn take(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().write_all(line),
            Self::File { file, whole } => match file.write_all(line) {
                Ok(()) => {
                    *whole += line.len() as u64;
                    Ok(())
                }
                Err(error) => {
                    // If that fails too, the first error says more.
                    _ = file.set_len(*whole);
                    Err(error)
                }
            },
        }
    }
}

fn record(options: &Options, config: Option<&Path>, out: &mut Out) -> anyhow::Result<u64> {
    let mut running = Running::find(config, "start it, or name its config with -c")?;
    let answer = running.ask(AdminCommand::Record {
        topics: options.topic.clone(),
        clients: options.client.clone(),
        passwords: options.passwords,
        no_payloads: options.no_payloads,
    })?;
    if let Some(error) = answer.error {
        bail!(error);
    }
    let (sender, lines) = mpsc::channel(64);
    // It ends with the process.
    std::thread::spawn(move || {
        let mut line = Vec::new();
        while let Ok(true) = running.line(&mut line) {
            if sender.blocking_send(line.clone()).is_err() {
                return;
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(take(options, lines, out))
}

async fn take(options: &Options, mut lines: mpsc::Receiver<Vec<u8>>, out: &mut Out) -> anyhow::Result<u64> {
    let (mut recorded, mut header) = (0, true);
    let end = async {
        match options.time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(end, interrupted);
    while options.count.is_none_or(|count| recorded < count) {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = &mut end => break,
            interrupted = &mut interrupted => {
                interrupted.context("cannot wait for Ctrl-C")?;
                break;
            }
        };
        let Some(line) = line else { bail!("the broker ended, or gave up, after {recorded} lines") };
        out.take(&line).with_context(|| format!("{}: cannot be written", options.file.display()))?;
        recorded += u64::from(!header);
        header = false;
    }
    Ok(recorded)
}
