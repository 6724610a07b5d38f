//! All clients are cut off and return at once, while others exchange messages.

use super::arrivals::{Arrivals, Removal};
use crate::{
    crew::{Crew, Duty, Piece},
    failure::Failure,
    links::{Identity, Links},
    options::Storm,
    pace::Timeline,
    report::{Figure, Rate, Report},
    tally::{Spread, Tally},
    traffic::{AT_ONCE, PREPARATION, Plan, Traffic},
};
use std::{
    ops::Range,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use tidegate_mqtt::{ConnAck, QoS};

pub(super) fn run(options: &Storm) -> Result<ExitCode, Failure> {
    let clients = options.clients as usize;
    let all = clients + 2 * options.bystanders as usize;
    let progress = &["connected", "sent", "received"];
    let team = super::assemble(&options.connection, &options.output, all, options.clients, true, progress)?;
    let at_once = options.at_once.unwrap_or(options.clients);
    let prefix = format!("{}/storm", options.connection.topic);
    let plan = Plan::bystanders(&options.traffic, options.span, &prefix, options.bystanders);
    let weather = Weather { away: AtomicU64::new(options.clients.into()), end: AtomicU64::new(u64::MAX) };
    let parts = team.run(|rank| {
        let mut crew = Crew::new(&team, rank, AT_ONCE / team.threads(), plan.messages.payload.size)?;
        let mut traffic = Traffic::new(&plan, &team, rank, &mut crew.links)?;
        crew.work(&mut traffic)?;
        let number = |client| plan.clients() + client;
        let identity = |client| Identity { keeps_session: true, ..Identity::new(&team, number(client)) };
        let filter = |client| format!("{prefix}/{client}");
        let qos = plan.messages.qos;
        let numbers = team.share_behind(rank, clients);
        let mut arrivals = Arrivals::new(&team, &mut crew.links, qos, numbers, identity, filter);
        crew.work(&mut arrivals)?;
        let start = team.agree(rank)? + PREPARATION;
        let timeline = Timeline::new(start, options.span.warmup, options.span.duration);
        let at_once = at_once as usize / (team.threads() - 1);
        let mut storm = Breaking::new(traffic, arrivals.places(), &weather, timeline, at_once);
        if team.meeting.is_interrupted() {
            storm.winds_up(start);
        } else {
            crew.work(&mut storm)?;
        }
        team.meeting.wait()?;
        let mut removal = Removal::new(&mut crew.links, arrivals.places())?;
        crew.work(&mut removal)?;
        team.meeting.wait()?;
        crew.links.leave_all()?;
        Ok(storm.finish())
    })?;
    team.broker.look_after();

    let mut report = Report::new("storm", &team, options);
    report.what = format!("{clients} clients, {at_once} at once, beside {}", plan.words());
    report.options["at_once"] = at_once.into();
    report.may_repeat = plan.messages.qos == QoS::AtLeastOnce;
    tell_storm(parts, &mut report);
    super::tell(&report, &options.output)
}

fn tell_storm(parts: Vec<Done>, report: &mut Report<'_>) {
    let spread = |of: fn(&Done) -> &Spread| Spread::sum(parts.iter().map(of));
    let back = spread(|part| &part.seen.back);
    report.rates.push(Rate { name: "returned", count: back.count(), seconds: back.most() as f64 / 1e9 });
    report.latencies.push(("until_back", back));
    report.latencies.push(("until_connack", spread(|part| &part.seen.connack)));
    report.latencies.push(("delivery_before", spread(|part| &part.seen.before)));
    report.latencies.push(("delivery_during", spread(|part| &part.seen.during)));
    report.latencies.push(("delivery_after", spread(|part| &part.tally.delivery)));
    let sum = |of: fn(&Done) -> u64| parts.iter().map(of).sum::<u64>() as f64;
    let (failed, lost) = (sum(|part| part.seen.failed), sum(|part| part.seen.sessions_lost));
    report.figures.push(Figure {
        name: "failed_attempts",
        value: failed,
        text: "attempts to return that failed",
    });
    report.figures.push(Figure {
        name: "sessions_lost",
        value: lost,
        text: "sessions that the broker did not keep",
    });
    report.checks.wrong += lost as u64;
    let tallies: Vec<Tally> = parts.into_iter().map(|part| part.tally).collect();
    let tally = Tally::sum(&tallies);
    for (name, count) in [("sent", tally.sent), ("received", tally.received)] {
        report.rates.push(Rate { name, count, seconds: tally.seconds });
    }
    report.latencies.push(("sending", tally.sending));
    report.checks.add(&tally.checks);
}

/// What all threads know.
struct Weather {
    /// Clients that are not back, or were not cut yet.
    away: AtomicU64,
    /// When bystanders may stop, in nanoseconds of the run's clock.
    end: AtomicU64,
}

/// The clients that are cut off, and bystanders.
struct Breaking<'a> {
    traffic: Traffic<'a>,
    places: Range<usize>,
    weather: &'a Weather,
    at_once: usize,
    stage: Stage,
    /// When all are cut.
    cut: u64,
    away: u64,
    seen: Seen,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Before,
    During,
    After,
}

