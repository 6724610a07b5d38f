use crate::{RateLimit, rate::Rate};
use std::time::{Duration, SystemTime};
use tidegate_plugin::{
    Field, Message, OnPublish, Plugin, ReasonCode, Scope, Verdict,
    testing::{Granted, Host, message},
};

const TOO_MUCH: Verdict = Verdict::Refuse(ReasonCode::QuotaExceeded);
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// At the beginning of a window of any length that divides a day.
fn host(config: &str) -> Host {
    Host::new().time(SystemTime::UNIX_EPOCH + 20_000 * 86_400 * SECOND).config(config)
}

fn started(config: &str) -> (Host, RateLimit) {
    let host = host(config);
    let plugin = host.start().unwrap();
    (host, plugin)
}

fn of(client_id: &str, topic: &str, bytes: usize) -> Message {
    let mut message = message(topic, vec![0; bytes]);
    message.client_id = Some(client_id.into());
    message
}

/// How many of `number` messages pass.
fn passed(plugin: &mut RateLimit, number: usize, client_id: &str, topic: &str) -> usize {
    (0..number).filter(|_| plugin.on_publish(of(client_id, topic, 1)) == Verdict::Next).count()
}

#[test]
fn no_more_than_the_burst_passes_at_once_and_then_what_the_rate_brings() {
    let (host, mut plugin) = started("limit = [{ per = 'client', messages = 10 }]");
    assert_eq!(passed(&mut plugin, 25, "c1", "a"), 10);
    host.advance(SECOND);
    assert_eq!(passed(&mut plugin, 25, "c1", "a"), 0, "all of the window before still counts");
    host.advance(SECOND / 2);
    assert_eq!(passed(&mut plugin, 25, "c1", "a"), 5);
    host.advance(SECOND * 2);
    assert_eq!(passed(&mut plugin, 25, "c1", "a"), 10);
}

#[test]
fn a_burst_is_a_longer_window_of_the_same_rate() {
    let (host, mut plugin) =
        started("limit = [{ per = 'client', messages = 10, window = '1s', burst = 40 }]");
    assert_eq!(passed(&mut plugin, 100, "c1", "a"), 40);
    host.advance(SECOND * 5);
    assert_eq!(passed(&mut plugin, 100, "c1", "a"), 10, "in the first second of the next four");
}

#[test]
fn in_any_time_no_more_passes_than_the_burst_what_the_rate_brings_and_one() {
    let (host, _) = started("limit = [{ per = 'all', messages = 1 }]");
    let rate = Rate::new(20, SECOND, 8).unwrap();
    let mut passed: Vec<Duration> = Vec::new();
    let (mut at, mut random) = (20_000 * 86_400 * SECOND, 1_u64);
    for _ in 0..4000 {
        // Long pauses and floods, from a linear congruential generator.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pause = MS * [0, 0, 1, 7, 90, 700][(random >> 33) as usize % 6];
        host.advance(pause);
        at += pause;
        if rate.take("k", 1, at).unwrap().is_some() {
            passed.push(at);
        }
    }
    for (first, began) in passed.iter().enumerate() {
        for (last, ended) in passed.iter().enumerate().skip(first) {
            let allowed = 8.0 + 1.0 + 20.0 * (*ended - *began).as_secs_f64();
            let number = last - first + 1;
            assert!(number as f64 <= allowed + 1e-6, "{number} in {:?}", *ended - *began);
        }
    }
    assert!(passed.len() > 1000);
}

#[test]
fn who_stays_below_the_rate_is_never_refused() {
    let (host, mut plugin) = started("limit = [{ per = 'client', messages = 10, bytes = 1000 }]");
    for at in 0..200 {
        assert_eq!(plugin.on_publish(of("c1", "a", 95)), Verdict::Next, "message {at}");
        host.advance(MS * 105);
    }
}

#[test]
fn clients_users_and_topics_are_counted_by_themselves_and_all_together() {
    let (_host, mut plugin) = started("limit = [{ per = 'client', messages = 2 }]");
    assert_eq!([passed(&mut plugin, 3, "c1", "a"), passed(&mut plugin, 3, "c2", "a")], [2, 2]);

    let (_host, mut plugin) = started("limit = [{ per = 'topic', topics = ['a/+'], messages = 2 }]");
    assert_eq!([passed(&mut plugin, 3, "c1", "a/1"), passed(&mut plugin, 3, "c1", "a/2")], [2, 2]);
    assert_eq!(passed(&mut plugin, 3, "c1", "b"), 3);

    let (_host, mut plugin) = started("limit = [{ per = 'all', topics = ['a/+'], messages = 2 }]");
    assert_eq!([passed(&mut plugin, 3, "c1", "a/1"), passed(&mut plugin, 3, "c2", "a/2")], [2, 0]);

    let (_host, mut plugin) = started("limit = [{ per = 'user', messages = 2 }]");
    let mut publish = |client_id, user: Option<&str>| {
        let mut message = of(client_id, "a", 1);
        message.username = user.map(Into::into);
        plugin.on_publish(message)
    };
    assert_eq!([publish("c1", Some("u")), publish("c2", Some("u")), publish("c3", Some("u"))][2], TOO_MUCH);
    assert_eq!([publish("c1", None), publish("c2", None), publish("c3", None)][2], TOO_MUCH);
    assert_eq!(publish("c1", Some("v")), Verdict::Next);
}

