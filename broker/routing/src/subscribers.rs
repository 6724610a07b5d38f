//! Who subscribed to one filter, alone or in groups.

use crate::shared_groups::SharedGroup;
use smallvec::SmallVec;
use std::{collections::BTreeMap, mem, num::NonZeroU32};
use tidegate_mqtt::{
    HomeId, QoS, SessionId, ShareName, SubscriptionFilter, SubscriptionIds, SubscriptionOptions, TopicFilter,
};

/// What a session asked for with one filter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Subscription {
    /// The options byte, its QoS as granted.
    pub options: SubscriptionOptions,
    /// The Subscription Identifier of the SUBSCRIBE (section 3.8.2.1.2).
    pub identifier: Option<NonZeroU32>,
}

/// A session that gets a message, once however many of its non-shared subscriptions match.
#[derive(Clone, Debug)]
pub struct Match<S> {
    /// Who serves the session.
    pub home: HomeId,
    /// Whose subscription matched.
    pub session: SessionId,
    /// The handle given to [`Routes::subscribe`](crate::Routes::subscribe).
    pub subscriber: S,
    /// The first of the session's filters that was found to match.
    pub filter: TopicFilter,
    /// The highest of all that match [MQTT-3.3.4-2]; not yet limited by the QoS of the message.
    pub maximum_qos: QoS,
    /// Whether any that match asks for it.
    pub retain_as_published: bool,
    /// Of all that match, repeats kept [MQTT-3.3.4-4].
    pub identifiers: SubscriptionIds,
}

impl<S> Match<S> {
    /// Takes in another match of the same session.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.maximum_qos = self.maximum_qos.max(other.maximum_qos); // [MQTT-3.3.4-2]
        self.retain_as_published |= other.retain_as_published;
        self.identifiers.extend_from_slice(&other.identifiers); // [MQTT-3.3.4-3], [MQTT-3.3.4-4]
    }
}

/// All who subscribed to one filter.
#[derive(Debug)]
pub(crate) struct Subscribers<S> {
    pub(crate) direct: BySession<Subscriber<S>>,
    /// Those that begin with `$share/NAME/`, by NAME.
    pub(crate) groups: BTreeMap<ShareName, SharedGroup<S>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Subscriber<S> {
    pub(crate) home: HomeId,
    pub(crate) handle: S,
    pub(crate) subscription: Subscription,
}

impl<S: Clone> Subscribers<S> {
    pub(crate) fn new() -> Self {
        Self { direct: BySession::new(), groups: BTreeMap::new() }
    }

    /// Whether the session was subscribed already.
    pub(crate) fn insert(
        &mut self,
        session: SessionId,
        filter: &SubscriptionFilter,
        subscriber: Subscriber<S>,
    ) -> bool {
        let subscribers = match &filter.share {
            None => &mut self.direct,
            Some(name) => {
                let group = || SharedGroup::new(filter.clone());
                &mut self.groups.entry(name.clone()).or_insert_with(group).members
            }
        };
        subscribers.insert(session, subscriber).is_some()
    }

    /// Whether the session was subscribed.
    pub(crate) fn remove(&mut self, session: SessionId, share: Option<&ShareName>) -> bool {
        let Some(name) = share else {
            return self.direct.remove(session).is_some();
        };
        let Some(group) = self.groups.get_mut(name) else { return false };
        let removed = group.members.remove(session).is_some();
        if group.members.is_empty() {
            self.groups.remove(name);
        }
        removed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.direct.is_empty() && self.groups.is_empty()
    }
}

impl<S: Clone> Subscriber<S> {
    pub(crate) fn matched(&self, session: SessionId, filter: &TopicFilter) -> Match<S> {
        Match {
            home: self.home,
            session,
            subscriber: self.handle.clone(),
            filter: filter.clone(),
            maximum_qos: self.subscription.options.maximum_qos,
            retain_as_published: self.subscription.options.retain_as_published,
            identifiers: self.subscription.identifier.into_iter().collect(),
        }
    }
}

/// Values by session, in the order of sessions. Most filters have one subscriber, some a hundred thousand.
#[derive(Debug)]
pub(crate) enum BySession<T> {
    /// Sorted, up to [`FEW`].
    Few(SmallVec<[(SessionId, T); 1]>),
    Many(BTreeMap<SessionId, T>),
}

const FEW: usize = 16;

impl<T> BySession<T> {
    pub(crate) fn new() -> Self {
        Self::Few(SmallVec::new())
    }

    /// The value it replaced.
    pub(crate) fn insert(&mut self, session: SessionId, value: T) -> Option<T> {
        let few = match self {
            Self::Many(many) => return many.insert(session, value),
            Self::Few(few) => few,
        };
        match few.binary_search_by_key(&session, |entry| entry.0) {
            Ok(found) => return Some(mem::replace(&mut few[found].1, value)),
            Err(place) => few.insert(place, (session, value)),
        }
        if few.len() > FEW {
            *self = Self::Many(few.drain(..).collect());
        }
        None
    }

    pub(crate) fn remove(&mut self, session: SessionId) -> Option<T> {
        let many = match self {
            Self::Few(few) => {
                let found = few.binary_search_by_key(&session, |entry| entry.0).ok()?;
                return Some(few.remove(found).1);
            }
            Self::Many(many) => many,
        };
        let removed = many.remove(&session);
        if many.len() <= FEW / 2 {
            *self = Self::Few(mem::take(many).into_iter().collect());
        }
        removed
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Few(few) => few.is_empty(),
            Self::Many(many) => many.is_empty(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionId, &T)> {
        let (few, many) = match self {
            Self::Few(few) => (few.as_slice(), None),
            Self::Many(many) => (&[][..], Some(many)),
        };
        let few = few.iter().map(|(session, value)| (*session, value));
        few.chain(many.into_iter().flatten().map(|(session, value)| (*session, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_sessions_stay_in_order() {
        let mut sessions = BySession::new();
        // 37 and 101 have no common divisor, so every number up to 100 comes once.
        for n in 0..101 {
            assert_eq!(sessions.insert(SessionId(n * 37 % 101), n), None);
        }
        assert_eq!(sessions.insert(SessionId(37), 1), Some(1));
        assert!(sessions.iter().map(|(session, _)| session.0).eq(0..101));
        for n in 0..101 {
            assert_eq!(sessions.remove(SessionId(n)), sessions_value(n));
            assert_eq!(sessions.remove(SessionId(n)), None);
            assert!(sessions.iter().map(|(session, _)| session.0).eq(n + 1..101));
        }
        assert!(sessions.is_empty());
        assert!(matches!(sessions, BySession::Few(_)));
    }

    /// The `n` that came with the session: 71 is the inverse of 37 modulo 101.
    fn sessions_value(session: u64) -> Option<u64> {
        Some(session * 71 % 101)
    }
}
