//! Messages wait for clients that are away, and come when they return; at the end the sessions are removed.

use super::arrivals::{Arrivals, Removal};
use crate::{
    crew::{Crew, Duty, Piece},
    failure::Failure,
    flow::Flow,
    links::{Identity, Links},
    options::Offline,
    pace::{Pace, Timeline},
    process::Cpu,
    publisher::{PUBREL, Publisher, Topics},
    report::{Cost, Figure, Rate, Report},
    subscriber::{Context, PUBLISH, Subscriber},
    tally::{Spread, Tally},
    team::Team,
    template::{Shape, Template, Topic, numbered},
    traffic::{AT_ONCE, usual_window},
    wrong::Wrong,
};
use std::{
    process::ExitCode,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tidegate_mqtt::{ConnAck, QoS};

pub(super) fn run(options: &Offline) -> Result<ExitCode, Failure> {
    let clients = options.clients as usize;
    let publishers = options.publishers.min(options.clients);
    let all = clients + publishers as usize;
    let progress = &["connected", "queued", "received"];
    let team = super::assemble(&options.connection, &options.output, all, options.clients, false, progress)?;
    let prefix = format!("{}/offline/", options.connection.topic);
    let flows: Vec<Arc<Flow>> = (0..clients).map(|_| Arc::new(Flow::new(0, 0, 1, None))).collect();

    let parts = team.run(|rank| {
        let mut crew = Crew::new(&team, rank, AT_ONCE / team.threads(), options.payload.size)?;
        let identity = |number| Identity { keeps_session: true, ..Identity::new(&team, number) };
        let filter = |number| numbered(&prefix, number as u32);
        let numbers = team.share(rank, clients);
        let mut arrivals = Arrivals::new(&team, &mut crew.links, options.qos, numbers, identity, filter);
        crew.work(&mut arrivals)?;
        let places = arrivals.places();
        crew.links.leave_all()?;
        let mut post = Post::new(&team, options, &flows, rank, publishers, &prefix, &mut crew.links)?;
        if !team.meeting.is_interrupted() {
            crew.work(&mut post)?;
        }
        let queueing = team.agree(rank)?;
        let before_queueing = team.broker.cpu();
        post.stage = Stage::Queueing;
        crew.work(&mut post)?;
        post.count_sent();
        let queued = team.agree(rank)?;
        let after_queueing = team.broker.cpu();
        post.bring_back(&mut crew.links);
        crew.work(&mut post)?;
        let drained = team.agree(rank)?;
        let cpu = [after_queueing.since(&before_queueing), team.broker.cpu().since(&after_queueing)];
        let times = [queued - queueing, drained - queued];
        let mut removal = Removal::new(&mut crew.links, places)?;
        crew.work(&mut removal)?;
        team.meeting.wait()?;
        crew.links.leave_all()?;
        Ok((post.finish(), Times { cpu, times }))
    })?;
    team.broker.look_after();

    let mut report = Report::new("offline", &team, options);
    let Offline { messages, payload, .. } = options;
    report.what =
        format!("{messages} messages each for {clients} clients, QoS {}, {payload}", options.qos as u8);
    report.options["publishers"] = publishers.into();
    report.options["window"] = options.window.unwrap_or(usual_window(options.qos)).into();
    report.may_repeat = options.qos == QoS::AtLeastOnce;
    tell_times(&parts, &mut report);
    super::tell(&report, &options.output)
}

/// Of queueing and of draining, in nanoseconds.
struct Times {
    cpu: [Cpu; 2],
    times: [u64; 2],
}

fn tell_times(parts: &[(Done, Times)], report: &mut Report<'_>) {
    for (part, _) in parts {
        report.checks.add(&part.tally.checks);
    }
    let counts = [report.checks.sent, report.checks.received];
    if let Some((_, Times { cpu, times })) = parts.first() {
        for (at, name) in ["queued", "drained"].into_iter().enumerate() {
            report.rates.push(Rate { name, count: counts[at], seconds: times[at] as f64 / 1e9 });
            let name = ["message_queued", "message_drained"][at];
            report.costs.push(Cost { name, count: counts[at], cpu: cpu[at] });
        }
    }
    let acknowledgement = Spread::sum(parts.iter().map(|(part, _)| &part.tally.acknowledgement));
    report.latencies.push(("acknowledgement", acknowledgement));
    report.latencies.push(("until_the_first", Spread::sum(parts.iter().map(|(part, _)| &part.first))));
    report.latencies.push(("until_the_last", Spread::sum(parts.iter().map(|(part, _)| &part.last))));
    let value = parts.iter().map(|(part, _)| part.sessions_lost).sum::<u64>() as f64;
    report.figures.push(Figure {
        name: "sessions_lost",
        value,
        text: "sessions that the broker did not keep",
    });
}

/// Those who were away, first on this thread, and publishers.
struct Post<'a> {
    team: &'a Team,
    options: &'a Offline,
    flows: &'a [Arc<Flow>],
    absent: Vec<Absent>,
    publishers: Vec<Publisher>,
    stage: Stage,
    awaited: usize,
    tally: Tally,
    first: Spread,
    last: Spread,
    sessions_lost: u64,
    heard: u64,
    told: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// Publishers connect.
    ComingIn,
    Queueing,
    Draining,
    Done,
}

