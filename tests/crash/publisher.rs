//! Publishes numbered messages, several at once, and resends as the standard asks.

use super::{
    random::Random,
    record::{Record, StreamId},
    session::{Ended, Outbox, Progress, connect_to_publish},
    wire::{Connection, Packet, Publish, Version},
    world::{Actor, Phase, World},
};
use std::{convert::Infallible, net::SocketAddr};

pub(crate) struct Publisher {
    name: String,
    version: Version,
    streams: Vec<StreamId>,
    random: Random,
    /// Messages open at once.
    window: usize,
    /// PUBRELs held back at once.
    late: usize,
    /// Messages that are still to be sent in this round.
    budget: u64,
    outbox: Outbox,
    /// PUBACK, PUBREC or PUBCOMP came: the session must not be lost.
    safe: bool,
}

/// Once in so many packets the connection is dropped, or taken over.
const RESTLESS: u64 = 150;

impl Publisher {
    /// One stream of QoS 1 and two of QoS 2.
    pub(crate) fn new(number: usize, record: &mut Record, mut random: Random) -> Self {
        let topics = [("1/a", 1), ("2/a", 2), ("2/b", 2)];
        let streams =
            topics.map(|(topic, qos)| record.add_stream(format!("data/{number}/{topic}"), qos)).to_vec();
        Self {
            name: format!("publisher-{number}"),
            version: if number.is_multiple_of(2) { Version::V5 } else { Version::V311 },
            streams,
            window: 4 + random.below(16) as usize,
            late: random.below(4) as usize,
            random,
            budget: 0,
            outbox: if number < 2 { Outbox::thrifty() } else { Outbox::default() },
            safe: false,
        }
    }

    fn connect(&mut self, world: &World, address: SocketAddr) -> Result<Connection, Ended> {
        let (mut connection, session_present) =
            connect_to_publish((&self.name, self.version), address, self.safe)?;
        if !session_present {
            let forgotten = self.outbox.forget();
            world.record(|record| {
                for tag in forgotten {
                    record.note(tag, "the session is gone: its publisher forgets it".into());
                }
            });
        }
        world.record(|record| {
            for tag in self.outbox.unacknowledged() {
                record.sends_again(tag, &self.name);
            }
        });
        self.outbox.resend(&mut connection)?;
        Ok(connection)
    }

    fn send(&mut self, world: &World, connection: &mut Connection, stream: StreamId) -> Result<(), Ended> {
        let id = self.outbox.next_id();
        let (number, publish) = world.record(|record| {
            let number = record.sends(stream, &self.name, id);
            let (topic, qos) = record.topic(stream);
            let payload = super::record::payload(topic, number);
            let topic = topic.to_owned();
            let publish =
                Publish { dup: false, qos, retain: false, topic, id, identifiers: Vec::new(), payload };
            (number, publish)
        });
        Ok(self.outbox.publish(connection, publish, (stream, number))?)
    }

    fn hear(&mut self, world: &World, packet: &Packet) -> Result<(), Ended> {
        let progress = self.outbox.hear(&self.name, packet)?;
        self.safe = true;
        world.record(|record| match progress {
            Progress::Acknowledged(tag) => record.acknowledged(tag, "PUBACK comes"),
            Progress::Received(tag) => record.acknowledged(tag, "PUBREC comes"),
            Progress::Completed(tag) => record.note(tag, "PUBCOMP comes".into()),
        });
        Ok(())
    }

    /// Until the connection is to be dropped.
    fn work(&mut self, world: &World, connection: &mut Connection, marked: &mut bool) -> Result<(), Ended> {
        loop {
            let phase = world.phase();
            if phase == Phase::Work {
                while self.budget > 0 && self.outbox.len() < self.window {
                    let stream = self.streams[self.random.below(self.streams.len() as u64) as usize];
                    self.send(world, connection, stream)?;
                    self.budget -= 1;
                }
            }
            if phase == Phase::Mark && !*marked {
                *marked = true;
                for stream in self.streams.clone() {
                    self.send(world, connection, stream)?;
                }
            }
            let done = match phase {
                Phase::Work => self.budget == 0,
                _ => self.outbox.len() == 0,
            };
            if done {
                world.through(&self.name, phase);
            }
            let late = if phase == Phase::Work { self.late } else { 0 };
            match world.poll(connection)? {
                None => self.outbox.release(connection)?,
                Some(packet) => self.hear(world, &packet)?,
            }
            while self.outbox.held() > late {
                self.outbox.release(connection)?;
            }
            if phase == Phase::Work && self.random.once_in(RESTLESS) {
                return Ok(());
            }
        }
    }

    fn rounds_of_connections(&mut self, world: &World, address: SocketAddr) -> Result<Infallible, Ended> {
        self.budget = 10 + self.random.below(50);
        let mut marked = false;
        let mut connection = self.connect(world, address)?;
        loop {
            self.work(world, &mut connection, &mut marked)?;
            if self.random.once_in(2) {
                connection.cut();
                connection = self.connect(world, address)?;
            } else {
                // A takeover.
                let new = self.connect(world, address)?;
                let old = std::mem::replace(&mut connection, new);
                if !old.closed() {
                    return Err(Ended::wrong(format!("{}: still open after a takeover", self.name)));
                }
            }
        }
    }
}

impl Actor for Publisher {
    fn name(&self) -> &str {
        &self.name
    }

    fn play(&mut self, world: &World, address: SocketAddr) -> Ended {
        let Err(ended) = self.rounds_of_connections(world, address);
        ended
    }
}
