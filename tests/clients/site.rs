//! A broker that listens on one transport, and how to reach it.

use super::certificates;
use std::path::PathBuf;
use tidegate_mqtt::Version;
use tidegate_tests::{Broker, Folder};

/// What is below MQTT.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    Tcp,
    Tls,
    Ws,
    Wss,
    Unix,
}

/// Messages that an MQTT 5 client may have open at the broker: few, so that clients come to this bound.
pub(crate) const RECEIVE_MAXIMUM: u16 = 16;
/// Larger than any buffer on the way, and close to what the broker takes.
pub(crate) const LARGE: usize = 900 * 1024;
/// Messages of a burst: more than [`RECEIVE_MAXIMUM`].
pub(crate) const BURST: usize = 200;

/// A running broker with a listener of its transport, and with TLS a second one that asks for a client certificate.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) transport: Transport,
    pub(crate) version: Version,
    broker: Broker,
}

impl Site {
    /// Starts the broker. A test has it for itself.
    pub(crate) fn start(transport: Transport, version: Version) -> Self {
        let listeners = match transport {
            Transport::Tcp => listener("tcp", ""),
            Transport::Ws => listener("ws", ""),
            Transport::Tls => secure_listeners("tls"),
            Transport::Wss => secure_listeners("wss"),
            Transport::Unix => format!("[[listener]]\nkind = \"unix\"\npath = \"{SOCKET}\"\n"),
        };
        let folder = Folder::new(&format!(
            "response_information = \"responses/%c\"\n{listeners}[limits]\nreceive_maximum = {RECEIVE_MAXIMUM}\n"
        ));
        certificates::write(folder.path());
        Self { transport, version, broker: folder.start() }
    }

    /// A broker on this folder, over plain TCP.
    pub(crate) fn on(folder: &Folder, version: Version) -> Self {
        Self { transport: Transport::Tcp, version, broker: folder.start() }
    }

    /// The broker itself.
    pub(crate) fn broker(&self) -> &Broker {
        &self.broker
    }

    /// A client of version 5 has what a client of version 3.1.1 has not.
    pub(crate) fn is_v5(&self) -> bool {
        self.version == Version::V5
    }

    /// Whether a certificate is needed to know the broker.
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self.transport, Transport::Tls | Transport::Wss)
    }

    /// The port of the listener.
    pub(crate) fn port(&self) -> u16 {
        self.broker.address().port()
    }

    /// The port of the listener that asks for a client certificate.
    pub(crate) fn mutual_port(&self) -> u16 {
        self.broker.addresses()[1].port()
    }

    /// The listener, with the scheme a client has for sockets in the file system.
    pub(crate) fn url(&self, unix: &str) -> String {
        let (port, path) = (|| self.port(), self.file(SOCKET));
        match self.transport {
            Transport::Tcp => format!("mqtt://127.0.0.1:{}", port()),
            Transport::Tls => format!("mqtts://127.0.0.1:{}", port()),
            Transport::Ws => format!("ws://127.0.0.1:{}/mqtt", port()),
            Transport::Wss => format!("wss://127.0.0.1:{}/mqtt", port()),
            Transport::Unix => format!("{unix}://{}", path.display()),
        }
    }

    /// The listener that asks for a client certificate, reached by a name.
    pub(crate) fn mutual_url(&self) -> String {
        let (scheme, path) = if self.transport == Transport::Tls { ("mqtts", "") } else { ("wss", "/mqtt") };
        format!("{scheme}://localhost:{}{path}", self.mutual_port())
    }

    /// The socket in the file system.
    pub(crate) fn socket(&self) -> PathBuf {
        self.file(SOCKET)
    }

    /// A file beside the broker's config, such as a certificate.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.broker.folder().path().join(name)
    }
}

const SOCKET: &str = "mqtt.socket";

fn listener(kind: &str, more: &str) -> String {
    format!("[[listener]]\nkind = \"{kind}\"\naddress = \"127.0.0.1:0\"\n{more}")
}

fn secure_listeners(kind: &str) -> String {
    let (certificate, key) = certificates::SERVER;
    let own = format!("cert = \"{certificate}\"\nkey = \"{key}\"\n");
    let mutual = format!("{own}client_ca = \"{}\"\nclient_cert = \"required\"\n", certificates::CA);
    listener(kind, &own) + &listener(kind, &mutual)
}

/// What a client does on a site, and how that is called.
pub(crate) type Scenario = (&'static str, fn(&Site));

/// Runs scenarios one after the other, and says so.
pub(crate) fn run_each(site: &Site, scenarios: &[Scenario]) {
    for (name, scenario) in scenarios {
        // The last line without an "ok" is the one that failed.
        println!("{name} …");
        scenario(site);
        println!("ok {name}");
    }
}

/// Tests that run a function on a site, for each transport in both versions: `over_tcp::in_3_1_1` and so on.
macro_rules! on_each_site {
    ($run:ident: $($name:ident $transport:ident),+) => {
        $(mod $name {
            use crate::clients::site::{Site, Transport};
            use tidegate_mqtt::Version;

            #[test]
            fn in_3_1_1() {
                super::$run(&Site::start(Transport::$transport, Version::V3_1_1));
            }

            #[test]
            fn in_5() {
                super::$run(&Site::start(Transport::$transport, Version::V5));
            }
        })+
    };
}