/// What came of a thread's clients.
struct Done {
    /// Of the bystanders.
    tally: Tally,
    seen: Seen,
}

/// What a thread has seen of the storm.
struct Seen {
    failed: u64,
    sessions_lost: u64,
    back: Spread,
    connack: Spread,
    before: Spread,
    during: Spread,
}

/// Nanoseconds that bystanders go on when all are back.
const AFTERWARDS: u64 = 1_000_000_000;
/// Nanoseconds after which a storm that does not end is a failure.
const ENDLESS: u64 = 120_000_000_000;

impl<'a> Breaking<'a> {
    fn new(
        mut traffic: Traffic<'a>,
        places: Range<usize>,
        weather: &'a Weather,
        timeline: Timeline,
        at_once: usize,
    ) -> Self {
        // The end is not known yet.
        traffic.start(Timeline { end: u64::MAX, ..timeline });
        Self {
            traffic,
            away: places.len() as u64,
            places,
            weather,
            at_once,
            stage: Stage::Before,
            cut: timeline.end,
            seen: Seen {
                failed: 0,
                sessions_lost: 0,
                back: Spread::new(),
                connack: Spread::new(),
                before: Spread::new(),
                during: Spread::new(),
            },
        }
    }

    fn cut_all(&mut self, links: &mut Links) {
        self.stage = Stage::During;
        self.seen.before = self.traffic.take_delivery();
        links.allow_at_once(self.at_once);
        for who in self.places.clone() {
            links.cut(who);
            links.list[who].identity.returning();
        }
        // From here on it is the broker's turn.
        self.cut = links.clock.now();
        for who in self.places.clone() {
            links.open(who);
        }
    }

    fn finish(mut self) -> Done {
        // If the user has had enough.
        match self.stage {
            Stage::Before => self.seen.before = self.traffic.take_delivery(),
            Stage::During => self.seen.during = self.traffic.take_delivery(),
            Stage::After => {}
        }
        Done { tally: self.traffic.finish(), seen: self.seen }
    }
}

impl Duty for Breaking<'_> {
    fn comes_in(&mut self, who: usize, connack: &ConnAck, links: &mut Links) -> Result<(), Failure> {
        let now = links.clock.now();
        links.settle(who);
        self.seen.sessions_lost += u64::from(!connack.session_present);
        self.seen.back.record(now - self.cut);
        self.seen.connack.record(now - links.list[who].began);
        self.away -= 1;
        self.weather.away.fetch_sub(1, Relaxed);
        Ok(())
    }

    fn packet(&mut self, who: usize, piece: Piece<'_>, now: u64, out: &mut Vec<u8>) -> Result<(), Failure> {
        // Nobody publishes to those who were away.
        if self.places.contains(&who) { Ok(()) } else { self.traffic.packet(who, piece, now, out) }
    }

    fn turn(&mut self, now: u64, links: &mut Links) -> Result<Option<u64>, Failure> {
        if self.stage == Stage::Before && now >= self.cut {
            self.cut_all(links);
        }
        // Bystanders have nobody of their own to wait for.
        let is_over = self.away == 0 && (!self.places.is_empty() || self.weather.away.load(Relaxed) == 0);
        if self.stage == Stage::During && is_over {
            self.stage = Stage::After;
            self.seen.during = self.traffic.take_delivery();
        }
        if self.stage == Stage::After && self.weather.away.load(Relaxed) == 0 {
            self.weather.end.fetch_min(now + AFTERWARDS, Relaxed);
        }
        self.traffic.end_by(self.weather.end.load(Relaxed));
        let wake = self.traffic.turn(now, links)?;
        let cut = (self.stage == Stage::Before).then_some(self.cut);
        Ok([wake, cut].into_iter().flatten().min())
    }

    fn is_clear(&mut self, who: usize) {
        if !self.places.contains(&who) {
            self.traffic.is_clear(who);
        }
    }

    /// A broker that is overrun may refuse some: they try again.
    fn lost(&mut self, who: usize, failure: Failure, links: &mut Links) -> Result<(), Failure> {
        let is_endless = links.clock.now().saturating_sub(self.cut) > ENDLESS;
        let was_greeting = links.list[who].was_greeting;
        if self.stage != Stage::During || !self.places.contains(&who) || is_endless || !was_greeting {
            return Err(failure);
        }
        self.seen.failed += 1;
        links.open(who);
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.traffic.is_done()
    }

    fn winds_up(&mut self, now: u64) -> bool {
        self.weather.end.fetch_min(now, Relaxed);
        self.traffic.end_by(now);
        true
    }
}
