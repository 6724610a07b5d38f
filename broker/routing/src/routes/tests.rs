use super::*;
use proptest::{collection::vec, prelude::*, sample::select};
use std::{collections::BTreeMap, num::NonZeroU32};
use tidegate_mqtt::{QoS, SubscriptionOptions};

fn topic(text: &str) -> TopicName {
    TopicName::new(text).unwrap()
}

fn filter(text: &str) -> SubscriptionFilter {
    SubscriptionFilter::new(text).unwrap()
}

fn qos(maximum_qos: QoS) -> Subscription {
    Subscription { options: SubscriptionOptions { maximum_qos, ..Default::default() }, identifier: None }
}

fn identified(identifier: u32) -> Subscription {
    Subscription { options: SubscriptionOptions::default(), identifier: NonZeroU32::new(identifier) }
}

/// A table whose handles are the numbers of sessions.
fn routes(subscriptions: &[(u64, &str, Subscription)]) -> Routes<u64> {
    let routes = Routes::new();
    for (session, text, subscription) in subscriptions {
        routes.subscribe(HomeId::LOCAL, SessionId(*session), session, &filter(text), *subscription);
    }
    routes
}

fn receivers(routes: &Routes<u64>, on: &str, publisher: Option<u64>) -> Vec<u64> {
    let matches = routes.matching(&topic(on), publisher.map(SessionId));
    matches.direct.iter().map(|one| one.subscriber).collect()
}

#[test]
fn v5_3_3_4_2_and_v311_3_3_5_1_overlapping_subscriptions_deliver_once_at_their_highest_qos() {
    let routes = routes(&[
        (1, "a/#", qos(QoS::AtMostOnce)),
        (1, "a/+", qos(QoS::ExactlyOnce)),
        (1, "a/b", qos(QoS::AtLeastOnce)),
        (2, "#", qos(QoS::AtLeastOnce)),
    ]);
    let matches = routes.matching(&topic("a/b"), None).direct;
    let found: Vec<_> = matches.iter().map(|one| (one.session.0, one.maximum_qos)).collect();
    assert_eq!(found, [(1, QoS::ExactlyOnce), (2, QoS::AtLeastOnce)]);
    assert_eq!(routes.matching(&topic("a/b/c"), None).direct[0].maximum_qos, QoS::AtMostOnce);
}

#[test]
fn v5_3_3_4_3_and_3_3_4_4_a_merged_match_has_all_subscription_identifiers() {
    let routes = routes(&[
        (1, "a/#", identified(3)),
        (1, "+/b", identified(3)),
        (1, "a/b", identified(1)),
        (1, "a/+", qos(QoS::AtMostOnce)),
        (2, "a/b", qos(QoS::AtMostOnce)),
    ]);
    let mut matches = routes.matching(&topic("a/b"), None).direct;
    matches[0].identifiers.sort();
    assert_eq!(matches[0].identifiers.iter().map(|id| id.get()).collect::<Vec<_>>(), [1, 3, 3]);
    assert!(matches[1].identifiers.is_empty());
}

#[test]
fn v5_3_3_4_5_a_shared_copy_has_its_own_subscription_identifier_only() {
    let routes = routes(&[(1, "a", identified(1)), (1, "$share/g/a", identified(2))]);
    let matches = routes.matching(&topic("a"), None);
    assert_eq!(matches.direct[0].identifiers[0].get(), 1);
    assert_eq!(matches.shared[0].members[0].identifiers[0].get(), 2);
    assert_eq!((matches.direct[0].identifiers.len(), matches.shared[0].members[0].identifiers.len()), (1, 1));
}

#[test]
fn v5_3_3_1_13_retain_as_published_if_any_matching_subscription_asks_for_it() {
    let keep = SubscriptionOptions { retain_as_published: true, ..Default::default() };
    let routes = routes(&[
        (1, "a/#", qos(QoS::ExactlyOnce)),
        (1, "a/b", Subscription { options: keep, identifier: None }),
    ]);
    assert!(routes.matching(&topic("a/b"), None).direct[0].retain_as_published);
    assert!(!routes.matching(&topic("a/c"), None).direct[0].retain_as_published);
}

