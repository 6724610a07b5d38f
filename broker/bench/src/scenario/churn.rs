//! Clients subscribe and unsubscribe, others may exchange messages meanwhile.

use crate::{
    crew::{Crew, Duty, Piece, decode},
    failure::{Asked, Failure},
    links::{Identity, Links},
    options::Churn,
    pace::{Rate as Schedule, Timeline},
    report::{Cost, Rate, Report},
    tally::{Checks, Spread, Tally},
    team::Team,
    traffic::{AT_ONCE, PREPARATION, Plan, Traffic},
    wrong::Wrong,
};
use std::process::ExitCode;
use tidegate_mqtt::{ConnAck, Packet, PacketId, QoS, ReasonCode, SubscriptionFilter, Unsubscribe};

pub(super) fn run(options: &Churn) -> Result<ExitCode, Failure> {
    let clients = options.clients as usize;
    let all = clients + 2 * options.bystanders as usize;
    let progress = &["operations", "sent", "received"];
    let team = super::assemble(
        &options.connection,
        &options.output,
        all,
        options.clients,
        options.bystanders > 0,
        progress,
    )?;
    let prefix = format!("{}/churn", options.connection.topic);
    let plan = Plan::bystanders(&options.traffic, options.span, &prefix, options.bystanders);
    let parts = team.run(|rank| {
        let mut crew = Crew::new(&team, rank, AT_ONCE / team.threads(), plan.messages.payload.size)?;
        let traffic = Traffic::new(&plan, &team, rank, &mut crew.links)?;
        let mut churning =
            Churning::new(&team, options, &prefix, rank, traffic, plan.clients(), &mut crew.links);
        crew.work(&mut churning)?;
        team.go_on()?;
        let start = team.agree(rank)? + PREPARATION;
        churning.start(Timeline::new(start, options.span.warmup, options.span.duration));
        crew.work(&mut churning)?;
        team.meeting.wait()?;
        crew.links.leave_all()?;
        Ok(churning.finish())
    })?;
    team.broker.look_after();

    let mut report = Report::new("churn", &team, options);
    report.what = format!("{clients} clients, {} filters each", options.filters);
    let count = parts.iter().map(|part| part.operations).sum();
    for part in &parts {
        report.checks.wrong += part.wrong;
    }
    report.latencies.push(("subscribe", Spread::sum(parts.iter().map(|part| &part.subscribe))));
    report.latencies.push(("unsubscribe", Spread::sum(parts.iter().map(|part| &part.unsubscribe))));
    let tallies: Vec<Tally> = parts.into_iter().map(|part| part.tally).collect();
    let tally = Tally::sum(&tallies);
    report.rates.push(Rate { name: "operations", count, seconds: tally.seconds });
    if options.bystanders > 0 {
        report.what += &format!(", beside {}", plan.words());
        report.may_repeat = plan.messages.qos == QoS::AtLeastOnce;
        report.exchange(tally);
        // It is not only theirs.
        report.costs.clear();
    } else {
        report.costs.push(Cost { name: "operation", count, cpu: tally.cpu });
    }
    super::tell(&report, &options.output)
}

/// Those who subscribe and unsubscribe, behind the bystanders on this thread.
struct Churning<'a> {
    team: &'a Team,
    options: &'a Churn,
    traffic: Traffic<'a>,
    clients: Vec<Client>,
    timeline: Timeline,
    awaited: usize,
    /// Clients that have an answer.
    idle: Vec<usize>,
    operations: u64,
    subscribe: Spread,
    unsubscribe: Spread,
    checks: Checks,
    told: u64,
}

struct Client {
    /// Over all threads.
    number: usize,
    prefix: String,
    schedule: Option<Schedule>,
    /// SUBSCRIBE and UNSUBSCRIBE in turns: how many were sent.
    sent: u64,
    /// When the one that is under way was due.
    under_way: Option<u64>,
}

/// What a thread has seen.
struct Done {
    tally: Tally,
    operations: u64,
    subscribe: Spread,
    unsubscribe: Spread,
    wrong: u64,
}

/// Nanoseconds between two turns at least, when operations are due by the clock.
const TICK: u64 = 50_000;

impl<'a> Churning<'a> {
    fn new(
        team: &'a Team,
        options: &'a Churn,
        prefix: &str,
        rank: usize,
        traffic: Traffic<'a>,
        others: usize,
        links: &mut Links,
    ) -> Self {
        let client = |place: usize| {
            let number = others + place;
            let who = links.add(Identity::new(team, number));
            links.open(who);
            let (publishers, turn) = (options.clients.into(), place as u64);
            let schedule = options.rate.map(|rate| Schedule { total: rate.get(), publishers, turn });
            Client { number, prefix: format!("{prefix}/{place}"), schedule, sent: 0, under_way: None }
        };
        let count = options.clients as usize;
        let clients: Vec<Client> = match options.bystanders {
            0 => team.share(rank, count).map(client).collect(),
            _ => team.share_behind(rank, count).map(client).collect(),
        };
        Self {
            team,
            options,
            traffic,
            awaited: clients.len(),
            clients,
            timeline: Timeline::default(),
            idle: Vec::new(),
            operations: 0,
            subscribe: Spread::new(),
            unsubscribe: Spread::new(),
            checks: Checks::default(),
            told: 0,
        }
    }

    fn start(&mut self, timeline: Timeline) {
        self.timeline = timeline;
        self.traffic.start(timeline);
        self.idle.extend(0..self.clients.len());
    }

