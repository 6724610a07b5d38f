//! A broker that runs beside ours, whoever wrote it.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tidegate_tests::{PATIENCE, Process};

/// How often it is asked whether it listens by now.
const AGAIN: Duration = Duration::from_millis(10);

/// Running; it ends with this.
pub(crate) struct Peer {
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

impl Peer {
    /// `command` is told a folder of its own and where to listen.
    ///
    /// # Errors
    /// What it wrote, if it ends before it listens, or does not in time.
    pub(crate) fn start(command: impl FnOnce(&Path, SocketAddr) -> Command) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).unwrap();
        let mut process = Process::start(command(folder.path(), address).current_dir(folder.path()));
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if process.has_ended() || Instant::now() > deadline {
                return Err(format!("does not listen; it says: {}", process.stderr().text()));
            }
            thread::sleep(AGAIN);
        }
        Ok(Self { process, address, _folder: folder })
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }
}