#[test]
fn v5_3_8_3_3_no_local_leaves_out_the_publishers_own_subscription_and_no_other() {
    let options = SubscriptionOptions { no_local: true, maximum_qos: QoS::ExactlyOnce, ..Default::default() };
    let not_mine = Subscription { options, identifier: NonZeroU32::new(9) };
    let routes = routes(&[(1, "a", not_mine), (2, "a", not_mine), (3, "a", qos(QoS::AtMostOnce))]);
    assert_eq!(receivers(&routes, "a", Some(1)), [2, 3]);
    assert_eq!(receivers(&routes, "a", Some(3)), [1, 2, 3]);
    assert_eq!(receivers(&routes, "a", None), [1, 2, 3]);

    // Another subscription of the publisher still delivers, with nothing of the one left out.
    routes.subscribe(HomeId::LOCAL, SessionId(1), &1, &filter("#"), qos(QoS::AtLeastOnce));
    let mine = routes.matching(&topic("a"), Some(SessionId(1))).direct.swap_remove(0);
    assert_eq!((mine.session.0, mine.maximum_qos, mine.identifiers.len()), (1, QoS::AtLeastOnce, 0));
}

#[test]
fn v5_3_8_4_3_and_v311_3_8_4_3_a_repeated_subscription_replaces_the_earlier_one() {
    let routes = Routes::new();
    for text in ["a/b", "a/+", "$share/g/a/b"] {
        let subscribe = |handle, subscription| {
            routes.subscribe(HomeId::LOCAL, SessionId(1), &handle, &filter(text), subscription)
        };
        assert!(!subscribe(1, qos(QoS::ExactlyOnce)), "{text}");
        assert!(subscribe(2, qos(QoS::AtLeastOnce)), "{text}");
    }
    assert_eq!(routes.len(), 3);
    let matches = routes.matching(&topic("a/b"), None);
    assert_eq!((matches.direct[0].subscriber, matches.direct[0].maximum_qos), (2, QoS::AtLeastOnce));
    assert_eq!(matches.direct[0].filter.as_str(), "a/b");
    assert_eq!((matches.shared.len(), matches.shared[0].members.len()), (1, 1));
    assert_eq!(matches.shared[0].members[0].subscriber, 2);
}

#[test]
fn v5_4_7_2_1_and_v311_4_7_2_1_leading_wildcards_do_not_match_dollar_topics() {
    let routes = routes(&[
        (1, "#", qos(QoS::AtMostOnce)),
        (2, "+/monitor/Clients", qos(QoS::AtMostOnce)),
        (3, "$SYS/#", qos(QoS::AtMostOnce)),
        (4, "$SYS/monitor/+", qos(QoS::AtMostOnce)),
        (5, "$SYS/+/Clients", qos(QoS::AtMostOnce)),
    ]);
    assert_eq!(receivers(&routes, "$SYS/monitor/Clients", None), [3, 4, 5]);
    assert_eq!(receivers(&routes, "SYS/monitor/Clients", None), [1, 2]);
    assert_eq!(receivers(&routes, "a/$SYS", None), [1]);
}

#[test]
fn the_generation_of_a_topic_changes_with_its_matches_and_seldom_without() {
    let routes = routes(&[]);
    for text in ["#", "+/b/c", "a/#", "a/+/c", "a/b/#", "a/b/c", "$share/g/a/b/c"] {
        let before = routes.generation("a/b/c");
        routes.subscribe(HomeId::LOCAL, SessionId(1), &1, &filter(text), Subscription::default());
        let between = routes.generation("a/b/c");
        assert_ne!(before, between, "{text}");
        assert!(!routes.is_current(before) && routes.is_current(between), "{text}");
        routes.unsubscribe(SessionId(1), &filter(text));
        assert!(!routes.is_current(between), "{text}");
    }
    let unrelated = (0..1000).filter(|n| {
        let before = routes.generation("devices/1/state");
        let text = format!("devices/{}/#", n + 2);
        routes.subscribe(HomeId::LOCAL, SessionId(1), &1, &filter(&text), Subscription::default());
        !routes.is_current(before)
    });
    // 3 of 256 shards on average.
    assert!(unrelated.count() < 100);
}

