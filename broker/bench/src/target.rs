//! The broker that a run goes to, and how its clients get in.

use crate::{
    failure::Failure,
    options::{Connection, Tls as TlsOptions},
};
use rustls::{ClientConfig, pki_types::ServerName};
use std::{
    env, fs,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tidegate_mqtt::Version;

mod tls;

pub(crate) struct Target {
    /// Host and port.
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<TlsTarget>,
    /// Its path.
    pub(crate) websocket: Option<String>,
    pub(crate) version: Version,
    /// Seconds; 0: none.
    pub(crate) keep_alive: u16,
    pub(crate) names: Names,
}

/// Who clients say that they are; `{n}` stands for a client's number.
pub(crate) struct Names {
    pub(crate) client_id: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
}

pub(crate) struct TlsTarget {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) server: ServerName<'static>,
}

/// Where passwords may come from, besides a file.
const PASSWORD: &str = "TIDEGATE_BENCH_PASSWORD";
/// How long each address of a name is tried.
const PATIENCE: Duration = Duration::from_secs(5);

/// A URL in its parts.
#[derive(Debug, PartialEq)]
struct Place<'a> {
    is_tls: bool,
    websocket: Option<String>,
    host: &'a str,
    port: u16,
}

impl Target {
    pub(crate) fn new(connection: &Connection) -> Result<Self, Failure> {
        let url = connection.url.as_str();
        let usage = |why: &str| Failure::Usage(format!("--url {url}: {why}"));
        let Place { is_tls, websocket, host, port } = place(url).map_err(usage)?;
        let name = format!("{host}:{port}");
        let tls = if is_tls {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let server = ServerName::try_from(bare.to_owned()).map_err(|error| usage(&error.to_string()))?;
            Some(TlsTarget { config: tls::config(&connection.tls)?, server })
        } else if let Some(option) = connection.tls.first_given() {
            return Err(usage(&format!("{option} is for mqtts:// and wss://")));
        } else {
            None
        };
        let names = Names {
            client_id: connection.client_id.clone(),
            user: connection.user.clone(),
            password: password(connection.password_file.as_deref())?,
        };
        let address = address(&name)?;
        let (version, keep_alive) = (connection.mqtt.version(), connection.keep_alive);
        Ok(Self { name, address, tls, websocket, version, keep_alive, names })
    }
}

impl Names {
    /// Of the client with this number; `run` keeps clients of two runs apart.
    pub(crate) fn client_id(&self, number: usize, run: u32) -> String {
        match &self.client_id {
            None => format!("bench-{run:08x}-{number}"),
            Some(template) if template.contains("{n}") => template.replace("{n}", &number.to_string()),
            Some(prefix) => format!("{prefix}{number}"),
        }
    }

    pub(crate) fn user(&self, number: usize) -> Option<String> {
        self.user.as_ref().map(|template| template.replace("{n}", &number.to_string()))
    }
}

fn place(url: &str) -> Result<Place<'_>, &'static str> {
    let (scheme, rest) = url.split_once("://").ok_or("write mqtt://HOST:PORT")?;
    let (is_tls, is_websocket, usual) = match scheme {
        "mqtt" => (false, false, 1883),
        "mqtts" => (true, false, 8883),
        "ws" => (false, true, 80),
        "wss" => (true, true, 443),
        _ => return Err("the scheme is mqtt, mqtts, ws or wss"),
    };
    let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if place.contains('@') {
        return Err("user names go to --user, passwords to --password-file");
    }
    let websocket = match (is_websocket, path) {
        (true, "" | "/") => Some("/mqtt".to_owned()),
        (true, path) if path.chars().any(|c| c.is_whitespace() || c.is_control()) => {
            return Err("the path has a blank in it");
        }
        (true, path) => Some(path.to_owned()),
        (false, "" | "/") => None,
        (false, _) => return Err("only ws and wss have a path"),
    };
    let (host, port) = match place.rsplit_once(':') {
        // The last colon of an IPv6 address is not before a port.
        Some((_, rest)) if rest.ends_with(']') => (place, usual),
        Some((host, port)) => (host, port.parse().map_err(|_| "the port is a number up to 65535")?),
        None => (place, usual),
    };
    if host.is_empty() { Err("the host is missing") } else { Ok(Place { is_tls, websocket, host, port }) }
}

/// The first of a name's addresses that answers, so that all clients go to the same.
fn address(name: &str) -> Result<SocketAddr, Failure> {
    let unreachable = |source| Failure::Unreachable { address: name.to_owned(), source };
    let addresses: Vec<SocketAddr> = name.to_socket_addrs().map_err(unreachable)?.collect();
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, PATIENCE).is_ok();
    let chosen = match &addresses[..] {
        [only] => Some(only),
        several => several.iter().find(answers).or(several.first()),
    };
    chosen.copied().ok_or_else(|| Failure::Usage(format!("--url: {name} has no address")))
}

fn password(file: Option<&Path>) -> Result<Option<Vec<u8>>, Failure> {
    let Some(path) = file else {
        return Ok(env::var_os(PASSWORD).map(|password| password.into_encoded_bytes()));
    };
    let read = fs::read(path);
    let mut password = read.map_err(|source| Failure::File { path: path.display().to_string(), source })?;
    // Editors end lines.
    while password.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        password.pop();
    }
    Ok(Some(password))
}

impl TlsOptions {
    fn first_given(&self) -> Option<&'static str> {
        let Self { ca, cert, key, insecure } = self;
        [
            (ca.is_some(), "--ca"),
            (cert.is_some(), "--cert"),
            (key.is_some(), "--key"),
            (*insecure, "--insecure"),
        ]
        .into_iter()
        .find_map(|(given, name)| given.then_some(name))
    }
}

#[cfg(test)]
mod tests;
