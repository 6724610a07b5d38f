//! Messages are retained, then subscribers ask for all of them; at the end they are cleared.

use crate::{
    crew::{Crew, Duty, Piece},
    failure::Failure,
    flow::Flow,
    links::{Identity, Links},
    options::Retained,
    pace::{Pace, Timeline},
    publisher::{PUBACK, PUBREL, Publisher, Topics},
    report::{Cost, Rate, Report},
    subscriber::{Incoming, PUBLISH, SUBACK, Subscriber, acknowledge, subscribed},
    tally::{Checks, Spread, Tally},
    team::Team,
    template::{Shape, Template, Topic},
    traffic::{AT_ONCE, usual_window},
    wrong::Wrong,
};
use std::{process::ExitCode, sync::Arc};
use tidegate_mqtt::{ConnAck, Packet, PacketId, Publish, QoS};

pub(super) fn run(options: &Retained) -> Result<ExitCode, Failure> {
    let clients = 1 + options.subscribers as usize;
    let team = super::assemble(
        &options.connection,
        &options.output,
        clients,
        1,
        false,
        &["acknowledged", "received"],
    )?;
    let mut report = Report::new("retained", &team, options);
    let Retained { messages, subscribers, payload, .. } = options;
    let qos = options.qos as u8;
    report.options["window"] = options.window.unwrap_or(usual_window(options.qos)).into();
    report.what = format!("{messages} messages, {subscribers} subscribers, QoS {qos}, {payload}");
    // The one thread is a part of the report's making.
    let done = team.run(|rank| {
        let mut crew = Crew::new(&team, rank, AT_ONCE, payload.size)?;
        let mut board = Board::new(&team, options, &mut crew.links)?;
        crew.work(&mut board)?;
        team.go_on()?;
        let set = board.publish(&mut crew, true)?;
        let asked = board.ask(&mut crew)?;
        // They are not to hear of what follows.
        (1..clients).try_for_each(|who| crew.links.leave(who))?;
        // Even if the user has had enough.
        let cleared = board.publish(&mut crew, false)?;
        crew.links.leave_all()?;
        Ok((board, [set, asked, cleared]))
    })?;
    team.broker.look_after();
    for (board, steps) in done {
        for (name, step) in ["retained", "replayed", "cleared"].into_iter().zip(steps) {
            report.rates.push(Rate { name, count: step.count, seconds: step.seconds });
            let cost = ["message_retained", "message_replayed", "message_cleared"];
            let at = report.costs.len();
            report.costs.push(Cost { name: cost[at], count: step.count, cpu: step.cpu });
        }
        report.latencies.push(("acknowledgement", board.tally.acknowledgement));
        report.latencies.push(("until_the_first", board.first));
        report.latencies.push(("until_the_last", board.last));
        report.checks = board.checks;
    }
    super::tell(&report, &options.output)
}

/// What a step has done.
struct Step {
    count: u64,
    seconds: f64,
    cpu: crate::process::Cpu,
}

/// One publisher, the first client, and those who ask.
struct Board<'a> {
    team: &'a Team,
    options: &'a Retained,
    prefix: String,
    publisher: Publisher,
    askers: Vec<Asker>,
    stage: Stage,
    awaited: usize,
    /// Whether the broker takes QoS 1.
    has_qos_1: bool,
    is_answered: bool,
    is_clearing: bool,
    tally: Tally,
    checks: Checks,
    first: Spread,
    last: Spread,
    heard: u64,
    told: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// Clients connect.
    ComingIn,
    /// Messages are set or cleared.
    Publishing,
    /// At QoS 0 nothing is acknowledged: the answer to something that follows says that the broker has seen them all.
    Asking(Question),
    Replaying,
    Done,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Question {
    Due,
    Sent,
}

/// A subscriber, and which messages it has.
struct Asker {
    asked: u64,
    has: Vec<bool>,
    count: u32,
}

/// Nanoseconds of silence after which what is not here is lost.
const SILENCE: u64 = 5_000_000_000;

impl<'a> Board<'a> {
    fn new(team: &'a Team, options: &'a Retained, links: &mut Links) -> Result<Self, Failure> {
        let asker = |_| Asker { asked: 0, has: vec![false; options.messages as usize], count: 0 };
        let prefix = format!("{}/retained/", options.connection.topic);
        let board = Self {
            team,
            options,
            publisher: publisher(team, options, &prefix, true)?,
            prefix,
            askers: (0..options.subscribers).map(asker).collect(),
            stage: Stage::ComingIn,
            awaited: 1 + options.subscribers as usize,
            has_qos_1: true,
            is_answered: false,
            is_clearing: false,
            tally: Tally::new(),
            checks: Checks::default(),
            first: Spread::new(),
            last: Spread::new(),
            heard: 0,
            told: 0,
        };
        for number in 0..board.awaited {
            let who = links.add(Identity::new(team, number));
            links.open(who);
        }
        Ok(board)
    }

