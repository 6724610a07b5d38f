//! The table of all subscriptions, in shards, so that cores rarely meet unless they touch the same topics.
//!
//! A filter without wildcards lives in the shard of its whole text. One with wildcards lives in the shard of its levels before the
//! first wildcard, two at most; those that begin with a wildcard have a shard of their own. So the matches of a topic are in at most
//! four shards, and a subscription to `devices/17/#` disturbs the publishers of that device only.

use crate::{
    filters::Filters,
    shared_groups::{SharedGroup, SharedMatch},
    subscribers::{Match, Subscriber, Subscribers, Subscription},
};
use ahash::RandomState;
use parking_lot::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tidegate_mqtt::{HomeId, SessionId, SubscriptionFilter, TopicFilter, TopicName};

/// Who subscribed to what. `S` is the handle of a subscriber; every match holds a clone of one.
#[derive(Debug)]
pub struct Routes<S> {
    /// [`LEADING_WILDCARD`] is the first, the others are hashed.
    shards: Box<[Shard<S>]>,
    subscriptions: AtomicUsize,
    hasher: RandomState,
}

const SHARDS: u64 = 256;
const LEADING_WILDCARD: u16 = 0;

/// Stands for the matches of one topic: as long as it is current, so are they.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Generation {
    places: [u16; 4],
    changes: u64,
}

/// All who get a message.
#[derive(Clone, Debug)]
pub struct Matches<S> {
    /// Each of them does. One entry a session, in the order of sessions.
    pub direct: Vec<Match<S>>,
    /// Of each of them one member does, whether or not that session is among the direct ones too.
    pub shared: Vec<SharedMatch<S>>,
}

impl<S: Clone> Routes<S> {
    /// Without any subscription.
    pub fn new() -> Self {
        Self {
            shards: (0..=SHARDS).map(|_| Shard::new()).collect(),
            subscriptions: AtomicUsize::new(0),
            hasher: RandomState::new(),
        }
    }

    /// Subscribes `session`, which `home` serves. Returns whether it replaced the session's subscription to the same filter
    /// [MQTT-3.8.4-3]; between the old and the new one no message is lost [MQTT-3.8.4-4]. Costs O(levels).
    pub fn subscribe(
        &self,
        home: HomeId,
        session: SessionId,
        subscriber: &S,
        filter: &SubscriptionFilter,
        subscription: Subscription,
    ) -> bool {
        let subscriber = Subscriber { home, handle: subscriber.clone(), subscription };
        // Counted before anyone can take it away, so that the number never falls below zero.
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        let replaced = self.shard(self.place_of(&filter.filter)).change(|filters| {
            filters.value_or_insert(&filter.filter, Subscribers::new).insert(session, filter, subscriber)
        });
        if replaced {
            self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        }
        replaced
    }

    /// Ends the subscription of `session` to `filter`. Returns whether there was one. Costs O(levels).
    pub fn unsubscribe(&self, session: SessionId, filter: &SubscriptionFilter) -> bool {
        let SubscriptionFilter { share, filter } = filter;
        let removed = self.shard(self.place_of(filter)).change(|filters| {
            let Some(subscribers) = filters.value_mut(filter) else { return false };
            let removed = subscribers.remove(session, share.as_ref());
            if subscribers.is_empty() {
                filters.remove(filter);
            }
            removed
        });
        if removed {
            self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        }
        removed
    }

    /// The group of a shared subscription, if it has members.
    pub fn group(&self, filter: &SubscriptionFilter) -> Option<SharedMatch<S>> {
        let SubscriptionFilter { share, filter } = filter;
        let name = share.as_ref()?;
        let mut group = None;
        self.shard(self.place_of(filter)).read(|filters| {
            let subscribers = filters.value(filter);
            group =
                subscribers.and_then(|subscribers| subscribers.groups.get(name)).map(SharedGroup::matched);
        });
        group
    }

    /// Differs whenever the matches of `topic` may differ. Who keeps matches takes this before [`matching`](Self::matching), so that
    /// a change in between is seen by [`is_current`](Self::is_current). Takes no lock.
    pub fn generation(&self, topic: &str) -> Generation {
        let places = self.places(topic);
        Generation { places, changes: self.changes(places) }
    }

    /// Whether matches found after `generation` was taken hold. Costs four atomic loads.
    pub fn is_current(&self, generation: Generation) -> bool {
        self.changes(generation.places) == generation.changes
    }

