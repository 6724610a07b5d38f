//! The connections of one thread's clients: opened a bounded number at once, greeted with CONNECT, written to, closed.

use crate::{
    alarm::Clock,
    failure::{Asked, Failure},
    stream::Stream,
    target::Target,
    team::Team,
};
use bytes::Bytes;
use mio::{Registry, Token};
use std::{collections::VecDeque, io, sync::Arc, time::Duration};
use tidegate_mqtt::{
    ClientId, ConnAck, Connect, ConnectProperties, Disconnect, DisconnectProperties, Packet, PacketId, QoS,
    ReasonCode, Subscribe, SubscribeProperties, SubscriptionFilter, SubscriptionOptions, Version,
};

/// Who a client says that it is, and what it wants of its session.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) client_id: String,
    pub(crate) user: Option<String>,
    /// Whether the session stays when the connection ends.
    pub(crate) keeps_session: bool,
    /// Whether an older session is removed first.
    pub(crate) clean_start: bool,
}

impl Identity {
    /// The same client, whose session is there already and stays.
    pub(crate) fn returning(&mut self) {
        (self.keeps_session, self.clean_start) = (true, false);
    }

    /// The same client, whose session ends with its next connection.
    pub(crate) fn ending(&mut self) {
        (self.keeps_session, self.clean_start) = (false, true);
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// There is none.
    Away,
    /// Its turn to connect will come.
    Waiting,
    /// CONNECT is on its way, CONNACK is not here.
    Greeting,
    /// CONNACK said yes.
    Live,
}

pub(crate) struct Link {
    pub(crate) identity: Identity,
    pub(crate) stage: Stage,
    pub(crate) stream: Option<Stream>,
    /// The beginning of a packet whose rest has not come.
    pub(crate) tail: Vec<u8>,
    /// When connecting began, in nanoseconds of the run's clock.
    pub(crate) began: u64,
    /// Whether it counts among those who greet.
    greets: bool,
    /// Whether its last connection ended before CONNACK said yes.
    pub(crate) was_greeting: bool,
}

pub(crate) struct Links {
    pub(crate) list: Vec<Link>,
    pub(crate) clock: Clock,
    pub(crate) target: Arc<Target>,
    registry: Registry,
    waiting: VecDeque<usize>,
    /// How many are between their first packet and [`Links::settle`], and how many may be.
    greeting: usize,
    at_once: usize,
    /// Half of the shortest keep alive that was agreed on, in nanoseconds, and when all were pinged.
    keep_alive: Option<u64>,
    pinged: u64,
    /// Where packets are put together.
    out: Vec<u8>,
}

/// How long a broker may take from the first SYN to CONNACK, or say nothing when something is due.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Clients that begin to connect before sockets are looked at again: some hundred microseconds.
const IN_A_TURN: usize = 16;

impl Links {
    pub(crate) fn new(registry: Registry, target: Arc<Target>, clock: Clock, at_once: usize) -> Self {
        let (list, waiting, out) = (Vec::new(), VecDeque::new(), Vec::new());
        Self {
            list,
            clock,
            target,
            registry,
            waiting,
            greeting: 0,
            at_once,
            keep_alive: None,
            pinged: 0,
            out,
        }
    }

    /// A client that is away. Returns its number on this thread.
    pub(crate) fn add(&mut self, identity: Identity) -> usize {
        let (stage, stream, tail) = (Stage::Away, None, Vec::new());
        self.list.push(Link { identity, stage, stream, tail, began: 0, greets: false, was_greeting: false });
        self.list.len() - 1
    }

    /// How many may connect at the same time from now on; at least one.
    pub(crate) fn allow_at_once(&mut self, at_once: usize) {
        self.at_once = at_once.max(1);
    }

    /// Connects when others have finished.
    pub(crate) fn open(&mut self, who: usize) {
        self.list[who].stage = Stage::Waiting;
        self.waiting.push_back(who);
    }

