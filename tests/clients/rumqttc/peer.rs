//! A client of either version. It does something only while it is waited for, so a test needs no threads.

use crate::clients::{
    certificates,
    site::{BURST, LARGE, Site, Transport},
};
use rumqttc::{
    TlsConfiguration, Transport as Wire,
    v5::{self, mqttbytes::v5 as packets},
};
use std::{collections::VecDeque, fs, time::Duration};
use tidegate_tests::PATIENCE;

/// How a client connects.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Begins or goes on with a session that stays.
    pub(crate) session: bool,
    pub(crate) will: Option<Will>,
    /// Messages stay unacknowledged until [`Peer::acknowledge`].
    pub(crate) manual_acks: bool,
    pub(crate) receive_maximum: Option<u16>,
    pub(crate) topic_alias_maximum: Option<u16>,
    pub(crate) request_response_information: bool,
    /// At the listener that asks for a client certificate.
    pub(crate) mutual: bool,
    /// With a client certificate.
    pub(crate) identified: bool,
}

#[derive(Debug)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: &'static str,
    pub(crate) qos: u8,
    /// In version 5 only.
    pub(crate) user_property: (&'static str, &'static str),
}

/// A PUBLISH as it came.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) id: u16,
    /// Empty before version 5.
    pub(crate) properties: packets::PublishProperties,
}

impl Message {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// What happens to a client, as far as scenarios want to know.
#[derive(Debug)]
pub(crate) enum Seen {
    Connected {
        session_present: bool,
        properties: Box<packets::ConnAckProperties>,
    },
    Message(Box<Message>),
    /// SUBACK; granted QoS if not refused.
    Subscribed(Option<u8>),
    /// The last acknowledgement of a message that it sent.
    Acknowledged,
    /// A message at QoS 0 is sent.
    Sent,
    /// DISCONNECT is sent.
    Left,
    Lost(String),
    Other,
}

pub(crate) struct Peer {
    name: String,
    connection: Connection,
    /// What came while something else was waited for.
    inbox: VecDeque<Seen>,
    connack: Option<(bool, Box<packets::ConnAckProperties>)>,
}

enum Connection {
    V3(rumqttc::Client, Box<rumqttc::Connection>),
    V5(v5::Client, Box<v5::Connection>),
}

/// Connecting.
impl Peer {
    pub(crate) fn connect(site: &Site, name: &str) -> Self {
        Self::connect_with(site, name, Options::default())
    }

    pub(crate) fn connect_with(site: &Site, name: &str, options: Options) -> Self {
        let mut peer = Self::open(site, name, options);
        peer.connack = Some(peer.find("CONNACK", |seen| match seen {
            Seen::Connected { session_present, properties } => Ok((session_present, properties)),
            other => Err(other),
        }));
        peer
    }

    pub(crate) fn subscribed(site: &Site, name: &str, filter: &str, qos: u8) -> Self {
        let mut peer = Self::connect(site, name);
        peer.subscribe(filter, qos);
        peer
    }

    /// Says nothing yet.
    pub(crate) fn open(site: &Site, name: &str, options: Options) -> Self {
        let connection =
            if site.is_v5() { open_v5(site, name, options) } else { open_v3(site, name, options) };
        Self { name: name.to_owned(), connection, inbox: VecDeque::new(), connack: None }
    }

    pub(crate) fn session_present(&self) -> bool {
        self.connack.as_ref().expect("it is connected").0
    }

    /// Properties of CONNACK.
    pub(crate) fn connack(&self) -> &packets::ConnAckProperties {
        &self.connack.as_ref().expect("it is connected").1
    }

    /// Ends with DISCONNECT.
    pub(crate) fn leave(mut self) {
        match &self.connection {
            Connection::V3(client, _) => client.disconnect().unwrap(),
            Connection::V5(client, _) => client.disconnect().unwrap(),
        }
        self.find("DISCONNECT sent", |seen| if matches!(seen, Seen::Left) { Ok(()) } else { Err(seen) });
    }