    fn finish(self) -> Done {
        let Self { traffic, operations, subscribe, unsubscribe, checks, .. } = self;
        Done { tally: traffic.finish(), operations, subscribe, unsubscribe, wrong: checks.wrong }
    }

    /// Sends what those who wait for nothing may send. Returns when the next is due.
    fn ask(&mut self, now: u64, links: &mut Links) -> Result<Option<u64>, Failure> {
        let mut next = None;
        let idle = std::mem::take(&mut self.idle);
        for place in idle {
            let client = &mut self.clients[place];
            let due = client.schedule.map_or(now, |schedule| self.timeline.start + schedule.due(client.sent));
            if due >= self.timeline.end || now >= self.timeline.end && client.schedule.is_none() {
                continue;
            }
            if due > now {
                next = Some(next.map_or(due, |next: u64| next.min(due)));
                self.idle.push(place);
                continue;
            }
            client.under_way = Some(due);
            let packet = client.next(self.options.filters);
            client.sent += 1;
            links.say(self.traffic.clients() + place, &packet)?;
        }
        Ok(next.map(|next| next.max(now + TICK)))
    }

    fn answer(&mut self, place: usize, piece: Piece<'_>, now: u64) -> Result<(), Wrong> {
        let client = &mut self.clients[place];
        let (packet_id, packet, reasons) = match decode(piece, self.team.target.version)? {
            Packet::SubAck(ack) => (ack.packet_id, Asked::Subscribe, ack.reasons),
            Packet::UnsubAck(ack) => (ack.packet_id, Asked::Unsubscribe, ack.reasons),
            _ => return Err(Wrong::Unexpected("nobody asked for it")),
        };
        let reason = reasons.first().copied().unwrap_or(ReasonCode::Success);
        if reason.is_error() {
            return Err(Wrong::Refused(packet, reason));
        }
        let is_subscribe = client.sent % 2 == 1;
        let fits = packet_id == client.packet_id() && is_subscribe == matches!(packet, Asked::Subscribe);
        let (Some(due), true) = (client.under_way.take(), fits) else {
            return Err(Wrong::Unexpected("it answers nothing that waits"));
        };
        if reason != ReasonCode::Success {
            // There was a subscription, and the broker knows of none.
            self.checks.wrong += 1;
        }
        if self.timeline.counts(now) {
            self.operations += 1;
        }
        if self.timeline.counts(due) {
            let spread = if is_subscribe { &mut self.subscribe } else { &mut self.unsubscribe };
            spread.record(now.saturating_sub(due));
        }
        self.idle.push(place);
        self.told += 1;
        Ok(())
    }
}

impl Client {
    /// Of what was sent last.
    fn packet_id(&self) -> PacketId {
        PacketId::MIN.saturating_add((self.sent % 60_000) as u16)
    }

    fn next(&self, filters: u32) -> Packet<'static> {
        let filter = format!("{}/{}", self.prefix, self.sent / 2 % u64::from(filters));
        let packet_id = PacketId::MIN.saturating_add(((self.sent + 1) % 60_000) as u16);
        // Checked when the client came in.
        let filter = SubscriptionFilter::new(&filter);
        if self.sent.is_multiple_of(2) {
            let options = tidegate_mqtt::SubscriptionOptions::default();
            let subscriptions = filter.into_iter().map(|filter| (filter, options)).collect();
            let properties = tidegate_mqtt::SubscribeProperties::default();
            Packet::Subscribe(tidegate_mqtt::Subscribe { packet_id, properties, subscriptions })
        } else {
            let filters = filter.into_iter().collect();
            Packet::Unsubscribe(Unsubscribe { packet_id, properties: Vec::new(), filters })
        }
    }
}

impl Duty for Churning<'_> {
    fn comes_in(&mut self, who: usize, connack: &ConnAck, links: &mut Links) -> Result<(), Failure> {
        let Some(place) = who.checked_sub(self.traffic.clients()) else {
            return self.traffic.comes_in(who, connack, links);
        };
        let prefix = &self.clients[place].prefix;
        SubscriptionFilter::new(prefix)
            .map_err(|error| Failure::Usage(format!("--topic makes the filter {prefix}: {error}")))?;
        self.awaited -= 1;
        links.settle(who);
        Ok(())
    }

    fn packet(&mut self, who: usize, piece: Piece<'_>, now: u64, out: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(place) = who.checked_sub(self.traffic.clients()) else {
            return self.traffic.packet(who, piece, now, out);
        };
        let answered = self.answer(place, piece, now);
        answered.map_err(|wrong| wrong.of(self.team.client_id(self.clients[place].number), piece))
    }

    fn turn(&mut self, now: u64, links: &mut Links) -> Result<Option<u64>, Failure> {
        let wake = self.traffic.turn(now, links)?;
        if self.timeline.end == 0 {
            return Ok(wake);
        }
        self.team.progress.add("operations", std::mem::take(&mut self.told));
        let due = self.ask(now, links)?;
        Ok([wake, due].into_iter().flatten().min())
    }

    fn is_clear(&mut self, who: usize) {
        if who < self.traffic.clients() {
            self.traffic.is_clear(who);
        }
    }

    fn is_done(&self) -> bool {
        self.traffic.is_done()
            && self.awaited == 0
            && self.clients.iter().all(|client| client.under_way.is_none())
    }

    fn expects(&self) -> Option<&'static str> {
        let waits = self.clients.iter().any(|client| client.under_way.is_some());
        if waits { Some("SUBACK or UNSUBACK") } else { self.traffic.expects() }
    }

    fn winds_up(&mut self, now: u64) -> bool {
        self.timeline.end = self.timeline.end.min(now);
        self.traffic.winds_up(now)
    }
}