#[test]
fn unsubscribing_all_leaves_every_shard_empty() {
    let routes = Routes::new();
    let filters: Vec<_> = (0..2_000)
        .map(|n| match n % 5 {
            0 => format!("devices/{n}/state"),
            1 => format!("devices/{n}/#"),
            2 => format!("+/{n}/+/x"),
            3 => format!("$share/g{}/devices/+/{n}", n % 3),
            _ => "#".to_owned(),
        })
        .map(|text| filter(&text))
        .collect();
    for (session, filter) in (0..).map(SessionId).zip(&filters) {
        assert!(!routes.subscribe(HomeId::LOCAL, session, &(), filter, Subscription::default()));
    }
    assert_eq!(routes.len(), 2_000);
    for (session, filter) in (0..).map(SessionId).zip(&filters) {
        assert!(!routes.unsubscribe(SessionId(9_999), filter));
        assert!(routes.unsubscribe(session, filter));
        assert!(!routes.unsubscribe(session, filter));
    }
    assert!(routes.is_empty());
    for shard in &routes.shards {
        assert!(shard.filters.0.read().is_empty());
        assert!(!shard.state.0.in_use.load(Ordering::Acquire));
    }
}

#[test]
fn many_threads_subscribe_and_match_at_once() {
    let routes = Routes::new();
    routes.subscribe(HomeId::LOCAL, SessionId(0), &0, &filter("t/+/#"), Subscription::default());
    std::thread::scope(|scope| {
        for thread in 1..=4 {
            let routes = &routes;
            scope.spawn(move || {
                for round in 0..500_u64 {
                    let on = topic(&format!("t/{}/{thread}", round % 7));
                    let own = filter(&on);
                    let wide = filter("t/#");
                    let session = SessionId(thread);
                    assert!(!routes.subscribe(HomeId::LOCAL, session, &thread, &own, qos(QoS::AtLeastOnce)));
                    assert!(!routes.subscribe(
                        HomeId::LOCAL,
                        session,
                        &thread,
                        &wide,
                        Subscription::default()
                    ));
                    let generation = routes.generation(&on);
                    let found = routes.matching(&on, None).direct;
                    assert!(found.is_sorted_by_key(|one| one.session));
                    assert_eq!(found[0].session, SessionId(0));
                    let mine = found.iter().find(|one| one.session == session).unwrap();
                    assert_eq!(mine.maximum_qos, QoS::AtLeastOnce);
                    assert!(routes.unsubscribe(session, &own));
                    assert!(routes.unsubscribe(session, &wide));
                    assert!(!routes.is_current(generation));
                }
            });
        }
    });
    assert_eq!(routes.len(), 1);
}

/// Few words, so that filters meet; `$` where it counts and where it does not.
fn levels(words: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    vec(select(words), 1..5)
}

fn any_filter() -> impl Strategy<Value = SubscriptionFilter> {
    let share = select(&["", "", "", "$share/g/", "$share/h/"]);
    let text = (share, levels(&["", "a", "b", "ab", "$x", "+", "+"]), any::<bool>());
    text.prop_filter_map("an empty filter", |(share, mut levels, and_below)| {
        levels.extend(and_below.then_some("#"));
        SubscriptionFilter::new(&format!("{share}{}", levels.join("/"))).ok()
    })
}

fn any_topic() -> impl Strategy<Value = TopicName> {
    levels(&["", "a", "b", "ab", "$x"])
        .prop_filter_map("an empty topic", |levels| TopicName::new(&levels.join("/")).ok())
}

fn any_subscription() -> impl Strategy<Value = Subscription> {
    (0..3_u8, any::<bool>(), any::<bool>(), 0..5_u32).prop_map(|(qos, no_local, retain_as_published, id)| {
        let maximum_qos = QoS::try_from(qos).unwrap();
        let options =
            SubscriptionOptions { maximum_qos, no_local, retain_as_published, ..Default::default() };
        Subscription { options, identifier: NonZeroU32::new(id) }
    })
}

#[derive(Clone, Debug)]
enum Action {
    Subscribe(u64, SubscriptionFilter, Subscription),
    Unsubscribe(u64, SubscriptionFilter),
    Match(TopicName, Option<u64>),
}