    /// All who get a message on `topic` from `publisher`.
    ///
    /// Overlapping subscriptions of one session are merged, shared ones excepted. The No Local subscriptions of the publisher
    /// itself are left out [MQTT-3.8.3-3].
    pub fn matching(&self, topic: &TopicName, publisher: Option<SessionId>) -> Matches<S> {
        let mut direct = Vec::new();
        let mut shared = Vec::new();
        let mut matched_filters = 0;
        let places = self.places(topic);
        for (index, place) in places.into_iter().enumerate() {
            if places[..index].contains(&place) {
                continue;
            }
            self.shard(place).read(|filters| {
                filters.matching(topic, |filter, subscribers| {
                    matched_filters += 1;
                    let receivers = subscribers.direct.iter().filter(|(session, subscriber)| {
                        !(subscriber.subscription.options.no_local && Some(*session) == publisher)
                    });
                    direct.extend(receivers.map(|(session, subscriber)| subscriber.matched(session, filter)));
                    shared.extend(subscribers.groups.values().map(SharedGroup::matched));
                });
            });
        }
        if matched_filters > 1 {
            direct.sort_by_key(|one| one.session); // a stable sort: the first match of a session stays its first
            direct.dedup_by(|later, first| {
                let same = later.session == first.session;
                if same {
                    first.merge(later);
                }
                same
            });
        }
        Matches { direct, shared }
    }

    /// How many subscriptions there are, each member of a shared group counted.
    pub fn len(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }

    /// Whether there is no subscription.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shard that `filter` lives in.
    fn place_of(&self, filter: &TopicFilter) -> u16 {
        if filter.is_exact() {
            return self.place(filter);
        }
        let (one_level, two_levels) = prefixes(filter);
        let has_wildcard = |levels: &str| levels.contains(['+', '#']);
        match two_levels {
            _ if has_wildcard(one_level) => LEADING_WILDCARD,
            Some(two_levels) if !has_wildcard(two_levels) => self.place(two_levels),
            _ => self.place(one_level),
        }
    }

    /// The shards of all filters that may match `topic`, perhaps one of them twice.
    fn places(&self, topic: &str) -> [u16; 4] {
        let (one_level, two_levels) = prefixes(topic);
        let exact = self.place(topic);
        let one_level = if one_level.len() == topic.len() { exact } else { self.place(one_level) };
        let two_levels = match two_levels {
            Some(two_levels) if two_levels.len() < topic.len() => self.place(two_levels),
            _ => exact,
        };
        // [MQTT-4.7.2-1]: a filter that begins with a wildcard does not match a topic that begins with $.
        let leading_wildcard = if topic.starts_with('$') { exact } else { LEADING_WILDCARD };
        [exact, two_levels, one_level, leading_wildcard]
    }

    fn place(&self, levels: &str) -> u16 {
        // The remainder is below 256, so it fits.
        1 + (self.hasher.hash_one(levels) % SHARDS) as u16
    }

    fn shard(&self, place: u16) -> &Shard<S> {
        &self.shards[usize::from(place)]
    }

    /// Each shard's number only rises, so the sum is the same only if each of them is.
    fn changes(&self, places: [u16; 4]) -> u64 {
        places.into_iter().map(|place| self.shard(place).generation()).sum()
    }
}

impl<S: Clone> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Matches<S> {
    /// Whether nobody gets the message.
    pub fn is_empty(&self) -> bool {
        self.direct.is_empty() && self.shared.is_empty()
    }
}

/// The first level, and the first two if there are so many.
fn prefixes(levels: &str) -> (&str, Option<&str>) {
    // By hand, as every publish does it: splitting by a char costs thrice as much.
    let slash_from =
        |at: usize| levels.as_bytes()[at..].iter().position(|byte| *byte == b'/').map(|n| at + n);
    let Some(first_end) = slash_from(0) else { return (levels, None) };
    let second_end = slash_from(first_end + 1).unwrap_or(levels.len());
    (&levels[..first_end], Some(&levels[..second_end]))
}

/// Some of the filters. What every publish loads lies apart from the lock, which writers take from each other.
#[derive(Debug)]
struct Shard<S> {
    state: CacheLine<ShardState>,
    filters: CacheLine<RwLock<Filters<Subscribers<S>>>>,
}

#[derive(Debug, Default)]
struct ShardState {
    /// Rises with each change, while the lock is held: who sees the new number also waits for the change.
    generation: AtomicU64,
    /// False only if there is no filter, so that the lock of an empty shard need not be taken.
    in_use: AtomicBool,
}

/// Two lines in fact: processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct CacheLine<T>(T);

impl<S: Clone> Shard<S> {
    fn new() -> Self {
        Self { state: CacheLine(ShardState::default()), filters: CacheLine(RwLock::new(Filters::new())) }
    }

    fn generation(&self) -> u64 {
        self.state.0.generation.load(Ordering::Acquire)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Filters<Subscribers<S>>) -> R) -> R {
        let mut filters = self.filters.0.write();
        let result = change(&mut filters);
        self.state.0.in_use.store(!filters.is_empty(), Ordering::Release);
        self.state.0.generation.fetch_add(1, Ordering::Release);
        result
    }

    fn read(&self, read: impl FnOnce(&Filters<Subscribers<S>>)) {
        if self.state.0.in_use.load(Ordering::Acquire) {
            read(&self.filters.0.read());
        }
    }
}

#[cfg(test)]
mod tests;
