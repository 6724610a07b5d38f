use crate::DelayedPublish;
use std::time::{Duration, SystemTime};
use tidegate_plugin::{
    Field, Message, OnPublish, OnTimer, Plugin, Property, PropertyValue, QoS, ReasonCode, Scope, Verdict,
    broker::Outgoing,
    kv,
    testing::{Granted, Host, message},
    timers,
};

const SECOND: Duration = Duration::from_secs(1);
const NOT_ACCEPTED: Verdict = Verdict::Refuse(ReasonCode::TopicNameInvalid);
const FULL: Verdict = Verdict::Refuse(ReasonCode::QuotaExceeded);

fn host(config: &str) -> Host {
    Host::new().time(SystemTime::UNIX_EPOCH + 1_700_000_000 * SECOND).config(config)
}

fn started(config: &str) -> (Host, DelayedPublish) {
    let host = host(config);
    let plugin = host.start().unwrap();
    (host, plugin)
}

/// Topics of what was published, in order.
fn topics(host: &Host) -> Vec<String> {
    host.published().into_iter().map(|message| message.topic).collect()
}

fn expiring(topic: &str, seconds: u32) -> Message {
    let mut message = message(topic, "x");
    message.properties = vec![Property { id: 0x02, value: PropertyValue::Number(seconds) }];
    message
}

#[test]
fn a_message_is_published_when_its_time_has_come_as_it_was() {
    let (host, mut plugin) = started("");
    let mut delayed = message("$delayed/5/a/b", "hello");
    (delayed.qos, delayed.retain) = (QoS::AtLeastOnce, true);
    delayed.properties = vec![
        Property::user("k", "v"),
        Property { id: 0x03, value: PropertyValue::Text("text/plain".into()) },
        Property { id: 0x09, value: PropertyValue::Bytes(vec![0, 1]) },
    ];
    let properties = delayed.properties.clone();
    assert_eq!(plugin.on_publish(delayed), Verdict::Swallow);
    host.run_timers(&mut plugin, 4999 * SECOND / 1000);
    assert!(host.published().is_empty());
    host.run_timers(&mut plugin, SECOND / 1000);
    let expected = Outgoing { properties, ..Outgoing::new("a/b", "hello").qos(QoS::AtLeastOnce).retained() };
    assert_eq!(host.published(), [expected]);
    host.run_timers(&mut plugin, 1000 * SECOND);
    assert_eq!(host.published().len(), 1);
    assert_eq!(host.counted("delayed_published", &[]), 1);
}

#[test]
fn messages_come_in_the_order_in_which_they_are_due_and_then_in_that_of_their_coming() {
    let (host, mut plugin) = started("");
    for (seconds, topic) in [(9, "late"), (3, "1"), (3, "2"), (0, "now"), (3, "3"), (2, "early")] {
        plugin.on_publish(message(&format!("$delayed/{seconds}/{topic}"), ""));
    }
    assert_eq!(host.gauge("delayed_waiting", &[]), Some(6.0));
    host.run_timers(&mut plugin, SECOND);
    assert_eq!(topics(&host), ["now"]);
    host.run_timers(&mut plugin, 10 * SECOND);
    assert_eq!(topics(&host), ["now", "early", "1", "2", "3", "late"]);
    assert_eq!(host.gauge("delayed_waiting", &[]), Some(0.0));
}

