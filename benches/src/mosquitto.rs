//! Mosquitto, to compare with.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::Command,
};
use tempfile::TempDir;
use tidegate_tests::{PATIENCE, Process};

/// Running; it ends with this.
pub(crate) struct Mosquitto {
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

impl Mosquitto {
    /// With these lines in its config. None, and a word about it, if it is not installed.
    pub(crate) fn start(config: &str) -> Option<Self> {
        if Command::new("mosquitto").arg("-h").output().is_err() {
            println!("Mosquitto is not installed (apt-get install mosquitto): left out");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).unwrap();
        let file = folder.path().join("mosquitto.conf");
        let place = folder.path().display();
        // As root it would become somebody else, who may not write there.
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nuser root\npersistence_location {place}/\n{config}",
            address.port()
        );
        fs::write(&file, text).unwrap();
        let process = Process::start(Command::new("mosquitto").arg("-c").arg(file));
        process.stderr().wait_for("running", PATIENCE);
        Some(Self { process, address, _folder: folder })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}
