//! Topic aliases in both directions (section 3.3.2.3.4). They live as long as the connection [MQTT-3.3.2-7].

use crate::session::Violation;
use std::{collections::HashMap, num::NonZeroU16};
use tidegate_mqtt::{Publish, TopicName};

/// The topic of a PUBLISH once its alias is resolved.
#[derive(Clone, Debug, PartialEq)]
pub enum ResolvedTopic<'a> {
    /// Stood in the packet.
    InPacket(&'a str),
    /// Behind an alias.
    Alias(TopicName),
}

impl ResolvedTopic<'_> {
    /// The topic name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::InPacket(topic) => topic,
            Self::Alias(topic) => topic,
        }
    }
}

/// What the client's aliases stand for.
#[derive(Debug)]
pub(crate) struct TopicAliases {
    maximum: u16,
    topics: Vec<Option<TopicName>>,
}

impl TopicAliases {
    /// `maximum` as announced in CONNACK; 0: none are accepted.
    pub(crate) fn new(maximum: u16) -> Self {
        Self { maximum, topics: Vec::new() }
    }

    pub(crate) fn resolve<'a>(&mut self, publish: &Publish<'a>) -> Result<ResolvedTopic<'a>, Violation> {
        let Some(alias) = publish.properties.as_ref().and_then(|p| p.topic_alias) else {
            return Ok(ResolvedTopic::InPacket(publish.topic));
        };
        if alias.get() > self.maximum {
            return Err(Violation::TopicAliasTooLarge); // [MQTT-3.3.2-9]
        }
        let index = usize::from(alias.get()) - 1;
        if publish.topic.is_empty() {
            let known = self.topics.get(index).and_then(Option::as_ref);
            return known.cloned().map(ResolvedTopic::Alias).ok_or(Violation::TopicAliasUnknown);
        }
        let topic = TopicName::new(publish.topic).map_err(|_| Violation::TopicAliasUnknown)?;
        if self.topics.len() <= index {
            self.topics.resize(index + 1, None);
        }
        self.topics[index] = Some(topic.clone());
        Ok(ResolvedTopic::Alias(topic))
    }
}

/// Which topics the broker's own aliases stand for. New topics take the place of those that were not used for a while.
#[derive(Debug)]
pub(crate) struct OutgoingAliases {
    /// The client's Topic Alias Maximum or ours, the lower [MQTT-3.1.2-26].
    maximum: u16,
    aliases: HashMap<TopicName, NonZeroU16>,
    /// By alias, from 1.
    slots: Vec<Slot>,
    /// The slot whose topic may go next.
    hand: usize,
}

#[derive(Debug)]
struct Slot {
    topic: TopicName,
    /// Since the hand passed.
    used: bool,
}

/// How a topic is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Aliased {
    /// Both, and the client remembers; call [`OutgoingAliases::remember`] when it is sent.
    TopicAndAlias(NonZeroU16),
    /// The client knows the alias.
    AliasOnly(NonZeroU16),
}

/// Shorter topics take less room than an alias.
const WORTH_AN_ALIAS: usize = 3;

impl OutgoingAliases {
    pub(crate) fn new(maximum: u16) -> Self {
        Self { maximum, aliases: HashMap::new(), slots: Vec::new(), hand: 0 }
    }

    /// None: without an alias this time.
    pub(crate) fn choose(&mut self, topic: &TopicName) -> Option<Aliased> {
        if let Some(alias) = self.aliases.get(topic) {
            self.slots[usize::from(alias.get()) - 1].used = true;
            return Some(Aliased::AliasOnly(*alias));
        }
        if topic.len() < WORTH_AN_ALIAS {
            return None;
        }
        let next = if self.slots.len() < usize::from(self.maximum) {
            self.slots.len()
        } else {
            let slot = self.slots.get_mut(self.hand)?;
            if std::mem::take(&mut slot.used) {
                // Its topic stays for another round, and this one does without.
                self.hand = (self.hand + 1) % self.slots.len();
                return None;
            }
            self.hand
        };
        let alias = NonZeroU16::new(u16::try_from(next + 1).ok()?)?;
        Some(Aliased::TopicAndAlias(alias))
    }

    /// The topic was sent with the alias that [`OutgoingAliases::choose`] just gave.
    pub(crate) fn remember(&mut self, topic: &TopicName, alias: NonZeroU16) {
        let index = usize::from(alias.get()) - 1;
        let slot = Slot { topic: topic.clone(), used: false };
        match self.slots.get_mut(index) {
            Some(old) => {
                self.aliases.remove(&old.topic);
                *old = slot;
                self.hand = (self.hand + 1) % self.slots.len();
            }
            None => self.slots.push(slot),
        }
        self.aliases.insert(topic.clone(), alias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(aliases: &mut OutgoingAliases, topic: &str) -> Option<Aliased> {
        let topic = TopicName::new(topic).unwrap();
        let chosen = aliases.choose(&topic);
        if let Some(Aliased::TopicAndAlias(alias)) = chosen {
            aliases.remember(&topic, alias);
        }
        chosen
    }

    fn alias(number: u16) -> NonZeroU16 {
        NonZeroU16::new(number).unwrap()
    }

    #[test]
    fn v5_3_3_2_11_a_topic_is_named_once_and_aliases_stay_within_the_maximum() {
        let mut aliases = OutgoingAliases::new(2);
        assert_eq!(send(&mut aliases, "one"), Some(Aliased::TopicAndAlias(alias(1))));
        assert_eq!(send(&mut aliases, "one"), Some(Aliased::AliasOnly(alias(1))));
        assert_eq!(send(&mut aliases, "two"), Some(Aliased::TopicAndAlias(alias(2))));
        assert_eq!(send(&mut aliases, "two"), Some(Aliased::AliasOnly(alias(2))));
        for n in 0..100 {
            if let Some(Aliased::TopicAndAlias(alias) | Aliased::AliasOnly(alias)) =
                send(&mut aliases, &format!("topic {n}"))
            {
                assert!(alias.get() <= 2);
            }
        }
    }

    #[test]
    fn a_topic_in_use_keeps_its_alias_and_a_forgotten_one_gives_it_up() {
        let mut aliases = OutgoingAliases::new(2);
        send(&mut aliases, "busy");
        send(&mut aliases, "once");
        for n in 0..10 {
            assert_eq!(send(&mut aliases, "busy"), Some(Aliased::AliasOnly(alias(1))), "round {n}");
            send(&mut aliases, &format!("new {n}"));
        }
        assert_ne!(send(&mut aliases, "once"), Some(Aliased::AliasOnly(alias(2))));
    }

    #[test]
    fn v5_3_1_2_27_without_a_maximum_there_is_no_alias() {
        assert_eq!(send(&mut OutgoingAliases::new(0), "topic"), None);
    }
}
