//! MQTT 3.1.1 and 5.0 as a client needs it here, written down from the standards: the broker's own codec cannot agree with itself.

use std::{
    fmt,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};
use tidegate_tests::{PATIENCE, field, frame};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    V311,
    V5,
}

/// What a client says in CONNECT. Keep alive is 0.
#[derive(Clone, Debug)]
pub(crate) struct Connect<'a> {
    pub(crate) version: Version,
    pub(crate) client_id: &'a str,
    pub(crate) clean_start: bool,
    /// Seconds that the session outlives its connection; MQTT 5 only.
    pub(crate) expiry: u32,
    /// MQTT 5 only.
    pub(crate) receive_maximum: Option<u16>,
    pub(crate) will: Option<Will>,
}

#[derive(Clone, Debug)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    /// Seconds; MQTT 5 only.
    pub(crate) delay: u32,
}

/// Both ways.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Publish {
    pub(crate) dup: bool,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    /// 0 at QoS 0.
    pub(crate) id: u16,
    /// Of the broker, in MQTT 5.
    pub(crate) identifiers: Vec<u32>,
    pub(crate) payload: Vec<u8>,
}

/// For people: as much of the payload as says which message it is.
impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dup, qos, retain, topic, id, identifiers, payload } = self;
        let begin = String::from_utf8_lossy(&payload[..payload.len().min(40)]);
        write!(
            f,
            "PUBLISH {topic}, packet identifier {id}, QoS {qos}, dup {dup}, retain {retain}, subscriptions {identifiers:?}, \
             {} bytes: {begin:?}",
            payload.len()
        )
    }
}

/// From the broker. Acknowledgements carry packet identifier and reason; before MQTT 5 that is 0.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Packet {
    ConnAck { session_present: bool, reason: u8 },
    Publish(Publish),
    PubAck(u16, u8),
    PubRec(u16, u8),
    PubRel(u16, u8),
    PubComp(u16, u8),
    SubAck(u16, Vec<u8>),
    UnsubAck(u16, Vec<u8>),
    PingResp,
    Disconnect(u8),
}

pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const PUBREC: u8 = 0x50;
pub(crate) const PUBREL: u8 = 0x62;
pub(crate) const PUBCOMP: u8 = 0x70;

/// The connection has ended, however it did; the reason if the broker gave one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Gone(pub(crate) Option<u8>);

/// 0x97, Quota exceeded.
const REFUSED: u8 = 0x97;
/// 0x83, the only word for an UNSUBSCRIBE that could not be stored.
const UNDONE: u8 = 0x83;

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) version: Version,
    stream: TcpStream,
    bytes: Vec<u8>,
}

pub(crate) const DAY: u32 = 86_400;