    /// Ends without DISCONNECT, as a lost network does.
    pub(crate) fn cut(self) {}
}

/// Saying things.
impl Peer {
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) {
        match &self.connection {
            Connection::V3(client, _) => client.subscribe(filter, QOS[usize::from(qos)]).unwrap(),
            Connection::V5(client, _) => client.subscribe(filter, QOS_V5[usize::from(qos)]).unwrap(),
        }
        let granted = self.find("SUBACK", |seen| match seen {
            Seen::Subscribed(granted) => Ok(granted),
            other => Err(other),
        });
        assert_eq!(granted, Some(qos), "{filter}");
    }

    /// Publishes, and waits until it is acknowledged, or at QoS 0 until it is sent.
    pub(crate) fn publish(&mut self, topic: &str, payload: impl Into<Vec<u8>>, qos: u8) {
        self.send(topic, payload, qos);
        self.done(qos);
    }

    /// As [`Peer::publish`], with RETAIN.
    pub(crate) fn retain(&mut self, topic: &str, payload: &str, qos: u8) {
        self.hand_over(topic, payload.into(), qos, true, packets::PublishProperties::default());
        self.done(qos);
    }

    /// As [`Peer::publish`], with properties, which are for version 5.
    pub(crate) fn publish_with(
        &mut self,
        topic: &str,
        payload: &str,
        qos: u8,
        properties: packets::PublishProperties,
    ) {
        self.hand_over(topic, payload.into(), qos, false, properties);
        self.done(qos);
    }

    /// Publishes without waiting: rumqttc sends it while this peer waits for something.
    pub(crate) fn send(&mut self, topic: &str, payload: impl Into<Vec<u8>>, qos: u8) {
        self.hand_over(topic, payload.into(), qos, false, packets::PublishProperties::default());
    }

    fn hand_over(
        &mut self,
        topic: &str,
        payload: Vec<u8>,
        qos: u8,
        retain: bool,
        properties: packets::PublishProperties,
    ) {
        let qos = usize::from(qos);
        match &self.connection {
            Connection::V3(client, _) => client.publish(topic, QOS[qos], retain, payload).unwrap(),
            Connection::V5(client, _) => {
                client.publish_with_properties(topic, QOS_V5[qos], retain, payload, properties).unwrap();
            }
        }
    }

    fn done(&mut self, qos: u8) {
        if qos > 0 {
            return self.acknowledged();
        }
        self.find("a message sent", |seen| if matches!(seen, Seen::Sent) { Ok(()) } else { Err(seen) });
    }

    /// Waits until a message is acknowledged.
    pub(crate) fn acknowledged(&mut self) {
        self.find(
            "an acknowledgement",
            |seen| {
                if matches!(seen, Seen::Acknowledged) { Ok(()) } else { Err(seen) }
            },
        );
    }

    /// Acknowledges a message at QoS 1, which [`Options::manual_acks`] leaves to us. Sent while something is waited for.
    pub(crate) fn acknowledge(&mut self, message: &Message) {
        match &self.connection {
            Connection::V3(client, _) => {
                let mut publish = rumqttc::Publish::new(&message.topic, QOS[1], &message.payload[..]);
                publish.pkid = message.id;
                client.ack(&publish).unwrap();
            }
            Connection::V5(client, _) => {
                let payload = message.payload.clone();
                let mut publish = packets::Publish::new(&message.topic, QOS_V5[1], payload, None);
                publish.pkid = message.id;
                client.ack(&publish).unwrap();
            }
        }
    }
}

/// Hearing things.
impl Peer {
    /// Waits for a message.
    pub(crate) fn message(&mut self) -> Message {
        self.find("a message", |seen| match seen {
            Seen::Message(message) => Ok(*message),
            other => Err(other),
        })
    }

    /// What was sent before this SUBACK is there after it.
    pub(crate) fn nothing_more(&mut self, why: &str) {
        self.subscribe(&format!("fence/{}", self.name), 1);
        let more: Vec<_> = self.inbox.iter().filter(|seen| matches!(seen, Seen::Message(_))).collect();
        assert!(more.is_empty(), "{why}, but {} also got {more:?}", self.name);
    }

