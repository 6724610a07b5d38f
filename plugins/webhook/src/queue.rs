//! Batches that wait, in `kv`: any instance adds, any instance takes, and they outlive instances, generations and the broker.
//!
//! `on-events` adds, one call at a time; the timer takes, one call at a time; both may happen at once. So a batch changes by `swap` only.

use crate::batch::Batch;
use tidegate_plugin::{kv, metrics, warn};

/// Before the number of a batch. Numbers rise.
const BATCH: &str = "batch/";
/// The number of the last batch.
const LAST: &str = "last";
/// Events that were dropped and that nobody was told of yet.
const LOST: &str = "lost";
/// Tries of the oldest batch that have failed. Not there: none.
const TRIES: &str = "tries";

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Events in a batch.
    most_events: usize,
    most_batches: i64,
}

/// What came of adding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Added {
    /// Others wait already.
    Behind,
    /// Nothing waited before.
    First,
    /// A batch is full now.
    Full,
}

/// Some events in one batch.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    added: usize,
    begins: bool,
    fills: bool,
}

impl Queue {
    /// # Errors
    /// A sentence for the operator.
    pub(crate) fn open(most_events: usize, events: usize) -> Result<Self, String> {
        // From now on there is room to count.
        for counter in [LAST, LOST] {
            kv::add(counter, 0, None).map_err(|why| {
                format!("{why}, where events wait: grant some, as in `grants.kv = \"4MiB\"`")
            })?;
        }
        // Besides the one that is being filled.
        let most_batches = i64::try_from(events.div_ceil(most_events)).unwrap_or(i64::MAX).saturating_add(1);
        Ok(Self { most_events, most_batches })
    }

    /// Adds events behind the others. The oldest go if there are too many, or no room.
    pub(crate) fn add(&self, mut lines: &[String]) -> Added {
        let (mut begins, mut fills) = (false, false);
        while !lines.is_empty() {
            match self.add_some(lines) {
                Ok(step) => {
                    lines = &lines[step.added..];
                    begins |= step.begins;
                    fills |= step.fills;
                }
                Err(kv::Error::Full) if self.drop_oldest() => {}
                Err(why) => {
                    self.lose(lines.len() as u64, &why.to_string());
                    break;
                }
            }
        }
        while self.waiting() > self.most_batches && self.drop_oldest() {}
        match (fills, begins && self.waiting() == 1) {
            (true, _) => Added::Full,
            (false, true) => Added::First,
            (false, false) => Added::Behind,
        }
    }

    /// The oldest batch and where it lies. From now on it does not change.
    pub(crate) fn oldest(&self) -> Option<(String, Batch)> {
        loop {
            let place = first()?;
            let kept = kv::get(&place).ok()?;
            let Some(batch) = kept.as_deref().and_then(Batch::from_bytes) else {
                kv::delete(&place).ok()?;
                continue;
            };
            if batch.is_sealed {
                return Some((place, batch));
            }
            let lost = kv::add(LOST, 0, None).unwrap_or_default();
            let sealed = batch.sealed(u64::try_from(lost).unwrap_or_default());
            match kv::swap(&place, kept.as_deref(), &sealed.to_bytes()) {
                Ok(true) => {
                    _ = kv::add(LOST, -lost, None);
                    return Some((place, sealed));
                }
                // It has grown, or it is gone.
                Ok(false) => {}
                // There is less room than there was.
                Err(_) if self.drop_oldest() => {}
                Err(_) => return None,
            }
        }
    }

    /// The oldest batch could not be delivered, once more. How often that was.
    pub(crate) fn failed(&self) -> u32 {
        kv::add(TRIES, 1, None).ok().and_then(|tries| u32::try_from(tries).ok()).unwrap_or(1)
    }

    /// Whether the oldest batch waits for its next try.
    pub(crate) fn is_failing(&self) -> bool {
        matches!(kv::get(TRIES), Ok(Some(_)))
    }

    /// What was delivered, or will never be.
    pub(crate) fn remove(&self, place: &str) {
        _ = kv::delete(TRIES);
        if let Err(why) = kv::delete(place) {
            warn!("a batch that is done could not be removed", why);
        }
    }

    /// Counts events that will not be delivered. The next batch tells of them.
    pub(crate) fn lose(&self, events: u64, why: &str) {
        if events == 0 {
            return;
        }
        metrics::count("webhook_lost", events, &[]);
        let delta = i64::try_from(events).unwrap_or(i64::MAX);
        // One line until somebody has been told.
        if kv::add(LOST, delta, None).is_ok_and(|total| total != delta) {
            return;
        }
        warn!("events are lost", events, why);
    }

    /// Batches that wait. Behind the second, which may be the oldest that can be dropped, there are no gaps.
    pub(crate) fn waiting(&self) -> i64 {
        let number = |place: &str| i64::from_str_radix(place.strip_prefix(BATCH)?, 16).ok();
        match &kv::keys(BATCH, None, 2).unwrap_or_default()[..] {
            [] => 0,
            [_] => 1,
            [_, second, ..] => {
                let behind = number(second).zip(last().ok()).map_or(0, |(second, last)| last - second);
                behind.max(0).saturating_add(2)
            }
        }
    }

    /// Whether the oldest batch has all that it can have.
    pub(crate) fn is_due(&self) -> bool {
        let oldest = || Batch::from_bytes(&kv::get(&first()?).ok()??);
        self.waiting() > 1 || oldest().is_some_and(|batch| batch.is_sealed || batch.len() >= self.most_events)
    }

    /// Adds to the last batch, or begins another. Nothing is added if the other side was faster.
    fn add_some(&self, lines: &[String]) -> Result<Step, kv::Error> {
        let last = last()?;
        let kept = kv::get(&place(last))?;
        let open = kept.as_deref().and_then(Batch::from_bytes);
        let open = open.filter(|batch| !batch.is_sealed && batch.len() < self.most_events);
        let begins = open.is_none();
        let (place, old) = if begins { (place(last + 1), None) } else { (place(last), kept.as_deref()) };
        let batch = open.unwrap_or_else(Batch::new);
        let added = lines.len().min(self.most_events - batch.len());
        let batch = batch.with(&lines[..added]);
        let done = kv::swap(&place, old, &batch.to_bytes())?;
        let counted = if begins { kv::add(LAST, 1, None) } else { Ok(last) };
        if done {
            // Should it not be counted, it is found when the next one is to lie there.
            return Ok(Step { added, begins, fills: batch.len() == self.most_events });
        }
        counted.map(|_| Step::default())
    }

    /// One that is under way for the first time is no longer here to be dropped. False: there is no other.
    fn drop_oldest(&self) -> bool {
        for place in kv::keys(BATCH, None, 2).unwrap_or_default() {
            let batch = kv::get(&place).ok().flatten().and_then(|kept| Batch::from_bytes(&kept));
            if batch.as_ref().is_some_and(|batch| batch.is_sealed) && !self.is_failing() {
                continue;
            }
            let is_gone = kv::delete(&place) == Ok(true);
            if let Some(batch) = batch.filter(|_| is_gone) {
                self.lose(batch.len() as u64, "too many wait");
                // What it would have told of is not told yet.
                _ = kv::add(LOST, i64::try_from(batch.lost).unwrap_or_default(), None);
            }
            return is_gone;
        }
        false
    }
}

fn place(number: i64) -> String {
    format!("{BATCH}{number:016x}")
}

/// Where the oldest batch lies.
fn first() -> Option<String> {
    kv::keys(BATCH, None, 1).ok()?.pop()
}

fn last() -> Result<i64, kv::Error> {
    kv::add(LAST, 0, None)
}
