//! The retained message of each topic (section 3.3.1.3), in order, so that a filter's matches are read a page at a time.
//!
//! No trie: topics in order are one already, and a look-up that seeks past what cannot match visits the same nodes. It can stop at
//! any topic and go on from there, and a topic costs little beside its text.

use ahash::RandomState;
use parking_lot::RwLock;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tidegate_mqtt::{Message, Timestamp, TopicFilter};

/// Retained messages by topic, sharded by the first level.
#[derive(Debug)]
pub struct Retained {
    shards: Box<[RwLock<Shard>]>,
    messages: AtomicUsize,
    bytes: AtomicUsize,
    hasher: RandomState,
}

const SHARDS: u64 = 64;

/// Some of a filter's matches.
#[derive(Clone, Debug)]
pub struct Page {
    /// In order, perhaps none though more will follow.
    pub messages: Vec<Arc<Message>>,
    /// Where to go on; `None` after the last match.
    pub next: Option<Cursor>,
}

/// The last topic that a look-up has come to. Belongs to one [`Retained`].
#[derive(Clone, Debug)]
pub struct Cursor {
    shard: usize,
    /// `None` before the first topic of the shard.
    after: Option<Key>,
}

/// Topics looked at under one lock; what bounds a page when few of them match.
const LOOKS: usize = 1024;

impl Retained {
    /// Without any message.
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            hasher: RandomState::new(),
        }
    }

    /// Retains `message` for its topic. Returns the one it replaced [MQTT-3.3.1-5]. An empty payload is the caller's to notice: it
    /// asks for [`remove`](Self::remove) [MQTT-3.3.1-6].
    pub fn set(&self, message: Arc<Message>) -> Option<Arc<Message>> {
        // Counted before anyone can take it away, so that the numbers never fall below zero.
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(message.cost(), Ordering::Relaxed);
        let key = key(&message.topic);
        let replaced = self.shards[self.shard_of(&message.topic)].write().set(key, message);
        replaced.iter().for_each(|replaced| self.forget(replaced));
        replaced
    }

    /// Takes the message of `topic` out.
    pub fn remove(&self, topic: &str) -> Option<Arc<Message>> {
        let removed = self.shards[self.shard_of(topic)].write().remove(&key(topic))?;
        self.forget(&removed);
        Some(removed)
    }

    /// The message of `topic`, even if it has expired and [`expire`](Self::expire) has not come to it.
    pub fn get(&self, topic: &str) -> Option<Arc<Message>> {
        self.shards[self.shard_of(topic)].read().messages.get(&key(topic)).cloned()
    }

    /// The messages whose topics match `filter`, after the page that `from` came with, at most `limit` (0 counts as 1). Ask again
    /// until [`Page::next`] is `None`; between two pages nothing is held.
    ///
    /// The order is the same each time: by the bytes of one level after the other, topics with the same first level together. Of
    /// a message that is set or removed meanwhile, the page that comes to its topic shows what is true then. Expired messages are
    /// shown as [`get`](Self::get) shows them. Costs a step or a search for each match and each node on the way, and is bounded
    /// even if nothing matches.
    pub fn matching(&self, filter: &TopicFilter, from: Option<&Cursor>, limit: usize) -> Page {
        let first_level = filter.split('/').next().unwrap_or_default();
        let (first, last) = match first_level {
            "+" | "#" => (0, self.shards.len() - 1),
            literal => (self.shard_of(literal), self.shard_of(literal)),
        };
        let mut cursor = from.cloned().unwrap_or(Cursor { shard: first, after: None });
        let mut look_up =
            LookUp { pattern: Pattern::new(filter), messages: Vec::new(), limit: limit.max(1), looks: LOOKS };
        while cursor.shard <= last {
            match look_up.run(&self.shards[cursor.shard].read(), cursor.after.take()) {
                Some(after) => {
                    cursor.after = Some(after);
                    return Page { messages: look_up.messages, next: Some(cursor) };
                }
                None => cursor.shard += 1,
            }
        }
        Page { messages: look_up.messages, next: None }
    }

    /// Takes messages out that have expired by `now`, at most `limit`; fewer mean that there are no more. Costs O(those taken).
    pub fn expire(&self, now: Timestamp, limit: usize) -> Vec<Arc<Message>> {
        let mut expired = Vec::new();
        for shard in &self.shards {
            let taken = expired.len();
            shard.write().expire(now, limit, &mut expired);
            expired[taken..].iter().for_each(|message| self.forget(message));
        }
        expired
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What they cost together, by [`Message::cost`].
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn forget(&self, message: &Message) {
        self.messages.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(message.cost(), Ordering::Relaxed);
    }

    fn shard_of(&self, topic: &str) -> usize {
        let first_level = topic.split('/').next().unwrap_or_default();
        // The remainder is below 64, so it fits in any usize.
        (self.hasher.hash_one(first_level) % SHARDS) as usize
    }
}

impl Default for Retained {
    fn default() -> Self {
        Self::new()
    }
}

