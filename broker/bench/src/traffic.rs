//! Publishers and subscribers that exchange messages, and what came of it.

use crate::{
    crew::{Crew, Duty, Piece},
    failure::Failure,
    links::{Identity, Links},
    pace::{Pace, Timeline},
    process::Cpu,
    publisher::{PUBREL, Publisher},
    subscriber::{Context, PUBLISH, SUBACK, Subscriber, group_has_all, settle_group, subscribed},
    tally::{Spread, Tally},
    team::{Team, share},
    template::{Shape, Template, Topic},
    wrong::Wrong,
};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use tidegate_mqtt::ConnAck;

mod plan;
pub(crate) use plan::{PaceOfAll, Plan, Subscription, usual_window};

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
    /// Clients that are not ready yet, and those that just became so.
    awaited: usize,
    settled: Vec<usize>,
    /// Publishers here that may go on, and those of other threads.
    ready: Vec<usize>,
    elsewhere: Vec<u32>,
    /// In an open loop: whose message is due next, and when.
    turn: usize,
    last_turn: u64,
    /// When publishers were last looked at, and when something last came.
    looked: u64,
    heard: u64,
    /// What was told as progress, and how often.
    told: (u64, u64),
    looks: u32,
    /// On the first thread: CPU time when figures began and ceased to count.
    marks: Vec<Cpu>,
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
const LOOKS_BETWEEN_P99: u32 = 10;
/// Nanoseconds behind the end in which what was due by then is still sent.
const OVERTIME: u64 = 30_000_000_000;
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
        let mut come = |number| {
            let who = links.add(Identity::new(team, number));
            links.open(who);
        };
        for number in share(rank, 0..plan.threads, plan.topics.len()) {
            let shape = Shape {
                version: team.target.version,
                topic: Topic::One(&plan.topics[number], number as u32),
                qos: plan.messages.qos,
                retain: false,
                payload: Some(plan.messages.payload),
                run: team.run,
            };
            let template = Template::new(&shape).map_err(|error| Failure::Usage(error.to_string()))?;
            let flow = plan.flows[number].clone();
            publishers.push(Publisher::new(flow, template, plan.pace(number), shape.qos));
            come(number);
        }
        for number in share(rank, 0..plan.threads, plan.subscriptions.len()) {
            let Subscription { filter, sources } = &plan.subscriptions[number];
            subscribers.push(Subscriber::new(filter.clone(), sources.clone(), plan.group.is_some()));
            come(plan.topics.len() + number);
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
            settled: Vec::new(),
            ready: Vec::new(),
            elsewhere: Vec::new(),
            turn: 0,
            last_turn: 0,
            looked: 0,
            heard: 0,
            told: (0, 0),
            looks: 0,
            marks: Vec::new(),
        })
    }

    /// How many clients it has here: the first of the crew.
    pub(crate) fn clients(&self) -> usize {
        self.publishers.len() + self.subscribers.len()
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

    /// The end comes no later.
    pub(crate) fn end_by(&mut self, at: u64) {
        self.timeline.end = self.timeline.end.min(at);
    }

    /// What was delivered since the last time this was asked.
    pub(crate) fn take_delivery(&mut self) -> Spread {
        std::mem::replace(&mut self.tally.delivery, Spread::new())
    }

    /// What came of it. To be asked when all threads are done.
    pub(crate) fn finish(mut self) -> Tally {
        if let [from, to] = &self.marks[..] {
            self.tally.cpu = to.since(from);
        }
        self.tally.seconds = self.timeline.seconds();
        for publisher in &self.publishers {
            publisher.settle(&mut self.tally.checks);
        }
        for subscriber in &self.subscribers {
            subscriber.settle(&self.plan.flows, &mut self.tally.checks);
        }
        if let Some(group) = &self.plan.group {
            self.tally.members = self.subscribers.iter().map(|subscriber| subscriber.received).collect();
            if self.rank == 0 {
                settle_group(group, &self.plan.flows, &mut self.tally.checks);
            }
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

    fn send_ready(&mut self, links: &mut Links) -> Result<(), Failure> {
        let mut ready = std::mem::take(&mut self.ready);
        for who in ready.drain(..) {
            let publisher = &mut self.publishers[who];
            // A socket that is full says when it no longer is.
            while links.is_clear(who) && publisher.allowance() > 0 {
                let now = self.team.clock.now();
                let (timeline, tally) = (&self.timeline, &mut self.tally);
                links.write(who, |out| publisher.compose(now, timeline, tally, out))?;
            }
        }
        self.ready = ready;
        Ok(())
    }

    /// The end comes by the clock; what is due by then is sent.
    fn stop_if_over(&mut self, now: u64) {
        if now < self.timeline.end {
            return;
        }
        self.publishers.iter_mut().for_each(Publisher::stop);
        let overtime = now.saturating_sub(self.timeline.end);
        if overtime > OVERTIME || now.saturating_sub(self.heard.max(self.timeline.end)) > SILENCE {
            self.publishers.iter_mut().for_each(Publisher::forget_unsent);
        }
        if self.publishers.iter().all(|publisher| publisher.last == Some(publisher.sent)) {
            for publisher in &self.publishers {
                publisher.flow.finished.store(true, Relaxed);
            }
            self.stage = Stage::Draining;
        }
    }

    fn look(&mut self, now: u64) {
        self.looked = now;
        self.looks += 1;
        for (who, publisher) in self.publishers.iter_mut().enumerate() {
            if publisher.look(now) {
                self.ready.push(who);
            }
        }
        let progress = &self.team.progress;
        let done = (self.publishers.iter().map(|one| one.sent).sum(), self.tally.checks.received);
        progress.add("sent", done.0 - self.told.0);
        progress.add("received", done.1 - self.told.1);
        self.told = done;
        if self.looks.is_multiple_of(LOOKS_BETWEEN_P99) {
            progress.p99(self.tally.delivery.at(0.99));
        }
    }

    fn mark_if_time(&mut self, now: u64) -> Option<u64> {
        if self.rank != 0 {
            return None;
        }
        let times = [self.timeline.measured, self.timeline.end];
        let next = times.get(self.marks.len())?;
        if now >= *next {
            self.marks.push(self.team.broker.cpu());
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
            None => self.rank + who * self.plan.threads,
            Some(place) => self.plan.topics.len() + self.rank + place * self.plan.threads,
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
                    payload: self.plan.messages.payload,
                    timeline: self.timeline,
                    flows: &self.plan.flows,
                    group: self.plan.group.as_ref(),
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
                self.settled.push(who);
                subscribed(piece, self.team.target.version, self.plan.messages.qos)
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
            let wrong = publisher.meets(connack);
            wrong.map_err(|wrong| wrong.of_connack(links.list[who].identity.client_id.clone()))?;
            self.awaited -= 1;
            links.settle(who);
            return Ok(());
        }
        let subscriber = &self.subscribers[who - self.publishers.len()];
        links.subscribe(who, &subscriber.filter, self.plan.messages.qos)
    }

    fn packet(&mut self, who: usize, piece: Piece<'_>, now: u64, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.heard = now;
        let taken = self.take(who, piece, now, out);
        taken.map_err(|wrong| wrong.of(self.team.client_id(self.number(who)), piece))
    }

    fn turn(&mut self, now: u64, links: &mut Links) -> Result<Option<u64>, Failure> {
        self.settled.drain(..).for_each(|who| links.settle(who));
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
        self.send_ready(links)?;
        self.tell_elsewhere();
        if self.stage == Stage::Draining {
            let is_quiet = now.saturating_sub(self.heard.max(self.timeline.end)) > SILENCE;
            let has_all = self.publishers.iter().all(Publisher::is_done)
                && self.subscribers.iter().all(|subscriber| subscriber.has_all(&self.plan.flows))
                && self.plan.group.as_ref().is_none_or(|group| group_has_all(group, &self.plan.flows));
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

    fn expects(&self) -> Option<&'static str> {
        (self.stage == Stage::ComingIn).then_some("SUBACK")
    }

    fn winds_up(&mut self, now: u64) -> bool {
        self.end_by(now);
        self.stage != Stage::ComingIn
    }
}

/// Runs a plan on all threads. Returns what came of it.
pub(crate) fn run(plan: &Plan, team: &Arc<Team>) -> Result<Tally, Failure> {
    let tallies = team.run(|rank| {
        let mut crew = Crew::new(team, rank, AT_ONCE / team.threads(), plan.messages.payload.size)?;
        let mut traffic = Traffic::new(plan, team, rank, &mut crew.links)?;
        crew.work(&mut traffic)?;
        team.go_on()?;
        let start = team.agree(rank)? + PREPARATION;
        traffic.start(Timeline::new(start, plan.span.warmup, plan.span.duration));
        crew.work(&mut traffic)?;
        team.meeting.wait()?;
        crew.links.leave_all()?;
        Ok(traffic.finish())
    })?;
    team.broker.look_after();
    Ok(Tally::sum(&tallies))
}

/// Clients that connect at the same time.
pub(crate) const AT_ONCE: usize = 100;
/// Nanoseconds between all being here and the first message.
pub(crate) const PREPARATION: u64 = 1_000_000;