fn any_action() -> impl Strategy<Value = Action> {
    // More sessions than lie in one place, see `BySession`.
    let session = prop_oneof![0..4_u64, 0..40_u64];
    prop_oneof![
        3 => (session.clone(), any_filter(), any_subscription()).prop_map(|(s, f, o)| Action::Subscribe(s, f, o)),
        2 => (session, any_filter()).prop_map(|(s, f)| Action::Unsubscribe(s, f)),
        2 => (any_topic(), proptest::option::of(0..4_u64)).prop_map(|(t, p)| Action::Match(t, p)),
    ]
}

type Model = BTreeMap<(SessionId, SubscriptionFilter), Subscription>;
/// QoS, retain as published, sorted identifiers.
type Found = (QoS, bool, Vec<u32>);
type FoundMatches = (BTreeMap<SessionId, Found>, BTreeMap<(String, SessionId), Found>);

fn model_matching(model: &Model, topic: &TopicName, publisher: Option<SessionId>) -> FoundMatches {
    let mut direct = BTreeMap::new();
    let mut shared = BTreeMap::new();
    for ((session, filter), subscription) in model.iter().filter(|entry| entry.0.1.filter.matches(topic)) {
        let found = match &filter.share {
            None if subscription.options.no_local && publisher == Some(*session) => continue,
            None => direct.entry(*session).or_insert_with(Found::default),
            Some(_) => shared.entry((filter.to_string(), *session)).or_insert_with(Found::default),
        };
        found.0 = found.0.max(subscription.options.maximum_qos);
        found.1 |= subscription.options.retain_as_published;
        found.2.extend(subscription.identifier.map(NonZeroU32::get));
        found.2.sort();
    }
    (direct, shared)
}

fn found<S>(one: &Match<S>) -> Found {
    let mut identifiers: Vec<_> = one.identifiers.iter().map(|id| id.get()).collect();
    identifiers.sort();
    (one.maximum_qos, one.retain_as_published, identifiers)
}

fn table_matching(routes: &Routes<u64>, topic: &TopicName, publisher: Option<SessionId>) -> FoundMatches {
    let matches = routes.matching(topic, publisher);
    assert!(matches.direct.is_sorted_by(|one, next| one.session < next.session));
    assert!(matches.direct.iter().all(|one| one.filter.matches(topic) && one.subscriber == one.session.0));
    let direct = matches.direct.iter().map(|one| (one.session, found(one))).collect();
    let mut shared = BTreeMap::new();
    for group in &matches.shared {
        assert!(!group.members.is_empty());
        for member in &group.members {
            let name = group.group.to_string();
            assert!(shared.insert((name, member.session), found(member)).is_none());
        }
    }
    (direct, shared)
}

proptest! {
    #[test]
    fn the_table_agrees_with_trying_every_filter(actions in vec(any_action(), 1..150)) {
        let routes = Routes::new();
        let mut model = Model::new();
        let mut kept: Vec<(TopicName, Option<SessionId>, Generation, FoundMatches)> = Vec::new();
        for action in actions {
            match action {
                Action::Subscribe(session, filter, subscription) => {
                    let id = SessionId(session);
                    let replaced = routes.subscribe(HomeId::LOCAL, id, &session, &filter, subscription);
                    prop_assert_eq!(replaced, model.insert((id, filter), subscription).is_some());
                }
                Action::Unsubscribe(session, filter) => {
                    let removed = routes.unsubscribe(SessionId(session), &filter);
                    prop_assert_eq!(removed, model.remove(&(SessionId(session), filter)).is_some());
                }
                Action::Match(topic, publisher) => {
                    let publisher = publisher.map(SessionId);
                    let generation = routes.generation(&topic);
                    let found = table_matching(&routes, &topic, publisher);
                    prop_assert_eq!(&found, &model_matching(&model, &topic, publisher));
                    kept.push((topic, publisher, generation, found));
                }
            }
            prop_assert_eq!(routes.len(), model.len());
        }
        for (topic, publisher, generation, found) in kept {
            if routes.is_current(generation) {
                prop_assert_eq!(found, model_matching(&model, &topic, publisher));
            }
        }
        for (session, filter) in model.keys() {
            prop_assert!(routes.unsubscribe(*session, filter));
        }
        prop_assert!(routes.is_empty());
        prop_assert!(routes.shards.iter().all(|shard| shard.filters.0.read().is_empty()));
    }
}
