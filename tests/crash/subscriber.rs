//! Subscribes, comes and goes, acknowledges late, and remembers what it has between its connections.

use super::{
    random::Random,
    record::{ReaderId, Record},
    session::{Ended, Inbox},
    wire::{Connect, Connection, DAY, Gone, Packet, Publish, Version},
    world::{Actor, Phase, World},
};
use std::{collections::HashMap, convert::Infallible, net::SocketAddr};
use tidegate_tests::PATIENCE;

pub(crate) struct Subscriber {
    name: String,
    version: Version,
    reader: ReaderId,
    qos: u8,
    identifier: Option<u8>,
    habits: Habits,
    random: Random,
    inbox: Inbox,
    /// SUBSCRIBE and UNSUBSCRIBE that wait for their answer.
    asked: HashMap<u16, Asked>,
    last_id: u16,
    /// How often a QoS 1 message came on this connection.
    came: HashMap<(String, Vec<u8>), u32>,
}

enum Asked {
    Subscribe(String),
    Unsubscribe(String),
    Confirm,
}

/// What a subscriber is like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Habits {
    /// Filters it has from the beginning.
    pub(crate) filters: Vec<String>,
    /// Those it gives up and takes again.
    pub(crate) toggled: Vec<String>,
    /// Acknowledgements it holds back at once.
    pub(crate) late: usize,
    pub(crate) receive_maximum: Option<u16>,
    /// It drops its connection once in so many packets; 0 is never.
    pub(crate) drop: u64,
    /// Then it stays away for so many events at most.
    pub(crate) away: u64,
    /// It says DISCONNECT once in so many packets.
    pub(crate) disconnect: u64,
    /// It connects a second time once in so many packets.
    pub(crate) takeover: u64,
    /// It gives up a filter, or takes it again, once in so many packets.
    pub(crate) toggle: u64,
    /// The name of the shared subscription that its filters belong to.
    pub(crate) group: Option<&'static str>,
}

/// Why a connection is left in good order.
enum Leave {
    Drop,
    Disconnect,
    Takeover,
}

impl Subscriber {
    pub(crate) fn new(
        name: &str,
        (version, qos): (Version, u8),
        habits: Habits,
        record: &mut Record,
        random: Random,
    ) -> Self {
        let identifier =
            (version == Version::V5).then(|| 1 + name.bytes().map(|byte| byte & 7).sum::<u8>() % 127);
        let reader = record.add_reader(name, qos, identifier, habits.group);
        for filter in &habits.filters {
            record.subscribes(reader, filter);
        }
        Self {
            name: name.to_owned(),
            version,
            reader,
            qos,
            identifier,
            habits,
            random,
            inbox: Inbox::default(),
            asked: HashMap::new(),
            last_id: 0,
            came: HashMap::new(),
        }
    }

    pub(crate) fn reader(&self) -> ReaderId {
        self.reader
    }

    fn connect(&mut self, world: &World, address: SocketAddr) -> Result<Connection, Ended> {
        let connect = Connect {
            version: self.version,
            client_id: &self.name,
            clean_start: false,
            expiry: DAY,
            receive_maximum: self.habits.receive_maximum,
            will: None,
        };
        let (mut connection, session_present) = Connection::open(address, &connect)?;
        self.inbox.reconnected(session_present);
        self.asked.clear();
        self.came.clear();
        let unsettled = world.record(|record| {
            record.reader_connected(self.reader, session_present)?;
            Ok::<_, super::record::Violation>(record.unsettled(self.reader))
        })?;
        for (filter, subscribe) in unsettled {
            self.ask(&mut connection, filter, subscribe)?;
        }
        Ok(connection)
    }

    fn ask(&mut self, connection: &mut Connection, filter: String, subscribe: bool) -> Result<(), Gone> {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        if subscribe {
            connection.send_subscribe(self.last_id, &filter, self.qos, self.identifier)?;
            self.asked.insert(self.last_id, Asked::Subscribe(filter));
        } else {
            connection.send_unsubscribe(self.last_id, &filter)?;
            self.asked.insert(self.last_id, Asked::Unsubscribe(filter));
        }
        Ok(())
    }

    fn hear(&mut self, world: &World, connection: &mut Connection, packet: Packet) -> Result<(), Ended> {
        match packet {
            Packet::Publish(publish) => self.publish(world, &publish),
            Packet::PubRel(id, 0 | 0x92) => Ok(self.inbox.released(connection, id)?),
            Packet::SubAck(id, codes) => match self.asked.remove(&id) {
                Some(Asked::Subscribe(filter)) if codes == [self.qos] => {
                    world.record(|record| record.changed(self.reader, &filter));
                    Ok(())
                }
                Some(Asked::Confirm) if codes == [self.qos] => {
                    world.through(&self.name, Phase::Confirm);
                    Ok(())
                }
                _ => Err(Ended::wrong(format!("{}: SUBACK {id} says {codes:02X?}", self.name))),
            },
            Packet::UnsubAck(id, codes) => match self.asked.remove(&id) {
                Some(Asked::Unsubscribe(filter)) => {
                    world.record(|record| record.changed(self.reader, &filter));
                    // 0x11: an UNSUBACK was lost, and this is the second time that it is asked.
                    if codes.iter().all(|code| matches!(code, 0 | 0x11)) {
                        return Ok(());
                    }
                    Err(Ended::wrong(format!("{}: UNSUBACK {id} says {codes:02X?}", self.name)))
                }
                _ => Err(Ended::wrong(format!("{}: nobody waits for UNSUBACK {id}", self.name))),
            },
            other => Err(Ended::wrong(format!("{}: what does the broker mean by {other:?}?", self.name))),
        }
    }

