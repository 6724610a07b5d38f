//! Publishers and subscribers that exchange messages, and what came of it.

use crate::{
    crew::{Crew, Duty, Piece},
    failure::Failure,
    flow::Flow,
    links::{Identity, Links},
    options::Exchange,
    pace::{Pace, Rate, Timeline},
    process::Mark,
    publisher::{PUBREL, Publisher},
    stamp::Stamp,
    subscriber::{Context, Subscriber, subscribed},
    tally::Tally,
    team::Team,
    template::Template,
    wrong::Wrong,
};
use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tidegate_mqtt::{
    ConnAck, Packet, PacketId, PacketType, QoS, Subscribe, SubscribeProperties, SubscriptionFilter,
    SubscriptionOptions,
};

/// Who publishes where and who gets it: the same on all threads.
pub(crate) struct Plan {
    pub(crate) load: crate::options::Load,
    /// By number of the publisher.
    pub(crate) topics: Vec<String>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) pace: PaceOfAll,
    pub(crate) flows: Vec<Arc<Flow>>,
}

pub(crate) struct Subscription {
    pub(crate) filter: String,
    /// The publishers whose topics it matches.
    pub(crate) sources: Range<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum PaceOfAll {
    Window(u64),
    /// Messages a second.
    Rate(u64),
}

impl Plan {
    /// `receivers`: of each message.
    pub(crate) fn new(
        options: &Exchange,
        threads: usize,
        topics: Vec<String>,
        subscriptions: Vec<Subscription>,
        receivers: u32,
    ) -> Self {
        let load = options.load.clone();
        let usual = if load.qos == QoS::ExactlyOnce { 20 } else { 100 };
        let (pace, window) = match (load.rate, load.window.unwrap_or(usual)) {
            (Some(rate), _) => (PaceOfAll::Rate(rate.get()), None),
            (None, window) => (PaceOfAll::Window(window), Some(window)),
        };
        let flow = |number| Arc::new(Flow::new(number % threads, number / threads, receivers, window));
        let flows = (0..topics.len()).map(flow).collect();
        Self { load, topics, subscriptions, pace, flows }
    }

    fn pace(&self, number: usize) -> Pace {
        match self.pace {
            PaceOfAll::Window(window) => Pace::Window(window),
            PaceOfAll::Rate(total) => {
                let publishers = self.topics.len() as u64;
                Pace::Rate(Rate { total, publishers, turn: number as u64 })
            }
        }
    }
}

/// The part of it on one thread. Publishers are the clients 0 up, then come subscribers.
pub(crate) struct Traffic<'a> {
    plan: &'a Plan,
    team: &'a Team,
    rank: usize,
    timeline: Timeline,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    tally: Tally,
    stage: Stage,
    /// Clients that are not ready yet.
    awaited: usize,
    /// Publishers here that may go on, and those of other threads.
    ready: Vec<usize>,
    elsewhere: Vec<u32>,
    /// In an open loop: whose message is due next, and when.
    turn: usize,
    last_turn: u64,
    /// When publishers were last looked at, and when something last came.
    looked: u64,
    heard: u64,
    marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// Clients connect and subscribe.
    ComingIn,
    Running,
    /// All is sent; some is under way.
    Draining,
    Done,
}

/// Nanoseconds between two turns of an open loop at least, so that a high rate does not make a wake of each message.
const TICK: u64 = 50_000;
/// Nanoseconds between two looks for what has stalled.
const LOOK: u64 = 100_000_000;
/// Nanoseconds of silence after which what is not here is lost.
const SILENCE: u64 = 5_000_000_000;

