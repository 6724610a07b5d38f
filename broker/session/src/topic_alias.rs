//! Topic aliases from the client (section 3.3.2.3.4). They live as long as the connection [MQTT-3.3.2-7].

use crate::session::Violation;
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
