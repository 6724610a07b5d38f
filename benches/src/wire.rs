//! A client that costs little: one read, one write, as many packets as there are.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};
use tidegate_mqtt::{
    Ack, Connect, ConnectProperties, Packet, PacketId, Publish, QoS, ReasonCode, Subscribe,
    SubscribeProperties, SubscriptionFilter, SubscriptionOptions, Version, next_frame,
};
use tidegate_tests::{connect, publish};

pub(crate) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
    write: Vec<u8>,
}

/// What matters of a packet.
pub(crate) enum Heard {
    /// Its packet identifier, if its quality of service has one.
    Message(Option<PacketId>),
    Acked,
    /// So many filters.
    Subscribed(usize),
    Other,
}

impl Wire {
    /// In MQTT 5. `kept`: its session stays.
    pub(crate) fn connect(address: SocketAddr, client_id: &str, kept: bool) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut wire = Self { stream, read: Vec::new(), write: Vec::new() };
        let session_expiry_interval = kept.then_some(u32::MAX);
        let properties = ConnectProperties { session_expiry_interval, ..ConnectProperties::default() };
        let connect = Connect { clean_start: !kept, properties, ..connect(Version::V5, client_id) };
        wire.say(&Packet::Connect(Box::new(connect)));
        wire.flush();
        wire.hear();
        wire
    }

    pub(crate) fn subscribe(&mut self, filter: &str, maximum_qos: QoS) {
        self.subscribe_all(&[filter.to_owned()], 0, maximum_qos);
        self.flush();
    }

    /// In one packet, written with the next [`Wire::flush`].
    pub(crate) fn subscribe_all(&mut self, filters: &[String], number: usize, maximum_qos: QoS) {
        let options = SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() };
        let subscription = |filter: &String| (SubscriptionFilter::new(filter).unwrap(), options);
        let subscriptions = filters.iter().map(subscription).collect();
        let properties = SubscribeProperties::default();
        self.say(&Packet::Subscribe(Subscribe { packet_id: packet_id(number), properties, subscriptions }));
    }

    /// Written with the next [`Wire::flush`].
    pub(crate) fn publish(&mut self, topic: &str, payload: &str, number: usize, retain: bool, qos: QoS) {
        let packet_id = (qos > QoS::AtMostOnce).then(|| packet_id(number));
        self.say(&Packet::Publish(Publish { packet_id, retain, ..publish(topic, payload, qos) }));
    }

    pub(crate) fn acknowledge(&mut self, packet_id: PacketId) {
        self.say(&Packet::PubAck(Ack { packet_id, reason: ReasonCode::Success, properties: None }));
    }

    fn say(&mut self, packet: &Packet<'_>) {
        packet.encode(Version::V5, &mut self.write).unwrap();
    }

    pub(crate) fn flush(&mut self) {
        self.flush_times(1);
    }

    /// Writes what there is so many times.
    pub(crate) fn flush_times(&mut self, times: usize) {
        for _ in 0..times {
            self.stream.write_all(&self.write).unwrap();
        }
        self.write.clear();
    }

    /// Half of it, for another thread.
    pub(crate) fn split(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), read: Vec::new(), write: Vec::new() }
    }

    /// Whoever hears hears the end.
    pub(crate) fn close(&self) {
        self.stream.shutdown(Shutdown::Both).unwrap();
    }

    /// Waits for something, and then for no more. Nothing: the connection has ended.
    pub(crate) fn hear(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        while heard.is_empty() {
            let mut chunk = [0; 64 << 10];
            let count = self.stream.read(&mut chunk).unwrap();
            if count == 0 {
                return heard;
            }
            self.read.extend_from_slice(&chunk[..count]);
            let mut done = 0;
            while let Some(frame) = next_frame(&self.read[done..], u32::MAX).unwrap() {
                done += frame.len();
                heard.push(match frame.decode(Version::V5).unwrap() {
                    Packet::Publish(publish) => Heard::Message(publish.packet_id),
                    Packet::PubAck(ack) => {
                        assert!(!ack.reason.is_error(), "the broker refuses");
                        Heard::Acked
                    }
                    Packet::SubAck(ack) => {
                        assert!(ack.reasons.iter().all(|reason| !reason.is_error()), "the broker refuses");
                        Heard::Subscribed(ack.reasons.len())
                    }
                    _ => Heard::Other,
                });
            }
            self.read.drain(..done);
        }
        heard
    }
}

/// One that is not in use: of so many numbers not two at once.
fn packet_id(number: usize) -> PacketId {
    PacketId::new((number % 60_000 + 1) as u16).unwrap()
}
