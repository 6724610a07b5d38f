//! The broker that a run goes to.

use crate::{failure::Failure, options::Connection};
use std::net::{SocketAddr, ToSocketAddrs};
use tidegate_mqtt::Version;

pub(crate) struct Target {
    /// Host and port, as given.
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) version: Version,
    pub(crate) password: Option<Vec<u8>>,
}

impl Target {
    pub(crate) fn new(connection: &Connection) -> Result<Self, Failure> {
        let url = connection.url.as_str();
        let usage = |why: &str| Failure::Usage(format!("--url {url}: {why}"));
        let (scheme, rest) = url.split_once("://").ok_or_else(|| usage("write mqtt://HOST:PORT"))?;
        if scheme != "mqtt" {
            return Err(usage("the scheme is mqtt"));
        }
        let (place, _path) = rest.split_once('/').unwrap_or((rest, ""));
        let has_port = place.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let name = if has_port { place.to_owned() } else { format!("{place}:1883") };
        let unreachable = |source| Failure::Unreachable { address: name.clone(), source };
        let address = name.to_socket_addrs().map_err(unreachable)?.next();
        let address = address.ok_or_else(|| usage("that host has no address"))?;
        Ok(Self { name, address, version: connection.mqtt.version(), password: None })
    }
}