impl<'a> Traffic<'a> {
    /// Makes this thread's clients, and has them connect.
    pub(crate) fn new(
        plan: &'a Plan,
        team: &'a Team,
        rank: usize,
        links: &mut Links,
    ) -> Result<Self, Failure> {
        let mut publishers = Vec::new();
        let mut subscribers = Vec::new();
        let mine = |count: usize| (rank..count).step_by(team.threads());
        for number in mine(plan.topics.len()) {
            let stamp = Stamp { run: team.run, publisher: number as u32, sequence: 0, due: 0 };
            let (topic, load) = (&plan.topics[number], &plan.load);
            let template = Template::new(team.target.version, topic, load.qos, false, load.size, stamp)
                .map_err(|error| Failure::Usage(error.to_string()))?;
            publishers.push(Publisher::new(
                plan.flows[number].clone(),
                template,
                plan.pace(number),
                load.qos,
            ));
            let who = links.add(Identity::new(team, number));
            links.open(who);
        }
        for number in mine(plan.subscriptions.len()) {
            let Subscription { filter, sources } = &plan.subscriptions[number];
            subscribers.push(Subscriber::new(filter.clone(), sources.clone()));
            let who = links.add(Identity::new(team, plan.topics.len() + number));
            links.open(who);
        }
        Ok(Self {
            plan,
            team,
            rank,
            timeline: Timeline::default(),
            awaited: publishers.len() + subscribers.len(),
            publishers,
            subscribers,
            tally: Tally::new(),
            stage: Stage::ComingIn,
            ready: Vec::new(),
            elsewhere: Vec::new(),
            turn: 0,
            last_turn: 0,
            looked: 0,
            heard: 0,
            marks: Vec::new(),
        })
    }

    /// Sends until the end of the timeline.
    pub(crate) fn start(&mut self, timeline: Timeline) {
        self.timeline = timeline;
        self.stage = Stage::Running;
        self.heard = timeline.start;
        for publisher in &mut self.publishers {
            publisher.last = match publisher.pace {
                Pace::Window(_) => None,
                Pace::Rate(rate) => Some(rate.within(timeline.length())),
            };
        }
        self.ready.extend(0..self.publishers.len());
    }

    /// What came of it. To be asked when all threads are done.
    pub(crate) fn finish(mut self) -> Tally {
        if let [from, to] = self.marks[..] {
            self.team.broker.between(from, to);
        }
        self.tally.checks.sent = self.publishers.iter().map(|publisher| publisher.sent).sum();
        for subscriber in &self.subscribers {
            subscriber.settle(&self.plan.flows, &mut self.tally);
        }
        self.tally
    }

    fn call_for_due(&mut self, now: u64) -> Option<u64> {
        let PaceOfAll::Rate(_) = self.plan.pace else { return None };
        if self.publishers.is_empty() {
            return None;
        }
        loop {
            let publisher = &mut self.publishers[self.turn];
            let Pace::Rate(rate) = publisher.pace else { return None };
            if publisher.last.is_some_and(|last| publisher.due >= last) {
                // Those that follow have as many at most: their last is due already, or this is the end for all.
                if self.publishers.iter().all(|one| one.last.is_some_and(|last| one.due >= last)) {
                    return None;
                }
            } else {
                let due = self.timeline.start + rate.due(publisher.due);
                if due > now {
                    let next = due.max(self.last_turn + TICK);
                    return Some(next);
                }
                publisher.due += 1;
                self.ready.push(self.turn);
            }
            self.turn = (self.turn + 1) % self.publishers.len();
        }
    }

    fn send_ready(&mut self, now: u64, links: &mut Links) -> Result<(), Failure> {
        let mut ready = std::mem::take(&mut self.ready);
        for who in ready.drain(..) {
            let publisher = &mut self.publishers[who];
            // A socket that is full says when it no longer is.
            while links.is_clear(who) && publisher.allowance() > 0 {
                let now = if publisher.sent == 0 { now } else { self.team.clock.now() };
                let (timeline, tally) = (&self.timeline, &mut self.tally);
                links.write(who, |out| {
                    publisher.compose(now, timeline, tally, out);
                })?;
            }
        }
        self.ready = ready;
        Ok(())
    }