    /// Lets some begin, if they may. True if more could: others want to be heard in between.
    pub(crate) fn begin(&mut self) -> Result<bool, Failure> {
        for _ in 0..IN_A_TURN {
            if self.greeting >= self.at_once {
                return Ok(false);
            }
            let Some(who) = self.waiting.pop_front() else { return Ok(false) };
            if self.list[who].stage == Stage::Waiting {
                self.greet(who)?;
            }
        }
        Ok(true)
    }

    fn greet(&mut self, who: usize) -> Result<(), Failure> {
        let link = &mut self.list[who];
        link.began = self.clock.now();
        let connect = Packet::Connect(Box::new(link.identity.connect(&self.target)));
        let mut bytes = Vec::new();
        connect.encode(self.target.version, &mut bytes).map_err(|error| Failure::Usage(error.to_string()))?;
        let unreachable = |source| unreachable(&self.target, source);
        let mut stream = Stream::open(&self.target, &self.registry, Token(who)).map_err(unreachable)?;
        stream.send(&bytes).map_err(unreachable)?;
        link.stream = Some(stream);
        (link.stage, link.greets) = (Stage::Greeting, true);
        self.greeting += 1;
        Ok(())
    }

    /// CONNACK has said yes.
    pub(crate) fn is_in(&mut self, who: usize, connack: &ConnAck) {
        self.list[who].stage = Stage::Live;
        let seconds = connack.properties.server_keep_alive.unwrap_or(self.target.keep_alive);
        if seconds > 0 {
            // Twice in that time, so that one may be late.
            let nanoseconds = u64::from(seconds) * 500_000_000;
            self.keep_alive = Some(self.keep_alive.map_or(nanoseconds, |least| least.min(nanoseconds)));
        }
    }

    /// This client has what it came for: another may begin.
    pub(crate) fn settle(&mut self, who: usize) {
        self.greeting -= usize::from(std::mem::take(&mut self.list[who].greets));
    }

    /// To be called about once a second: sends PINGREQ if the broker expects to hear from everybody.
    pub(crate) fn keep_alive(&mut self, now: u64) -> Result<(), Failure> {
        if self.keep_alive.is_none_or(|time| now - self.pinged < time) {
            return Ok(());
        }
        self.pinged = now;
        for who in 0..self.list.len() {
            if self.list[who].stage == Stage::Live {
                self.say(who, &Packet::PingReq)?;
            }
        }
        Ok(())
    }

    /// Of those who greet, nobody may take too long.
    pub(crate) fn check_patience(&self) -> Result<(), Failure> {
        let now = self.clock.now();
        let late = |link: &&Link| {
            link.stage == Stage::Greeting && now.saturating_sub(link.began) > PATIENCE.as_nanos() as u64
        };
        match self.list.iter().find(late) {
            None => Ok(()),
            Some(link) => {
                let what = match &link.stream {
                    Some(stream) if stream.is_open() => "CONNACK",
                    _ => "TCP connection",
                };
                let what = format!("{what} of client {}", link.identity.client_id);
                Err(Failure::NoAnswer { seconds: PATIENCE.as_secs(), what })
            }
        }
    }

    /// Whether everything for this client is with the system: only then more is worth putting together.
    pub(crate) fn is_clear(&self, who: usize) -> bool {
        self.list[who].stream.as_ref().is_some_and(Stream::is_clear)
    }

    /// Sends what `compose` appends, as soon as the socket takes it.
    pub(crate) fn write(&mut self, who: usize, compose: impl FnOnce(&mut Vec<u8>)) -> Result<(), Failure> {
        self.out.clear();
        compose(&mut self.out);
        let link = &mut self.list[who];
        let Some(stream) = &mut link.stream else { return Ok(()) };
        stream.send(&self.out).map_err(|source| link.dropped(Some(source)))
    }

    /// As [`Links::write`], for packets that were taken apart.
    pub(crate) fn say(&mut self, who: usize, packet: &Packet<'_>) -> Result<(), Failure> {
        let version = self.target.version;
        let mut bytes = Vec::new();
        packet.encode(version, &mut bytes).map_err(|error| Failure::Usage(error.to_string()))?;
        self.write(who, |out| out.extend_from_slice(&bytes))
    }

