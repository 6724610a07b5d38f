//! Clients that connect and subscribe to a topic each, and those that only come to end their session.

use crate::{
    crew::{Duty, Piece},
    failure::Failure,
    links::{Identity, Links},
    subscriber::{SUBACK, subscribed},
    tally::Spread,
    team::Team,
    wrong::Wrong,
};
use std::ops::Range;
use tidegate_mqtt::{ConnAck, QoS};

/// Some of the clients of a thread.
pub(super) struct Arrivals<'a> {
    team: &'a Team,
    qos: QoS,
    /// The place of the first on this thread; the others follow.
    first: usize,
    clients: Vec<Client>,
    settled: Vec<usize>,
    /// How many are in.
    pub(super) subscribed: u64,
    pub(super) connack: Spread,
    pub(super) suback: Spread,
    /// Once all are in: until when they stay and do nothing.
    idle_until: Option<u64>,
    is_over: bool,
}

struct Client {
    client_id: String,
    filter: String,
    began: u64,
}

impl<'a> Arrivals<'a> {
    /// Has clients connect that are what `identity` says and subscribe to what `filter` says, by number over all threads.
    pub(super) fn new(
        team: &'a Team,
        links: &mut Links,
        qos: QoS,
        numbers: impl Iterator<Item = usize>,
        identity: impl Fn(usize) -> Identity,
        filter: impl Fn(usize) -> String,
    ) -> Self {
        let first = links.list.len();
        let come = |number| {
            let identity = identity(number);
            let client = Client { client_id: identity.client_id.clone(), filter: filter(number), began: 0 };
            let who = links.add(identity);
            links.open(who);
            client
        };
        Self {
            team,
            qos,
            first,
            clients: numbers.map(come).collect(),
            settled: Vec::new(),
            subscribed: 0,
            connack: Spread::new(),
            suback: Spread::new(),
            idle_until: None,
            is_over: false,
        }
    }

    /// Its next task is to do nothing until then, in nanoseconds of the run's clock.
    pub(super) fn stay(&mut self, until: u64) {
        self.idle_until = Some(until);
    }

    /// Their places on this thread.
    pub(super) fn places(&self) -> Range<usize> {
        self.first..self.first + self.clients.len()
    }
}

impl Duty for Arrivals<'_> {
    fn comes_in(&mut self, who: usize, _: &ConnAck, links: &mut Links) -> Result<(), Failure> {
        let client = &mut self.clients[who - self.first];
        client.began = links.list[who].began;
        self.connack.record(links.clock.now() - client.began);
        self.team.progress.add("connected", 1);
        links.subscribe(who, &client.filter, self.qos)
    }

    fn packet(&mut self, who: usize, piece: Piece<'_>, now: u64, _: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(client) = who.checked_sub(self.first).and_then(|place| self.clients.get(place)) else {
            return Ok(());
        };
        let asked = match piece.first >> 4 {
            SUBACK => subscribed(piece, self.team.target.version, self.qos),
            _ => Err(Wrong::Unexpected("nobody asked for it")),
        };
        asked.map_err(|wrong| wrong.of(client.client_id.clone(), piece))?;
        self.suback.record(now - client.began);
        self.subscribed += 1;
        self.settled.push(who);
        Ok(())
    }

    fn turn(&mut self, now: u64, links: &mut Links) -> Result<Option<u64>, Failure> {
        self.settled.drain(..).for_each(|who| links.settle(who));
        self.is_over = self.idle_until.is_some_and(|until| now >= until);
        Ok(self.idle_until)
    }

    fn is_done(&self) -> bool {
        match self.idle_until {
            None => self.subscribed == self.clients.len() as u64,
            Some(_) => self.is_over,
        }
    }

    fn expects(&self) -> Option<&'static str> {
        self.idle_until.is_none().then_some("SUBACK")
    }
}

/// Clients whose sessions were kept and are no longer needed.
pub(super) struct Removal {
    places: Range<usize>,
    awaited: usize,
}

impl Removal {
    /// Each connects once more, so that its session ends with the connection.
    pub(super) fn new(links: &mut Links, places: Range<usize>) -> Result<Self, Failure> {
        let awaited = places.len();
        for who in places.clone() {
            links.leave(who)?;
            links.list[who].identity.ending();
            links.open(who);
        }
        Ok(Self { places, awaited })
    }
}

impl Duty for Removal {
    fn comes_in(&mut self, who: usize, _: &ConnAck, links: &mut Links) -> Result<(), Failure> {
        // Others may still be on their way if the user has had enough.
        self.awaited -= usize::from(self.places.contains(&who));
        links.leave(who)
    }

    fn packet(&mut self, _: usize, _: Piece<'_>, _: u64, _: &mut Vec<u8>) -> Result<(), Failure> {
        Ok(())
    }

    fn turn(&mut self, _: u64, _: &mut Links) -> Result<Option<u64>, Failure> {
        Ok(None)
    }

    fn is_done(&self) -> bool {
        self.awaited == 0
    }

    /// Whatever happens, nothing shall stay behind.
    fn winds_up(&mut self, _: u64) -> bool {
        true
    }
}