    /// Sets or clears all messages.
    fn publish(&mut self, crew: &mut Crew, retain: bool) -> Result<Step, Failure> {
        if !retain {
            self.is_clearing = true;
            let receive_maximum = self.publisher.most_under_way();
            let sent = self.publisher.sent;
            self.publisher = publisher(self.team, self.options, &self.prefix, false)?;
            self.publisher.may_have(receive_maximum);
            // Nothing is there to clear behind what was set.
            self.publisher.last = Some(sent);
        }
        self.told = 0;
        let (start, before) = (self.team.clock.now(), self.team.broker.cpu());
        self.stage = Stage::Publishing;
        crew.work(self)?;
        let count = self.publisher.sent;
        Ok(self.step(start, before, count))
    }

    /// Has all subscribers ask for all messages.
    fn ask(&mut self, crew: &mut Crew) -> Result<Step, Failure> {
        let (start, before) = (self.team.clock.now(), self.team.broker.cpu());
        self.stage = Stage::Replaying;
        self.heard = start;
        self.checks.sent = self.publisher.sent;
        if !self.team.meeting.is_interrupted() {
            for (place, asker) in self.askers.iter_mut().enumerate() {
                asker.asked = self.team.clock.now();
                crew.links.subscribe(place + 1, &format!("{}+", self.prefix), self.options.qos)?;
            }
            crew.work(self)?;
        }
        let count = self.checks.received;
        self.checks.expected = u64::from(self.options.messages) * self.askers.len() as u64;
        if self.team.meeting.is_interrupted() {
            self.checks.expected = count;
        }
        self.checks.lost = self.checks.expected - count;
        Ok(self.step(start, before, count))
    }

    fn step(&self, start: u64, before: crate::process::Cpu, count: u64) -> Step {
        let seconds = (self.team.clock.now() - start) as f64 / 1e9;
        Step { count, seconds, cpu: self.team.broker.cpu().since(&before) }
    }

    fn send(&mut self, links: &mut Links) -> Result<(), Failure> {
        let timeline = Timeline::always();
        while links.is_clear(0) && self.publisher.allowance() > 0 {
            let now = self.team.clock.now();
            let (publisher, tally) = (&mut self.publisher, &mut self.tally);
            links.write(0, |out| publisher.compose(now, &timeline, tally, out))?;
        }
        let done = if self.options.qos == QoS::AtMostOnce {
            self.publisher.sent
        } else {
            self.publisher.acknowledged
        };
        self.team.progress.add("acknowledged", done - self.told);
        self.told = done;
        if self.publisher.is_done() && self.stage == Stage::Publishing {
            self.stage = match self.options.qos {
                QoS::AtMostOnce => Stage::Asking(Question::Due),
                _ => Stage::Done,
            };
        }
        if self.stage == Stage::Asking(Question::Due) {
            self.stage = Stage::Asking(Question::Sent);
            self.is_answered = false;
            links.say(0, &self.question()?)?;
        }
        Ok(())
    }