#[test]
fn instances_count_together_and_a_changed_limit_anew() {
    let (host, mut first) = started("limit = [{ per = 'client', messages = 4 }]");
    let mut second: RateLimit = host.start().unwrap();
    assert_eq!(passed(&mut first, 3, "c1", "a") + passed(&mut second, 3, "c1", "a"), 4);
    let host = host.config("limit = [{ per = 'client', messages = 5 }]");
    let mut third: RateLimit = host.start().unwrap();
    assert_eq!(passed(&mut third, 9, "c1", "a"), 5);
}

#[test]
fn what_is_to_be_published_later_counts_where_the_client_publishes_it_if_a_filter_says_so() {
    let later = |topics: &str| {
        let (_host, mut plugin) =
            started(&format!("limit = [{{ per = 'client', topics = [{topics}], messages = 2 }}]"));
        passed(&mut plugin, 1, "c1", "alarms/x") + passed(&mut plugin, 3, "c1", "$delayed/0/alarms/x")
    };
    assert_eq!([later("'alarms/#'"), later("'alarms/#', '$delayed/+/alarms/#'")], [4, 2]);
}

#[test]
fn bytes_are_those_of_the_payload() {
    let (_host, mut plugin) = started("limit = [{ per = 'client', bytes = '1KiB', burst_bytes = '2KiB' }]");
    let mut publish = |bytes| plugin.on_publish(of("c1", "a", bytes));
    assert_eq!(publish(2049), TOO_MUCH, "larger than all that may come at once");
    assert_eq!(
        [publish(1500), publish(600), publish(548), publish(0)],
        [Verdict::Next, TOO_MUCH, Verdict::Next, Verdict::Next]
    );
}

#[test]
fn what_does_not_pass_one_limit_counts_for_none() {
    let config = "limit = [{ per = 'all', messages = 10 }, { per = 'client', messages = 3, bytes = 10 }]";
    let (_host, mut plugin) = started(config);
    assert_eq!(plugin.on_publish(of("c1", "a", 11)), TOO_MUCH);
    assert_eq!(passed(&mut plugin, 50, "c1", "a"), 3);
    assert_eq!(passed(&mut plugin, 50, "c2", "a"), 3);
    assert_eq!([passed(&mut plugin, 50, "c3", "a"), passed(&mut plugin, 50, "c4", "a")], [3, 1]);
}

#[test]
fn what_is_too_much_is_refused_swallowed_or_ends_the_connection_and_is_counted() {
    let excess = |on_excess: &str| {
        let config =
            format!("limit = [{{ name = 'x', per = 'client', messages = 1, on_excess = '{on_excess}' }}]");
        let (host, mut plugin) = started(&config);
        let host = host.client(1, "c1");
        plugin.on_publish(of("c1", "a", 1));
        let verdict = plugin.on_publish(of("c1", "a", 1));
        let counted = host.counted("rate_limited", &[("limit", "x"), ("did", on_excess)]);
        (verdict, counted, host.disconnected())
    };
    assert_eq!(excess("refuse"), (TOO_MUCH, 1, vec![]));
    assert_eq!(excess("swallow"), (Verdict::Swallow, 1, vec![]));
    assert_eq!(excess("disconnect"), (TOO_MUCH, 1, vec![(1, ReasonCode::MessageRateTooHigh)]));
}

#[test]
fn what_plugins_publish_is_not_counted() {
    let (host, mut plugin) = started("limit = [{ per = 'all', messages = 1 }]");
    let _host = host.origin("other", 1);
    assert_eq!(passed(&mut plugin, 5, "", "a"), 5);
}

#[test]
fn what_cannot_be_counted_is_refused_unless_it_may_pass() {
    let verdict = |on_error: &str| {
        let config = format!("{on_error}\nlimit = [{{ per = 'client', messages = 1 }}]");
        let host = host(&config).kv_room(0);
        let mut plugin: RateLimit = host.start().unwrap();
        let verdict = plugin.on_publish(of("c1", "a", 1));
        assert_eq!(host.counted("rate_limit_errors", &[]), 1);
        assert_eq!(
            host.logged()[0].to_string(),
            "WARN a message could not be counted limit=0 topic=a why=the granted kv bytes are used up"
        );
        verdict
    };
    assert_eq!(verdict(""), Verdict::Refuse(ReasonCode::ImplementationSpecificError));
    assert_eq!(verdict("on_error = 'pass'"), Verdict::Next);
}

