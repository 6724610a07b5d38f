//! The thread that tells the disk what has changed. Callers only ring; none waits for a write or a sync.

use super::{
    space::KvSpace,
    store::{Disk, DiskError},
};
use parking_lot::{Condvar, Mutex};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// Writes are no closer together than this, so that a counter that changes all the time is not written each time.
const PACE: Duration = Duration::from_millis(10);
/// What was written is synced no later than this.
const SYNC: Duration = Duration::from_secs(1);
/// A database that failed is opened again after this.
const REOPEN: Duration = Duration::from_secs(10);
/// Keys that are looked for under one lock.
const KEYS: usize = 1000;

/// Wakes the thread.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    rung: bool,
    stop: bool,
}

impl Alarm {
    /// Something is to be saved.
    pub(super) fn ring(&self) {
        self.state.lock().rung = true;
        self.changed.notify_one();
    }

    /// All is to be saved for the last time.
    pub(super) fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_one();
    }

    /// Until it rings, or `deadline` is over. True: stop.
    fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        while !state.rung && !state.stop {
            match deadline {
                None => self.changed.wait(&mut state),
                Some(deadline) if self.changed.wait_until(&mut state, deadline).timed_out() => break,
                Some(_) => {}
            }
        }
        state.stop
    }

    /// Until `deadline` is over, however often it rings. True: stop.
    fn rest(&self, deadline: Instant) -> bool {
        let mut state = self.state.lock();
        while !state.stop && !self.changed.wait_until(&mut state, deadline).timed_out() {}
        state.rung = false;
        state.stop
    }
}

/// A plugin's entries, and its name on the disk.
#[derive(Clone)]
pub(super) struct Saved {
    pub(super) plugin: Box<str>,
    pub(super) space: Arc<KvSpace>,
}

/// What the thread works on.
pub(super) struct Saver {
    pub(super) folder: PathBuf,
    pub(super) alarm: Arc<Alarm>,
    /// None while it cannot be used.
    pub(super) disk: Mutex<Option<Disk>>,
    pub(super) spaces: Mutex<Vec<Saved>>,
}

impl Saver {
    /// Until told to stop; then everything is on the disk, and the database is closed.
    pub(super) fn run(&self) {
        let mut unsynced: Option<Instant> = None;
        let mut rested = Instant::now();
        loop {
            self.alarm.wait(unsynced.map(|since| since + SYNC));
            let stop = self.alarm.rest(rested);
            rested = Instant::now() + PACE;
            match self.save(stop, &mut unsynced) {
                Ok(()) => {}
                Err(why) => {
                    unsynced = None;
                    self.failed(&why);
                    rested = Instant::now() + REOPEN;
                }
            }
            if stop {
                self.spaces.lock().drain(..).for_each(|saved| saved.space.detach());
                *self.disk.lock() = None;
                return;
            }
        }
    }

    fn save(&self, last: bool, unsynced: &mut Option<Instant>) -> Result<(), DiskError> {
        let disk = self.disk()?;
        let spaces = self.spaces.lock().clone();
        for saved in &spaces {
            if write(&disk, saved)? {
                unsynced.get_or_insert_with(Instant::now);
            }
        }
        if unsynced.is_some_and(|since| last || since.elapsed() >= SYNC) {
            disk.sync()?;
            *unsynced = None;
        }
        Ok(())
    }

    /// Opened again, if it had failed.
    fn disk(&self) -> Result<Disk, DiskError> {
        let mut disk = self.disk.lock();
        if let Some(disk) = &*disk {
            return Ok(disk.clone());
        }
        let opened = Disk::open(&self.folder)?;
        tracing::info!(folder = %self.folder.display(), "what plugins keep in kv is saved again");
        Ok(disk.insert(opened).clone())
    }

    /// What the disk has is not to be trusted from here on; everything goes to it again when it works.
    fn failed(&self, why: &DiskError) {
        *self.disk.lock() = None;
        self.spaces.lock().iter().for_each(|saved| saved.space.mark_everything());
        self.alarm.ring();
        tracing::error!(
            folder = %self.folder.display(), error = %why,
            "what plugins keep in kv cannot be saved and would be lost in a restart; trying again every {REOPEN:?}"
        );
    }
}

/// Writes what has changed so far, without a sync. False: nothing had.
fn write(disk: &Disk, Saved { plugin, space }: &Saved) -> Result<bool, DiskError> {
    let anew = space.begin_anew();
    if let Some(last) = &anew {
        let on_disk = disk.keys(plugin)?;
        let mut part = space.part_after(None, last);
        while let Some((after, _)) = part.last() {
            let next = space.part_after(Some(after), last);
            disk.write(plugin, part.into_iter().map(|(key, entry)| (key, Some(entry))))?;
            part = next;
        }
        for keys in on_disk.chunks(KEYS) {
            disk.write(plugin, space.missing(keys).into_iter().map(|key| (key, None)))?;
        }
    }
    let keys = space.take_unsaved();
    let written = anew.is_some() || !keys.is_empty();
    let mut keys = keys.into_iter().peekable();
    while keys.peek().is_some() {
        disk.write(plugin, space.part_of(&mut keys).into_iter())?;
    }
    Ok(written)
}
