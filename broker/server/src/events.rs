//! What has happened, on its way to the hooks that want to know. Whoever tells it waits for nobody: it goes into a bounded list of the
//! thread, and one task carries it on. If nobody wants a kind, telling it costs one branch.

use crate::{clock, shared::Shared};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tidegate_hooks::{Event, EventKind, EventKinds, Hooks, Member};
use tidegate_plugin_host::{PluginReport, PluginState};
use tokio::{
    sync::{Notify, oneshot, watch},
    task::JoinSet,
};

/// Threads with lists of their own; more share them.
const SHARDS: usize = 16;
/// Events in one such list; the oldest goes if it is full.
const SHARD_EVENTS: usize = 4096;
/// Events in one call.
const BATCH: usize = 256;
/// Time in which events gather, so that few calls carry many.
const GATHER: Duration = Duration::from_millis(2);
/// Time for the last events when the broker stops.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Events that nobody has been told of yet.
#[derive(Debug)]
pub(crate) struct Events {
    /// Bits of [`EventKinds`].
    wanted: AtomicU32,
    shards: [Shard; SHARDS],
    lost: AtomicU64,
    waiting: Notify,
    began: Instant,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<VecDeque<(u64, Event)>>);

impl Default for Events {
    fn default() -> Self {
        Self {
            wanted: AtomicU32::new(0),
            shards: Default::default(),
            lost: AtomicU64::new(0),
            waiting: Notify::new(),
            began: Instant::now(),
        }
    }
}

impl Events {
    /// Only these kinds are worth telling from now on.
    pub(crate) fn want(&self, kinds: EventKinds) {
        self.wanted.store(kinds.bits(), Ordering::Relaxed);
    }

    /// Whether somebody wants to know.
    pub(crate) fn wants(&self, kind: EventKind) -> bool {
        EventKinds::bits_have(self.wanted.load(Ordering::Relaxed), kind)
    }

    /// Tells it; `fill` is asked only if somebody wants to know.
    pub(crate) fn tell(&self, kind: EventKind, fill: impl FnOnce(Event) -> Event) {
        if self.wants(kind) {
            self.push(fill(Event::new(kind, clock::now())));
        }
    }

    /// Events dropped because they came faster than they were taken.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn push(&self, event: Event) {
        // Lists are put together by this, so that what one thread does after another is told after it.
        let at = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let Shard(shard) = &self.shards[crate::traffic::thread_number() % SHARDS];
        let mut events = shard.lock();
        if events.len() == SHARD_EVENTS {
            events.pop_front();
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        let first = events.is_empty();
        events.push_back((at, event));
        drop(events);
        if first {
            self.waiting.notify_one();
        }
    }

    fn take(&self) -> Vec<Event> {
        let mut all: Vec<(u64, Event)> = Vec::new();
        for Shard(shard) in &self.shards {
            all.extend(std::mem::take(&mut *shard.lock()));
        }
        all.sort_by_key(|(at, _)| *at);
        all.into_iter().map(|(_, event)| event).collect()
    }
}

/// What waits for one member.
#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    lost: u64,
    /// It is being told; one call at a time, so that the order holds.
    busy: bool,
}

/// Carries events to the members that want them. Runs until `end` comes or is dropped, and then as long as there is something to say, up to a second.
pub(crate) async fn carry(broker: Arc<Shared>, mut end: oneshot::Receiver<()>) {
    let mut queues: HashMap<Arc<str>, Queue> = HashMap::new();
    let mut calls: JoinSet<Arc<str>> = JoinSet::new();
    let mut lost_before = 0;
    loop {
        tokio::select! {
            () = broker.events.waiting.notified() => {}
            Some(done) = calls.join_next() => {
                // A call that panicked was ours, and stays busy: nothing more is said to that member.
                if let Ok(name) = done && let Some(queue) = queues.get_mut(&name) {
                    queue.busy = false;
                }
            }
            _ = &mut end => break,
        }
        if calls.is_empty() {
            tokio::time::sleep(GATHER).await;
        }
        pass_on(&broker, &mut queues, &mut calls, &mut lost_before);
    }
    let rest = async {
        loop {
            pass_on(&broker, &mut queues, &mut calls, &mut lost_before);
            let Some(done) = calls.join_next().await else { break };
            if let Ok(name) = done
                && let Some(queue) = queues.get_mut(&name)
            {
                queue.busy = false;
            }
        }
    };
    _ = tokio::time::timeout(LAST_WORDS, rest).await;
}

