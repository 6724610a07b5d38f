//! What all threads of a run share.

use crate::{
    alarm::Clock, failure::Failure, meeting::Meeting, process::Broker, progress::Progress, target::Target,
    watch,
};
use mio::Waker;
use parking_lot::Mutex;
use std::{
    ops::Range,
    panic,
    sync::{Arc, OnceLock},
    thread,
};
use tokio::sync::mpsc;

pub(crate) struct Team {
    pub(crate) target: Arc<Target>,
    pub(crate) clock: Clock,
    pub(crate) meeting: Meeting,
    /// Tells this run's messages from others.
    pub(crate) run: u32,
    /// The processes of the broker, if it is known which they are.
    pub(crate) broker: Broker,
    pub(crate) progress: Progress,
    /// What the first thread tells all, between two meetings.
    word: Mutex<u64>,
    doors: Vec<Door>,
}

/// Where other threads leave word for one.
#[derive(Default)]
struct Door {
    bell: OnceLock<Waker>,
    /// Publishers that may go on, by their place on that thread.
    notes: Mutex<Vec<usize>>,
}

impl Team {
    pub(crate) fn new(
        target: Target,
        threads: usize,
        run: u32,
        broker: Broker,
        progress: Progress,
    ) -> Arc<Self> {
        Arc::new(Self {
            target: Arc::new(target),
            clock: Clock::start(),
            meeting: Meeting::new(threads),
            run,
            broker,
            progress,
            word: Mutex::default(),
            doors: (0..threads).map(|_| Door::default()).collect(),
        })
    }

    pub(crate) fn threads(&self) -> usize {
        self.doors.len()
    }

    /// The part of `count` that is this thread's: every so many-th.
    pub(crate) fn share(&self, rank: usize, count: usize) -> impl Iterator<Item = usize> + use<> {
        share(rank, 0..self.threads(), count)
    }

    /// The same, if the first thread is for bystanders.
    pub(crate) fn share_behind(&self, rank: usize, count: usize) -> impl Iterator<Item = usize> + use<> {
        share(rank, 1..self.threads(), count)
    }

    pub(crate) fn client_id(&self, number: usize) -> String {
        self.target.names.client_id(number, self.run)
    }

    /// Waits for all, and agrees on a moment: what the clock of the first thread says when all are here.
    pub(crate) fn agree(&self, rank: usize) -> Result<u64, Failure> {
        self.meeting.wait()?;
        if rank == 0 {
            *self.word.lock() = self.clock.now();
        }
        self.meeting.wait()?;
        Ok(*self.word.lock())
    }

    /// # Errors
    /// [`Failure::Stopped`] if the user has had enough.
    pub(crate) fn go_on(&self) -> Result<(), Failure> {
        if self.meeting.is_interrupted() { Err(Failure::Stopped) } else { Ok(()) }
    }

    /// This thread wakes by `bell`.
    pub(crate) fn listen(&self, rank: usize, bell: Waker) {
        let _ = self.doors[rank].bell.set(bell);
    }

    /// Tells another thread which publishers may go on.
    pub(crate) fn tell(&self, rank: usize, places: impl Iterator<Item = usize>) {
        let door = &self.doors[rank];
        let mut notes = door.notes.lock();
        let was_empty = notes.is_empty();
        notes.extend(places);
        drop(notes);
        if was_empty && let Some(bell) = door.bell.get() {
            // A bell that does not ring is as good as one that is heard 100 ms later.
            let _ = bell.wake();
        }
    }

    /// What others have told this thread.
    pub(crate) fn told(&self, rank: usize, into: &mut Vec<usize>) {
        if self.threads() > 1 {
            into.append(&mut self.doors[rank].notes.lock());
        }
    }

    /// Runs `work` on every thread and returns what each has made, in order. The first failure ends them all.
    pub(crate) fn run<T: Send>(
        self: &Arc<Self>,
        work: impl Fn(usize) -> Result<T, Failure> + Sync,
    ) -> Result<Vec<T>, Failure> {
        let (at_work, nobody) = mpsc::channel::<()>(1);
        let (work, team) = (&work, self);
        let (results, watched) = thread::scope(|scope| {
            let start = |rank| {
                let presence = Presence { team, _at_work: at_work.clone() };
                scope.spawn(move || {
                    let presence = presence;
                    let made = work(rank);
                    if made.is_err() {
                        presence.team.meeting.fail();
                    }
                    made
                })
            };
            let threads: Vec<_> = (0..self.threads()).map(start).collect();
            drop(at_work);
            let watched = watch::until_done(self, nobody);
            if watched.is_err() {
                self.meeting.fail();
            }
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|fault| panic::resume_unwind(fault))
            };
            (threads.into_iter().map(join).collect::<Vec<Result<T, Failure>>>(), watched)
        });
        // Others stop because one has failed: that one is told.
        let mut others = None;
        let mut made = Vec::new();
        for result in results {
            match result {
                Ok(one) => made.push(one),
                Err(Failure::Stopped) => others = Some(Failure::Stopped),
                Err(failure) => return Err(failure),
            }
        }
        watched?;
        others.map_or(Ok(made), Err)
    }
}

/// The part of one of these threads.
pub(crate) fn share(rank: usize, ranks: Range<usize>, count: usize) -> impl Iterator<Item = usize> {
    let first = if ranks.contains(&rank) { rank - ranks.start } else { count };
    (first..count).step_by(ranks.len().max(1))
}

/// Of a thread: it is missed however it ends.
struct Presence<'a> {
    team: &'a Team,
    _at_work: mpsc::Sender<()>,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.team.meeting.fail();
        }
    }
}
