//! Retained messages on their way into the store: memory shall end up with the one that the store has last.

use ahash::RandomState;
use parking_lot::Mutex;
use std::collections::HashMap;
use tidegate_mqtt::TopicName;

/// Topics whose retained messages are being stored now.
#[derive(Debug, Default)]
pub(crate) struct Retaining {
    topics: Mutex<HashMap<TopicName, Open, RandomState>>,
}

#[derive(Debug, Default)]
struct Open {
    /// Messages that are not settled.
    messages: usize,
    /// The number of the last that is in memory.
    applied: u64,
}

impl Retaining {
    /// Before a message goes to the store.
    pub(crate) fn begin(&self, topic: &TopicName) {
        self.topics.lock().entry(topic.clone()).or_default().messages += 1;
    }

    /// Does something while no message of this topic is on its way into the store; nothing if one is.
    pub(crate) fn if_idle(&self, topic: &TopicName, act: impl FnOnce()) {
        let topics = self.topics.lock();
        if !topics.contains_key(topic) {
            act();
        }
    }

    /// The store has the message under this number, or None of it. `apply` puts it into memory, unless a later one is there.
    pub(crate) fn end(&self, topic: &TopicName, number: Option<u64>, apply: impl FnOnce()) {
        let mut topics = self.topics.lock();
        let Some(open) = topics.get_mut(topic) else { return };
        open.messages -= 1;
        if let Some(number) = number.filter(|number| *number > open.applied) {
            open.applied = number;
            apply();
        }
        if open.messages == 0 {
            topics.remove(topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_in_the_store_is_the_last_in_memory() {
        let retaining = Retaining::default();
        let topic = TopicName::new("t").unwrap();
        let mut memory = Vec::new();
        (0..3).for_each(|_| retaining.begin(&topic));
        retaining.end(&topic, Some(2), || memory.push(2));
        retaining.end(&topic, Some(1), || memory.push(1));
        retaining.end(&topic, None, || memory.push(0));
        assert_eq!(memory, [2]);
        assert!(retaining.topics.lock().is_empty());
    }
}
