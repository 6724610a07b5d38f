//! A client whose sessions end, one after another: by DISCONNECT with an expiry of 0, or by Clean Start. What has ended does not come back.

use super::{
    random::Random,
    session::Ended,
    wire::{Connect, Connection, DAY, PUBACK, Packet, Version},
    world::{Actor, Phase, World},
};
use std::{convert::Infallible, net::SocketAddr};

pub(crate) struct Guest {
    name: String,
    random: Random,
    session: Session,
}

/// What the broker must know of the guest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Session {
    /// It has ended: the broker closed after DISCONNECT.
    Ended,
    /// SUBACK came.
    Subscribed,
    /// It is new, or there is none: what was there before has ended, and nothing was subscribed since.
    Clean,
    /// Something was asked for, and not answered.
    Unknown,
}

impl Guest {
    pub(crate) fn new(name: &str, random: Random) -> Self {
        Self { name: name.to_owned(), random, session: Session::Ended }
    }

    fn connect(&mut self, address: SocketAddr, clean_start: bool) -> Result<Connection, Ended> {
        let connect = Connect {
            version: Version::V5,
            client_id: &self.name,
            clean_start,
            expiry: DAY,
            receive_maximum: None,
            will: None,
        };
        let before = std::mem::replace(&mut self.session, Session::Unknown);
        if !clean_start {
            // If CONNACK is lost there may be a new session, but nothing of the one that has ended.
            self.session = if before == Session::Ended { Session::Clean } else { before };
        }
        let (connection, session_present) = Connection::open(address, &connect)?;
        let fits = match before {
            _ if clean_start => !session_present,
            Session::Ended => !session_present,
            Session::Subscribed => session_present,
            Session::Clean | Session::Unknown => true,
        };
        if !fits {
            return Err(Ended::wrong(format!(
                "{}: Session Present is {session_present}, Clean Start {clean_start}, the session {before:?}",
                self.name
            )));
        }
        if clean_start {
            self.session = Session::Clean;
        }
        Ok(connection)
    }

    /// Hears what comes until it is enough. A session without subscriptions gets nothing.
    fn listen(&mut self, world: &World, connection: &mut Connection, subscribing: bool) -> Result<(), Ended> {
        let until = world.look(|state| state.record.clock) + self.random.below(200);
        let mut answered = !subscribing;
        loop {
            let phase = world.phase();
            if answered {
                world.through(&self.name, phase);
                if phase == Phase::Work && world.look(|state| state.record.clock) >= until {
                    return Ok(());
                }
            }
            match world.poll(connection)? {
                None => {}
                Some(Packet::Publish(publish)) if self.session != Session::Clean => {
                    connection.send_ack(PUBACK, publish.id)?;
                }
                Some(Packet::SubAck(1, codes)) if codes == [1] => {
                    answered = true;
                    self.session = Session::Subscribed;
                }
                Some(other) => {
                    return Err(Ended::wrong(format!(
                        "{}: the session is {:?}, and the broker sends {other:?}",
                        self.name, self.session
                    )));
                }
            }
        }
    }

    fn visits(&mut self, world: &World, address: SocketAddr) -> Result<Infallible, Ended> {
        loop {
            let clean_start = self.random.once_in(3);
            let mut connection = self.connect(address, clean_start)?;
            let subscribing = !self.random.once_in(3);
            if subscribing {
                if self.session == Session::Clean {
                    self.session = Session::Unknown;
                }
                connection.send_subscribe(1, "data/+/1/#", 1, None)?;
            }
            self.listen(world, &mut connection, subscribing)?;
            if self.random.once_in(2) {
                self.session = Session::Unknown;
                connection.send_disconnect(0, Some(0))?;
                if world.ends_by_itself(connection)? {
                    self.session = Session::Ended;
                }
            } else {
                connection.cut();
            }
        }
    }
}

impl Actor for Guest {
    fn name(&self) -> &str {
        &self.name
    }

    fn play(&mut self, world: &World, address: SocketAddr) -> Ended {
        let Err(ended) = self.visits(world, address);
        ended
    }
}