#[test]
fn more_than_are_looked_at_once_come_too() {
    let (host, mut plugin) = started("");
    for number in 0..250 {
        plugin.on_publish(message(&format!("$delayed/1/{number}"), ""));
    }
    host.run_timers(&mut plugin, SECOND);
    assert_eq!(topics(&host), (0..250).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn v5_3_3_2_6_the_expiry_runs_while_a_message_waits() {
    let (host, mut plugin) = started("");
    assert_eq!(plugin.on_publish(expiring("$delayed/5/a", 60)), Verdict::Swallow);
    assert_eq!(plugin.on_publish(expiring("$delayed/5/over", 5)), Verdict::Swallow);
    assert_eq!(plugin.on_publish(expiring("$delayed/5/late", 7)), Verdict::Swallow);
    assert_eq!(host.counted("delayed_dropped", &[("why", "expired")]), 1, "it never has to wait");
    host.run_timers(&mut plugin, 4 * SECOND);
    // Nobody is there for a while.
    host.advance(4 * SECOND + SECOND / 2);
    host.run_timers(&mut plugin, SECOND);
    let published = host.published();
    assert_eq!(topics(&host), ["a"]);
    assert_eq!(published[0].properties, [Property { id: 0x02, value: PropertyValue::Number(52) }]);
    assert_eq!(host.counted("delayed_dropped", &[("why", "expired")]), 2);
}

#[test]
fn several_instances_publish_each_message_once() {
    let (host, mut first) = started("");
    first.on_publish(message("$delayed/5/a", ""));
    let mut others: Vec<DelayedPublish> = (0..3).map(|_| host.start().unwrap()).collect();
    others[0].on_publish(message("$delayed/5/b", ""));
    others[1].on_publish(message("$delayed/2/c", ""));
    host.run_timers(&mut others[2], 5 * SECOND);
    for plugin in &mut others {
        plugin.on_timer(1);
        plugin.on_timer(2);
    }
    host.run_timers(&mut first, 120 * SECOND);
    assert_eq!(topics(&host), ["c", "a", "b"]);
}

#[test]
fn a_message_that_another_instance_is_at_is_left_to_it_unless_that_failed() {
    let (host, mut plugin) = started("");
    plugin.on_publish(message("$delayed/1/a", ""));
    let key = kv::keys("m/", None, 1).unwrap().remove(0);
    let mut value = kv::get(&key).unwrap().unwrap();
    value[..8].copy_from_slice(&(1_700_000_010_000_u64).to_le_bytes());
    kv::set(&key, &value, None).unwrap();
    host.run_timers(&mut plugin, 9 * SECOND);
    assert!(host.published().is_empty());
    host.run_timers(&mut plugin, 2 * SECOND);
    assert_eq!(topics(&host), ["a"]);
}

#[test]
fn what_waits_survives_a_restart_and_what_was_due_meanwhile_comes_at_once() {
    let (host, mut before) = started("");
    before.on_publish(message("$delayed/5/due", ""));
    before.on_publish(message("$delayed/3600/later", ""));
    drop(before);
    host.advance(60 * SECOND);
    // What was counted is gone with the last second before a kill.
    kv::set("waiting", b"77", None).unwrap();
    let mut after: DelayedPublish = host.start().unwrap();
    assert_eq!(host.gauge("delayed_waiting", &[]), Some(2.0));
    assert!(host.published().is_empty(), "not in `init`: the broker may not be there yet");
    host.run_timers(&mut after, SECOND);
    assert_eq!(topics(&host), ["due"]);
    host.run_timers(&mut after, 3600 * SECOND);
    assert_eq!(topics(&host), ["due", "later"]);
}

#[test]
fn a_broker_that_is_busy_is_asked_again() {
    let (host, mut plugin) = started("");
    for topic in ["a", "b"] {
        plugin.on_publish(message(&format!("$delayed/1/{topic}"), ""));
    }
    host.busy(true);
    host.run_timers(&mut plugin, 5 * SECOND);
    host.busy(false);
    host.run_timers(&mut plugin, SECOND);
    assert_eq!(topics(&host), ["a", "b"]);
}

#[test]
fn what_an_alarm_missed_comes_within_a_minute() {
    let (host, mut plugin) = started("");
    plugin.on_publish(message("$delayed/1/a", ""));
    timers::cancel(1);
    host.run_timers(&mut plugin, 59 * SECOND);
    assert!(host.published().is_empty());
    host.run_timers(&mut plugin, SECOND);
    assert_eq!(topics(&host), ["a"]);
}

#[test]
fn what_may_not_be_published_is_dropped_with_a_line() {
    let (host, mut plugin) = started("");
    plugin.on_publish(message("$delayed/1/a", "secret"));
    let host = host.without(Granted::Publish);
    host.run_timers(&mut plugin, 5 * SECOND);
    assert_eq!(host.counted("delayed_dropped", &[("why", "refused")]), 1);
    assert_eq!(
        host.logged()[0].to_string(),
        "WARN a message that waited is dropped: does `grants.publish` hold its topic? topic=a why=the plugin is not granted this"
    );
    assert!(kv::keys("m/", None, 1).unwrap().is_empty());
}

#[test]
fn addresses_that_are_none_are_refused() {
    let (host, mut plugin) = started("max_delay = '1h'\ntopics = ['#', '$app/#', '$SYS/#', '$delayed/#']");
    for address in [
        "$delayed",
        "$delayed/",
        "$delayed/5",
        "$delayed/5/",
        "$delayed//a",
        "$delayed/+5/a",
        "$delayed/-5/a",
        "$delayed/5s/a",
        "$delayed/1.5/a",
        "$delayed/3601/a",
        "$delayed/99999999999999999999/a",
        "$delayed/5/$other/a",
        "$delayed/5/$share/g/a",
        "$delayed/5/$SYS/a",
        "$delayed/5/$delayed/5/a",
    ] {
        assert_eq!(plugin.on_publish(message(address, "x")), NOT_ACCEPTED, "{address}");
    }
    assert_eq!(
        host.logged()[0].to_string(),
        "INFO refused topic=$delayed why=it is not $delayed/SECONDS/TOPIC"
    );
    for address in ["$delayed/3600/a", "$delayed/005//", "$delayed/0/$app/a"] {
        assert_eq!(plugin.on_publish(message(address, "x")), Verdict::Swallow, "{address}");
    }
}

#[test]
fn only_the_configured_topics_are_reached() {
    let verdict = |config: &str, topic: &str| {
        let (_host, mut plugin) = started(config);
        plugin.on_publish(message(&format!("$delayed/1/{topic}"), ""))
    };
    assert_eq!(verdict("", "any/topic"), Verdict::Swallow);
    assert_eq!(verdict("", "$app/a"), NOT_ACCEPTED);
    assert_eq!(verdict("topics = ['a/#']", "a/b"), Verdict::Swallow);
    assert_eq!(verdict("topics = ['a/#']", "b"), NOT_ACCEPTED);
    assert_eq!(verdict("topics = []", "a"), NOT_ACCEPTED);
}

#[test]
fn what_there_is_no_room_for_is_refused() {
    let (host, mut plugin) = started("max_messages = 2");
    let mut publish = || plugin.on_publish(message("$delayed/1/a", "x"));
    assert_eq!(
        [publish(), publish(), publish(), publish()],
        [Verdict::Swallow, Verdict::Swallow, FULL, FULL]
    );
    host.run_timers(&mut plugin, SECOND);
    assert_eq!(plugin.on_publish(message("$delayed/1/a", "x")), Verdict::Swallow);

    let (host, mut plugin) = started("");
    let host = host.kv_room(1500);
    let mut publish = |bytes| plugin.on_publish(message("$delayed/1/a", vec![0; bytes]));
    assert_eq!([publish(1000), publish(500), publish(0)], [Verdict::Swallow, FULL, Verdict::Swallow]);
    // Nothing more is needed to publish what waits.
    let keys = kv::keys("", None, 10).unwrap();
    let used = keys.iter().map(|key| key.len() + kv::get(key).unwrap().unwrap().len() + 64).sum();
    let host = host.kv_room(used);
    host.run_timers(&mut plugin, SECOND);
    assert_eq!(host.published().len(), 2);
    assert_eq!(host.gauge("delayed_waiting", &[]), Some(0.0));
}

#[test]
fn what_could_not_be_numbered_does_not_count_as_waiting() {
    let (host, mut plugin) = started("max_messages = 1");
    // Room for how many wait, and for nothing else.
    let host = host.kv_room(64 + "waiting".len() + 1);
    let mut publish = || plugin.on_publish(message("$delayed/1/a", "x"));
    assert_eq!([publish(), publish()], [FULL, FULL]);
    assert_eq!(host.gauge("delayed_waiting", &[]), Some(0.0));
    let host = host.kv_room(10_000);
    assert_eq!([publish(), publish()], [Verdict::Swallow, FULL]);
    assert_eq!(host.gauge("delayed_waiting", &[]), Some(1.0));
}

#[test]
fn the_scope_is_all_below_delayed() {
    let scope = Scope::publish(["$delayed/#"]).wanting(Field::Payload).wanting(Field::Properties);
    assert_eq!(started("").1.scopes(), [scope]);
}

#[test]
fn a_grant_that_is_missing_is_named() {
    let error = |host: Host| host.start::<DelayedPublish>().err().unwrap();
    assert_eq!(
        error(host("").without(Granted::Kv)),
        "it needs the grant `kv`; add `grants.kv = \"16MiB\"` to its table"
    );
    assert!(
        error(host("").without(Granted::Publish))
            .starts_with("it needs the grant `publish`; add `grants.publish = ")
    );
}

#[test]
fn errors_name_the_key() {
    for (config, complaint) in [
        ("max_delay = '1 week'", "config key `max_delay`: \"1 week\" is not a duration; write for example"),
        ("max_messages = -1", "config key `max_messages`: invalid value: integer `-1`"),
        ("topics = ['a/#', 'b+']", "config key `topics[1]`: \"b+\" is not a topic filter"),
        (
            "max_message = 1",
            "config key `max_message`: unknown field `max_message`, expected one of `max_delay`, `max_messages`, `topics`",
        ),
    ] {
        let error = host(config).start::<DelayedPublish>().err().expect(config);
        assert!(error.starts_with(complaint), "{config}:\n{error}\n{complaint}");
    }
}

#[test]
fn the_page_of_docs_has_a_line_for_every_key() {
    let host = Host::new();
    let keys = host.config_keys::<DelayedPublish>();
    assert!(keys.len() > 1, "{keys:?}");
    for key in keys {
        assert!(
            include_str!("../README.md").contains(&format!("\n| `{key}` |")),
            "README.md says nothing of {key}"
        );
    }
}