/// Tells of every plugin that has another generation or state. Runs until the broker stops.
pub(crate) async fn watch_plugins(broker: Arc<Shared>, mut plugins: watch::Receiver<Vec<PluginReport>>) {
    let mut known: HashMap<String, (u64, String)> = HashMap::new();
    loop {
        let reports = plugins.borrow_and_update().clone();
        for report in reports {
            let state = match (&report.state, &report.problem) {
                (PluginState::Refused { reason }, _) => format!("refused: {reason}"),
                (PluginState::Running, Some(problem)) => format!("running, but {problem}"),
                (PluginState::Running, None) => "running".to_owned(),
                (PluginState::Starting, _) => "starting".to_owned(),
                (PluginState::Waiting, _) => "waiting".to_owned(),
            };
            let now = (report.generation, state);
            if known.get(&report.name) != Some(&now) {
                broker.events.tell(EventKind::PluginChanged, |event| {
                    let event = event.with("plugin", &*report.name).with("state", &*now.1);
                    event.with("generation", now.0.to_string())
                });
                known.insert(report.name, now);
            }
        }
        if plugins.changed().await.is_err() {
            return;
        }
    }
}

fn pass_on(
    broker: &Shared,
    queues: &mut HashMap<Arc<str>, Queue>,
    calls: &mut JoinSet<Arc<str>>,
    lost_before: &mut u64,
) {
    let events = broker.events.take();
    let lost = broker.events.lost();
    let lost_now = lost - std::mem::replace(lost_before, lost);
    let chain = broker.hooks.chain_full();
    let listeners = || chain.members().iter().filter(|member| !member.hooks.kinds().events.is_empty());
    queues.retain(|name, _| listeners().any(|member| member.place.name == *name));
    for member in listeners() {
        let queue = queues.entry(member.place.name.clone()).or_default();
        queue.lost += lost_now;
        for event in events.iter().filter(|event| is_for(member, event)) {
            if queue.events.len() >= broker.config.limits.max_queued_events {
                queue.events.pop_front();
                queue.lost += 1;
                broker.counters.events_lost.add(1);
            }
            queue.events.push_back(event.clone());
        }
        if !queue.busy && !queue.events.is_empty() {
            queue.busy = true;
            let batch: Vec<Event> = queue.events.drain(..queue.events.len().min(BATCH)).collect();
            let lost = std::mem::take(&mut queue.lost);
            let (name, hooks) = (member.place.name.clone(), member.hooks.clone());
            calls.spawn(async move {
                tell_one(&*hooks, &name, &batch, lost).await;
                name
            });
        }
    }
    broker.counters.events_lost.add(lost_now);
}

async fn tell_one(hooks: &dyn Hooks, name: &str, batch: &[Event], lost: u64) {
    if let Err(fault) = hooks.on_events(batch, lost).wait().await {
        // Said once more by the plugin's own counters; these events are gone.
        tracing::debug!(plugin = name, %fault, events = batch.len(), "events not taken");
    }
}

fn is_for(member: &Member, event: &Event) -> bool {
    if !member.hooks.kinds().events.has(event.kind) {
        return false;
    }
    // Its own messages are not shown to its hooks: an answer to them would be one more of them.
    if event.origin.as_ref().is_some_and(|origin| origin.plugin == member.place.name) {
        return false;
    }
    let (Some(scope), Some(topic)) = (&member.scopes.events, &event.topic) else { return true };
    let topic =
        topic.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map_or(&**topic, |(_, t)| t);
    scope.iter().any(|filter| filter.overlaps(topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(events: &Events) -> Vec<EventKind> {
        events.take().into_iter().map(|event| event.kind).collect()
    }

    #[test]
    fn only_what_somebody_wants_is_told_and_in_order_whichever_thread_told_it() {
        let events = Events::default();
        events.tell(EventKind::Started, |_| panic!("nobody wants to know"));
        events.want([EventKind::Started, EventKind::Connected, EventKind::Stopping].into_iter().collect());
        events.tell(EventKind::Started, |event| event);
        std::thread::scope(|scope| {
            drop(scope.spawn(|| events.tell(EventKind::Connected, |event| event)).join())
        });
        events.tell(EventKind::Stopping, |event| event);
        assert_eq!(told(&events), [EventKind::Started, EventKind::Connected, EventKind::Stopping]);
        assert_eq!(told(&events), []);
    }

    #[test]
    fn the_oldest_goes_when_nobody_takes_them() {
        let events = Events::default();
        events.want([EventKind::Started, EventKind::Stopping].into_iter().collect());
        events.tell(EventKind::Stopping, |event| event);
        for _ in 0..SHARD_EVENTS {
            events.tell(EventKind::Started, |event| event);
        }
        assert_eq!(events.lost(), 1);
        assert!(told(&events).iter().all(|kind| *kind == EventKind::Started));
    }
}