    pub(crate) fn subscribe(&mut self, who: usize, filter: &str, maximum_qos: QoS) -> Result<(), Failure> {
        let options = SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() };
        let filter = SubscriptionFilter::new(filter)
            .map_err(|error| Failure::Usage(format!("--topic makes the filter {filter}: {error}")))?;
        let (packet_id, properties) = (PacketId::MIN, SubscribeProperties::default());
        let subscriptions = vec![(filter, options)];
        self.say(who, &Packet::Subscribe(Subscribe { packet_id, properties, subscriptions }))
    }

    /// All say goodbye, or break off what they began.
    pub(crate) fn leave_all(&mut self) -> Result<(), Failure> {
        (0..self.list.len()).try_for_each(|who| self.leave(who))
    }

    /// Says goodbye. A session that is not kept ends.
    pub(crate) fn leave(&mut self, who: usize) -> Result<(), Failure> {
        if self.list[who].stage == Stage::Live {
            let (reason, properties) = (ReasonCode::Success, DisconnectProperties::default());
            self.say(who, &Packet::Disconnect(Disconnect { reason, properties }))?;
        }
        self.cut(who);
        Ok(())
    }

    /// Why a connection can no longer be used.
    pub(crate) fn broken(&self, who: usize, source: io::Error) -> Failure {
        // What is wrong lies between TCP and MQTT.
        if source.kind() == io::ErrorKind::InvalidData {
            return Failure::Transport { address: self.target.name.clone(), source };
        }
        self.list[who].dropped(Some(source))
    }

    /// Goes without a word.
    pub(crate) fn cut(&mut self, who: usize) {
        self.settle(who);
        let link = &mut self.list[who];
        link.was_greeting = link.stage == Stage::Greeting;
        link.stage = Stage::Away;
        link.stream = None;
        link.tail = Vec::new();
    }
}

/// Why there is no connection.
pub(crate) fn unreachable(target: &Target, source: io::Error) -> Failure {
    if source.kind() == io::ErrorKind::AddrNotAvailable {
        let what =
            "no port is left to connect from: use fewer clients, or widen net.ipv4.ip_local_port_range";
        return Failure::Here(what.to_owned());
    }
    Failure::Unreachable { address: target.name.clone(), source }
}

impl Link {
    /// Why it ended, if it should not have.
    pub(crate) fn dropped(&self, source: Option<io::Error>) -> Failure {
        let client = self.identity.client_id.clone();
        let when = match self.stage {
            Stage::Greeting => "before CONNACK",
            _ => "while it was in use",
        };
        Failure::Dropped { client, when, source }
    }

    pub(crate) fn refused(&self, packet: Asked, reason: ReasonCode) -> Failure {
        Failure::Refused { packet, client: self.identity.client_id.clone(), reason }
    }
}

impl Identity {
    /// Of the client with this number, counted over all threads: its session ends with its connection.
    pub(crate) fn new(team: &Team, number: usize) -> Self {
        let (client_id, user) = (team.client_id(number), team.target.names.user(number));
        Self { client_id, user, keeps_session: false, clean_start: true }
    }

    fn connect(&self, target: &Target) -> Connect {
        let session_expiry_interval = self.keeps_session.then_some(SESSION_EXPIRY);
        let properties = ConnectProperties { session_expiry_interval, ..ConnectProperties::default() };
        let is_v5 = target.version == Version::V5;
        Connect {
            version: target.version,
            clean_start: if is_v5 { self.clean_start } else { !self.keeps_session },
            keep_alive: target.keep_alive,
            client_id: ClientId::new(&self.client_id),
            properties: if is_v5 { properties } else { ConnectProperties::default() },
            will: None,
            username: self.user.as_deref().map(Into::into),
            password: target.names.password.as_deref().map(Bytes::copy_from_slice),
        }
    }
}

/// Seconds: sessions of a run that was killed go away by themselves.
const SESSION_EXPIRY: u32 = 3600;
