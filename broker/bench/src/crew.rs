//! One thread with its clients: waits for sockets and the clock, takes packets apart, and hands them to its duty.

use crate::{
    alarm::Alarm,
    failure::{Asked, Failure},
    links::{Links, PATIENCE, Stage, unreachable},
    stream::Got,
    team::Team,
};
use mio::{Events, Poll, Token, Waker};
use std::{io, sync::Arc, time::Duration};
use tidegate_mqtt::{ConnAck, DecodeError, Malformed, Packet, PacketType, Version, next_frame};

/// What the clients of a crew do with what they get.
pub(crate) trait Duty {
    /// A client's CONNACK said yes. [`Links::settle`] tells when the next may begin.
    fn comes_in(&mut self, who: usize, connack: &ConnAck, links: &mut Links) -> Result<(), Failure>;

    /// A packet has come that is neither CONNACK, DISCONNECT nor PINGRESP. What is written to `out` is sent to its sender.
    fn packet(&mut self, who: usize, frame: Piece<'_>, now: u64, out: &mut Vec<u8>) -> Result<(), Failure>;

    /// Everything that could be read is read: says what follows, and returns when it wants to be asked again at the latest.
    fn turn(&mut self, now: u64, links: &mut Links) -> Result<Option<u64>, Failure>;

    /// PINGRESP has come.
    fn pong(&mut self, who: usize) {
        let _ = who;
    }

    /// All that waited for a client's socket is written.
    fn is_clear(&mut self, who: usize) {
        let _ = who;
    }

    /// A client's connection has ended from outside.
    fn lost(&mut self, who: usize, failure: Failure, links: &mut Links) -> Result<(), Failure> {
        let _ = (who, links);
        Err(failure)
    }

    /// Whether the crew's present task is done.
    fn is_done(&self) -> bool;

    /// What it waits for, in words, if the broker has to say something now.
    fn expects(&self) -> Option<&'static str> {
        None
    }

    /// The user has had enough. True if it brings its task to an end by itself; else the task is broken off.
    fn winds_up(&mut self, now: u64) -> bool {
        let _ = now;
        false
    }
}

/// A whole packet, not taken apart.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'a> {
    /// Type and flags.
    pub(crate) first: u8,
    /// Behind the fixed header.
    pub(crate) body: &'a [u8],
    /// All of it.
    pub(crate) whole: &'a [u8],
}

pub(crate) struct Crew {
    pub(crate) links: Links,
    poll: Poll,
    events: Events,
    alarm: Alarm,
    scratch: Vec<u8>,
    replies: Vec<u8>,
    /// Clients whose sockets have more.
    unread: Vec<usize>,
    team: Arc<Team>,
    last_check: u64,
    /// When something last came.
    heard: u64,
}

const ALARM: Token = Token(usize::MAX);
const OTHERS: Token = Token(usize::MAX - 1);
/// How often a crew looks whether the run goes on, at least.
const LOOK_UP: Duration = Duration::from_millis(100);
/// Bytes read at once, at least.
const SCRATCH: usize = 256 << 10;

impl Crew {
    /// `at_once`: clients that connect at the same time. `largest`: bytes of the largest packet that will come.
    pub(crate) fn new(
        team: &Arc<Team>,
        rank: usize,
        at_once: usize,
        largest: usize,
    ) -> Result<Self, Failure> {
        let make = || -> io::Result<Self> {
            let poll = Poll::new()?;
            let alarm = Alarm::new(poll.registry(), ALARM)?;
            team.listen(rank, Waker::new(poll.registry(), OTHERS)?);
            let links =
                Links::new(poll.registry().try_clone()?, team.target.clone(), team.clock, at_once.max(1));
            Ok(Self {
                links,
                poll,
                events: Events::with_capacity(1024),
                alarm,
                scratch: vec![0; SCRATCH.max(2 * largest)],
                replies: Vec::new(),
                unread: Vec::new(),
                team: team.clone(),
                last_check: 0,
                heard: 0,
            })
        };
        make().map_err(|error| Failure::System("wait for sockets", error))
    }