    /// In a closed loop the end comes by the clock.
    fn stop_if_over(&mut self, now: u64) {
        let is_over = now >= self.timeline.end;
        if is_over && self.publishers.iter().any(|publisher| publisher.last.is_none()) {
            self.publishers.iter_mut().for_each(Publisher::stop);
        }
        let is_sent = self.publishers.iter().all(|publisher| publisher.last == Some(publisher.sent));
        if now >= self.timeline.end && is_sent {
            for publisher in &self.publishers {
                publisher.flow.finished.store(true, Relaxed);
            }
            self.stage = Stage::Draining;
        }
    }

    fn look(&mut self, now: u64) {
        self.looked = now;
        for (who, publisher) in self.publishers.iter_mut().enumerate() {
            if publisher.look(now) {
                self.ready.push(who);
            }
        }
        self.team.broker.look();
    }

    fn mark_if_time(&mut self, now: u64) -> Option<u64> {
        if self.rank != 0 {
            return None;
        }
        let times = [self.timeline.measured, self.timeline.end];
        let next = times.get(self.marks.len())?;
        if now >= *next {
            self.marks.push(self.team.broker.mark());
        }
        times.get(self.marks.len()).copied()
    }

    fn tell_elsewhere(&mut self) {
        if self.elsewhere.is_empty() {
            return;
        }
        self.elsewhere.sort_unstable();
        self.elsewhere.dedup();
        for rank in (0..self.team.threads()).filter(|rank| *rank != self.rank) {
            let flows = self.elsewhere.iter().map(|source| &self.plan.flows[*source as usize]);
            let mut places = flows.filter(|flow| flow.home == rank).map(|flow| flow.place).peekable();
            if places.peek().is_some() {
                self.team.tell(rank, places);
            }
        }
        self.elsewhere.clear();
    }

    /// A client's number over all threads: publishers, then subscribers.
    fn number(&self, who: usize) -> usize {
        match who.checked_sub(self.publishers.len()) {
            None => self.rank + who * self.team.threads(),
            Some(place) => self.plan.topics.len() + self.rank + place * self.team.threads(),
        }
    }

    fn take(&mut self, who: usize, piece: Piece<'_>, now: u64, out: &mut Vec<u8>) -> Result<(), Wrong> {
        if let Some(publisher) = self.publishers.get_mut(who) {
            publisher.acknowledge(piece, now, &self.timeline, &mut self.tally, out)?;
            self.may_go_on(who);
            return Ok(());
        }
        let subscriber = &mut self.subscribers[who - self.publishers.len()];
        match piece.first >> 4 {
            PUBLISH => {
                let context = Context {
                    run: self.team.run,
                    version: self.team.target.version,
                    size: self.plan.load.size,
                    timeline: self.timeline,
                    flows: &self.plan.flows,
                };
                if let Some(source) = subscriber.receive(piece, now, &context, &mut self.tally, out)? {
                    let flow = &self.plan.flows[source as usize];
                    if flow.home == self.rank {
                        self.may_go_on(flow.place);
                    } else if self.elsewhere.last() != Some(&source) {
                        self.elsewhere.push(source);
                    }
                }
                Ok(())
            }
            PUBREL => Subscriber::release(piece, out),
            SUBACK => {
                self.awaited -= 1;
                subscribed(piece, self.team.target.version, self.plan.load.qos)
            }
            _ => Err(Wrong::Unexpected("a subscriber asked for nothing like it")),
        }
    }

    fn may_go_on(&mut self, publisher: usize) {
        if self.ready.last() != Some(&publisher) {
            self.ready.push(publisher);
        }
    }
}

