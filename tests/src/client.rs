//! A client that says exactly what it is told to, right or wrong, and shows what it hears.

use crate::{Broker, Message, PATIENCE, Received};
use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    num::NonZeroU16,
    time::{Duration, Instant},
};
use tidegate_mqtt::{
    Ack, ClientId, ConnAck, Connect, ConnectProperties, Disconnect, DisconnectProperties, Packet, PacketId,
    Publish, PublishProperties, QoS, ReasonCode, SubAck, Subscribe, SubscribeProperties, SubscriptionFilter,
    SubscriptionOptions, UnsubAck, Unsubscribe, Version, next_frame,
};

/// A blocking MQTT client without a will of its own: it acknowledges nothing and sends nothing unless it is told to.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    version: Version,
    /// Bytes that are no whole packet yet.
    tail: Vec<u8>,
    /// Packets that came while something else was waited for, in order.
    inbox: VecDeque<Received>,
    next_packet_id: NonZeroU16,
}

/// A CONNECT with clean start, without keep alive, will, user name or properties. To be changed with `Connect { .., ..connect(V5, "id") }`.
pub fn connect(version: Version, client_id: &str) -> Connect {
    Connect {
        version,
        clean_start: true,
        keep_alive: 0,
        client_id: ClientId::new(client_id),
        properties: ConnectProperties::default(),
        will: None,
        username: None,
        password: None,
    }
}

/// A PUBLISH without packet identifier, flags and properties.
pub fn publish<'a>(topic: &'a str, payload: &'a str, qos: QoS) -> Publish<'a> {
    let payload = payload.as_bytes();
    Publish { dup: false, qos, retain: false, topic, packet_id: None, properties: None, payload }
}

/// Connecting.
impl Client {
    /// Opens a connection and says nothing yet.
    ///
    /// # Panics
    /// If the broker does not take it.
    pub fn open(address: SocketAddr, version: Version) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the broker listens");
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
        Self { stream, version, tail: Vec::new(), inbox: VecDeque::new(), next_packet_id: NonZeroU16::MIN }
    }

    /// Connects with clean start.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn connect(broker: &Broker, version: Version, client_id: &str) -> Self {
        Self::connect_with(broker, connect(version, client_id)).0
    }

    /// Connects as told, and returns the CONNACK too.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn connect_with(broker: &Broker, connect: Connect) -> (Self, ConnAck) {
        let mut client = Self::open(broker.address(), connect.version);
        client.send(&Packet::Connect(Box::new(connect)));
        let connack = client.expect_connack();
        assert_eq!(connack.reason, ReasonCode::Success, "{connack:?}");
        (client, connack)
    }

    /// Connects with or without clean start; the session then stays for ever. True if one was there already.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn connect_session(
        broker: &Broker,
        version: Version,
        client_id: &str,
        clean_start: bool,
    ) -> (Self, bool) {
        let expiry = (version == Version::V5).then_some(u32::MAX);
        let properties =
            ConnectProperties { session_expiry_interval: expiry, ..ConnectProperties::default() };
        let (client, connack) =
            Self::connect_with(broker, Connect { clean_start, properties, ..connect(version, client_id) });
        (client, connack.session_present)
    }
}

