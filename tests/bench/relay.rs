//! A broker of a hundred lines that makes one mistake, on purpose.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};
use tidegate_mqtt::{
    Ack, AckProperties, ConnAck, ConnAckProperties, Connect, Packet, QoS, ReasonCode, SubAck, TopicFilter,
    Version, next_frame,
};

/// What goes wrong with the message of this number, counted from 1 over all publishers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    None,
    /// It is not delivered.
    Lose(u64),
    /// It is delivered twice.
    Double(u64),
    /// It is delivered behind the next one.
    Late(u64),
    /// The publisher's connection is closed instead.
    Cut(u64),
    /// It is refused with this code (QoS 1).
    Refuse(u64, ReasonCode),
}

/// A running one. It serves until the test's process ends.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    fault: Fault,
    /// What every client said when it came.
    greetings: Vec<Connect>,
    subscriptions: Vec<(TopicFilter, TcpStream)>,
    messages: u64,
    /// What comes behind the next message.
    held: Option<Vec<u8>>,
}

impl Relay {
    pub(crate) fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (greetings, subscriptions) = (Vec::new(), Vec::new());
        let state = State { fault, greetings, subscriptions, messages: 0, held: None };
        let state = Arc::new(Mutex::new(state));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address, state }
    }

    pub(crate) fn greetings(&self) -> Vec<Connect> {
        self.state.lock().unwrap().greetings.clone()
    }
}

/// Until the client goes, or is made to.
fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let mut version = Version::V5;
    let (mut buffer, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let Ok(count @ 1..) = stream.read(&mut chunk) else { return };
        buffer.extend_from_slice(&chunk[..count]);
        let mut done = 0;
        while let Some(frame) = next_frame(&buffer[done..], u32::MAX).unwrap() {
            done += frame.len();
            let packet = frame.decode(version).unwrap();
            if let Packet::Connect(connect) = &packet {
                version = connect.version;
            }
            if state.lock().unwrap().handle(&packet, version, &mut stream).is_none() {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
        buffer.drain(..done);
    }
}

impl State {
    /// None if the client has to go.
    fn handle(&mut self, packet: &Packet<'_>, version: Version, stream: &mut TcpStream) -> Option<()> {
        let reply = match packet {
            Packet::Connect(connect) => {
                self.greetings.push((**connect).clone());
                let properties = ConnAckProperties::default();
                let reason = ReasonCode::Success;
                Packet::ConnAck(Box::new(ConnAck { session_present: false, reason, properties }))
            }
            Packet::Subscribe(subscribe) => {
                let mut reasons = Vec::new();
                for (filter, options) in &subscribe.subscriptions {
                    let filter = TopicFilter::new(&filter.to_string()).unwrap();
                    self.subscriptions.push((filter, stream.try_clone().unwrap()));
                    reasons.push(ReasonCode::try_from(options.maximum_qos as u8).unwrap());
                }
                let (packet_id, properties) = (subscribe.packet_id, AckProperties::default());
                Packet::SubAck(SubAck { packet_id, properties, reasons })
            }
            Packet::Publish(publish) => {
                let reason = self.route(publish.topic, packet, version)?;
                let packet_id = publish.packet_id.filter(|_| publish.qos == QoS::AtLeastOnce);
                let Some(packet_id) = packet_id else { return Some(()) };
                Packet::PubAck(Ack { packet_id, reason, properties: None })
            }
            Packet::PingReq => Packet::PingResp,
            Packet::Disconnect(_) => return None,
            _ => return Some(()),
        };
        say(stream, &bytes(&reply, version));
        Some(())
    }

    fn route(&mut self, topic: &str, packet: &Packet<'_>, version: Version) -> Option<ReasonCode> {
        self.messages += 1;
        let mut out = bytes(packet, version);
        match self.fault {
            Fault::Lose(number) if number == self.messages => return Some(ReasonCode::Success),
            Fault::Refuse(number, reason) if number == self.messages => return Some(reason),
            Fault::Cut(number) if number == self.messages => return None,
            Fault::Double(number) if number == self.messages => out.extend(out.clone()),
            Fault::Late(number) if number == self.messages => {
                self.held = Some(out);
                return Some(ReasonCode::Success);
            }
            _ => {}
        }
        out.extend(self.held.take().unwrap_or_default());
        for (filter, stream) in &mut self.subscriptions {
            if filter.matches(topic) {
                say(stream, &out);
            }
        }
        Some(ReasonCode::Success)
    }
}

fn bytes(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out).unwrap();
    out
}

/// Whoever has gone hears nothing.
fn say(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}
