//! The brokers: how each is started so that it keeps every message of a closed loop, and writes no log.

use super::{Entrant, rows::Load};
use crate::{mosquitto, peer::Peer};
use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    thread,
};
use tidegate_tests::broker_binary;

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Broker {
    Floor,
    Tidegate,
    Mosquitto,
    Rumqttd,
    Mochi,
}

/// One that is there to be started.
pub(crate) struct Contender {
    pub(crate) broker: Broker,
    pub(crate) version: String,
    binary: PathBuf,
}

impl Broker {
    pub(crate) const ALL: [Self; 5] =
        [Self::Floor, Self::Tidegate, Self::Mosquitto, Self::Rumqttd, Self::Mochi];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Tidegate => "Tidegate",
            Self::Mosquitto => "Mosquitto",
            Self::Rumqttd => "rumqttd",
            Self::Mochi => "Mochi",
        }
    }

    /// Whether it is somebody else's broker. The floor is no broker.
    pub(crate) fn is_peer(self) -> bool {
        !matches!(self, Self::Floor | Self::Tidegate)
    }

    /// # Errors
    /// Why it cannot be had.
    pub(crate) fn find(self, floor: &Path) -> Result<Contender, String> {
        let (binary, version) = match self {
            Self::Floor => {
                let binary = build_floor(floor)?;
                (binary, "floor (a relay that checks nothing)".to_owned())
            }
            Self::Tidegate => {
                let binary = broker_binary();
                let version = said(&binary, "--version")?.replacen("tidegate", "Tidegate", 1);
                (binary, version)
            }
            Self::Mosquitto => {
                let version = mosquitto::version().ok_or("not installed (apt-get install mosquitto)")?;
                (PathBuf::from("mosquitto"), version)
            }
            Self::Rumqttd => {
                let binary = peers().join("bin/rumqttd");
                let version = said(&binary, "--version")?;
                (binary, version)
            }
            Self::Mochi => {
                let binary = peers().join("bin/mochi");
                let version = said(&binary, "-version")?;
                (binary, version)
            }
        };
        Ok(Contender { broker: self, version, binary })
    }
}

impl Entrant for Contender {
    fn name(&self) -> &'static str {
        self.broker.name()
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn bears(&self, load: &Load) -> bool {
        self.broker != Broker::Floor || load.has_floor
    }

    fn start(&self, load: &Load) -> Result<Peer, String> {
        Peer::start(|folder, address| match self.broker {
            Broker::Floor => self.floor(address),
            Broker::Tidegate => self.tidegate(folder, address, ""),
            Broker::Mosquitto => mosquitto::command(MOSQUITTO, folder, address),
            Broker::Rumqttd => self.rumqttd(folder, address),
            Broker::Mochi => self.mochi(address, load),
        })
    }

    fn options(&self) -> Vec<String> {
        match self.broker {
            // It lets nobody in without one.
            Broker::Rumqttd => ["--keep-alive", "60"].map(str::to_owned).into(),
            _ => Vec::new(),
        }
    }
}

impl Contender {
    fn floor(&self, address: SocketAddr) -> Command {
        // As many threads as the brokers have.
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut command = Command::new(&self.binary);
        command.args([address.to_string(), cores.to_string()]);
        command
    }

    /// `section`: of a plugin, if there is one.
    pub(crate) fn tidegate(&self, folder: &Path, address: SocketAddr, section: &str) -> Command {
        fs::create_dir(folder.join("plugins")).unwrap();
        let config = format!(
            "allow_anonymous = true\n[store]\nengine = \"memory\"\n[limits]\nmax_queued_messages = 1000000\n\
             [log]\nlevel = \"error\"\n[[listener]]\naddress = \"{address}\"\n{section}"
        );
        self.with_config(folder.join("tidegate.toml"), &config)
    }

    fn rumqttd(&self, folder: &Path, address: SocketAddr) -> Command {
        let config = format!(
            "id = 0\n\
             [router]\nid = 0\nmax_connections = 30000\nmax_outgoing_packet_count = 200\n\
             max_segment_size = 16777216\nmax_segment_count = 10\n\
             [v4.1]\nname = \"all\"\nlisten = \"{address}\"\nnext_connection_delay_ms = 0\n\
             [v4.1.connections]\nconnection_timeout_ms = 60000\nmax_payload_size = 1048576\n\
             max_inflight_count = 1000\ndynamic_filters = true\n"
        );
        let mut command = self.with_config(folder.join("rumqttd.toml"), &config);
        command.arg("--quiet");
        command
    }

    fn mochi(&self, address: SocketAddr, load: &Load) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg(format!("-address={address}"));
        // The number that it comes with, unless the load needs more: more costs memory for each client.
        if load.waiting > 1_000 {
            command.arg(format!("-pending={}", 2 * load.waiting));
        }
        command
    }

    fn with_config(&self, file: PathBuf, config: &str) -> Command {
        fs::write(&file, config).unwrap();
        let mut command = Command::new(&self.binary);
        command.arg("-c").arg(file);
        command
    }
}

/// Queues without end, every message sent at once as the others do, no log.
const MOSQUITTO: &str = "max_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\nlog_type none\npersistence false\n";

/// Where `benches/compare` puts them: `target/peers`.
fn peers() -> PathBuf {
    let own = env::current_exe().unwrap();
    own.ancestors().nth(2).unwrap().join("peers")
}

/// What it answers to the question for its version.
fn said(binary: &Path, question: &str) -> Result<String, String> {
    let output = Command::new(binary).arg(question).output();
    let output = output.map_err(|error| format!("{}: {error}", binary.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Built in a copy, because it is somebody else's folder.
fn build_floor(folder: &Path) -> Result<PathBuf, String> {
    if !folder.join("Cargo.toml").is_file() {
        return Err(format!("{} is not there (--floor FOLDER)", folder.display()));
    }
    let copy = peers().join("floor");
    fs::create_dir_all(&copy).unwrap();
    let mut copying = Command::new("cp");
    copying.arg("-r").args([folder.join("Cargo.toml"), folder.join("src")]).arg(&copy);
    let mut building = Command::new("cargo");
    building.args(["build", "--release", "--quiet", "--target-dir", "target"]).current_dir(&copy);
    let done = |command: &mut Command| command.status().is_ok_and(|status| status.success());
    let built = done(&mut copying) && done(&mut building);
    if built { Ok(copy.join("target/release/floor")) } else { Err("does not build".to_owned()) }
}