    fn publish(&mut self, world: &World, publish: &Publish) -> Result<(), Ended> {
        if !self.inbox.publish(&self.name, publish)? {
            return Ok(());
        }
        world.record(|record| record.arrived(self.reader, publish))?;
        if publish.qos == 1 && self.habits.group.is_none() {
            let came = self.came.entry((publish.topic.clone(), publish.payload.clone())).or_default();
            *came += 1;
            let (came, sent) = (*came, world.look(|state| state.record.times_sent(publish)));
            if came > sent {
                return Err(Ended::wrong(format!(
                    "{}: sent {sent} times, on {}, and {came} times there on one connection [MQTT-4.4.0-1]",
                    self.name, publish.topic
                )));
            }
        }
        Ok(())
    }

    /// Until the connection is to be left.
    fn receive(&mut self, world: &World, connection: &mut Connection) -> Result<Leave, Ended> {
        let mut confirming = false;
        loop {
            let phase = world.phase();
            let late = if phase == Phase::Work { self.habits.late } else { 0 };
            let packet = world.poll(connection)?;
            let idle = packet.is_none();
            if let Some(packet) = packet {
                self.hear(world, connection, packet)?;
            } else {
                self.acknowledge(world, connection)?;
            }
            while self.inbox.held() > late {
                self.acknowledge(world, connection)?;
            }
            if phase == Phase::Work {
                if let Some(leave) = self.restless(world, connection)? {
                    return Ok(leave);
                }
            } else if phase == Phase::Confirm {
                if !confirming {
                    confirming = true;
                    self.confirm(connection)?;
                }
            } else if idle && self.is_through(world, phase) {
                world.through(&self.name, phase);
            }
        }
    }

    fn acknowledge(&mut self, world: &World, connection: &mut Connection) -> Result<(), Gone> {
        if let Some(id) = self.inbox.acknowledge(connection)? {
            world.record(|record| record.does(self.reader, format!("acknowledges {id}")));
        }
        Ok(())
    }

    fn is_through(&self, world: &World, phase: Phase) -> bool {
        match phase {
            Phase::Settle => self.asked.is_empty(),
            Phase::Drain => {
                self.inbox.is_quiet() && world.look(|state| state.record.missing(self.reader).is_empty())
            }
            _ => true,
        }
    }

    /// A request of its own: what comes before its answer has come through.
    fn confirm(&mut self, connection: &mut Connection) -> Result<(), Gone> {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.asked.insert(self.last_id, Asked::Confirm);
        let filter = format!("confirm/{}", self.name);
        connection.send_subscribe(self.last_id, &filter, self.qos, self.identifier)
    }

    fn restless(&mut self, world: &World, connection: &mut Connection) -> Result<Option<Leave>, Gone> {
        if self.random.once_in(self.habits.drop) {
            return Ok(Some(Leave::Drop));
        }
        if self.random.once_in(self.habits.disconnect) {
            return Ok(Some(Leave::Disconnect));
        }
        if self.random.once_in(self.habits.takeover) {
            return Ok(Some(Leave::Takeover));
        }
        if self.asked.is_empty() && self.random.once_in(self.habits.toggle) {
            let filter = self.random.below(self.habits.toggled.len() as u64) as usize;
            let filter = self.habits.toggled[filter].clone();
            let subscribe = world.record(|record| {
                let subscribe = !record.is_subscribed(self.reader, &filter);
                if subscribe {
                    record.subscribes(self.reader, &filter);
                } else {
                    record.unsubscribes(self.reader, &filter);
                }
                subscribe
            });
            self.ask(connection, filter, subscribe)?;
        }
        Ok(None)
    }

    fn connections(&mut self, world: &World, address: SocketAddr) -> Result<Infallible, Ended> {
        let mut connection = self.connect(world, address)?;
        loop {
            match self.receive(world, &mut connection)? {
                Leave::Drop => connection.cut(),
                Leave::Disconnect => {
                    connection.send_disconnect(0, None)?;
                    if !connection.closed() {
                        return Err(Ended::wrong(format!("{}: still open after DISCONNECT", self.name)));
                    }
                }
                Leave::Takeover => {
                    let new = self.connect(world, address)?;
                    let old = std::mem::replace(&mut connection, new);
                    if !old.closed() {
                        return Err(Ended::wrong(format!("{}: still open after a takeover", self.name)));
                    }
                    continue;
                }
            }
            let away = self.random.below(self.habits.away + 1);
            let until = world.look(|state| state.record.clock) + away;
            let back =
                |state: &super::world::State| state.record.clock >= until || state.phase() != Phase::Work;
            if !world.wait(PATIENCE, back) {
                return Err(Gone(None).into());
            }
            connection = self.connect(world, address)?;
        }
    }
}

impl Actor for Subscriber {
    fn name(&self) -> &str {
        &self.name
    }

    fn play(&mut self, world: &World, address: SocketAddr) -> Ended {
        let Err(ended) = self.connections(world, address);
        ended
    }
}
