//! The running broker, as commands reach it: over its admin socket.

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};
use tidegate::{AdminAnswer, AdminCommand, AdminRequest, admin_socket};

/// A broker that was found.
pub(crate) struct Running {
    stream: BufReader<UnixStream>,
    socket: PathBuf,
}

impl Running {
    /// Through `data_dir` of the config. `otherwise`: what to do if there is none.
    ///
    /// # Errors
    /// With what to do about it.
    pub(crate) fn find(config: Option<&Path>, otherwise: &str) -> anyhow::Result<Self> {
        let socket = admin_socket(&data_dir(config)?);
        match UnixStream::connect(&socket) {
            Ok(stream) => Ok(Self { stream: BufReader::new(stream), socket }),
            Err(error) if [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&error.kind()) => {
                bail!("no broker answers at {}; {otherwise}", socket.display())
            }
            Err(error) => Err(error)
                .with_context(|| format!("{}: ask as the broker's own user or as root", socket.display())),
        }
    }

    /// What it says to a command.
    ///
    /// # Errors
    /// With what to do about it.
    pub(crate) fn ask(&mut self, command: AdminCommand) -> anyhow::Result<AdminAnswer> {
        let mut request = serde_json::to_vec(&AdminRequest::new(command))?;
        request.push(b'\n');
        let asked = self.stream.get_mut().write_all(&request);
        asked.with_context(|| format!("the broker at {} does not answer", self.socket.display()))?;
        let mut line = Vec::new();
        ensure!(self.line(&mut line)?, "the broker at {} ended before it answered", self.socket.display());
        serde_json::from_slice(&line).context(
            "the broker's answer is not understood; use the tidegate binary that it was started with",
        )
    }

    /// The next line, with its end; false if none comes.
    ///
    /// # Errors
    /// With its socket.
    pub(crate) fn line(&mut self, line: &mut Vec<u8>) -> anyhow::Result<bool> {
        line.clear();
        let read = self.stream.read_until(b'\n', line);
        let read =
            read.with_context(|| format!("the broker at {} does not answer", self.socket.display()))?;
        Ok(read > 0)
    }
}

/// From the config, of which a mistake anywhere else is nobody's business here.
fn data_dir(config: Option<&Path>) -> anyhow::Result<PathBuf> {
    #[derive(Deserialize)]
    struct Config {
        data_dir: Option<PathBuf>,
    }
    let default = || PathBuf::from("data");
    let Some(path) = config else { return Ok(default()) };
    let text = fs::read_to_string(path).with_context(|| {
        format!("{}: cannot be read; name the file with -c FILE or TIDEGATE_CONFIG", path.display())
    })?;
    let config: Config = toml::from_str(&text).with_context(|| path.display().to_string())?;
    Ok(path.parent().unwrap_or(Path::new("")).join(config.data_dir.unwrap_or_else(default)))
}
