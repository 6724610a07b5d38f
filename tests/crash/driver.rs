//! Rounds: everybody works, the broker ends, it is started again on what it left behind.

use super::{
    guest::Guest,
    keeper::Keeper,
    mortal::Mortal,
    publisher::Publisher,
    random::Random,
    record::{Record, Violation},
    session::Ended,
    subscriber::{Habits, Subscriber},
    wire::Version,
    world::{Actor, Phase, World},
};
use std::{
    collections::VecDeque,
    ffi::OsString,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::{Duration, Instant},
};
use tidegate_tests::{Broker, Folder, Lines, Names, PATIENCE, PowerCut, StoreKind, Stores};

/// What is to happen, and for how long.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    pub(crate) seed: u64,
    /// Of the broker.
    pub(crate) config: String,
    pub(crate) store: StoreKind,
    pub(crate) end: End,
}

/// How the broker ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// It does not: the actors leave, and come again.
    Never,
    /// `kill -9`; one time in eight it is told to stop (SIGTERM).
    Kill,
    /// As with `Kill`, and what keeps the records is killed too, before or after the broker.
    KillBoth,
    /// As with `Kill`, and the disk loses what was not synced; one that lies loses what `fdatasync` has promised.
    PowerCut { names: Names, lies: bool },
}

/// What a run has seen.
#[derive(Debug)]
pub(crate) struct Summary {
    rounds: u32,
    drains: u32,
    kills_while_starting: u32,
    stops: u32,
    acknowledged: u64,
    arrivals: u64,
    took: Duration,
}

/// Every so many rounds all comes to an end, and what was sent is compared with what arrived.
const DRAIN: u32 = 5;
const PUBLISHERS: usize = 4;

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, drains, kills_while_starting, stops, acknowledged, arrivals, took } = self;
        let each = took.as_secs_f64() / f64::from(*rounds);
        write!(
            f,
            "{rounds} rounds of {each:.2} s, {drains} drains, {stops} stops, {kills_while_starting} kills while starting: \
             {acknowledged} messages acknowledged, {arrivals} arrivals, no violation"
        )
    }
}

/// # Errors
/// The first violation, with seed, round and history.
pub(crate) fn run(plan: &Plan) -> Result<Summary, Violation> {
    println!("seed {} ({plan:?})", plan.seed);
    let mut run = Run::new(plan);
    let began = Instant::now();
    for round in 1..=plan.rounds {
        let ended = catch_unwind(AssertUnwindSafe(|| run.round(round)));
        let ended = ended.unwrap_or_else(|panic| Err(Violation(format!("a panic: {}", text_of(&*panic)))));
        if let Err(Violation(what)) = ended {
            for (ended, log) in &run.logs {
                println!("{ended}; its log:\n{}", log.text());
            }
            return Err(Violation(format!("seed {}, round {round}: {what}", plan.seed)));
        }
    }
    run.summary.took = began.elapsed();
    (run.summary.acknowledged, run.summary.arrivals) =
        run.world.look(|state| (state.record.acknowledged, state.record.arrivals));
    Ok(run.summary)
}

struct Run {
    plan: Plan,
    random: Random,
    stores: Stores,
    folder: Folder,
    power: Option<PowerCut>,
    broker: Option<Broker>,
    world: World,
    actors: Vec<Box<dyn Actor>>,
    names: Vec<String>,
    /// What the last brokers have logged, and how each ended.
    logs: VecDeque<(String, Lines)>,
    summary: Summary,
}

/// Brokers whose logs are shown when something is wrong: from one drain to the next.
const LOGS: usize = 6;

impl Run {
    fn new(plan: &Plan) -> Self {
        let mut random = Random::new(plan.seed);
        let mut record = Record::default();
        let actors = cast(&mut record, &mut random);
        let stores = Stores::new(plan.store);
        let folder = stores.folder(&plan.config);
        let power = match plan.end {
            End::PowerCut { names, .. } => Some(PowerCut::new(&folder, names)),
            End::Never | End::Kill | End::KillBoth => None,
        };
        Self {
            plan: plan.clone(),
            random,
            stores,
            folder,
            power,
            broker: None,
            world: World::new(record),
            names: actors.iter().map(|actor| actor.name().to_owned()).collect(),
            actors,
            logs: VecDeque::new(),
            summary: Summary {
                rounds: plan.rounds,
                drains: 0,
                kills_while_starting: 0,
                stops: 0,
                acknowledged: 0,
                arrivals: 0,
                took: Duration::ZERO,
            },
        }
    }

