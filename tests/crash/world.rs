//! What all actors share: the record, the phase of the round, and whether it is over.

use super::{
    record::{Record, Violation},
    session::Ended,
    wire::{Connection, Gone, Packet},
};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// How long an actor waits for a packet before it does something else.
const TICK: Duration = Duration::from_millis(5);

/// A round is work until it is cut off. In a drain everybody comes to an end first, step by step and together.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Phase {
    Work,
    /// Publishers finish what is open and send nothing new; everybody is connected, every request answered, every due will published.
    Settle,
    /// Publishers send a last message on each of their topics.
    Mark,
    /// Subscribers receive all they have a right to.
    Drain,
    /// Subscribers ask for something and wait for the answer: what they acknowledged before has come through.
    Confirm,
    /// Nothing is open.
    Done,
}

#[derive(Debug)]
pub(crate) struct World {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) record: Record,
    phase: Phase,
    /// Who is through with the phase.
    through: BTreeSet<String>,
    over: bool,
    /// The round ends without the broker: everybody goes.
    leave: bool,
    pub(crate) violation: Option<Violation>,
}

impl World {
    pub(crate) fn new(record: Record) -> Self {
        let state = State {
            record,
            phase: Phase::Work,
            through: BTreeSet::new(),
            over: false,
            leave: false,
            violation: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    pub(crate) fn look<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.lock())
    }

    /// Waits until the broker has closed; false if the round's end may be why.
    pub(crate) fn ends_by_itself(&self, connection: Connection) -> Result<bool, Ended> {
        if !connection.closed() {
            return Err(Ended::wrong("a connection is still open after DISCONNECT".into()));
        }
        Ok(!self.lock().over)
    }

    /// Writes to the record.
    pub(crate) fn record<T>(&self, use_it: impl FnOnce(&mut Record) -> T) -> T {
        let result = use_it(&mut self.lock().record);
        self.changed.notify_all();
        result
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// This actor is through with this phase.
    pub(crate) fn through(&self, who: &str, phase: Phase) {
        let mut state = self.lock();
        if state.phase == phase && !state.through.contains(who) {
            state.through.insert(who.to_owned());
            self.changed.notify_all();
        }
    }

    /// Waits until the round is over or this holds. True if it holds.
    pub(crate) fn wait(&self, patience: Duration, holds: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if state.over {
                return false;
            }
            if holds(&state) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).expect("no holder panics").0;
        }
    }

    /// The next packet, if one comes soon.
    pub(crate) fn poll(&self, connection: &mut Connection) -> Result<Option<Packet>, Gone> {
        if self.lock().leave {
            return Err(Gone(None));
        }
        connection.receive(TICK)
    }

    // For the driver.

    pub(crate) fn begin(&self, round: u32) {
        let mut state = self.lock();
        state.record.round = round;
        state.record.tick();
        (state.phase, state.over, state.leave) = (Phase::Work, false, false);
        state.through.clear();
    }

    pub(crate) fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = phase;
        state.through.clear();
        self.changed.notify_all();
    }

    /// From now on a connection may end without a reason of its own.
    pub(crate) fn end(&self, leave: bool) {
        let mut state = self.lock();
        (state.over, state.leave) = (true, leave);
        self.changed.notify_all();
    }

    /// An actor stopped. Violations are kept, the first one only, and end the round.
    pub(crate) fn stopped(&self, who: &str, why: Ended) {
        let mut state = self.lock();
        let violation = match why {
            Ended::Gone(_) if state.over => return,
            Ended::Gone(Gone(told)) => Violation(format!(
                "{who}: the connection ended, or could not be made, while the broker was up{}",
                told.map_or(String::new(), |reason| format!("; the broker said {reason:#04X}"))
            )),
            Ended::Violation(violation) => violation,
        };
        state.violation.get_or_insert(violation);
        self.changed.notify_all();
    }

    pub(crate) fn violated(&self) -> Option<Violation> {
        self.lock().violation.clone()
    }

    /// Who of these is not through with the phase.
    pub(crate) fn behind(&self, all: &[String]) -> Vec<String> {
        let state = self.lock();
        all.iter().filter(|who| !state.through.contains(*who)).cloned().collect()
    }
}

impl State {
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn all_through<'a>(&self, mut all: impl Iterator<Item = &'a String>) -> bool {
        all.all(|who| self.through.contains(who))
    }
}

/// Somebody who talks to the broker, and remembers over all rounds what it must.
pub(crate) trait Actor: Send {
    fn name(&self) -> &str;

    /// Plays until its connection ends because the round does, or until it finds a violation.
    fn play(&mut self, world: &World, address: SocketAddr) -> Ended;
}
