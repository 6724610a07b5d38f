//! What waits for one session: the only way others reach it. Bounded in messages and bytes, of each session and of all.

use crate::spare;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};
use tidegate_mqtt::{QoS, ReasonCode};
use tidegate_session::Delivery;
use tidegate_store::{QueuePage, WaitingOnDisk};
use tokio::sync::oneshot;

/// What happens to QoS 1 and 2 messages for a session whose queue is full.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueFull {
    /// The new message is dropped for this session.
    #[default]
    DropNewest,
    /// The message that has waited longest is dropped for this session.
    DropOldest,
    /// The session's connection is closed (0x97), and the new message dropped for it.
    Disconnect,
}

/// Bounds of a mailbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) queue_full: QueueFull,
}

/// Bytes that all mailboxes together may hold. Mailboxes take from it in pieces, so that it is not touched by every message.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { left: AtomicUsize::new(bytes) }
    }

    pub(crate) fn take(&self, bytes: usize) -> bool {
        let taken =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.is_ok()
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        // All cores share this counter: most have nothing to give, and then it is not touched.
        if bytes > 0 {
            self.left.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

/// Each mailbox may hold this much without asking the [`Budget`].
const FREE_BYTES: usize = 16 * 1024;
/// Stored messages are in memory up to this much, so that a client that keeps up never waits for the disk.
const IN_MEMORY_BYTES: usize = 256 * 1024;
/// What a mailbox takes from the [`Budget`] at once.
const PIECE_BYTES: usize = 64 * 1024;

/// What the broker wants of a connection.
#[derive(Debug)]
pub(crate) enum Command {
    /// Another connection wants the session: end, leave it behind, then drop the sender.
    TakeOver { new_session: bool, left: oneshot::Sender<()> },
    /// End with this reason.
    Disconnect { reason: ReasonCode, text: &'static str },
    /// Ask again whether the subscriptions are allowed.
    Reauthorize,
    /// What plugins have answered so far is worth nothing any more.
    ForgetAnswers,
}

/// What became of a delivery put into a mailbox.
#[derive(Debug)]
pub(crate) enum Posted {
    /// It waits.
    Queued,
    /// It waits, and the queue is more than half full: the publisher may let others run first.
    Congested,
    /// Dropped: this one, or the one that waited longest.
    Dropped(Delivery),
    /// It waits, and the one that waited longest is to be dropped from disk: by whoever is told so, see [`Mailbox::excess`].
    MustTrim,
    /// Nobody is connected, and QoS 0 does not wait.
    Offline,
}

/// Whether a session can take a message now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Readiness {
    /// At once, as far as we see.
    Free,
    /// Connected, but it does not keep up: its window is full, or much waits already.
    Slow,
    /// Nobody is connected, or the queue is full.
    Unable,
}

/// What waits for one session.
#[derive(Debug)]
pub(crate) struct Mailbox {
    waiting: Mutex<Waiting>,
    allowance: Arc<Allowance>,
}

/// The same for all mailboxes.
#[derive(Debug)]
pub(crate) struct Allowance {
    pub(crate) bounds: Bounds,
    pub(crate) budget: Arc<Budget>,
}

#[derive(Debug, Default)]
struct Waiting {
    connected: bool,
    /// The client's window is full, or it reads nothing.
    stalled: bool,
    /// QoS 0: goes out whatever the client's window.
    at_most_once: VecDeque<Delivery>,
    /// QoS 1 and 2: wait for room in the client's window.
    at_least_once: VecDeque<Delivery>,
    bytes: usize,
    from_budget: usize,
    /// Stored messages that are not in memory. In a box: few sessions have any.
    on_disk: Option<Box<OnDisk>>,
    /// Up to this position everything that is on disk has been in memory.
    loaded_to: u64,
    commands: Vec<Command>,
    /// The connection is to look: a queue has gone from empty to non-empty, or there is a command.
    told: bool,
    /// Of the connection.
    waker: Option<Waker>,
    /// It waits to be told: who looks by itself need not be woken.
    waits: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct OnDisk {
    waiting: WaitingOnDisk,
    /// How many of the oldest are to be dropped.
    excess: usize,
    /// Somebody drops them.
    is_trimmed: bool,
}

impl Mailbox {
    pub(crate) fn new(allowance: Arc<Allowance>) -> Self {
        Self { waiting: Mutex::default(), allowance }
    }

    /// Ready when the connection is to look what there is. One connection waits at a time.
    pub(crate) fn poll_told(&self, context: &Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting.lock();
        if std::mem::take(&mut waiting.told) {
            return Poll::Ready(());
        }
        if !waiting.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            waiting.waker = Some(context.waker().clone());
        }
        waiting.waits = true;
        Poll::Pending
    }

    pub(crate) fn post(&self, delivery: Delivery) -> Posted {
        let mut waiting = self.waiting.lock();
        let bounds = &self.allowance.bounds;
        let qos0 = delivery.qos == QoS::AtMostOnce;
        if qos0 && !waiting.connected {
            return Posted::Offline;
        }
        let cost = cost(&delivery);
        let mut dropped = None;
        let stored = delivery.stored.map(|stored| stored.position());
        if stored.is_some_and(|position| position <= waiting.loaded_to) {
            // A page brought it before its publisher did.
            return Posted::Queued;
        }
        // What is stored need not be in memory as well, unless it can go out soon.
        let on_disk = stored.filter(|_| {
            !waiting.connected || waiting.on_disk.is_some() || waiting.bytes + cost > IN_MEMORY_BYTES
        });
        let fits = match on_disk {
            Some(_) => waiting.has_place(cost, bounds),
            None => waiting.fits(cost, &self.allowance),
        };
        if !fits {
            match bounds.queue_full {
                QueueFull::DropOldest if !qos0 && !waiting.at_least_once.is_empty() => {
                    dropped = waiting.at_least_once.pop_front();
                    let freed = dropped.as_ref().map_or(0, self::cost);
                    waiting.bytes -= freed;
                    if !waiting.fits(cost, &self.allowance) {
                        waiting.bytes += freed;
                        waiting.at_least_once.extend(dropped);
                        waiting.at_least_once.rotate_right(1);
                        return Posted::Dropped(delivery);
                    }
                }
                QueueFull::DropOldest if on_disk.is_some() && waiting.on_disk.is_some() => {
                    let on_disk = waiting.on_disk.get_or_insert_default();
                    on_disk.excess += 1;
                    on_disk.waiting.messages -= on_disk.waiting.messages.min(1);
                    on_disk.waiting.bytes -= on_disk.waiting.bytes.min(cost);
                    waiting.note_on_disk(stored.unwrap_or_default(), cost);
                    return match waiting.on_disk.as_mut().filter(|on_disk| !on_disk.is_trimmed) {
                        Some(on_disk) => {
                            on_disk.is_trimmed = true;
                            Posted::MustTrim
                        }
                        None => Posted::Queued,
                    };
                }
                // A client that is away cannot be disconnected, and one that is told so is told once.
                QueueFull::Disconnect if !qos0 && waiting.connected && waiting.commands.is_empty() => {
                    let full =
                        Command::Disconnect { reason: ReasonCode::QuotaExceeded, text: "the queue is full" };
                    waiting.commands.push(full);
                    tell(waiting);
                    return Posted::Dropped(delivery);
                }
                _ => return Posted::Dropped(delivery),
            }
        }
        if let Some(position) = on_disk {
            let wakes = waiting.connected && waiting.at_least_once.is_empty();
            waiting.note_on_disk(position, cost);
            let congested = waiting.connected;
            if wakes {
                tell(waiting);
            }
            return match dropped {
                Some(dropped) => Posted::Dropped(dropped),
                None if congested => Posted::Congested,
                None => Posted::Queued,
            };
        }
        waiting.bytes += cost;
        // Each queue wakes by itself: QoS 0 goes out even where QoS 1 and 2 wait for the client's window.
        let queue = if qos0 { &mut waiting.at_most_once } else { &mut waiting.at_least_once };
        let was_empty = queue.is_empty();
        spare::push_back(queue, delivery);
        let congested = waiting.connected && waiting.len() * 2 > bounds.messages.min(CONGESTED_FROM * 2);
        if was_empty {
            tell(waiting);
        }
        match dropped {
            Some(dropped) => Posted::Dropped(dropped),
            None if congested => Posted::Congested,
            None => Posted::Queued,
        }
    }

    /// What a shared subscription looks for: who can take a message.
    pub(crate) fn readiness(&self) -> Readiness {
        let waiting = self.waiting.lock();
        let full = !waiting.has_place(1, &self.allowance.bounds);
        match () {
            () if !waiting.connected || full => Readiness::Unable,
            () if waiting.on_disk.is_some() || waiting.stalled || waiting.len() >= BUSY_FROM => {
                Readiness::Slow
            }
            () => Readiness::Free,
        }
    }

    /// Takes out messages of shared subscriptions that were not sent yet, if `taken` says that another of the group has them now.
    pub(crate) fn hand_over(&self, mut taken: impl FnMut(&Delivery) -> bool) {
        let shared: Vec<Delivery> = {
            let waiting = self.waiting.lock();
            let queued = waiting.at_least_once.iter().chain(&waiting.at_most_once);
            queued.filter(|delivery| delivery.group.is_some()).cloned().collect()
        };
        // One group gives a message to a session once.
        let key = |delivery: &Delivery| {
            delivery.group.as_ref().map(|group| (Arc::as_ptr(&delivery.message), Arc::as_ptr(group)))
        };
        // Asked without the lock: the others have mailboxes too.
        let gone: HashSet<_> = shared.iter().filter(|delivery| taken(delivery)).filter_map(key).collect();
        if gone.is_empty() {
            return;
        }
        let stays = |delivery: &Delivery| key(delivery).is_none_or(|key| !gone.contains(&key));
        let mut waiting = self.waiting.lock();
        waiting.at_least_once.retain(stays);
        waiting.at_most_once.retain(stays);
        waiting.bytes = waiting.at_least_once.iter().chain(&waiting.at_most_once).map(cost).sum();
    }

    /// Messages and bytes that wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let waiting = self.waiting.lock();
        let on_disk = waiting.on_disk();
        (waiting.len() + on_disk.messages, waiting.bytes + on_disk.bytes)
    }

    /// What is left of a run before this one.
    pub(crate) fn recover(&self, waiting: WaitingOnDisk) {
        if waiting.messages > 0 {
            self.waiting.lock().on_disk = Some(Box::new(OnDisk { waiting, ..OnDisk::default() }));
        }
    }

    /// Where the next page begins, if what was in memory has gone out, more is on disk, and nobody drops of it just now.
    pub(crate) fn wanted_page(&self) -> Option<u64> {
        let waiting = self.waiting.lock();
        waiting.page_from().filter(|_| waiting.connected && waiting.at_least_once.is_empty())
    }

    /// Whether a page that begins there is still the next: none of it was dropped while it was read.
    pub(crate) fn wants_page(&self, from: u64) -> bool {
        self.waiting.lock().page_from() == Some(from)
    }

    /// Takes the page that was wanted into memory, but for what `is_open`: it is on its way to the client already.
    pub(crate) fn add_page(&self, page: QueuePage, is_open: impl Fn(&Delivery) -> bool) {
        let mut waiting = self.waiting.lock();
        let QueuePage { deliveries, last, is_end, .. } = page;
        let (mut messages, mut bytes) = (0, 0);
        for delivery in deliveries.into_iter().filter(|delivery| !is_open(delivery)) {
            messages += 1;
            bytes += cost(&delivery);
            waiting.at_least_once.push_back(delivery);
        }
        waiting.bytes += bytes;
        waiting.passed_on_disk(last, is_end, messages, bytes);
    }

    /// How many of the oldest on disk are to be dropped, and from where; None: none any more.
    pub(crate) fn excess(&self) -> Option<(u64, usize)> {
        let mut waiting = self.waiting.lock();
        let on_disk = waiting.on_disk.as_mut()?;
        if on_disk.excess == 0 {
            drop(waiting);
            self.end_trimming();
            return None;
        }
        Some((on_disk.waiting.from, on_disk.excess))
    }

    /// Whoever is told next that there is too much drops it.
    pub(crate) fn end_trimming(&self) {
        let mut waiting = self.waiting.lock();
        if let Some(on_disk) = &mut waiting.on_disk {
            on_disk.is_trimmed = false;
        }
        // Whoever wanted a page had to wait.
        tell(waiting);
    }

    /// So many of the oldest were dropped, all up to this position.
    pub(crate) fn trimmed(&self, dropped: usize, last: u64, is_end: bool) {
        let mut waiting = self.waiting.lock();
        if let Some(on_disk) = &mut waiting.on_disk {
            on_disk.excess = if is_end { 0 } else { on_disk.excess - dropped.min(on_disk.excess) };
            on_disk.waiting.from = last + 1;
        }
        waiting.loaded_to = waiting.loaded_to.max(last);
    }

    /// What is stored leaves memory: nobody takes it for now. `back`: what was taken out and did not go out.
    pub(crate) fn rest(&self, back: Vec<Delivery>) {
        let mut waiting = self.waiting.lock();
        let (stored, others): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut waiting.at_least_once).into_iter().partition(|one| one.stored.is_some());
        waiting.at_least_once = others;
        for delivery in back.into_iter().chain(stored) {
            if let Some(stored) = delivery.stored {
                waiting.note_on_disk(stored.position(), cost(&delivery));
            } else if delivery.qos > QoS::AtMostOnce {
                waiting.at_least_once.push_back(delivery);
            }
        }
        waiting.bytes = waiting.at_least_once.iter().chain(&waiting.at_most_once).map(cost).sum();
        if waiting.is_empty() {
            waiting.release(&self.allowance.budget);
        }
    }

    pub(crate) fn command(&self, command: Command) {
        let mut waiting = self.waiting.lock();
        waiting.commands.push(command);
        tell(waiting);
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        let mut waiting = self.waiting.lock();
        waiting.connected = connected;
        waiting.stalled = false;
        if !connected {
            waiting.waker = None;
            waiting.at_most_once = VecDeque::new();
            waiting.bytes = waiting.at_least_once.iter().map(cost).sum();
        }
    }

    /// The next command, and up to `limit` deliveries: QoS 1 and 2 only as far as `room` goes.
    pub(crate) fn collect(
        &self,
        limit: usize,
        room: usize,
        deliveries: &mut Vec<Delivery>,
    ) -> Option<Command> {
        let mut waiting = self.waiting.lock();
        if !waiting.commands.is_empty() {
            return Some(waiting.commands.remove(0));
        }
        if limit > 0 {
            // This is a look: what comes from now on is told anew.
            waiting.told = false;
            waiting.waits = false;
        }
        let acknowledged = limit.min(room).min(waiting.at_least_once.len());
        deliveries.extend(waiting.at_least_once.drain(..acknowledged));
        waiting.stalled = room == acknowledged;
        let qos0 = (limit - acknowledged).min(waiting.at_most_once.len());
        deliveries.extend(waiting.at_most_once.drain(..qos0));
        waiting.bytes -= deliveries.iter().map(cost).sum::<usize>();
        if waiting.is_empty() {
            waiting.release(&self.allowance.budget);
        }
        None
    }

    /// Everything that waits in memory, and whether there is more on disk: the session is over.
    pub(crate) fn take_all(&self) -> (Vec<Delivery>, bool) {
        let mut waiting = self.waiting.lock();
        let mut all: Vec<_> = std::mem::take(&mut waiting.at_least_once).into();
        all.extend(std::mem::take(&mut waiting.at_most_once));
        waiting.release(&self.allowance.budget);
        (all, waiting.on_disk.take().is_some())
    }

    /// Commands nobody will carry out any more; dropping them tells who waits.
    pub(crate) fn drop_commands(&self) {
        self.waiting.lock().commands.clear();
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.waiting.get_mut().release(&self.allowance.budget);
    }
}