    /// Waits for one thing and keeps the others.
    fn find<T>(&mut self, what: &str, wanted: impl Fn(Seen) -> Result<T, Seen>) -> T {
        let mut earlier = std::mem::take(&mut self.inbox);
        while let Some(seen) = earlier.pop_front() {
            match wanted(seen) {
                Ok(found) => {
                    self.inbox.append(&mut earlier);
                    return found;
                }
                Err(other) => self.inbox.push_back(other),
            }
        }
        loop {
            match wanted(self.next()) {
                Ok(found) => return found,
                Err(Seen::Lost(why)) => panic!("{} waits for {what}: {why}", self.name),
                Err(Seen::Other) => {}
                Err(other) => self.inbox.push_back(other),
            }
        }
    }

    /// Waits for whatever is next.
    pub(crate) fn next(&mut self) -> Seen {
        match &mut self.connection {
            Connection::V3(_, connection) => match connection.recv_timeout(PATIENCE) {
                Ok(event) => seen_v3(event),
                Err(error) => Seen::Lost(format!("{error:?}")),
            },
            Connection::V5(_, connection) => match connection.recv_timeout(PATIENCE) {
                Ok(event) => seen_v5(event),
                Err(error) => Seen::Lost(format!("{error:?}")),
            },
        }
    }
}

const QOS: [rumqttc::QoS; 3] =
    [rumqttc::QoS::AtMostOnce, rumqttc::QoS::AtLeastOnce, rumqttc::QoS::ExactlyOnce];
const QOS_V5: [v5::mqttbytes::QoS; 3] =
    [v5::mqttbytes::QoS::AtMostOnce, v5::mqttbytes::QoS::AtLeastOnce, v5::mqttbytes::QoS::ExactlyOnce];
/// Requests that wait for rumqttc.
const CAPACITY: usize = BURST + 1;
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// A large message and what is around it.
const PACKET: usize = LARGE + 1024;

/// Where rumqttc is to connect: a host, or a URL with WebSockets, or a path; a port; how.
fn way(site: &Site, options: &Options) -> (String, u16, Wire) {
    if site.transport == Transport::Unix {
        // rumqttc wants a port that it does not use.
        return (site.socket().display().to_string(), 1, Wire::Unix);
    }
    let port = if options.mutual { site.mutual_port() } else { site.port() };
    let url = if options.mutual { site.mutual_url() } else { site.url("unix") };
    let tls = || {
        let read = |name| fs::read(site.file(name)).expect("a certificate of the test");
        let (certificate, key) = certificates::CLIENT;
        let client_auth = options.identified.then(|| (read(certificate), read(key)));
        TlsConfiguration::Simple { ca: read(certificates::CA), alpn: None, client_auth }
    };
    match site.transport {
        Transport::Tcp | Transport::Unix => ("127.0.0.1".to_owned(), port, Wire::Tcp),
        Transport::Tls => ("localhost".to_owned(), port, Wire::tls_with_config(tls())),
        Transport::Ws => (url, port, Wire::Ws),
        Transport::Wss => (url, port, Wire::Wss(tls())),
    }
}

fn open_v3(site: &Site, name: &str, options: Options) -> Connection {
    let (host, port, wire) = way(site, &options);
    let mut own = rumqttc::MqttOptions::new(name, host, port);
    own.set_transport(wire).set_keep_alive(KEEP_ALIVE).set_max_packet_size(PACKET, PACKET);
    own.set_clean_session(!options.session).set_manual_acks(options.manual_acks);
    if let Some(Will { topic, payload, qos, .. }) = options.will {
        own.set_last_will(rumqttc::LastWill::new(topic, payload, QOS[usize::from(qos)], false));
    }
    let (client, mut connection) = rumqttc::Client::new(own, CAPACITY);
    let mut network = rumqttc::NetworkOptions::new();
    network.set_connection_timeout(PATIENCE.as_secs());
    connection.eventloop.set_network_options(network);
    Connection::V3(client, Box::new(connection))
}

