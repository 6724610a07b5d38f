//! Where callers find an instance: a slot for each worker thread, so that nobody waits and nothing is shared.

use super::{Instance, Mould};
use crate::tally::{Hook, Tallies};
use parking_lot::{Mutex, MutexGuard};
use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tidegate_hooks::FaultKind;

/// The slots of one generation.
pub(crate) struct Slots {
    slots: Box<[Slot]>,
    /// Longest a caller waits when every slot is busy.
    patience: Duration,
    /// Whether an empty slot may be filled on the caller's thread.
    init_is_quick: bool,
}

/// One slot. Apart from its neighbours in memory: each belongs to another core.
#[repr(align(128))]
pub(crate) struct Slot {
    instance: Mutex<Option<Instance>>,
    /// Of the calls made here. Written under the lock.
    pub(crate) tallies: Tallies,
}

/// A slot that holds an instance, locked.
pub(crate) struct Acquired<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) instance: MutexGuard<'a, Option<Instance>>,
}

/// Why a caller gets no instance.
pub(crate) enum Unavailable {
    /// All are taken, or the next one is still being made. Not the plugin's doing.
    NotNow(FaultKind),
    /// None can be made.
    Failed(FaultKind),
}

impl Slots {
    /// `init_took`: how long an instance takes to make. `longest_hold`: how long a slot may be busy with something else than a call.
    pub(crate) fn new(
        count: usize,
        hooks: &[Hook],
        deadline: Duration,
        init_took: Duration,
        longest_hold: Duration,
    ) -> Self {
        let slot = |_| Slot { instance: Mutex::default(), tallies: Tallies::new(hooks) };
        Self {
            slots: (0..count.max(1)).map(slot).collect(),
            patience: deadline * 2 + longest_hold,
            init_is_quick: init_took * 2 < deadline,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// What this thread counts outside of calls, apart from other threads as far as there are slots.
    pub(crate) fn own_tallies(&self) -> &Tallies {
        &self.slots[thread_number() % self.slots.len()].tallies
    }

    /// Whether slots are filled when they are first used. If not, they must be filled beforehand.
    pub(crate) fn fill_on_use(&self) -> bool {
        self.init_is_quick
    }

    /// A slot with an instance, best the one of this thread. `spare` gives an instance that is ready.
    pub(crate) fn acquire(
        &self,
        mould: &Mould,
        spare: impl Fn() -> Option<Instance>,
    ) -> Result<Acquired<'_>, Unavailable> {
        let own = thread_number() % self.slots.len();
        let (before, after) = self.slots.split_at(own);
        let slots = || after.iter().chain(before);
        let mut failed = None;
        let mut fill = |instance: &mut Option<Instance>| {
            if instance.is_none() {
                *instance = spare();
            }
            // Once is enough to see that none can be made.
            if instance.is_none() && self.init_is_quick && failed.is_none() {
                match mould.make_now(None) {
                    Ok(made) => *instance = Some(made),
                    Err(why) => failed = Some(FaultKind::from(why)),
                }
            }
            instance.is_some()
        };
        for slot in slots() {
            if let Some(mut instance) = slot.instance.try_lock()
                && fill(&mut instance)
            {
                return Ok(Acquired { slot, instance });
            }
        }
        // More threads than slots: whoever is ahead is done soon, one way or the other.
        let mut busy = false;
        for slot in slots() {
            let Some(mut instance) = slot.instance.try_lock_for(self.patience / slots().count() as u32)
            else {
                busy = true;
                continue;
            };
            if fill(&mut instance) {
                return Ok(Acquired { slot, instance });
            }
        }
        Err(match failed {
            Some(fault) => Unavailable::Failed(fault),
            None if busy => Unavailable::NotNow(FaultKind::Busy),
            None => Unavailable::NotNow(FaultKind::NoInstance("the next one is still being made".into())),
        })
    }
}

impl Slot {
    /// Puts an instance into it, if it is empty and free.
    pub(crate) fn fill(&self, instance: Instance) -> Option<Instance> {
        let Some(mut slot) = self.instance.try_lock() else { return Some(instance) };
        if slot.is_some() {
            return Some(instance);
        }
        *slot = Some(instance);
        None
    }

    /// Whether nobody is at work in it and no instance waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.instance.try_lock().is_some_and(|slot| slot.is_none())
    }

    /// Throws the instance away, unless it is at work.
    pub(crate) fn empty(&self) {
        if let Some(mut slot) = self.instance.try_lock() {
            *slot = None;
        }
    }

    pub(crate) fn lock_for(&self, patience: Duration) -> Option<MutexGuard<'_, Option<Instance>>> {
        self.instance.try_lock_for(patience)
    }
}

/// Threads that call are numbered as they come.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    NUMBER.with(|number| {
        if number.get() == usize::MAX {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}
