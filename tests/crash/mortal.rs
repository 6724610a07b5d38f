//! A client with a will, which it gives a reason to be published, or none.

use super::{
    random::Random,
    record::{Fate, ReaderId, payload},
    session::Ended,
    wire::{Connect, Connection, DAY, Gone, Version, Will},
    world::{Actor, Phase, State, World},
};
use std::{convert::Infallible, net::SocketAddr};
use tidegate_tests::PATIENCE;

pub(crate) struct Mortal {
    name: String,
    me: usize,
    version: Version,
    /// Who sees the wills.
    watcher: ReaderId,
    random: Random,
    number: u64,
    /// Its will, if CONNACK came.
    armed: Option<Armed>,
    /// It must not connect before its will is out, or the will is not due any more.
    away: bool,
}

#[derive(Clone, Copy, Debug)]
struct Armed {
    number: u64,
    delay: u32,
}

/// A delay that nobody waits for.
const LONG: u32 = 3_600;

impl Mortal {
    pub(crate) fn new(me: usize, version: Version, watcher: ReaderId, random: Random) -> Self {
        let name = format!("will-{me}");
        Self { name, me, version, watcher, random, number: 0, armed: None, away: false }
    }

    /// The connection has ended without DISCONNECT 0x00.
    fn dies(&mut self, world: &World, how: &str) -> Result<(), Ended> {
        let Some(Armed { number, delay }) = self.armed.take() else { return Ok(()) };
        let fate = if delay == LONG { Fate::Never } else { Fate::Due };
        self.away = delay > 0 && delay != LONG;
        Ok(world.record(|record| record.will_fate(self.me, number, fate, how))?)
    }

    fn connect(&mut self, world: &World, address: SocketAddr) -> Result<Connection, Ended> {
        let number = self.number;
        self.number += 1;
        let delay = match (self.version, self.random.below(12)) {
            (Version::V5, 0) => 1,
            (Version::V5, 1 | 2) => LONG,
            _ => 0,
        };
        let qos = if self.random.once_in(4) { 1 } else { 2 };
        let topic = format!("wills/{}", self.me);
        let payload = payload(&topic, number);
        let text = format!("{} says CONNECT with this will, QoS {qos}, delay {delay} s", self.name);
        world.record(|record| record.will_armed(self.me, number, qos, text));
        let connect = Connect {
            version: self.version,
            client_id: &self.name,
            clean_start: false,
            expiry: DAY,
            receive_maximum: None,
            will: Some(Will { topic, payload, qos, delay }),
        };
        let before = self.armed;
        // A takeover: a will without delay is sent, one with a delay is not, as the session goes on. Without CONNACK nobody can tell.
        self.armed = before.filter(|before| before.delay == 0);
        let (connection, _) = Connection::open(address, &connect)?;
        if let Some(Armed { number, delay }) = before {
            let fate = if delay == 0 { Fate::Due } else { Fate::Never };
            world.record(|record| record.will_fate(self.me, number, fate, "its client is taken over"))?;
        }
        world.record(|record| record.will_fate(self.me, number, Fate::Open, "CONNACK comes"))?;
        self.armed = Some(Armed { number, delay });
        Ok(connection)
    }

    /// Waits until it may connect. In a drain it does not.
    fn wait_for_turn(&mut self, world: &World) -> Result<(), Ended> {
        loop {
            let (phase, clock, watched, missing) = world.look(|state| {
                let record = &state.record;
                let watched = record.is_subscribed(self.watcher, "wills/#");
                (state.phase(), record.clock, watched, record.wills_missing(self.me))
            });
            if phase == Phase::Work && watched && !(self.away && missing) {
                self.away = false;
                return Ok(());
            }
            if phase != Phase::Work && !missing {
                world.through(&self.name, phase);
            }
            let news = |state: &State| state.phase() != phase || state.record.clock != clock;
            if !world.wait(2 * PATIENCE, news) {
                return Err(Gone(None).into());
            }
        }
    }

    fn live(&mut self, world: &World, connection: &mut Connection) -> Result<(), Ended> {
        let until = world.look(|state| state.record.clock) + self.random.below(300);
        loop {
            let phase = world.phase();
            if phase == Phase::Work {
                if world.look(|state| state.record.clock) >= until {
                    return Ok(());
                }
            } else if !world.look(|state| state.record.wills_missing(self.me)) {
                world.through(&self.name, phase);
            }
            if let Some(packet) = world.poll(connection)? {
                return Err(Ended::wrong(format!("{}: what does the broker mean by {packet:?}?", self.name)));
            }
        }
    }

    fn lives(&mut self, world: &World, address: SocketAddr) -> Result<Infallible, Ended> {
        self.dies(world, "the broker was gone")?;
        loop {
            self.wait_for_turn(world)?;
            let mut connection = self.connect(world, address)?;
            loop {
                self.live(world, &mut connection)?;
                match self.random.below(5) {
                    0 | 1 => {
                        connection.cut();
                        self.dies(world, "its client cuts the connection")?;
                    }
                    2 if self.version == Version::V5 => {
                        // 0x04: Disconnect with Will Message. Unheard, it is as good as a connection that is cut.
                        let _ = connection.send_disconnect(4, None);
                        connection.cut();
                        self.dies(world, "its client says DISCONNECT 0x04")?;
                    }
                    2 | 3 => {
                        let Some(Armed { number, .. }) = self.armed.take() else { break };
                        world.record(|record| {
                            record.will_fate(self.me, number, Fate::Open, "DISCONNECT is sent")
                        })?;
                        connection.send_disconnect(0, None)?;
                        if world.ends_by_itself(connection)? {
                            let what = "the broker has closed after DISCONNECT";
                            world.record(|record| record.will_fate(self.me, number, Fate::Never, what))?;
                        }
                    }
                    _ => {
                        let new = self.connect(world, address)?;
                        if !std::mem::replace(&mut connection, new).closed() {
                            return Err(Ended::wrong(format!("{}: still open after a takeover", self.name)));
                        }
                        continue;
                    }
                }
                break;
            }
        }
    }
}

impl Actor for Mortal {
    fn name(&self) -> &str {
        &self.name
    }

    fn play(&mut self, world: &World, address: SocketAddr) -> Ended {
        let Err(ended) = self.lives(world, address);
        ended
    }
}
