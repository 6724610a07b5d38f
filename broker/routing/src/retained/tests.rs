use super::*;
use proptest::{collection::vec, prelude::*, sample::select};
use tidegate_mqtt::{HomeId, MessageId, Payload, PublishProperties, QoS, TopicName};

fn message(topic: &str, payload: &str) -> Arc<Message> {
    expiring(topic, payload, None)
}

/// Accepted at 0.
fn expiring(topic: &str, payload: &str, seconds: Option<u32>) -> Arc<Message> {
    let properties = PublishProperties { message_expiry_interval: seconds, ..Default::default() };
    Arc::new(Message {
        id: MessageId { home: HomeId::LOCAL, sequence: 0 },
        topic: TopicName::new(topic).unwrap(),
        payload: Payload::copied(payload.as_bytes()),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: seconds.map(|_| Box::new(properties)),
        publisher: None,
        origin: None,
        accepted_at: Timestamp(0),
        heads: Default::default(),
    })
}

fn retained(topics: &[&str]) -> Retained {
    let retained = Retained::new();
    for topic in topics {
        retained.set(message(topic, "1"));
    }
    retained
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

/// All pages one after the other, and how many there were.
fn pages(retained: &Retained, filter: &TopicFilter, limit: usize) -> (Vec<String>, usize) {
    let (mut topics, mut pages, mut from) = (Vec::new(), 0, None);
    loop {
        let page = retained.matching(filter, from.as_ref(), limit);
        assert!(page.messages.len() <= limit);
        topics.extend(page.messages.iter().map(|message| message.topic.to_string()));
        pages += 1;
        from = page.next;
        if from.is_none() {
            return (topics, pages);
        }
    }
}

#[test]
fn v5_3_3_1_5_a_message_replaces_the_earlier_one_of_its_topic() {
    let retained = Retained::new();
    let (first, second) = (message("a/b", "one"), message("a/b", "two, longer"));
    assert_eq!(retained.set(first.clone()), None);
    assert_eq!(retained.bytes(), first.cost());
    assert_eq!(retained.set(second.clone()), Some(first));
    assert_eq!((retained.len(), retained.bytes()), (1, second.cost()));
    assert_eq!(retained.get("a/b"), Some(second.clone()));
    assert_eq!(retained.matching(&filter("a/b"), None, 9).messages, [second]);
}

#[test]
fn v5_3_3_1_6_a_removed_message_is_gone() {
    let retained = retained(&["a", "a/b"]);
    assert_eq!(retained.remove("a/b/c"), None);
    assert_eq!(retained.remove("a").unwrap().topic.as_str(), "a");
    assert_eq!(retained.remove("a"), None);
    assert_eq!(pages(&retained, &filter("#"), 9).0, ["a/b"]);
    retained.remove("a/b");
    assert_eq!((retained.len(), retained.bytes(), retained.is_empty()), (0, 0, true));
}

#[test]
fn v5_4_7_2_1_leading_wildcards_do_not_match_retained_dollar_topics() {
    let retained = retained(&["$SYS/uptime", "$", "$a/uptime", "a/uptime", "%/uptime"]);
    let sorted = |text| {
        let mut topics = pages(&retained, &filter(text), 1).0;
        topics.sort();
        topics
    };
    assert_eq!(sorted("#"), ["%/uptime", "a/uptime"]);
    assert_eq!(sorted("+/uptime"), ["%/uptime", "a/uptime"]);
    assert_eq!(sorted("$SYS/#"), ["$SYS/uptime"]);
}

#[test]
fn matches_come_in_the_order_of_levels() {
    let retained = retained(&["x/b", "x!/a", "x/a/c", "x", "x/a", "x/a!", "x/", "x//"]);
    assert_eq!(pages(&retained, &filter("x/#"), 3).0, ["x", "x/", "x//", "x/a", "x/a/c", "x/a!", "x/b"]);
}

#[test]
fn a_page_is_bounded_even_if_nothing_matches() {
    let retained = Retained::new();
    for n in 0..3 * LOOKS {
        retained.set(message(&format!("devices/{n}/state"), "on"));
    }
    let page = retained.matching(&filter("devices/+/nothing"), None, 10);
    assert!(page.messages.is_empty() && page.next.is_some());
    let (topics, pages) = pages(&retained, &filter("devices/+/nothing"), 10);
    assert!(topics.is_empty() && (3..=8).contains(&pages), "{pages}");
}

#[test]
fn a_look_up_passes_over_what_cannot_match() {
    let retained = Retained::new();
    for n in 0..10 * LOOKS {
        retained.set(message(&format!("a/1/x/{n}"), ""));
        retained.set(message(&format!("a/3/{n}"), ""));
    }
    for topic in ["a/0/y", "a/1/y", "a/2/y", "a/4/y"] {
        retained.set(message(topic, ""));
    }
    // One page: far fewer looks than topics.
    let page = retained.matching(&filter("a/+/y"), None, 10);
    assert_eq!((page.messages.len(), page.next.is_none()), (4, true));
}

#[test]
fn a_look_up_goes_on_where_it_was_though_topics_come_and_go() {
    let retained = retained(&["t/1", "t/3", "t/5"]);
    let first = retained.matching(&filter("t/+"), None, 2);
    retained.remove("t/3");
    retained.set(message("t/2", "too late"));
    retained.set(message("t/4", "in time"));
    let rest = retained.matching(&filter("t/+"), first.next.as_ref(), 9);
    let topics: Vec<_> = rest.messages.iter().map(|message| message.topic.as_str()).collect();
    assert_eq!(topics, ["t/4", "t/5"]);
}

#[test]
fn expired_messages_are_taken_out_a_few_at_a_time() {
    let retained = Retained::new();
    for n in 0..10 {
        retained.set(expiring(&format!("{n}"), "", Some(n)));
    }
    retained.set(message("forever", ""));
    retained.set(expiring("0", "", Some(100)));
    retained.set(message("1", ""));
    retained.remove("2");
    assert_eq!(retained.expire(Timestamp(2_999), 100), []);
    let mut expired = retained.expire(Timestamp(5_000), 2);
    assert_eq!(expired.len(), 2);
    expired.extend(retained.expire(Timestamp(5_000), 2));
    let mut topics: Vec<_> = expired.iter().map(|message| message.topic.as_str()).collect();
    topics.sort();
    assert_eq!(topics, ["3", "4", "5"]);
    retained.expire(Timestamp(u64::MAX), 100);
    let mut left = pages(&retained, &filter("#"), 9).0;
    left.sort();
    assert_eq!(left, ["1", "forever"]);
    assert_eq!(retained.len(), 2);
    assert_eq!(retained.bytes(), message("1", "").cost() + message("forever", "").cost());
}

/// `!` is below `/` and U+0001 the lowest there is, to try the order of levels.
const WORDS: &[&str] = &["", "a", "a!", "b", "a\u{1}", "$x", "ü"];

fn any_topic() -> impl Strategy<Value = String> {
    vec(select(WORDS), 1..5).prop_map(|levels| levels.join("/")).prop_filter("empty", |text| !text.is_empty())
}

fn any_filter() -> impl Strategy<Value = TopicFilter> {
    let level = prop_oneof![2 => select(WORDS), 1 => Just("+")];
    (vec(level, 0..5), any::<bool>()).prop_filter_map("an empty filter", |(mut levels, and_below)| {
        levels.extend(and_below.then_some("#"));
        TopicFilter::new(&levels.join("/")).ok()
    })
}

proptest! {
    #[test]
    fn pages_agree_with_trying_every_topic(
        set in vec(any_topic(), 0..80),
        removed in vec(any_topic(), 0..20),
        filters in vec(any_filter(), 1..8),
        limit in 1..6_usize,
    ) {
        let retained = Retained::new();
        let mut model = BTreeSet::new();
        for topic in set {
            prop_assert_eq!(retained.set(message(&topic, "")).is_none(), model.insert(topic));
        }
        for topic in removed {
            prop_assert_eq!(retained.remove(&topic).is_some(), model.remove(&topic));
        }
        prop_assert_eq!(retained.len(), model.len());
        for filter in filters {
            let (mut topics, _) = pages(&retained, &filter, limit);
            prop_assert_eq!(&topics, &pages(&retained, &filter, usize::MAX).0);
            if !filter.starts_with(['+', '#']) {
                prop_assert!(topics.is_sorted_by(|a, b| a.split('/').lt(b.split('/'))));
            }
            topics.sort();
            let expected: Vec<_> = model.iter().filter(|topic| filter.matches(topic)).cloned().collect();
            prop_assert_eq!(topics, expected, "{}", filter);
        }
    }
}
