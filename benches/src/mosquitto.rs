//! Mosquitto, to compare with.

use crate::peer::Peer;
use std::{fs, net::SocketAddr, path::Path, process::Command};

/// With these lines in its config. None, and a word about it, if it is not installed.
pub(crate) fn start(config: &str) -> Option<Peer> {
    if version().is_none() {
        println!("Mosquitto is not installed (apt-get install mosquitto): left out");
        return None;
    }
    Some(Peer::start(|folder, address| command(config, folder, address)).unwrap())
}

/// What starts it.
pub(crate) fn command(config: &str, folder: &Path, address: SocketAddr) -> Command {
    let file = folder.join("mosquitto.conf");
    // As root it would become somebody else, who may not write there.
    let text = format!(
        "listener {} 127.0.0.1\nallow_anonymous true\nuser root\npersistence_location {}/\n{config}",
        address.port(),
        folder.display()
    );
    fs::write(&file, text).unwrap();
    let mut command = Command::new("mosquitto");
    command.arg("-c").arg(file);
    command
}

/// As it says itself. None if it is not installed.
pub(crate) fn version() -> Option<String> {
    let help = Command::new("mosquitto").arg("-h").output().ok()?.stdout;
    let version = String::from_utf8_lossy(&help).lines().next()?.replace("mosquitto version", "Mosquitto");
    Some(version)
}