/// Saying things.
impl Client {
    /// Sends a packet.
    ///
    /// # Panics
    /// If it has no form in this version, or the connection is gone.
    pub fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).expect("the packet can be encoded");
        self.send_bytes(&bytes);
    }

    /// Sends bytes that may be no packet.
    ///
    /// # Panics
    /// If the connection is gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the broker takes bytes");
    }

    /// Sends bytes, even if the broker is closing the connection meanwhile.
    pub fn send_bytes_if_open(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// A packet identifier that was not used before.
    ///
    /// # Panics
    /// After 65,534 of them.
    pub fn packet_id(&mut self) -> PacketId {
        let id = self.next_packet_id;
        self.next_packet_id = id.checked_add(1).expect("a test sends fewer packets");
        id
    }

    /// Subscribes to one filter, and returns what was granted. At QoS 0, the reason is [`ReasonCode::Success`].
    ///
    /// # Panics
    /// If there is no SUBACK with the packet's identifier.
    pub fn subscribe(&mut self, filter: &str, maximum_qos: QoS) -> ReasonCode {
        let options = SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() };
        self.subscribe_with(&[(filter, options)], SubscribeProperties::default()).reasons[0]
    }

    /// Subscribes as told.
    ///
    /// # Panics
    /// If there is no SUBACK with the packet's identifier and a reason for each filter.
    pub fn subscribe_with(
        &mut self,
        filters: &[(&str, SubscriptionOptions)],
        properties: SubscribeProperties,
    ) -> SubAck {
        let packet_id = self.packet_id();
        let subscriptions = filters.iter().map(|(text, options)| (filter(text), *options)).collect();
        self.send(&Packet::Subscribe(Subscribe { packet_id, properties, subscriptions }));
        let suback = self.find("SUBACK", |packet| match packet {
            Received::Packet(Packet::SubAck(suback)) => Some(suback.clone()),
            _ => None,
        });
        assert_eq!((suback.packet_id, suback.reasons.len()), (packet_id, filters.len()));
        suback
    }

    /// Unsubscribes; a reason for each filter, in order. None before MQTT 5.
    ///
    /// # Panics
    /// If there is no UNSUBACK with the packet's identifier.
    pub fn unsubscribe(&mut self, filters: &[&str]) -> Vec<ReasonCode> {
        let packet_id = self.packet_id();
        let filters = filters.iter().map(|text| filter(text)).collect();
        self.send(&Packet::Unsubscribe(Unsubscribe { packet_id, properties: Vec::new(), filters }));
        let UnsubAck { packet_id: answered, reasons, .. } = self.find("UNSUBACK", |packet| match packet {
            Received::Packet(Packet::UnsubAck(unsuback)) => Some(unsuback.clone()),
            _ => None,
        });
        assert_eq!(answered, packet_id);
        reasons
    }

    /// Publishes, and waits until the broker is done with it: for the last acknowledgement, or at QoS 0 for an answer to a ping. Returns the
    /// reason of PUBACK or PUBREC.
    ///
    /// # Panics
    /// If the broker does not acknowledge.
    pub fn publish(&mut self, topic: &str, payload: &str, qos: QoS) -> ReasonCode {
        self.publish_with(publish(topic, payload, qos))
    }

    /// As [`Client::publish`], with the RETAIN flag.
    ///
    /// # Panics
    /// As [`Client::publish`].
    pub fn publish_retained(&mut self, topic: &str, payload: &str, qos: QoS) -> ReasonCode {
        self.publish_with(Publish { retain: true, ..publish(topic, payload, qos) })
    }

    /// As [`Client::publish`], with properties.
    ///
    /// # Panics
    /// As [`Client::publish`].
    pub fn publish_properties(
        &mut self,
        topic: &str,
        payload: &str,
        qos: QoS,
        properties: PublishProperties,
    ) -> ReasonCode {
        self.publish_with(Publish { properties: Some(Box::new(properties)), ..publish(topic, payload, qos) })
    }

    /// As [`Client::publish`], as told. A packet identifier is given if it needs one.
    ///
    /// # Panics
    /// As [`Client::publish`].
    pub fn publish_with(&mut self, publish: Publish<'_>) -> ReasonCode {
        let qos = publish.qos;
        let packet_id = publish.packet_id.or_else(|| (qos > QoS::AtMostOnce).then(|| self.packet_id()));
        self.send(&Packet::Publish(Publish { packet_id, ..publish }));
        let Some(packet_id) = packet_id else {
            self.ping();
            return ReasonCode::Success;
        };
        let answer = self.find("PUBACK or PUBREC", |packet| match packet {
            Received::Packet(Packet::PubAck(ack)) if qos == QoS::AtLeastOnce => Some(ack.clone()),
            Received::Packet(Packet::PubRec(ack)) if qos == QoS::ExactlyOnce => Some(ack.clone()),
            _ => None,
        });
        assert_eq!(answer.packet_id, packet_id);
        if qos == QoS::ExactlyOnce && !answer.reason.is_error() {
            self.send(&Packet::PubRel(ack(packet_id)));
            self.expect_packet(&Packet::PubComp(ack(packet_id)));
        }
        answer.reason
    }

    /// Acknowledges a message to its end: PUBACK, or PUBREC, PUBREL and PUBCOMP, or nothing.
    ///
    /// # Panics
    /// If PUBREL is missing.
    pub fn acknowledge(&mut self, message: &Message) {
        match message.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.send(&Packet::PubAck(ack(message.id()))),
            QoS::ExactlyOnce => {
                self.send(&Packet::PubRec(ack(message.id())));
                self.expect_packet(&Packet::PubRel(ack(message.id())));
                self.send(&Packet::PubComp(ack(message.id())));
            }
        }
    }

    /// Sends a PINGREQ and waits for its answer: the broker has then handled everything this client sent before.
    ///
    /// # Panics
    /// If there is no answer.
    pub fn ping(&mut self) {
        self.send(&Packet::PingReq);
        self.expect_packet(&Packet::PingResp);
    }

    /// Says goodbye, and waits until the broker closes: the session is then parked or gone.
    ///
    /// # Panics
    /// If the broker says anything, or does not close.
    pub fn disconnect(self) {
        self.disconnect_with(ReasonCode::Success, DisconnectProperties::default());
    }

    /// As [`Client::disconnect`], with a reason and properties, which are for MQTT 5 only.
    ///
    /// # Panics
    /// As [`Client::disconnect`].
    pub fn disconnect_with(mut self, reason: ReasonCode, properties: DisconnectProperties) {
        self.send(&Packet::Disconnect(Disconnect { reason, properties }));
        self.expect_closed();
    }

    /// Breaks the connection without a word, and waits until the broker has noticed: will, session and all.
    ///
    /// # Panics
    /// If the broker does not close.
    pub fn break_off(mut self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is open");
        while self.read(PATIENCE).is_some() {}
    }
}