/// Messages from which on a publisher yields between batches.
const CONGESTED_FROM: usize = 1024;
/// Messages from which on a shared subscription prefers others.
const BUSY_FROM: usize = 64;

/// The connection is to look; told when nobody holds the lock any more.
fn tell(mut waiting: MutexGuard<'_, Waiting>) {
    waiting.told = true;
    let waker = if std::mem::take(&mut waiting.waits) { waiting.waker.take() } else { None };
    drop(waiting);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn cost(delivery: &Delivery) -> usize {
    delivery.message.cost() + size_of::<Delivery>()
}

impl Waiting {
    fn len(&self) -> usize {
        self.at_most_once.len() + self.at_least_once.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn has_place(&self, cost: usize, bounds: &Bounds) -> bool {
        let on_disk = self.on_disk();
        self.len() + on_disk.messages < bounds.messages && self.bytes + on_disk.bytes + cost <= bounds.bytes
    }

    fn on_disk(&self) -> WaitingOnDisk {
        self.on_disk.as_ref().map(|on_disk| on_disk.waiting).unwrap_or_default()
    }

    fn note_on_disk(&mut self, position: u64, cost: usize) {
        // Positions are given before messages are posted: one before this may come later.
        let none = WaitingOnDisk { from: self.loaded_to + 1, ..WaitingOnDisk::default() };
        let new = || Box::new(OnDisk { waiting: none, ..OnDisk::default() });
        let waiting = &mut self.on_disk.get_or_insert_with(new).waiting;
        waiting.from = waiting.from.min(position);
        waiting.last = waiting.last.max(position);
        waiting.messages += 1;
        waiting.bytes += cost;
    }

    fn page_from(&self) -> Option<u64> {
        self.on_disk.as_ref().filter(|on_disk| !on_disk.is_trimmed).map(|on_disk| on_disk.waiting.from)
    }

    /// Everything up to `last` is in memory, or was.
    fn passed_on_disk(&mut self, last: u64, is_end: bool, messages: usize, bytes: usize) {
        self.loaded_to = self.loaded_to.max(last);
        let Some(on_disk) = &mut self.on_disk else { return };
        let waiting = &mut on_disk.waiting;
        if is_end && waiting.last <= last {
            self.on_disk = None;
            return;
        }
        waiting.from = last + 1;
        // Some were read before they were counted: at least one is left.
        waiting.messages = waiting.messages.saturating_sub(messages).max(1);
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
    }

    fn fits(&mut self, cost: usize, allowance: &Allowance) -> bool {
        if !self.has_place(cost, &allowance.bounds) {
            return false;
        }
        let missing = (self.bytes + cost).saturating_sub(FREE_BYTES + self.from_budget);
        let pieces = missing.div_ceil(PIECE_BYTES) * PIECE_BYTES;
        if pieces > 0 && !allowance.budget.take(pieces) {
            return false;
        }
        self.from_budget += pieces;
        true
    }

    fn release(&mut self, budget: &Budget) {
        self.bytes = 0;
        budget.give_back(std::mem::take(&mut self.from_budget));
        // An idle session holds no buffer.
        spare::release(&mut self.at_most_once);
        spare::release(&mut self.at_least_once);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_mqtt::{HomeId, Message, MessageId, Timestamp, TopicName};
    use tidegate_session::Stored;

    fn delivery(sequence: u64, qos: QoS) -> Delivery {
        let message = Message {
            id: MessageId { home: HomeId::LOCAL, sequence },
            topic: TopicName::new("t").unwrap(),
            payload: vec![0; 1000].into(),
            qos,
            retain: false,
            properties: None,
            publisher: None,
            origin: None,
            accepted_at: Timestamp(0),
            heads: Default::default(),
        };
        Delivery {
            message: Arc::new(message),
            qos,
            retain: false,
            identifiers: Default::default(),
            group: None,
            stored: None,
        }
    }

    fn mailbox(messages: usize, bytes: usize, queue_full: QueueFull, budget: &Arc<Budget>) -> Mailbox {
        let mailbox = Mailbox::new(Arc::new(Allowance {
            bounds: Bounds { messages, bytes, queue_full },
            budget: budget.clone(),
        }));
        mailbox.set_connected(true);
        mailbox
    }

    fn sequences(mailbox: &Mailbox, room: usize) -> Vec<u64> {
        let mut deliveries = Vec::new();
        assert!(mailbox.collect(100, room, &mut deliveries).is_none());
        deliveries.iter().map(|delivery| delivery.message.id.sequence).collect()
    }

    #[test]
    fn qos0_goes_out_though_the_window_is_closed() {
        let mailbox = mailbox(10, 1 << 20, QueueFull::DropNewest, &Arc::new(Budget::new(1 << 20)));
        mailbox.post(delivery(1, QoS::AtLeastOnce));
        mailbox.post(delivery(2, QoS::AtMostOnce));
        mailbox.post(delivery(3, QoS::AtLeastOnce));
        assert_eq!(sequences(&mailbox, 0), [2]);
        assert_eq!(sequences(&mailbox, 1), [1]);
        assert_eq!(sequences(&mailbox, 9), [3]);
    }

    #[test]
    fn a_full_queue_drops_by_policy() {
        let budget = Arc::new(Budget::new(1 << 20));
        let newest = mailbox(2, 1 << 20, QueueFull::DropNewest, &budget);
        let oldest = mailbox(2, 1 << 20, QueueFull::DropOldest, &budget);
        let disconnect = mailbox(2, 1 << 20, QueueFull::Disconnect, &budget);
        for mailbox in [&newest, &oldest, &disconnect] {
            mailbox.post(delivery(1, QoS::AtLeastOnce));
            mailbox.post(delivery(2, QoS::AtLeastOnce));
        }
        let dropped = |mailbox: &Mailbox| match mailbox.post(delivery(3, QoS::AtLeastOnce)) {
            Posted::Dropped(dropped) => dropped.message.id.sequence,
            other => panic!("{other:?}"),
        };
        assert_eq!((dropped(&newest), dropped(&oldest), dropped(&disconnect)), (3, 1, 3));
        assert_eq!(sequences(&newest, 9), [1, 2]);
        assert_eq!(sequences(&oldest, 9), [2, 3]);
        let command = disconnect.collect(9, 9, &mut Vec::new());
        assert!(matches!(command, Some(Command::Disconnect { reason: ReasonCode::QuotaExceeded, .. })));
    }

    #[test]
    fn bytes_are_bounded_for_each_and_for_all_and_given_back() {
        let budget = Arc::new(Budget::new(2 * PIECE_BYTES));
        let one = mailbox(10_000, 1 << 30, QueueFull::DropNewest, &budget);
        let two = mailbox(10_000, 30_000, QueueFull::DropNewest, &budget);
        let fill = |mailbox: &Mailbox| {
            (0..)
                .take_while(|n| !matches!(mailbox.post(delivery(*n, QoS::AtLeastOnce)), Posted::Dropped(_)))
                .count()
        };
        let each = cost(&delivery(1, QoS::AtLeastOnce));
        assert_eq!(fill(&one), (2 * PIECE_BYTES + FREE_BYTES) / each);
        assert_eq!(fill(&two), FREE_BYTES / each);
        one.take_all();
        assert_eq!(fill(&two) + FREE_BYTES / each, 30_000 / each);
        drop(two);
        assert_eq!(budget.left.load(Ordering::Relaxed), 2 * PIECE_BYTES);
    }

    #[test]
    fn a_client_whose_window_is_full_is_slow_and_one_that_is_away_is_unable() {
        let mailbox = mailbox(10, 1 << 20, QueueFull::DropNewest, &Arc::new(Budget::new(1 << 20)));
        assert_eq!(mailbox.readiness(), Readiness::Free);
        mailbox.post(delivery(1, QoS::AtLeastOnce));
        assert_eq!(sequences(&mailbox, 0), [] as [u64; 0]);
        assert_eq!(mailbox.readiness(), Readiness::Slow);
        assert_eq!(sequences(&mailbox, 2), [1]);
        assert_eq!(mailbox.readiness(), Readiness::Free);
        mailbox.post(delivery(2, QoS::AtLeastOnce));
        assert_eq!(sequences(&mailbox, 1), [2]);
        assert_eq!(mailbox.readiness(), Readiness::Slow);
        mailbox.set_connected(false);
        assert_eq!(mailbox.readiness(), Readiness::Unable);
    }

    #[test]
    fn only_messages_of_shared_subscriptions_are_handed_over() {
        let mailbox = mailbox(10, 1 << 20, QueueFull::DropNewest, &Arc::new(Budget::new(1 << 20)));
        let group = Some(Arc::new(tidegate_mqtt::SubscriptionFilter::new("$share/g/t").unwrap()));
        mailbox.post(delivery(1, QoS::AtLeastOnce));
        mailbox.post(Delivery { group: group.clone(), ..delivery(2, QoS::AtLeastOnce) });
        mailbox.post(Delivery { group, ..delivery(3, QoS::AtMostOnce) });
        let mut offered = Vec::new();
        mailbox.hand_over(|delivery| {
            offered.push(delivery.message.id.sequence);
            delivery.message.id.sequence == 2
        });
        assert_eq!(offered, [2, 3]);
        assert_eq!(sequences(&mailbox, 9), [1, 3]);
    }

    fn stored(position: u64) -> Delivery {
        Delivery { stored: Some(Stored::new(position, false)), ..delivery(position, QoS::AtLeastOnce) }
    }

    fn page(positions: &[u64], last: u64, is_end: bool) -> QueuePage {
        let deliveries = positions.iter().map(|position| stored(*position)).collect();
        QueuePage { deliveries, last, is_end, released: Vec::new() }
    }

    #[test]
    fn what_is_stored_for_a_client_that_is_away_takes_no_memory_and_comes_in_pages() {
        let budget = Arc::new(Budget::new(0));
        let mailbox = mailbox(10, 1 << 20, QueueFull::DropNewest, &budget);
        mailbox.set_connected(false);
        (1..=5).for_each(|position| assert!(matches!(mailbox.post(stored(position)), Posted::Queued)));
        assert_eq!((mailbox.waiting().0, mailbox.wanted_page()), (5, None));
        mailbox.set_connected(true);
        assert_eq!(mailbox.wanted_page(), Some(1));
        mailbox.add_page(page(&[1, 2], 2, false), |_| false);
        assert_eq!((sequences(&mailbox, 9), mailbox.wanted_page()), (vec![1, 2], Some(3)));
        // One comes while the rest is read: it is on disk as well.
        mailbox.post(stored(6));
        mailbox.add_page(page(&[3, 4, 5], 5, true), |_| false);
        assert_eq!((sequences(&mailbox, 9), mailbox.wanted_page()), (vec![3, 4, 5], Some(6)));
        mailbox.add_page(page(&[6], 6, true), |_| false);
        assert_eq!(
            (sequences(&mailbox, 9), mailbox.wanted_page(), mailbox.waiting()),
            (vec![6], None, (0, 0))
        );
        mailbox.post(stored(7));
        assert_eq!(sequences(&mailbox, 9), [7]);
    }

    #[test]
    fn what_a_page_brought_before_its_publisher_did_comes_once_and_nothing_is_passed_over() {
        let mailbox = mailbox(10, 1 << 20, QueueFull::DropNewest, &Arc::new(Budget::new(1 << 20)));
        mailbox.set_connected(false);
        // 1 was given its position first, and is posted later.
        mailbox.post(stored(2));
        mailbox.set_connected(true);
        assert_eq!(mailbox.wanted_page(), Some(1));
        mailbox.add_page(page(&[1, 2, 3], 3, true), |one| one.message.id.sequence == 3);
        mailbox.post(stored(1));
        mailbox.post(stored(3));
        mailbox.post(stored(4));
        assert_eq!(sequences(&mailbox, 9), [1, 2, 4]);
    }

    #[test]
    fn what_was_in_memory_is_on_disk_only_when_the_client_leaves() {
        let mailbox = mailbox(10, 1 << 20, QueueFull::DropNewest, &Arc::new(Budget::new(1 << 20)));
        (1..=3).for_each(|position| drop(mailbox.post(stored(position))));
        mailbox.post(delivery(9, QoS::AtLeastOnce));
        assert_eq!(sequences(&mailbox, 1), [1]);
        mailbox.set_connected(false);
        mailbox.rest(vec![stored(1)]);
        mailbox.post(stored(4));
        mailbox.set_connected(true);
        assert_eq!(sequences(&mailbox, 9), [9]);
        assert_eq!((mailbox.waiting().0, mailbox.wanted_page()), (4, Some(1)));
    }

    #[test]
    fn the_oldest_on_disk_are_dropped_by_whoever_is_told() {
        let mailbox = mailbox(2, 1 << 20, QueueFull::DropOldest, &Arc::new(Budget::new(1 << 20)));
        mailbox.set_connected(false);
        (1..=2).for_each(|position| drop(mailbox.post(stored(position))));
        assert!(matches!(mailbox.post(stored(3)), Posted::MustTrim));
        assert!(matches!(mailbox.post(stored(4)), Posted::Queued));
        assert_eq!(mailbox.excess(), Some((1, 2)));
        mailbox.trimmed(2, 2, false);
        assert_eq!((mailbox.excess(), mailbox.waiting().0), (None, 2));
        mailbox.set_connected(true);
        assert_eq!(mailbox.wanted_page(), Some(3));
        mailbox.add_page(page(&[3, 4], 4, true), |_| false);
        assert_eq!(sequences(&mailbox, 9), [3, 4]);
    }

    #[test]
    fn v5_4_1_0_1_qos0_does_not_wait_for_a_client_that_is_away() {
        let mailbox = mailbox(10, 1 << 20, QueueFull::DropNewest, &Arc::new(Budget::new(1 << 20)));
        mailbox.post(delivery(1, QoS::AtMostOnce));
        mailbox.post(delivery(2, QoS::AtLeastOnce));
        mailbox.set_connected(false);
        assert!(matches!(mailbox.post(delivery(3, QoS::AtMostOnce)), Posted::Offline));
        mailbox.set_connected(true);
        assert_eq!(sequences(&mailbox, 9), [2]);
    }
}
