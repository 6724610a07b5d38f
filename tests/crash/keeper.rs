//! Sets and deletes retained messages, and looks what is there whenever it comes.

use super::{
    random::Random,
    record::payload,
    session::{Ended, Outbox, Progress, connect_to_publish},
    wire::{Connect, Connection, PUBACK, Packet, Publish, Version},
    world::{Actor, Phase, World},
};
use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr};
use tidegate_tests::PATIENCE;

const TOPICS: usize = 5;
/// Once in so many packets it goes, looks, and comes again.
const RESTLESS: u64 = 40;

pub(crate) struct Keeper {
    name: String,
    version: Version,
    qos: u8,
    topics: [Kept; TOPICS],
    random: Random,
    outbox: Outbox,
    safe: bool,
    /// Of the last update.
    number: u64,
}

/// The retained message of a topic. One update is on its way at most.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    /// The last update that was acknowledged.
    safe: Option<u64>,
    /// One that may have come through.
    open: Option<u64>,
}

/// Every fourth update deletes.
fn deletes(number: u64) -> bool {
    number % 4 == 3
}

impl Keeper {
    pub(crate) fn new(name: &str, (version, qos): (Version, u8), random: Random) -> Self {
        Self {
            name: name.to_owned(),
            version,
            qos,
            topics: Default::default(),
            random,
            outbox: Outbox::thrifty(),
            safe: false,
            number: 0,
        }
    }

    fn topic(&self, index: usize) -> String {
        format!("retained/{}/{index}", self.name)
    }

    /// As somebody else, and before anything is sent again: what is retained?
    fn look(&self, address: SocketAddr) -> Result<BTreeMap<String, Vec<u8>>, Ended> {
        let end = format!("retained/{}/end", self.name);
        let client_id = format!("look-{}", self.name);
        let connect = Connect {
            version: Version::V5,
            client_id: &client_id,
            clean_start: true,
            expiry: 0,
            receive_maximum: None,
            will: None,
        };
        let (mut connection, _) = Connection::open(address, &connect)?;
        connection.send_subscribe(1, &format!("retained/{}/#", self.name), 1, None)?;
        let (mut found, mut live): (BTreeMap<String, Vec<u8>>, BTreeMap<_, _>) = Default::default();
        loop {
            match connection.receive(PATIENCE)? {
                Some(Packet::SubAck(1, _)) => {
                    // What is published now comes after what is retained.
                    let payload = b"end".to_vec();
                    let (topic, identifiers) = (end.clone(), Vec::new());
                    let end =
                        Publish { dup: false, qos: 1, retain: false, topic, id: 2, identifiers, payload };
                    connection.send_publish(&end)?;
                }
                Some(Packet::PubAck(2, 0)) => {}
                Some(Packet::Publish(publish)) => {
                    connection.send_ack(PUBACK, publish.id)?;
                    if publish.topic == end {
                        // Nothing depends on its being heard.
                        let _ = connection.send_disconnect(0, None);
                        found.extend(live);
                        found.retain(|_, payload| !payload.is_empty());
                        return Ok(found);
                    }
                    let Publish { retain, topic, payload, .. } = publish;
                    if !retain {
                        // An update that was still on its way when its connection ended.
                        live.insert(topic, payload);
                    } else if found.insert(topic.clone(), payload).is_some() {
                        return Err(Ended::wrong(format!("{client_id}: {topic} has two retained messages")));
                    }
                }
                other => return Err(Ended::wrong(format!("{client_id}: unexpected {other:?}"))),
            }
        }
    }

    fn check(&self, mut found: BTreeMap<String, Vec<u8>>) -> Result<(), Ended> {
        for (index, kept) in self.topics.iter().enumerate() {
            let topic = self.topic(index);
            let there = found.remove(&topic);
            let value = |number: Option<u64>| {
                number.filter(|number| !deletes(*number)).map(|number| payload(&topic, number))
            };
            let fits = there == value(kept.safe) || kept.open.is_some_and(|open| there == value(Some(open)));
            if !fits {
                let there = there.map(|payload| String::from_utf8_lossy(&payload).into_owned());
                return Err(Ended::wrong(format!(
                    "{}: the retained message of {topic} is {there:?}; the last update that was acknowledged is {:?}, \
                     the one on its way {:?} (one in four deletes: 3, 7, …)",
                    self.name, kept.safe, kept.open
                )));
            }
        }
        match found.pop_first() {
            None => Ok(()),
            Some((topic, _)) => Err(Ended::wrong(format!("{}: nobody publishes to {topic}", self.name))),
        }
    }

    fn connect(&mut self, address: SocketAddr) -> Result<Connection, Ended> {
        self.check(self.look(address)?)?;
        let (mut connection, session_present) =
            connect_to_publish((&self.name, self.version), address, self.safe)?;
        if !session_present {
            for (topic, number) in self.outbox.forget() {
                self.update(&mut connection, topic, number)?;
            }
            return Ok(connection);
        }
        self.outbox.resend(&mut connection)?;
        Ok(connection)
    }

    fn update(&mut self, connection: &mut Connection, index: usize, number: u64) -> Result<(), Ended> {
        let (id, topic) = (self.outbox.next_id(), self.topic(index));
        self.topics[index].open = Some(number);
        let payload = if deletes(number) { Vec::new() } else { payload(&topic, number) };
        let identifiers = Vec::new();
        let publish = Publish { dup: false, qos: self.qos, retain: true, topic, id, identifiers, payload };
        Ok(self.outbox.publish(connection, publish, (index, number))?)
    }

    fn work(&mut self, world: &World, connection: &mut Connection) -> Result<(), Ended> {
        loop {
            let phase = world.phase();
            let index = self.random.below(TOPICS as u64) as usize;
            if phase == Phase::Work && self.topics[index].open.is_none() {
                self.number += 1;
                self.update(connection, index, self.number)?;
            }
            if self.outbox.len() == 0 {
                world.through(&self.name, phase);
            }
            match world.poll(connection)? {
                None => self.outbox.release(connection)?,
                Some(packet) => {
                    if let Progress::Acknowledged((topic, number)) | Progress::Received((topic, number)) =
                        self.outbox.hear(&self.name, &packet)?
                    {
                        self.safe = true;
                        self.topics[topic] = Kept { safe: Some(number), open: None };
                        world.record(|record| record.tick());
                    }
                }
            }
            if phase != Phase::Work {
                self.outbox.release(connection)?;
            }
            if phase == Phase::Work && self.random.once_in(RESTLESS) {
                return Ok(());
            }
        }
    }

    fn connections(&mut self, world: &World, address: SocketAddr) -> Result<Infallible, Ended> {
        loop {
            let mut connection = self.connect(address)?;
            self.work(world, &mut connection)?;
            connection.cut();
        }
    }
}

impl Actor for Keeper {
    fn name(&self) -> &str {
        &self.name
    }

    fn play(&mut self, world: &World, address: SocketAddr) -> Ended {
        let Err(ended) = self.connections(world, address);
        ended
    }
}