fn open_v5(site: &Site, name: &str, options: Options) -> Connection {
    let (host, port, wire) = way(site, &options);
    let mut own = v5::MqttOptions::new(name, host, port);
    own.set_transport(wire).set_keep_alive(KEEP_ALIVE).set_connection_timeout(PATIENCE.as_secs());
    own.set_max_packet_size(Some(PACKET as u32)).set_manual_acks(options.manual_acks);
    own.set_clean_start(!options.session);
    own.set_session_expiry_interval(options.session.then_some(3600));
    own.set_receive_maximum(options.receive_maximum).set_topic_alias_max(options.topic_alias_maximum);
    own.set_request_response_info(options.request_response_information.then_some(1));
    if let Some(Will { topic, payload, qos, user_property: (name, value) }) = options.will {
        let properties = packets::LastWillProperties {
            delay_interval: None,
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: vec![(name.to_owned(), value.to_owned())],
        };
        let qos = QOS_V5[usize::from(qos)];
        own.set_last_will(packets::LastWill::new(topic, payload, qos, false, Some(properties)));
    }
    let (client, connection) = v5::Client::new(own, CAPACITY);
    Connection::V5(client, Box::new(connection))
}

fn seen_v3(event: Result<rumqttc::Event, rumqttc::ConnectionError>) -> Seen {
    use rumqttc::{Event, Outgoing, Packet, SubscribeReasonCode};
    match event {
        Ok(Event::Incoming(Packet::ConnAck(connack))) => {
            let properties = Box::new(no_properties());
            Seen::Connected { session_present: connack.session_present, properties }
        }
        Ok(Event::Incoming(Packet::Publish(publish))) => Seen::Message(Box::new(Message {
            topic: publish.topic,
            payload: publish.payload.to_vec(),
            qos: publish.qos as u8,
            retain: publish.retain,
            dup: publish.dup,
            id: publish.pkid,
            properties: packets::PublishProperties::default(),
        })),
        Ok(Event::Incoming(Packet::SubAck(suback))) => Seen::Subscribed(match suback.return_codes[..] {
            [SubscribeReasonCode::Success(qos)] => Some(qos as u8),
            _ => None,
        }),
        Ok(Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_))) => Seen::Acknowledged,
        Ok(Event::Outgoing(Outgoing::Publish(0))) => Seen::Sent,
        Ok(Event::Outgoing(Outgoing::Disconnect)) => Seen::Left,
        Ok(_) => Seen::Other,
        Err(error) => Seen::Lost(error.to_string()),
    }
}

fn seen_v5(event: Result<v5::Event, v5::ConnectionError>) -> Seen {
    use packets::{Packet, SubscribeReasonCode};
    use rumqttc::Outgoing;
    use v5::Event;
    match event {
        Ok(Event::Incoming(Packet::ConnAck(connack))) => {
            let properties = Box::new(connack.properties.unwrap_or_else(no_properties));
            Seen::Connected { session_present: connack.session_present, properties }
        }
        Ok(Event::Incoming(Packet::Publish(publish))) => Seen::Message(Box::new(Message {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos as u8,
            retain: publish.retain,
            dup: publish.dup,
            id: publish.pkid,
            properties: publish.properties.unwrap_or_default(),
        })),
        Ok(Event::Incoming(Packet::SubAck(suback))) => Seen::Subscribed(match suback.return_codes[..] {
            [SubscribeReasonCode::Success(qos)] => Some(qos as u8),
            _ => None,
        }),
        Ok(Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_))) => Seen::Acknowledged,
        Ok(Event::Outgoing(Outgoing::Publish(0))) => Seen::Sent,
        Ok(Event::Outgoing(Outgoing::Disconnect)) => Seen::Left,
        Ok(_) => Seen::Other,
        Err(error) => Seen::Lost(error.to_string()),
    }
}

/// rumqttc has no `Default` for these.
fn no_properties() -> packets::ConnAckProperties {
    packets::ConnAckProperties {
        session_expiry_interval: None,
        receive_max: None,
        max_qos: None,
        retain_available: None,
        max_packet_size: None,
        assigned_client_identifier: None,
        topic_alias_max: None,
        reason_string: None,
        user_properties: Vec::new(),
        wildcard_subscription_available: None,
        subscription_identifiers_available: None,
        shared_subscription_available: None,
        server_keep_alive: None,
        response_information: None,
        server_reference: None,
        authentication_method: None,
        authentication_data: None,
    }
}
