//! How connections end: what a client did wrong, and what it is told.

use crate::{Broker, Client, Received, frame};
use tidegate_mqtt::{Disconnect, Packet, QoS, ReasonCode, Version};

/// Bytes that end a connection: what is wrong with them, themselves, and the reason MQTT 5 is told.
pub type Wrong<'a> = (&'a str, Vec<u8>, ReasonCode);

/// Sends each to a connection of its own, and checks that it ends for this reason, and that nobody else notices. MQTT 5 is told why in
/// words too.
///
/// # Panics
/// If one does not.
pub fn each_ends_its_connection(broker: &Broker, version: Version, cases: &[Wrong<'_>]) {
    let mut witness = Client::connect(broker, Version::V5, "witness");
    witness.subscribe("#", QoS::AtMostOnce);
    for (what, bytes, reason) in cases {
        eprintln!("{version:?}: {what}");
        let mut client = Client::connect(broker, version, "wrong");
        client.send_bytes_if_open(bytes);
        client.expect_end(version, *reason);
        witness.expect_nothing();
    }
    witness.disconnect();
}

/// A packet that begins with packet identifier 1 and, in MQTT 5, an empty set of properties: SUBSCRIBE and UNSUBSCRIBE.
pub fn request_frame(version: Version, first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let begin: &[u8] = if version == Version::V5 { &[0, 1, 0] } else { &[0, 1] };
    frame(first_byte, &[begin, payload].concat())
}

impl Client {
    /// Waits for the broker's DISCONNECT, which is the last it says before it closes. It gives its reason in words too, and no session
    /// expiry.
    ///
    /// # Panics
    /// If the broker says anything else, or does not close.
    pub fn expect_told(&mut self) -> Disconnect {
        let disconnect = match self.receive() {
            Received::Packet(Packet::Disconnect(disconnect)) => disconnect,
            other => panic!("not DISCONNECT: {other:?}"),
        };
        assert!(disconnect.properties.reason_string.is_some(), "{disconnect:?}");
        assert_eq!(disconnect.properties.session_expiry_interval, None, "v5 MQTT-3.14.2-2");
        self.expect_closed();
        disconnect
    }

    /// Waits until the broker ends the connection: MQTT 5 is told this reason, also in words; older versions nothing.
    ///
    /// # Panics
    /// As [`Client::expect_told`].
    pub fn expect_end(&mut self, version: Version, reason: ReasonCode) {
        if version == Version::V5 {
            let told = self.expect_told();
            assert_eq!(told.reason, reason, "{told:?}");
        } else {
            self.expect_closed();
        }
    }
}