    /// Works until the duty is done, or broken off because the user has had enough.
    pub(crate) fn work(&mut self, duty: &mut impl Duty) -> Result<(), Failure> {
        self.heard = self.links.clock.now();
        loop {
            let now = self.links.clock.now();
            let wake = duty.turn(now, &mut self.links)?;
            let in_a_hurry = self.links.begin()?;
            if self.team.meeting.has_failed() {
                return Err(Failure::Stopped);
            }
            if duty.is_done() || self.team.meeting.is_interrupted() && !duty.winds_up(now) {
                return Ok(());
            }
            if now - self.last_check > 1_000_000_000 {
                self.last_check = now;
                self.links.check_patience()?;
                self.check_silence(now, duty)?;
                self.links.keep_alive(now)?;
            }
            self.wait(now, if in_a_hurry { Some(now) } else { wake }, duty)?;
        }
    }

    fn check_silence(&self, now: u64, duty: &impl Duty) -> Result<(), Failure> {
        match duty.expects() {
            Some(what) if now - self.heard > PATIENCE.as_nanos() as u64 => {
                Err(Failure::NoAnswer { seconds: PATIENCE.as_secs(), what: what.to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn wait(&mut self, now: u64, wake: Option<u64>, duty: &mut impl Duty) -> Result<(), Failure> {
        let system = |error| Failure::System("wait for sockets", error);
        let most = if self.unread.is_empty() { LOOK_UP } else { Duration::ZERO };
        let timeout = self.alarm.set(now, wake.unwrap_or(u64::MAX), most).map_err(system)?;
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(system(error)),
            _ => {}
        }
        for who in std::mem::take(&mut self.unread) {
            self.read(who, duty)?;
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let who = event.token().0;
            if who >= self.links.list.len() {
                continue;
            }
            if event.is_writable() {
                self.advance(who, duty)?;
            }
            if event.is_readable() || event.is_error() {
                self.read(who, duty)?;
            }
        }
        self.events = events;
        Ok(())
    }

    fn advance(&mut self, who: usize, duty: &mut impl Duty) -> Result<(), Failure> {
        let link = &mut self.links.list[who];
        let Some(stream) = &mut link.stream else { return Ok(()) };
        let was_open = stream.is_open();
        match stream.advance() {
            Ok(true) => duty.is_clear(who),
            Ok(false) => {}
            Err(source) => {
                let failure = if was_open {
                    self.links.broken(who, source)
                } else {
                    unreachable(&self.links.target, source)
                };
                return self.lose(who, failure, duty);
            }
        }
        Ok(())
    }

    fn lose(&mut self, who: usize, failure: Failure, duty: &mut impl Duty) -> Result<(), Failure> {
        self.links.cut(who);
        duty.lost(who, failure, &mut self.links)
    }

    /// Reads once. What is left is read in the next turn, so that others have theirs.
    fn read(&mut self, who: usize, duty: &mut impl Duty) -> Result<(), Failure> {
        let link = &mut self.links.list[who];
        let Some(stream) = link.stream.as_mut().filter(|stream| stream.is_open()) else { return Ok(()) };
        let kept = link.tail.len();
        if kept * 2 > self.scratch.len() {
            self.scratch.resize(kept * 4, 0);
        }
        self.scratch[..kept].copy_from_slice(&link.tail);
        let count = match stream.read(&mut self.scratch[kept..]) {
            Ok(Got::Last(0)) => return Ok(()),
            Ok(Got::Last(count)) => count,
            Ok(Got::Some(count)) => {
                self.unread.push(who);
                count
            }
            Ok(Got::End) => {
                let failure = link.dropped(None);
                return self.lose(who, failure, duty);
            }
            Err(source) => {
                let failure = self.links.broken(who, source);
                return self.lose(who, failure, duty);
            }
        };
        let scratch = std::mem::take(&mut self.scratch);
        let done = self.packets(who, &scratch[..kept + count], duty);
        self.scratch = scratch;
        match done? {
            Some(failure) => self.lose(who, failure, duty),
            None => Ok(()),
        }
    }

    /// Hands every whole packet to the duty, keeps the rest, and sends what is said in return. A failure that is returned in
    /// `Ok` is the end of this connection only.
    fn packets(
        &mut self,
        who: usize,
        bytes: &[u8],
        duty: &mut impl Duty,
    ) -> Result<Option<Failure>, Failure> {
        let now = self.links.clock.now();
        self.heard = now;
        let mut rest = bytes;
        let mut replies = std::mem::take(&mut self.replies);
        while let Some((piece, behind)) = split(rest) {
            rest = behind;
            match piece.first >> 4 {
                CONNACK | DISCONNECT | PINGRESP => {
                    if let Some(failure) = self.control(who, piece, duty)? {
                        return Ok(Some(failure));
                    }
                }
                _ => duty.packet(who, piece, now, &mut replies)?,
            }
        }
        let link = &mut self.links.list[who];
        link.tail.clear();
        link.tail.extend_from_slice(rest);
        if let Some(source) = malformed(rest) {
            return Err(Failure::NotMqtt { client: link.identity.client_id.clone(), source });
        }
        let sent = link.stream.as_mut().filter(|_| !replies.is_empty()).map(|stream| stream.send(&replies));
        replies.clear();
        self.replies = replies;
        Ok(sent.and_then(Result::err).map(|source| self.links.list[who].dropped(Some(source))))
    }

    /// What every client understands.
    fn control(
        &mut self,
        who: usize,
        piece: Piece<'_>,
        duty: &mut impl Duty,
    ) -> Result<Option<Failure>, Failure> {
        let link = &self.links.list[who];
        let client = || link.identity.client_id.clone();
        let decoded = decode(piece, self.links.target.version);
        match decoded.map_err(|source| Failure::NotMqtt { client: client(), source })? {
            Packet::ConnAck(connack) if link.stage == Stage::Greeting => {
                if connack.reason.is_error() {
                    return Ok(Some(link.refused(Asked::Connect, connack.reason)));
                }
                self.links.is_in(who, &connack);
                duty.comes_in(who, &connack, &mut self.links).map(|()| None)
            }
            Packet::Disconnect(disconnect) => {
                Ok(Some(Failure::Disconnected { client: client(), reason: disconnect.reason }))
            }
            Packet::PingResp => {
                duty.pong(who);
                Ok(None)
            }
            other => Err(Failure::Unexpected {
                packet: other.packet_type(),
                client: client(),
                why: "it came a second time",
            }),
        }
    }
}

/// Packet types, as the first byte has them.
const CONNACK: u8 = PacketType::ConnAck as u8;
const DISCONNECT: u8 = PacketType::Disconnect as u8;
const PINGRESP: u8 = PacketType::PingResp as u8;

/// Takes any packet apart, the slow way.
pub(crate) fn decode(piece: Piece<'_>, version: Version) -> Result<Packet<'_>, DecodeError> {
    match next_frame(piece.whole, u32::MAX)? {
        Some(frame) => frame.decode(version),
        None => Err(Malformed::Truncated.into()),
    }
}

/// The first packet, and what follows. None if it is not whole, or no packet.
pub(crate) fn split(bytes: &[u8]) -> Option<(Piece<'_>, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = var_int(rest)?;
    let (body, behind) = rest.split_at_checked(length)?;
    let whole = &bytes[..bytes.len() - behind.len()];
    Some((Piece { first: *first, body, whole }, behind))
}

/// The variable byte integer at the beginning, and what follows. None if it is not whole, or none.
pub(crate) fn var_int(mut rest: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        value |= usize::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some((value, rest));
        }
    }
    None
}

/// What is wrong with the beginning of a packet.
fn malformed(rest: &[u8]) -> Option<DecodeError> {
    if rest.is_empty() { None } else { next_frame(rest, u32::MAX).err() }
}

#[cfg(test)]
mod tests;