/// A topic with U+0000, which no topic has, for each `/`: so the order of bytes is that of levels, and what is below a topic comes
/// right after it.
type Key = Arc<str>;
const SEPARATOR: char = '\0';
/// Put after some levels it makes a key above all that begin with them, and not above any other topic.
const PAST: &str = "\u{1}";

fn key(topic: &str) -> Key {
    topic.replace('/', "\0").into()
}

#[derive(Debug, Default)]
struct Shard {
    messages: BTreeMap<Key, Arc<Message>>,
    /// Of those messages that expire at all.
    expiries: BTreeSet<(Timestamp, Key)>,
}

impl Shard {
    fn set(&mut self, key: Key, message: Arc<Message>) -> Option<Arc<Message>> {
        let expires_at = message.expires_at();
        let replaced = self.messages.insert(key.clone(), message);
        if let Some(then) = replaced.as_ref().and_then(|replaced| replaced.expires_at()) {
            self.expiries.remove(&(then, key.clone()));
        }
        self.expiries.extend(expires_at.map(|then| (then, key)));
        replaced
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<Message>> {
        let removed = self.messages.remove(key)?;
        if let Some(then) = removed.expires_at() {
            self.expiries.remove(&(then, key.clone()));
        }
        Some(removed)
    }

    fn expire(&mut self, now: Timestamp, limit: usize, expired: &mut Vec<Arc<Message>>) {
        while expired.len() < limit && self.expiries.first().is_some_and(|(then, _)| *then <= now) {
            let Some((_, key)) = self.expiries.pop_first() else { break };
            expired.extend(self.messages.remove(&key));
        }
    }
}

/// One page in the making.
struct LookUp<'a> {
    pattern: Pattern<'a>,
    messages: Vec<Arc<Message>>,
    limit: usize,
    looks: usize,
}

impl LookUp<'_> {
    /// Goes through `shard` after the topic `after`. Returns the topic it stopped at, if the page is full.
    fn run(&mut self, shard: &Shard, after: Option<Key>) -> Option<Key> {
        let mut seek = String::new();
        let start = after.as_deref().map_or(Bound::Included(self.pattern.start.as_str()), Bound::Excluded);
        let mut topics = shard.messages.range::<str, _>((start, Bound::Unbounded));
        let mut near = 0;
        while let Some((key, message)) = topics.next() {
            // What we look for is often the next but one: try that before a search from the top.
            if near > 0 && **key < *seek {
                near -= 1;
                if near == 0 {
                    topics = shard.messages.range::<str, _>((Bound::Included(&*seek), Bound::Unbounded));
                }
                continue;
            }
            near = 0;
            self.looks = self.looks.saturating_sub(1);
            match self.pattern.compare(key, &mut seek) {
                Step::Match => self.messages.push(message.clone()),
                Step::Next => {}
                Step::Seek => near = NEAR,
                Step::End => return None,
            }
            if self.messages.len() == self.limit || self.looks == 0 {
                return Some(key.clone());
            }
        }
        None
    }
}

/// Neighbours tried before a search.
const NEAR: usize = 4;

/// A filter, to hold against keys one after the other.
struct Pattern<'a> {
    filter: &'a TopicFilter,
    /// No match is below this key.
    start: String,
}

/// What a key says of itself and of those after it.
enum Step {
    Match,
    /// No match; the next one may be.
    Next,
    /// No match, nor is any below the key sought.
    Seek,
    /// Nor is any later one.
    End,
}

impl<'a> Pattern<'a> {
    fn new(filter: &'a TopicFilter) -> Self {
        let literal: Vec<&str> = filter.split('/').take_while(|level| !matches!(*level, "+" | "#")).collect();
        Self { filter, start: literal.join("\0") }
    }

    fn compare(&self, key: &str, seek: &mut String) -> Step {
        // [MQTT-4.7.2-1]: a filter that begins with a wildcard does not match a topic that begins with $.
        if key.starts_with('$') && self.filter.starts_with(['+', '#']) {
            return sought(seek, "", "%"); // the character after $
        }
        let mut key_levels = key.split(SEPARATOR);
        let mut level_at = 0;
        // The key as far as the level that the last + stands for.
        let mut through_plus = None;
        for wanted in self.filter.split('/') {
            if wanted == "#" {
                return Step::Match;
            }
            // The key ends before the filter does: what is below it comes next.
            let Some(level) = key_levels.next() else { return Step::Next };
            let level_end = level_at + level.len();
            if wanted == "+" {
                through_plus = Some(&key[..level_end]);
            } else if level < wanted {
                return sought(seek, &key[..level_at], wanted);
            } else if level > wanted {
                return past(seek, through_plus);
            }
            level_at = level_end + SEPARATOR.len_utf8();
        }
        if key_levels.next().is_none() { Step::Match } else { past(seek, through_plus) }
    }
}

/// Only another level in the place of the last `+` can lead to a match.
fn past(seek: &mut String, through_plus: Option<&str>) -> Step {
    through_plus.map_or(Step::End, |levels| sought(seek, levels, PAST))
}

fn sought(seek: &mut String, levels: &str, then: &str) -> Step {
    seek.clear();
    seek.push_str(levels);
    seek.push_str(then);
    Step::Seek
}

#[cfg(test)]
mod tests;