impl Connection {
    /// Says CONNECT and waits for CONNACK. Returns whether there is a session.
    pub(crate) fn open(address: SocketAddr, connect: &Connect<'_>) -> Result<(Self, bool), Gone> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|_| Gone(None))?;
        stream.set_nodelay(true).map_err(|_| Gone(None))?;
        // A broker that hears nothing is as good as one that is away: the test shall not hang with it.
        stream.set_write_timeout(Some(PATIENCE)).map_err(|_| Gone(None))?;
        let mut connection = Self { version: connect.version, stream, bytes: Vec::new() };
        connection.send(&connect.bytes())?;
        match connection.receive(PATIENCE)? {
            Some(Packet::ConnAck { session_present, reason: 0 }) => Ok((connection, session_present)),
            Some(Packet::ConnAck { reason, .. }) => Err(Gone(Some(reason))),
            Some(other) => panic!("the first packet of the broker is not CONNACK: {other:?}"),
            None => panic!("no CONNACK for {PATIENCE:?}"),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.stream.write_all(bytes).map_err(|_| Gone(None))
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP, all well.
    pub(crate) fn send_ack(&mut self, first_byte: u8, id: u16) -> Result<(), Gone> {
        self.send(&frame(first_byte, &id.to_be_bytes()))
    }

    /// PUBCOMP for an identifier that nobody knows (any more).
    pub(crate) fn send_unknown(&mut self, id: u16) -> Result<(), Gone> {
        let [high, low] = id.to_be_bytes();
        let body: &[u8] = if self.version == Version::V5 { &[high, low, 0x92] } else { &[high, low] };
        self.send(&frame(PUBCOMP, body))
    }

    pub(crate) fn send_publish(&mut self, publish: &Publish) -> Result<(), Gone> {
        let first = 0x30 | u8::from(publish.dup) << 3 | publish.qos << 1 | u8::from(publish.retain);
        let mut body = field(&publish.topic);
        if publish.qos > 0 {
            body.extend(publish.id.to_be_bytes());
        }
        if self.version == Version::V5 {
            body.push(0);
        }
        body.extend_from_slice(&publish.payload);
        self.send(&frame(first, &body))
    }

    /// One filter; the identifier is for MQTT 5. MQTT 5 asks for no retained messages; before, there is no choice.
    pub(crate) fn send_subscribe(
        &mut self,
        id: u16,
        filter: &str,
        qos: u8,
        identifier: Option<u8>,
    ) -> Result<(), Gone> {
        let mut body = id.to_be_bytes().to_vec();
        let retain_handling = match (self.version, identifier) {
            (Version::V311, _) => 0,
            (Version::V5, None) => {
                body.push(0);
                0
            }
            (Version::V5, Some(identifier)) => {
                assert!((1..128).contains(&identifier), "one byte is enough");
                body.extend([2, 0x0B, identifier]);
                2
            }
        };
        body.extend(field(filter));
        body.push(qos | retain_handling << 4);
        self.send(&frame(0x82, &body))
    }

    pub(crate) fn send_unsubscribe(&mut self, id: u16, filter: &str) -> Result<(), Gone> {
        let mut body = id.to_be_bytes().to_vec();
        if self.version == Version::V5 {
            body.push(0);
        }
        body.extend(field(filter));
        self.send(&frame(0xA2, &body))
    }

    /// The reason is for MQTT 5; 0 takes the will away. With an expiry the session ends after so many seconds.
    pub(crate) fn send_disconnect(&mut self, reason: u8, expiry: Option<u32>) -> Result<(), Gone> {
        let body = match (self.version, expiry) {
            (Version::V311, _) => vec![],
            (Version::V5, None) => vec![reason, 0],
            (Version::V5, Some(expiry)) => [&[reason, 5, 0x11][..], &expiry.to_be_bytes()].concat(),
        };
        self.send(&frame(0xE0, &body))
    }

    /// The next packet; none if none comes in time.
    ///
    /// # Panics
    /// If the broker says what is no packet.
    pub(crate) fn receive(&mut self, patience: Duration) -> Result<Option<Packet>, Gone> {
        loop {
            if let Some((packet, length)) = Packet::read(&self.bytes, self.version) {
                self.bytes.drain(..length);
                return match packet {
                    Packet::Disconnect(reason) => Err(Gone(Some(reason))),
                    // The store is away: nothing of it was taken. Only the driver knows whether that is fine.
                    Packet::PubAck(_, REFUSED) | Packet::PubRec(_, REFUSED) => Err(Gone(Some(REFUSED))),
                    Packet::SubAck(_, codes) if matches!(*codes, [0x80 | REFUSED]) => {
                        Err(Gone(Some(codes[0])))
                    }
                    Packet::UnsubAck(_, codes) if codes == [UNDONE] => Err(Gone(Some(UNDONE))),
                    packet => Ok(Some(packet)),
                };
            }
            self.stream.set_read_timeout(Some(patience)).map_err(|_| Gone(None))?;
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Gone(None)),
                Ok(count) => self.bytes.extend_from_slice(&chunk[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone(None)),
            }
        }
    }

    /// Waits until the broker has closed its side; false if it does not. What it says until then is lost.
    pub(crate) fn closed(mut self) -> bool {
        loop {
            match self.receive(PATIENCE) {
                Err(Gone(_)) => return true,
                Ok(Some(_)) => {}
                Ok(None) => return false,
            }
        }
    }

    /// Ends it without a word.
    pub(crate) fn cut(self) {
        // It may have ended already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Connect<'_> {
    fn bytes(&self) -> Vec<u8> {
        let v5 = self.version == Version::V5;
        let will = self.will.as_ref().map_or(0, |will| 0x04 | will.qos << 3);
        let flags = will | u8::from(self.clean_start) << 1;
        let mut body = field("MQTT");
        body.extend([if v5 { 5 } else { 4 }, flags, 0, 0]);
        if v5 {
            let mut properties = Vec::new();
            if self.expiry > 0 {
                properties.push(0x11);
                properties.extend(self.expiry.to_be_bytes());
            }
            if let Some(maximum) = self.receive_maximum {
                properties.push(0x21);
                properties.extend(maximum.to_be_bytes());
            }
            body.push(properties.len() as u8);
            body.extend(properties);
        }
        body.extend(field(self.client_id));
        if let Some(will) = &self.will {
            if v5 && will.delay > 0 {
                body.extend([5, 0x18]);
                body.extend(will.delay.to_be_bytes());
            } else if v5 {
                body.push(0);
            }
            body.extend(field(&will.topic));
            body.extend(field(&will.payload));
        }
        frame(0x10, &body)
    }
}

impl Packet {
    /// The packet at the beginning of these bytes and how long it is, if it is there as a whole.
    fn read(bytes: &[u8], version: Version) -> Option<(Self, usize)> {
        let (length, begin) = variable_number(bytes.get(1..)?)?;
        let whole = bytes.get(..1 + begin + length as usize)?;
        let body = Body { bytes: &whole[1 + begin..], version };
        Some((body.packet(whole[0]), whole.len()))
    }
}

/// What is not read yet of a packet.
struct Body<'a> {
    bytes: &'a [u8],
    version: Version,
}

impl Body<'_> {
    fn packet(mut self, first: u8) -> Packet {
        match first {
            0x20 => {
                let (flags, reason) = (self.byte(), self.byte());
                self.properties();
                Packet::ConnAck { session_present: flags == 1, reason }
            }
            0x30..=0x3F => {
                let qos = first >> 1 & 3;
                let topic = self.field();
                let id = if qos > 0 { self.number() } else { 0 };
                let identifiers = self.properties();
                Packet::Publish(Publish {
                    dup: first & 8 != 0,
                    qos,
                    retain: first & 1 != 0,
                    topic: String::from_utf8(topic).expect("a topic is text"),
                    id,
                    identifiers,
                    payload: self.bytes.to_vec(),
                })
            }
            0x40 => Packet::PubAck(self.number(), self.reason()),
            0x50 => Packet::PubRec(self.number(), self.reason()),
            0x62 => Packet::PubRel(self.number(), self.reason()),
            0x70 => Packet::PubComp(self.number(), self.reason()),
            0x90 => {
                let id = self.number();
                self.properties();
                Packet::SubAck(id, self.bytes.to_vec())
            }
            0xB0 => {
                let id = self.number();
                self.properties();
                Packet::UnsubAck(id, self.bytes.to_vec())
            }
            0xD0 => Packet::PingResp,
            0xE0 => Packet::Disconnect(self.reason()),
            other => panic!("the broker sent a packet that begins with {other:#04X}"),
        }
    }