impl Duty for Traffic<'_> {
    fn comes_in(&mut self, who: usize, connack: &ConnAck, links: &mut Links) -> Result<(), Failure> {
        if let Some(publisher) = self.publishers.get_mut(who) {
            let limits = &connack.properties;
            let asked = publisher.qos as u8;
            if let Some(granted) = limits.maximum_qos.map(|qos| qos as u8).filter(|qos| *qos < asked) {
                let client = links.list[who].identity.client_id.clone();
                return Err(Failure::LessQos { client, granted, asked });
            }
            publisher.may_have(limits.receive_maximum.map_or(u16::MAX, Into::into));
            self.awaited -= 1;
            return Ok(());
        }
        let filter = &self.subscribers[who - self.publishers.len()].filter;
        let maximum_qos = self.plan.load.qos;
        let options = SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() };
        let filter = SubscriptionFilter::new(filter)
            .map_err(|error| Failure::Usage(format!("--topic makes the filter {filter}: {error}")))?;
        let (packet_id, properties) = (PacketId::MIN, SubscribeProperties::default());
        links.say(
            who,
            &Packet::Subscribe(Subscribe { packet_id, properties, subscriptions: vec![(filter, options)] }),
        )
    }

    fn packet(&mut self, who: usize, piece: Piece<'_>, now: u64, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.heard = now;
        let taken = self.take(who, piece, now, out);
        taken.map_err(|wrong| wrong.of(self.team.client_id(self.number(who)), piece))
    }

    fn turn(&mut self, now: u64, links: &mut Links) -> Result<Option<u64>, Failure> {
        if self.stage == Stage::ComingIn {
            return Ok(None);
        }
        self.team.told(self.rank, &mut self.ready);
        let mark = self.mark_if_time(now);
        let due = self.call_for_due(now);
        self.last_turn = now;
        if now - self.looked > LOOK {
            self.look(now);
        }
        if self.stage == Stage::Running {
            self.stop_if_over(now);
        }
        self.send_ready(now, links)?;
        self.tell_elsewhere();
        if self.stage == Stage::Draining {
            let is_quiet = now.saturating_sub(self.heard.max(self.timeline.end)) > SILENCE;
            let has_all = self.publishers.iter().all(Publisher::is_done)
                && self.subscribers.iter().all(|subscriber| subscriber.has_all(&self.plan.flows));
            if is_quiet || has_all {
                self.stage = Stage::Done;
            }
        }
        let end = (self.stage == Stage::Running).then_some(self.timeline.end);
        Ok([mark, due, end].into_iter().flatten().filter(|at| *at > now).min())
    }

    fn is_clear(&mut self, who: usize) {
        if who < self.publishers.len() {
            self.ready.push(who);
        }
    }

    fn is_done(&self) -> bool {
        match self.stage {
            Stage::ComingIn => self.awaited == 0,
            Stage::Running | Stage::Draining => false,
            Stage::Done => true,
        }
    }
}

const PUBLISH: u8 = PacketType::Publish as u8;
const SUBACK: u8 = PacketType::SubAck as u8;

/// Runs a plan on all threads. Returns what came of it.
pub(crate) fn run(plan: &Plan, team: &Arc<Team>) -> Result<Tally, Failure> {
    let largest = plan.load.size + (64 << 10);
    let tallies = team.run(|rank| {
        let mut crew = Crew::new(team, rank, AT_ONCE / team.threads(), largest)?;
        let mut traffic = Traffic::new(plan, team, rank, &mut crew.links)?;
        crew.work(&mut traffic)?;
        team.meeting.wait()?;
        if rank == 0 {
            let start = team.clock.now() + 1_000_000;
            *team.timeline.lock() = Timeline::new(start, plan.load.warmup, plan.load.duration);
        }
        team.meeting.wait()?;
        traffic.start(*team.timeline.lock());
        crew.work(&mut traffic)?;
        team.meeting.wait()?;
        for who in 0..crew.links.list.len() {
            crew.links.leave(who)?;
        }
        Ok(traffic.finish())
    })?;
    team.broker.look_after();
    let mut all = Tally::new();
    tallies.iter().for_each(|tally| all.add(tally));
    Ok(all)
}

/// Clients that connect at the same time.
const AT_ONCE: usize = 100;
