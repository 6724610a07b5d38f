//! A running broker.

use crate::{Finished, Folder, Lines, PATIENCE, Process};
use std::{net::SocketAddr, process::Command, time::Duration};

/// A running broker, a process of its own. Dropped, it is killed, and the test fails if its log tells of a panic.
#[derive(Debug)]
pub struct Broker {
    folder: Folder,
    process: Option<Process>,
    pid: u32,
    log: Lines,
    addresses: Vec<SocketAddr>,
}

impl Broker {
    /// Starts a broker on a new folder with this config, completed as in [`Folder::new`], and waits until it listens.
    ///
    /// # Panics
    /// With its log, if it does not start.
    pub fn start(config: &str) -> Self {
        Folder::new(config).start()
    }

    pub(crate) fn on(folder: Folder, command: &mut Command) -> Self {
        let process = Process::start(command.arg("-c").arg(folder.config()));
        let (pid, log) = (process.pid(), process.stderr().clone());
        log.wait_for("ready", PATIENCE);
        let addresses = log.text().lines().filter_map(listening).collect();
        Self { folder, process: Some(process), pid, log, addresses }
    }

    /// Where clients come in: the address of the first listener, with its real port.
    ///
    /// # Panics
    /// If the log does not say, as when it is not JSON.
    pub fn address(&self) -> SocketAddr {
        *self.addresses.first().expect("the log names the address of a listener")
    }

    /// The addresses of all listeners, in the order of the config.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Its folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Bytes of memory that it has.
    ///
    /// # Panics
    /// If it has ended.
    pub fn resident(&self) -> u64 {
        let pages = std::fs::read_to_string(format!("/proc/{}/statm", self.pid)).expect("it runs");
        let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        pages.expect("statm has numbers") * 4096
    }

    /// What it has logged, to be waited for, or to be waited for after what is there already.
    pub fn log(&self) -> &Lines {
        &self.log
    }

    /// Waits for a log line that contains `pattern`, which may be there already, and returns it.
    ///
    /// # Panics
    /// With the log, if it does not come in time or the broker ends.
    pub fn wait_for_log(&self, pattern: &str, patience: Duration) -> String {
        self.log.wait_for(pattern, patience)
    }

    /// Whether a log line so far contains `pattern`.
    pub fn log_contains(&self, pattern: &str) -> bool {
        self.log.contains(pattern)
    }

    /// Tells it to stop (SIGTERM), without waiting.
    ///
    /// # Panics
    /// If it has ended already.
    pub fn terminate(&self) {
        self.process.as_ref().expect("it runs").terminate();
    }

    /// Tells it to read its config again (SIGHUP), without waiting.
    ///
    /// # Panics
    /// If it has ended already.
    pub fn hang_up(&self) {
        self.process.as_ref().expect("it runs").hang_up();
    }

    /// Stops it (SIGTERM) and waits until it has ended well. Its folder can be started again.
    ///
    /// # Panics
    /// With its log, if it does not end in time, or with an exit code other than 0.
    pub fn stop(mut self) -> Folder {
        self.terminate();
        let Finished { stderr, code, .. } = self.process.take().expect("it runs").finish();
        assert_eq!(code, Some(0), "exit code of the broker; its log:\n{}", stderr.join("\n"));
        self.folder.clone()
    }

    /// Ends it as a loss of power would (SIGKILL). Its folder can be started again.
    pub fn kill(mut self) -> Folder {
        drop(self.process.take());
        self.folder.clone()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.take());
        if std::thread::panicking() {
            eprintln!("log of the broker:\n{}", self.log.text());
        } else {
            self.log.wait_for_end(PATIENCE);
            assert!(!self.log_contains(" panicked at "), "the broker panicked:\n{}", self.log.text());
        }
    }
}

/// The address in a line such as `{"message":"listening: tcp …","address":"127.0.0.1:40123"}`.
fn listening(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    line["message"].as_str()?.starts_with("listening: ").then(|| line["address"].as_str()?.parse().ok())?
}
