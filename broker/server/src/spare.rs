//! Buffers that nobody needs just now, kept by each thread: an idle connection holds none, and a busy one need not ask the allocator for ever
//! larger ones.

use parking_lot::Mutex;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, Ordering},
};
use tidegate_session::Delivery;

/// Deliveries that a queue or list may have room for, or it is not kept.
const ROOM: usize = 512;
/// Deliveries that all spare queues of a thread may have room for: 0.6 MB.
const ROOM_OF_THREAD: usize = 8 * 1024;
/// As much of those that threads have left for others.
const ROOM_OF_COMMON: usize = 2 * ROOM_OF_THREAD;

thread_local! {
    static SPARE_QUEUES: RefCell<Queues> = const { RefCell::new(Queues::new()) };
    static SPARE_LIST: Cell<Vec<Delivery>> = const { Cell::new(Vec::new()) };
}

/// A publisher's thread fills queues that receivers' threads empty: what these have too many of, that one needs.
static COMMON: Mutex<Queues> = Mutex::new(Queues::new());
/// Whether there is any, so that nobody waits for the lock in vain.
static COMMON_HAS_SOME: AtomicBool = AtomicBool::new(false);

/// Empty queues.
#[derive(Debug)]
struct Queues {
    queues: Vec<VecDeque<Delivery>>,
    /// Of all of them.
    room: usize,
}

impl Queues {
    const fn new() -> Self {
        Self { queues: Vec::new(), room: 0 }
    }

    fn push(&mut self, queue: VecDeque<Delivery>) {
        self.room += queue.capacity();
        self.queues.push(queue);
    }

    fn pop(&mut self) -> Option<VecDeque<Delivery>> {
        let queue = self.queues.pop()?;
        self.room -= queue.capacity();
        Some(queue)
    }

    /// Moves some over, until there is room for so many there.
    fn give(&mut self, to: &mut Self, until: usize) {
        while to.room < until
            && let Some(queue) = self.pop()
        {
            to.push(queue);
        }
    }

    /// From the thread's, or from what others have left.
    fn take(&mut self) -> Option<VecDeque<Delivery>> {
        if self.queues.is_empty() && COMMON_HAS_SOME.load(Ordering::Relaxed) {
            let mut common = COMMON.lock();
            common.give(self, ROOM_OF_THREAD / 2);
            COMMON_HAS_SOME.store(!common.queues.is_empty(), Ordering::Relaxed);
        }
        self.pop()
    }

    /// Keeps it; if there are too many, half of them are left for others.
    fn keep(&mut self, queue: VecDeque<Delivery>) {
        self.push(queue);
        if self.room <= ROOM_OF_THREAD {
            return;
        }
        let mut kept = Self::new();
        self.give(&mut kept, ROOM_OF_THREAD / 2);
        let mut left = std::mem::replace(self, kept);
        let mut common = COMMON.lock();
        left.give(&mut common, ROOM_OF_COMMON);
        COMMON_HAS_SOME.store(true, Ordering::Relaxed);
    }
}

/// Appends to a queue that has no memory while it is empty.
pub(crate) fn push_back(queue: &mut VecDeque<Delivery>, delivery: Delivery) {
    if queue.capacity() == 0
        && let Some(spare) = SPARE_QUEUES.with_borrow_mut(Queues::take)
    {
        *queue = spare;
    }
    queue.push_back(delivery);
}

/// Takes a queue's memory, and what is in it.
pub(crate) fn release(queue: &mut VecDeque<Delivery>) {
    let mut queue = std::mem::take(queue);
    if (1..=ROOM).contains(&queue.capacity()) {
        queue.clear();
        SPARE_QUEUES.with_borrow_mut(|spare| spare.keep(queue));
    }
}

/// An empty list. Given back to the thread it is dropped on.
pub(crate) struct List(Vec<Delivery>);

impl List {
    pub(crate) fn take() -> Self {
        Self(SPARE_LIST.take())
    }
}

impl Deref for List {
    type Target = Vec<Delivery>;
    fn deref(&self) -> &Vec<Delivery> {
        &self.0
    }
}

impl DerefMut for List {
    fn deref_mut(&mut self) -> &mut Vec<Delivery> {
        &mut self.0
    }
}

impl Drop for List {
    fn drop(&mut self) {
        self.0.clear();
        if self.0.capacity() <= ROOM {
            SPARE_LIST.set(std::mem::take(&mut self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_thread_has_too_much_of_another_finds() {
        let queue = || VecDeque::with_capacity(ROOM);
        let mut rich = Queues::new();
        for _ in 0..10 * ROOM_OF_THREAD / ROOM {
            rich.keep(queue());
            assert!(rich.room <= ROOM_OF_THREAD);
        }
        assert!(COMMON.lock().room <= ROOM_OF_COMMON + ROOM);
        let mut poor = Queues::new();
        assert!(poor.take().is_some_and(|queue| queue.capacity() >= ROOM));
        assert!(poor.room <= ROOM_OF_THREAD);
        while poor.take().is_some() {}
        assert!(!COMMON_HAS_SOME.load(Ordering::Relaxed));
        assert_eq!(COMMON.lock().room, 0);
    }
}