    fn take(&mut self, count: usize) -> &[u8] {
        assert!(count <= self.bytes.len(), "a packet of the broker ends too early");
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn field(&mut self) -> Vec<u8> {
        let length = self.number();
        self.take(length.into()).to_vec()
    }

    fn variable(&mut self) -> u32 {
        let (number, length) = variable_number(self.bytes).expect("a length is whole");
        self.take(length);
        number
    }

    /// Left out when all is well.
    fn reason(&mut self) -> u8 {
        if self.bytes.is_empty() { 0 } else { self.byte() }
    }

    /// Reads all of them, and returns the subscription identifiers (section 2.2.2.2).
    fn properties(&mut self) -> Vec<u32> {
        let mut identifiers = Vec::new();
        if self.version == Version::V311 {
            return identifiers;
        }
        let left = self.variable() as usize;
        let end = self.bytes.len() - left;
        while self.bytes.len() > end {
            match self.byte() {
                0x0B => identifiers.push(self.variable()),
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => drop(self.byte()),
                0x13 | 0x21 | 0x22 | 0x23 => drop(self.number()),
                0x02 | 0x11 | 0x18 | 0x27 => drop(self.take(4)),
                0x26 => drop((self.field(), self.field())),
                0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => drop(self.field()),
                other => panic!("the broker sent a property {other:#04X}"),
            }
        }
        identifiers
    }
}

/// A variable byte integer and how long it is, if it is there as a whole.
fn variable_number(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        number |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, index + 1));
        }
    }
    None
}
