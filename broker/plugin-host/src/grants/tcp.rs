//! `grants.tcp`: where a plugin may connect to.

use super::{
    Destinations,
    origin::{Host, Kind, Origin},
};
use std::net::IpAddr;

/// A list of origins, or a table with more to say.
pub type TcpGrant = Destinations<TcpOrigin>;

/// `tcp://10.0.0.7:6379` or `tls://redis.example:6380`
pub type TcpOrigin = Origin<Tcp>;

/// Where anything is spoken.
#[derive(Clone, Debug)]
pub enum Tcp {}

impl Kind for Tcp {
    const SCHEMES: [&'static str; 2] = ["tcp", "tls"];
    const PORTS: [Option<u16>; 2] = [None, None];
    const EXAMPLE: &'static str = "tls://redis.example:6380";
}

impl TcpOrigin {
    /// Whether what is said there is encrypted.
    pub(crate) fn is_tls(&self) -> bool {
        self.scheme == "tls"
    }

    /// An address, if it was granted as such.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Address(address) => Some(address),
            Host::Name(_) => None,
        }
    }

    /// A name, or an address as text, without brackets.
    pub(crate) fn host(&self) -> String {
        match &self.host {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name.to_string(),
        }
    }

    /// From 0 to 65,535.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Table {
        tcp: TcpGrant,
    }

    #[test]
    fn a_list_or_a_table_of_schemes_hosts_and_ports() {
        let table: Table =
            toml::from_str("tcp = ['tcp://127.0.0.1:6379', 'tls://Redis.Example:6380']").unwrap();
        assert_eq!(table.tcp.to_string(), "tcp://127.0.0.1:6379, tls://redis.example:6380");
        let table: Table =
            toml::from_str("tcp = { origins = ['tcp://a:1'], private = ['10.0.0.0/8'] }").unwrap();
        assert_eq!(table.tcp.to_string(), "tcp://a:1 in 10.0.0.0/8");
        assert_eq!(TcpOrigin::parse("tcp://A:1"), Ok(table.tcp.origins[0].clone()));
        assert_eq!(TcpOrigin::parse("tls://[::1]:1").unwrap().host(), "::1");
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for (text, why) in [
            ("tcp = ['tcp://a']", "it names no port"),
            (
                "tcp = ['http://a:1']",
                "its scheme is neither tcp nor tls; write for example \"tls://redis.example:6380\"",
            ),
            ("tcp = ['a:1']", "is not an origin"),
            ("tcp = ['tcp://me@a:1']", "it names a user"),
            ("tcp = ['tcp://a:1/b']", "it has a path"),
            ("tcp = []", "no origin grants nothing"),
        ] {
            let error = toml::from_str::<Table>(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