    /// A PUBLISH that is acknowledged, and that a broker handles behind those before it. PINGRESP might overtake them.
    fn question(&self) -> Result<Packet<'_>, Failure> {
        if !self.has_qos_1 {
            return Ok(Packet::PingReq);
        }
        let (dup, qos, retain, payload) = (false, QoS::AtLeastOnce, false, &[][..]);
        let (packet_id, properties) = (Some(PacketId::MIN), None);
        let topic = self.prefix.trim_end_matches('/');
        Ok(Packet::Publish(Publish { dup, qos, retain, topic, packet_id, properties, payload }))
    }

    fn take(&mut self, who: usize, piece: Piece<'_>, now: u64, out: &mut Vec<u8>) -> Result<(), Wrong> {
        let Some(asker) = who.checked_sub(1).and_then(|place| self.askers.get_mut(place)) else {
            if self.stage == Stage::Asking(Question::Sent) && piece.first >> 4 == PUBACK {
                self.is_answered = true;
                return Ok(());
            }
            return self.publisher.acknowledge(piece, now, &Timeline::always(), &mut self.tally, out);
        };
        match piece.first >> 4 {
            SUBACK => return subscribed(piece, self.team.target.version, self.options.qos),
            PUBREL => return Subscriber::release(piece, out),
            PUBLISH => {}
            _ => return Err(Wrong::Unexpected("a subscriber asked for nothing like it")),
        }
        let publish = Incoming::read(piece, self.team.target.version)?;
        acknowledge(&publish, out);
        let payload = self.options.payload;
        let stamp = payload.format.read(publish.payload).filter(|stamp| stamp.run == self.team.run);
        let Some(stamp) = stamp else {
            self.checks.foreign += 1;
            return Ok(());
        };
        match asker.has.get_mut(stamp.publisher as usize) {
            Some(has) if publish.retain && payload.may_be(publish.payload) => {
                if std::mem::replace(has, true) {
                    self.checks.duplicates += 1;
                    return Ok(());
                }
            }
            _ => {
                self.checks.wrong += 1;
                return Ok(());
            }
        }
        asker.count += 1;
        self.checks.received += 1;
        self.team.progress.add("received", 1);
        if asker.count == 1 {
            self.first.record(now - asker.asked);
        }
        if asker.count == self.options.messages {
            self.last.record(now - asker.asked);
        }
        Ok(())
    }
}

fn publisher(team: &Team, options: &Retained, prefix: &str, full: bool) -> Result<Publisher, Failure> {
    let shape = Shape {
        version: team.target.version,
        topic: Topic::Numbered(prefix),
        qos: options.qos,
        retain: true,
        payload: full.then_some(options.payload),
        run: team.run,
    };
    let template = Template::new(&shape).map_err(|error| Failure::Usage(error.to_string()))?;
    let flow = Arc::new(Flow::new(0, 0, 0, None));
    let window = options.window.unwrap_or(usual_window(options.qos));
    let mut publisher = Publisher::new(flow, template, Pace::Window(window), options.qos);
    publisher.topics = Some(Topics { first: 0, step: 1, count: options.messages.into() });
    publisher.last = Some(options.messages.into());
    Ok(publisher)
}

impl Duty for Board<'_> {
    fn comes_in(&mut self, who: usize, connack: &ConnAck, links: &mut Links) -> Result<(), Failure> {
        self.awaited -= 1;
        links.settle(who);
        if who > 0 {
            return Ok(());
        }
        if connack.properties.retain_available == Some(false) {
            return Err(Failure::NotOffered("retained messages"));
        }
        self.has_qos_1 = connack.properties.maximum_qos != Some(QoS::AtMostOnce);
        let wrong = self.publisher.meets(connack);
        wrong.map_err(|wrong| wrong.of_connack(links.list[who].identity.client_id.clone()))
    }

    fn packet(&mut self, who: usize, piece: Piece<'_>, now: u64, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.heard = now;
        let taken = self.take(who, piece, now, out);
        taken.map_err(|wrong| wrong.of(self.team.client_id(who), piece))
    }

    fn turn(&mut self, now: u64, links: &mut Links) -> Result<Option<u64>, Failure> {
        match self.stage {
            Stage::ComingIn | Stage::Done => {}
            Stage::Publishing | Stage::Asking(_) => {
                self.send(links)?;
                if self.is_answered && self.stage == Stage::Asking(Question::Sent) {
                    self.stage = Stage::Done;
                }
            }
            Stage::Replaying => {
                let is_quiet = now.saturating_sub(self.heard) > SILENCE;
                if is_quiet || self.askers.iter().all(|asker| asker.count == self.options.messages) {
                    self.stage = Stage::Done;
                }
            }
        }
        Ok(None)
    }

    fn pong(&mut self, who: usize) {
        self.is_answered |= who == 0;
    }

    fn is_done(&self) -> bool {
        match self.stage {
            Stage::ComingIn => self.awaited == 0,
            _ => self.stage == Stage::Done,
        }
    }

    fn expects(&self) -> Option<&'static str> {
        match self.stage {
            Stage::Publishing => Some("acknowledgements of retained messages"),
            Stage::Asking(_) => Some("an answer behind messages at QoS 0"),
            _ => None,
        }
    }

    fn winds_up(&mut self, _: u64) -> bool {
        match self.stage {
            // What is set is cleared again, all of it.
            Stage::Publishing | Stage::Asking(_) => {
                if !self.is_clearing {
                    self.publisher.stop();
                }
                true
            }
            _ => false,
        }
    }
}
