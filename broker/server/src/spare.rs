//! Buffers that nobody needs just now, kept by each thread: an idle connection holds none, and a busy one need not ask the allocator for ever
//! larger ones.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    ops::{Deref, DerefMut},
};
use tidegate_session::Delivery;

/// Queues kept a thread.
const QUEUES: usize = 16;
/// Deliveries that a queue or list may have room for, or it is not kept.
const ROOM: usize = 512;

thread_local! {
    static SPARE_QUEUES: RefCell<Vec<VecDeque<Delivery>>> = const { RefCell::new(Vec::new()) };
    static SPARE_LIST: Cell<Vec<Delivery>> = const { Cell::new(Vec::new()) };
}

/// Appends to a queue that has no memory while it is empty.
pub(crate) fn push_back(queue: &mut VecDeque<Delivery>, delivery: Delivery) {
    if queue.capacity() == 0
        && let Some(spare) = SPARE_QUEUES.with_borrow_mut(Vec::pop)
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
        SPARE_QUEUES.with_borrow_mut(|spare| {
            if spare.len() < QUEUES {
                spare.push(queue);
            }
        });
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
