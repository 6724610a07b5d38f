//! Mosquitto's clients: programs that nobody here wrote.

use crate::{Broker, Finished, PATIENCE, Process};
use std::process::Command;

/// Runs `mosquitto_pub` to its end; host and port are given.
///
/// # Panics
/// If it is not installed, or does not end.
pub fn mosquitto_pub(broker: &Broker, arguments: &[&str]) -> Finished {
    Process::start(command("mosquitto_pub", broker).args(arguments)).finish()
}

/// Runs `mosquitto_rr`, a request and its response, to its end; host, port and a wait of `PATIENCE` are given.
///
/// # Panics
/// As [`mosquitto_pub`].
pub fn mosquitto_rr(broker: &Broker, arguments: &[&str]) -> Finished {
    let patience = PATIENCE.as_secs().to_string();
    Process::start(command("mosquitto_rr", broker).args(["-W", &patience]).args(arguments)).finish()
}

/// A `mosquitto_sub` in the background.
#[derive(Debug)]
pub struct MosquittoSub(Process);

/// How its lines with messages begin.
const MARK: &str = "MESSAGE ";

/// Starts `mosquitto_sub` and waits until it is subscribed; host, port, output format (`%t %q %r %p`: topic, QoS, retain, payload) and a
/// wait of `PATIENCE` are given. Say with `-C` how many messages it is to wait for.
///
/// # Panics
/// If it is not installed, or is not subscribed in time.
pub fn mosquitto_sub(broker: &Broker, arguments: &[&str]) -> MosquittoSub {
    let (patience, format) = (PATIENCE.as_secs().to_string(), format!("{MARK}%t %q %r %p"));
    let mut command = command("mosquitto_sub", broker);
    command.args(["-d", "-W", &patience, "-F", &format]).args(arguments);
    let sub = Process::start(&mut command);
    sub.stdout().wait_for("Subscribed (mid:", PATIENCE);
    MosquittoSub(sub)
}

impl MosquittoSub {
    /// Waits until it has what `-C` asked for. Returns its messages as `TOPIC QOS RETAIN PAYLOAD`, in order.
    ///
    /// # Panics
    /// If it ends with another exit code than 0, as it does when messages are missing.
    pub fn messages(self) -> Vec<String> {
        let Finished { stdout, stderr, code } = self.0.finish();
        assert_eq!(code, Some(0), "mosquitto_sub:\n{}\n{}", stdout.join("\n"), stderr.join("\n"));
        stdout.iter().filter_map(|line| line.strip_prefix(MARK)).map(str::to_owned).collect()
    }

    /// Its process, for what else it writes.
    pub fn process(&self) -> &Process {
        &self.0
    }
}

/// Line buffered, so that what it says is seen when it says it.
fn command(program: &str, broker: &Broker) -> Command {
    let address = broker.address();
    let mut command = Command::new("stdbuf");
    command.args(["-oL", program, "-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
    command
}