    /// Of a broker that is about to start.
    fn environment(&mut self) -> Vec<(&'static str, OsString)> {
        let lies = matches!(self.plan.end, End::PowerCut { lies: true, .. });
        let sync = Duration::from_micros([0, 200, 2_000][self.random.below(3) as usize]);
        self.power.as_ref().map(|power| power.environment(sync, lies)).unwrap_or_default()
    }

    fn cut_power(&mut self) {
        if let Some(power) = &mut self.power {
            power.strike(&mut |end| self.random.below(end));
        }
    }

    fn round(&mut self, round: u32) -> Result<(), Violation> {
        let broker = match self.broker.take() {
            Some(broker) => broker,
            None => self.start(),
        };
        let address = broker.address();
        self.world.begin(round);
        let drains = round.is_multiple_of(DRAIN);
        let (world, names) = (&self.world, &self.names);
        let events = self.random.below(if drains { 500 } else { 3_000 });
        let log = broker.log().clone();
        let mut broker = Some(broker);
        let mut how = "the broker goes on";
        let actors = &mut self.actors;
        let ended = thread::scope(|scope| {
            for actor in actors {
                scope.spawn(move || {
                    let played = catch_unwind(AssertUnwindSafe(|| actor.play(world, address)));
                    let why = played.unwrap_or_else(|panic| {
                        Ended::wrong(format!("{} panicked: {}", actor.name(), text_of(&*panic)))
                    });
                    world.stopped(actor.name(), why);
                });
            }
            let worked = work(world, names, events);
            let drained = worked.and_then(|()| if drains { drain(world, names) } else { Ok(()) });
            world.end(self.plan.end == End::Never);
            match self.plan.end {
                End::Never => {}
                End::KillBoth if self.random.once_in(3) => {
                    // While the broker goes on, for a while or to the end of its life.
                    how = "its store is killed, then the broker";
                    self.stores.kill();
                    drop(broker.take().map(Broker::kill));
                }
                _ if self.random.once_in(8) => {
                    how = "the broker is told to stop";
                    self.summary.stops += 1;
                    drop(broker.take().map(Broker::stop));
                }
                _ => {
                    how = "the broker is killed";
                    drop(broker.take().map(Broker::kill));
                }
            }
            drained
        });
        self.broker = broker;
        let clock = world.look(|state| state.record.clock);
        self.logs.push_back((format!("round {round}: {how} before event {clock}"), log));
        if self.logs.len() > LOGS {
            self.logs.pop_front();
        }
        if ended.is_ok() {
            self.cut_power();
            if self.plan.end == End::KillBoth {
                self.stores.kill();
            }
        }
        self.summary.drains += u32::from(drains);
        match self.world.look(|state| state.violation.clone()) {
            Some(violation) => Err(violation),
            None => ended,
        }
    }

    /// Sometimes the broker is ended while it starts.
    fn start(&mut self) -> Broker {
        while self.random.once_in(8) {
            self.summary.kills_while_starting += 1;
            let after = Duration::from_micros(self.random.below(60_000));
            let environment = self.environment();
            self.folder.start_and_kill(&environment, after);
            self.cut_power();
        }
        let environment = self.environment();
        self.folder.start_with(&environment)
    }
}

/// Until so many events have happened, or there is nothing left to do.
fn work(world: &World, names: &[String], events: u64) -> Result<(), Violation> {
    let until = world.look(|state| state.record.clock) + events;
    let busy = |name: &&String| name.starts_with("publisher");
    let done = world.wait(PATIENCE, |state| {
        state.violation.is_some()
            || state.record.clock >= until
            || state.all_through(names.iter().filter(busy))
    });
    world.violated().map_or(Ok(()), Err)?;
    if !done {
        let behind = world.behind(names);
        return Err(Violation(format!("nothing goes on for {PATIENCE:?}; still at work: {behind:?}")));
    }
    Ok(())
}