#[test]
fn memory_is_bounded_by_those_who_are_counted() {
    let (host, mut plugin) = started("limit = [{ per = 'client', messages = 1000 }]");
    // Four counters of a subject, and no fifth, however long it goes on.
    let _host = host.kv_room(4 * (34 + 64 + 4));
    for _ in 0..100 {
        assert_eq!(plugin.on_publish(of(&"long".repeat(10_000), "a", 1)), Verdict::Next);
        _host.advance(SECOND / 3);
    }
}

#[test]
fn the_scope_is_the_topics_of_the_limits_and_the_names_they_need() {
    let scopes = |limits: &str| started(&format!("limit = [{limits}]")).1.scopes();
    assert_eq!(
        scopes(
            "{ per = 'all', topics = ['a/#', 'b'], messages = 1 }, { per = 'user', topics = ['c'], bytes = 1000 }"
        ),
        [Scope::publish(["a/#", "b", "c"]).wanting(Field::Username)]
    );
    assert_eq!(
        scopes("{ per = 'topic', topics = ['a/#'], messages = 1 }, { per = 'client', messages = 1 }"),
        [Scope::publish([""; 0]).wanting(Field::ClientId)]
    );
}

#[test]
fn a_grant_that_is_missing_is_named() {
    let error = |host: Host| host.start::<RateLimit>().err().unwrap();
    assert_eq!(
        error(host("limit = [{ per = 'all', messages = 1 }]").without(Granted::Kv)),
        "it needs the grant `kv`; add `grants.kv = \"16MiB\"` to its table"
    );
    let config =
        "limit = [{ per = 'all', messages = 1 }, { per = 'all', messages = 1, on_excess = 'disconnect' }]";
    assert_eq!(
        error(host(config).without(Granted::Disconnect)),
        "config key `limit[1].on_excess`: it needs the grant `disconnect`; add `grants.disconnect = true` to the plugin's table"
    );
    assert!(
        host("limit = [{ per = 'all', messages = 1 }]")
            .without(Granted::Disconnect)
            .start::<RateLimit>()
            .is_ok()
    );
}

#[test]
fn errors_name_the_key() {
    for (config, complaint) in [
        ("", "config: missing field `limit`"),
        ("limit = []", "config key `limit`: there is none"),
        ("limit = [{ messages = 1 }]", "config key `limit[0]`: missing field `per`"),
        (
            "limit = [{ per = 'ip', messages = 1 }]",
            "config key `limit[0].per`: unknown variant `ip`, expected one of `client`, `user`, `topic`, `all`",
        ),
        ("limit = [{ per = 'all' }]", "config key `limit[0]`: it needs `messages`, `bytes` or both"),
        (
            "limit = [{ per = 'all', messages = 0 }]",
            "config key `limit[0].messages`: invalid value: integer `0`",
        ),
        (
            "limit = [{ per = 'all', bytes = 0 }]",
            "config key `limit[0]`: `bytes` in `window`, `burst_bytes` at once: it must be more than nothing",
        ),
        (
            "limit = [{ per = 'all', bytes = '1 foot' }]",
            "config key `limit[0].bytes`: \"1 foot\" is not a size; write for example",
        ),
        (
            "limit = [{ per = 'all', bytes = 9, burst = 10 }]",
            "config key `limit[0]`: `burst` needs `messages`",
        ),
        (
            "limit = [{ per = 'all', messages = 9, burst_bytes = 10 }]",
            "config key `limit[0]`: `burst_bytes` needs `bytes`",
        ),
        (
            "limit = [{ per = 'all', messages = 1000, burst = 9 }]",
            "config key `limit[0]`: `messages` in `window`, `burst` at once: that many come within 9ms already",
        ),
        (
            "limit = [{ per = 'all', messages = 1, window = '1' }]",
            "config key `limit[0].window`: \"1\" is not a duration; write for example",
        ),
        (
            "limit = [{ per = 'all', messages = 1, topics = ['a+'] }]",
            "config key `limit[0].topics[0]`: \"a+\" is not a topic filter",
        ),
        (
            "limit = [{ per = 'all', messages = 1, on_excess = 'drop' }]",
            "config key `limit[0].on_excess`: unknown variant `drop`, expected one of `refuse`, `swallow`, `disconnect`",
        ),
        ("limit = [{ per = 'all', message = 1 }]", "config key `limit[0].message`: unknown field `message`"),
        (
            "on_error = 'allow'\nlimit = [{ per = 'all', messages = 1 }]",
            "config key `on_error`: unknown variant `allow`, expected `refuse` or `pass`",
        ),
    ] {
        let error = host(config).start::<RateLimit>().err().expect(config);
        assert!(error.starts_with(complaint), "{config}:\n{error}\n{complaint}");
    }
}

#[test]
fn the_page_of_docs_has_a_line_for_every_key() {
    let host = Host::new();
    let mut keys = host.config_keys::<RateLimit>();
    keys.extend(host.table_keys::<RateLimit>("limit = [{ 'no key' = 0 }]"));
    assert!(keys.len() > 1, "{keys:?}");
    for key in keys {
        assert!(
            include_str!("../README.md").contains(&format!("\n| `{key}` |")),
            "README.md says nothing of {key}"
        );
    }
}