/// Hearing things.
impl Client {
    /// The next packet.
    ///
    /// # Panics
    /// If none comes in time.
    pub fn receive(&mut self) -> Received {
        match self.inbox.pop_front().or_else(|| self.read(PATIENCE)) {
            Some(received) => received,
            None => panic!("the broker closed the connection"),
        }
    }

    /// The next packet, of any kind; None if the broker has closed.
    ///
    /// # Panics
    /// If it does neither.
    pub fn receive_or_closed(&mut self) -> Option<Received> {
        self.inbox.pop_front().or_else(|| self.read(PATIENCE))
    }

    /// The next message. Not acknowledged.
    ///
    /// # Panics
    /// If none comes in time. Other packets stay where they are.
    pub fn message(&mut self) -> Message {
        self.find("PUBLISH", |packet| match packet {
            Received::Message(message) => Some(message.clone()),
            Received::Packet(_) => None,
        })
    }

    /// The next message, acknowledged to its end.
    ///
    /// # Panics
    /// As [`Client::message`] and [`Client::acknowledge`].
    pub fn accept(&mut self) -> Message {
        let message = self.message();
        self.acknowledge(&message);
        message
    }

    /// The payloads of the next `count` messages, acknowledged to their end.
    ///
    /// # Panics
    /// As [`Client::accept`].
    pub fn payloads(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.accept().payload).collect()
    }

    /// The messages that are here or on their way, acknowledged to their end. See [`Client::expect_nothing`].
    ///
    /// # Panics
    /// If anything else is here.
    pub fn drain(&mut self) -> Vec<Message> {
        self.ping();
        self.ping();
        let messages: Vec<_> = self
            .inbox
            .drain(..)
            .map(|received| match received {
                Received::Message(message) => message,
                Received::Packet(packet) => panic!("unexpected: {packet:?}"),
            })
            .collect();
        messages.iter().for_each(|message| self.acknowledge(message));
        messages
    }

    /// The next packet of a kind; those before it stay where they are.
    ///
    /// # Panics
    /// If none comes in time. `what` is for that.
    pub fn find<T>(&mut self, what: &str, wanted: impl Fn(&Received) -> Option<T>) -> T {
        let mut at = 0;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if at == self.inbox.len() {
                match self.read(deadline.saturating_duration_since(Instant::now())) {
                    Some(received) => self.inbox.push_back(received),
                    None => panic!("waiting for {what}: the broker closed; it said {:?}", self.inbox),
                }
            }
            if let Some(found) = wanted(&self.inbox[at]) {
                self.inbox.remove(at);
                return found;
            }
            at += 1;
        }
    }

    /// Waits for this very packet; those before it stay where they are.
    ///
    /// # Panics
    /// If it does not come in time.
    pub fn expect_packet(&mut self, packet: &Packet<'static>) {
        let expected = Received::Packet(packet.clone());
        self.find(&format!("{packet:?}"), |received| (*received == expected).then_some(()));
    }

    /// Waits for CONNACK, which must be the first packet.
    ///
    /// # Panics
    /// If it is not.
    pub fn expect_connack(&mut self) -> ConnAck {
        match self.receive() {
            Received::Packet(Packet::ConnAck(connack)) => *connack,
            other => panic!("not CONNACK: {other:?}"),
        }
    }

    /// Checks that nothing came that was not asked for, and that nothing which others published before is on its way.
    ///
    /// # Panics
    /// If there is something.
    pub fn expect_nothing(&mut self) {
        // The first answer may overtake what waits in the mailbox; the second ping is read after that was sent.
        self.ping();
        self.ping();
        assert!(self.inbox.is_empty(), "unexpected: {:?}", self.inbox);
    }

    /// Waits until the broker closes without a word.
    ///
    /// # Panics
    /// If it says anything, or does not close in time.
    pub fn expect_closed(&mut self) {
        assert!(self.inbox.is_empty(), "unexpected: {:?}", self.inbox);
        if let Some(received) = self.read(PATIENCE) {
            panic!("the broker did not close but said {received:?}");
        }
    }

    /// Waits until the broker ends the connection for this reason: MQTT 5 says it in a DISCONNECT, older versions just close.
    ///
    /// # Panics
    /// If it says anything else, or does not close in time.
    pub fn expect_disconnect(&mut self, reason: ReasonCode) {
        if self.version == Version::V5 {
            match self.receive() {
                Received::Packet(Packet::Disconnect(disconnect)) => {
                    assert_eq!(disconnect.reason, reason, "{disconnect:?}");
                    // v5 MQTT-3.14.2-2
                    assert_eq!(disconnect.properties.session_expiry_interval, None);
                }
                other => panic!("not DISCONNECT: {other:?}"),
            }
        }
        self.expect_closed();
    }

    /// Waits until the broker refuses the CONNECT for this reason, and closes.
    ///
    /// # Panics
    /// If it does anything else.
    pub fn expect_refused(&mut self, reason: ReasonCode) {
        let connack = self.expect_connack();
        assert_eq!((connack.reason, connack.session_present), (reason, false), "{connack:?}");
        self.expect_closed();
    }

    /// A handle of the socket, to do what no client should.
    ///
    /// # Panics
    /// If the system has none to give.
    pub fn stream(&self) -> TcpStream {
        self.stream.try_clone().expect("a socket can be cloned")
    }

    /// The next packet from the socket; None if the broker has closed.
    fn read(&mut self, patience: Duration) -> Option<Received> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(received) = Received::take(&mut self.tail, self.version) {
                return Some(received);
            }
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).expect("a timeout can be set");
            let mut chunk = [0; 64 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    assert!(self.tail.is_empty(), "closed within a packet: {:02X?}", self.tail);
                    return None;
                }
                Ok(n) => self.tail.extend_from_slice(&chunk[..n]),
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    return None;
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("the broker says nothing and does not close; before, it said {:?}", self.inbox);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Hearing why, and byte by byte.
impl Client {
    /// As [`Client::expect_disconnect`], and MQTT 5 says why in words, too.
    ///
    /// # Panics
    /// As [`Client::expect_disconnect`], and if the reason string is missing.
    pub fn expect_disconnect_in_words(&mut self, reason: ReasonCode) {
        if self.version == Version::V5 {
            match self.receive() {
                Received::Packet(Packet::Disconnect(disconnect)) => {
                    assert_eq!(disconnect.reason, reason, "{disconnect:?}");
                    assert_eq!(disconnect.properties.session_expiry_interval, None);
                    let words = &disconnect.properties.reason_string;
                    assert!(words.as_ref().is_some_and(|words| !words.is_empty()), "{disconnect:?}");
                }
                other => panic!("not DISCONNECT: {other:?}"),
            }
        }
        self.expect_closed();
    }