fn drain(world: &World, names: &[String]) -> Result<(), Violation> {
    for phase in [Phase::Settle, Phase::Mark, Phase::Drain, Phase::Confirm, Phase::Done] {
        world.enter(phase);
        if phase == Phase::Done {
            break;
        }
        let done = world.wait(PATIENCE, |state| state.violation.is_some() || state.all_through(names.iter()));
        world.violated().map_or(Ok(()), Err)?;
        if !done {
            let lost = world.look(|state| state.record.lost().or_else(|| state.record.any_will_missing()));
            let behind = world.behind(names);
            return Err(lost.unwrap_or_else(|| {
                Violation(format!(
                    "{phase:?} does not come to an end in {PATIENCE:?}: {behind:?} are not through"
                ))
            }));
        }
    }
    world.record(Record::drained)
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no text")
}

/// Everybody who takes part.
fn cast(record: &mut Record, random: &mut Random) -> Vec<Box<dyn Actor>> {
    use Version::{V5, V311};
    let mut actors: Vec<Box<dyn Actor>> = Vec::new();
    for number in 0..PUBLISHERS {
        actors.push(Box::new(Publisher::new(number, record, random.fork())));
    }
    let one_each = (0..PUBLISHERS).map(|number| format!("data/{number}/#")).collect();
    let wills = Habits { filters: vec!["wills/#".into()], late: 2, drop: 60, away: 30, ..Habits::default() };
    let all = Habits { filters: vec!["data/#".into()], ..Habits::default() };
    let group = Habits {
        filters: vec!["$share/group/data/#".into()],
        late: 2,
        drop: 150,
        away: 200,
        takeover: 300,
        group: Some("group"),
        ..Habits::default()
    };
    let watcher = Subscriber::new("watcher", (V5, 2), wills, record, random.fork());
    let mortals = [V5, V5, V311].into_iter().enumerate();
    for (me, version) in mortals {
        actors.push(Box::new(Mortal::new(me, version, watcher.reader(), random.fork())));
    }
    actors.push(Box::new(watcher));
    let cast = [
        ("prompt", (V5, 2), all.clone()),
        ("late", (V311, 2), Habits { late: 6, drop: 100, away: 50, ..all.clone() }),
        (
            "narrow",
            (V5, 1),
            Habits {
                filters: vec!["data/+/1/+".into(), "data/0/#".into()],
                late: 3,
                receive_maximum: Some(4),
                disconnect: 200,
                away: 100,
                ..Habits::default()
            },
        ),
        (
            "seldom",
            (V5, 2),
            Habits {
                late: 3,
                drop: 60,
                disconnect: 100,
                away: 1_000,
                receive_maximum: Some(8),
                ..all.clone()
            },
        ),
        (
            "fickle",
            (V5, 2),
            Habits {
                filters: vec![],
                toggled: one_each,
                toggle: 12,
                late: 2,
                drop: 200,
                away: 50,
                ..all.clone()
            },
        ),
        ("twice", (V311, 2), Habits { takeover: 40, late: 2, ..all }),
        ("member-0", (V5, 2), group.clone()),
        ("member-1", (V311, 2), group.clone()),
        ("member-2", (V5, 2), Habits { receive_maximum: Some(3), ..group }),
    ];
    for (name, says, habits) in cast {
        actors.push(Box::new(Subscriber::new(name, says, habits, record, random.fork())));
    }
    actors.push(Box::new(Keeper::new("keeper-1", (V5, 1), random.fork())));
    actors.push(Box::new(Keeper::new("keeper-2", (V311, 2), random.fork())));
    actors.push(Box::new(Guest::new("guest-1", random.fork())));
    actors.push(Box::new(Guest::new("guest-2", random.fork())));
    let without = std::env::var("CRASH_WITHOUT").unwrap_or_default();
    actors.retain(|actor| without.split(' ').all(|name| name.is_empty() || !actor.name().starts_with(name)));
    actors
}