struct Absent {
    number: u32,
    subscriber: Subscriber,
    /// When it began to return, in nanoseconds of the run's clock.
    returned: u64,
    has_all: bool,
}

/// What a thread has seen.
struct Done {
    tally: Tally,
    first: Spread,
    last: Spread,
    sessions_lost: u64,
}

/// Nanoseconds of silence after which what is not here is lost.
const SILENCE: u64 = 5_000_000_000;

impl<'a> Post<'a> {
    fn new(
        team: &'a Team,
        options: &'a Offline,
        flows: &'a [Arc<Flow>],
        rank: usize,
        publishers: u32,
        prefix: &str,
        links: &mut Links,
    ) -> Result<Self, Failure> {
        let absent = |number: usize| {
            let number = number as u32;
            let subscriber = Subscriber::new(String::new(), number..number + 1, false);
            Absent { number, subscriber, returned: 0, has_all: false }
        };
        let absent = team.share(rank, flows.len()).map(absent).collect();
        let shape = Shape {
            version: team.target.version,
            topic: Topic::Numbered(prefix),
            qos: options.qos,
            retain: false,
            payload: Some(options.payload),
            run: team.run,
        };
        let publisher = |first: usize| {
            let template = Template::new(&shape).map_err(|error| Failure::Usage(error.to_string()))?;
            let flow = Arc::new(Flow::new(0, 0, 0, None));
            let window = options.window.unwrap_or(usual_window(options.qos));
            let mut publisher = Publisher::new(flow, template, Pace::Window(window), options.qos);
            let count = (options.clients - first as u32).div_ceil(publishers).into();
            publisher.topics = Some(Topics { first: first as u32, step: publishers, count });
            publisher.last = Some(count * u64::from(options.messages));
            let who = links.add(Identity::new(team, flows.len() + first));
            links.open(who);
            Ok(publisher)
        };
        let publishers: Vec<Publisher> =
            team.share(rank, publishers as usize).map(publisher).collect::<Result<_, Failure>>()?;
        Ok(Self {
            team,
            options,
            flows,
            absent,
            stage: Stage::ComingIn,
            awaited: publishers.len(),
            publishers,
            tally: Tally::new(),
            first: Spread::new(),
            last: Spread::new(),
            sessions_lost: 0,
            heard: 0,
            told: 0,
        })
    }

    /// Nothing more will be sent: tells those who wait how much to wait for.
    fn count_sent(&mut self) {
        for publisher in &self.publishers {
            self.tally.checks.sent += publisher.sent;
            let Some(Topics { first, step, count }) = publisher.topics else { continue };
            for place in 0..count {
                let flow = &self.flows[(first + step * place as u32) as usize];
                let sent = publisher.sent / count + u64::from(place < publisher.sent % count);
                flow.sent.store(sent, Relaxed);
                flow.finished.store(true, Relaxed);
            }
        }
    }

    fn bring_back(&mut self, links: &mut Links) {
        self.stage = Stage::Draining;
        self.heard = self.team.clock.now();
        for who in 0..self.absent.len() {
            links.list[who].identity.returning();
            links.open(who);
        }
    }