    /// As [`Client::expect_refused`], and the reason string says why in words; older versions must be closed without a CONNACK.
    ///
    /// # Panics
    /// As [`Client::expect_refused`], and if the reason string is missing.
    pub fn expect_refused_in_words(&mut self, reason: ReasonCode) {
        if self.version == Version::V5 {
            let connack = self.expect_connack();
            assert_eq!((connack.reason, connack.session_present), (reason, false), "{connack:?}");
            let words = &connack.properties.reason_string;
            assert!(words.as_ref().is_some_and(|words| !words.is_empty()), "{connack:?}");
        }
        self.expect_closed();
    }

    /// The bytes of the next packet, as they came. To be used before anything else was waited for, or after all of it came.
    ///
    /// # Panics
    /// If none comes in time, or a packet was read already.
    pub fn receive_bytes(&mut self) -> Vec<u8> {
        assert!(self.inbox.is_empty(), "read already: {:?}", self.inbox);
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        loop {
            let whole = next_frame(&self.tail, u32::MAX).expect("the broker sends packets");
            if let Some(len) = whole.map(|frame| frame.len()) {
                return self.tail.drain(..len).collect();
            }
            let mut chunk = [0; 4096];
            let n = self.stream.read(&mut chunk).expect("the broker says something");
            assert!(n > 0, "the broker closed");
            self.tail.extend_from_slice(&chunk[..n]);
        }
    }
}

/// An acknowledgement that is content.
pub fn ack(packet_id: PacketId) -> Ack {
    Ack { packet_id, reason: ReasonCode::Success, properties: None }
}

fn filter(text: &str) -> SubscriptionFilter {
    SubscriptionFilter::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}
