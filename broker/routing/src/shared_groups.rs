//! Shared subscriptions (section 4.8.2): of a group, one session gets each message, in turn.

use crate::subscribers::{BySession, Match, Subscriber};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tidegate_mqtt::SubscriptionFilter;

/// A group that gets a message: exactly one of its members does.
#[derive(Clone, Debug)]
pub struct SharedMatch<S> {
    /// Name and filter, which make the group.
    pub group: Arc<SubscriptionFilter>,
    /// At least one, in the order of sessions, each with its own QoS [MQTT-4.8.2-3] and subscription identifier.
    pub members: Vec<Match<S>>,
    /// The group's own, so that every publisher that cached this match takes part in one round.
    turn: Arc<AtomicUsize>,
}

impl<S> SharedMatch<S> {
    /// All members, beginning with the one whose turn it is (round robin), so that the caller takes the first that can receive.
    /// Every call is a turn.
    pub fn in_turn(&self) -> impl Iterator<Item = &Match<S>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn.checked_rem(self.members.len()).unwrap_or(0);
        let (later, now) = self.members.split_at(first);
        now.iter().chain(later)
    }
}

/// The members of one group.
#[derive(Debug)]
pub(crate) struct SharedGroup<S> {
    pub(crate) members: BySession<Subscriber<S>>,
    group: Arc<SubscriptionFilter>,
    /// Outlives any change of members, until the last one leaves.
    turn: Arc<AtomicUsize>,
}

impl<S: Clone> SharedGroup<S> {
    pub(crate) fn new(group: SubscriptionFilter) -> Self {
        Self { members: BySession::new(), group: Arc::new(group), turn: Arc::default() }
    }

    pub(crate) fn matched(&self) -> SharedMatch<S> {
        let filter = &self.group.filter;
        SharedMatch {
            group: self.group.clone(),
            members: self.members.iter().map(|(session, member)| member.matched(session, filter)).collect(),
            turn: self.turn.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Routes, SharedMatch, Subscription};
    use tidegate_mqtt::{HomeId, QoS, SessionId, SubscriptionFilter, SubscriptionOptions, TopicName};

    fn filter(text: &str) -> SubscriptionFilter {
        SubscriptionFilter::new(text).unwrap()
    }

    /// The sessions 1 to `count`, subscribed to `$share/g/a/#` with QoS 0, 1, 2, 0, …
    fn group(count: u64) -> Routes<()> {
        let routes = Routes::new();
        for session in 1..=count {
            join(&routes, session, "$share/g/a/#");
        }
        routes
    }

    fn join(routes: &Routes<()>, session: u64, text: &str) {
        let maximum_qos = QoS::try_from(((session + 2) % 3) as u8).unwrap();
        let options = SubscriptionOptions { maximum_qos, ..Default::default() };
        let subscription = Subscription { options, identifier: None };
        routes.subscribe(HomeId::LOCAL, SessionId(session), &(), &filter(text), subscription);
    }

    fn shared(routes: &Routes<()>) -> Vec<SharedMatch<()>> {
        routes.matching(&TopicName::new("a/b").unwrap(), None).shared
    }

    fn next(group: &SharedMatch<()>) -> u64 {
        group.in_turn().next().unwrap().session.0
    }

    #[test]
    fn members_take_turns_and_the_others_stand_in_after_them() {
        let routes = group(3);
        let group = &shared(&routes)[0];
        let turns: Vec<Vec<u64>> =
            (0..4).map(|_| group.in_turn().map(|member| member.session.0).collect()).collect();
        assert_eq!(turns, [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]]);
    }

    #[test]
    fn all_matches_of_a_group_share_one_round_that_outlives_changes_of_members() {
        let routes = group(3);
        let kept = shared(&routes);
        assert_eq!([next(&kept[0]), next(&shared(&routes)[0]), next(&kept[0].clone())], [1, 2, 3]);
        join(&routes, 4, "$share/g/a/#");
        // Three turns are over, of four members the fourth is next.
        assert_eq!([next(&shared(&routes)[0]), next(&shared(&routes)[0])], [4, 1]);
        routes.unsubscribe(SessionId(1), &filter("$share/g/a/#"));
        assert_eq!(next(&shared(&routes)[0]), 4);
    }

    #[test]
    fn v5_4_8_2_3_each_member_has_the_qos_granted_to_it() {
        let routes = group(3);
        let granted: Vec<_> = shared(&routes)[0].members.iter().map(|member| member.maximum_qos).collect();
        assert_eq!(granted, [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
    }

    #[test]
    fn a_group_is_its_name_with_its_filter() {
        let routes = group(1);
        for (session, text) in [(2, "$share/h/a/#"), (3, "$share/g/a/+"), (4, "a/b"), (1, "a/b")] {
            join(&routes, session, text);
        }
        let mut groups: Vec<_> = shared(&routes)
            .iter()
            .map(|group| {
                (
                    group.group.share.clone().unwrap().to_string(),
                    group.group.filter.to_string(),
                    group.members[0].session.0,
                    group.members.len(),
                )
            })
            .collect();
        groups.sort();
        let of = |group: &str, filter: &str, session| (group.to_owned(), filter.to_owned(), session, 1);
        assert_eq!(groups, [of("g", "a/#", 1), of("g", "a/+", 3), of("h", "a/#", 2)]);
        // Direct and shared subscriptions of one session both deliver.
        let direct = routes.matching(&TopicName::new("a/b").unwrap(), None).direct;
        assert_eq!(direct.iter().map(|one| one.session.0).collect::<Vec<_>>(), [1, 4]);
    }

    #[test]
    fn a_group_is_found_by_its_subscription() {
        let routes = group(2);
        assert_eq!(routes.group(&filter("$share/g/a/#")).unwrap().members.len(), 2);
        assert!(routes.group(&filter("$share/g/a/+")).is_none());
        assert!(routes.group(&filter("$share/h/a/#")).is_none());
        assert!(routes.group(&filter("a/#")).is_none());
    }

    #[test]
    fn a_group_goes_with_its_last_member() {
        let routes = group(2);
        for session in [1, 2] {
            assert!(routes.unsubscribe(SessionId(session), &filter("$share/g/a/#")));
        }
        assert!(shared(&routes).is_empty());
        assert!(!routes.unsubscribe(SessionId(1), &filter("$share/g/a/#")));
    }
}