    fn finish(mut self) -> Done {
        for absent in &self.absent {
            absent.subscriber.settle(self.flows, &mut self.tally.checks);
        }
        if self.team.meeting.is_interrupted() {
            // What was not waited for is not lost.
            self.tally.checks.lost = 0;
            self.tally.checks.expected = self.tally.checks.received;
        }
        let Self { tally, first, last, sessions_lost, .. } = self;
        Done { tally, first, last, sessions_lost }
    }

    fn send(&mut self, links: &mut Links) -> Result<(), Failure> {
        let timeline = Timeline::always();
        for (place, publisher) in self.publishers.iter_mut().enumerate() {
            let who = self.absent.len() + place;
            while links.is_clear(who) && publisher.allowance() > 0 {
                let now = self.team.clock.now();
                let tally = &mut self.tally;
                links.write(who, |out| publisher.compose(now, &timeline, tally, out))?;
            }
        }
        let queued = self.publishers.iter().map(|publisher| publisher.acknowledged).sum();
        self.team.progress.add("queued", queued - self.told);
        self.told = queued;
        Ok(())
    }

    fn take(&mut self, who: usize, piece: Piece<'_>, now: u64, out: &mut Vec<u8>) -> Result<(), Wrong> {
        if let Some(place) = who.checked_sub(self.absent.len()) {
            let (timeline, tally) = (Timeline::always(), &mut self.tally);
            return self.publishers[place].acknowledge(piece, now, &timeline, tally, out);
        }
        let absent = &mut self.absent[who];
        match piece.first >> 4 {
            PUBREL => return Subscriber::release(piece, out),
            PUBLISH => {}
            _ => return Err(Wrong::Unexpected("nobody asked for it")),
        }
        let context = Context {
            run: self.team.run,
            version: self.team.target.version,
            payload: self.options.payload,
            timeline: Timeline::always(),
            flows: self.flows,
            group: None,
        };
        let before = absent.subscriber.received;
        absent.subscriber.receive(piece, now, &context, &mut self.tally, out)?;
        let after = absent.subscriber.received;
        self.team.progress.add("received", after - before);
        if before == 0 && after == 1 {
            self.first.record(now - absent.returned);
        }
        if !absent.has_all && absent.subscriber.has_all(self.flows) {
            absent.has_all = true;
            self.last.record(now - absent.returned);
        }
        Ok(())
    }
}

impl Duty for Post<'_> {
    fn comes_in(&mut self, who: usize, connack: &ConnAck, links: &mut Links) -> Result<(), Failure> {
        links.settle(who);
        if let Some(absent) = self.absent.get_mut(who) {
            absent.returned = links.list[who].began;
            self.sessions_lost += u64::from(!connack.session_present);
            return Ok(());
        }
        self.awaited -= 1;
        let wrong = self.publishers[who - self.absent.len()].meets(connack);
        wrong.map_err(|wrong| wrong.of_connack(links.list[who].identity.client_id.clone()))
    }

    fn packet(&mut self, who: usize, piece: Piece<'_>, now: u64, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.heard = now;
        let taken = self.take(who, piece, now, out);
        let number = match self.absent.get(who) {
            Some(absent) => absent.number as usize,
            // Close enough to find it.
            None => self.flows.len() + who - self.absent.len(),
        };
        taken.map_err(|wrong| wrong.of(self.team.client_id(number), piece))
    }

    fn turn(&mut self, now: u64, links: &mut Links) -> Result<Option<u64>, Failure> {
        match self.stage {
            Stage::ComingIn | Stage::Done => {}
            Stage::Queueing => {
                self.send(links)?;
                if self.publishers.iter().all(Publisher::is_done) {
                    self.stage = Stage::Done;
                }
            }
            Stage::Draining => {
                let is_quiet = now.saturating_sub(self.heard) > SILENCE;
                if is_quiet || self.absent.iter().all(|absent| absent.has_all) {
                    self.stage = Stage::Done;
                }
            }
        }
        Ok(None)
    }

    fn is_done(&self) -> bool {
        match self.stage {
            Stage::ComingIn => self.awaited == 0,
            _ => self.stage == Stage::Done,
        }
    }

    fn expects(&self) -> Option<&'static str> {
        (self.stage == Stage::Queueing).then_some("acknowledgements of messages for those who are away")
    }

    fn winds_up(&mut self, _: u64) -> bool {
        if self.stage == Stage::Queueing {
            self.publishers.iter_mut().for_each(Publisher::stop);
        }
        self.stage == Stage::Queueing
    }
}
